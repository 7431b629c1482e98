"""Tile grid of a plane: write regions and halos.

Each pixel belongs to the *write region* of exactly one tile. A tile reads more than it writes, its
*read region*, so that an object at its edge is seen whole. Tiles of the next coarser grid are twice
as large in both respects: what is too large for one grid is whole in one of the next.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from napari_samhq.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Region", "Tile", "TileGrid", "intersection", "touches_inner_border"]

#: Rows and columns of a plane, as two slices with start and stop.
Region: TypeAlias = tuple[slice, slice]


def intersection(first: Region, second: Region) -> Region | None:
    """Return what two regions have in common; None where that is no pixel.

    Examples
    --------
    >>> intersection((slice(0, 4), slice(0, 4)), (slice(2, 9), slice(3, 5)))
    (slice(2, 4, None), slice(3, 4, None))
    """
    (a, b), (c, d) = first, second
    rows = slice(max(a.start, c.start), min(a.stop, c.stop))
    cols = slice(max(b.start, d.start), min(b.stop, d.stop))
    return (rows, cols) if rows.start < rows.stop and cols.start < cols.stop else None


def touches_inner_border(
    region: Region, window: Region, image_shape: tuple[int, int], margin_px: int = 0
) -> bool:
    """Tell whether a bounding box reaches an edge of a window that is no edge of the image.

    Parameters
    ----------
    region : pair of slices
        The bounding box, in or across the window.
    window : pair of slices
        What was seen of the image.
    image_shape : tuple of two ints
        Height and width of the image in pixels.
    margin_px : int, optional
        How close to the edge counts as reaching it.

    Returns
    -------
    bool
        True if what fills the box may go on beyond what was seen.

    Examples
    --------
    >>> window = (slice(0, 8), slice(4, 12))
    >>> touches_inner_border((slice(0, 3), slice(5, 7)), window, (20, 20))
    False
    >>> touches_inner_border((slice(2, 3), slice(4, 7)), window, (20, 20))
    True
    """
    return any(
        (part.start <= seen.start + margin_px and seen.start > 0)
        or (part.stop >= seen.stop - margin_px and seen.stop < length)
        for part, seen, length in zip(region, window, image_shape, strict=True)
    )


@dataclass(frozen=True)
class Tile:
    """A piece of work on a plane.

    Attributes
    ----------
    index : int
        Place in the grid, row by row.
    write : pair of slices
        The pixels that belong to this tile and to no other.
    read : pair of slices
        The pixels to look at; they include all that are written.
    """

    index: int
    write: Region
    read: Region


@dataclass(frozen=True)
class TileGrid:
    """Tiles over a region of an image, computed one by one when they are asked for.

    Attributes
    ----------
    image_shape : tuple of two ints
        Height and width of the image in pixels.
    area : pair of slices
        The region of the image that the write regions cover.
    tile_px : int
        Side of a write region in pixels.
    halo_px : int
        How far beyond it a tile reads at least, where the image goes on. All read regions of a
        grid have the same size: at the image's edge they move inwards instead of getting smaller,
        so that the model sees each at the same scale.
    origin_rc : tuple of two ints
        A corner of the grid; the write regions repeat from there.

    Raises
    ------
    ImageError
        If a size is not positive, or the area is empty or reaches past the image.

    Examples
    --------
    >>> grid = TileGrid.over((100, 150), tile_px=64, halo_px=8)
    >>> len(grid), grid[5].write, grid[5].read
    (6, (slice(64, 100, None), slice(128, 150, None)), (slice(20, 100, None), slice(70, 150, None)))
    """

    image_shape: tuple[int, int]
    area: Region
    tile_px: int
    halo_px: int
    origin_rc: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if self.tile_px < 1 or self.halo_px < 0:
            raise ImageError(
                f"Tiles of {self.tile_px} px with a halo of {self.halo_px} px cannot be made. "
                "A tile has at least one pixel, a halo none or more."
            )
        for part, length in zip(self.area, self.image_shape, strict=True):
            if not 0 <= part.start < part.stop <= length:
                raise ImageError(
                    f"The region {self.area} has no pixel, or reaches past the image of "
                    f"{self.image_shape[0]} x {self.image_shape[1]} px. Give first and last row "
                    "and column inside of it."
                )

    @classmethod
    def over(
        cls,
        image_shape: tuple[int, int],
        area: Region | None = None,
        *,
        tile_px: int,
        halo_px: int,
        origin_rc: tuple[int, int] = (0, 0),
    ) -> TileGrid:
        """Cover a region, or the whole image."""
        height, width = image_shape
        whole = (slice(0, height), slice(0, width))
        return cls((height, width), area or whole, tile_px, halo_px, origin_rc)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns of tiles."""
        counts = [
            -(-(part.stop - origin) // self.tile_px) - first
            for part, origin, first in zip(self.area, self.origin_rc, self._first, strict=True)
        ]
        return counts[0], counts[1]

    def __len__(self) -> int:
        return math.prod(self.shape)

    def __iter__(self) -> Iterator[Tile]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Tile:
        """Describe the tile of this place."""
        if not 0 <= index < len(self):
            raise IndexError(f"There is no tile {index} among {len(self)}.")
        write, read = [], []
        for axis, place in enumerate(divmod(index, self.shape[1])):
            start = self.origin_rc[axis] + (self._first[axis] + place) * self.tile_px
            part = self.area[axis]
            write.append(slice(max(start, part.start), min(start + self.tile_px, part.stop)))
            begin = self._begin(axis, place)
            read.append(slice(begin, begin + self._side(axis)))
        return Tile(index, (write[0], write[1]), (read[0], read[1]))

    def owner(self, point_rc: tuple[float, float]) -> int:
        """Tell in whose write region a point of the area lies."""
        pixel = [math.floor(value + 0.5) for value in point_rc]
        row, col = (
            (value - origin) // self.tile_px - first
            for value, origin, first in zip(pixel, self.origin_rc, self._first, strict=True)
        )
        return row * self.shape[1] + col

    @property
    def sees_everything(self) -> bool:
        """Whether each tile looks at the whole image, so that no object can be too large for it."""
        return self.tile_px + 2 * self.halo_px >= max(self.image_shape)

    def coarser(self) -> TileGrid:
        """Return the grid of tiles twice as large, each of which holds up to four of these."""
        return replace(self, tile_px=2 * self.tile_px, halo_px=2 * self.halo_px)

    def parent(self, index: int) -> int:
        """Tell which tile of the coarser grid a tile of this one belongs to."""
        above = self.coarser()
        row, col = divmod(index, self.shape[1])
        up = [
            (first + place) // 2 - first_above
            for first, place, first_above in zip(self._first, (row, col), above._first, strict=True)
        ]
        return up[0] * above.shape[1] + up[1]

    def reaching(self, region: Region) -> list[int]:
        """List the tiles whose read regions have a pixel in common with a region, in order."""
        rows, cols = (self._reaching_along(axis, region[axis]) for axis in (0, 1))
        return [row * self.shape[1] + col for row in rows for col in cols]

    @property
    def _first(self) -> tuple[int, int]:
        """Place of the first tile, counted in tiles from the origin."""
        first = [
            (part.start - origin) // self.tile_px
            for part, origin in zip(self.area, self.origin_rc, strict=True)
        ]
        return first[0], first[1]

    def _reaching_along(self, axis: int, part: slice) -> range:
        """Places along an axis whose read regions meet a slice."""
        places = range(self.shape[axis])  # where reading begins never falls along them
        first = bisect_right(places, part.start - self._side(axis), key=partial(self._begin, axis))
        stop = bisect_left(places, part.stop, key=partial(self._begin, axis))
        return range(first, stop)

    def _side(self, axis: int) -> int:
        return min(self.tile_px + 2 * self.halo_px, self.image_shape[axis])

    def _begin(self, axis: int, place: int) -> int:
        """Where the tiles at a place along an axis begin to read."""
        start = self.origin_rc[axis] + (self._first[axis] + place) * self.tile_px - self.halo_px
        return min(max(start, 0), self.image_shape[axis] - self._side(axis))
