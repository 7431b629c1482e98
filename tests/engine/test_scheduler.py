"""With a thread in between: the viewer moves on while the model works. No thread is needed here."""

from __future__ import annotations

import numpy as np
import pytest

from napari_samhq.engine.engine import Engine
from napari_samhq.engine.models import ModelSource
from napari_samhq.errors import Cancelled, ImageError, LayerError
from napari_samhq.session import State


@pytest.fixture
def live(viewer, annotate, held):
    return annotate(viewer, runner=held, may_fetch=False)


def test_a_click_shows_its_mask_as_soon_as_it_is_there(live, held, viewer):
    live.points.add([20, 30])
    assert live.status.state is State.LOADING
    assert not viewer.layers["cells preview"].data.any()
    held.work()
    assert live.status.state is State.PREVIEW
    assert viewer.layers["cells preview"].data.any()


@pytest.mark.parametrize(
    "order", [pytest.param(1, id="FM-24-in-order"), pytest.param(-1, id="FM-24-reversed")]
)
def test_the_latest_click_wins_whatever_comes_back_first(live, held, order):
    for col in range(10, 50):
        live.points.add([20, col])
    held.work(order)
    assert len(live.candidates) == 1
    mask = live.candidates[0].mask
    assert mask[20, 10] and mask[20, 49]  # noqa: PT018
    live.commit()
    np.testing.assert_array_equal(live.labels.data == 1, mask)


@pytest.mark.parametrize("clicks", [pytest.param(50, id="FM-24-burst")])
def test_a_burst_of_clicks_costs_two_decodes(live, held, predictor, clicks):
    live.points.add([20, 5])
    running, held.jobs = held.jobs[-1], []
    for col in range(6, 5 + clicks):
        live.points.add([20, col])
        held.jobs = held.jobs[-1:]  # as runners do: a waiting job gives way to a newer one
    held.jobs.insert(0, running)
    held.work()
    assert [call for call, _ in predictor.calls].count("predict") <= 2
    assert live.candidates[0].mask[20, 4 + clicks]


@pytest.mark.parametrize("boxes", [pytest.param(30, id="FM-24-click-into-batch")])
def test_a_click_goes_before_the_rest_of_a_batch(live, held, predictor, boxes):
    live.add_boxes(
        [[row, col, row + 4, col + 4] for row in range(0, 40, 8) for col in range(0, 48, 8)]
    )
    live.activate(None)
    batch = [job for job in held.jobs if job.kind == "predict"][-1]
    held.jobs.clear()
    seen = []

    def report(progress):
        seen.append(progress)
        batch.progress(progress)
        if len(seen) == 5:  # in the middle of the batch, in another thread
            live.points.add([44, 60])

    batch.done(batch.work(report))
    asked = [call for call, _ in predictor.calls].count("predict")
    assert asked < boxes
    held.work()
    assert predictor.calls[asked + 1][1].points is not None  # the click came first
    # One may be asked twice.
    assert [call for call, _ in predictor.calls].count("predict") <= boxes + 2
    assert all(draft.score is not None for draft in live.drafts)


@pytest.mark.parametrize("what", [pytest.param("undo", id="FM-24-undo")])
def test_undo_while_the_model_works(live, held, what):
    live.points.add([20, 30])
    held.work()
    live.points.add([40, 50])
    live.undo()
    held.work()
    assert not live.candidates[0].mask[40, 50]


def test_an_answer_for_a_rejected_object_is_dropped(live, held, viewer):
    live.points.add([20, 30])
    live.reject()
    held.work()
    assert live.candidates == ()
    assert not viewer.layers["cells preview"].data.any()


@pytest.mark.parametrize(
    "removed",
    [
        pytest.param("image", id="FM-20-image"),
        pytest.param("labels", id="FM-20-labels"),
        pytest.param("points", id="FM-20-points"),
    ],
)
def test_a_layer_removed_while_the_model_works(live, held, viewer, removed):
    live.points.add([20, 30])
    labels = live.labels
    viewer.layers.remove(getattr(live, removed))
    held.work()
    assert not labels.data.any()
    assert not any("preview" in layer.name and layer.data.any() for layer in viewer.layers)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(np.zeros((30, 40), dtype=np.uint8), id="FM-22-shape"),
        pytest.param(np.zeros((48, 64), dtype=np.float32), id="FM-22-type"),
    ],
)
def test_other_data_while_the_model_works(live, held, predictor, data):
    live.points.add([20, 30])
    old, held.jobs = held.jobs, []
    live.image.data = data
    held.jobs = [*held.jobs, *old]
    held.work()
    assert all(candidate.mask.shape == data.shape for candidate in live.candidates)
    looked_at = [image for call, image in predictor.calls if call == "embed"]
    assert all(image.shape == data.shape for image in looked_at[-1:])


@pytest.mark.parametrize("what", [pytest.param("values", id="FM-22-values")])
def test_other_pixels_of_the_same_form_while_the_model_works(live, held, predictor, what):
    live.points.add([20, 30])
    old, held.jobs = held.jobs, []
    results = [(job, job.work(job.progress)) for job in old]  # on the pixels of before
    live.image.data = 255 - np.asarray(live.image.data)
    asked = len(predictor.calls)
    for job, result in results:
        job.done(result)
    assert live.candidates == ()  # an answer about other pixels is none
    assert not live.preview.data.any()
    held.work()
    assert live.candidates
    (looked_at,) = (pixels for call, pixels in predictor.calls[asked:] if call == "embed")
    np.testing.assert_array_equal(looked_at, live.image.data)


@pytest.mark.parametrize(
    "shape",
    [pytest.param((48, 64), id="FM-22-labels"), pytest.param((24, 32), id="FM-22-labels-shape")],
)
def test_other_labels_while_the_model_works(live, held, shape):
    live.points.add([40, 50])
    other = np.zeros(shape, np.int32)
    other[0, 0] = 7
    live.labels.data = other
    held.work()
    if shape == (48, 64):
        assert live.commit() == 1  # what it was called since its first point
        assert (other[40, 50], other[0, 0]) == (1, 7)
        assert live.undo()
    else:
        with pytest.raises(LayerError, match="other data"):
            live.commit()
    assert np.count_nonzero(other) == 1


def test_moving_to_another_plane_prepares_it(annotate, held, predictor):
    from napari.components import ViewerModel

    viewer = ViewerModel()
    viewer.add_image(np.random.default_rng(0).random((4, 24, 32)))
    session = annotate(viewer, runner=held)
    viewer.dims.set_current_step(0, 0)
    assert {job.kind for job in held.jobs} == {"prepare"}
    held.work()
    assert session.status.state is State.READY
    assert [call for call, _ in predictor.calls] == ["embed"]
    session.add_points([[10, 20]])
    held.work()
    assert [call for call, _ in predictor.calls] == ["embed", "predict"]


def test_a_failure_becomes_a_sentence_and_the_next_click_works(live, held, predictor):
    predictor.error = ImageError("The image is all NaN. Choose another.")
    live.points.add([20, 30])
    held.work()
    assert live.status.state is State.FAILED
    assert live.status.sentence == "The image is all NaN. Choose another."
    live.points.add([21, 30])
    held.work()
    assert live.status.state is State.PREVIEW


def test_what_stops_the_work_is_said(live, held, predictor):
    predictor.error = Cancelled()
    live.points.add([20, 30])
    held.work()
    assert live.status.sentence.startswith("Stopped.")


def test_a_bug_is_not_hidden(live, held, predictor):
    predictor.error = ZeroDivisionError("oh")
    live.points.add([20, 30])
    with pytest.raises(ZeroDivisionError):
        held.work()
    assert live.status.state is State.FAILED


def test_only_negative_points_ask_nothing(live, held):
    live.prompts.positive = False
    live.points.add([20, 30])
    assert held.jobs == []
    assert live.status.state is State.NEEDS_POSITIVE


def test_a_model_that_is_not_here_waits_for_a_yes(live, held):
    live.model = "vit_b"
    live.points.add([20, 30])
    assert held.jobs == []
    assert live.status.state is State.MUST_FETCH
    live.fetch()
    assert held.jobs[0].kind == "load"
    held.work()
    held.work()
    assert live.status.state is State.PREVIEW


def test_scripts_fetch_without_asking(annotate, viewer):
    session = annotate(viewer, model="vit_b")
    session.add_points([[20, 30]])
    session.predict()


def test_the_last_mask_stays_dimmed_while_the_next_is_worked_out(live, held, viewer):
    live.points.add([20, 30])
    held.work()
    preview = viewer.layers["cells preview"]
    live.points.add([21, 33])
    assert preview.data.any()
    assert preview.opacity < 1
    held.work()
    assert preview.opacity == 1


def test_the_engine_remembers_planes_up_to_its_limit(viewer, annotate, predictor):
    engine = Engine(ModelSource(load=lambda name, report: predictor, list=list), cache_bytes=1)
    from napari_samhq.session import Session

    viewer.layers.clear()
    viewer.add_image(np.random.default_rng(0).random((3, 24, 32)))
    session = Session(viewer, viewer.layers[0], engine=engine)
    for step in (0, 1, 0):
        viewer.dims.set_current_step(0, step)
        session.add_points([[10, 10 + step]])
        session.predict()
        session.reject()
    assert [call for call, _ in predictor.calls].count("embed") == 3
    session.close()
