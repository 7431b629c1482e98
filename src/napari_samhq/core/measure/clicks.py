"""Places of clicks by a careful user: middle of an object, middle of the largest error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["deepest_point", "next_click"]


def deepest_point(region: NDArray[np.bool_]) -> tuple[int, int]:
    """Find the pixel farthest from the border of a region.

    Parameters
    ----------
    region : ndarray of shape (H, W), bool
        Beyond the array the region has ended.

    Returns
    -------
    tuple of two ints
        Row and column; (0, 0) where the region has no pixel.

    Examples
    --------
    >>> deepest_point(np.ones((5, 7), bool))
    (2, 2)
    """
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    row, col = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return int(row), int(col)


def next_click(
    mask: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> tuple[tuple[int, int], int] | None:
    """Find the next corrective click: the deepest point of the largest wrong piece.

    Parameters
    ----------
    mask, truth : ndarray of shape (H, W), bool
        The answer so far, and what it should be.

    Returns
    -------
    point : tuple of two ints
        Row and column.
    label : int
        1 where the object was missed, 0 where the mask is too large.

    None in their place if all is right.

    Examples
    --------
    >>> truth = np.zeros((5, 5), bool)
    >>> truth[1:4, 1:4] = True
    >>> next_click(np.zeros((5, 5), bool), truth)
    ((2, 2), 1)
    """
    from scipy import ndimage

    wrong = mask ^ truth
    rows, cols = np.flatnonzero(wrong.any(1)), np.flatnonzero(wrong.any(0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(cols[0])
    window = wrong[top : rows[-1] + 1, left : cols[-1] + 1]
    pieces, _ = ndimage.label(window)
    largest = int(np.argmax(np.bincount(pieces.ravel())[1:])) + 1
    row, col = deepest_point(pieces == largest)
    return (row + top, col + left), int(truth[row + top, col + left])
