"""Everything at once, in the real window."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

CTRL = Qt.KeyboardModifier.ControlModifier


def opened(open_dock, cells):
    user = open_dock(cells)
    user.until(lambda: "Ready" in user.sentence)
    user.dock.sections["everything"].set_open(True)
    user.qtbot.wait(50)
    return user


def choose(panel, words):
    """Choose how objects are found, by words of the choice."""
    texts = [panel.finders.itemText(index) for index in range(panel.finders.count())]
    (index,) = (number for number, text in enumerate(texts) if words in text)
    panel.finders.setCurrentIndex(index)


def test_one_press_finds_all_and_one_undo_takes_them_back(open_dock, cells):
    user = opened(open_dock, cells)
    panel = user.dock.everything
    user.press(panel.segment)
    user.until(lambda: "Undo takes them back." in user.sentence)
    found = user.session.objects
    assert f"{len(found)} objects found." in user.sentence
    assert len(found) > 10
    user.key(Qt.Key.Key_Z, CTRL)
    assert not user.session.labels.data.any()
    assert "Undo takes" not in user.sentence


def test_settings_and_region_are_used(open_dock, cells):
    user = opened(open_dock, cells)
    panel = user.dock.everything
    choose(panel, "nuclei")
    controls = panel.forms["points"].controls
    assert controls["smallest_px"].value() == 30  # as in the preset
    controls["smallest_px"].setValue(70)
    assert panel.search.settings.spacing_px == 12
    assert panel.search.settings.smallest_px == 70
    assert not panel.search.settings.by_box
    controls["by_box"].click()
    assert panel.search.settings.by_box
    panel.regions.setCurrentIndex(panel.regions.findData("visible"))
    user.viewer.scene.camera.zoom *= 4
    user.viewer.scene.camera.center = (0, 60, 80)
    user.qtbot.wait(200)
    user.press(panel.segment)
    user.until(lambda: "found. Undo" in user.sentence)
    rows, cols = np.nonzero(user.session.labels.data)
    assert 0 < rows.min() < rows.max() < 119
    assert 0 < cols.min() < cols.max() < 159
    assert user.session.objects["area"].min() >= 70


@pytest.mark.parametrize("delay", [pytest.param(0.05, id="FM-28-finding-everything")])
def test_cancel_acts_within_a_tile(open_dock, cells, predictor, delay):
    user = opened(open_dock, cells)
    predictor.delay = delay
    user.press(user.dock.everything.segment)
    user.until(lambda: user.dock.status.running.isVisible() and "predict" in dict(predictor.calls))
    assert user.sentence.startswith("Looking for all objects.")
    assert not user.dock.everything.segment.isEnabled()
    user.until(lambda: user.dock.status.bar.maximum() > 0)  # tells how far it is
    asked = len(predictor.calls)
    user.press(user.dock.status.cancel)
    assert user.sentence == "Stopped. Nothing was changed. Press Segment to go on where it stopped."
    user.until(lambda: not user.dock.controller.runner.busy)
    assert len(predictor.calls) <= asked + 2
    user.qtbot.wait(100)
    assert not user.session.labels.data.any()
    assert not user.session.current.can_undo
    predictor.delay = 0.0
    user.press(user.dock.everything.segment)
    user.until(lambda: "Undo takes them back." in user.sentence)
    assert user.session.labels.data.any()


def test_another_smallest_area_changes_what_was_found(open_dock, cells, predictor):
    user = opened(open_dock, cells)
    panel = user.dock.everything
    choose(panel, "cells")
    panel.forms["points"].controls["smallest_px"].setValue(40)  # nothing is there to choose from
    assert not predictor.calls or dict(predictor.calls).keys() == {"embed"}
    user.press(panel.segment)
    user.until(lambda: "Undo takes them back." in user.sentence)
    first, asked = user.session.objects, len(predictor.calls)
    assert first["area"].max() < 100
    panel.forms["points"].controls["smallest_px"].setValue(150)  # at once
    user.until(lambda: user.session.objects["area"].min() >= 100)  # the larger masks, if any
    assert len(predictor.calls) == asked
    user.key(Qt.Key.Key_Z, CTRL)
    assert not user.session.labels.data.any()
