"""Label images as runs, in time and memory of the objects' borders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.masks.runs import runs_of_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import ArrayLike, NDArray

__all__ = ["RunLabels", "overlaps"]


class RunLabels:
    """A label image of one plane, each pixel of which belongs to one object at most.

    Parameters
    ----------
    shape : tuple of two ints
        Height and width in pixels.
    runs : ndarray of shape (N, 4), int64
        Row, first column, the column behind the last one, and label id; sorted, without overlap.

    Examples
    --------
    >>> square = CroppedMask.of([[True, True], [True, True]], (1, 1))
    >>> labels = RunLabels.of([(7, square), (9, square.cut((9, 9), (-1, 0)))], (60_000, 60_000))
    >>> labels[0:4, 0:4].tolist()
    [[0, 0, 0, 0], [0, 7, 7, 0], [0, 9, 9, 0], [0, 9, 9, 0]]
    """

    ndim = 2

    def __init__(self, shape: tuple[int, int], runs: NDArray[np.int64]) -> None:
        self.shape, self.runs = (int(shape[0]), int(shape[1])), runs
        fits = not len(runs) or int(runs[:, 3].max()) <= np.iinfo(np.int32).max
        self.dtype = np.dtype(np.int32 if fits else np.int64)

    @classmethod
    def of(cls, objects: Iterable[tuple[int, CroppedMask]], shape: tuple[int, int]) -> RunLabels:
        """Paint objects, given by label id and mask; of overlapping ones the later is on top."""
        ids, parts = [], []
        for order, (label_id, mask) in enumerate(objects):
            runs = mask.cut(shape).runs
            ids.append(label_id)
            parts.append(np.column_stack([runs, np.full(len(runs), order)]))
        runs = np.concatenate([np.zeros((0, 4), dtype=np.int64), *parts])
        if not len(runs):
            return cls(shape, runs)
        stride = shape[1] + 1  # a column between the rows keeps them apart
        firsts, behind = (runs[:, 0] * stride + runs[:, n] for n in (1, 2))
        edges = np.unique(np.concatenate([firsts, behind]))
        begin, end = np.searchsorted(edges, firsts), np.searchsorted(edges, behind)
        counts = end - begin
        pieces = np.arange(counts.sum()) + np.repeat(begin - np.cumsum(counts) + counts, counts)
        owners = np.full(len(edges), -1)
        np.maximum.at(owners, pieces, np.repeat(runs[:, 3], counts))
        changes = np.append(True, owners[1:] != owners[:-1])
        firsts, owners = edges[changes], owners[changes]
        behind = np.append(firsts[1:], firsts[-1])
        owned = owners >= 0
        firsts, behind, owners = firsts[owned], behind[owned], owners[owned]
        rows = firsts // stride
        label_ids = np.array(ids, dtype=np.int64)[owners]
        starts, stops = firsts - rows * stride, behind - rows * stride
        return cls(shape, np.stack([rows, starts, stops, label_ids], axis=1))

    @classmethod
    def of_array(cls, labels: ArrayLike) -> RunLabels:
        """Take the objects of an array of shape (H, W), int."""
        ids = np.asarray(labels)
        return cls((ids.shape[0], ids.shape[1]), runs_of_values(ids))

    def __getitem__(self, where: tuple[slice, slice]) -> NDArray[Any]:
        """Paint a part, given by a pair of slices, into an array."""
        (top, bottom, _), (left, right, _) = (
            part.indices(length) for part, length in zip(where, self.shape, strict=True)
        )
        height, width = max(bottom - top, 0), max(right - left, 0)
        begin, end = np.searchsorted(self.runs[:, 0], [top, max(bottom, top)])
        row, first, behind, ids = self.runs[begin:end].T
        first, behind = np.clip(first - left, 0, width), np.clip(behind - left, 0, width)
        steps = np.zeros(height * (width + 1), dtype=np.int64)
        line = (row - top) * (width + 1)
        np.add.at(steps, (line + first)[behind > first], ids[behind > first])
        np.add.at(steps, (line + behind)[behind > first], -ids[behind > first])
        painted = np.cumsum(steps, out=steps).reshape(height, width + 1)[:, :width]
        return painted.astype(self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Paint all of it."""
        whole = self[:, :]
        return whole if dtype is None else whole.astype(dtype)

    def renamed(self, label_ids: NDArray[Any]) -> RunLabels:
        """Give label n the id at place n of a list."""
        runs = np.column_stack([self.runs[:, :3], label_ids[self.runs[:, 3]].astype(np.int64)])
        return RunLabels(self.shape, runs)

    def objects(self) -> Iterator[tuple[int, CroppedMask]]:
        """Give label ids and masks, in the order of the ids."""
        runs = self.runs[np.argsort(self.runs[:, 3], kind="stable")]
        ids, begin = np.unique(runs[:, 3], return_index=True)
        for label_id, start, stop in zip(ids, begin, np.append(begin, len(runs))[1:], strict=True):
            yield int(label_id), CroppedMask.of_runs(runs[start:stop, :3])


def overlaps(first: RunLabels, second: RunLabels) -> tuple[NDArray[Any], ...]:
    """Find the objects of two label images that share pixels.

    Returns
    -------
    rows, cols : ndarray of shape (N,)
        Places in the lists of label ids.
    ious : ndarray of shape (N,)
    first_ids, second_ids : ndarray of int64
        All label ids of each, ascending.
    """
    stride = max(first.shape[1], second.shape[1]) + 1
    ids, areas, begins, ends, at = [], [], [], [], []
    for one in (first, second):
        found, inverse = np.unique(one.runs[:, 3], return_inverse=True)
        ids.append(found)
        at.append(inverse.reshape(-1))
        lengths = one.runs[:, 2] - one.runs[:, 1]
        areas.append(np.bincount(at[-1], lengths, len(found)))
        begins.append(one.runs[:, 0] * stride + one.runs[:, 1])
        ends.append(one.runs[:, 0] * stride + one.runs[:, 2])
    edges = np.unique(np.concatenate([*begins, *ends]))
    shared = np.ones(max(len(edges) - 1, 0), dtype=bool)
    owners = []
    for begin, end, own in zip(begins, ends, at, strict=True):
        place = np.searchsorted(begin, edges[:-1], side="right") - 1
        shared &= (place >= 0) & (edges[:-1] < np.append(end, 0)[place])
        owners.append(np.append(own, 0)[place])
    codes = owners[0][shared] * max(len(ids[1]), 1) + owners[1][shared]
    pairs, inverse = np.unique(codes, return_inverse=True)
    common = np.bincount(inverse.reshape(-1), np.diff(edges)[shared], len(pairs))
    rows, cols = pairs // max(len(ids[1]), 1), pairs % max(len(ids[1]), 1)
    ious = common / (areas[0][rows] + areas[1][cols] - common)
    return rows, cols, ious, ids[0], ids[1]
