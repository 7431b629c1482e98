"""Candidates, outputs and thresholds; and the mask that goes back to the model with new points."""

from __future__ import annotations

import numpy as np
import pytest

import napari_samhq as samhq
from napari_samhq.core.journal.events import ChoiceChanged, Committed
from napari_samhq.core.journal.shapes_drawn import Drawn, DrawnPoint
from napari_samhq.engine.engine import Engine
from napari_samhq.errors import LayerError, PromptError
from napari_samhq.session import Session, State


def prompts_of(predictor):
    return [prompt for call, prompt in predictor.calls if call == "predict"]


def area(session):
    (chosen,) = [candidate for candidate in session.candidates if candidate.chosen]
    return int(chosen.mask.sum())


def test_outputs_are_asked_for_and_undone(session):
    session.add_box([10, 20, 30, 40])
    session.add_points([[20, 60]])
    session.predict()
    both = area(session)
    session.choose_output("sam")
    assert area(session) > both  # the fake draws larger discs for SAM
    session.choose_output("hq")
    assert area(session) < both
    assert session.undo()  # one step: choices for one object that follow each other are one
    assert area(session) == both
    assert session.redo()
    assert session.current.choice.output == "hq"
    session.commit()
    (record,) = session.records.values()
    assert record.choice.output == "hq"


def test_a_dragged_slider_is_one_step_of_undo(session):
    session.add_points([[20, 30], [20, 32]])
    session.predict()
    areas = []
    for threshold in np.linspace(0, 3, 7):
        session.choose_threshold(threshold)
        areas.append(area(session))
    assert areas == sorted(areas, reverse=True)
    assert areas[-1] < areas[0]
    (event,) = [e for e in session.journal if isinstance(e, ChoiceChanged)]
    assert event.before.active_draft.choice.threshold == 0
    assert event.after.active_draft.choice.threshold == 3
    session.commit()
    (record,) = session.records.values()
    assert record.threshold == 3


def test_the_journal_can_be_followed_from_outside(session):
    events = []

    def follow(kind, event):
        if kind == "append":
            del events[count[0] :]
            events.append(event)
        count[0] += -1 if kind == "undo" else 1

    count = [0]
    session.controller.history.journal_changed.connect(follow)
    session.add_points([[20, 30], [20, 32]])
    session.choose_threshold(1)
    session.choose_threshold(2)
    session.commit()
    session.undo()
    session.undo()
    session.redo()
    session.add_points([[21, 30]])
    journal = session.journal
    assert events[: count[0]] == list(journal)
    assert count[0] == len(journal)


def test_a_choice_holds_for_the_objects_begun_after_it(session):
    session.choose_output("hq")
    session.choose_threshold(0.5)
    session.add_points([[20, 30]])
    assert session.current.choice.output == "hq"
    assert session.current.choice.threshold == 0.5
    session.predict()
    session.choose(2)
    session.commit()
    session.add_points([[20, 50]])
    assert session.current.choice.candidate is None


def test_a_choice_that_was_taken_back_holds_for_no_later_object(session):
    session.add_points([[20, 20]])
    session.choose_threshold(1.0)
    session.undo()
    session.commit()
    assert session.current.choice.threshold == 0
    session.add_points([[20, 50]])
    session.choose_output("sam")
    session.undo()
    session.redo()
    session.commit()
    assert session.current.choice.output == "sam"


def test_wishes_that_mean_nothing_are_told(session):
    with pytest.raises(PromptError, match="Choose 'sam\\+hq'"):
        session.choose_output("both")
    with pytest.raises(PromptError, match="no finite number"):
        session.choose_threshold(np.nan)
    with pytest.raises(LayerError, match="Object 3 is not being made"):
        session.activate(3)


def test_added_points_go_with_the_mask_that_is_seen(session, predictor):
    session.add_points([[20, 30]])
    first = session.predict()
    session.choose(1)
    session.add_points([[22, 30]])
    session.predict()
    np.testing.assert_array_equal(prompts_of(predictor)[-1].mask, first.low_res_logits[1])
    session.commit()
    (record,) = session.records.values()
    assert [len(step.drawn.points) for step in record.steps] == [1, 2]
    assert [step.candidate for step in record.steps] == [1, 0]


def test_points_added_before_the_answer_do_not_wait_for_it(session, predictor):
    session.add_points([[20, 30]])
    session.add_points([[22, 30]])
    session.predict()
    assert prompts_of(predictor)[-1].mask is None


def test_moving_a_point_begins_anew(session, predictor):
    session.points.add([20, 30])
    session.points.add([22, 30])
    assert prompts_of(predictor)[-1].mask is not None
    session.points.data = np.array([[20, 30], [25, 30]])
    assert prompts_of(predictor)[-1].mask is None


def test_without_refining_each_answer_stands_for_itself(session, predictor):
    session.refine = False
    session.points.add([20, 30])
    session.points.add([22, 30])
    assert prompts_of(predictor)[-1].mask is None


def test_undo_brings_back_the_very_mask_without_asking(session, predictor):
    session.points.add([20, 30])
    before = session.candidates
    session.points.add([40, 50])
    after = session.candidates
    asked = len(predictor.calls)
    session.undo()
    assert session.candidates == before
    session.redo()
    assert session.candidates == after
    session.commit()
    session.undo()
    assert session.candidates == after
    assert len(predictor.calls) == asked


def test_a_reopened_object_goes_on_where_it_was_left(session, predictor):
    session.points.add([20, 30])
    session.points.add([22, 30])
    session.commit()
    session.reopen(1)
    session.predict()
    session.points.add([24, 30])
    session.commit()
    (record,) = session.records.values()
    assert [len(step.drawn.points) for step in record.steps] == [1, 2, 3]


def test_the_difference_between_sam_and_hq(session):
    session.add_points([[20, 30], [20, 31]])
    session.predict()
    change = session.difference()
    assert change.shape == (48, 64)
    assert change.dtype == np.int8
    assert set(np.unique(change)) == {-1, 0}  # the fake's discs are larger for SAM
    session.shows_difference = True
    shown = session.preview.data
    assert np.count_nonzero(shown == 3) > 0
    session.shows_difference = False
    assert np.count_nonzero(session.preview.data == 3) == 0


def test_the_difference_follows_the_object_while_it_is_shown(viewer, annotate, held):
    session = annotate(viewer, runner=held)
    session.shows_difference = True
    session.points.add([20, 30])
    held.work()
    assert [job.kind for job in held.jobs] == ["difference"]
    held.work()
    assert (session.preview.data == 3).any()
    session.points.add([20, 40])
    assert not (session.preview.data == 3).any()
    held.work()
    held.work()
    assert (session.preview.data == 3).any()
    assert held.jobs == []  # nobody asks for what is known


def test_activating_lets_points_go_to_another_object(session):
    session.add_boxes([[2, 2, 10, 12], [2, 20, 10, 30]])
    session.activate(1)
    session.points.add([4, 4])
    assert [len(draft.drawn.points) for draft in session.drafts] == [1, 0]
    session.activate(None)
    session.points.add([40, 40])
    assert [draft.label_id for draft in session.drafts] == [1, 2, 3]
    assert session.status.state is State.SEVERAL


def test_the_steps_of_a_record_give_the_same_bits_again(viewer):
    rng = np.random.default_rng(3)
    rows, cols = np.mgrid[:96, :128]
    image = np.hypot(rows - 40, cols - 60) < 22
    viewer.layers["cells"].data = (image * 120 + rng.integers(0, 60, (96, 128))).astype(np.uint8)
    session = Session(viewer, viewer.layers["cells"], engine=Engine())
    for point in ([40, 60], [30, 60], [50, 70]):
        session.points.add(point)
    session.points.selected_data = set()
    session.add_points([[80, 110]], positive=False)
    session.commit()
    session.add_boxes([[16, 36, 64, 84], [18, 38, 62, 82]])
    session.predict_all()
    session.reject()
    session.activate(2)
    session.commit()
    predictor = samhq.Predictor(samhq.load_model("micro"))
    embedding = predictor.embed(
        viewer.layers["cells"].data, contrast_limits=tuple(session.image.contrast_limits)
    )
    events = [event for event in session.journal if isinstance(event, Committed)]
    assert len(events) == 2
    for event in events:
        (commit,) = event.commits
        logits = None
        for step in commit.record.steps:
            prompt = step.drawn.to_prompt((96, 128))
            if logits is not None:
                prompt = samhq.Prompt(prompt.points, prompt.point_labels, prompt.box, logits)
            found = predictor.predict_many(
                embedding,
                [prompt] * (2 if step.together else 1),
                multimask=step.drawn.ambiguous,
                output=step.output,
            )[0]
            logits = found.low_res_logits[step.candidate]
        mask = found.masks[commit.record.steps[-1].candidate]
        written = np.zeros(mask.shape, dtype=bool)
        written[commit.edit.region][commit.edit.changed] = True
        free = (
            written | (session.labels.data == 0) | (session.labels.data == commit.record.label_id)
        )
        np.testing.assert_array_equal(mask & free, written)
    session.close()


def test_what_was_forgotten_is_worked_out_again(viewer, annotate, engine, predictor):
    session = annotate(viewer)
    session.points.add([20, 30])
    session.points.add([22, 30])
    expected = prompts_of(predictor)[-1].mask
    engine._logits.clear()
    session.predict()
    np.testing.assert_array_equal(prompts_of(predictor)[-1].mask, expected)
    assert session.current.drawn == Drawn((DrawnPoint(20, 30), DrawnPoint(22, 30)))
