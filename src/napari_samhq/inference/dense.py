"""Objects from the maps of a dense head: seeds, watershed, scores and masks.

Seeds are places that are far from the border and near the middle of an object, as in the automatic
segmentation of Segment Anything for Microscopy (Archit et al., Nature Methods 2025); a watershed
grows them inside of the foreground. Seeds are not where that depth is above a threshold, but where
it has a peak: so touching objects are told apart also where the model is modest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.special import expit

from napari_samhq.inference.enlarging import RIM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_samhq.core.masks.cropped import CroppedMask
    from napari_samhq.core.tiles.grid import Region
    from napari_samhq.inference.enlarging import Enlarger
    from napari_samhq.inference.object_maps import ObjectMaps

__all__ = ["BLUR_RADIUS", "DenseObjects", "find_objects"]

BLUR_RADIUS = 3
"""Places of the maps that what is found in one depends on, at most, beside the object itself."""

_BLUR = 1.0  # standard deviation, places of the maps
_PROMINENCE = 0.15  # a peak of less is part of a higher one
_LEAST_PEAK = 0.2
_ROUNDING = 1e-5
_LARGEST_LOGIT = 6.0  # keeps borders between two objects in the middle of two places


@dataclass(frozen=True, eq=False)
class DenseObjects:
    """Objects on the grid of the maps that they were found in.

    Attributes
    ----------
    maps : ObjectMaps
    labels : ndarray of shape (h, w), int32
        1 to N; 0 is background.
    depth : ndarray of shape (h, w), float32
        About 1 at the middle of an object, falling to 0 at its border.
    boxes : tuple of pairs of slices
        Rows and columns of each object.
    scores : ndarray of shape (N,)
        How sure each object is, 0 to 1: the mean probability of its places to be foreground, times
        the depth of its middle.
    """

    maps: ObjectMaps
    labels: NDArray[np.int32]
    depth: NDArray[np.float32]
    boxes: tuple[Region, ...]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.boxes)

    def deepest(self, index: int, within: Region | None = None) -> tuple[int, int] | None:
        """Find the deepest place of an object, or of its part in some rows and columns.

        Returns
        -------
        tuple of two ints, or None
            Row and column in the maps; None where the part is empty.
        """
        rows, cols = self.boxes[index]
        if within is not None:
            rows, cols = (
                slice(max(box.start, part.start), max(min(box.stop, part.stop), 0))
                for box, part in zip((rows, cols), within, strict=True)
            )
        mine = self.labels[rows, cols] == index + 1
        if not mine.any():
            return None
        depth = np.where(mine, self.depth[rows, cols], -np.inf)
        row, col = np.unravel_index(int(depth.argmax()), depth.shape)
        return rows.start + int(row), cols.start + int(col)

    def mask(self, index: int, enlarger: Enlarger) -> CroppedMask:
        """Enlarge an object to pixels of the image, without holes.

        The logits of the foreground are enlarged, not the labels, so that borders are smooth;
        between two objects they change sign half-way.
        """
        height, width = self.labels.shape
        rows, cols = (
            slice(max(part.start - RIM, 0), min(part.stop + RIM, length))
            for part, length in zip(self.boxes[index], (height, width), strict=True)
        )
        mine = ndimage.binary_fill_holes(self.labels[rows, cols] == index + 1)
        strength = np.abs(self.maps.foreground[rows, cols]).clip(0.1, _LARGEST_LOGIT)
        return enlarger.mask(np.where(mine, strength, -strength), corner=(rows.start, cols.start))


def find_objects(maps: ObjectMaps) -> DenseObjects:
    """Find all objects in the maps of an image.

    Parameters
    ----------
    maps : ObjectMaps

    Returns
    -------
    DenseObjects
        From the top down.

    Examples
    --------
    >>> from napari_samhq.inference.object_maps import ObjectMaps
    >>> border = np.zeros((9, 16), np.float32)
    >>> border[2:7, 2:7] = border[2:7, 9:14] = 1
    >>> logits = np.where(border > 0, 5, -5).astype(np.float32)
    >>> found = find_objects(ObjectMaps(logits, border, border, np.zeros((2, 9, 16)), 16))
    >>> len(found), found.boxes[1]
    (2, (slice(2, 7, None), slice(9, 14, None)))
    """
    from skimage.segmentation import watershed

    inside = maps.foreground > 0
    depth = (maps.border.clip(0, 1) + maps.middle.clip(0, 1)) / 2
    depth = ndimage.gaussian_filter(depth, _BLUR, radius=BLUR_RADIUS, mode="nearest")
    seeds, count = _peaks(np.where(inside, depth, 0))
    labels = watershed(-depth, seeds, mask=inside).astype(np.int32, copy=False)
    boxes = tuple(box for box in ndimage.find_objects(labels, count) if box is not None)
    assert len(boxes) == count  # each has its seed
    flat = labels.ravel()
    probability = np.bincount(flat, expit(maps.foreground).ravel(), count + 1)[1:]
    areas = np.bincount(flat, minlength=count + 1)[1:]
    peaks = ndimage.maximum(depth, labels, np.arange(1, count + 1)) if count else np.zeros(0)
    scores = probability / np.maximum(areas, 1) * np.minimum(peaks, 1)
    return DenseObjects(maps, labels, depth, boxes, np.asarray(scores, dtype=np.float64))


def _peaks(depth: NDArray[np.float32]) -> tuple[NDArray[np.int32], int]:
    """Label the peaks that rise by enough above the way to a higher one."""
    from skimage.morphology import reconstruction

    lowered = np.maximum(depth - np.float32(_PROMINENCE), 0)
    height = depth - reconstruction(lowered, depth).astype(np.float32)
    domes, count = ndimage.label(height > _ROUNDING)
    numbers = np.arange(1, count + 1)
    if not count:
        return domes, 0
    is_peak = ndimage.maximum(height, domes, numbers) >= _PROMINENCE - _ROUNDING
    is_peak &= ndimage.maximum(depth, domes, numbers) > _LEAST_PEAK
    renamed = np.concatenate([[0], np.where(is_peak, np.cumsum(is_peak), 0)]).astype(np.int32)
    return renamed[domes], int(is_peak.sum())
