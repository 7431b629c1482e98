"""Index of a label image: ids, areas and bounding boxes of its objects.

The labels are looked through once, block by block; after that each edit is accounted for, so that
no later question has to read more than the bounding box of an object.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.events import LabelsEdit
    from napari_samhq.core.labels.edits import Region

__all__ = ["Census", "Entry"]

#: Pixels of a block, about: large enough to be fast, small enough to wait for.
_BLOCK_PX = 1 << 20


@dataclass(frozen=True)
class Entry:
    """What is known of one label id.

    Attributes
    ----------
    area : int
        Number of its pixels.
    start, stop : tuple of ints
        A box that holds all of them, along each axis of the labels.
    loose : bool
        Whether the box may be too large: it stays as it is when pixels are taken away.
    """

    area: int
    start: tuple[int, ...]
    stop: tuple[int, ...]
    loose: bool = False

    def __add__(self, other: Entry) -> Entry:
        return Entry(
            self.area + other.area,
            tuple(map(min, self.start, other.start)),
            tuple(map(max, self.stop, other.stop)),
            self.loose or other.loose,
        )


class Census:
    """Knows the label ids of an array of labels.

    Parameters
    ----------
    data : array of integers, numpy or zarr
        The labels. Values of 0 and below are no objects. Of an array that has a method `is_empty`,
        regions that it is true of are not read.

    Examples
    --------
    >>> labels = np.zeros((50, 60), dtype=np.uint8)
    >>> labels[10:20, 30:35] = 4
    >>> census = Census(labels)
    >>> census.highest, census.area(4)
    (4, 50)
    """

    def __init__(self, data: Any) -> None:
        self._data = data
        self._entries: dict[int, Entry] = {}
        self._sides = _block_sides(data)
        self._grid = tuple(
            -(-int(n) // side) for n, side in zip(data.shape, self._sides, strict=True)
        )
        self._read = 0  # blocks that were looked through, in the order of the grid
        self._highest: int | None = None

    @property
    def complete(self) -> bool:
        """Whether the labels were looked through."""
        return self._read == math.prod(self._grid)

    def step(self) -> bool:
        """Look through the next block, and tell whether there are more; questions do all."""
        is_empty = getattr(self._data, "is_empty", None)
        while not self.complete:
            place = np.unravel_index(self._read, self._grid)
            start = tuple(int(k) * side for k, side in zip(place, self._sides, strict=True))
            ends = zip(start, self._sides, self._data.shape, strict=True)
            region = tuple(slice(a, min(a + n, end)) for a, n, end in ends)
            self._read += 1
            if is_empty is None or not is_empty(region):
                self._add(_tally(np.asarray(self._data[region]), start))
                break
        return not self.complete

    def finish(self) -> None:
        """Look through all blocks that are left."""
        while self.step():
            pass

    def note(self, edits: Iterable[LabelsEdit]) -> None:
        """Account for edits that were written.

        Where the labels were not looked through yet, that is left to when they are.
        """
        for edit in edits:
            if self.complete:
                self._add(_tally_edit(edit, edit.old, edit.new))
            elif self._read:
                known = self._was_read(edit)
                self._add(_tally_edit(edit, edit.old[known], edit.new[known]))

    @property
    def ids(self) -> list[int]:
        """All label ids, in order."""
        return sorted(self._all)

    @property
    def highest(self) -> int:
        """The highest label id; 0 where there is none."""
        entries = self._all
        if self._highest is None:
            self._highest = max(entries, default=0)
        return self._highest

    def __contains__(self, label_id: int) -> bool:
        return label_id in self._all

    def area(self, label_id: int) -> int:
        """Count the pixels of a label id in all planes."""
        entry = self._all.get(label_id)
        return entry.area if entry is not None else 0

    def region(self, plane: Plane, label_id: int) -> Region | None:
        """Find rows and columns of a plane that hold all pixels of a label id; None for nowhere."""
        entry = self._all.get(label_id)
        if entry is None or any(
            not entry.start[axis] <= place < entry.stop[axis]
            for axis, place in zip(plane.other_axes, plane.position, strict=True)
        ):
            return None
        rows, cols = (slice(entry.start[axis], entry.stop[axis]) for axis in plane.axes)
        return rows, cols

    def first_position(self, label_id: int, axes: tuple[int, int]) -> tuple[int, ...]:
        """Find the first plane of given axes that has a label id: its position along the others."""
        entry = self._all[label_id]
        others = [axis for axis in range(len(entry.start)) if axis not in axes]
        if not others:
            return ()
        if len(others) > 1 or entry.loose:
            box = tuple(slice(*ends) for ends in zip(entry.start, entry.stop, strict=True))
            found = np.argwhere(
                np.moveaxis(np.asarray(self._data[box]) == label_id, axes, (-2, -1))
            )
            if len(found):
                return tuple(
                    int(entry.start[axis] + k) for axis, k in zip(others, found[0], strict=False)
                )
        return tuple(entry.start[axis] for axis in others)

    @property
    def _all(self) -> dict[int, Entry]:
        self.finish()
        return self._entries

    def _was_read(self, edit: LabelsEdit) -> NDArray[np.bool_]:
        """Tell which pixels of an edit lie in blocks that were looked through."""
        rows, cols = np.nonzero(edit.changed)
        inside = np.stack([rows + edit.region[0].start, cols + edit.region[1].start], axis=1)
        places = edit.plane.lift(inside).astype(np.intp) // np.array(self._sides)
        read: NDArray[np.bool_] = np.ravel_multi_index(tuple(places.T), self._grid) < self._read
        return read

    def _add(self, changes: dict[int, Entry]) -> None:
        self._highest = None
        for label_id, change in changes.items():
            known = self._entries.get(label_id)
            entry = change if known is None else known + change
            if entry.area > 0:
                self._entries[label_id] = entry
            else:
                self._entries.pop(label_id, None)


def _block_sides(data: Any) -> tuple[int, ...]:
    """Choose the size of blocks: whole chunks, where the array has chunks."""
    shape = tuple(int(length) for length in data.shape)
    chunks = tuple(int(side) for side in getattr(data, "chunks", None) or (1,) * len(shape))
    sides = list(chunks)
    for axis in reversed(range(len(shape))):  # along the last axis first: as memory lies
        others = math.prod(sides) // sides[axis]
        wanted = max(_BLOCK_PX // (others * chunks[axis]), 1) * chunks[axis]
        sides[axis] = max(min(wanted, shape[axis]), 1)
    return tuple(sides)


def _tally(block: NDArray[Any], start: Sequence[int]) -> dict[int, Entry]:
    """Count each label id of a block and find its box."""
    from scipy import ndimage

    if block.max() <= 0:  # much faster than to look for single pixels
        return {}
    flat = np.flatnonzero(block > 0)
    values = block.reshape(-1)[flat]
    names: NDArray[Any] | None = None
    if values.max() <= block.size:
        numbers = block
    else:  # ids far higher than their number: number those that are there
        names, values = np.unique(values, return_inverse=True)
        values = values + 1
        numbers = np.zeros(block.shape, dtype=np.int32)
        numbers.reshape(-1)[flat] = values
    areas = np.bincount(values.astype(np.intp, copy=False))
    tally = {}
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        if box is not None:
            label_id = number if names is None else int(names[number - 1])
            tally[label_id] = Entry(
                int(areas[number]),
                tuple(part.start + a for part, a in zip(box, start, strict=True)),
                tuple(part.stop + a for part, a in zip(box, start, strict=True)),
            )
    return tally


def _tally_edit(edit: LabelsEdit, old: NDArray[Any], new: NDArray[Any]) -> dict[int, Entry]:
    """Count what each label id gets or loses by an edit."""
    rows, cols = edit.region
    start, stop = edit.plane.lift([[rows.start, cols.start], [rows.stop - 1, cols.stop - 1]])
    ends = tuple(int(v) for v in start), tuple(int(v) + 1 for v in stop)
    tally: dict[int, Entry] = {}
    for values, sign in ((new, 1), (old, -1)):
        found, counts = np.unique(values, return_counts=True)
        for label_id, count in zip(found.tolist(), counts.tolist(), strict=True):
            if label_id > 0:
                change = Entry(sign * count, *ends, loose=True)
                tally[label_id] = tally[label_id] + change if label_id in tally else change
    return tally
