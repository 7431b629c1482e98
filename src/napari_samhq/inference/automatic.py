"""Masks of everything in a window, by a grid of point prompts.

What the model says to a point is judged before it is enlarged to the size of the image, first by
its score, then by the low-res logits alone, so that most answers cost next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.core.tiles.grid import Region, TileGrid, touches_inner_border
from napari_samhq.core.tiles.stitching import Candidate, TileAnswer, distinct
from napari_samhq.inference.enlarging import Enlarger
from napari_samhq.inference.prediction import SupportsPrediction
from napari_samhq.inference.tile_window import Asked, TileWindow, clipped

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_samhq.core.journal.drafts import Output
    from napari_samhq.inference.embedding import ImageEmbedding
    from napari_samhq.inference.settings import AutomaticSettings
    from napari_samhq.inference.source import ImageSource

__all__ = ["SupportsLogits", "ask_tile", "grid_points"]

_REPEATED_IOU = 0.85  # two answers so alike are one; keeps the number of candidates small
_MOST_UNFINISHED = 64  # asked again as they are; of more points, one for each different piece
_BORDER_SHARE = 1 / 256  # of the window: the width of one low-res logit


class SupportsLogits(SupportsPrediction, Protocol):
    """A predictor that can also answer without enlarging masks."""

    def iter_logits(
        self,
        embedding: ImageEmbedding,
        prompts: Sequence[Prompt],
        *,
        multimask: bool = False,
        output: Output = "sam+hq",
        least_score: float | None = None,
    ) -> Iterator[tuple[list[int], NDArray[np.float32], NDArray[np.float32]]]:
        """Answer in batches: places of P prompts, logits (P, M, h, w), scores (P, M).

        Logits of prompts without a candidate of `least_score` may be anything.
        """
        ...


def grid_points(
    area: Region, spacing_px: int, foreground: Any | None = None
) -> NDArray[np.float64]:
    """Points of the one regular grid of the image that lie in a part of it.

    Parameters
    ----------
    area : pair of slices
        In image pixels.
    spacing_px : int
        Pixels from one point to the next; the first one lies half as far from the image's corner.
    foreground : array of shape (H, W), optional
        Of the image's size; points where it is 0 are left out. Only `area` of it is read.

    Returns
    -------
    ndarray of shape (N, 2)
        Row, column in image pixels.

    Examples
    --------
    >>> grid_points((slice(0, 8), slice(0, 4)), 4).tolist()
    [[1.5, 1.5], [5.5, 1.5]]
    """
    along = []
    for part in area:
        first = int(np.ceil((part.start - 0.5 * spacing_px) / spacing_px))
        last = int(np.ceil((part.stop - 0.5 * spacing_px) / spacing_px))
        along.append((np.arange(first, last) + 0.5) * spacing_px - 0.5)
    rows, cols = np.meshgrid(*along, indexing="ij")
    points: NDArray[np.float64] = np.column_stack([rows.ravel(), cols.ravel()])
    if foreground is None or not len(points):
        return points
    here = np.asarray(foreground[area]) != 0
    places = np.floor(points + 0.5).astype(int) - [area[0].start, area[1].start]
    places = np.clip(places, 0, np.array(here.shape) - 1)
    on_it: NDArray[np.float64] = points[here[places[:, 0], places[:, 1]]]
    return on_it


def ask_tile(
    predictor: SupportsLogits,
    source: ImageSource,
    grid: TileGrid,
    index: int,
    points_rc: NDArray[np.float64],
    settings: AutomaticSettings,
    finer: TileGrid | None = None,
    *,
    past_the_edge: bool = False,
) -> Generator[Asked, None, TileAnswer]:
    """Ask for masks at points of one tile.

    Parameters
    ----------
    predictor : predictor with `iter_logits`
    source : ImageSource
    grid : TileGrid
    index : int
        Which tile of it.
    points_rc : ndarray of shape (N, 2)
        Row, column in image pixels, in the tile's write region.
    settings : AutomaticSettings
    finer : TileGrid, optional
        The grid that asked these points before. Then only masks count that its tiles could not
        see whole.
    past_the_edge : bool, optional
        Whether masks may go on beyond the area of the grid; otherwise they are cut off there.

    Yields
    ------
    Asked
        Stop here to cancel.

    Returns
    -------
    TileAnswer
        The value of the generator.

    Raises
    ------
    ImageError, FileError, OutOfMemoryError
        As source and predictor do.
    """
    if not len(points_rc):
        return TileAnswer()
    tile = grid[index]
    window = TileWindow.read(source, tile.read)
    if window.rgb8.min() == window.rgb8.max():
        return TileAnswer()  # nothing to see here, and models imagine things then
    embedding = predictor.embed(window.rgb8)
    prompts = [Prompt(points=[point]) for point in window.local(points_rc)]
    judge = _Judge(settings, grid, tile.read, window, embedding, finer, past_the_edge)
    # How many boxes will follow is not known yet: about half as many.
    total = len(prompts) * 3 // 2 if settings.by_box else len(prompts)
    done = 0
    for indices, logits, scores in predictor.iter_logits(
        embedding, prompts, multimask=True, least_score=settings.min_score
    ):
        judge.take(points_rc[indices], logits, scores)
        done += len(indices)
        yield Asked(done, total)
    if settings.by_box:
        boxes = [Prompt(box=window.box(region)) for region in judge.regions()]
        done = 0
        for indices, logits, _ in predictor.iter_logits(embedding, boxes):
            judge.take_again(indices, logits[:, 0])
            done += len(indices)
            yield Asked(len(prompts) + (total - len(prompts)) * done // len(boxes), total)
    return judge.answer()


@dataclass(eq=False)
class _Judge:
    """Decides which answers of one window become candidates."""

    settings: AutomaticSettings
    grid: TileGrid
    read: Region
    window: TileWindow
    embedding: ImageEmbedding
    finer: TileGrid | None
    past_the_edge: bool = False
    enlarger: Enlarger | None = None
    whole: list[Candidate] = field(default_factory=list)
    cut: list[Candidate] = field(default_factory=list)
    first: list[Candidate] = field(default_factory=list)

    def take(
        self, points_rc: NDArray[np.float64], logits: NDArray[Any], scores: NDArray[Any]
    ) -> None:
        """Look at answers: points (P, 2), low-res logits (P, M, h, w), scores (P, M)."""
        if self.enlarger is None:
            self.enlarger = Enlarger(self.embedding, logits.shape[-1])
        height, width = self.enlarger.low_res_shape
        for number, which in np.argwhere(scores >= self.settings.min_score).tolist():
            low_res = logits[number, which, :height, :width]
            stability = self._stability_if_promising(low_res)
            if stability is None:
                continue
            mask = self._cleaned(self.enlarger.mask(low_res))
            if mask:
                row, col = points_rc[number].tolist()
                score = float(scores[number, which])
                self._sort_in(Candidate.of(mask, score, stability, (row, col), self.window.step))

    def regions(self) -> list[Region]:
        """Drop repetitions, and tell where what is left lies: it is to be asked for by boxes."""
        self.first, self.whole = distinct(self.whole, _REPEATED_IOU), []
        return [candidate.region for candidate in self.first]

    def take_again(self, indices: Sequence[int], logits: NDArray[Any]) -> None:
        """Let answers to boxes, logits (P, h, w), be the masks of what was found before.

        Score and stability stay, so that thresholds mean the same before and after.
        """
        assert self.enlarger is not None
        height, width = self.enlarger.low_res_shape
        for index, low_res in zip(indices, logits, strict=True):
            old = self.first[index]
            mask = self._cleaned(self.enlarger.mask(low_res[:height, :width]))
            new = Candidate.of(mask, old.score, old.stability, old.point_rc, self.window.step)
            if not mask or not self._seen_whole(new, self.read):
                self.whole.append(old)
            elif self._has_a_fitting_size(new):
                self.whole.append(self._within_limits(new) or old)

    def answer(self) -> TileAnswer:
        """Sum up, without repetitions."""
        unfinished = dict.fromkeys(candidate.point_rc for candidate in self.cut)
        if len(unfinished) > _MOST_UNFINISHED:
            different = distinct(self.cut, _REPEATED_IOU)
            unfinished = dict.fromkeys(candidate.point_rc for candidate in different)
        return TileAnswer(tuple(distinct(self.whole, _REPEATED_IOU)), tuple(unfinished))

    def _stability_if_promising(self, low_res: NDArray[np.float32]) -> float | None:
        """Judge what can be judged before enlarging; None for what need not be enlarged."""
        settings = self.settings
        inside = low_res > 0
        area = np.count_nonzero(inside)
        if not area:
            return None
        rows, cols = self.window.region
        pixel = (rows.stop - rows.start) * (cols.stop - cols.start) / low_res.size
        # Enlarging moves borders by less than a low-res pixel; cleaning changes areas a little.
        slack = 4 * pixel + 0.5 * area * pixel
        if 0 < settings.largest_px < area * pixel - slack:
            return None
        least = np.count_nonzero(low_res > settings.stability_offset)
        stability = least / np.count_nonzero(low_res > -settings.stability_offset)
        edges = inside[0], inside[-1], inside[:, 0], inside[:, -1]
        if any(edge.any() for edge in edges):
            return stability  # perhaps a part only, of which neither area nor stability tell
        if stability < settings.min_stability or area * pixel + slack < settings.smallest_px:
            return None
        return stability

    def _cleaned(self, mask: CroppedMask) -> CroppedMask:
        """One piece without holes, where the settings say so, in the frame of the image."""
        start = self.window.start
        array = mask.array()
        if array.any() and self.settings.one_piece:
            array = largest_filled_piece(array)
        return CroppedMask.of(array, (mask.top + start[0], mask.left + start[1]))

    def _sort_in(self, candidate: Candidate) -> None:
        settings = self.settings
        if 0 < settings.largest_px < candidate.area_px:
            return  # a part of something is no larger than the whole of it
        if not self._seen_whole(candidate, self.read):
            self.cut.append(candidate)
            return
        if candidate.stability < settings.min_stability or not self._has_a_fitting_size(candidate):
            return
        if self.finer is not None and self._seen_whole(
            candidate, self._read_before(candidate.point_rc)
        ):
            return  # the finer tile has found it already
        clipped = self._within_limits(candidate)
        if clipped is not None:
            self.whole.append(clipped)

    def _has_a_fitting_size(self, candidate: Candidate) -> bool:
        largest = self.settings.largest_px or candidate.area_px
        return self.settings.smallest_px <= candidate.area_px <= largest

    def _within_limits(self, candidate: Candidate) -> Candidate | None:
        """Cut off what lies outside of the image, or of the region that is segmented."""
        height, width = self.grid.image_shape
        whole = slice(0, height), slice(0, width)
        return clipped(candidate, whole if self.past_the_edge else self.grid.area)

    def _seen_whole(self, candidate: Candidate, read: Region) -> bool:
        side = max(part.stop - part.start for part in read)
        margin = int(side * _BORDER_SHARE) if side > 1 / _BORDER_SHARE else 0
        shape = self.grid.image_shape
        return not touches_inner_border(candidate.region, read, shape, margin)

    def _read_before(self, point_rc: tuple[float, float]) -> Region:
        assert self.finer is not None
        return self.finer[self.finer.owner(point_rc)].read


def largest_filled_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the largest connected piece of a mask, the first of equal ones, and fill its holes."""
    from scipy import ndimage

    pieces, count = ndimage.label(mask)
    if count > 1:
        mask = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(mask)
    return filled
