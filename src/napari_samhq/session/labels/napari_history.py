"""Read napari's private undo history of a labels layer, and turn its items into edits in planes.

Nothing else in the package touches that history. Where a new napari changes it, the canary in
`tests/session/labels/test_napari_history.py` fails, and this file is what has to follow.

A stroke of napari's brush, a fill, an erasure or a polygon is one item of its history: a list of
atoms in the order in which they happened. An atom has either `slice_key, mask, old_values,
new_value` (a box of the data and the pixels of it that changed; a mask of None stands for all), or
`indices, old values, new values` as `data_setitem` takes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.journal.events import LabelsEdit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari.layers import Labels
    from numpy.typing import NDArray

__all__ = [
    "Item",
    "done_items",
    "edits_of_item",
    "is_in_stroke",
    "key_of",
    "next_item",
    "undone_keys",
]

#: What napari undoes in one step.
Item: TypeAlias = "Sequence[Any]"

# A long thin stroke is cut along this grid, so that it costs what it covers, not its whole box.
_TILE_PX = 1024


def done_items(labels: Labels) -> list[Item]:
    """List what napari can undo in a layer, the earliest first."""
    return list(labels._undo_history)


def next_item(labels: Labels) -> Item:
    """Get what napari would do again next, its atoms in the order in which they happened."""
    return list(reversed(labels._redo_history[-1])) if labels._redo_history else ()


def is_in_stroke(labels: Labels) -> bool:
    """Whether edits were made that will be added to the history together with later ones."""
    return bool(labels._staged_history)


def undone_keys(labels: Labels) -> set[int]:
    """Name the items that can be done again."""
    return {id(item[-1]) for item in labels._redo_history}


def key_of(item: Item) -> int:
    """Name an item as long as it lives: napari makes new lists, of the same atoms."""
    return id(item[0]) if item else 0


def edits_of_item(item: Item, shape: tuple[int, ...], dtype: Any) -> tuple[LabelsEdit, ...]:
    """Turn an item of napari's history into edits.

    Parameters
    ----------
    item : sequence of atoms
        In the order in which they happened.
    shape : tuple of ints
        Shape of the layer's data.
    dtype : dtype
        Type of the layer's data.

    Returns
    -------
    tuple of LabelsEdit
        What all atoms together changed, each pixel in one of them; empty if they changed nothing.

    Examples
    --------
    >>> item = [((np.array([2, 3]), np.array([5, 5])), np.array([0, 0]), 7)]
    >>> (edit,) = edits_of_item(item, (8, 8), np.uint8)
    >>> edit.region, edit.new.tolist()
    ((slice(2, 4, None), slice(5, 6, None)), [7, 7])
    """
    if len(item) == 1 and hasattr(item[0], "slice_key"):
        edit = _one_box(item[0], dtype)
        if edit is not None:
            return (edit,)
    places, old, new = _all_pixels(item, dtype)
    key = np.ravel_multi_index(tuple(places.T), shape)
    _, first = np.unique(key, return_index=True)
    _, last = np.unique(key[::-1], return_index=True)
    places, old, new = places[first], old[first], new[::-1][last]
    changed = old != new
    return tuple(_edits(places[changed], old[changed], new[changed]))


def _one_box(atom: Any, dtype: Any) -> LabelsEdit | None:
    """Take over a fill or a polygon in one plane as it is, without a list of its pixels."""
    box: tuple[slice, ...] = atom.slice_key
    axes = _axes(tuple(part.stop - part.start for part in box))
    plane = Plane(axes, tuple(p.start for axis, p in enumerate(box) if axis not in axes))
    height, width = (box[axis].stop - box[axis].start for axis in axes)
    if height * width != int(np.prod([part.stop - part.start for part in box])):
        return None  # it goes through several planes
    changed = np.ones((height, width), dtype=bool)
    if atom.mask is not None:
        changed = np.asarray(atom.mask, dtype=bool).reshape(height, width)
    old = np.asarray(atom.old_values, dtype=dtype).reshape(-1)
    new: NDArray[Any] = np.full_like(old, atom.new_value)
    return LabelsEdit(plane, (box[axes[0]], box[axes[1]]), changed, old, new)


def _all_pixels(item: Item, dtype: Any) -> tuple[NDArray[np.intp], NDArray[Any], NDArray[Any]]:
    """List each change of a pixel in order: place (N, ndim), value before and after (N,)."""
    places, old, new = [], [], []
    for atom in item:
        if hasattr(atom, "slice_key"):
            starts = np.array([part.start for part in atom.slice_key])
            size = [part.stop - part.start for part in atom.slice_key]
            mask = np.ones(size, dtype=bool) if atom.mask is None else atom.mask
            where = np.argwhere(mask) + starts
            before, after = atom.old_values, atom.new_value
        else:
            indices, before, after = atom
            where = np.stack([np.asarray(axis).reshape(-1) for axis in indices], axis=1)
        places.append(where.astype(np.intp))
        old.append(np.asarray(before, dtype=dtype).reshape(-1))
        new.append(np.broadcast_to(np.asarray(after, dtype=dtype).reshape(-1), len(where)))
    return np.concatenate(places), np.concatenate(old), np.concatenate(new)


def _edits(places: NDArray[np.intp], old: NDArray[Any], new: NDArray[Any]) -> Iterator[LabelsEdit]:
    """Sort changed pixels into planes, and within a plane into tiles."""
    if not len(places):
        return
    axes = _axes(tuple(np.ptp(places, axis=0) + 1))
    others = [axis for axis in range(places.shape[1]) if axis not in axes]
    inside = places[:, axes]
    groups = np.concatenate([places[:, others], inside // _TILE_PX], axis=1)
    found, belongs = np.unique(groups, axis=0, return_inverse=True)
    order = np.argsort(belongs.reshape(-1), kind="stable")
    ends = np.cumsum(np.bincount(belongs.reshape(-1)))
    for group, chosen in zip(found, np.split(order, ends[:-1]), strict=True):
        rows, cols = inside[chosen].T
        region = (
            slice(int(rows.min()), int(rows.max()) + 1),
            slice(int(cols.min()), int(cols.max()) + 1),
        )
        rows, cols = rows - region[0].start, cols - region[1].start
        size = (region[0].stop - region[0].start, region[1].stop - region[1].start)
        by_pixel = np.lexsort((cols, rows))  # values stand in the order of the pixels
        changed = np.zeros(size, dtype=bool)
        changed[rows, cols] = True
        plane = Plane(axes, tuple(int(place) for place in group[: len(others)]))
        yield LabelsEdit(plane, region, changed, old[chosen][by_pixel], new[chosen][by_pixel])


def _axes(extents: tuple[int, ...]) -> tuple[int, int]:
    """Choose the plane of a change: the last two axes, before them those along which it goes."""
    by_use = sorted(range(len(extents)), key=lambda axis: (extents[axis] > 1, axis))
    first, second = sorted(by_use[-2:])
    return first, second
