"""Quality of a segmentation: objects compared one by one, and scores of images and data sets.

The numbers are those of the literature, each named in the property that gives it. All of them
follow from one pairing of true with predicted objects, see
:func:`napari_samhq.core.measure.metrics.match`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.labels.run_labels import RunLabels
from napari_samhq.core.measure.metrics import boundary, iou, match
from napari_samhq.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_samhq.core.masks.cropped import CroppedMask
    from napari_samhq.core.measure.metrics import Match

__all__ = ["AP_THRESHOLDS", "ObjectQuality", "Quality", "compare_labels"]

AP_THRESHOLDS: tuple[float, ...] = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""IoUs over which the average precision is averaged: 0.5, 0.55, ... 0.95."""

_BORDER_SHARE = 0.02  # of a diagonal, as in the paper on boundary IoU
_MOST_PAINTED_PX = 2**24  # of an object and its partner, to compare their borders
_MARGIN_SHARE, _LEAST_MARGIN_PX = 0.5, 3  # what is looked at around an object, on each side


@dataclass(frozen=True)
class ObjectQuality:
    """How well one true object was found.

    Attributes
    ----------
    label_id : int
        Of the true object.
    predicted_id : int
        Of its partner; 0 if it has none.
    iou, boundary_iou : float
        With its partner; 0 without one.
    area_px : int
        Of the true object.
    box : tuple of four ints
        min_row, min_col, max_row, max_col of the true object: its first and last pixels.
    """

    label_id: int
    predicted_id: int
    iou: float
    boundary_iou: float
    area_px: int
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Quality:
    """How well the objects of an image, or of many, were found.

    Attributes
    ----------
    objects : tuple of ObjectQuality
        The true objects.
    predicted : int
        How many objects were predicted, right or wrong.

    Examples
    --------
    >>> true = np.zeros((8, 8), dtype=int)
    >>> true[1:4, 1:5], true[5:7, 1:3] = 1, 2
    >>> found = np.where(true == 1, 9, 0)
    >>> quality = compare_labels(true, found)
    >>> quality.mean_iou, quality.ap, round(quality.panoptic_quality, 3)
    (0.5, 0.5, 0.667)
    """

    objects: tuple[ObjectQuality, ...]
    predicted: int

    @classmethod
    def pooled(cls, qualities: Iterable[Quality]) -> Quality:
        """Take the objects of many images together, so that each object counts the same."""
        listed = list(qualities)
        objects = tuple(one for quality in listed for one in quality.objects)
        return cls(objects, sum(quality.predicted for quality in listed))

    @property
    def mean_iou(self) -> float:
        """Mean over the true objects of the IoU with their partner, 0 for those without one.

        NaN where there is no true object.
        """
        return _mean([one.iou for one in self.objects])

    @property
    def mean_boundary_iou(self) -> float:
        """The same of the boundary IoU (Cheng et al., CVPR 2021), see :func:`compare_labels`."""
        return _mean([one.boundary_iou for one in self.objects])

    def counts(self, threshold: float = 0.5) -> tuple[int, int, int]:
        """Count objects found, predicted in vain, and missed; an IoU above the threshold counts."""
        found = sum(one.iou > threshold for one in self.objects)
        return found, self.predicted - found, len(self.objects) - found

    def precision(self, threshold: float = 0.5) -> float:
        """Share of the predicted objects that are true ones; NaN if there are none."""
        found, extra, _ = self.counts(threshold)
        return _ratio(found, found + extra)

    def recall(self, threshold: float = 0.5) -> float:
        """Share of the true objects that were found; NaN if there are none."""
        found, _, missed = self.counts(threshold)
        return _ratio(found, found + missed)

    def average_precision(self, threshold: float) -> float:
        """Objects found, divided by those found, predicted in vain and missed, at one IoU.

        The measure of the Data Science Bowl 2018 (Caicedo et al., Nature Methods 2019), which
        needs no scores, unlike that of COCO. NaN where there is no object at all.
        """
        return _ratio(self.counts(threshold)[0], sum(self.counts(threshold)))

    @property
    def ap(self) -> float:
        """Mean of :meth:`average_precision` over the IoUs 0.5, 0.55, ... 0.95."""
        return _mean([self.average_precision(threshold) for threshold in AP_THRESHOLDS])

    @property
    def segmentation_quality(self) -> float:
        """Mean IoU of the objects that were found, those above 0.5; NaN if none was."""
        return _mean([one.iou for one in self.objects if one.iou > 0.5])

    @property
    def recognition_quality(self) -> float:
        """Harmonic mean of precision and recall at an IoU of 0.5 (F1); NaN without any object."""
        found, extra, missed = self.counts()
        return _ratio(2 * found, 2 * found + extra + missed)

    @property
    def panoptic_quality(self) -> float:
        """Segmentation quality times recognition quality (Kirillov et al., CVPR 2019).

        NaN where there is no object at all.
        """
        found, extra, missed = self.counts()
        shared = sum(one.iou for one in self.objects if one.iou > 0.5)
        return _ratio(shared, found + extra / 2 + missed / 2)

    def numbers(self) -> dict[str, Any]:
        """List all numbers by name, in an order for people."""
        found, extra, missed = self.counts()
        return {
            "objects": len(self.objects),
            "predicted": self.predicted,
            "mean_iou": self.mean_iou,
            "mean_boundary_iou": self.mean_boundary_iou,
            "ap": self.ap,
            **{f"ap_{round(100 * t)}": self.average_precision(t) for t in AP_THRESHOLDS},
            "panoptic_quality": self.panoptic_quality,
            "segmentation_quality": self.segmentation_quality,
            "recognition_quality": self.recognition_quality,
            "found": found,
            "extra": extra,
            "missed": missed,
            "precision": self.precision(),
            "recall": self.recall(),
        }


def compare_labels(
    true: ArrayLike | RunLabels,
    predicted: ArrayLike | RunLabels,
    *,
    border_px: int | None = None,
) -> Quality:
    """Compare a predicted label image with the true one.

    Each true object gets at most one predicted one as its partner, pairs being taken in the order
    of falling IoU; the label ids themselves do not matter.

    Parameters
    ----------
    true, predicted : array_like of shape (H, W), int; or RunLabels
        0 is background.
    border_px : int, optional
        Width of the border that the boundary IoU looks at. The paper takes 2 % of the diagonal of
        the image, which is wider than most cells are. When left out it is 2 % of the diagonal of
        the object's surroundings, its box grown by half its size on each side (3 px at least), so
        that small objects in large images are judged as strictly as large ones.

    Returns
    -------
    Quality

    Raises
    ------
    ImageError
        If the shapes differ, or these are no labels.

    Examples
    --------
    >>> compare_labels([[1, 1, 0, 2]], [[7, 7, 0, 0]]).counts()
    (1, 0, 1)
    """
    if isinstance(true, RunLabels) or isinstance(predicted, RunLabels):
        return _compare_runs(_as_runs(true), _as_runs(predicted), border_px)
    found = match(true, predicted, threshold=0.0)
    true_ids, predicted_ids = np.asarray(true), np.asarray(predicted)
    places, predicted_places = _places(true_ids), _places(predicted_ids)
    partners = dict(found.pairs.tolist())
    ious = dict(zip(found.pairs[:, 0].tolist(), found.ious.tolist(), strict=True))
    objects = []
    for label_id, (rows, cols) in places.items():
        box = rows.start, cols.start, rows.stop - 1, cols.stop - 1
        area = int(np.count_nonzero(true_ids[rows, cols] == label_id))
        partner, border_iou = partners.get(label_id, 0), 0.0
        if partner:
            width = border_px or _border_px(rows.stop - rows.start, cols.stop - cols.start)
            # All of both objects: what the window leaves out is in neither.
            window = _both((rows, cols), predicted_places[partner])
            border_iou = iou(
                boundary(true_ids[window] == label_id, width),
                boundary(predicted_ids[window] == partner, width),
            )
        value = ious.get(label_id, 0.0)
        objects.append(ObjectQuality(label_id, partner, value, border_iou, area, box))
    return Quality(tuple(objects), len(predicted_places))


def _as_runs(labels: ArrayLike | RunLabels) -> RunLabels:
    return labels if isinstance(labels, RunLabels) else RunLabels.of_array(labels)


def _compare_runs(true: RunLabels, predicted: RunLabels, border_px: int | None) -> Quality:
    """Compare as :func:`compare_labels`, without ever painting a whole plane."""
    if true.shape != predicted.shape:
        raise ImageError(
            f"The label images have shapes {true.shape} and {predicted.shape}; only label images "
            "of the same shape can be compared."
        )
    found = match(true, predicted, threshold=0.0)
    partners, ious = dict(found.pairs.tolist()), dict(zip(*_columns(found), strict=True))
    masks = dict(predicted.objects())
    objects = []
    for label_id, mask in true.objects():
        rows, cols = mask.region
        partner, border_iou = partners.get(label_id, 0), 0.0
        if partner:
            width = border_px or _border_px(mask.height, mask.width)
            border_iou = _border_iou(mask, masks[partner], width)
        box = rows.start, cols.start, rows.stop - 1, cols.stop - 1
        value = ious.get(label_id, 0.0)
        objects.append(ObjectQuality(label_id, partner, value, border_iou, mask.area, box))
    return Quality(tuple(objects), len(masks))


def _columns(found: Match) -> tuple[list[int], list[float]]:
    return found.pairs[:, 0].tolist(), found.ious.tolist()


def _border_iou(first: CroppedMask, second: CroppedMask, width: int) -> float:
    """Compare the borders of two masks; of very large ones, at every so manieth pixel."""
    rows, cols = _both(first.region, second.region)
    corner, size = (rows.start, cols.start), (rows.stop - rows.start, cols.stop - cols.start)
    step = max(1, math.isqrt(size[0] * size[1] // _MOST_PAINTED_PX))
    parts = (one.cut(size, corner, step) for one in (first, second))
    coarse = -(-size[0] // step), -(-size[1] // step)
    return iou(*(boundary(part.within(coarse), max(1, width // step)) for part in parts))


def _places(labels: NDArray[Any]) -> dict[int, tuple[slice, slice]]:
    """Find the box of each label id. Ids may be large and few, so they are numbered anew first."""
    from scipy import ndimage

    ids = np.unique(labels)
    found = ndimage.find_objects(np.searchsorted(ids, labels) + int(0 not in ids))
    return dict(zip(ids[ids != 0].tolist(), found, strict=True))


def _border_px(height: int, width: int) -> int:
    """Give the width of the border that suits an object of this size."""
    around = (n + 2 * max(_LEAST_MARGIN_PX, round(_MARGIN_SHARE * n)) for n in (height, width))
    return max(1, round(_BORDER_SHARE * math.hypot(*around)))


def _both(first: Sequence[slice], second: Sequence[slice]) -> tuple[slice, slice]:
    """Give the smallest window that holds both."""
    rows, cols = (
        slice(min(a.start, b.start), max(a.stop, b.stop))
        for a, b in zip(first, second, strict=True)
    )
    return rows, cols


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
