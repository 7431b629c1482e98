"""Merge candidate masks of tiles into objects that no tile has cut.

Each candidate comes whole, from the one tile that asked for it, so nothing has to be glued. What is
left is to choose: where candidates of the same tile, of neighbours or of coarser tiles cover the
same thing, the best one stays. The order in which tiles come makes no difference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.tiles.grid import Region, intersection

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_samhq.core.masks.cropped import CroppedMask

__all__ = ["Candidate", "TileAnswer", "chosen", "distinct", "overlaps", "paint", "shared_px"]


@dataclass(frozen=True)
class Candidate:
    """A mask that may be an object.

    Attributes
    ----------
    mask : CroppedMask
        In pixels of `step` image pixels.
    score : float
        The model's estimate of the mask's IoU with the object.
    stability : float
        How little the mask changes with the threshold of its logits, 0 to 1.
    point_rc : tuple of two floats
        The point that asked for it, in image pixels.
    step : int
        Image pixels that a pixel of the mask spans along each axis; 1 for all but huge objects.
    area_px : int
        Area in image pixels.
    """

    mask: CroppedMask
    score: float
    stability: float
    point_rc: tuple[float, float]
    step: int
    area_px: int

    @classmethod
    def of(
        cls,
        mask: CroppedMask,
        score: float,
        stability: float,
        point_rc: tuple[float, float],
        step: int = 1,
    ) -> Candidate:
        """Count the pixels."""
        area = mask.area * step * step
        return cls(mask, float(score), float(stability), point_rc, step, area)

    @property
    def region(self) -> Region:
        """Bounding box in image pixels."""
        rows, cols = self.mask.region
        step = self.step
        return slice(rows.start * step, rows.stop * step), slice(
            cols.start * step, cols.stop * step
        )

    @property
    def quality(self) -> float:
        """Score times stability, which tells good masks from bad ones better than either."""
        return self.score * self.stability

    @property
    def rank(self) -> tuple[Any, ...]:
        """Sort key, best first: by quality, then by place, so that no two ever tie."""
        rows, cols = self.region
        place = (rows.start, cols.start, rows.stop, cols.stop)
        return (-self.quality, *place, self.point_rc, self.mask.packed)

    def sampled(self, region: Region, step: int = 1) -> NDArray[np.bool_]:
        """Return the mask at every `step`-th pixel of a region.

        Parameters
        ----------
        region : pair of slices
            In image pixels, inside of the bounding box.
        step : int
            Pixels from one sample to the next.
        """
        rows, cols = (
            np.arange(part.start, part.stop, step) // self.step - start
            for part, start in zip(region, (self.mask.top, self.mask.left), strict=True)
        )
        array = self.mask.array()
        if self.step == step == 1:
            return array[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        return array[rows[:, np.newaxis], cols]


@dataclass(frozen=True)
class TileAnswer:
    """What one tile found.

    Attributes
    ----------
    candidates : tuple of Candidate
        Masks that lie whole in what the tile saw, best first.
    unfinished : tuple of points
        Row, column in image pixels of points on something that goes on beyond it. The tile of the
        next coarser grid asks them again.
    """

    candidates: tuple[Candidate, ...] = ()
    unfinished: tuple[tuple[float, float], ...] = ()


def shared_px(first: Candidate, second: Candidate) -> int:
    """Count the pixels that two candidates have in common.

    Examples
    --------
    >>> from napari_samhq.core.masks.cropped import CroppedMask
    >>> square = CroppedMask.of(np.ones((4, 4)))
    >>> a = Candidate.of(square, 0.9, 1.0, (1.0, 1.0))
    >>> b = Candidate.of(CroppedMask.of(np.ones((4, 4)), (2, 2)), 0.9, 1.0, (3.0, 3.0))
    >>> shared_px(a, b)
    4
    """
    common = intersection(first.region, second.region)
    if common is None:
        return 0
    step = max(first.step, second.step)
    both = first.sampled(common, step) & second.sampled(common, step)
    # Of samples one can count for more than there is.
    most = min(math.prod(part.stop - part.start for part in common), first.area_px, second.area_px)
    return int(min(np.count_nonzero(both) * step * step, most))


def distinct(candidates: Iterable[Candidate], iou: float) -> list[Candidate]:
    """Leave out candidates that repeat a better one.

    Parameters
    ----------
    candidates : iterable of Candidate
        In any order.
    iou : float
        IoU from which on a candidate is a repetition, above 0.5.

    Returns
    -------
    list of Candidate
        Best first.
    """
    kept: list[Candidate] = []
    boxes = np.empty((0, 5), dtype=np.int64)
    for candidate in sorted(candidates, key=lambda c: c.rank):
        box = np.array([_box(candidate)])
        # A cheap test first: boxes and areas allow no higher IoU than this.
        most = np.minimum(_box_overlap(boxes, box[0]), np.minimum(boxes[:, 4], box[0, 4]))
        near = np.flatnonzero(most >= iou * np.maximum(boxes[:, 4], box[0, 4]))
        if any(_iou(kept[index], candidate) >= iou for index in near):
            continue
        kept.append(candidate)
        boxes = np.concatenate([boxes, box])
    return kept


def overlaps(candidates: Sequence[Candidate], within: Region) -> NDArray[np.int64]:
    """Find all pairs of candidates that share pixels and belong to a region.

    A pair belongs to the region in which the common part of the two bounding boxes begins, so each
    pair is found in exactly one of several regions that cover the plane.

    Parameters
    ----------
    candidates : sequence of Candidate
        All whose bounding boxes meet the region.
    within : pair of slices
        In image pixels.

    Returns
    -------
    ndarray of shape (K, 3), int64
        Places of the two candidates, the lower one first, and the pixels they share.
    """
    boxes = np.array([_box(candidate) for candidate in candidates], dtype=np.int64).reshape(-1, 5)
    pairs = []
    for index in range(len(boxes)):
        later = boxes[index + 1 :]
        top = np.maximum(later[:, 0], boxes[index, 0])
        left = np.maximum(later[:, 1], boxes[index, 1])
        here = (
            (_box_overlap(later, boxes[index]) > 0)
            & (top >= within[0].start)
            & (top < within[0].stop)
            & (left >= within[1].start)
            & (left < within[1].stop)
        )
        for other in (np.flatnonzero(here) + index + 1).tolist():
            count = shared_px(candidates[index], candidates[other])
            if count:
                pairs.append((index, other, count))
    return np.array(pairs, dtype=np.int64).reshape(-1, 3)


def chosen(
    areas_px: NDArray[np.int64], pairs: NDArray[np.int64], overlap: float
) -> NDArray[np.bool_]:
    """Choose objects among candidates, the best first.

    A candidate is left out if it shares more than `overlap` of the smaller of the two with one that
    was chosen before, or more than that of its own area with all of them together. So each object
    keeps at least this share of its pixels when better ones are painted over it.

    Parameters
    ----------
    areas_px : ndarray of shape (N,)
        Areas of the candidates, best first.
    pairs : ndarray of shape (K, 3)
        Places of two candidates and the pixels they share, for all pairs that share any.
    overlap : float
        Between 0 and 1.

    Returns
    -------
    ndarray of shape (N,), bool
        Which candidates are objects.

    Examples
    --------
    >>> chosen(np.array([10, 10, 10]), np.array([[0, 1, 8], [1, 2, 8]]), 0.5).tolist()
    [True, False, True]
    """
    better, worse = pairs[:, :2].min(axis=1), pairs[:, :2].max(axis=1)
    order = np.argsort(worse, kind="stable")
    better, worse, shared = better[order], worse[order], pairs[order, 2]
    is_too_much = shared > overlap * np.minimum(areas_px[better], areas_px[worse])
    keep = np.ones(len(areas_px), dtype=bool)
    places, starts = np.unique(worse, return_index=True)
    stops = np.append(starts, len(worse))[1:]
    for place, start, stop in zip(places, starts, stops, strict=True):
        stays = keep[better[start:stop]]
        covered = shared[start:stop][stays].sum()
        is_repetition = is_too_much[start:stop][stays].any()
        keep[place] = not is_repetition and covered <= overlap * areas_px[place]
    return keep


def paint(
    labels: NDArray[np.int32], region: Region, objects: Iterable[tuple[int, Candidate]]
) -> None:
    """Write objects into the labels of a region; where they overlap the better one wins.

    Parameters
    ----------
    labels : ndarray of shape (h, w), int32
        Changed in place.
    region : pair of slices
        Which pixels of the image they are.
    objects : iterable of (int, Candidate)
        Label ids and masks, in any order.
    """
    for label, candidate in sorted(objects, key=lambda item: item[1].rank, reverse=True):
        common = intersection(region, candidate.region)
        if common is None:
            continue
        rows, cols = (
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip(common, region, strict=True)
        )
        labels[rows, cols][candidate.sampled(common)] = label


def _box(candidate: Candidate) -> tuple[int, int, int, int, int]:
    rows, cols = candidate.region
    return rows.start, cols.start, rows.stop, cols.stop, candidate.area_px


def _box_overlap(boxes: NDArray[np.int64], box: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pixels that a box shares with each of several."""
    rows = np.minimum(boxes[:, 2], box[2]) - np.maximum(boxes[:, 0], box[0])
    cols = np.minimum(boxes[:, 3], box[3]) - np.maximum(boxes[:, 1], box[1])
    both: NDArray[np.int64] = np.maximum(rows, 0) * np.maximum(cols, 0)
    return both


def _iou(first: Candidate, second: Candidate) -> float:
    shared = shared_px(first, second)
    return shared / (first.area_px + second.area_px - shared)
