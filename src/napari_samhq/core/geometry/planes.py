"""Planes: two axes of an array, and the position along all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Plane"]


@dataclass(frozen=True)
class Plane:
    """Two axes of an image layer's data, and the position along all others.

    Attributes
    ----------
    axes : tuple of two ints
        The axes that the plane spans, in the order of the data. Rows run along the first one, so a
        transposed display shows the same plane and coordinates keep their meaning.
    position : tuple of ints
        Index along each remaining axis, in the order of the data.

    Examples
    --------
    >>> plane = Plane(axes=(1, 2), position=(7,))
    >>> plane.index()
    (7, slice(None, None, None), slice(None, None, None))
    >>> plane.lift([[10, 20]]).tolist()
    [[7.0, 10.0, 20.0]]
    """

    axes: tuple[int, int]
    position: tuple[int, ...] = ()

    @property
    def ndim(self) -> int:
        """Number of axes of the data that hold the plane."""
        return 2 + len(self.position)

    @property
    def other_axes(self) -> tuple[int, ...]:
        """The axes that the plane does not span."""
        return tuple(axis for axis in range(self.ndim) if axis not in self.axes)

    def index(self, region: tuple[slice, slice] | None = None) -> tuple[int | slice, ...]:
        """Build the index that cuts the plane, or a region of it, out of the data."""
        along = dict(zip(self.other_axes, self.position, strict=True))
        rows, cols = region or (slice(None), slice(None))
        spanned = {self.axes[0]: rows, self.axes[1]: cols}
        return tuple(along.get(axis, spanned.get(axis, 0)) for axis in range(self.ndim))

    def lift(self, points_rc: ArrayLike) -> NDArray[np.float64]:
        """Turn (row, column) in the plane, shape (N, 2), into data coordinates (N, ndim)."""
        points = np.asarray(points_rc, dtype=np.float64).reshape(-1, 2)
        lifted = np.empty((len(points), self.ndim))
        lifted[:, self.axes] = points
        lifted[:, self.other_axes] = self.position
        return lifted

    def flatten(self, points: ArrayLike) -> NDArray[np.float64]:
        """Drop the axes that the plane does not span: data coordinates to (row, column)."""
        return np.asarray(points, dtype=np.float64)[:, self.axes]

    def at(self, position: Iterable[float]) -> Plane:
        """Name the parallel plane nearest to a position along the other axes."""
        return Plane(self.axes, tuple(int(value) for value in np.rint(list(position))))

    def __str__(self) -> str:
        """Describe the plane to people: the indices along the axes that it does not span."""
        return ", ".join(
            f"axis {axis}: {index}"
            for axis, index in zip(self.other_axes, self.position, strict=True)
        )
