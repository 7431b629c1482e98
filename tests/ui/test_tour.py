"""A whole visit with mouse and keys: from opening an image to a saved session that opens again."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def test_from_an_image_to_a_saved_session(open_dock, cells, tmp_path, monkeypatch):
    user = open_dock()
    dock, viewer = user.dock, user.viewer
    viewer.add_image(cells, name="cells", scale=(0.5, 0.5), units=("um", "um"))
    user.until(lambda: "Ready" in user.sentence)

    # One object by a click; the mask is corrected by a click with a modifier.
    user.click(10, 15)
    user.until(user.sees_preview)
    user.key(Qt.Key.Key_Right, CTRL)
    assert user.session.candidates[1].chosen
    user.click(20, 25, SHIFT)
    user.until(user.sees_preview)
    user.key(Qt.Key.Key_J, CTRL)
    user.until(user.sees_preview)
    assert user.session.current.choice.output == "hq"
    user.key(Qt.Key.Key_J, CTRL)
    user.key(Qt.Key.Key_J, CTRL)
    user.until(user.sees_preview)
    user.key(Qt.Key.Key_D, CTRL)
    assert user.session.labels.data[20, 30] == 1

    # Boxes, a rough outline and a scribble: each becomes an object, all are accepted at once.
    user.key(Qt.Key.Key_2, CTRL)
    user.drag((5, 35), (15, 45))
    user.drag((20, 35), (30, 45))
    user.until(user.sees_all)
    assert "objects wait" in user.sentence
    user.key(Qt.Key.Key_3, CTRL)
    user.drag((35, 10), (35, 25), (50, 25), (50, 10), (36, 10))
    user.key(Qt.Key.Key_Left, CTRL | SHIFT)
    assert [draft.active for draft in user.session.drafts] == [False, True, False]
    user.until(user.sees_all)
    assert len(user.session.drafts) == 3
    user.key(Qt.Key.Key_A, CTRL | SHIFT)
    assert set(np.unique(user.session.labels.data)) == {0, 1, 2, 3, 4}
    user.key(Qt.Key.Key_4, CTRL)
    user.drag((40, 60), (40, 70))
    user.until(user.sees_preview)
    assert [shape.kind for shape in user.session.current.drawn.shapes] == ["path"]
    user.press(dock.object.buttons["reject"])

    # The table: worst first, edit, delete, and all of it taken back.
    user.press(dock.sections["objects"].header)
    user.until(lambda: dock.objects.model.rowCount() == 4)
    assert dock.sections["objects"].header.text() == "Objects (4)"
    dock.objects.worst.click()
    worst = dock.objects.chosen
    scores = user.session.objects.set_index("label_id")["score"]
    assert scores[worst] == scores.min()
    user.key(Qt.Key.Key_E, CTRL | SHIFT)
    assert user.session.current.reopened
    assert user.sentence.startswith(f"Editing object {worst}.")
    user.until(user.sees_preview)
    user.press(dock.object.buttons["reject"])
    dock.objects.choose(4)
    dock.objects.delete.click()
    assert 4 not in user.session.labels.data
    user.key(Qt.Key.Key_Z, CTRL)
    assert 4 in user.session.labels.data

    # An object gets a class; the table shows it.
    dock.objects.choose(2)
    QTest.keyClicks(dock.objects.category.line, "nucleus")
    QTest.keyClick(dock.objects.category.line, Qt.Key.Key_Return)
    assert user.session.objects.set_index("label_id")["category"][2] == "nucleus"
    user.until(lambda: not dock.objects.table.isColumnHidden(5))

    # Objects of another labels layer are refined under their ids.
    other = np.zeros(cells.shape, dtype=np.int32)
    other[90:100, 100:110] = 7
    place = {"scale": user.session.image.scale, "units": user.session.image.units}
    viewer.add_layer(Labels(other, name="from elsewhere", **place))
    user.until(lambda: dock.refine.layers.findText("from elsewhere") >= 0)
    dock.refine.layers.setCurrentText("from elsewhere")
    dock.refine.refine.click()
    user.until(user.sees_all)
    user.press(dock.object.buttons["accept"])
    assert user.session.labels.data[95, 105] == 7

    # Saved, and opened in another window: the same labels, and undo still works.
    path = tmp_path / "cells.samhq.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    user.key(Qt.Key.Key_S, CTRL | SHIFT)
    assert path.exists()
    assert user.sentence.endswith("Saved in cells.samhq.json.")
    labels = np.asarray(user.session.labels.data).copy()
    later = open_dock(cells)
    later.dock.files.open.click()
    later.until(lambda: later.session.path == path)
    np.testing.assert_array_equal(later.session.labels.data, labels)
    assert later.session.objects["label_id"].tolist() == [1, 2, 3, 4, 7]
    assert later.session.objects["category"].tolist() == ["", "nucleus", "", "", ""]
    later.key(Qt.Key.Key_Z, CTRL)
    assert 7 not in later.session.labels.data


def test_accept_on_next_click(open_dock, cells, preferences):
    preferences.put("session", "accept_on_next_click", True)
    user = open_dock(cells)
    user.click(40, 50)
    user.until(user.sees_preview)
    user.click(42, 50)  # in the mask: a correction
    user.until(user.sees_preview)
    assert len(user.session.current.drawn.points) == 2
    user.click(60, 50, SHIFT)  # beside it, but not on an object
    user.until(user.sees_preview)
    assert not user.session.labels.data.any()
    user.click(80, 100)
    assert user.session.labels.data[40, 50] == 1
    user.until(user.sees_preview)
    assert len(user.session.current.drawn.points) == 1
    assert user.session.current.label_id == 2


def test_work_that_was_cut_off_is_offered_and_comes_back(open_dock, cells):
    user = open_dock(cells)
    user.click(40, 50)
    user.until(user.sees_preview)
    user.press(user.dock.object.buttons["accept"])
    user.click(80, 100)
    user.until(user.sees_preview)
    labels = np.asarray(user.session.labels.data).copy()
    user.viewer.close()

    later = open_dock(cells)
    later.until(lambda: later.dock.recovery.isVisible())
    assert "on image 0: 1 object" in later.dock.recovery.text.text()
    later.press(later.dock.recovery.bring_back)
    np.testing.assert_array_equal(later.session.labels.data, labels)
    assert not later.dock.recovery.isVisible()
    later.key(Qt.Key.Key_Z, CTRL)
    later.viewer.close()

    last = open_dock(cells)
    last.until(lambda: last.dock.recovery.isVisible())
    last.press(last.dock.recovery.discard)
    assert not last.dock.recovery.isVisible()
