"""All objects of a plane at once: one step of the session, and nothing when it is stopped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from napari_samhq.engine.replay import replay
from napari_samhq.errors import Cancelled, ImageError, LayerError, SettingsError
from napari_samhq.inference.settings import Search
from napari_samhq.io.session_files import read_session
from napari_samhq.session import State
from napari_samhq.session.everything import Everything
from napari_samhq.session.storage.snapshot import snapshot
from support.fakes import FakePredictor
from support.fakes_of_objects import ObjectPredictor, blobs
from support.session_work import new_viewer

SETTINGS = {"spacing_px": 4, "tile_px": 40, "halo_px": 16, "smallest_px": 12, "min_score": 0.0}


class Seeing(ObjectPredictor):
    """Knows the objects under points, and keeps masks that come as prompts."""

    def predict(self, embedding, points=None, point_labels=None, box=None, mask=None, **options):
        if mask is not None:
            draw = FakePredictor.predict
            return draw(self, embedding, points, point_labels, box, mask, **options)
        return super().predict(embedding, points, **options)


@pytest.fixture
def predictor() -> FakePredictor:
    return Seeing(name="micro")


@pytest.fixture
def image() -> np.ndarray:
    return blobs((70, 100), seed=3)


@pytest.fixture
def session(image, annotate):
    viewer = new_viewer(image)
    viewer.layers[0].contrast_limits = (0, 255)
    return annotate(viewer)


def pieces(image) -> np.ndarray:
    """Number the objects of `blobs` that are not too small, whatever their order."""
    found, count = ndimage.label(image > 1)
    areas = np.bincount(found.ravel(), minlength=count + 1)
    filled = np.zeros_like(found)
    for number in np.flatnonzero(areas >= SETTINGS["smallest_px"])[1:]:
        filled[found == number] = number
    return filled


def test_every_object_is_found_and_is_one_of_the_session(session, image):
    ids = session.segment_everything("nuclei", **SETTINGS)
    labels = session.labels.data
    wanted = pieces(image)
    pairs = set(zip(labels[wanted > 0].tolist(), wanted[wanted > 0].tolist(), strict=True))
    assert len(pairs) == len(ids) == len(np.unique(wanted)) - 1
    assert ids == list(range(1, len(ids) + 1))
    table = session.objects
    assert table["label_id"].tolist() == ids
    assert set(table["model"]) == {"micro"}
    assert table["score"].between(0.7, 1).all()
    record = session.records[1]
    assert dict(dict(record.seen)["everything"])["spacing_px"] == 4
    assert f"{len(ids)} objects found. Undo takes them back." in session.status.sentence


def test_it_is_one_step(session):
    ids = session.segment_everything(**SETTINGS)
    labels = session.labels.data.copy()
    assert session.undo()
    assert not session.labels.data.any()
    assert session.objects.empty
    assert not session.current.can_undo
    assert session.redo()
    np.testing.assert_array_equal(session.labels.data, labels)
    assert session.objects["label_id"].tolist() == ids
    session.labels.undo()  # napari's own
    assert not session.labels.data.any()
    assert session.objects.empty


def test_what_others_own_stays(session):
    session.labels.preserve_labels = False
    session.labels.data[20:60, 30:80] = 7
    before = session.labels.data.copy()
    ids = session.segment_everything(**SETTINGS)
    np.testing.assert_array_equal(session.labels.data[before > 0], before[before > 0])
    assert min(ids) > 7
    after = session.labels.data.copy()
    assert session.segment_everything(**SETTINGS) == []  # all there already
    np.testing.assert_array_equal(session.labels.data, after)
    assert "No new object" in session.status.sentence


def test_unfinished_objects_keep_their_ids(session):
    session.add_points([[5, 5]])
    (draft,) = session.drafts
    ids = session.segment_everything(**SETTINGS)
    assert draft.label_id not in ids
    assert [one.label_id for one in session.drafts] == [draft.label_id]


def test_regions(session, image):
    session.segment_everything(region=(slice(10, 50), slice(0, 60)), **SETTINGS)
    outside = session.labels.data.copy()
    assert outside.any()
    outside[10:50, :60] = 0
    assert not outside.any()
    session.undo()
    viewer = session.controller.viewer
    viewer.canvas.size = 58, 98
    viewer.scene.camera.center, viewer.scene.camera.zoom = (44.5, 64.5), 2
    session.segment_everything(region="visible", **SETTINGS)
    seen = session.labels.data.copy()
    session.undo()
    session.segment_everything(**SETTINGS)
    whole = session.labels.data
    begun = np.unique(whole[30:60, 40:90][seen[30:60, 40:90] > 0])
    assert begun[0] > 0
    assert np.array_equal(seen > 0, np.isin(whole, begun))  # none is cut at the edge of the screen
    assert len(np.unique(seen)) - 1 == len(begun)
    assert (np.nonzero(seen)[0].min(), np.nonzero(seen)[1].max()) != (30, 89)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"preset": "dogs"}, SettingsError, "no preset"),
        ({"spacing": 3}, SettingsError, "spacing"),
        ({"region": "left"}, ImageError, "visible"),
        ({"region": (slice(5, 5), slice(0, 9))}, ImageError, "no pixel"),
        ({"region": 7}, ImageError, "pair of slices"),
    ],
)
def test_what_cannot_be_is_refused(session, options, error, words):
    with pytest.raises(error, match=words):
        session.segment_everything(**options)
    assert not session.labels.data.any()
    assert session.status.state is State.READY


def test_labels_that_cannot_hold_all_are_left_alone(image, annotate):
    viewer = new_viewer(image)
    labels = viewer.add_labels(np.zeros(image.shape, dtype=np.uint8))
    labels.data[0, 0] = 250
    session = annotate(viewer, labels=labels)
    count = len(session.segment_everything(**SETTINGS))  # beneath 250 there is room
    session.undo()
    labels.data.reshape(-1)[: 256 - count] = np.arange(256 - count)
    labels.data = before = labels.data.copy()
    with pytest.raises(LayerError, match="uint8"):
        session.segment_everything(**SETTINGS)
    np.testing.assert_array_equal(labels.data, before)


@pytest.mark.parametrize("after", [pytest.param(n, id=f"FM-28-after-{n}") for n in (1, 3, 30)])
def test_stopping_leaves_everything_as_it_was(session, predictor, after):
    told, asked = [], []

    def progress(stage):
        told.append(stage)
        if stage.stage == "everything" and len(told) > after:
            asked.append(len(predictor.calls))
            raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        session.segment_everything(progress=progress, **SETTINGS)
    assert len(predictor.calls) == asked[0]  # at once, and not at the end of a tile
    assert not session.labels.data.any()
    assert session.objects.empty
    assert not session.current.can_undo
    assert not session.status.busy
    assert session.segment_everything(**SETTINGS)


def test_behind_the_window(image, annotate, held, session):
    behind = annotate(new_viewer(image), runner=held)
    behind.image.contrast_limits = (0, 255)
    held.work()
    everything = Everything(behind.controller)
    assert everything.run(Search(changes=SETTINGS), wait=False) == []
    assert behind.status.state is State.EVERYTHING or behind.status.busy
    assert not behind.labels.data.any()
    held.work()
    session.segment_everything(**SETTINGS)
    np.testing.assert_array_equal(behind.labels.data, session.labels.data)
    assert "Undo takes them back." in behind.status.sentence


@pytest.mark.parametrize("change", ["model", "image", "close"])
def test_what_is_outdated_is_not_written(image, annotate, held, change):
    behind = annotate(new_viewer(image), runner=held)
    held.work()
    Everything(behind.controller).run(Search(changes=SETTINGS), wait=False)
    if change == "model":
        behind.model = "vit_b"
    elif change == "image":
        behind.image.data = image[::-1].copy()
    else:
        behind.close()
    held.work()
    assert not behind.labels.data.any()


def test_a_model_that_is_not_here_is_not_fetched_behind_the_window(image, annotate, held):
    behind = annotate(new_viewer(image), runner=held, model="vit_b", may_fetch=False)
    with pytest.raises(Exception, match="Fetch it below"):
        Everything(behind.controller).run(Search(), wait=False)


def test_the_plane_that_was_on_the_screen_gets_the_objects(image, annotate, held):
    stack = np.stack([np.ones_like(image), image])
    viewer = new_viewer(stack)
    behind = annotate(viewer, runner=held)
    viewer.dims.set_point(0, 1)
    held.work()
    Everything(behind.controller).run(Search(changes=SETTINGS), wait=False)
    viewer.dims.set_point(0, 0)
    held.work()
    assert behind.labels.data[1].any()
    assert not behind.labels.data[0].any()
    assert viewer.dims.current_step[0] == 0  # nobody is taken elsewhere


def test_objects_can_be_reopened_and_refined(session):
    ids = session.segment_everything(**SETTINGS)
    session.reopen(ids[2])
    session.predict()
    session.add_points([[5, 5]], positive=False)
    session.predict()
    assert session.labels.data[session.labels.data == ids[2]].size  # there until it is replaced
    assert session.commit() == ids[2]
    assert session.records[ids[2]].as_found is None


@pytest.mark.parametrize("other", ["micro", "large"])
def test_a_replay_takes_them_as_they_were_found(session, image, other, tmp_path):
    session.labels.data[20:30, 30:80] = 90
    ids = session.segment_everything(**SETTINGS)
    session.delete(ids[1])
    session.undo()
    session.delete(ids[0])
    path = session.save(tmp_path / "cells.samhq.json")
    predictor = ObjectPredictor(name=other)
    for saved in (snapshot(session), path):
        again = replay(saved, image, predictor)
        np.testing.assert_array_equal(again, session.labels.data)
    assert not predictor.calls  # no prompt gives them again


@pytest.mark.parametrize("mode", ["instance", "semantic"])
def test_sessions_with_them_are_saved_and_opened(session, image, annotate, tmp_path, mode):
    session.rules = replace(session.rules, mode=mode, semantic_value=3)
    session.segment_everything(**SETTINGS)
    saved = snapshot(session)
    path = session.save(tmp_path / "cells.samhq.json")
    opened = read_session(path)
    assert opened.objects == saved.objects
    np.testing.assert_array_equal(replay(opened, image, ObjectPredictor()), session.labels.data)


def looked(predictor) -> int:
    return sum(call[0] == "embed" for call in predictor.calls)


@pytest.mark.parametrize((), [pytest.param(id="FM-28-and-resumed")])
def test_a_run_that_was_stopped_goes_on_where_it_was(session, predictor, image, annotate):
    whole = annotate(new_viewer(image))
    whole.image.contrast_limits = (0, 255)
    whole.segment_everything(**SETTINGS)
    expected, total = whole.labels.data.copy(), looked(predictor)
    predictor.calls.clear()

    def stop(step) -> None:
        if step.done >= 2:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        session.segment_everything(**SETTINGS, progress=stop)
    assert not session.labels.data.any()
    assert 0 < looked(predictor) < total
    session.segment_everything(**SETTINGS)
    np.testing.assert_array_equal(session.labels.data, expected)
    assert looked(predictor) <= total + 1  # the tile that was under way


def test_another_choice_asks_nothing_anew(session, predictor):
    usual = {**SETTINGS, "min_score": 0.3}
    session.segment_everything(**usual)
    first, total = session.labels.data.copy(), looked(predictor)
    session.undo()
    ids = session.segment_everything(**{**usual, "min_score": 0.85, "smallest_px": 40})
    assert looked(predictor) == total
    assert 0 < len(ids) < len(np.unique(first)) - 1
    assert session.objects["score"].min() >= 0.85
    assert session.objects["area"].min() >= 40
    session.undo()
    session.segment_everything(**usual)
    np.testing.assert_array_equal(session.labels.data > 0, first > 0)
    assert len(np.unique(session.labels.data)) == len(np.unique(first))
    assert looked(predictor) == total
    session.undo()
    session.image.data = session.image.data[::-1].copy()
    session.segment_everything(**usual)
    assert looked(predictor) > total


def test_pressed_again_it_changes_what_it_found_unless_something_was_done_since(session, predictor):
    def press(**changes) -> list[int]:
        wanted = Search(changes={**SETTINGS, "min_score": 0.3, **changes})
        return Everything(session.controller).run(wanted, wait=True, instead=True)

    first = press()
    asked = len(predictor.calls)
    second = press(smallest_px=60)
    assert 0 < len(second) < len(first)
    assert session.objects["area"].min() >= 60
    assert len(session.objects) == len(second)
    assert len(predictor.calls) == asked
    session.delete(second[0])
    third = press()  # adds what is missing, and keeps the rest
    assert len(session.objects) == len(second) - 1 + len(third)
    assert set(second[1:]) < set(session.objects["label_id"])
