"""Outlines as masks of any size, filled only where they are read."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.masks.outlines import fill_polygon

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from napari_samhq.core.prompts.prompt import Prompt

__all__ = ["BothMasks", "OutlineMask", "lies_within", "may_lie_within"]


class OutlineMask:
    """The pixels inside of an outline: an array of bool that is filled where it is cut.

    Memory is that of the outline and of the cut, whatever the size of the image.

    Parameters
    ----------
    outline : shapely Polygon or MultiPolygon
        x and y in pixels from the outer corner of the first pixel.
    shape : tuple of two ints
        Height and width of the image in pixels.

    Attributes
    ----------
    shape : tuple of two ints
    dtype : numpy.dtype
        bool
    fingerprint : str
        Name of its content.

    Examples
    --------
    >>> import shapely
    >>> mask = OutlineMask(shapely.box(1, 1, 60_000, 3), (60_000, 60_000))
    >>> mask[0:4, 0:3].astype(int).tolist()
    [[0, 0, 0], [0, 1, 1], [0, 1, 1], [0, 0, 0]]
    """

    ndim = 2
    dtype = np.dtype(bool)

    def __init__(self, outline: BaseGeometry, shape: tuple[int, int]) -> None:
        import shapely

        self.shape = (int(shape[0]), int(shape[1]))
        self._outline = outline if outline.is_valid else shapely.make_valid(outline)
        shapely.prepare(self._outline)
        about = f"{self.shape}".encode() + self._outline.wkb
        self.fingerprint = hashlib.sha256(about).hexdigest()[:32]

    def __getitem__(self, region: tuple[slice, slice]) -> NDArray[np.bool_]:
        """Fill the part in a region, (h, w) bool."""
        import shapely

        rows, cols = (
            slice(*part.indices(length)[:2])
            for part, length in zip(region, self.shape, strict=True)
        )
        size = (max(rows.stop - rows.start, 0), max(cols.stop - cols.start, 0))
        window = shapely.box(cols.start, rows.start, cols.stop, rows.stop)
        if 0 in size or not self._outline.intersects(window):
            return np.zeros(size, dtype=bool)
        if self._outline.covers(window):
            return np.ones(size, dtype=bool)
        # Cut to the window first: what is far from it costs nothing then.
        part = shapely.clip_by_rect(
            self._outline, cols.start - 1, rows.start - 1, cols.stop + 1, rows.stop + 1
        )
        moved: Any = shapely.transform(part, lambda xy: xy - (cols.start, rows.start))
        return fill_polygon(moved, size).within(size)

    def __reduce__(self) -> Any:
        return OutlineMask, (self._outline, self.shape)


class BothMasks:
    """What two masks of the same image have in common, of which only what is cut is read."""

    def __init__(self, first: Any, second: Any) -> None:
        self._masks = first, second
        self.shape: tuple[int, ...] = tuple(first.shape)

    def __getitem__(self, region: tuple[slice, slice]) -> NDArray[np.bool_]:
        """Read both in a region."""
        first, second = (np.asarray(mask[region]) != 0 for mask in self._masks)
        both: NDArray[np.bool_] = first & second
        return both


def lies_within(mask: NDArray[np.bool_], region: tuple[slice, slice], within: Any) -> bool:
    """Tell whether all pixels of an object lie inside of a mask of the image.

    Parameters
    ----------
    mask : ndarray of shape (h, w), bool
        The object, in its region.
    region : pair of slices
        Rows and columns of the image.
    within : array of shape (H, W)
        0 outside. Only the region of it is read.

    Examples
    --------
    >>> left_half = np.array([[1, 1, 0, 0]])
    >>> lies_within(np.array([[True, True]]), (slice(0, 1), slice(1, 3)), left_half)
    False
    """
    return not bool((mask & (np.asarray(within[region]) == 0)).any())


def may_lie_within(prompt: Prompt, within: Any) -> bool:
    """Tell whether what a prompt means can lie inside of a mask of the image.

    Its points on the object must, and so must some of its box.

    Parameters
    ----------
    prompt : Prompt
    within : array of shape (H, W)
        0 outside.
    """
    boxes = []
    if prompt.points is not None and prompt.point_labels is not None:
        boxes += [(*point, *point) for point in prompt.points[prompt.point_labels == 1].tolist()]
    if prompt.box is not None:
        boxes.append(tuple(prompt.box.tolist()))
    for top, left, bottom, right in boxes:
        rows, cols = (
            slice(min(max(int(np.floor(low + 0.5)), 0), length - 1), int(np.floor(high + 0.5)) + 1)
            for low, high, length in zip((top, left), (bottom, right), within.shape, strict=True)
        )
        if not np.asarray(within[rows, cols]).any():
            return False
    return True
