"""What was done is there after the program died, and comes back as it was."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_samhq.errors import LayerError, SamHQWarning
from napari_samhq.io import recovery
from napari_samhq.session.storage.autosave import recover, recoverable
from support.session_work import new_viewer, standing, states, work


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(recovery.VARIABLE, str(tmp_path / "state"))
    return tmp_path / "state" / "sessions"


@pytest.fixture
def image() -> np.ndarray:
    rows, cols = np.mgrid[:48, :64]
    return (rows * 2 + cols).astype(np.uint8)


def cut_off(session) -> None:
    """End a session as if the program had died."""
    session.autosave.file._let_go()
    session.controller.history.journal_changed.disconnect(session.autosave._note)


@pytest.mark.parametrize("seed", range(3))
def test_work_that_was_cut_off_comes_back_with_all_its_steps(image, annotate, folder, seed):
    session = annotate(new_viewer(image), autosave=True)
    work(session, seed)
    assert recoverable() == []  # it still runs
    cut_off(session)
    (found,) = recoverable(new_viewer(image).layers[0])
    assert (found.image, found.closed) == ("cells", False)
    assert (found.objects, found.unfinished) == (len(session.records), 1)
    again = annotate(new_viewer(image), autosave=True)
    recover(again, found)
    np.testing.assert_array_equal(again.labels.data, session.labels.data)
    assert again.drafts == session.drafts
    assert again.objects.equals(session.objects)
    assert states(again) == states(session)
    assert not found.path.exists()
    again.add_points([[20, 20]])
    cut_off(again)
    assert len(recoverable()) == 1  # and may be cut off again


def test_work_on_another_image_is_not_offered(image, annotate, folder):
    session = annotate(new_viewer(image), autosave=True)
    work(session)
    cut_off(session)
    other = new_viewer(255 - image).layers[0]
    other.name = "another"
    assert recoverable(other) == []
    assert recoverable(new_viewer(image[:40]).layers[0]) == []
    assert len(recoverable()) == 1


def test_work_is_offered_though_the_image_was_changed_since(image, annotate, folder):
    session = annotate(new_viewer(image), autosave=True)
    work(session)
    cut_off(session)
    viewer = new_viewer(255 - image)
    (found,) = recoverable(viewer.layers[0])
    assert found.other_pixels
    assert not recoverable(new_viewer(image).layers[0])[0].other_pixels
    again = annotate(viewer)
    recover(again, found)
    np.testing.assert_array_equal(again.labels.data, session.labels.data)
    again.predict()  # what is not finished is asked for anew, of the pixels that are there now
    found.discard()
    # What was closed on purpose is offered for just these pixels: many images have the same name.
    session = annotate(new_viewer(image), autosave=True)
    work(session)
    session.close()
    assert [one.closed for one in recoverable(new_viewer(255 - image).layers[0])] == []
    assert [one.closed for one in recoverable(new_viewer(image).layers[0])] == [True]


def test_nothing_stays_of_a_session_that_was_saved(image, annotate, folder, tmp_path):
    session = annotate(new_viewer(image), autosave=True)
    work(session)
    session.save(tmp_path / "cells.samhq.json")
    session.close()
    assert list(folder.iterdir()) == []


def test_a_session_closed_without_saving_can_be_brought_back(image, annotate, folder):
    session = annotate(new_viewer(image), autosave=True)
    session.add_points([[20, 20]])
    session.predict()
    session.commit()
    labels = np.array(session.labels.data)
    session.close()
    (found,) = recoverable()
    assert found.closed
    again = annotate(new_viewer(image))
    recover(again, found)
    np.testing.assert_array_equal(again.labels.data, labels)


def test_what_was_only_painted_or_deleted_by_hand_comes_back(image, annotate, folder):
    session = annotate(new_viewer(image), autosave=True)
    session.labels.paint((20, 20), 3)
    cut_off(session)
    (found,) = recoverable(new_viewer(image).layers[0])
    again = annotate(new_viewer(image))
    recover(again, found)
    np.testing.assert_array_equal(again.labels.data, session.labels.data)
    found.discard()
    session = annotate(new_viewer(image), autosave=True)
    session.labels.paint((20, 20), 3)
    session.undo()
    cut_off(session)
    assert recoverable() == []  # nothing is left of it


def test_labels_that_were_there_before_come_back_too(image, annotate, folder):
    viewer = new_viewer(image)
    mine = viewer.add_labels(np.zeros(image.shape, np.int32))
    mine.data[:5, :5] = 7
    session = annotate(viewer, labels=mine, autosave=True)
    session.add_points([[20, 20]])
    session.predict()
    session.commit()
    cut_off(session)
    (found,) = recoverable()
    again = annotate(new_viewer(image))
    recover(again, found)
    np.testing.assert_array_equal(again.labels.data, mine.data)


def test_labels_in_a_store_go_on_from_where_they_are(image, annotate, folder, tmp_path):
    import zarr

    store = zarr.create_array(tmp_path / "a.zarr", shape=image.shape, chunks=(16, 16), dtype="i4")
    viewer = new_viewer(image)
    session = annotate(viewer, labels=viewer.add_labels(store), autosave=True)
    work(session)
    expected = store[:]
    cut_off(session)
    (found,) = recoverable()
    viewer = new_viewer(image)
    again = annotate(viewer, labels=viewer.add_labels(zarr.open_array(tmp_path / "a.zarr")))
    recover(again, found)
    np.testing.assert_array_equal(again.labels.data[:], expected)
    assert states(again)[0].startswith(expected.tobytes())


def test_work_is_not_written_over_other_objects(image, annotate, folder):
    session = annotate(new_viewer(image), autosave=True)
    work(session)
    cut_off(session)
    (found,) = recoverable()
    viewer = new_viewer(image)
    other = viewer.add_labels(np.full(image.shape, 3, np.int32))
    before = np.array(other.data)
    with pytest.raises(LayerError, match="holds other objects"):
        recover(annotate(viewer, labels=other), found)
    np.testing.assert_array_equal(other.data, before)
    with pytest.raises(LayerError, match="Choose the image"):
        recover(annotate(new_viewer(image[:9])), found)
    begun = annotate(new_viewer(image))
    begun.add_points([[3, 3]])
    with pytest.raises(LayerError, match="done in this session already"):
        recover(begun, found)
    assert found.path.exists()


@pytest.mark.parametrize("what", [pytest.param("data", id="FM-44-autosave")])
def test_labels_that_get_other_data_are_followed(image, annotate, folder, what):
    session = annotate(new_viewer(image), autosave=True)
    session.add_points([[20, 20]])
    session.predict()
    session.commit()
    session.labels.data = np.full(image.shape, 9, np.int32)
    session.add_points([[30, 50]])
    cut_off(session)
    (found,) = recoverable()
    again = annotate(new_viewer(image))
    recover(again, found)
    np.testing.assert_array_equal(again.labels.data, session.labels.data)
    assert again.drafts == session.drafts


@pytest.mark.parametrize("what", [pytest.param("folder", id="FM-32-session-goes-on")])
def test_a_session_goes_on_without_a_folder(image, annotate, tmp_path, monkeypatch, what):
    (tmp_path / "file").touch()
    monkeypatch.setenv(recovery.VARIABLE, str(tmp_path / "file"))
    session = annotate(new_viewer(image), autosave=True)
    with pytest.warns(SamHQWarning, match="not being saved as you go") as told:
        work(session)
    assert len([one for one in told if "not being saved" in str(one.message)]) == 1
    assert len(session.objects)


_SCRIPT = """
import os, sys, threading
threading.Timer(120, os._exit, [1]).start()  # whatever happens to the test that waits for this
sys.path[:0] = {paths!r}
import numpy as np
from types import SimpleNamespace
from support.fakes import FakePredictor
from napari_samhq.session import Session
from napari_samhq.engine.engine import Engine
from napari_samhq.engine.models import ModelSource
from support.session_work import new_viewer, standing
infos = [SimpleNamespace(name="micro", bundled=True, cached=True)]
engine = Engine(ModelSource(load=lambda *_: FakePredictor(radius=2), list=lambda: infos))
rows, cols = np.mgrid[:48, :64]
viewer = new_viewer((rows * 2 + cols).astype(np.uint8))
session = Session(viewer, viewer.layers[0], engine=engine, autosave=True)
rng = np.random.default_rng(0)
while True:
    session.add_points(rng.random((1, 2)) * (48, 64))
    print(standing(session), flush=True)
    session.predict()
    try:
        session.commit()
    except ValueError:  # all pixels are taken
        session.reject()
    print(standing(session), flush=True)
"""


@pytest.mark.parametrize("wait", [pytest.param(s, id=f"FM-30-objects-{s}") for s in (0.1, 0.7)])
def test_after_kill_9_at_most_the_last_step_is_lost(image, annotate, folder, wait):
    script = _SCRIPT.format(paths=[str(Path(__file__).parents[2])])
    command = [sys.executable, "-W", "ignore", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        told = process.stdout.readline()
        time.sleep(wait)
        process.kill()
        told += process.stdout.read()
    *whole, _cut_off = told.split("\n")
    (found,) = recoverable(new_viewer(image).layers[0])
    again = annotate(new_viewer(image))
    recover(again, found)
    done = len(again.journal)
    assert len(whole) <= done <= len(whole) + 1  # killed before it told of the last step
    if done > len(whole):
        again.undo()
    assert standing(again) == whole[-1]
    for earlier in reversed(whole[:-1]):  # and so on, step by step, to the beginning
        again.undo()
        assert standing(again) == earlier
    again.undo()
    assert not again.undo()
    assert not again.labels.data.any()
