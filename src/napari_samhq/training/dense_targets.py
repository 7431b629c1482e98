"""Targets of the dense head, made from label images: distances to border and middle, direction.

As `model/dense_head.py` names them, on the low-res grid (a cell covers 2 x 2 px of a crop).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["dense_targets", "innermost", "is_inner"]

_CUT_WEIGHT = 0.2  # of an object that goes on beyond the crop: its middle is not known


def is_inner(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Tell which pixels (h, w) have four neighbours of their own label, background left out."""
    inner: NDArray[np.bool_] = labels > 0
    for axis in (0, 1):
        same = np.take(labels, range(1, labels.shape[axis]), axis) == np.take(
            labels, range(labels.shape[axis] - 1), axis
        )
        first = (slice(None),) * axis
        inner[(*first, slice(1, None))] &= same
        inner[(*first, slice(None, -1))] &= same
    return inner


def innermost(
    labels: NDArray[np.integer], depth: NDArray[np.floating]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Find the deepest place of each label.

    Parameters
    ----------
    labels : (h, w) int
    depth : (h, w) float

    Returns
    -------
    places_rc : (N + 1, 2)
        By label; (0, 0) for labels that are not there.
    deepest : (N + 1,)
        Depth there; 1 for labels that are not there.
    """
    count = int(labels.max(initial=0)) + 1
    order = np.lexsort((depth.ravel(), labels.ravel()))  # the last of each label is its deepest
    sorted_labels = labels.ravel()[order]
    last = np.flatnonzero(np.append(sorted_labels[1:] != sorted_labels[:-1], True))
    places = np.zeros((count, 2), np.intp)
    deepest = np.ones(count, np.float32)
    ids, where = sorted_labels[last], order[last]
    places[ids] = np.column_stack(np.unravel_index(where, labels.shape))
    deepest[ids] = np.maximum(depth.ravel()[where], 1e-3)
    return places, deepest


def dense_targets(labels: NDArray[np.integer]) -> NDArray[np.float16]:
    """Make the targets of a label crop.

    Parameters
    ----------
    labels : (c, c) int
        0 background, 1..N objects.

    Returns
    -------
    (5, c / 2, c / 2) float16
        Distance to the object's border and nearness of its innermost place, both 0 to 1; row and
        column of the unit vector to that place; weight, less for objects that the crop cuts.

    Examples
    --------
    >>> labels = np.zeros((32, 32), int)
    >>> labels[8:24, 8:24] = 1
    >>> border, middle, *_ = dense_targets(labels)
    >>> bool(border[8, 8] > 0.9 and middle[8, 8] > 0.9 and border[4, 4] < 0.3)
    True
    """
    small = np.ascontiguousarray(labels[::2, ::2]).astype(np.int32)
    targets = np.zeros((5, *small.shape), np.float16)
    targets[4] = 1
    if not small.any():
        return targets
    depth = ndimage.distance_transform_edt(is_inner(small)).astype(np.float32) + 0.5
    depth[small == 0] = 0
    places, deepest = innermost(small, depth)
    towards = [
        places[:, axis].astype(np.float32)[small] - steps
        for axis, steps in enumerate(np.ogrid[: small.shape[0], : small.shape[1]])
    ]
    away = np.hypot(*towards)
    away[small == 0] = 0
    _, farthest = innermost(small, away)
    inside = small > 0
    targets[0] = np.where(inside, depth / deepest[small], 0)
    targets[1] = np.where(inside, 1 - away / np.maximum(farthest, 1)[small], 0)
    for axis in (0, 1):
        targets[2 + axis] = np.where(inside, towards[axis] / np.maximum(away, 1), 0)
    cut = np.unique(np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]]))
    is_cut = np.zeros(int(small.max()) + 1, bool)
    is_cut[cut[cut > 0]] = True
    targets[4] = np.where(is_cut[small], _CUT_WEIGHT, 1)
    return targets
