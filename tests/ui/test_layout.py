"""What the dock looks like: everything fits, explains itself, and can be reached."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from napari._qt.qt_resources import get_stylesheet  # as the window of napari looks
from qtpy.QtCore import QLocale, Qt
from qtpy.QtGui import QFont
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QSlider

from napari_samhq.core.journal.drafts import Drafts

_CONTROLS = (QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit, QSlider)


def controls(dock):
    """All that can be used, but for the parts of other controls."""
    found = [one for kind in _CONTROLS for one in dock.findChildren(kind)]
    wholes = QComboBox | QAbstractSpinBox | QLineEdit
    return [one for one in found if not isinstance(one.parent(), wholes)]


def opened(dock):
    """Open all sections, and show everything that a state can show."""
    for section in dock.sections.values():
        section.set_open(True)
    dock.recovery.offer("Unfinished work of yesterday 17:03 on nuclei: 12 objects.")
    dock.object.show_waiting(20, others=True)
    return dock


def fits(dock) -> None:
    right = dock.mapToGlobal(dock.rect().topRight()).x()
    for one in controls(dock):
        if one.isVisible():
            name = one.accessibleName() or one.text()
            assert one.mapToGlobal(one.rect().topRight()).x() <= right, name
            if isinstance(one, QAbstractButton):
                assert one.width() >= one.minimumSizeHint().width(), name
                assert one.height() >= one.minimumSizeHint().height(), name


@pytest.mark.parametrize(
    ("theme", "scale"),
    [
        pytest.param("dark", 1.0, id="FM-57-dark"),
        pytest.param("light", 1.0, id="FM-57-light"),
        pytest.param("dark", 1.5, id="FM-57-large-font"),
    ],
)
def test_everything_fits_into_320_pixels(bare_dock, cells, qtbot, theme, scale):
    dock = bare_dock(cells)
    dock.setStyleSheet(get_stylesheet(theme, extra_variables={"font_size": f"{9 * scale:.0f}pt"}))
    font = QFont(dock.font())
    font.setPointSizeF(9 * scale)
    dock.setFont(font)
    opened(dock)
    dock.setFixedWidth(320)
    qtbot.wait(100)
    fits(dock)
    assert dock.status.isVisible()


def test_every_control_explains_itself(bare_dock, cells):
    dock = opened(bare_dock(cells))
    for one in controls(dock):
        words = one.text() if isinstance(one, QAbstractButton) else ""
        name = one.accessibleName() or words
        if one.isVisible():
            assert name, one
            assert one.toolTip(), name
        if isinstance(one, QAbstractButton) and one.isVisible():
            assert words, one


def test_tab_goes_from_top_to_bottom(bare_dock, cells, qtbot):
    dock = opened(bare_dock(cells))
    qtbot.wait(50)
    seen, one = [], dock
    for _ in range(300):
        one = one.nextInFocusChain()
        if one is dock:
            break
        ours = one in controls(dock) and one.isVisible() and one.isEnabled()
        if ours and one.focusPolicy() & Qt.FocusPolicy.TabFocus:
            seen.append(one)
    assert len(seen) > 10
    heights = [one.mapTo(dock, one.rect().topLeft()).y() for one in seen]
    inside = heights[:-1] if seen[-1] in dock.status.findChildren(QAbstractButton) else heights
    backwards = [b - a for a, b in itertools.pairwise(inside) if b < a - 60]
    assert not backwards


def test_a_section_that_is_opened_is_brought_into_sight(bare_dock, cells, qtbot):
    dock = bare_dock(cells)
    dock.setFixedHeight(420)
    port = dock._scroll.viewport()

    def in_sight(section):
        top = section.header.mapTo(port, section.header.rect().topLeft()).y()
        bottom = section.mapTo(port, section.rect().bottomLeft()).y()
        whole = bottom <= port.height()
        return 0 <= top < port.height() and (whole or top <= 1)  # or as much as there is room for

    for section in dock.sections.values():
        section.header.click()
        qtbot.waitUntil(lambda section=section: in_sight(section), timeout=20_000)
        section.header.click()


def test_sections_stay_as_they_were_left(bare_dock, cells, preferences):
    dock = bare_dock(cells)
    assert not dock.sections["objects"].open
    dock.sections["objects"].header.click()
    assert preferences.get("dock", "objects_open", False) is True
    dock.shut_down()
    assert bare_dock(cells).sections["objects"].open


def test_rules_chosen_in_the_dock_hold_in_the_session_and_in_the_next_dock(bare_dock, cells):
    dock = bare_dock(cells)
    dock.sections["settings"].set_open(True)
    dock.settings.rules.controls["fill_holes"].click()
    dock.settings.rules.controls["smallest_area"].setValue(30)
    dock.settings.session.controls["refine"].click()
    session = dock.controller.session
    assert session.rules.fill_holes
    assert session.rules.smallest_area == 30
    assert not session.refine
    dock.shut_down()
    again = bare_dock(cells).controller.session
    assert (again.rules.smallest_area, again.refine) == (30, False)


def test_the_folder_of_embeddings_is_used_and_kept(bare_dock, cells, preferences, tmp_path):
    dock = bare_dock(cells)
    line, engine = dock.settings.session.controls["embeddings"], dock.controller.workshop.engine
    assert engine.embeddings is None

    def write(text):
        line.setText(str(text))
        line.editingFinished.emit()

    write(tmp_path / "seen")
    assert engine.embeddings == tmp_path / "seen"
    assert (tmp_path / "seen").is_dir()
    (tmp_path / "file").write_text("")
    write(tmp_path / "file")
    assert "Cannot make the folder" in dock.status.sentence.text()
    assert engine.embeddings == tmp_path / "seen"
    write(tmp_path / "seen")
    assert "Cannot" not in dock.status.sentence.text()
    dock.shut_down()
    (tmp_path / "seen").rmdir()
    (tmp_path / "seen").write_text("in the way")  # such as a drive that is not there today
    again = bare_dock(cells)
    again.sections["settings"].set_open(True)
    assert again.settings.session.controls["embeddings"].text() == str(tmp_path / "seen")
    assert "Cannot make the folder" in again.status.sentence.text()


def test_keys_of_the_preferences_are_used_at_once(bare_dock, preferences):
    preferences.put("keys", "accept", "F9")
    preferences.put("keys", "undo", "M")
    dock = bare_dock()
    assert "F9" in dock.object.buttons["accept"].text()
    assert "Keys M for 'Undo' are not used" in dock.status.sentence.text()


@pytest.mark.parametrize("language", [pytest.param("de_DE", id="FM-57-decimal-comma")])
def test_scores_and_thresholds_are_the_same_in_every_language(bare_dock, cells, qtbot, language):
    before = QLocale()
    QLocale.setDefault(QLocale(language))
    try:
        dock = bare_dock(cells)
        session = dock.controller.session
        session.add_points([[40, 50]])
        qtbot.waitUntil(lambda: bool(session.candidates), timeout=30_000)
        assert dock.object.candidates.buttons[0].text().endswith("0.90")
        dock.object.outline.slider.setValue(6)
        assert session.current.choice.threshold == 1.5
        assert dock.object.outline.slider.value() == 6
    finally:
        QLocale.setDefault(before)


def test_a_slider_that_is_dragged_makes_one_step(bare_dock, cells, qtbot):
    dock = bare_dock(cells)
    session = dock.controller.session
    session.add_points([[40, 50]])
    qtbot.waitUntil(lambda: bool(session.candidates), timeout=30_000)
    for value in range(1, 9):
        dock.object.outline.slider.setValue(value)
    assert session.current.choice.threshold == 2.0
    session.undo()
    assert session.current.choice.threshold == 0.0
    assert dock.object.outline.slider.value() == 0
    session.undo()
    assert session.controller.unfinished.drafts(session.plane) == Drafts()


@pytest.mark.parametrize("factor", [pytest.param("1.5", id="FM-57-150-percent")])
def test_everything_fits_on_a_screen_of_high_resolution(factor, tmp_path):
    code = """
import numpy as np
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
app = QApplication([])
assert app.devicePixelRatio() == 1.5
from support.fakes import FakePredictor
from napari_samhq.engine.engine import Engine
from napari_samhq.engine.models import ModelSource
from napari_samhq.ui.dock import SamHQDock
from napari_samhq.ui.preferences import Preferences
from test_layout import fits, opened
viewer = ViewerModel()
viewer.add_image(np.ones((60, 80), np.uint8))
source = ModelSource(lambda name, report: FakePredictor(), list)
dock = SamHQDock(viewer, Engine(source), Preferences.forgetful())
dock.setFixedWidth(320)
dock.resize(320, 700)
dock.show()
opened(dock)
for _ in range(20):
    app.processEvents()
fits(dock)
dock.shut_down()
"""
    here = Path(__file__).parent
    env = {**os.environ, "QT_SCALE_FACTOR": factor, "NAPARI_SAMHQ_STATE": str(tmp_path)}
    env["PYTHONPATH"] = os.pathsep.join([str(here), str(here.parent), env.get("PYTHONPATH", "")])
    subprocess.run([sys.executable, "-c", code], check=True, timeout=280, env=env)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_words_are_those_of_people(bare_dock, cells, theme):
    dock = opened(bare_dock(cells))
    shown = [one.text() for one in controls(dock) if isinstance(one, QAbstractButton)]
    shown += [dock.status.sentence.text()]
    for word in ("embedding", "logit", "tensor", "tile"):
        assert not any(word in text.lower() for text in shown)
