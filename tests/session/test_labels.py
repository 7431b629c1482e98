"""Edits of a labels layer: exact, no larger than the object, and reversible around hand edits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from napari.layers import Image, Labels

from napari_samhq.errors import LayerError
from napari_samhq.session.labels import (
    LabelIds,
    check_labels,
    edit_to_commit,
    edit_to_delete,
    write,
)
from napari_samhq.session.plane import Plane

FLAT = Plane((0, 1))
masks = hnp.arrays(bool, (12, 15))
present = hnp.arrays(np.int32, (12, 15), elements=st.integers(0, 3))


def _whole(mask):
    return tuple(slice(0, length) for length in mask.shape)


@given(present, masks, st.booleans(), st.sampled_from([2, 7]))
@settings(max_examples=60, deadline=None)
def test_a_commit_writes_the_mask_and_nothing_else(data, mask, preserve, label_id):
    labels = Labels(data.copy())
    labels.preserve_labels = preserve
    free = (data == 0) | (data == label_id) if preserve else np.ones_like(mask)
    if not (mask & free).any():
        with pytest.raises(LayerError):
            edit_to_commit(labels, FLAT, mask, _whole(mask), label_id)
        return
    edit = edit_to_commit(labels, FLAT, mask, _whole(mask), label_id)
    np.testing.assert_array_equal(labels.data, data)  # nothing is written before all is known
    write(labels, edit)
    expected = np.where(data == label_id, 0, data)
    expected[mask & free] = label_id
    np.testing.assert_array_equal(labels.data, expected)
    write(labels, edit, back=True)
    np.testing.assert_array_equal(labels.data, data)


def test_an_edit_is_no_larger_than_the_object():
    labels = Labels(np.zeros((500, 600), dtype=np.int32))
    mask = np.zeros((500, 600), dtype=bool)
    mask[100:110, 200:220] = True
    edit = edit_to_commit(labels, FLAT, mask, _whole(mask), 1)
    assert edit.changed.shape == (10, 20)
    assert edit.old.size == edit.new.size == 200


def test_a_mask_over_a_region_goes_where_the_region_is():
    labels = Labels(np.zeros((50, 60), dtype=np.int32))
    mask = np.ones((4, 5), dtype=bool)
    write(labels, edit_to_commit(labels, FLAT, mask, (slice(20, 24), slice(30, 35)), 1))
    assert labels.data[20:24, 30:35].all()
    assert labels.data.sum() == 20


def test_taking_back_leaves_what_was_painted_since():
    labels = Labels(np.zeros((12, 15), dtype=np.int32))
    mask = np.zeros((12, 15), dtype=bool)
    mask[2:8, 3:9] = True
    edit = edit_to_commit(labels, FLAT, mask, _whole(mask), 1)
    write(labels, edit)
    labels.data_setitem((np.array([3, 11]), np.array([4, 14])), 5)
    write(labels, edit, back=True)
    assert sorted(map(tuple, np.argwhere(labels.data))) == [(3, 4), (11, 14)]


@pytest.mark.parametrize("axes", [(0, 1), (0, 2), (1, 2)])
def test_any_plane_of_a_stack(axes):
    labels = Labels(np.zeros((6, 7, 8), dtype=np.uint16))
    plane = Plane(axes, (3,))
    mask = np.zeros([labels.data.shape[axis] for axis in axes], dtype=bool)
    mask[2:4, 1:5] = True
    write(labels, edit_to_commit(labels, plane, mask, _whole(mask), 9))
    np.testing.assert_array_equal(labels.data[plane.index()] == 9, mask)
    assert np.count_nonzero(labels.data) == mask.sum()
    write(labels, edit_to_delete(labels, plane, 9))
    assert not labels.data.any()


def test_label_ids_stay_above_all_that_was_ever_there():
    labels = Labels(np.array([[0, 4], [2, 0]]))
    ids = LabelIds(labels)
    assert ids.next() == 5
    assert ids.give(FLAT) == 5
    assert ids.next() == 6
    labels.data_setitem((np.array([0]), np.array([0])), 30)
    assert ids.give(FLAT) == 31
    labels.data = np.array([[50, 0], [0, 0]])
    assert ids.give(FLAT) == 51
    labels.data[0, 0] = 52  # behind napari's back
    assert ids.give(FLAT) == 53


def test_layers_that_cannot_be_written_to_are_refused():
    image = Image(np.zeros((64, 96)))
    pyramid = Labels([np.zeros((64, 96), dtype=int), np.zeros((32, 48), dtype=int)])
    with pytest.raises(LayerError, match="multiscale"):
        check_labels(pyramid, image)
