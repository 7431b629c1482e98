"""Runs: sets of pixels as stretches of rows, in time and memory of their border.

Runs are an (N, 3) array of row, first column and the column behind the last one. They are sorted,
and no two of them touch, so that two sets are equal exactly if their runs are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = [
    "combined",
    "cut",
    "joined",
    "painted",
    "runs_of_array",
    "runs_of_values",
    "toggled",
    "transposed",
]

_NONE = np.zeros((0, 3), dtype=np.int64)


def runs_of_array(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Find the runs of a mask of shape (H, W), bool.

    Examples
    --------
    >>> runs_of_array(np.array([[True, True, False], [False, True, True]])).tolist()
    [[0, 0, 2], [1, 1, 3]]
    """
    height, width = mask.shape
    if not mask.size:
        return _NONE
    # A column of background at each end keeps the runs of different rows apart.
    flat = np.zeros(height * (width + 1) + 1, dtype=bool)
    flat[1:].reshape(height, width + 1)[:, :width] = mask
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    starts, stops = edges[0::2], edges[1::2]
    rows = starts // (width + 1)
    return np.stack([rows, starts - rows * (width + 1), stops - rows * (width + 1)], axis=1)


def runs_of_values(values: NDArray[Any]) -> NDArray[np.int64]:
    """Find the runs of equal values besides 0 in an array of shape (H, W): (N, 4), values last.

    Examples
    --------
    >>> runs_of_values(np.array([[3, 3, 0], [5, 3, 3]])).tolist()
    [[0, 0, 2, 3], [1, 0, 1, 5], [1, 1, 3, 3]]
    """
    height, width = values.shape
    flat = np.zeros((height, width + 1), dtype=values.dtype)
    flat[:, :width] = values
    flat = flat.reshape(-1)
    starts = np.flatnonzero(np.append(True, flat[1:] != flat[:-1])[: len(flat)])
    stops = np.append(starts[1:], len(flat))[: len(starts)]
    rows, kept = starts // (width + 1), flat[starts] != 0
    line = rows * (width + 1)
    ids = flat[starts].astype(np.int64)
    found: NDArray[np.int64] = np.stack([rows, starts - line, stops - line, ids], axis=1)[kept]
    return found


def painted(runs: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Paint runs, all of which lie in the array, into one of this shape, bool."""
    height, width = shape
    steps = np.zeros(height * (width + 1), dtype=np.int8)
    first = runs[:, 0] * (width + 1)
    steps[first + runs[:, 1]] = 1
    steps[first + runs[:, 2]] = -1
    np.cumsum(steps, out=steps)
    inside: NDArray[np.bool_] = steps.view(bool).reshape(height, width + 1)[:, :width]
    return np.ascontiguousarray(inside)


def toggled(lines: NDArray[Any], places: NDArray[Any]) -> NDArray[np.int64]:
    """Make runs of the places at which lines go in and out of a set (the even-odd rule).

    Parameters
    ----------
    lines, places : ndarray of shape (N,), int
        In any order. Each line has an even number of places; two at one place cancel each other.

    Returns
    -------
    ndarray of shape (M, 3), int64
        Runs along the lines.

    Examples
    --------
    >>> toggled(np.array([4, 4, 4, 4]), np.array([9, 2, 5, 5])).tolist()
    [[4, 2, 9]]
    """
    if not lines.size:
        return _NONE
    low = int(places.min())
    stride = int(places.max()) - low + 1
    keys, counts = np.unique(
        lines.astype(np.int64) * stride + (places.astype(np.int64) - low), return_counts=True
    )
    keys = keys[counts % 2 == 1]
    return _from_keys(keys, stride, low)


def combined(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    keep: Callable[[NDArray[np.bool_], NDArray[np.bool_]], NDArray[np.bool_]],
) -> NDArray[np.int64]:
    """Combine two sets, as `keep` tells of pixels that lie in the first one, and in the second.

    Examples
    --------
    >>> a, b = np.array([[0, 0, 5]]), np.array([[0, 3, 9]])
    >>> combined(a, b, lambda in_a, in_b: in_a & ~in_b).tolist()
    [[0, 0, 3]]
    """
    return _swept([first, second], lambda inside: keep(inside[0] > 0, inside[1] > 0))


def joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Give the union of sets.

    Examples
    --------
    >>> joined([np.array([[0, 0, 5]]), np.array([[0, 3, 9]]), np.array([[0, 9, 10]])]).tolist()
    [[0, 0, 10]]
    """
    filled = [part for part in parts if len(part)]
    if len(filled) < 2:
        return filled[0] if filled else _NONE
    return _swept([np.concatenate(filled)], lambda inside: inside[0] > 0)


def _swept(sets: Sequence[Any], keep: Callable[[Any], Any]) -> NDArray[np.int64]:
    """Go along the rows from edge to edge, and keep the stretches that `keep` says."""
    total = sum(len(one) for one in sets)
    if not total:
        return _NONE
    low = min(int(one[:, 1].min()) for one in sets if len(one))
    stride = max(int(one[:, 2].max()) for one in sets if len(one)) - low + 1
    keys = np.concatenate([one[:, 0] * stride + one[:, n] - low for one in sets for n in (1, 2)])
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    last = np.append(keys[1:] != keys[:-1], True)  # what counts is what holds after all at a place
    inside, start = [], 0
    for one in sets:
        change = np.zeros(2 * total, dtype=np.int64)
        change[start : start + len(one)] = 1
        change[start + len(one) : start + 2 * len(one)] = -1
        inside.append(np.cumsum(change[order])[last])
        start += 2 * len(one)
    kept = keep(inside)
    changes = kept != np.append(False, kept[:-1])
    return _from_keys(keys[last][changes], stride, low)


def _from_keys(keys: NDArray[np.int64], stride: int, low: int) -> NDArray[np.int64]:
    starts, stops = keys[0::2], keys[1::2]
    rows = starts // stride
    return np.stack([rows, starts - rows * stride + low, stops - rows * stride + low], axis=1)


def cut(
    runs: NDArray[np.int64],
    shape: tuple[int, int],
    start_rc: tuple[int, int] = (0, 0),
    step: int = 1,
) -> NDArray[np.int64]:
    """Cut a window out of a set, and take every `step`-th pixel of it, counted from its corner.

    Parameters
    ----------
    runs : ndarray of shape (N, 3)
    shape : tuple of two ints
        Height and width of the window, in pixels of the set.
    start_rc : tuple of two ints, optional
        Where the window begins.
    step : int, optional

    Returns
    -------
    ndarray of shape (M, 3), int64
        In the frame of the window, in steps.

    Examples
    --------
    >>> cut(np.array([[4, 10, 20], [5, 10, 20]]), (4, 8), (4, 14), 2).tolist()
    [[0, 0, 3]]
    """
    rows = runs[:, 0] - start_rc[0]
    starts = np.clip(runs[:, 1] - start_rc[1], 0, shape[1])
    stops = np.clip(runs[:, 2] - start_rc[1], 0, shape[1])
    starts, stops = -(-starts // step), -(-stops // step)
    kept = (rows >= 0) & (rows < shape[0]) & (rows % step == 0) & (stops > starts)
    found = np.stack([rows // step, starts, stops], axis=1)[kept]
    # What lay apart may touch now.
    return found if step == 1 else _swept([found], lambda inside: inside[0] > 0)


def transposed(runs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the runs down the columns: of column, first row, and the row behind the last one.

    Examples
    --------
    >>> transposed(np.array([[0, 0, 2], [1, 1, 2]])).tolist()
    [[0, 0, 1], [1, 0, 2]]
    """
    # A column goes in or out between two rows where exactly one of the two has the pixel.
    rows = np.concatenate([runs[:, 0], runs[:, 0], runs[:, 0] + 1, runs[:, 0] + 1])
    borders = toggled(rows, np.concatenate([runs[:, 1], runs[:, 2], runs[:, 1], runs[:, 2]]))
    lengths = borders[:, 2] - borders[:, 1]
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return toggled(np.repeat(borders[:, 1], lengths) + within, np.repeat(borders[:, 0], lengths))
