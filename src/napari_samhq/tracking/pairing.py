"""The best choice of pairs, where nothing is in two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["best_pairs"]


def best_pairs(
    rows: NDArray[np.int64], cols: NDArray[np.int64], gains: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Choose pairs of which each row and each column is in one at most, with the highest sum.

    Rows and columns that no pair connects, however indirectly, are solved apart, so ten thousand
    objects with a few neighbours each take no matrix of all with all.

    Parameters
    ----------
    rows, cols : ndarray of shape (k,), int
    gains : ndarray of shape (k,)
        What each pair is worth; only those above 0 are chosen.

    Returns
    -------
    ndarray of int
        Which pairs.

    Examples
    --------
    >>> best_pairs(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.9, 0.5, 0.8])).tolist()
    [1, 2]
    """
    good = np.flatnonzero(gains > 0)
    if not len(good):
        return good
    _, row_at = np.unique(rows[good], return_inverse=True)
    _, col_at = np.unique(cols[good], return_inverse=True)
    height = int(row_at.max()) + 1
    size = height + int(col_at.max()) + 1
    graph = coo_array((np.ones(len(good)), (row_at, col_at + height)), shape=(size, size))
    _, parts = connected_components(graph, directed=False)
    part = parts[row_at]
    order = np.argsort(part, kind="stable")
    chosen: list[NDArray[np.int64]] = []
    for group in np.split(order, np.flatnonzero(np.diff(part[order])) + 1):
        here_rows, at_row = np.unique(row_at[group], return_inverse=True)
        here_cols, at_col = np.unique(col_at[group], return_inverse=True)
        table = np.zeros((len(here_rows), len(here_cols)))
        which = np.full(table.shape, -1)
        table[at_row, at_col] = gains[good[group]]
        which[at_row, at_col] = good[group]
        taken = which[linear_sum_assignment(table, maximize=True)]
        chosen.append(taken[taken >= 0])
    return np.sort(np.concatenate(chosen))
