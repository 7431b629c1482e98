from __future__ import annotations

import itertools
import os
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from napari_samhq.engine.engine import Engine
from napari_samhq.engine.models import ModelSource
from napari_samhq.ui.dock import SamHQDock
from napari_samhq.ui.preferences import Preferences
from support.fakes import FakePredictor


def pytest_collection_modifyitems(items):
    here = os.path.dirname(__file__)
    seeing = sys.platform != "linux" or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    for item in items:
        if str(item.path).startswith(here) and "qtbot" in item.fixturenames:
            item.add_marker(pytest.mark.gui)
            if not seeing:  # Qt would end Python, not only the test
                item.add_marker(pytest.mark.skip(reason="no display; run it under xvfb-run"))


@pytest.fixture
def predictor() -> FakePredictor:
    return FakePredictor()


def info(name, **more):
    about = {"title": f"the model {name}", "license": "BSD-3-Clause", "trained_on": "cells"}
    return SimpleNamespace(name=name, **about, **more)


@pytest.fixture
def models(predictor):
    """A source of two models: one that is here, and one that takes its time to come."""
    here = {"vit_b": False}

    def load(name, report):
        if name == "vit_b" and not here[name]:
            for done in range(0, 380, 2):
                report(done * 1e6, 380e6)
                time.sleep(0.01)
            here[name] = True
        return predictor

    def known():
        return [
            info("micro", bundled=True, cached=True, megabytes=20.0),
            info("vit_b", bundled=False, cached=here["vit_b"], megabytes=380.0),
        ]

    return ModelSource(load, known)


@pytest.fixture(autouse=True)
def state_folder(tmp_path, monkeypatch):
    """Keep unfinished work out of the folder of whoever runs the tests."""
    monkeypatch.setenv("NAPARI_SAMHQ_STATE", str(tmp_path / "state"))


@pytest.fixture
def preferences() -> Preferences:
    return Preferences.forgetful()


class User:
    """A person in front of a window: sees the dock, has a mouse and keys."""

    def __init__(self, viewer, dock, qtbot) -> None:
        self.viewer, self.dock, self.qtbot = viewer, dock, qtbot
        (self.canvas,) = (
            child
            for child in dock.window().findChildren(QWidget)
            if type(child).__name__ == "CanvasBackendDesktop"
        )

    @property
    def session(self):
        return self.dock.controller.session

    @property
    def sentence(self) -> str:
        return self.dock.status.sentence.text()

    def press(self, button) -> None:
        assert button.isVisible(), button.text()
        assert button.isEnabled(), button.text()
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    def key(self, key, modifier=Qt.KeyboardModifier.NoModifier) -> None:
        QTest.keyClick(self.canvas, key, modifier)

    def click(self, row, col, modifier=Qt.KeyboardModifier.NoModifier) -> None:
        QTest.mouseClick(self.canvas, Qt.MouseButton.LeftButton, modifier, self.at(row, col))

    def drag(self, *places) -> None:
        left = Qt.MouseButton.LeftButton
        QTest.mousePress(self.canvas, left, pos=self.at(*places[0]))
        for start, stop in itertools.pairwise(places):
            for part in (0.3, 0.6, 1.0):
                between = [a + part * (b - a) for a, b in zip(start, stop, strict=True)]
                QTest.mouseMove(self.canvas, self.at(*between))
                self.qtbot.wait(10)
        QTest.mouseRelease(self.canvas, left, pos=self.at(*places[-1]))

    def at(self, *world) -> QPoint:
        """Where a position of the world is on the canvas."""
        camera = self.viewer.scene.camera
        middle = np.array([self.canvas.height(), self.canvas.width()]) / 2
        row, col = (np.array(world) - np.array(camera.center)[-2:]) * camera.zoom + middle
        return QPoint(round(col), round(row))

    def until(self, condition, timeout=60_000) -> None:
        self.qtbot.waitUntil(condition, timeout=timeout)

    def sees_preview(self) -> bool:
        return bool(self.session.candidates) and self.session.preview.data.any()

    def sees_all(self) -> bool:
        """Whether all objects being made have a mask."""
        drafts = self.session.drafts
        return bool(drafts) and all(draft.score is not None for draft in drafts)


@pytest.fixture
def open_dock(make_napari_viewer_proxy, models, preferences, qtbot):
    """Open a window with the dock in it, and an image where one is wanted."""

    def open_dock(*images, theme="dark", engine=None, layer=None) -> User:
        viewer = make_napari_viewer_proxy(show=True)
        viewer.theme = theme
        for index, image in enumerate(images):
            viewer.add_image(image, name=f"image {index}")
        if layer is not None:
            viewer.add_layer(layer)
        dock = SamHQDock(viewer, engine or Engine(models), preferences)
        viewer.window.add_dock_widget(dock, name="SAM-HQ", area="right")
        user = User(viewer, dock, qtbot)
        qtbot.wait(50)
        return user

    return open_dock


@pytest.fixture
def bare_dock(models, preferences, qtbot):
    """Make a dock without a window of napari's around it, which takes seconds."""
    docks = []

    def bare_dock(*images, **options) -> SamHQDock:
        viewer = ViewerModel()
        for index, image in enumerate(images):
            viewer.add_image(image, name=f"image {index}", **options)
        dock = SamHQDock(viewer, Engine(models), preferences)
        docks.append(dock)
        dock.resize(320, 700)
        qtbot.addWidget(dock)
        dock.show()
        return dock

    yield bare_dock
    for dock in docks:
        dock.shut_down()


@pytest.fixture
def cells() -> np.ndarray:
    rows, cols = np.mgrid[:120, :160]
    return (rows + cols).astype(np.uint8)
