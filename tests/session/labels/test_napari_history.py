"""Canary for napari's private undo history of labels layers."""

from __future__ import annotations

from collections import deque

import numpy as np
from napari.layers import Labels


def test_what_napari_keeps_private_is_still_there():
    # All that is used of it: two rows of items, an item being a list of atoms in order, the row of
    # what can be done again with its atoms turned round. Where this fails, napari keeps its history
    # in another way: mend session/labels/napari_history.py, the only file that reads it. Until
    # then undo works by the session, and napari's own undo of a layer counts as an edit by hand.
    layer = Labels(np.zeros((20, 20), dtype=np.int32))
    with layer.block_history():
        layer.paint((5, 5), 3)
        layer.data_setitem((np.array([1]), np.array([2])), 4)
    assert isinstance(layer._undo_history, deque)
    (item,) = layer._undo_history
    assert [len(atom) for atom in item] == [4, 3]
    assert item[0]._fields == ("slice_key", "mask", "old_values", "new_value")
    layer.undo()
    assert not layer._undo_history
    (back,) = layer._redo_history
    assert [id(atom) for atom in back] == [id(atom) for atom in reversed(item)]
    layer.redo()
    assert [id(atom) for atom in layer._undo_history[-1]] == [id(atom) for atom in item]
    layer.editable = False
    assert not layer._undo_history
    assert layer._staged_history == []
