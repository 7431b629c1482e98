"""Levels of a pyramid that show the same plane, and regions of them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.images.rgb8 import check_image
from napari_samhq.core.util.notes import note
from napari_samhq.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

Region = tuple[slice, slice]
"""Rows and columns."""


@dataclass(frozen=True)
class Level:
    """One resolution of an image.

    Attributes
    ----------
    shape : tuple of two ints
        Height and width in pixels of this level.
    factors : tuple of two floats
        How many pixels of the full resolution one pixel spans, down and across: the rows from
        ``i * factor`` to ``(i + 1) * factor`` became row i.
    """

    shape: tuple[int, int]
    factors: tuple[float, float]


def as_levels(data: Any) -> list[Any]:
    """Tell an image from a pyramid, and check that the latter's levels belong together."""
    if hasattr(data, "shape") and hasattr(data, "dtype"):
        return [data]
    try:
        levels = list(data)
        if not levels or any(len(getattr(level, "shape", ())) < 2 for level in levels):
            levels = [np.asarray(data)]
    except (TypeError, ValueError) as error:
        raise ImageError(
            f"The image is a {type(data).__name__} that makes no array ({error}); needed is an "
            "array, or a list of arrays, full resolution first."
        ) from error
    first = levels[0]
    for level in levels[1:]:
        if len(level.shape) != len(first.shape) or level.dtype != first.dtype:
            raise ImageError(
                f"The levels are {first.dtype} of the shape {tuple(first.shape)} and {level.dtype} "
                f"of the shape {tuple(level.shape)}; needed is one type, and as many axes in all."
            )
    return levels


def plane_in(array: Any, plane: Plane, full: Any) -> Plane:
    """Find a plane of the full resolution in a level, which may be coarser along other axes too."""
    for axis, index in zip(plane.other_axes, plane.position, strict=True):
        if not 0 <= index < full.shape[axis]:
            raise ImageError(f"The image of the shape {tuple(full.shape)} has no plane '{plane}'.")
    position = [
        min(index * array.shape[axis] // full.shape[axis], array.shape[axis] - 1)
        for axis, index in zip(plane.other_axes, plane.position, strict=True)
    ]
    return Plane(plane.axes, tuple(position))


def checked_channels(arrays: Sequence[Any], plane: Plane) -> int | None:
    """Find how many channels there are; None without an axis for them. Refuse what is no image."""
    shapes = []
    for array in arrays:
        if not plane.ndim <= len(array.shape) <= plane.ndim + 1:
            raise ImageError(
                f"The image has the shape {tuple(array.shape)}, and a plane of {plane.ndim} axes "
                "is to be cut out of it; needed are as many axes, and at most one more, for "
                "colour. Pick a plane first, for example image[0]."
            )
        spanned = [array.shape[axis] for axis in plane.axes]
        shapes.append((*spanned, *array.shape[plane.ndim :]))
        check_image(shapes[-1], np.dtype(array.dtype))
    if len(shapes[0]) == 2:
        return None
    channels = int(shapes[0][2])
    if any(shape[2] != channels for shape in shapes):
        raise ImageError("The levels differ in their number of channels, the last axis.")
    if channels == 4:
        note(
            "The image has four channels; the fourth was taken for alpha and dropped.",
            stacklevel=4,
        )
    return channels


def checked_levels(arrays: Sequence[Any], planes: Sequence[Plane]) -> tuple[Level, ...]:
    """Measure how the levels relate."""
    shapes = []
    for array, plane in zip(arrays, planes, strict=True):
        rows, cols = plane.axes
        shapes.append((int(array.shape[rows]), int(array.shape[cols])))
    for finer, coarser in itertools.pairwise(shapes):
        if coarser[0] > finer[0] or coarser[1] > finer[1]:
            raise ImageError(
                f"The levels have the shapes {', '.join(map(str, shapes))}; needed is the full "
                "resolution first, and each level no larger than the one before."
            )
    height, width = shapes[0]
    return tuple(
        Level((rows, cols), (factor_between(height, rows), factor_between(width, cols)))
        for rows, cols in shapes
    )


def factor_between(full: int, coarse: int) -> float:
    """Find the factor that made `coarse` pixels of `full`: whole wherever a whole one explains it.

    Examples
    --------
    >>> factor_between(1001, 500), factor_between(1001, 501), factor_between(1000, 400)
    (2.0, 2.0, 2.5)
    """
    whole = round(full / coarse)
    if coarse in (full // whole, -(-full // whole)):
        return float(whole)
    return full / coarse


def checked_region(region: Region, shape: tuple[int, int]) -> Region:
    """Give starts and stops to a region, and refuse what reaches past the image."""
    checked = []
    for part, length in zip(region, shape, strict=True):
        start = 0 if part.start is None else int(part.start)
        stop = length if part.stop is None else int(part.stop)
        if part.step not in (None, 1) or not 0 <= start < stop <= length:
            rows, cols = region
            raise ImageError(
                f"The region of rows {rows.start} to {rows.stop} and columns {cols.start} to "
                f"{cols.stop} is no part of an image of {shape[0]} x {shape[1]} pixels."
            )
        checked.append(slice(start, stop))
    return checked[0], checked[1]


def shrunk(part: slice, factor: float, length: int) -> slice:
    """Name the pixels of a coarser axis of this length that cover a part of the full one."""
    start = min(int(part.start / factor), length - 1)
    return slice(start, min(max(start + 1, math.ceil(part.stop / factor)), length))
