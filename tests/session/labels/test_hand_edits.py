"""Hand edits and our own: whatever the order, labels are what the journal says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Labels

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.labels.edits import reverse, same_edits
from napari_samhq.core.labels.label_index import Census
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.errors import LayerError, PromptError
from napari_samhq.session.labels.napari_history import edits_of_item
from napari_samhq.session.labels.tracked_labels import TrackedLabels
from napari_samhq.settings import CommitRules

SHAPE = (2, 10, 12)


class Book:
    """The smallest journal that labels can be rebuilt from."""

    def __init__(self, layer):
        self.layer, self.base = layer, np.array(layer.data[:])
        self.events, self.count, self.painted = [], 0, 0
        self.tracked = TrackedLabels(
            layer, on_paint=self.paint, on_history=self.history, on_replaced=self.cut
        )

    def append(self, edits):
        self.events[self.count :] = [tuple(edits)]
        self.count += 1

    def paint(self, edits):
        self.painted += 1
        self.append(edits)

    def history(self, change):
        if self.count and same_edits(reverse(self.events[self.count - 1]), change):
            self.count -= 1
        elif self.count < len(self.events) and same_edits(self.events[self.count], change):
            self.count += 1
        else:
            self.append(change)

    def cut(self):
        self.base, self.events, self.count = np.array(self.layer.data[:]), [], 0

    def undo(self):
        self.tracked.settle()
        if self.count:
            self.tracked.take_back(self.events[self.count - 1])
            self.count -= 1

    def redo(self):
        self.tracked.settle()
        if self.count < len(self.events):
            self.tracked.do_again(self.events[self.count])
            self.count += 1

    def rebuilt(self):
        data = self.base.copy()
        for edits in self.events[: self.count]:
            for edit in edits:
                part = data[edit.plane.index(edit.region)]
                np.testing.assert_array_equal(part[edit.changed], edit.old)
                part[edit.changed] = edit.new
        return data

    def check(self):
        self.tracked.settle()
        data = np.asarray(self.layer.data[:])
        np.testing.assert_array_equal(data, self.rebuilt())
        fresh, census = Census(data), self.tracked._census
        assert census.ids == fresh.ids
        assert [census.area(i) for i in fresh.ids] == [fresh.area(i) for i in fresh.ids]


def new_layer(storage="numpy", dtype=np.uint16):
    data = np.zeros(SHAPE, dtype=dtype)
    data[1, 2:5, 2:6] = 3
    if storage == "zarr":
        import zarr

        array = zarr.create_array({}, shape=SHAPE, chunks=(1, 4, 5), dtype=dtype)
        array[:] = data
        data = array
    return Labels(data)


places = st.tuples(st.integers(0, 1), st.integers(0, 9), st.integers(0, 11))
ids = st.integers(0, 5)
stroke = st.tuples(
    st.just("stroke"), st.lists(st.tuples(places, ids), min_size=1, max_size=4), st.integers(2, 3)
)
steps = st.lists(
    st.one_of(
        stroke,
        st.tuples(st.just("fill"), places, ids),
        st.tuples(st.just("polygon"), st.lists(places, min_size=3, max_size=5), ids),
        st.tuples(st.just("script"), st.lists(places, min_size=1, max_size=5), ids),
        st.tuples(st.just("commit"), places, st.integers(1, 7), st.booleans()),
        st.tuples(st.just("two"), places, places),
        st.tuples(st.just("delete"), st.integers(1, 7), st.integers(0, 1)),
        *(st.tuples(st.just(name)) for name in ("undo", "redo", "hide", "preserve", "look")),
        st.tuples(st.just("napari undo"), st.integers(1, 3)),
        st.tuples(st.just("napari redo"), st.integers(1, 3)),
    ),
    max_size=20,
)


def mask_at(place, side=3):
    plane = np.zeros(SHAPE[1:], dtype=bool)
    plane[place[1] : place[1] + side, place[2] : place[2] + side] = True
    return CroppedMask.of(plane)


def do(book, step):
    layer, bound = book.layer, book.tracked
    kind, *rest = step
    if kind == "stroke":
        atoms, dimensions = rest
        layer.brush_size = 3
        layer.n_edit_dimensions = dimensions
        with layer.block_history():
            for place, value in atoms:
                layer.paint(place, value)
        layer.n_edit_dimensions = 2
    elif kind == "fill":
        layer.fill(*rest)
    elif kind == "polygon":
        layer.paint_polygon([(rest[0][0][0], *place[1:]) for place in rest[0]], rest[1])
    elif kind == "script":
        where = np.unique(np.array(rest[0]), axis=0)
        layer.data_setitem(tuple(where.T), rest[1])
    elif kind == "commit":
        place, label_id, overwrite = rest
        rules = CommitRules(overlap="overwrite" if overwrite else "follow layer")
        try:
            edit = bound.edit_to_commit(Plane((1, 2), place[:1]), mask_at(place), label_id, rules)
        except (LayerError, PromptError):
            return
        bound.write([edit])
        book.append([edit])
    elif kind == "two":
        edits = []
        with bound.one_step():
            for place, label_id in zip(rest, (8, 9), strict=True):
                rules = CommitRules(overlap="overwrite")
                plane = Plane((1, 2), place[:1])
                edits.append(bound.edit_to_commit(plane, mask_at(place), label_id, rules))
                bound.write(edits[-1:])
        book.append(edits)
    elif kind == "delete":
        try:
            edit = bound.edit_to_delete(Plane((1, 2), (rest[1],)), rest[0])
        except LayerError:
            return
        bound.write([edit])
        book.append([edit])
    elif kind in ("undo", "redo"):
        getattr(book, kind)()
    elif kind.startswith("napari"):
        for _ in range(rest[0]):
            getattr(layer, kind.split()[1])()
    elif kind == "hide":
        layer.visible = not layer.visible
    elif kind == "preserve":
        layer.preserve_labels = not layer.preserve_labels
    elif kind == "look":
        bound.look()


@pytest.mark.parametrize("storage", ["numpy", "zarr"])
@given(steps=steps)
@settings(max_examples=80, deadline=None)
def test_labels_are_what_the_journal_says_whatever_happens(storage, steps):
    book = Book(new_layer(storage))
    for step in steps:
        do(book, step)
    book.check()
    while book.count:
        book.undo()
    np.testing.assert_array_equal(np.asarray(book.layer.data[:]), book.base)
    while book.count < len(book.events):
        book.redo()
    book.check()
    book.tracked.close()


def test_a_stroke_is_one_event_and_one_undo_on_either_side():
    book = Book(Labels(np.zeros((40, 40), dtype=np.int32)))
    layer = book.layer
    with layer.block_history():
        for column in range(5, 30):
            layer.paint((10, column), 2)
    assert (book.painted, book.count) == (1, 1)
    painted = layer.data.copy()
    book.undo()
    assert not layer.data.any()
    layer.redo()  # napari's own: the step that was taken back here
    np.testing.assert_array_equal(layer.data, painted)
    assert (book.count, len(book.events)) == (1, 1)
    layer.undo()
    assert not layer.data.any()
    assert book.count == 0
    book.redo()
    np.testing.assert_array_equal(layer.data, painted)
    assert (book.painted, book.count, len(book.events)) == (1, 1, 1)


def test_our_own_writing_is_no_hand_edit_and_one_undo_in_napari():
    book = Book(Labels(np.zeros((40, 40), dtype=np.int32)))
    with book.tracked.one_step():
        for corner, label_id in (((2, 2), 1), ((20, 20), 2)):
            plane = np.zeros((40, 40), dtype=bool)
            plane[corner[0] : corner[0] + 9, corner[1] : corner[1] + 9] = True
            edit = book.tracked.edit_to_commit(
                Plane((0, 1)), CroppedMask.of(plane), label_id, CommitRules()
            )
            book.tracked.write([edit])
    assert book.painted == 0
    assert (book.layer.data > 0).sum() == 162
    book.layer.undo()
    assert not book.layer.data.any()


def test_what_napari_undoes_from_before_the_session_is_an_event_too():
    layer = Labels(np.zeros((20, 20), dtype=np.int32))
    layer.paint((5, 5), 3)
    book = Book(layer)
    layer.undo()
    assert not layer.data.any()
    book.check()
    book.undo()
    assert layer.data.any()


def test_undo_of_half_a_stroke_that_goes_on_while_an_object_is_accepted():
    book = Book(Labels(np.zeros((40, 40), dtype=np.int32)))
    with book.layer.block_history():
        book.layer.paint((30, 30), 4)
        edit = book.tracked.edit_to_commit(
            Plane((0, 1)), CroppedMask.of(np.ones((5, 5), dtype=bool)), 1, CommitRules()
        )
        book.tracked.write([edit])
        book.append([edit])
        book.layer.paint((30, 33), 4)
    assert (book.painted, book.count) == (2, 3)
    book.check()
    for _ in range(3):
        book.undo()
        book.check()
    assert not book.layer.data.any()


def test_more_steps_than_napari_remembers():
    book = Book(Labels(np.zeros((30, 30), dtype=np.int32)))
    rng = np.random.default_rng(3)
    for _ in range(130):
        book.layer.paint(rng.integers(0, 30, 2), int(rng.integers(1, 9)))
    book.check()
    for _ in range(20):
        book.undo()
        book.layer.undo()
    book.check()
    while book.count:
        book.undo()
    assert not book.layer.data.any()


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((30, 30), id="FM-44-replaced"),
        pytest.param((10, 12), id="FM-44-smaller"),
        pytest.param((60, 70), id="FM-44-larger"),
    ],
)
def test_other_data_ends_what_was_known_of_the_old(shape):
    book = Book(Labels(np.zeros((30, 30), dtype=np.int32)))
    book.layer.mode = "paint"
    for column in range(2, 28, 4):
        book.layer.paint((25, column), 3)
    book.undo()
    new = np.zeros(shape, dtype=np.int32)
    new[1, 2] = 50
    book.layer.data = new
    assert (book.count, len(book.events)) == (0, 0)
    for _ in range(3):  # neither side writes old values to places that may be gone
        book.layer.undo()
        book.layer.redo()
        book.undo()
        book.redo()
    assert book.layer.data.sum() == 50
    assert book.layer.mode == "paint"
    assert book.tracked.free_id() == 51
    book.layer.paint((5, 5), 2)
    book.check()


def test_setting_the_same_data_again_keeps_the_journal_and_counts_anew():
    book = Book(Labels(np.zeros((30, 30), dtype=np.int32)))
    book.layer.paint((25, 5), 3)
    book.layer.data[0, 0] = 9
    book.layer.data = book.layer.data
    assert book.count == 1
    assert book.tracked.free_id() == 10
    book.undo()
    assert np.argwhere(book.layer.data).tolist() == [[0, 0]]


@given(st.lists(st.tuples(places, places, ids), min_size=1, max_size=8), st.integers(1, 9))
@settings(deadline=None)
def test_an_item_of_napari_as_edits(boxes, tile):
    from napari_samhq.session.labels import napari_history

    rng = np.random.default_rng(0)
    before = rng.integers(0, 4, SHAPE).astype(np.uint8)
    layer = Labels(before.copy())
    with layer.block_history():
        for a, b, value in boxes:
            low, high = np.minimum(a, b), np.maximum(a, b) + 1
            where = np.argwhere(np.ones(high - low)) + low
            layer.data_setitem(tuple(where.T), value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(napari_history, "_TILE_PX", tile)
        items = list(layer._undo_history)
        edits = edits_of_item(items[0], SHAPE, before.dtype) if items else ()
    seen = np.zeros(SHAPE, dtype=int)
    for edit in edits:
        part = before[edit.plane.index(edit.region)]
        np.testing.assert_array_equal(part[edit.changed], edit.old)
        part[edit.changed] = edit.new
        seen[edit.plane.index(edit.region)] += edit.changed
    np.testing.assert_array_equal(before, layer.data)
    assert seen.max(initial=0) <= 1


def test_a_long_thin_stroke_costs_what_it_covers():
    layer = Labels(np.zeros((8000, 8000), dtype=np.uint8))
    book = Book(layer)
    line = np.arange(0, 8000, 4)
    with layer.block_history():
        for place in line:
            layer.paint((place, place), 1)
    (edits,) = book.events
    assert sum(edit.nbytes for edit in edits) < 12e6  # its box has 64 million pixels
    assert sum(edit.new.size for edit in edits) == np.count_nonzero(layer.data)
