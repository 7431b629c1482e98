"""The engine under several sessions, threads, edited images and too little memory."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel
from typer.testing import CliRunner

import napari_samhq as samhq
from napari_samhq.cli import app
from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.journal.drafts import Draft
from napari_samhq.core.journal.shapes_drawn import Drawn, DrawnShape
from napari_samhq.engine.engine import Engine, shared_engine
from napari_samhq.engine.models import ModelSource
from napari_samhq.engine.plane_view import PlaneView
from napari_samhq.engine.questions import Question, Request
from napari_samhq.errors import DeviceLostError, DownloadError, FileError, OutOfMemoryError
from napari_samhq.session import Session, State, annotate
from support.fakes import FakePredictor


def count(predictor, what):
    return [call for call, _ in predictor.calls].count(what)


def new_viewer(seed=0, shape=(48, 64)):
    viewer = ViewerModel()
    viewer.add_image(np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8))
    return viewer


# ---------------------------------------------------------------------------------- edited images


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("numpy", id="FM-23-numpy"),
        pytest.param("zarr", id="FM-23-zarr"),
        pytest.param("dask", id="FM-23-dask"),
    ],
)
def test_an_edit_in_place_is_seen_whatever_holds_the_pixels(annotate, predictor, kind):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 48, 64), dtype=np.uint8)
    source = pixels
    if kind in ("zarr", "dask"):
        zarr = pytest.importorskip("zarr")
        source = zarr.create_array({}, shape=pixels.shape, chunks=(1, 48, 64), dtype="u1")
        source[:] = pixels
    data = source
    if kind == "dask":
        dask = pytest.importorskip("dask.array")
        data = dask.from_array(source, chunks=(1, 48, 64))
    viewer = ViewerModel()
    viewer.add_image(data, contrast_limits=(0, 255))
    session = annotate(viewer)
    viewer.dims.set_current_step(0, 1)
    session.add_points([[20, 30]])
    session.predict()
    session.predict()
    assert count(predictor, "embed") == 1
    source[1, 3:5] = 0
    session.predict()
    assert count(predictor, "embed") == 2
    np.testing.assert_array_equal(predictor.calls[-2][1], np.asarray(source[1]))
    source[2, 3:5] = 0  # another plane
    session.predict()
    assert count(predictor, "embed") == 2


# ----------------------------------------------------------------- what was seen, kept in a folder


class Counting:
    """The bundled model, with a count of the pictures that it looked at."""

    def __init__(self, predictor):
        self._predictor, self.looked = predictor, 0

    def __getattr__(self, name):
        return getattr(self._predictor, name)

    def embed(self, *picture, **options):
        self.looked += 1
        return self._predictor.embed(*picture, **options)


@pytest.fixture(scope="module")
def micro():
    return samhq.Predictor(samhq.load_model("micro", device="cpu"))


@pytest.mark.parametrize("shape", [(48, 64), (1100, 1200)], ids=["whole", "in windows"])
def test_what_was_seen_is_there_tomorrow_and_in_another_program(micro, tmp_path, shape):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    pixels = (900 * np.exp(-((rows - 24) ** 2 + (cols - 30) ** 2) / 150)).astype(np.uint16)
    np.save(tmp_path / "cells.npy", pixels)

    def mask(folder):
        predictor = Counting(micro)
        engine = Engine(ModelSource(load=lambda name, report: predictor, list=list))
        if folder is not None:
            engine.keep_embeddings(folder)
        viewer = ViewerModel()
        viewer.add_image(pixels, contrast_limits=(0, 1000))
        session = Session(viewer, viewer.layers[0], engine=engine)
        session.add_points([[24, 30]])
        session.commit()
        session.close()
        return session.labels.data > 0, predictor.looked

    today, looked = mask(tmp_path / "seen")
    assert looked >= 1
    tomorrow, again = mask(tmp_path / "seen")
    assert again == 0
    np.testing.assert_array_equal(today, tomorrow)
    unkept, without = mask(None)
    assert without == looked
    assert (unkept ^ today).mean() < 1e-3  # what is kept is rounded to float16
    told = ["embed", str(tmp_path / "cells.npy"), "-o", str(tmp_path / "ahead"), "--device", "cpu"]
    done = CliRunner().invoke(app, [*told, "--contrast-limits", "0,1000"])
    assert done.exit_code == 0, done.output
    ahead, after = mask(tmp_path / "ahead")
    assert after < looked or after == 0
    np.testing.assert_array_equal(ahead, today)


def test_a_folder_that_cannot_be_made_changes_nothing(engine, tmp_path):
    engine.keep_embeddings(tmp_path / "seen")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="Cannot make the folder"):
        engine.keep_embeddings(tmp_path / "file")
    assert engine.embeddings == tmp_path / "seen"
    engine.keep_embeddings(None)
    assert engine.embeddings is None


def test_another_device_does_not_wait_for_the_model(engine, predictor):
    """Whoever changes a setting in the window must not wait until the model has looked."""
    predictor.delay = 0.5
    viewer = new_viewer()
    view = PlaneView(viewer.layers[0].data, Plane((0, 1)), None, 0)
    at_work = threading.Thread(target=engine.prepare, args=("micro", view, lambda _: None))
    at_work.start()
    while not predictor.calls:
        time.sleep(0.01)
    began = time.monotonic()
    engine.use_device("cpu")
    engine.keep_embeddings(None)
    assert at_work.is_alive()
    assert time.monotonic() - began < 0.25
    at_work.join()


# ------------------------------------------------------------------- several sessions, one engine


@pytest.mark.parametrize("how", [pytest.param("same layer", id="FM-25-two-viewers")])
def test_two_viewers_with_one_layer_share_the_model_and_nothing_else(engine, predictor, how):
    one, two = new_viewer(), ViewerModel()
    two.add_layer(one.layers[0])
    first = Session(one, one.layers[0], engine=engine)
    second = Session(two, two.layers[0], engine=engine)
    first.add_points([[20, 30]])
    second.add_box([2, 2, 10, 12])
    assert first.current.drawn != second.current.drawn
    first.commit()
    assert not second.labels.data.any()
    assert count(predictor, "embed") == 1  # the same pixels are looked at once
    first.close()
    assert second.commit() == 1
    assert second.labels.data[5, 5] == 1
    second.close()


@pytest.mark.parametrize("threads", [pytest.param(4, id="FM-25-threads")])
def test_an_engine_is_used_by_one_thread_at_a_time(threads):
    busy = threading.Lock()

    class Alone(FakePredictor):
        def _called(self, what, argument):
            assert busy.acquire(blocking=False), "two threads in the model"
            time.sleep(0.002)
            super()._called(what, argument)
            busy.release()

    engine = Engine(ModelSource(load=lambda name, report: Alone(), list=list))
    plane = Plane((0, 1))
    boxes = [DrawnShape("rectangle", ((r, 2), (r, 9), (r + 9, 9), (r + 9, 2))) for r in (2, 20)]
    drafts = [Draft(i, Drawn(shapes=(box,))) for i, box in enumerate(boxes, start=1)]
    questions = [Question(draft, draft.drawn.to_small_prompt((48, 64))) for draft in drafts]
    errors, areas = [], []

    def work(seed):
        try:
            pixels = np.random.default_rng(seed).integers(0, 255, (48, 64), dtype=np.uint8)
            request = Request("micro", PlaneView(pixels, plane, None, seed), questions)
            answers = engine.answers(request, lambda progress: None)
            areas.append([int(answer.prediction.mask.sum()) for answer in answers])
        except Exception as error:  # noqa: BLE001  # told below
            errors.append(error)

    running = [threading.Thread(target=work, args=(seed,)) for seed in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)
    assert errors == []
    assert areas == [[80, 80]] * threads


def test_sessions_of_a_process_share_an_engine_that_goes_with_the_last_of_them():
    viewer, other = new_viewer(), new_viewer(1)
    one, two = annotate(viewer), annotate(other)
    engine = shared_engine()
    assert one.controller.masks.scheduler.engine is two.controller.masks.scheduler.engine is engine
    gone = weakref.ref(engine)
    one.close()
    two.close()
    del one, two, engine
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("what", [pytest.param("session", id="FM-26-session")])
def test_a_session_that_is_closed_while_the_model_works_leaves_nothing_behind(
    viewer, engine, held, what
):
    session = Session(viewer, viewer.layers["cells"], engine=engine, runner=held)
    image, labels = session.image, session.labels
    session.points.add([20, 30])
    jobs, held.jobs = held.jobs, []
    session.close()
    held.jobs = jobs
    held.work()
    assert session.status.state is State.CLOSED
    assert [layer.name for layer in viewer.layers] == ["cells", "cells objects"]
    assert not labels.data.any()
    image.data = image.data[::-1].copy()  # nobody listens any more
    viewer.dims.ndisplay = 3
    image.scale = (2, 2)
    assert held.jobs == []
    gone = weakref.ref(session.controller)
    jobs.clear()
    del session, jobs
    gc.collect()
    assert gone() is None


def test_another_model_does_not_throw_the_first_one_out(viewer, annotate):
    loaded = []

    def load(name, report):
        loaded.append(name)
        return FakePredictor(name=name)

    session = Session(
        viewer, viewer.layers["cells"], engine=Engine(ModelSource(load=load, list=list))
    )
    session.add_points([[20, 30]])
    for model in ("a", "b", "a", "b", "c", "a"):
        session.model = model
        session.predict()
    assert loaded == ["a", "b", "c", "a"]  # two are kept
    session.close()


# --------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    "phase",
    [pytest.param("embed", id="FM-27-encoder"), pytest.param("predict", id="FM-27-decoder")],
)
def test_when_memory_runs_out_once_room_is_made_and_it_works(annotate, predictor, viewer, phase):
    session = annotate(viewer)
    session.add_boxes([[2, 2, 10, 12], [2, 20, 10, 30], [30, 40, 40, 60]])
    if phase == "predict":
        session.controller.masks.scheduler.engine.prepare(
            "micro", session.controller.masks.view(session.plane), lambda _: None
        )
    predictor.error = OutOfMemoryError("Too little memory. Use device='cpu'.")
    assert session.commit_all() == [1, 2, 3]


class Greedy(FakePredictor):
    def iter_predict(self, embedding, prompts, **options):
        raise OutOfMemoryError("The device has too little memory. Load the model on the CPU.")
        yield


@pytest.mark.parametrize(
    "inline", [pytest.param(True, id="FM-27-script"), pytest.param(False, id="FM-27-dock")]
)
def test_when_memory_stays_out_it_is_told_and_nothing_changes(viewer, held, inline):
    predictors = [Greedy(), FakePredictor()]
    source = ModelSource(load=lambda name, report: predictors.pop(0), list=list)
    engine = Engine(source)
    options = {} if inline else {"runner": held}
    session = Session(viewer, viewer.layers["cells"], engine=engine, **options)
    session.points.add([20, 30])
    held.work()
    assert session.status.state is State.OUT_OF_MEMORY
    assert "CPU" in session.status.sentence
    assert not session.labels.data.any()
    engine.use_device("cpu")
    if inline:
        assert session.commit() == 1
    else:
        session.points.add([21, 30])
        held.work()
        assert session.status.state is State.PREVIEW
    session.close()


@pytest.mark.parametrize(
    ("error", "state", "words"),
    [
        (RuntimeError("CUDA error: unspecified launch failure"), State.DEVICE_LOST, "stopped work"),
        (DownloadError("No network. Put the file there by hand."), State.OFFLINE, "No network"),
        (ValueError("oh"), State.FAILED, "Something unexpected"),
    ],
)
def test_failures_become_sentences(viewer, annotate, held, predictor, error, state, words):
    session = annotate(viewer, runner=held)
    predictor.error = error
    session.points.add([20, 30])
    if isinstance(error, ValueError):
        with pytest.raises(ValueError, match="oh"):
            held.work()
    else:
        held.work()
    assert session.status.state is state
    assert words in session.status.sentence
    held.jobs.clear()
    session.points.add([21, 30])
    held.work()
    assert session.status.state is State.PREVIEW


def test_a_lost_device_is_told_to_scripts(session, predictor):
    predictor.error = RuntimeError("CUDA error: device-side assert triggered")
    session.add_points([[20, 30]])
    with pytest.raises(DeviceLostError, match="Choose the device 'cpu'"):
        session.predict()
