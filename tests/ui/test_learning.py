"""Learning from corrections, in a dock with a very small model."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_samhq.checkpoints import list_heads, load_model
from napari_samhq.engine.engine import Engine
from napari_samhq.engine.models import ModelSource
from napari_samhq.inference import Predictor
from napari_samhq.training.finetune import settings as tuning_settings
from napari_samhq.ui.dock import SamHQDock
from support.small_tuning import discs, write_small_model


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_small_model(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Few steps, and a folder of its own for what is made."""
    monkeypatch.setenv("NAPARI_SAMHQ_MODELS", str(tmp_path / "models"))
    defaults = {"steps": 30, "check_every": 10, "views": 1, "learning_rate": 1e-2}
    init = tuning_settings.TuningSettings.__init__

    def quick_init(self, **given):
        init(self, **(defaults | given))

    monkeypatch.setattr(tuning_settings.TuningSettings, "__init__", quick_init)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path / "models"
    torch.set_num_threads(before)


@pytest.fixture
def dock(small, quick, preferences, qtbot):
    """A dock on a picture of five discs, which were painted by hand."""
    from napari.components import ViewerModel

    (image,), (labels,) = discs(1, each=5)
    info = SimpleNamespace(
        name=str(small), title="small", bundled=True, cached=True, megabytes=1.0,
        license="", trained_on="",
    )  # fmt: skip
    source = ModelSource(
        lambda name, report: Predictor(load_model(name)), lambda: [info, *list_heads()]
    )
    preferences.put("session", "model", str(small))
    viewer = ViewerModel()
    viewer.add_image(image, name="discs")
    dock = SamHQDock(viewer, Engine(source), preferences)
    dock.resize(320, 900)
    qtbot.addWidget(dock)
    dock.show()
    dock.sections["learning"].set_open(True)
    dock.controller.session.labels.data[:] = labels
    dock.controller.session.labels.data = dock.controller.session.labels.data
    yield dock
    worker = dock.controller.workshop.worker
    dock.shut_down()
    qtbot.waitUntil(lambda: not (worker.alive or dock.school.busy), timeout=100_000)


def learn(dock, name):
    dock.learning.name.setText(name)
    dock.learning.learn.click()


def test_it_learns_in_the_background_and_the_new_model_can_be_used(dock, qtbot, quick):
    panel = dock.learning
    learn(dock, "mine")
    assert dock.school.busy  # the press returned before the work was done
    assert not panel.learn.isEnabled()
    assert panel.running.isVisible()
    qtbot.waitUntil(lambda: panel.result.text().startswith("Done: mine."), timeout=100_000)
    assert "IoU by box" in panel.result.text()
    assert len(panel.curve.values) >= 2
    assert panel.curve.isVisible()
    assert (quick / "mine.safetensors").is_file()
    models = [dock.source.models.itemData(row) for row in range(dock.source.models.count())]
    assert "mine" in models
    panel.use.click()
    assert dock.controller.model == "mine"
    assert dock.source.models.currentData() == "mine"


def test_before_and_after_are_shown_and_taken_away(dock, qtbot):
    panel, viewer = dock.learning, dock.controller.viewer
    learn(dock, "mine")
    qtbot.waitUntil(lambda: panel.result.text().startswith("Done"), timeout=100_000)
    layers = [layer.name for layer in viewer.layers]
    panel.compare.click()
    new = [layer for layer in viewer.layers if layer.name not in layers]
    assert [layer.name for layer in new] == ["before learning", "after learning"]
    assert all(layer.contour and not layer.editable for layer in new)
    assert new[1].data.any()
    panel.compare.click()
    assert [layer.name for layer in viewer.layers] == layers


def test_cancel_writes_nothing(dock, qtbot, quick, monkeypatch):
    monkeypatch.setattr(
        "napari_samhq.training.finetune.tuner.Tuner.is_over",
        property(lambda self: self.step > 100_000),
    )
    panel = dock.learning
    learn(dock, "mine")
    qtbot.waitUntil(lambda: panel.result.text().startswith("Learning: step"), timeout=100_000)
    pressed = time.monotonic()
    panel.cancel.click()
    qtbot.waitUntil(lambda: panel.result.text().startswith("Stopped."), timeout=100_000)
    assert time.monotonic() - pressed < 5
    assert panel.learn.isEnabled()
    assert not any(quick.iterdir())


def test_one_may_go_on_working_meanwhile(dock, qtbot, monkeypatch):
    monkeypatch.setattr(
        "napari_samhq.training.finetune.tuner.Tuner.is_over",
        property(lambda self: self.step > 100_000),
    )
    learn(dock, "mine")
    qtbot.waitUntil(
        lambda: dock.learning.result.text().startswith("Learning: step"), timeout=100_000
    )
    session = dock.controller.session
    session.add_box([20, 20, 40, 40])
    qtbot.waitUntil(lambda: bool(session.candidates), timeout=100_000)
    assert dock.school.busy
    dock.learning.cancel.click()
    qtbot.waitUntil(lambda: not dock.school.busy, timeout=100_000)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("", "Give the new model a name", id="none"),
        pytest.param("../up", "cannot be the name of a file", id="path"),
        pytest.param("micro", "a model 'micro' already", id="taken"),
    ],
)
def test_names_are_checked(dock, name, words):
    learn(dock, name)
    assert words in dock.learning.result.text()
    assert not dock.school.busy


def test_too_few_objects_are_told_in_words(dock):
    session = dock.controller.session
    session.labels.data = np.where(session.labels.data == 1, 1, 0)
    learn(dock, "mine")
    assert "one object that you made or corrected" in dock.learning.result.text()


def test_areas_are_called_finished_and_taken_back(dock):
    panel, session = dock.learning, dock.controller.session
    assert not panel.areas.isVisible()
    assert not panel.unfinish.isEnabled()
    panel.finish.click()
    assert panel.areas.text() == "One area of this plane is finished."
    assert panel.areas.isVisible()
    assert session.finished_here
    panel.unfinish.click()
    assert not panel.areas.isVisible()
    assert not session.finished_here


@pytest.mark.slow
def test_it_learns_to_find_where_an_area_is_finished(dock, qtbot, quick, tmp_path, monkeypatch):
    base = write_small_model(tmp_path / "dense", dense=True)
    dock.controller.use_model(str(base))
    dock.controller.session.finish()
    panel, told = dock.learning, []
    monkeypatch.setattr(panel, "show_progress", lambda share, words: told.append(words))
    learn(dock, "finder")
    # So small a model may find nothing better in so few steps, and the dock says so then.
    ends = ("Done: finder.", "Nothing was learned")
    qtbot.waitUntil(lambda: panel.result.text().startswith(ends), timeout=200_000)
    assert any(words.startswith("Learning to find all: step 30.") for words in told)
    assert ("everything (AP)" in panel.result.text()) == panel.result.text().startswith("Done")


def test_closing_the_dock_ends_it(dock, qtbot, quick, monkeypatch):
    monkeypatch.setattr(
        "napari_samhq.training.finetune.tuner.Tuner.is_over",
        property(lambda self: self.step > 100_000),
    )
    learn(dock, "mine")
    qtbot.waitUntil(
        lambda: dock.learning.result.text().startswith("Learning: step"), timeout=100_000
    )
    thread = dock.school._thread
    dock.shut_down()
    assert not thread.is_alive()
    assert not any(quick.iterdir())
