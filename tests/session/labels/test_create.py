"""The labels layer of a session: which ones will do, and what becomes of masks in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from napari.layers import Image, Labels

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.journal.drafts import Step
from napari_samhq.core.journal.events import ObjectRecord
from napari_samhq.core.journal.shapes_drawn import Drawn
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.errors import LayerError
from napari_samhq.session import editable_copy
from napari_samhq.session.labels.create import check_labels
from napari_samhq.session.labels.tracked_labels import TrackedLabels
from napari_samhq.settings import CommitRules

FLAT = Plane((0, 1))
KINDS = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", ">u2"]
masks = hnp.arrays(bool, (12, 15))
present = hnp.arrays(np.int32, (12, 15), elements=st.integers(0, 3))


def bind(layer):
    ignore = lambda *_: None  # noqa: E731
    return TrackedLabels(layer, on_paint=ignore, on_history=ignore, on_replaced=ignore)


def zarr_array(data, chunks=(5, 6), **options):
    import zarr

    array = zarr.create_array({}, shape=data.shape, chunks=chunks, dtype=data.dtype, **options)
    array[:] = data
    return array


@given(present, masks, st.booleans(), st.sampled_from([2, 7]))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize(
    "storage",
    [
        pytest.param("numpy", id="FM-42-numpy"),
        pytest.param("zarr", id="FM-42-zarr"),
    ],
)
def test_other_objects_keep_their_pixels_if_the_layer_says_so_and_one_undo_restores_all(
    storage, data, mask, preserve, label_id
):
    layer = Labels(data.copy() if storage == "numpy" else zarr_array(data))
    layer.preserve_labels = preserve
    bound = bind(layer)
    free = (data == 0) | (data == label_id) if preserve else np.ones_like(mask)
    if not (mask & free).any():
        return
    edit = bound.edit_to_commit(FLAT, CroppedMask.of(mask), label_id, CommitRules())
    bound.write([edit])
    expected = np.where(data == label_id, 0, data)
    expected[mask & free] = label_id
    np.testing.assert_array_equal(layer.data[:], expected)
    layer.undo()  # napari's own
    np.testing.assert_array_equal(layer.data[:], data)
    layer.redo()
    bound.take_back([edit])
    np.testing.assert_array_equal(layer.data[:], data)
    bound.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", [(0, 1), (0, 2), (1, 2)])
def test_any_type_of_integers_and_any_plane_of_a_stack(kind, axes):
    layer = Labels(np.zeros((6, 7, 8), dtype=kind))
    bound, plane = bind(layer), Plane(axes, (3,))
    mask = np.zeros([layer.data.shape[axis] for axis in axes], dtype=bool)
    mask[2:4, 1:5] = True
    bound.write([bound.edit_to_commit(plane, CroppedMask.of(mask), 9, CommitRules())])
    assert layer.data.dtype == np.dtype(kind)
    np.testing.assert_array_equal(layer.data[plane.index()] == 9, mask)
    assert np.count_nonzero(layer.data) == mask.sum() == bound.area(9)
    bound.write([bound.edit_to_delete(plane, 9)])
    assert not layer.data.any()
    assert bound.area(9) == 0


def test_taking_back_leaves_what_was_written_past_napari_since():
    layer = Labels(np.zeros((12, 15), dtype=np.int32))
    bound = bind(layer)
    mask = CroppedMask.of(np.ones((6, 6), dtype=bool), (2, 3))
    edit = bound.edit_to_commit(FLAT, mask, 1, CommitRules())
    bound.write([edit])
    layer.data[3, 4] = layer.data[11, 14] = 5
    bound.take_back([edit])
    assert sorted(map(tuple, np.argwhere(layer.data))) == [(3, 4), (11, 14)]


# ------------------------------------------------------------------------------------------- ids


def test_label_ids_stay_above_all_that_is_or_was_there():
    layer = Labels(np.array([[0, 4], [2, 0]]))
    bound = bind(layer)
    assert bound.free_id() == 5
    bound.use(7)
    assert bound.free_id() == 8
    layer.data_setitem((np.array([0]), np.array([0])), 30)
    assert bound.free_id() == 31
    layer.data = np.array([[50, 0], [0, 0]])
    assert bound.free_id() == 51
    layer.data[0, 0] = 52  # past napari
    assert bound.is_taken(52, FLAT)
    assert not bound.is_taken(53, FLAT)
    assert bound.free_id() == 53


@pytest.mark.parametrize(
    "kind", [pytest.param("u1", id="FM-41-uint8"), pytest.param("i1", id="FM-41-int8")]
)
def test_gaps_are_filled_where_the_type_ends_and_then_it_is_full(kind):
    limit = np.iinfo(kind).max
    data = np.zeros((16, 16), dtype=kind)
    data[0, 0] = limit  # such as a mask of 0 and 255
    bound = bind(Labels(data))
    assert bound.free_id() == 1
    data.reshape(-1)[:limit] = np.arange(1, limit + 1)
    bound = bind(Labels(data))
    one = CroppedMask.of(np.ones((2, 2), dtype=bool))
    with pytest.raises(LayerError, match=f"end at {limit}, so object {limit + 1} does not fit"):
        bound.edit_to_commit(FLAT, one, bound.free_id(), CommitRules())


def test_looking_at_the_layer_part_by_part_gives_what_one_look_gives(monkeypatch):
    from napari_samhq.core.labels import label_index as census

    monkeypatch.setattr(census, "_BLOCK_PX", 16)
    layer = Labels(np.arange(64, dtype=np.int32).reshape(8, 8))
    bound = bind(layer)
    assert bound.look()
    with layer.block_history():
        layer.paint((1, 1), 90)
        assert bound.look()  # it waits while a stroke goes on
        layer.paint((6, 6), 91)
    while bound.look():
        pass
    fresh = bind(layer)
    assert bound.free_id() == fresh.free_id() == 92
    assert [bound.area(i) for i in range(92)] == [fresh.area(i) for i in range(92)]


# -------------------------------------------------------------------------------- semantic values


def _record(label_id, mask, rules):
    return ObjectRecord(
        label_id, FLAT, (Step(Drawn()),), 1.0, "micro", rules=rules.pairs(), mask=mask
    )


def test_objects_of_one_class_share_a_value_and_are_still_objects():
    rules = CommitRules(mode="semantic", semantic_value=5)
    layer = Labels(np.zeros((12, 15), dtype=np.uint8))
    bound = bind(layer)
    one = CroppedMask.of(np.ones((6, 6), dtype=bool), (1, 1))
    two = CroppedMask.of(np.ones((6, 6), dtype=bool), (4, 4))
    records = []
    for label_id, mask in ((1, one), (2, two)):
        bound.write([bound.edit_to_commit(FLAT, mask, label_id, rules, others=records)])
        records.append(_record(label_id, mask, rules))
    assert set(np.unique(layer.data)) == {0, 5}
    assert [bound.area(r.label_id, r) for r in records] == [36, 36]
    assert bound.ids_without(records) == []
    # Without the first object all of the second one is there, where they overlapped too.
    edit = bound.edit_to_delete(FLAT, 1, records[0], records)
    bound.write([edit])
    np.testing.assert_array_equal(layer.data == 5, two.within((12, 15)))
    bound.take_back([edit])
    # The same when the first one is made smaller.
    small = CroppedMask.of(np.ones((2, 2), dtype=bool), (1, 1))
    bound.write([bound.edit_to_commit(FLAT, small, 1, rules, record=records[0], others=records)])
    np.testing.assert_array_equal(layer.data == 5, two.within((12, 15)) | small.within((12, 15)))


def test_an_object_may_change_from_a_value_of_its_own_to_that_of_a_class():
    layer = Labels(np.zeros((12, 15), dtype=np.uint8))
    bound = bind(layer)
    one = CroppedMask.of(np.ones((6, 6), dtype=bool), (1, 1))
    bound.write([bound.edit_to_commit(FLAT, one, 3, CommitRules())])
    record = ObjectRecord(3, FLAT, (Step(Drawn()),), 1.0, "micro", rules=CommitRules().pairs())
    small = CroppedMask.of(np.ones((2, 2), dtype=bool), (1, 1))
    rules = CommitRules(mode="semantic", semantic_value=9, overlap="keep")
    bound.write([bound.edit_to_commit(FLAT, small, 3, rules, record=record, others=[record])])
    assert np.unique(layer.data, return_counts=True)[1].tolist() == [176, 4]
    assert layer.data.max() == 9


# -------------------------------------------------------------------------- layers that will not do


def _read_only(data):
    data.flags.writeable = False
    return data


def _dask(data):
    import dask.array

    return dask.array.from_array(data)


def _read_only_zarr(data):
    import zarr

    store = zarr.storage.MemoryStore()
    zarr.create_array(store, data=data)
    return zarr.open_array(store, mode="r")


BAD = [
    pytest.param(_dask, "a dask Array", id="FM-43-dask"),
    pytest.param(_read_only, "read-only", id="FM-43-read-only"),
    pytest.param(_read_only_zarr, "a read-only zarr Array", id="FM-43-read-only-zarr"),
    pytest.param(lambda data: [data, data[::2, ::2]], "multiscale", id="FM-43-multiscale"),
]


@pytest.mark.parametrize(("make", "words"), BAD)
def test_layers_that_cannot_be_written_to_are_refused_and_can_be_copied(make, words):
    data = np.arange(64 * 96, dtype=np.uint16).reshape(64, 96)
    image = Image(np.zeros((64, 96)), scale=(2, 3))
    layer = Labels(make(data.copy()), scale=(2, 3), name="cells")
    with pytest.raises(LayerError, match=f"(?s){words}.*editable_copy"):
        check_labels(layer, image)
    copy = editable_copy(layer)
    check_labels(copy, image)
    assert copy.data.dtype == data.dtype
    np.testing.assert_array_equal(copy.data, data)
    mask = CroppedMask.of(np.ones((3, 3), dtype=bool))
    bound = bind(copy)
    rules = CommitRules(overlap="overwrite")
    bound.write([bound.edit_to_commit(FLAT, mask, bound.free_id(), rules)])
    assert (copy.data[:3, :3] == 64 * 96).all()


@pytest.mark.parametrize("chunks", [pytest.param((5, 6), id="FM-43-zarr")])
def test_zarr_will_do(chunks):
    layer = Labels(zarr_array(np.zeros((64, 96), dtype=np.uint16), chunks))
    check_labels(layer, Image(np.zeros((64, 96))))
