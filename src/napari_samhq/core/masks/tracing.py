"""Trace the borders of pixel sets as rings, in time and memory of the border."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["rings_around"]

_SOUTH, _EAST, _NORTH, _WEST = range(4)


def rings_around(runs: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Trace the borders of a set of pixels.

    Parameters
    ----------
    runs : ndarray of shape (N, 3)
        As :mod:`napari_samhq.core.masks.runs` has them.

    Returns
    -------
    list of ndarray of shape (M, 2)
        x, y of the corners of each ring, which passes each of them once and is not closed. Rings
        around pixels go down on their left side, those around holes up. Pixels that touch at a
        corner only are not joined there.

    Examples
    --------
    >>> sorted(rings_around(np.array([[0, 1, 3]])).pop().tolist())
    [[1, 0], [1, 1], [3, 0], [3, 1]]
    """
    if not len(runs):
        return []
    low = int(runs[:, 1].min())
    stride = int(runs[:, 2].max()) - low + 1
    starts, stops, ways = _edges(runs - np.array([0, low, low]), stride)
    order = np.lexsort((ways, starts))
    starts, stops, ways = starts[order], stops[order], ways[order]
    following = np.searchsorted(starts, stops)
    # Where two pixels touch at a corner two edges begin; turning left stays at the same pixel.
    left = (ways + 1) % 4
    other = np.minimum(following + 1, len(starts) - 1)
    twice = (other != following) & (starts[other] == stops) & (ways[following] != left)
    following[twice] = other[twice]
    corners = np.stack([starts % stride + low, starts // stride], axis=1)
    return [corners[list(ring)] for ring in _simple(following.tolist(), ways, starts)]


def _edges(runs: NDArray[np.int64], stride: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """List the pieces of the border: keys of their starts and ends, and their ways."""
    row, first, behind = runs[:, 0] * stride, runs[:, 1], runs[:, 2]
    down = (row + first, row + stride + first)
    up = (row + stride + behind, row + behind)
    # Between two rows the border runs where exactly one of them has pixels.
    places = np.concatenate([row + first, row + behind, down[1], up[0]])
    ones = np.ones(len(runs), dtype=np.int64)
    below = np.concatenate([ones, -ones, 0 * ones, 0 * ones])
    above = np.concatenate([0 * ones, 0 * ones, ones, -ones])
    order = np.argsort(places, kind="stable")
    places, below, above = places[order], np.cumsum(below[order]), np.cumsum(above[order])
    last = np.append(places[1:] != places[:-1], True)[: len(places)]
    places, below, above = places[last], below[last], above[last]
    right = np.flatnonzero((above > 0) & (below == 0))
    leftwards = np.flatnonzero((below > 0) & (above == 0))
    level = (places[right], places[right + 1]), (places[leftwards + 1], places[leftwards])
    kinds = ((down, _SOUTH), (level[0], _EAST), (up, _NORTH), (level[1], _WEST))
    return (
        np.concatenate([pair[0] for pair, _ in kinds]),
        np.concatenate([pair[1] for pair, _ in kinds]),
        np.concatenate([np.full(len(pair[0]), way) for pair, way in kinds]),
    )


def _simple(
    following: list[int], ways: NDArray[np.int64], starts: NDArray[np.int64]
) -> Iterator[list[int]]:
    """Follow the edges round, and give the corners of each ring that passes none twice."""
    way, key = ways.tolist(), starts.tolist()
    seen = bytearray(len(following))
    for begin in range(len(following)):
        ring: list[int] = []
        edge = begin
        while not seen[edge]:
            seen[edge] = 1
            behind = following[edge]
            if way[behind] != way[edge]:
                ring.append(behind)
            edge = behind
        if ring and len({key[corner] for corner in ring}) == len(ring):
            yield ring
        elif ring:
            yield from _apart(ring, key)


def _apart(ring: list[int], key: list[int]) -> Iterator[list[int]]:
    """Take a ring that touches itself apart."""
    path: list[int] = []
    places: dict[int, int] = {}
    for corner in ring:
        place = places.get(key[corner])
        if place is not None:
            yield path[place:]
            for one in path[place:]:
                del places[key[one]]
            del path[place:]
        places[key[corner]] = len(path)
        path.append(corner)
    yield path
