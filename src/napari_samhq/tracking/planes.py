"""The objects of one plane or frame, and what two of them that follow each other share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Objects", "Overlaps", "objects_of", "overlaps", "touching"]


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of a plane (H, W), or of a frame that is a volume (Z, H, W).

    Attributes
    ----------
    shape : tuple of int
        Of the plane.
    ids : ndarray of shape (n,), int64
        Label ids in the plane, ascending.
    areas : ndarray of shape (n,)
        Pixels, or voxels.
    centres : ndarray of shape (n, ndim)
        Means of the pixels' coordinates, in pixels.
    brightness : ndarray of shape (n,)
        Mean of the image in each; 0 where there is no image.
    pixels : ndarray of shape (p,), int64
        Flat places of all pixels that belong to objects.
    owners : ndarray of shape (p,), int64
        For each of them which object it belongs to, 0 to n - 1.
    at_edge : ndarray of shape (n,), bool
        Whether an object touches the edge of the plane.
    """

    shape: tuple[int, ...]
    ids: NDArray[np.int64]
    areas: NDArray[np.float64]
    centres: NDArray[np.float64]
    brightness: NDArray[np.float64]
    pixels: NDArray[np.int64]
    owners: NDArray[np.int64]
    at_edge: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def coordinates(self) -> tuple[NDArray[np.intp], ...]:
        """Coordinates of `pixels`, an array for each axis."""
        return np.unravel_index(self.pixels, self.shape)

    @cached_property
    def index(self) -> NDArray[np.int32]:
        """The plane, flat, with 1 to n in place of the label ids."""
        flat = np.zeros(int(np.prod(self.shape)), dtype=np.int32)
        flat[self.pixels] = self.owners + 1
        return flat

    @property
    def radii(self) -> NDArray[np.float64]:
        """Radii of discs, or balls, as large as the objects."""
        if len(self.shape) == 2:
            return np.sqrt(self.areas / np.pi)
        return np.cbrt(self.areas * (0.75 / np.pi))


def objects_of(labels: NDArray[Any], image: NDArray[Any] | None = None) -> Objects:
    """Measure the objects of a plane.

    Parameters
    ----------
    labels : ndarray of shape (H, W) or (Z, H, W), int
    image : ndarray of the same shape, optional
        Of one channel.
    """
    flat = labels.ravel()
    pixels = np.flatnonzero(flat)
    ids, owners = np.unique(flat[pixels], return_inverse=True)
    count = len(ids)
    areas = np.bincount(owners, minlength=count).astype(np.float64)
    places = np.unravel_index(pixels, labels.shape)
    sums = [np.bincount(owners, weights=place, minlength=count) for place in places]
    centres = np.stack(sums, axis=1) / np.maximum(areas, 1)[:, None]
    brightness = np.zeros(count)
    if image is not None:
        values = image.ravel()[pixels].astype(np.float64)
        brightness = np.bincount(owners, weights=values, minlength=count) / np.maximum(areas, 1)
    on_edge = np.zeros(len(pixels), dtype=bool)
    for place, length in zip(places[-2:], labels.shape[-2:], strict=True):
        on_edge |= (place == 0) | (place == length - 1)
    at_edge = np.zeros(count, dtype=bool)
    at_edge[owners[on_edge]] = True
    return Objects(
        labels.shape, ids.astype(np.int64), areas, centres, brightness, pixels, owners, at_edge
    )


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Pairs of objects, one of each of two planes, that share pixels.

    Attributes
    ----------
    before, after : ndarray of shape (k,), int64
        Which object of either plane, by its place in the list.
    shared : ndarray of shape (k,)
        Pixels in common.
    areas : pair of ndarray
        Of the objects of both planes.
    """

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    shared: NDArray[np.float64]
    areas: tuple[NDArray[np.float64], NDArray[np.float64]]

    @property
    def ious(self) -> NDArray[np.float64]:
        """Intersection over union of each pair."""
        first, second = self.areas
        return self.shared / (first[self.before] + second[self.after] - self.shared)

    @property
    def contained(self) -> NDArray[np.float64]:
        """The share of the smaller one of a pair that the other one covers."""
        first, second = self.areas
        return self.shared / np.minimum(first[self.before], second[self.after])


def overlaps(first: Objects, second: Objects, moved: NDArray[np.float64] | None = None) -> Overlaps:
    """Find the pairs of objects of two planes that lie over each other.

    Parameters
    ----------
    first, second : Objects
        Of planes of one shape.
    moved : ndarray of shape (n, ndim), optional
        How far each object of the first plane is moved before, in pixels.
    """
    pixels, owners = first.pixels, first.owners
    if moved is not None:
        steps = np.rint(moved).astype(np.int64)
        places = [at + steps[owners, axis] for axis, at in enumerate(first.coordinates)]
        inside = np.ones(len(pixels), dtype=bool)
        for place, length in zip(places, first.shape, strict=True):
            inside &= (place >= 0) & (place < length)
        owners = owners[inside]
        pixels = np.ravel_multi_index([place[inside] for place in places], first.shape)
    below = second.index[pixels]
    hit = below > 0
    codes = owners[hit] * np.int64(max(1, len(second))) + (below[hit] - 1)
    pairs, shared = np.unique(codes, return_counts=True)
    before, after = np.divmod(pairs, max(1, len(second)))
    return Overlaps(before, after, shared.astype(np.float64), (first.areas, second.areas))


def touching(objects: Objects) -> dict[tuple[int, int], int]:
    """Count the edges between pixels of two objects of one plane, by their places in the list."""
    index = objects.index.reshape(objects.shape)
    counts: dict[tuple[int, int], int] = {}
    for axis in range(index.ndim):
        one = np.take(index, range(index.shape[axis] - 1), axis=axis)
        other = np.take(index, range(1, index.shape[axis]), axis=axis)
        meet = (one != other) & (one > 0) & (other > 0)
        low = np.minimum(one[meet], other[meet]).astype(np.int64) - 1
        high = np.maximum(one[meet], other[meet]).astype(np.int64) - 1
        codes, many = np.unique(low * len(objects) + high, return_counts=True)
        for code, count in zip(codes.tolist(), many.tolist(), strict=True):
            pair = divmod(code, len(objects))
            counts[pair] = counts.get(pair, 0) + count
    return counts
