"""What becomes of masks, strokes and replaced labels in a session; its journal is the truth."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel

from napari_samhq.core.labels.sparse_labels import SparseLabels, rebuild_labels
from napari_samhq.errors import LayerError, PromptError, SamHQError, SamHQWarning
from napari_samhq.settings import CommitRules


def kinds(session):
    return [type(event).__name__ for event in session.journal]


def rebuilt(session, base):
    return rebuild_labels(session.journal, SparseLabels.of(base)).array()


def brush(session, place, value, size=5):
    session.labels.brush_size = size
    with session.labels.block_history():
        session.labels.paint(place, value)


# ----------------------------------------------------------------------------------------- rules


def test_rules_are_kept_with_the_object_as_they_were_obeyed(session):
    session.rules = CommitRules(smallest_area=4, fill_holes=True)
    session.add_points([[20, 30]])
    record = session.records[session.commit()]
    assert dict(record.rules) == {
        "overlap": "keep",  # what the layer said then
        "smallest_area": 4,
        "fill_holes": True,
        "keep_largest": False,
        "mode": "instance",
        "semantic_value": 1,
    }


def test_an_object_that_is_too_small_changes_nothing(session):
    session.rules = CommitRules(smallest_area=10_000)
    session.add_points([[20, 30]])
    with pytest.raises(PromptError, match="fewer than the smallest area of 10000"):
        session.commit()
    assert not session.labels.data.any()
    assert kinds(session) == ["PromptsChanged"]
    session.rules = CommitRules()
    assert session.commit() == 1


@pytest.mark.parametrize(
    ("overlap", "preserve", "first_keeps"),
    [("follow layer", True, True), ("follow layer", False, False), ("overwrite", True, False)],
)
def test_who_owns_shared_pixels(session, overlap, preserve, first_keeps):
    session.rules = CommitRules(overlap=overlap)
    session.labels.preserve_labels = preserve
    session.add_box([5, 5, 25, 25])
    session.commit()
    first = session.labels.data == 1
    session.add_box([10, 10, 30, 30])
    session.commit()
    assert ((session.labels.data == 1)[first]).all() == first_keeps
    session.undo()
    np.testing.assert_array_equal(session.labels.data == 1, first)


def test_objects_of_a_class_are_listed_deleted_and_reopened_one_by_one(session):
    session.rules = CommitRules(mode="semantic", semantic_value=7)
    ids = []
    for box in ([5, 5, 20, 20], [12, 12, 28, 28], [30, 40, 40, 50]):
        session.add_box(box)
        ids.append(session.commit())
    assert set(np.unique(session.labels.data)) == {0, 7}
    whole = session.labels.data.copy()
    table = session.objects.set_index("label_id")
    assert table.index.tolist() == ids
    masks = {i: one.mask.within((48, 64)) for i, one in session.records.items()}
    assert {i: int(mask.sum()) for i, mask in masks.items()} == table["area"].to_dict()
    session.delete(ids[0])
    np.testing.assert_array_equal(session.labels.data > 0, masks[ids[1]] | masks[ids[2]])
    session.undo()
    np.testing.assert_array_equal(session.labels.data, whole)
    session.reopen(ids[1])
    session.add_box([30, 10, 40, 20])  # a further outline: another object
    assert len(session.commit_all()) == 2
    assert len(session.objects) == 4
    assert set(np.unique(session.labels.data)) == {0, 7}


# --------------------------------------------------------------------------------------- by hand


def test_a_painted_object_is_as_good_as_ours(session):
    brush(session, (20, 30), 12)
    brush(session, (22, 33), 12)
    table = session.objects.set_index("label_id")
    assert table.loc[12, "area"] == (session.labels.data == 12).sum()
    assert np.isnan(table.loc[12, "score"])
    assert table.loc[12, "model"] == ""
    assert kinds(session) == ["Painted", "Painted"]
    session.add_points([[5, 50]])
    assert session.commit() == 13  # the next id is beyond what was painted
    session.delete(12)
    assert session.objects["label_id"].tolist() == [13]
    session.undo()
    assert (session.labels.data == 12).sum() == table.loc[12, "area"]


def test_an_object_whose_id_was_painted_with_gets_none_that_another_unfinished_one_has(session):
    session.add_boxes([[2, 2, 9, 9], [20, 20, 29, 29]])
    session.labels.paint((40, 50), 1)  # the id of the first one
    session.activate(1)
    assert session.commit() == 3
    session.delete(3)
    assert [draft.label_id for draft in session.drafts] == [2]
    assert session.commit_all() == [2]


def test_unfinished_objects_get_ids_that_fit_and_that_none_has_elsewhere(annotate):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((2, 30, 40), dtype=np.uint8))
    labels = viewer.add_labels(np.zeros((2, 30, 40), dtype=np.uint8))
    labels.data[0, :3, :3] = 253
    session = annotate(viewer, labels=labels)
    viewer.dims.set_current_step(0, 0)
    assert session.add_boxes([[5, 5, 9, 9], [5, 15, 9, 19], [5, 25, 9, 29]]) == [254, 255, 1]
    viewer.dims.set_current_step(0, 1)
    assert session.add_boxes([[5, 5, 9, 9]]) == [2]
    with pytest.warns(SamHQWarning, match="1 of 1 objects get new label ids"):
        assert session.add_labels((np.arange(1200).reshape(30, 40) < 40).astype(int)) == [3]
    assert session.commit_all() == [2, 3]
    viewer.dims.set_current_step(0, 0)
    assert session.commit_all() == [254, 255, 1]


def test_undoing_strokes_of_a_3d_display_leaves_unfinished_objects(annotate):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((3, 30, 40), dtype=np.uint8))
    session = annotate(viewer)
    viewer.dims.set_current_step(0, 1)
    session.add_points([[9, 9]])
    viewer.dims.ndisplay = 3
    session.labels.paint((1, 20, 20), 7)
    session.labels.undo()
    assert not session.labels.data.any()
    viewer.dims.ndisplay = 2
    viewer.dims.set_current_step(0, 1)
    assert str(session.current.drawn) == "1 point +"
    session.labels.paint((1, 20, 20), 7)
    session.undo()
    assert str(session.current.drawn) == "1 point +"


def test_painting_over_an_object_counts_and_erasing_all_of_it_takes_it_off_the_list(session):
    session.add_points([[20, 30]])
    session.commit()
    session.labels.preserve_labels = False
    brush(session, (20, 30), 0)
    assert session.objects["area"].tolist() == [(session.labels.data == 1).sum()]
    brush(session, (20, 30), 0, size=60)
    assert session.objects.empty
    session.undo()
    session.undo()
    assert session.objects["label_id"].tolist() == [1]


def test_undo_in_the_labels_layer_is_a_step_of_the_journal(session):
    session.add_points([[20, 30]])
    session.commit()
    done = session.labels.data.copy()
    session.labels.undo()  # Ctrl+Z in napari
    assert kinds(session) == ["PromptsChanged"]
    assert len(session.points.data) == 1  # the prompts are back, as by our own undo
    assert session.objects.empty
    session.labels.redo()
    np.testing.assert_array_equal(session.labels.data, done)
    assert len(session.points.data) == 0
    assert session.objects["label_id"].tolist() == [1]
    session.undo()
    session.undo()
    assert not session.current.can_undo
    assert not session.labels.data.any()


def test_undo_in_the_labels_layer_behind_later_prompts_is_an_edit_by_hand(session):
    session.add_points([[20, 30]])
    session.commit()
    done = session.labels.data.copy()
    session.add_points([[40, 10]])
    session.labels.undo()
    assert kinds(session)[-2:] == ["PromptsChanged", "Painted"]
    assert len(session.points.data) == 1  # the object being made stays
    session.labels.redo()  # takes exactly that back
    assert kinds(session)[-1] == "PromptsChanged"
    np.testing.assert_array_equal(session.labels.data, done)


def test_a_hand_edit_while_the_layer_is_hidden_is_noticed_before_the_next_step(session):
    brush(session, (20, 30), 4)
    session.labels.visible = False
    session.labels.undo()
    session.add_points([[5, 50]])
    session.commit()
    base = np.zeros_like(session.labels.data)
    np.testing.assert_array_equal(session.labels.data, rebuilt(session, base))
    session.undo()
    np.testing.assert_array_equal(session.labels.data, rebuilt(session, base))


# ------------------------------------------------------------------------------ other data, FM-44


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((48, 64), id="FM-44-replaced"),
        pytest.param((20, 30), id="FM-44-smaller"),
        pytest.param((3, 48, 64), id="FM-44-more-axes"),
    ],
)
def test_other_data_in_the_labels_layer(session, shape):
    for row in (10, 30):
        session.add_points([[row, 30]])
        session.commit()
    session.add_points([[40, 10]])
    session.undo()
    kept = session.labels.data.copy()
    kept[kept == 2] = 0
    session.labels.data = kept if shape == kept.shape else np.zeros(shape, dtype=kept.dtype)
    assert not session.current.can_undo
    assert not session.current.can_redo
    assert not session.undo()
    assert not session.redo()
    session.labels.undo()
    if shape == kept.shape:
        assert session.objects["label_id"].tolist() == [1]  # it is there still, with its prompts
        assert "other data" in session.status.sentence
        session.reopen(1)
        assert session.commit() == 1
        session.undo()
        np.testing.assert_array_equal(session.labels.data, kept)
    else:
        assert session.objects.empty
        session.add_points([[40, 40]])
        before = session.labels.data.copy()
        with pytest.raises(LayerError, match="other data"):
            session.commit()
        np.testing.assert_array_equal(session.labels.data, before)


# ------------------------------------------------------------------------------------ all together

places = st.tuples(st.integers(2, 45), st.integers(2, 60))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("click"), places),
        st.tuples(st.just("box"), places),
        st.tuples(st.just("paint"), places, st.integers(0, 4)),
        st.tuples(st.just("polygon"), places, st.integers(0, 4)),
        st.tuples(st.just("delete"), st.integers(0, 5)),
        st.tuples(st.just("reopen"), st.integers(0, 5)),
        st.tuples(st.just("rules"), st.booleans(), st.booleans()),
        *(
            st.tuples(st.just(name))
            for name in ("commit", "commit_all", "reject", "undo", "redo", "napari undo")
        ),
        st.tuples(st.just("napari redo")),
    ),
    max_size=25,
)


def do(session, step):
    kind, *rest = step
    layer = session.labels
    if kind == "click":
        session.add_points([rest[0]])
    elif kind == "box":
        row, col = rest[0]
        session.add_box([row - 2, col - 2, min(row + 9, 47), min(col + 9, 63)])
    elif kind == "paint":
        brush(session, *rest)
    elif kind == "polygon":
        row, col = rest[0]
        layer.paint_polygon([(row, col), (row - 2, col + 6), (row + 6, col + 2)], rest[1])
    elif kind in ("delete", "reopen"):
        ids = session.objects["label_id"].tolist()
        if ids:
            getattr(session, kind)(ids[rest[0] % len(ids)])
    elif kind == "rules":
        session.rules = CommitRules(
            overlap="overwrite" if rest[0] else "keep", mode="semantic" if rest[1] else "instance"
        )
    elif kind.startswith("napari"):
        getattr(layer, kind.split()[1])()
    else:
        getattr(session, kind)()


# People click twice on the same place, too.
@pytest.mark.filterwarnings("ignore:.*points dropped.*:napari_samhq.errors.SamHQWarning")
@given(steps=steps)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_labels_are_the_journal_replayed_whatever_people_do(annotate, steps):
    viewer = ViewerModel()
    rows, cols = np.mgrid[:48, :64]
    viewer.add_image((rows * 2 + cols).astype(np.uint8))
    base = np.zeros((48, 64), dtype=np.int32)
    base[40:46, 50:60] = 3
    session = annotate(viewer, labels=viewer.add_labels(base.copy()))
    for step in steps:
        with contextlib.suppress(SamHQError):  # what is refused changes nothing
            do(session, step)
        np.testing.assert_array_equal(session.labels.data, rebuilt(session, base))
    areas = session.objects.set_index("label_id")["area"]
    for label_id, area in areas.items():
        record = session.records.get(label_id)
        if record is None or record.mask is None:
            assert area == (session.labels.data == label_id).sum()
    while session.undo():
        pass
    np.testing.assert_array_equal(session.labels.data, base)
    while session.redo():
        pass
    np.testing.assert_array_equal(session.labels.data, rebuilt(session, base))
    session.close()
