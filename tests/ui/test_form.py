"""Forms made from classes of settings, and where preferences are kept."""

from __future__ import annotations

import pytest
from npe2 import PluginManifest
from qtpy.QtCore import QLocale, Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QFileDialog,
    QGroupBox,
    QLineEdit,
    QWidget,
)

import napari_samhq
from napari_samhq.settings import CommitRules, SessionSettings
from napari_samhq.ui.form import Form
from napari_samhq.ui.keys import KEYS
from napari_samhq.ui.preferences import Preferences


@pytest.fixture
def form(qtbot):
    def form(kind) -> Form:
        form = Form(kind)
        qtbot.addWidget(form)
        return form

    return form


@pytest.mark.parametrize("kind", [CommitRules, SessionSettings])
def test_a_form_has_a_control_with_help_for_each_setting(form, kind):
    made = form(kind)
    assert list(made.controls) == [one.name for one in kind.described()]
    for one in kind.described():
        control = made.controls[one.name]
        assert isinstance(control, QWidget)
        assert control.toolTip() == one.help
        assert control.accessibleName() == one.title


def test_a_form_shows_without_telling_and_tells_what_is_edited(form):
    edited = []
    made = form(CommitRules)
    made.edited.connect(lambda name, value: edited.append((name, value)))
    made.show_values(CommitRules("keep", 25, fill_holes=True, mode="semantic", semantic_value=7))
    assert edited == []
    assert made.controls["smallest_area"].value() == 25
    assert made.controls["overlap"].currentText() == "keep"
    made.controls["fill_holes"].click()
    made.controls["overlap"].setCurrentIndex(2)
    made.controls["smallest_area"].setValue(30)
    assert edited == [("fill_holes", False), ("overlap", "overwrite"), ("smallest_area", 30)]


def test_what_is_being_written_is_left_alone(form, qtbot):
    edited = []
    made = form(SessionSettings)
    made.edited.connect(lambda name, value: edited.append((name, value)))
    line = made.controls["embeddings"]
    qtbot.keyClicks(line, "/tmp/se")
    made.show_values(SessionSettings())  # something else happened meanwhile
    qtbot.keyClicks(line, "en")
    assert (line.text(), edited) == ("/tmp/seen", [])
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert edited == [("embeddings", "/tmp/seen")]
    made.show_values(SessionSettings(embeddings="/tmp/other"))
    assert line.text() == "/tmp/other"


def test_a_folder_can_be_chosen(form, monkeypatch):
    edited = []
    made = form(SessionSettings)
    made.edited.connect(lambda name, value: edited.append((name, value)))
    line = made.controls["embeddings"]
    (choose,) = (action for action in line.actions() if action.text() == "Choose a folder")
    for answer in ("", "/tmp/seen"):
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, told=answer: told)
        choose.trigger()
    assert edited == [("embeddings", "/tmp/seen")]
    assert line.text() == "/tmp/seen"
    assert not made.controls["device"].actions()


@pytest.mark.parametrize("language", [pytest.param("de_DE", id="FM-57-decimal-comma"), "en_US"])
def test_numbers_are_the_same_in_every_language(form, language):
    before = QLocale()
    QLocale.setDefault(QLocale(language))
    try:
        made = form(CommitRules)
        edited = []
        made.edited.connect(lambda name, value: edited.append(value))
        made.controls["smallest_area"].setValue(1234)
        assert edited == [1234]
    finally:
        QLocale.setDefault(before)


def test_a_wheel_over_a_choice_changes_nothing(form, qtbot):
    combo = form(CommitRules).controls["overlap"]
    assert isinstance(combo, QComboBox)
    assert not isinstance(combo, QAbstractButton)
    from qtpy.QtCore import QPoint, QPointF, Qt
    from qtpy.QtGui import QWheelEvent

    event = QWheelEvent(
        QPointF(5, 5),
        QPointF(5, 5),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(combo, event)
    assert combo.currentIndex() == 0
    assert not event.isAccepted()


@pytest.fixture
def kept(plugin_settings, npe2pm):
    """Have napari know the plugin, with its settings in a folder of the test."""
    npe2pm.register(PluginManifest.from_file(f"{napari_samhq.__path__[0]}/napari.yaml"))


@pytest.mark.usefixtures("kept")
def test_preferences_are_kept_by_napari_and_tell_of_changes(tmp_path):
    mine, told = Preferences(), []
    mine.listen("rules", lambda: told.append("rules"))
    assert mine.get("rules", "fill_holes", None) is False
    mine.put("rules", "fill_holes", True)
    mine.put("rules", "fill_holes", True)
    mine.put("dock", "objects_open", True)
    assert told == ["rules"]
    assert "fill_holes: true" in (tmp_path / "napari-samhq.yaml").read_text()
    other = Preferences()  # of a second window
    assert other.get("dock", "objects_open", None) is True
    other.put("rules", "smallest_area", 9)
    assert told == ["rules", "rules"]
    mine.close()
    other.put("rules", "smallest_area", 10)
    assert told == ["rules", "rules"]


@pytest.mark.usefixtures("kept")
def test_preferences_that_cannot_be_kept_hold_in_this_window(tmp_path, recwarn):
    mine = Preferences()
    (tmp_path / "napari-samhq.yaml").mkdir()
    mine.put("rules", "smallest_area", 9)
    assert mine.get("rules", "smallest_area", 0) == 9


def test_without_the_plugin_preferences_last_as_long_as_the_window(plugin_settings):
    mine = Preferences()
    mine.listen("rules", lambda: None)
    mine.put("rules", "fill_holes", True)
    assert mine.get("rules", "fill_holes", False) is True
    assert Preferences().get("rules", "fill_holes", False) is False


@pytest.mark.filterwarnings("ignore:Could not resolve type hint")  # of napari's own actions
def test_napari_shows_our_page_among_its_preferences(kept, qtbot):
    from napari._qt.dialogs.preferences_dialog import PreferencesDialog

    dialog = PreferencesDialog()  # napari takes some names of groups for its own, and fails then
    qtbot.addWidget(dialog)
    titles = {box.title() for box in dialog.findChildren(QGroupBox)}
    assert titles >= {"Segmenting", "Accepting objects", "Shortcuts"}
    written = [line.text() for line in dialog.findChildren(QLineEdit)]
    assert {key.keys for key in KEYS} <= set(written)
