"""Session files that earlier versions wrote open, undo and replay to the same bits."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image

import napari_samhq as samhq
from napari_samhq.errors import SamHQWarning
from napari_samhq.io.session_files import read_session
from support.fakes import FakePredictor

SESSIONS = Path(__file__).parents[2] / "data/sessions"
#: Written under micro on a part of the bundled picture of nuclei, before `engine` was a package of
#: its own: boxes, points beside an object, a second candidate, a class, a threshold, an object that
#: was reopened, one that was deleted, and three steps taken back.
FILE = SESSIONS / "nuclei_before_engine.samhq.json"

#: Label id and area in pixels of the objects that it holds.
OBJECTS = {1: 138, 3: 666, 4: 157, 5: 710}


@pytest.fixture
def nuclei() -> np.ndarray:
    with Image.open(str(files("napari_samhq") / "data/nuclei.png")) as picture:
        return np.asarray(picture)[:160, :200]


def _areas(labels: np.ndarray) -> dict[int, int]:
    values, counts = np.unique(labels[labels > 0], return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def test_it_opens_undoes_and_redoes_to_the_same_bits(nuclei):
    viewer = ViewerModel()
    viewer.add_image(nuclei, name="nuclei")
    session = samhq.open_session(FILE, viewer)
    opened = np.asarray(session.labels.data).copy()
    assert _areas(opened) == OBJECTS
    assert session.objects["category"].tolist() == ["", "nucleus", "", ""]
    back = 0
    while session.undo():
        back += 1
    assert back == 18
    assert not np.any(session.labels.data)
    for _ in range(back):
        assert session.redo()
    np.testing.assert_array_equal(session.labels.data, opened)
    assert [session.redo() for _ in range(4)] == [True, True, True, False]
    session.close()


def test_its_prompts_give_the_same_bits_by_another_model(nuclei):
    with pytest.warns(SamHQWarning, match="weights"):
        labels = samhq.replay(FILE, nuclei, FakePredictor(name="micro"))
    with Image.open(SESSIONS / "nuclei_before_engine_discs.png") as picture:
        np.testing.assert_array_equal(labels, np.asarray(picture))


def test_its_prompts_give_the_same_bits_by_the_model_that_it_was_made_with(nuclei):
    saved = read_session(FILE)
    if saved.fingerprint == samhq.load_model("micro").fingerprint:
        labels = samhq.replay(FILE, nuclei)
        np.testing.assert_array_equal(labels, saved.labels_now().array())
        return
    with pytest.warns(SamHQWarning, match="weights"):  # the bundled model was trained on since
        samhq.replay(FILE, nuclei)
