"""Masks as frozen values, no larger than their bounding box."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from napari_samhq.core.masks.runs import combined, cut, joined, painted, runs_of_array

if TYPE_CHECKING:
    from collections.abc import Iterable

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

    It takes memory for its border, however large the area is.

    Attributes
    ----------
    top, left : int
        First row and column of the box in the plane, pixels.
    height, width : int
        Size of the box, pixels.
    packed : bytes
        The runs in the box, see :attr:`runs`, as little-endian numbers of 32 bits.

    Examples
    --------
    >>> mask = np.zeros((8, 8), dtype=bool)
    >>> mask[2:4, 5] = True
    >>> cropped = CroppedMask.of(mask)
    >>> cropped.top, cropped.left, cropped.height, cropped.width, cropped.area
    (2, 5, 2, 1, 2)
    >>> bool((cropped.within((8, 8)) == mask).all())
    True
    """

    dtype: ClassVar[np.dtype[np.bool_]] = np.dtype(np.bool_)  # as other masks have it

    top: int
    left: int
    height: int
    width: int
    packed: bytes = field(repr=False)  # nobody reads bytes

    @classmethod
    def of(cls, mask: ArrayLike, start_rc: tuple[int, int] = (0, 0)) -> CroppedMask:
        """Crop a mask of shape (H, W) whose first pixel lies at `start_rc` of the plane."""
        array: NDArray[np.bool_] = np.asarray(mask, dtype=bool)
        return cls.of_runs(runs_of_array(array), start_rc)

    @classmethod
    def of_runs(cls, runs: NDArray[np.int64], start_rc: tuple[int, int] = (0, 0)) -> CroppedMask:
        """Make a mask of runs (:mod:`napari_samhq.core.masks.runs`), moved by `start_rc`."""
        if not len(runs):
            return cls(start_rc[0], start_rc[1], 0, 0, b"")
        top, left = int(runs[0, 0]), int(runs[:, 1].min())
        height, width = int(runs[-1, 0]) + 1 - top, int(runs[:, 2].max()) - left
        packed = (runs - [top, left, left]).astype("<i4").tobytes()
        return cls(top + start_rc[0], left + start_rc[1], height, width, packed)

    @classmethod
    def of_bits(cls, start_rc: tuple[int, int], shape: tuple[int, int], bits: bytes) -> CroppedMask:
        """Make a mask of the pixels of a box, as :attr:`bits` gives them."""
        flat = np.unpackbits(np.frombuffer(bits, np.uint8), count=shape[0] * shape[1])
        return cls.of(flat.astype(bool).reshape(shape), start_rc)

    @classmethod
    def union(cls, masks: Iterable[CroppedMask]) -> CroppedMask:
        """Put masks of one plane together."""
        return cls.of_runs(joined([mask.runs for mask in masks]))

    def __bool__(self) -> bool:
        return self.height * self.width > 0

    @property
    def region(self) -> tuple[slice, slice]:
        """Rows and columns of the plane that the box covers."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    @property
    def runs(self) -> NDArray[np.int64]:
        """Rows, first columns, and the columns behind the last ones in the plane: (N, 3)."""
        inside = np.frombuffer(self.packed, "<i4").reshape(-1, 3)
        return inside + np.array([self.top, self.left, self.left], dtype=np.int64)

    @property
    def area(self) -> int:
        """Number of pixels."""
        inside = np.frombuffer(self.packed, "<i4").reshape(-1, 3)
        return int((inside[:, 2] - inside[:, 1]).sum(dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Memory that the pixels take, in bytes."""
        return len(self.packed)

    @property
    def bits(self) -> bytes:
        """The pixels of the box, row by row, eight to a byte, the first in the highest bit."""
        return np.packbits(self.array().reshape(-1)).tobytes()

    def array(self) -> NDArray[np.bool_]:
        """Unpack the pixels of the box, shape (height, width)."""
        return self.within((self.height, self.width), (self.top, self.left))

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
        return painted(cut(self.runs, shape, start_rc), shape)

    def cut(
        self, shape: tuple[int, int], start_rc: tuple[int, int] = (0, 0), step: int = 1
    ) -> CroppedMask:
        """Give what lies in a window, in the frame of the window.

        Parameters
        ----------
        shape, start_rc
            As in :meth:`within`.
        step : int, optional
            Take every so manieth row and column of the window, counted from its corner.
        """
        return CroppedMask.of_runs(cut(self.runs, shape, start_rc, step))

    def shared_with(self, other: CroppedMask) -> int:
        """Count the pixels that another mask of the plane has, too."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        height = min(self.top + self.height, other.top + other.height) - top
        width = min(self.left + self.width, other.left + other.width) - left
        if height <= 0 or width <= 0:
            return 0
        mine, its = (cut(one.runs, (height, width), (top, left)) for one in (self, other))
        return CroppedMask.of_runs(combined(mine, its, np.logical_and)).area

    def covers(self, other: CroppedMask) -> bool:
        """Tell whether it has all pixels of another mask of the plane."""
        inside = self.top <= other.top and self.left <= other.left
        inside &= other.top + other.height <= self.top + self.height
        inside &= other.left + other.width <= self.left + self.width
        return not other or (inside and self.shared_with(other) == other.area)
