"""Motion of objects from one plane to the next: of all together, and of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import fft
from scipy.spatial import cKDTree

from napari_samhq.tracking.pairing import best_pairs
from napari_samhq.tracking.planes import overlaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_samhq.tracking.planes import Objects

__all__ = ["common_shift", "local_shifts"]

_NEIGHBOURS = 5
_LEAST_GAIN = 1.05  # of the pixels in common, that a shift of the whole plane must bring
_LEAST_IOU = 0.2
_SIDE_PX = 256  # planes are looked at in this size for a shift of all


def common_shift(first: Objects, second: Objects) -> NDArray[np.float64]:
    """Find the shift of a whole plane after which most of it lies over the next one.

    Returns
    -------
    ndarray of shape (ndim,)
        Pixels, zeros where no shift is clearly better than none.
    """
    ndim = len(first.shape)
    if not len(first) or not len(second):
        return np.zeros(ndim)
    step = max(1, -(-max(first.shape[-2:]) // _SIDE_PX))
    cut = tuple(slice(None, None, step if axis >= ndim - 2 else 1) for axis in range(ndim))
    one, other = (
        (plane.index.reshape(plane.shape)[cut] > 0).astype(np.float32) for plane in (first, second)
    )
    far = 2 * float(np.median(np.concatenate([first.radii, second.radii])))
    shape = [length + int(far) // step + 1 for length in one.shape]
    product = fft.rfftn(other, shape) * np.conj(fft.rfftn(one, shape))
    shared = fft.irfftn(product, shape)
    steps = np.meshgrid(*[np.fft.fftfreq(n, 1 / n) for n in shape], indexing="ij")
    scale = [step if axis >= ndim - 2 else 1 for axis in range(ndim)]
    length = np.sqrt(sum((s * by) ** 2 for s, by in zip(steps, scale, strict=True)))
    shared[length > far] = -1
    best = np.unravel_index(int(shared.argmax()), shared.shape)
    if shared[best] < _LEAST_GAIN * shared[(0,) * ndim]:
        return np.zeros(ndim)
    return np.array([float(s[best]) * by for s, by in zip(steps, scale, strict=True)])


def local_shifts(first: Objects, second: Objects, rounds: int = 2) -> NDArray[np.float64]:
    """Find how far each object of a plane has moved, as its neighbours tell.

    Objects are paired, and each takes the median of how far those around it went; then again, from
    there.

    Returns
    -------
    ndarray of shape (n, ndim)
        Pixels.
    """
    shifts = np.tile(common_shift(first, second), (len(first), 1))
    if len(first) < _NEIGHBOURS or len(second) < _NEIGHBOURS:
        return shifts
    for _ in range(rounds):
        pairs = overlaps(first, second, shifts)
        chosen = best_pairs(pairs.before, pairs.after, pairs.ious - _LEAST_IOU)
        rows, cols = pairs.before[chosen], pairs.after[chosen]
        if len(rows) < _NEIGHBOURS:
            return shifts
        moved = second.centres[cols] - first.centres[rows]
        _, near = cKDTree(first.centres[rows]).query(first.centres, k=_NEIGHBOURS)
        shifts = np.median(moved[near], axis=1)
    return shifts
