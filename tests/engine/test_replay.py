"""The same prompts give the same objects again; hand edits and deletions are done again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from napari_samhq import Predictor
from napari_samhq.engine.engine import Engine
from napari_samhq.engine.models import ModelSource
from napari_samhq.engine.replay import replay
from napari_samhq.errors import Cancelled, ImageError, SamHQWarning
from napari_samhq.session.session import Session
from napari_samhq.session.storage.snapshot import snapshot
from support.fakes import FakePredictor
from support.session_work import new_viewer, work


@pytest.fixture
def image() -> np.ndarray:
    rows, cols = np.mgrid[:48, :64]
    return (rows * 2 + cols).astype(np.uint8)


@pytest.fixture
def engine():
    from types import SimpleNamespace

    infos = [SimpleNamespace(name="micro", bundled=True, cached=True)]
    return Engine(ModelSource(load=lambda *_: FakePredictor(name="micro"), list=lambda: infos))


@pytest.mark.parametrize("seed", range(3))
def test_the_same_model_gives_the_same_labels_bit_by_bit(image, annotate, seed):
    session = annotate(new_viewer(image))
    work(session, seed)
    again = replay(snapshot(session), image, FakePredictor(name="micro"))
    np.testing.assert_array_equal(again, session.labels.data)
    assert again.dtype == session.labels.data.dtype


def _border(found) -> float:
    """Choose a threshold: random weights know no border, so take some of the image."""
    logits = found.low_res_logits[found.best]
    inside = logits[: len(logits) * 200 // 250]  # without what pads the image to a square
    return float(np.quantile(inside, 0.7))


def test_a_real_network_gives_the_same_labels_bit_by_bit(tiny_network, grey_image):
    predictor = Predictor(tiny_network)
    engine = Engine(ModelSource(load=lambda *_: predictor, list=list))
    viewer = new_viewer(grey_image)
    viewer.layers[0].contrast_limits = (20, 180)
    session = Session(viewer, viewer.layers[0], engine=engine, model=predictor.name)
    rng = np.random.default_rng(0)
    session.labels.preserve_labels = False
    for number in range(4):
        session.add_points(rng.random((1, 2)) * (200, 250))
        session.predict()
        session.choose(number % 3)
        session.add_points(rng.random((1, 2)) * (200, 250), positive=bool(number % 2))
        session.choose_output(["sam", "sam+hq", "hq"][number % 3])
        session.choose_threshold(_border(session.predict()))
        session.commit()
    seen = predictor.embed(grey_image, contrast_limits=(20, 180))
    session.choose_threshold(_border(predictor.predict(seen, box=[10, 10, 60, 60])))
    session.add_boxes([[10, 10, 60, 60], [10, 12, 60, 62], [12, 10, 61, 60]])
    session.commit_all()
    viewer.layers[0].contrast_limits = (0, 255)  # each object knows how its pixels were shown
    session.add_points([[20, 20]])
    session.choose_threshold(_border(session.predict()))
    session.commit()
    assert len(np.unique(session.labels.data)) > 3  # some were overwritten
    assert any(record.steps[-1].together for record in session.records.values())
    again = replay(snapshot(session), grey_image, predictor)
    np.testing.assert_array_equal(again, session.labels.data)
    session.close()


def test_another_model_gets_the_same_prompts(image, annotate):
    session = annotate(new_viewer(image))
    session.add_points([[20, 20]])
    session.predict()
    session.commit()
    session.labels.paint((40, 50), 8, refresh=False)
    other = FakePredictor(radius=9, name="large")
    again = replay(snapshot(session), image, other)
    painted = int(session.labels.data[40, 50])
    assert np.sum(again == 1) > 2 * np.sum(session.labels.data == 1)
    assert again[40, 50] == painted
    asked = [prompt.points.tolist() for what, prompt in other.calls if what == "predict"]
    assert asked == [[[20, 20]]]


def test_objects_that_a_model_does_not_find_are_named(image, annotate):
    session = annotate(new_viewer(image))
    session.add_points([[20, 20]])
    session.commit()
    with pytest.warns(SamHQWarning, match="1 objects were left out.*: 1"):
        again = replay(snapshot(session), image, FakePredictor(radius=-1, name="blind"))
    assert not again.any()


def test_planes_of_a_stack_are_replayed(annotate):
    import zarr

    stack = np.random.default_rng(0).integers(0, 255, (4, 30, 40), dtype=np.uint8)
    viewer = new_viewer(stack)
    session = annotate(viewer)
    for z in (3, 1):
        viewer.dims.set_point(0, z)
        session.add_points([[10, 10 + z]])
        session.commit()
    lazy = zarr.create_array({}, data=stack, chunks=(1, 16, 16))
    again = replay(snapshot(session), lazy, FakePredictor(name="micro"))
    np.testing.assert_array_equal(again, session.labels.data)


def test_files_are_found_beside_the_session(image, annotate, tmp_path):
    Image.fromarray(image).save(tmp_path / "cells.png")
    session = annotate(new_viewer(image))
    work(session)
    path = session.save(tmp_path / "a.samhq.json")
    again = replay(path, tmp_path / "cells.png", FakePredictor(name="micro"))
    np.testing.assert_array_equal(again, session.labels.data)
    with pytest.raises(ImageError, match="is not beside the session"):
        replay(path, model=FakePredictor(name="micro"))


def test_the_image_must_be_the_one_that_was_annotated(image, annotate):
    session = annotate(new_viewer(image))
    session.add_points([[20, 20]])
    session.commit()
    saved = snapshot(session)
    with pytest.raises(ImageError, match=r"shape \(9, 64\)"):
        replay(saved, image[:9], FakePredictor())
    with pytest.warns(SamHQWarning, match="other pixels"):
        replay(saved, 255 - image, FakePredictor(name="micro"))


def test_other_weights_under_the_same_name_are_told(image, annotate):
    session = annotate(new_viewer(image))
    session.add_points([[20, 20]])
    session.commit()
    saved = snapshot(session)
    event = saved.events[-1]
    (commit,) = event.commits
    other = replace(commit, record=replace(commit.record, fingerprint="f" * 64))
    events = (*saved.events[:-1], replace(event, commits=(other,)))
    with pytest.warns(SamHQWarning, match="weights of this model are not those"):
        replay(replace(saved, events=events), image, FakePredictor(name="micro"))


def test_progress_is_told_and_can_stop_the_work(image, annotate):
    session = annotate(new_viewer(image))
    work(session)
    saved, told = snapshot(session), []

    def report(stage):
        told.append(stage)
        if stage.stage == "predict" and stage.done >= 2:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        replay(saved, image, FakePredictor(name="micro"), progress=report)
    assert told[-1].total == sum(len(getattr(event, "commits", ())) for event in saved.events)


def test_objects_from_before_the_journal_are_made_again(image, annotate):
    session = annotate(new_viewer(image))
    session.add_points([[20, 20]])
    session.commit()
    saved = snapshot(session)
    cut = replace(saved, labels=replace(saved.labels, base=saved.labels_now()), events=(), count=0)
    again = replay(cut, image, FakePredictor(radius=9, name="large"))
    assert np.sum(again == 1) > 2 * np.sum(session.labels.data == 1)


def test_the_way_the_pixels_were_shown_is_kept(annotate):
    stack = np.random.default_rng(0).integers(0, 255, (3, 30, 40), dtype=np.uint8)
    session = annotate(new_viewer(stack, axis_labels=("c", "y", "x")))
    session.channels = (2, 0)
    session.add_points([[10, 10]])
    session.commit()
    fake = FakePredictor(name="micro")
    again = replay(snapshot(session), stack, fake)
    np.testing.assert_array_equal(again, session.labels.data)
    seen = next(argument for what, argument in fake.calls if what == "embed")
    np.testing.assert_array_equal(seen[..., 0], stack[2])
    np.testing.assert_array_equal(seen[..., 1], stack[0])
