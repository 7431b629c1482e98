"""Prompts from scripts: boxes, shapes, masks and labels, many at once too."""

from __future__ import annotations

import time

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_samhq.engine.answers import Shown
from napari_samhq.engine.questions import Question, Request
from napari_samhq.errors import Cancelled, LayerError, PromptError, SamHQWarning
from napari_samhq.session import State

BOXES = [[2, 2, 10, 12], [2, 20, 10, 30], [30, 40, 40, 60]]


def prompts_of(predictor):
    return [prompt for call, prompt in predictor.calls if call == "predict"]


def test_boxes_are_one_object_each_from_the_first_moment(session, predictor):
    assert session.add_boxes(BOXES) == [1, 2, 3]
    assert session.current.label_id == 3
    assert session.current.waiting == 2
    assert predictor.calls == []
    found = session.predict_all()
    assert list(found) == [1, 2, 3]
    assert [call for call, _ in predictor.calls] == ["embed", "predict", "predict", "predict"]
    for (top, left, bottom, right), prediction in zip(BOXES, found.values(), strict=True):
        assert prediction.region == (slice(top, bottom + 1), slice(left, right + 1))
        assert prediction.masks.all()
    assert [draft.score for draft in session.drafts] == [pytest.approx(0.9)] * 3
    assert session.status.state is State.SEVERAL
    assert session.commit_all() == [1, 2, 3]
    for label_id, (top, left, bottom, right) in enumerate(BOXES, start=1):
        assert (session.labels.data[top : bottom + 1, left : right + 1] == label_id).all()
    assert len(predictor.calls) == 4  # nothing was asked twice


def test_boxes_are_one_step_of_undo_and_so_is_accepting_them(session):
    session.add_boxes(BOXES)
    session.commit_all()
    assert session.undo()
    assert not session.labels.data.any()
    assert len(session.drafts) == len(session.shapes.data) == 3
    assert session.undo()
    assert session.drafts == ()
    assert not session.undo()
    assert session.redo()
    assert session.redo()
    assert sorted(np.unique(session.labels.data)) == [0, 1, 2, 3]


def test_accepting_all_is_one_step_of_naparis_own_undo(session):
    session.add_boxes(BOXES)
    session.commit_all()
    session.labels.undo()
    assert not session.labels.data.any()


def test_prompts_carry_their_object_and_the_others_are_dimmed(session):
    session.add_boxes(BOXES[:2])
    session.add_points([[5, 25]])
    assert session.shapes.features["object"].tolist() == [1, 2]
    assert session.points.features["object"].tolist() == [2]
    assert session.shapes.edge_color[0, 3] < session.shapes.edge_color[1, 3] == 1
    assert session.shapes.text.visible
    np.testing.assert_allclose(session.points.border_color[0], session.labels.get_color(2))
    session.activate(1)
    assert session.shapes.edge_color[1, 3] < session.shapes.edge_color[0, 3] == 1
    session.reject()
    assert session.shapes.features["object"].tolist() == [2]
    assert not session.shapes.text.visible


def test_what_cannot_be_accepted_waits_and_the_others_do_not(session):
    session.add_boxes(BOXES)
    session.activate(None)
    session.add_points([[5, 5]], positive=False)
    assert session.commit_all() == [1, 2, 3]
    (left,) = session.drafts
    assert not left.drawn.says_where
    session.reject_all()
    assert session.drafts == ()
    with pytest.raises(PromptError, match="nothing says which object"):
        session.commit_all()


def test_a_box_that_cannot_be_used_adds_none(session):
    for bad in ([100, 100, 120, 120], [np.nan, 1, 2, 3], [4, 4, 4, 9]):
        with pytest.raises(PromptError):
            session.add_boxes([*BOXES, bad])
    with pytest.raises(PromptError, match=r"needed is \(N, 4\)"):
        session.add_boxes([2, 2, 10, 12])
    assert session.drafts == ()
    assert not session.undo()


@pytest.mark.parametrize("kind", ["polygon", "ellipse"])
def test_areas_go_to_the_model_as_mask_and_box(session, predictor, kind):
    session.add_shape([[10, 20], [10, 40], [30, 40], [30, 20]], kind)
    session.predict()
    (prompt,) = prompts_of(predictor)
    np.testing.assert_allclose(prompt.box, [10, 20, 30, 40])
    mask = prompt.mask.within((48, 64))
    assert mask[20, 30]
    assert mask[10, 20] == (kind == "polygon")
    assert not mask[5, 5]


def test_a_scribble_belongs_to_the_active_object(session, predictor):
    session.add_box(BOXES[0])
    session.add_shape([[4, 4], [4, 11]], "path")
    session.predict()
    (prompt,) = prompts_of(predictor)
    assert prompt.box is not None
    assert len(prompt.points) == 1
    with pytest.raises(PromptError, match="Choose one of"):
        session.add_shape([[1, 2], [3, 4]], "circle")


def test_a_mask_is_a_prompt_with_the_box_around_it(session, predictor):
    mask = np.zeros((48, 64), dtype=bool)
    mask[5:9, 10:20] = True
    session.add_mask(mask)
    assert session.current.label_id == 1
    session.predict()
    (prompt,) = prompts_of(predictor)
    np.testing.assert_array_equal(prompt.mask.within(mask.shape), mask)
    np.testing.assert_allclose(prompt.box, [4.5, 9.5, 8.5, 19.5])
    session.add_mask(np.roll(mask, 20, axis=0))  # a second outline is another object
    assert session.current.label_id == 2
    for wrong in (mask[:5], np.zeros_like(mask), mask[..., None]):
        with pytest.raises(PromptError):
            session.add_mask(wrong)


@pytest.fixture
def cells():
    labels = np.zeros((48, 64), dtype=np.uint16)
    labels[3:12, 4:15] = 7
    labels[20:30, 30:44] = 900
    return labels


def test_labels_are_refined_under_their_ids(viewer, session, cells):
    source = viewer.add_labels(cells, name="from elsewhere")
    assert session.add_labels(source) == [7, 900]
    assert session.commit_all() == [7, 900]
    np.testing.assert_array_equal(session.labels.data, cells)  # the fake keeps masks as they are
    np.testing.assert_array_equal(source.data, cells)
    assert session.objects["prompts"].tolist() == ["1 mask", "1 mask"]
    assert session.undo()
    assert not session.labels.data.any()


def test_own_objects_are_refined_in_place(viewer, annotate, cells):
    session = annotate(viewer, labels=viewer.add_labels(cells.copy()))
    assert session.add_labels(session.labels, ids=[900]) == [900]
    assert session.drafts[0].reopened
    session.add_points([[25, 36]])
    assert session.commit() == 900
    assert (session.labels.data == 7).sum() == (cells == 7).sum()
    session.undo()
    np.testing.assert_array_equal(session.labels.data, cells)


def test_ids_that_others_have_are_replaced_with_a_word(session, cells):
    for _ in range(7):
        session.add_points([[45, 60]])
        session.labels.preserve_labels = False
        session.commit()
    with pytest.warns(SamHQWarning, match="1 of 2 objects get new label ids"):
        assert session.add_labels(cells) == [901, 900]
    session.commit_all()
    assert (session.labels.data == 7).any()


def test_labels_that_cannot_be_used_are_told(viewer, session, cells):
    for wrong in (cells[:10], cells.astype(float), np.zeros((3, 48, 64), dtype=int)):
        with pytest.raises(LayerError, match="needed are integers"):
            session.add_labels(wrong)
    with pytest.raises(LayerError, match="lies elsewhere"):
        session.add_labels(viewer.add_labels(cells, translate=(5, 5)))
    for nothing in (np.zeros_like(cells), cells):
        with pytest.raises(PromptError, match="no such object"):
            session.add_labels(nothing, ids=[3])


@pytest.mark.parametrize(
    "first", [pytest.param(True, id="FM-18-on"), pytest.param(False, id="FM-18-off")]
)
def test_the_later_of_contradicting_points_counts(session, predictor, first):
    session.add_points([[40, 50]])
    session.add_points([[20, 30], [20, 30]], positive=first)
    session.add_points([[20, 30]], positive=not first)
    with pytest.warns(SamHQWarning, match="a later point on the same pixel says the opposite"):
        session.predict()
    (prompt,) = prompts_of(predictor)
    assert prompt.point_labels.tolist() == [1, int(not first)]


@pytest.mark.parametrize("count", [pytest.param(10_000, id="FM-19-points")])
def test_very_many_points_of_one_object_are_thinned(session, predictor, count):
    rng = np.random.default_rng(0)
    session.add_points(rng.uniform(0, 47, (count, 2)))
    with pytest.warns(SamHQWarning, match="points of one object left out"):
        session.predict()
    assert len(prompts_of(predictor)[0].points) <= 512
    assert len(session.points.data) == count  # what was drawn stays


@pytest.fixture
def many_boxes():
    corners = np.stack(np.meshgrid(np.arange(50), np.arange(40)), axis=-1).reshape(-1, 2) * 8.0
    return np.concatenate([corners, corners + 5], axis=1)


@pytest.mark.parametrize("count", [pytest.param(2_000, id="FM-19-boxes")])
def test_very_many_boxes_take_memory_by_their_size_not_by_the_image(
    annotate, engine, many_boxes, count
):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((400, 330), dtype=np.uint8))
    session = annotate(viewer)
    plane = session.plane
    from napari_samhq.core.journal.drafts import Draft
    from napari_samhq.core.journal.shapes_drawn import Drawn

    drafts = [
        Draft(i, Drawn(shapes=(session._drawing._rectangle(plane, box, False),)))
        for i, box in enumerate(many_boxes[:count], start=1)
    ]
    view = session.controller.masks.view(plane)
    questions = [Question(one, one.drawn.to_small_prompt(view.shape)) for one in drafts]
    reports = []
    kept = [Shown.of(a) for a in engine.answers(Request("micro", view, questions), reports.append)]
    assert [one.draft.label_id for one in kept] == list(range(1, count + 1))
    assert sum(len(one.mask.bits) for one in kept) <= count * 5  # 36 pixels each
    assert reports[-1].total == count


@pytest.mark.parametrize("seconds", [pytest.param(1.0, id="FM-19-cancel")])
def test_very_many_boxes_can_be_stopped_within_a_second(
    annotate, held, predictor, many_boxes, seconds
):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((400, 330), dtype=np.uint8))
    session = annotate(viewer, runner=held)
    session.add_boxes(many_boxes[:60])
    predictor.delay = 0.02
    (job,) = [job for job in held.jobs if job.kind == "predict"]
    asked = []

    def report(progress):
        asked.append(time.monotonic())
        if len(asked) == 8:
            raise Cancelled

    with pytest.raises(Cancelled):
        job.work(report)
    assert time.monotonic() - asked[-1] < seconds
    job.failed(Cancelled())
    assert session.status.state is State.STOPPED
    answered = [draft.label_id for draft in session.drafts if draft.score is not None]
    assert 0 < len(answered) < 8  # what was there is not lost
    assert not session.labels.data.any()
    held.jobs.clear()
    session.activate(None)
    session.points.add([200, 200])  # the next click asks for itself alone
    (job,) = [job for job in held.jobs if job.kind == "predict"]
    predictor.calls.clear()
    held.work()
    assert len(prompts_of(predictor)) == 1


@pytest.mark.parametrize(
    ("box", "expected", "warns"),
    [
        pytest.param([10, 12, 2, 2], [2, 2, 10, 12], False, id="FM-16-flipped"),
        pytest.param([-30, -40, 10, 12], [-0.5, -0.5, 10, 12], True, id="FM-16-partly-outside"),
        pytest.param([-1e6, -1e6, 1e6, 1e6], [-0.5, -0.5, 47.5, 63.5], True, id="FM-16-huge"),
    ],
)
@pytest.mark.filterwarnings("ignore::napari_samhq.errors.SamHQWarning")
def test_odd_boxes_are_ordered_and_clipped(session, predictor, box, expected, warns):
    session.add_box(box)
    if warns:
        with pytest.warns(SamHQWarning, match="clipped"):
            session.predict()
    else:
        session.predict()
    np.testing.assert_allclose(prompts_of(predictor)[0].box, expected)
