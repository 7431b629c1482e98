"""Arrays in blocks: the blocks that an index touches, and the places within them.

A block is named by its place, counted in blocks along each axis. Nothing here reads or writes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["Blocks", "Key", "Place", "as_indices", "pooled"]

Place: TypeAlias = tuple[int, ...]
Key: TypeAlias = tuple[slice, ...]


@dataclass(frozen=True)
class Blocks:
    """An array cut into blocks.

    Attributes
    ----------
    shape : tuple of ints
        Of the array.
    sides : tuple of ints
        Of a block; those at the end of an axis may be smaller.

    Examples
    --------
    >>> blocks = Blocks((100, 90), (40, 40))
    >>> blocks.region((2, 1)), list(blocks.touched((slice(30, 41), slice(0, 5))))
    ((slice(80, 100, None), slice(40, 80, None)), [(0, 0), (1, 0)])
    """

    shape: tuple[int, ...]
    sides: tuple[int, ...]

    def region(self, place: Place) -> Key:
        """Tell which part of the array a block covers."""
        return tuple(
            slice(one * side, min((one + 1) * side, length))
            for one, side, length in zip(place, self.sides, self.shape, strict=True)
        )

    def touched(self, region: Key) -> Iterator[Place]:
        """Give the blocks that have a pixel of a region, slices with start and stop."""
        along = (
            range(part.start // side, -(-part.stop // side))
            for part, side in zip(region, self.sides, strict=True)
        )
        return itertools.product(*along)

    def common(self, place: Place, region: Key) -> tuple[Key, Key]:
        """Tell what a block and a region share, in the frame of the block and of the region."""
        inside, outside = [], []
        for own, part in zip(self.region(place), region, strict=True):
            start, stop = max(own.start, part.start), min(own.stop, part.stop)
            inside.append(slice(start - own.start, stop - own.start))
            outside.append(slice(start - part.start, stop - part.start))
        return tuple(inside), tuple(outside)

    def grouped(
        self, indices: tuple[NDArray[np.intp], ...]
    ) -> Iterator[tuple[Place, NDArray[np.intp], tuple[NDArray[np.intp], ...]]]:
        """Sort pixels into blocks.

        Parameters
        ----------
        indices : tuple of ndarray of shape (N,)
            One for each axis, as :func:`as_indices` gives them.

        Yields
        ------
        (place, chosen, inside)
            A block, which of the N pixels lie in it, and their indices in the block.
        """
        if not indices[0].size:
            return
        counts = [-(-n // side) for n, side in zip(self.shape, self.sides, strict=True)]
        places = [axis // side for axis, side in zip(indices, self.sides, strict=True)]
        numbers = np.ravel_multi_index(places, counts)
        order = np.argsort(numbers, kind="stable")
        found, starts = np.unique(numbers[order], return_index=True)
        for number, chosen in zip(found, np.split(order, starts[1:]), strict=True):
            place = tuple(int(one) for one in np.unravel_index(number, counts))
            inside = tuple(
                axis[chosen] - one * side
                for axis, one, side in zip(indices, place, self.sides, strict=True)
            )
            yield place, chosen, inside

    def normalized(self, key: Any) -> tuple[Key, tuple[Any, ...]]:
        """Turn a basic index of the array into a region, and what to take out of that.

        Raises
        ------
        IndexError
            If it reaches past the array, or goes backwards.
        """
        key = key if isinstance(key, tuple) else (key,)
        if any(part is Ellipsis for part in key):
            place = next(n for n, part in enumerate(key) if part is Ellipsis)
            missing = len(self.shape) - len(key) + 1
            key = (*key[:place], *(slice(None),) * missing, *key[place + 1 :])
        key = (*key, *(slice(None),) * (len(self.shape) - len(key)))
        region: list[slice] = []
        taken: list[Any] = []
        for part, length in zip(key, self.shape, strict=True):
            if isinstance(part, slice):
                start, stop, step = part.indices(length)
                if step < 1:
                    raise IndexError("Labels in blocks are read forwards: use steps of 1 or more.")
                region.append(slice(start, max(start, stop)))
                taken.append(slice(None, None, step))
            else:
                at = int(part) + (length if part < 0 else 0)
                if not 0 <= at < length:
                    raise IndexError(f"Index {part} is out of bounds for an axis of {length}.")
                region.append(slice(at, at + 1))
                taken.append(0)
        return tuple(region), tuple(taken)


def as_indices(key: Any) -> tuple[NDArray[np.intp], ...] | None:
    """Give index arrays, one for each axis and of one shape (N,); None for any other index.

    Examples
    --------
    >>> as_indices((slice(0, 3), 4)) is None
    True
    >>> as_indices((np.array([3, 5]), 4))[1].tolist()
    [4, 4]
    """
    if not isinstance(key, tuple) or not any(isinstance(part, np.ndarray) for part in key):
        return None
    if any(isinstance(part, slice) for part in key):
        raise IndexError("Index labels in blocks by slices, or by one array for each axis.")
    arrays = np.broadcast_arrays(*(np.asarray(part, dtype=np.intp) for part in key))
    return tuple(array.reshape(-1) for array in arrays)


def pooled(values: NDArray[Any]) -> NDArray[Any]:
    """Take the highest of each 2 x 2 pixels along the last two axes.

    Examples
    --------
    >>> pooled(np.array([[0, 3, 0], [1, 0, 0], [0, 0, 5]])).tolist()
    [[3, 0], [0, 5]]
    """
    height, width = values.shape[-2:]
    ends = [(0, 0)] * (values.ndim - 2) + [(0, height % 2), (0, width % 2)]
    even = np.pad(values, ends)
    rows = np.maximum(even[..., ::2, :], even[..., 1::2, :])
    highest: NDArray[Any] = np.maximum(rows[..., ::2], rows[..., 1::2])
    return highest
