"""Outlines as signed distances: carried, moved, tapered, and interpolated between two planes.

Interpolating signed distances between two sections is shape-based interpolation (Raya and Udupa,
IEEE Transactions on Medical Imaging 9, 1990); the sections are laid over each other first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_samhq.core.masks.cropped import CroppedMask

__all__ = [
    "between",
    "centre_of",
    "iou",
    "moved",
    "signed_distance",
    "tapering",
    "window_around",
]

Region = tuple[slice, slice]


def signed_distance(
    mask: NDArray[np.bool_], sampling: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.float32]:
    """Measure how far each pixel is from the border of a mask, positive inside.

    Parameters
    ----------
    mask : ndarray of shape (h, w), bool
        It may reach the edge, beyond which it is taken to end.
    sampling : tuple of two floats, optional
        Height and width of a pixel, in the unit of the result.

    Returns
    -------
    ndarray of shape (h, w), float32

    Examples
    --------
    >>> signed_distance(np.array([[False, True, True, True, False]])).tolist()
    [[-0.5, 0.5, 0.5, 0.5, -0.5]]
    """
    if not mask.any():
        return np.full(mask.shape, -float(sum(mask.shape)), dtype=np.float32)
    padded = np.pad(mask, 1)
    inside = ndimage.distance_transform_edt(padded, sampling=sampling)
    outside = ndimage.distance_transform_edt(~padded, sampling=sampling)
    half = min(sampling) / 2  # the border lies between two pixels
    distance = np.where(padded, inside - half, half - outside)
    result: NDArray[np.float32] = distance[1:-1, 1:-1].astype(np.float32)
    return result


def window_around(mask: CroppedMask, pad: int, shape: tuple[int, int]) -> Region:
    """Rows and columns of a plane around a mask, with so many pixels more on each side."""
    rows, cols = (
        slice(max(0, part.start - pad), min(length, part.stop + pad))
        for part, length in zip(mask.region, shape, strict=True)
    )
    return rows, cols


def moved(distance: NDArray[np.float32], step_rc: tuple[int, int]) -> NDArray[np.float32]:
    """Move a field by whole pixels; what comes in at the edges is what was at the edge."""
    if step_rc == (0, 0):
        return distance
    rows, cols = (
        np.clip(np.arange(length) - step, 0, length - 1)
        for length, step in zip(distance.shape, step_rc, strict=True)
    )
    result: NDArray[np.float32] = distance[rows[:, np.newaxis], cols]
    return result


def tapering(place: float) -> float:
    """How far an object's border has come in at a place on the way to its end.

    Parameters
    ----------
    place : float
        0 at the plane where it was outlined, 1 in the plane after its last one.

    Returns
    -------
    float
        As a share of the largest distance to the border: 0 to 1.
    """
    return place * place


def between(
    first: CroppedMask,
    second: CroppedMask,
    share: float,
    window: Region,
    sampling: tuple[float, float] = (1.0, 1.0),
) -> NDArray[np.float32]:
    """Interpolate two outlines, laid over each other by their centres.

    Parameters
    ----------
    first, second : CroppedMask
        Of two planes.
    share : float
        0 gives the first, 1 the second.
    window : pair of slices
        Rows and columns of the plane that are wanted.
    sampling : tuple of two floats, optional
        As in :func:`signed_distance`.

    Returns
    -------
    ndarray of shape (h, w), float32
        Signed distances.
    """
    way = centre_of(second) - centre_of(first)
    parts = []
    for mask, step in ((first, way * share), (second, way * (share - 1))):
        # Pixels are moved as wholes: a row and column more on each side, then a cut.
        whole = np.rint(step).astype(int)
        start = window[0].start - int(whole[0]), window[1].start - int(whole[1])
        shape = window[0].stop - window[0].start, window[1].stop - window[1].start
        parts.append(signed_distance(mask.within(shape, start), sampling))
    result: NDArray[np.float32] = (1 - share) * parts[0] + share * parts[1]
    return result


def centre_of(mask: CroppedMask) -> NDArray[np.float64]:
    """Row and column of the centre of gravity of a mask that has pixels."""
    rows, first, stop = mask.runs.T
    lengths = stop - first
    middle = (first + stop - 1) / 2
    sums = np.array([(rows * lengths).sum(), (middle * lengths).sum()], dtype=np.float64)
    result: NDArray[np.float64] = sums / lengths.sum()
    return result


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union; 1 for two empty masks."""
    union = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / union) if union else 1.0
