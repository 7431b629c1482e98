"""Masks as values: the pixels of one object, no larger than its bounding box."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["CroppedMask", "bounds_of"]


def bounds_of(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns that the pixels of a mask take; empty slices where it has none.

    Examples
    --------
    >>> mask = np.zeros((8, 8), dtype=bool)
    >>> mask[2:4, 5] = True
    >>> bounds_of(mask)
    (slice(2, 4, None), slice(5, 6, None))
    """
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)


@dataclass(frozen=True)
class CroppedMask:
    """A mask in its bounding box. Compares, hashes and never changes.

    Attributes
    ----------
    top, left : int
        First row and column of the box in the plane, pixels.
    height, width : int
        Size of the box, pixels.
    bits : bytes
        The pixels of the box, row by row, eight to a byte, the first in the highest bit.

    Examples
    --------
    >>> mask = np.zeros((8, 8), dtype=bool)
    >>> mask[2:4, 5] = True
    >>> cropped = CroppedMask.of(mask)
    >>> cropped.top, cropped.left, cropped.height, cropped.width
    (2, 5, 2, 1)
    >>> bool((cropped.within((8, 8)) == mask).all())
    True
    """

    top: int
    left: int
    height: int
    width: int
    bits: bytes = field(repr=False)  # nobody reads bytes

    @classmethod
    def of(cls, mask: ArrayLike, start_rc: tuple[int, int] = (0, 0)) -> CroppedMask:
        """Crop a mask of shape (H, W) whose first pixel lies at `start_rc` of the plane."""
        array: NDArray[np.bool_] = np.asarray(mask, dtype=bool)
        rows, cols = bounds_of(array)
        box = array[rows, cols]
        bits = np.packbits(box.reshape(-1)).tobytes()
        height, width = box.shape
        return cls(start_rc[0] + rows.start, start_rc[1] + cols.start, height, width, bits)

    def __bool__(self) -> bool:
        return self.height * self.width > 0

    @property
    def region(self) -> tuple[slice, slice]:
        """Rows and columns of the plane that the box covers."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def array(self) -> NDArray[np.bool_]:
        """Unpack the pixels of the box, shape (height, width)."""
        count = self.height * self.width
        flat = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=count)
        return flat.astype(bool).reshape(self.height, self.width)

    def within(
        self, shape: tuple[int, int], start_rc: tuple[int, int] = (0, 0)
    ) -> NDArray[np.bool_]:
        """Unpack into a window of the plane; pixels outside of it are left out.

        Parameters
        ----------
        shape : tuple of two ints
            Height and width of the window in pixels.
        start_rc : tuple of two ints, optional
            Where the window begins in the plane.
        """
        window: NDArray[Any] = np.zeros(shape, dtype=bool)
        top, left = self.top - start_rc[0], self.left - start_rc[1]
        rows = slice(max(top, 0), max(min(top + self.height, shape[0]), 0))
        cols = slice(max(left, 0), max(min(left + self.width, shape[1]), 0))
        part = self.array()[
            rows.start - top : rows.stop - top if rows.stop > rows.start else 0,
            cols.start - left : cols.stop - left if cols.stop > cols.start else 0,
        ]
        if part.size:
            window[rows, cols] = part
        return window
