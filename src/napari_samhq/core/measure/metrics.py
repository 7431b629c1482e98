"""Agreement of masks: IoU, boundary IoU, and matching of label images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.labels.run_labels import RunLabels, overlaps
from napari_samhq.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Match", "boundary", "boundary_iou", "iou", "iou_matrix", "match"]


def _two_masks(first: ArrayLike, second: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if a.shape != b.shape:
        raise ImageError(
            f"The masks have shapes {a.shape} and {b.shape}; only masks of the same shape can be "
            "compared. Crop or resize one of them first."
        )
    return a, b


def _two_label_images(
    first: ArrayLike, second: ArrayLike
) -> tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]]:
    a, b = np.asarray(first), np.asarray(second)
    if a.shape != b.shape:
        raise ImageError(
            f"The label images have shapes {a.shape} and {b.shape}; only label images of the same "
            "shape can be compared."
        )
    for ids in (a, b):
        if ids.dtype.kind not in "iu" or ids.min(initial=0) < 0:
            raise ImageError(
                f"Label images hold integers from 0 on; this one has the type {ids.dtype}"
                f"{', with negative values' if ids.dtype.kind == 'i' else ''}."
            )
    return a, b


def iou(first: ArrayLike, second: ArrayLike) -> float:
    """Return the area in common divided by the area of both together.

    Parameters
    ----------
    first, second : array_like
        Masks of the same shape; everything but zero belongs to the mask.

    Returns
    -------
    float
        0 to 1; 1 for two empty masks.

    Raises
    ------
    ImageError
        If the shapes differ.

    Examples
    --------
    >>> iou([[1, 1, 0]], [[0, 1, 1]])
    0.3333333333333333
    """
    a, b = _two_masks(first, second)
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 1.0


def boundary(mask: ArrayLike, width: int) -> NDArray[np.bool_]:
    """Return the pixels of a mask within `width` pixels of its border.

    The distance is that of a king on a chessboard; what lies outside of the image counts as
    background, so an object cut by the image's edge has a border there.

    Parameters
    ----------
    mask : array_like of shape (H, W)
    width : int
        Pixels, at least 1.

    Returns
    -------
    ndarray of shape (H, W), bool

    Examples
    --------
    >>> boundary(np.ones((3, 3)), 1).astype(int)
    array([[1, 1, 1],
           [1, 0, 1],
           [1, 1, 1]])
    """
    inside = np.asarray(mask, dtype=bool)
    out = inside.copy()
    rows, cols = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not len(rows):
        return out
    where = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
    side = 2 * width + 1
    eroded = np.pad(inside[where], width)
    for axis in (0, 1):  # a pixel stays if all of its (side x side) neighbours belong to the mask
        total = np.cumsum(eroded, axis=axis, dtype=np.int64)
        total = np.insert(total, 0, 0, axis=axis)
        high = np.take(total, range(side, total.shape[axis]), axis=axis)
        low = np.take(total, range(total.shape[axis] - side), axis=axis)
        eroded = (high - low) == side
    out[where] &= ~eroded
    return out


def boundary_iou(first: ArrayLike, second: ArrayLike, *, dilation: float = 0.02) -> float:
    """Return the IoU of the two masks' borders, which judges outlines of large objects strictly.

    Parameters
    ----------
    first, second : array_like of shape (H, W)
    dilation : float
        Width of the border as a fraction of the image's diagonal; at least one pixel is taken.

    Returns
    -------
    float
        0 to 1; 1 for two empty masks. For objects narrower than two border widths it equals the
        plain IoU.

    Raises
    ------
    ImageError
        If the shapes differ.

    References
    ----------
    Cheng, Girshick, Dollár, Berg, Kirillov: Boundary IoU: Improving object-centric image
    segmentation evaluation. CVPR 2021.

    Examples
    --------
    >>> boundary_iou(np.eye(8), np.eye(8))
    1.0
    """
    a, b = _two_masks(first, second)
    width = max(1, round(dilation * float(np.hypot(*a.shape))))
    return iou(boundary(a, width), boundary(b, width))


def iou_matrix(
    first: ArrayLike, second: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the IoU of every object of one label image with every object of another.

    Parameters
    ----------
    first, second : array_like of integers
        Label images of the same shape; 0 is background.

    Returns
    -------
    ious : ndarray of shape (n, m)
    first_ids, second_ids : ndarray of shape (n,) and (m,)
        The label ids that rows and columns stand for.

    Raises
    ------
    ImageError
        If the shapes differ.
    """
    a, b = _two_label_images(first, second)
    ids_a, at_a = np.unique(a, return_inverse=True)
    ids_b, at_b = np.unique(b, return_inverse=True)
    pairs = at_a.ravel().astype(np.int64) * len(ids_b) + at_b.ravel()
    common = np.bincount(pairs, minlength=len(ids_a) * len(ids_b)).reshape(len(ids_a), len(ids_b))
    union = common.sum(1)[:, None] + common.sum(0)[None, :] - common
    ious = common / np.maximum(union, 1)
    keep_a, keep_b = ids_a != 0, ids_b != 0
    return ious[keep_a][:, keep_b], ids_a[keep_a].astype(np.int64), ids_b[keep_b].astype(np.int64)


@dataclass(frozen=True, eq=False)
class Match:
    """Objects of a predicted label image paired with those of the true one.

    Attributes
    ----------
    pairs : ndarray of shape (k, 2)
        Label ids (true, predicted) of objects that were found.
    ious : ndarray of shape (k,)
        IoU of each pair.
    missed, extra : ndarray
        True label ids without, and predicted label ids without, a partner.
    """

    pairs: NDArray[np.int64]
    ious: NDArray[np.float64]
    missed: NDArray[np.int64]
    extra: NDArray[np.int64]

    @property
    def precision(self) -> float:
        """Share of predicted objects that are true; 1 if nothing was predicted."""
        total = len(self.pairs) + len(self.extra)
        return len(self.pairs) / total if total else 1.0

    @property
    def recall(self) -> float:
        """Share of true objects that were found; 1 if there are none."""
        total = len(self.pairs) + len(self.missed)
        return len(self.pairs) / total if total else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = 2 * len(self.pairs) + len(self.missed) + len(self.extra)
        return 2 * len(self.pairs) / total if total else 1.0


def match(
    true: ArrayLike | RunLabels, predicted: ArrayLike | RunLabels, *, threshold: float = 0.5
) -> Match:
    """Pair the objects of two label images, each with at most one of the other.

    Pairs are taken in the order of falling IoU while it exceeds the threshold. From a threshold of
    0.5 on no object can have two partners, so the pairing is the only possible one.

    Parameters
    ----------
    true, predicted : array_like of integers; or RunLabels, both of them
        Label images of the same shape; 0 is background.
    threshold : float
        IoU that a pair must exceed.

    Returns
    -------
    Match

    Raises
    ------
    ImageError
        If the shapes differ.

    Examples
    --------
    >>> match([[1, 1, 0, 2]], [[7, 7, 0, 0]]).missed.tolist()
    [2]
    """
    rows, cols, ious, true_ids, predicted_ids = _overlaps(true, predicted)
    high = ious > threshold
    rows, cols, ious = rows[high], cols[high], ious[high]
    free_row, free_col = np.ones(len(true_ids), bool), np.ones(len(predicted_ids), bool)
    taken = []
    for index in np.argsort(-ious, kind="stable").tolist():
        row, col = rows[index], cols[index]
        if free_row[row] and free_col[col]:
            free_row[row] = free_col[col] = False
            taken.append(index)
    pairs = np.stack([true_ids[rows[taken]], predicted_ids[cols[taken]]], axis=1)
    return Match(pairs, ious[taken], true_ids[free_row], predicted_ids[free_col])


def _overlaps(
    first: ArrayLike | RunLabels, second: ArrayLike | RunLabels
) -> tuple[NDArray[Any], ...]:
    """Find the objects that share pixels: rows, columns and IoUs of `iou_matrix` that are not 0.

    Of ten thousand objects each has a few neighbours; a whole matrix of them would fill the memory.
    """
    if isinstance(first, RunLabels) and isinstance(second, RunLabels):
        return overlaps(first, second)
    a, b = _two_label_images(np.asarray(first), np.asarray(second))
    ids_a, at_a, areas_a = np.unique(a, return_inverse=True, return_counts=True)
    ids_b, at_b, areas_b = np.unique(b, return_inverse=True, return_counts=True)
    codes = at_a.ravel().astype(np.int64) * len(ids_b) + at_b.ravel()
    pairs, common = np.unique(codes, return_counts=True)
    rows, cols = pairs // max(1, len(ids_b)), pairs % max(1, len(ids_b))
    ious = common / (areas_a[rows] + areas_b[cols] - common)
    # The background is no object; where it is in the list, it is the first.
    rows, cols = rows - np.count_nonzero(ids_a == 0), cols - np.count_nonzero(ids_b == 0)
    both = (rows >= 0) & (cols >= 0)
    ids_a, ids_b = (ids[ids != 0].astype(np.int64) for ids in (ids_a, ids_b))
    return rows[both], cols[both], ious[both], ids_a, ids_b
