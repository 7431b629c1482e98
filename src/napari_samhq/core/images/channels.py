"""Channels shown to the model as red, green and blue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["OneChannel", "PickedChannels", "checked_picks"]


class PickedChannels:
    """An array of which one to three channels are seen as colours; only what is cut is read.

    Parameters
    ----------
    array : array
        Numpy, zarr, dask, or anything else with a shape, a dtype and slicing.
    axis : int
        The axis that holds the channels.
    picks : sequence of one to three ints
        One channel is seen as grey; two as red and green; three as red, green and blue.
    nothing : number, optional
        The value of blue where there are two: what is shown black.

    Attributes
    ----------
    shape : tuple of ints
        That of the array, then 3 for the colours. An index along the channel axis has no effect,
        so planes keep their meaning. Where the channels are the last axis, as in colour pictures,
        it becomes the colour axis.
    dtype : numpy.dtype
        That of the array.

    Raises
    ------
    ImageError
        If there is no such axis or channel.

    Examples
    --------
    >>> stack = np.arange(24).reshape(4, 2, 3)  # channels, rows, columns
    >>> seen = PickedChannels(stack, 0, (3, 1))
    >>> seen.shape
    (4, 2, 3, 3)
    >>> seen[0, 1, 2].tolist()
    [23, 11, 0]
    """

    def __init__(self, array: Any, axis: int, picks: Sequence[int], nothing: float = 0) -> None:
        if not 0 <= axis < len(array.shape):
            raise ImageError(f"There is no axis {axis} in an array of shape {tuple(array.shape)}.")
        self._array, self._axis = array, axis
        self._colours = _colours(checked_picks(picks, int(array.shape[axis])))
        self._nothing = nothing
        self._is_last = axis == len(array.shape) - 1
        kept = array.shape[:-1] if self._is_last else array.shape
        self.shape: tuple[int, ...] = (*(int(length) for length in kept), 3)
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)

    @property
    def ndim(self) -> int:
        """Number of axes, the colours included."""
        return len(self.shape)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Cut like numpy does, by integers and slices, and read the picked channels of the cut."""
        full = index if isinstance(index, tuple) else (index,)
        space = self.ndim - 1
        cut = list(full[:space]) + [slice(None)] * (space - len(full))
        read: dict[int | None, NDArray[Any]] = {}
        for channel in self._colours:
            if channel is not None and channel not in read:
                read[channel] = np.asarray(self._array[self._of_channel(cut, channel)])
        first = next(iter(read.values()))
        read[None] = np.full_like(first, self._nothing)
        return np.stack([read[channel] for channel in self._colours], axis=-1)[(..., *full[space:])]

    def _of_channel(self, cut: list[Any], channel: int) -> tuple[Any, ...]:
        if self._is_last:
            return (*cut, channel)
        return (*cut[: self._axis], channel, *cut[self._axis + 1 :])


class OneChannel:
    """An array without its axis of channels, of which one is left; only what is cut is read.

    Parameters
    ----------
    array : array
        Numpy, zarr, dask, or anything else with a shape, a dtype and slicing.
    axis, pick : int
        The axis of the channels, and which of them.

    Examples
    --------
    >>> OneChannel(np.arange(6).reshape(1, 2, 3), 2, 1)[0].tolist()
    [1, 4]
    """

    def __init__(self, array: Any, axis: int, pick: int) -> None:
        self._array, self._axis, self._pick = array, axis, pick
        shape = tuple(int(length) for length in array.shape)
        self.shape: tuple[int, ...] = shape[:axis] + shape[axis + 1 :]
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)
        self.ndim = len(self.shape)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Cut like numpy does, by integers and slices, and read it."""
        given = index if isinstance(index, tuple) else (index,)
        cut = [*given, *[slice(None)] * (self.ndim - len(given))]
        return np.asarray(self._array[(*cut[: self._axis], self._pick, *cut[self._axis :])])


def checked_picks(picks: Sequence[int], count: int) -> tuple[int, ...]:
    """Check that there are one to three picks, each a channel of an image that has `count`.

    Raises
    ------
    ImageError
        If not.

    Examples
    --------
    >>> checked_picks([2, 0], 3)
    (2, 0)
    """
    chosen = tuple(int(pick) for pick in picks)
    if not 1 <= len(chosen) <= 3 or any(not 0 <= pick < count for pick in chosen):
        raise ImageError(
            f"The channels {list(chosen)} cannot be shown to the model. Pick one, two or three of "
            f"the {count} that there are, counted from 0."
        )
    return chosen


def _colours(picks: tuple[int, ...]) -> tuple[int | None, int | None, int | None]:
    if len(picks) == 1:
        return (picks[0],) * 3
    return (picks[0], picks[1], picks[2] if len(picks) == 3 else None)
