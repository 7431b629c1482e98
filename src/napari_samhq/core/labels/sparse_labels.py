"""Sparse label images: only blocks that hold an object are stored.

With them a journal alone rebuilds the labels, pixel by pixel::

    base --(edit)--> --(edit)--> ... --> labels          rebuild_labels
    base <--(edit)-- <--(edit)-- ... <-- labels          base_of
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.journal.events import Committed, Deleted, LabelsEdit, Painted
from napari_samhq.core.masks.cropped import bounds_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from napari_samhq.core.journal.events import Event

__all__ = ["BLOCK_PX", "Block", "SparseLabels", "base_of", "edits_of", "rebuild_labels"]

#: Side of a block along the last two axes, in pixels; it is 1 along all others.
BLOCK_PX = 256

#: Place of a block, counted in blocks along each axis.
Block = tuple[int, ...]


def edits_of(event: Event) -> tuple[LabelsEdit, ...]:
    """Collect what an event changed in the labels, in order."""
    if isinstance(event, Committed):
        return tuple(commit.edit for commit in event.commits)
    if isinstance(event, Deleted):
        return (event.edit,)
    return event.edits if isinstance(event, Painted) else ()


class SparseLabels:
    """A label image of any number of axes, as blocks; those of zeros only are left out.

    Parameters
    ----------
    shape : tuple of ints
        Shape of the image, two axes or more.
    dtype : dtype
        Type of integers.
    blocks : mapping, optional
        Arrays by their place. They are not changed here: an edit replaces them by others.

    Examples
    --------
    >>> image = np.zeros((3, 1000, 1000), dtype=np.uint16)
    >>> image[2, 10:20, 900:910] = 7
    >>> labels = SparseLabels.of(image)
    >>> list(labels.blocks), labels.nbytes
    ([(2, 0, 3)], 118784)
    >>> bool((labels.array() == image).all())
    True
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: Any,
        blocks: Mapping[Block, NDArray[Any]] | None = None,
    ) -> None:
        self.shape, self.dtype = tuple(shape), np.dtype(dtype).newbyteorder("=")
        self.blocks: dict[Block, NDArray[Any]] = dict(blocks or {})

    @classmethod
    def of(cls, array: Any, only: Iterable[Block] | None = None) -> SparseLabels:
        """Take the labels of an array, which may be a lazy one: it is read block by block.

        Parameters
        ----------
        array : array of integers, numpy or zarr
            The labels. If it has a method `is_empty`, regions that it is true of are not read.
        only : iterable of places, optional
            Read these blocks and no others.
        """
        labels = cls(tuple(int(length) for length in array.shape), array.dtype)
        is_empty = getattr(array, "is_empty", None)
        for place in labels._places() if only is None else only:
            if is_empty is not None and is_empty(labels.slices(place)):
                continue
            values = np.asarray(array[labels.slices(place)])
            if values.any():
                labels.blocks[place] = values.astype(labels.dtype)  # a copy, in native byte order
        return labels

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SparseLabels):
            return NotImplemented
        same = self.shape == other.shape and self.dtype == other.dtype
        return same and not any(True for _ in self._differing(other))

    __hash__ = None  # type: ignore[assignment]  # it changes

    @property
    def nbytes(self) -> int:
        """Memory that the blocks take, in bytes."""
        return sum(block.nbytes for block in self.blocks.values())

    def copy(self) -> SparseLabels:
        """Make another one that can be changed alone; the blocks are shared until then."""
        return SparseLabels(self.shape, self.dtype, self.blocks)

    def array(self) -> NDArray[Any]:
        """Make the whole array."""
        whole: NDArray[Any] = np.zeros(self.shape, dtype=self.dtype)
        for place, values in self.blocks.items():
            whole[self.slices(place)] = values
        return whole

    def slices(self, place: Block) -> tuple[slice, ...]:
        """Tell which part of the array a block covers."""
        return tuple(
            slice(index * side, min((index + 1) * side, length))
            for index, side, length in zip(place, self.sides, self.shape, strict=True)
        )

    def touched(self, edits: Iterable[LabelsEdit]) -> set[Block]:
        """Tell in which blocks the changed pixels of edits lie."""
        return {place for edit in edits for place, _ in self._parts(edit)}

    def apply(self, edit: LabelsEdit, *, back: bool = False) -> None:
        """Make an edit, or take it back.

        Pixels that have another value than the edit knows stay as they are, as in a labels layer:
        somebody has changed them since.
        """
        before, after = (edit.new, edit.old) if back else (edit.old, edit.new)
        for place, (indices, chosen) in self._parts(edit):
            empty = place not in self.blocks
            block = self._zeros(place) if empty else self.blocks[place]
            untouched = block[indices] == before[chosen]
            if untouched.any():
                block = block.copy()
                where = tuple(axis[untouched] for axis in indices)
                block[where] = after[chosen][untouched]
                self.blocks[place] = block

    def differences(self, other: SparseLabels) -> tuple[LabelsEdit, ...]:
        """Find the edits that turn these labels into other ones of the same shape and type."""
        edits = []
        ndim = len(self.shape)
        for place, mine, theirs in self._differing(other):
            old, new = (part.reshape(part.shape[-2:]) for part in (mine, theirs))
            rows, cols = bounds_of(old != new)
            old, new = old[rows, cols], new[rows, cols]
            start = [part.start for part in self.slices(place)]
            plane = Plane((ndim - 2, ndim - 1), tuple(start[:-2]))
            region = (
                slice(start[-2] + rows.start, start[-2] + rows.stop),
                slice(start[-1] + cols.start, start[-1] + cols.stop),
            )
            changed = old != new
            edits.append(LabelsEdit(plane, region, changed, old[changed], new[changed]))
        return tuple(edits)

    @property
    def sides(self) -> tuple[int, ...]:
        """Length of a block along each axis, in pixels."""
        return (1,) * (len(self.shape) - 2) + (BLOCK_PX, BLOCK_PX)

    def _places(self) -> Iterator[Block]:
        counts = (math.ceil(n / side) for n, side in zip(self.shape, self.sides, strict=True))
        return itertools.product(*map(range, counts))

    def _zeros(self, place: Block) -> NDArray[Any]:
        return np.zeros([s.stop - s.start for s in self.slices(place)], dtype=self.dtype)

    def _differing(self, other: SparseLabels) -> Iterator[tuple[Block, NDArray[Any], NDArray[Any]]]:
        """Go through the blocks in which two label images differ."""
        for place in sorted(self.blocks.keys() | other.blocks.keys()):
            mine, theirs = (one.blocks.get(place) for one in (self, other))
            if mine is theirs:
                continue
            mine = self._zeros(place) if mine is None else mine
            theirs = self._zeros(place) if theirs is None else theirs
            if not np.array_equal(mine, theirs):
                yield place, mine, theirs

    def _parts(
        self, edit: LabelsEdit
    ) -> Iterator[tuple[Block, tuple[tuple[NDArray[np.intp], ...], NDArray[np.intp]]]]:
        """Divide the pixels of an edit: each block, indices into it, places in `old` and `new`."""
        rows, cols = np.nonzero(edit.changed)
        if not rows.size:
            return
        points = edit.plane.lift(
            np.stack([rows + edit.region[0].start, cols + edit.region[1].start], axis=1)
        ).astype(np.intp)
        sides = np.array(self.sides)
        places = points // sides
        found, belongs = np.unique(places, axis=0, return_inverse=True)
        for number, place in enumerate(found):
            chosen = np.flatnonzero(belongs.reshape(-1) == number)
            inside = points[chosen] - place * sides
            key = tuple(int(index) for index in place)
            yield key, (tuple(inside.T), chosen)


def rebuild_labels(events: Iterable[Event], base: SparseLabels) -> SparseLabels:
    """Make the labels again from what they were at the beginning and all that happened since.

    Parameters
    ----------
    events : iterable of Event
        The events that count, as a :class:`~napari_samhq.core.journal.events.Journal` gives them.
    base : SparseLabels
        The labels before the first one; stays as it is.

    Examples
    --------
    >>> rebuild_labels([], SparseLabels((4, 4), int)).array().max()
    np.int64(0)
    """
    labels = base.copy()
    for event in events:
        for edit in edits_of(event):
            labels.apply(edit)
    return labels


def base_of(events: Iterable[Event], labels: SparseLabels) -> SparseLabels:
    """Take all events back: what the labels were before the first one.

    Parameters
    ----------
    events : iterable of Event
        The events that count, the earliest first.
    labels : SparseLabels
        The labels after the last one; stay as they are.
    """
    base = labels.copy()
    for event in reversed(list(events)):
        for edit in reversed(edits_of(event)):
            base.apply(edit, back=True)
    base.blocks = {place: block for place, block in base.blocks.items() if block.any()}
    return base
