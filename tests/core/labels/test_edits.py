"""Edits of labels and the census of them: exact, reversible, and never more than is needed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.journal.events import LabelsEdit
from napari_samhq.core.labels import label_index as census_module
from napari_samhq.core.labels.edits import (
    edit_to_clear,
    edit_to_place,
    pixels_with,
    reverse,
    same_edits,
)
from napari_samhq.core.labels.label_index import Census
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.errors import LayerError, PromptError
from napari_samhq.settings import CommitRules

FLAT = Plane((0, 1))
masks = hnp.arrays(bool, (12, 15))
present = hnp.arrays(np.int32, (12, 15), elements=st.integers(-1, 4))
overlaps = st.sampled_from(["follow layer", "keep", "overwrite"])


def apply(data, edit):
    """What an edit means, in its simplest form."""
    view = data[edit.plane.index(edit.region)]
    np.testing.assert_array_equal(view[edit.changed], edit.old)
    view[edit.changed] = edit.new


class Watched:
    """Labels that count the pixels that are read."""

    def __init__(self, data):
        self.data, self.shape, self.dtype, self.pixels = data, data.shape, data.dtype, 0

    def __getitem__(self, index):
        part = self.data[index]
        self.pixels += part.size
        return part


@given(present, masks, overlaps, st.booleans(), st.sampled_from([2, 7]))
@settings(max_examples=100, deadline=None)
def test_an_object_gets_its_mask_and_nothing_else_changes(data, mask, overlap, preserve, value):
    rules = CommitRules(overlap=overlap)
    free = np.ones_like(mask)
    if not rules.overwrites(preserve_labels=preserve):
        free = (data == 0) | (data == value)
    had = pixels_with(data, FLAT, value, (slice(0, 12), slice(0, 15)))
    place = {"rules": rules, "preserve_labels": preserve, "had": had}
    if not (mask & free).any():
        with pytest.raises((LayerError, PromptError)):
            edit_to_place(data, FLAT, CroppedMask.of(mask), value, **place)
        return
    before = data.copy()
    edit = edit_to_place(data, FLAT, CroppedMask.of(mask), value, **place)
    np.testing.assert_array_equal(data, before)  # nothing is written here
    expected = np.where(data == value, 0, data)
    expected[mask & free] = value
    apply(data, edit)
    np.testing.assert_array_equal(data, expected)
    assert edit.changed.shape == tuple(part.stop - part.start for part in edit.region)
    if edit.changed.size:  # no larger than what changes
        assert edit.changed[0].any()
        assert edit.changed[:, -1].any()
    (back,) = reverse([edit])
    apply(data, back)
    np.testing.assert_array_equal(data, before)
    assert same_edits(reverse([back]), [edit])
    assert same_edits([back], [edit]) == (not edit.changed.any())


def test_only_the_object_is_read_however_large_the_labels_are():
    labels = Watched(np.zeros((3, 2000, 3000), dtype=np.uint16))
    mask = CroppedMask.of(np.ones((10, 20), dtype=bool), (1900, 2900))
    rules = CommitRules()
    edit = edit_to_place(labels, Plane((1, 2), (2,)), mask, 9, rules=rules, preserve_labels=True)
    assert labels.pixels == 200
    assert edit.new.tolist() == [9] * 200
    assert edit.region == (slice(1900, 1910), slice(2900, 2920))


@given(present, masks)
@settings(deadline=None)
def test_an_object_is_cleared_where_it_still_has_its_value(data, mask):
    expected = np.where(mask & (data == 3), 0, data)
    apply(data, edit_to_clear(data, FLAT, CroppedMask.of(mask), 3))
    np.testing.assert_array_equal(data, expected)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((10, 50), id="FM-44-fewer-rows"),
        pytest.param((3, 50, 50), id="FM-44-another-number-of-axes"),
    ],
)
def test_labels_that_end_before_the_mask_are_refused(shape):
    mask = CroppedMask.of(np.ones((5, 5), dtype=bool), (8, 8))
    with pytest.raises(LayerError, match="other data"):
        edit_to_place(
            np.zeros(shape, dtype=int), FLAT, mask, 1, rules=CommitRules(), preserve_labels=True
        )


@pytest.mark.parametrize(
    ("dtype", "fits"),
    [
        pytest.param(np.uint8, 255, id="FM-41-uint8"),
        pytest.param(np.int8, 127, id="FM-41-int8"),
        pytest.param(np.uint16, 65535, id="FM-41-uint16"),
        pytest.param(np.int32, 2**31 - 1, id="FM-41-int32"),
    ],
)
def test_a_value_beyond_the_type_is_refused_and_never_wraps(dtype, fits):
    data = np.zeros((4, 4), dtype=dtype)
    mask = CroppedMask.of(np.ones((2, 2), dtype=bool))
    rules = CommitRules()
    edit = edit_to_place(data, FLAT, mask, fits, rules=rules, preserve_labels=True)
    assert edit.new.dtype == dtype
    assert edit.new.tolist() == [fits] * 4
    with pytest.raises(LayerError, match=f"end at {fits}, so object {fits + 1} does not fit"):
        edit_to_place(data, FLAT, mask, fits + 1, rules=rules, preserve_labels=True)


def test_what_others_leave_of_an_object_may_be_too_small():
    data = np.array([[5, 5, 0, 0]])
    mask = CroppedMask.of(np.ones((1, 4), dtype=bool))
    rules = CommitRules(smallest_area=3)
    with pytest.raises(PromptError, match="2 pixels, fewer than the smallest area of 3"):
        edit_to_place(data, FLAT, mask, 8, rules=rules, preserve_labels=True)
    edit = edit_to_place(data, FLAT, mask, 8, rules=rules, preserve_labels=False)
    assert edit.new.tolist() == [8] * 4


# --------------------------------------------------------------------------------------- census


def _check(census, data):
    found, counts = np.unique(data[data > 0], return_counts=True)
    assert census.ids == found.tolist()
    assert census.highest == max(found.tolist(), default=0)
    for label_id, count in zip(found.tolist(), counts.tolist(), strict=True):
        assert census.area(label_id) == count
        assert label_id in census
        for z in range(data.shape[0]):
            plane = Plane((1, 2), (z,))
            region = census.region(plane, label_id)
            inside = 0 if region is None else (data[plane.index(region)] == label_id).sum()
            assert inside == (data[z] == label_id).sum()
        first = int(np.flatnonzero((data == label_id).any(axis=(1, 2)))[0])
        assert census.first_position(label_id, (1, 2)) == (first,)


kinds = st.sampled_from(["u1", "i2", "<i4", ">u2", "i8", "u8"])


@given(st.data(), kinds, st.integers(0, 12))
@settings(max_examples=80, deadline=None)
def test_the_census_knows_what_a_look_at_all_pixels_shows(draw, kind, steps):
    top = np.iinfo(kind).max
    values = st.sampled_from(
        [0, 0, 0, 1, 2, 3, min(top, 2**40)] + ([-2] if kind[-2] == "i" else [])
    )
    shape = (3, 8, 9)
    data = draw.draw(hnp.arrays(np.dtype(kind), shape, elements=values))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(census_module, "_BLOCK_PX", 20)  # many blocks
        census = Census(data)
    for _ in range(steps):  # edits may come before all was looked through, and in between
        census.step()
    for _ in range(draw.draw(st.integers(0, 5))):
        z, axes = draw.draw(st.integers(0, 2)), (1, 2)
        old = data[z].copy()
        new = draw.draw(hnp.arrays(data.dtype, old.shape, elements=values))
        edit = edit_between(Plane(axes, (z,)), old, new)
        apply(data, edit)
        census.note([edit])
        census.step()
    _check(census, data)
    assert census.complete


def edit_between(plane, old, new):
    whole = tuple(slice(0, length) for length in old.shape)
    changed = old != new
    return LabelsEdit(plane, whole, changed, old[changed], new[changed])


def test_the_census_of_nothing():
    assert Census(np.zeros((0, 5), dtype=int)).highest == 0
    assert Census(np.zeros((5, 5), dtype=int)).ids == []


def test_the_census_reads_zarr_chunk_by_chunk():
    import zarr

    array = zarr.create_array({}, shape=(600, 700), chunks=(100, 100), dtype="u4")
    array[250:260, 300:420] = 9
    census = Census(array)
    assert all(side % 100 == 0 or side in array.shape for side in census._sides)
    assert census.area(9) == 1200
    assert census.region(FLAT, 9) == (slice(250, 260), slice(300, 420))
