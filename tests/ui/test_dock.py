"""The real window, driven with mouse and keys."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QPushButton, QToolButton

from napari_samhq.errors import ImageError
from napari_samhq.ui.dock import SamHQDock

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def test_click_accept_click_accept(open_dock, cells):
    user = open_dock(cells)
    assert "Click an object" in user.sentence
    user.click(40, 50)
    user.until(user.sees_preview)  # nothing else was pressed
    assert user.sentence.startswith("Good?")
    user.press(user.dock.object.buttons["accept"])
    assert user.session.labels.data[40, 50] == 1
    user.click(80, 100)
    user.until(user.sees_preview)
    user.key(Qt.Key.Key_D, CTRL)
    assert user.session.labels.data[80, 100] == 2
    user.key(Qt.Key.Key_Z, CTRL)
    assert user.session.labels.data[80, 100] == 0
    user.key(Qt.Key.Key_Z, CTRL | SHIFT)
    assert user.session.labels.data[80, 100] == 2


def test_points_boxes_and_candidates(open_dock, cells):
    user = open_dock(cells)
    dock = user.dock
    user.click(40, 50)
    user.until(user.sees_preview)
    assert [button.isVisible() for button in dock.object.candidates.buttons] == [True] * 3
    user.press(dock.object.candidates.buttons[2])
    assert user.session.candidates[2].chosen
    user.key(Qt.Key.Key_Left, CTRL)
    assert user.session.candidates[1].chosen

    user.click(45, 50, SHIFT)
    user.press(dock.tools.negative)
    user.click(50, 50)
    assert [p.positive for p in user.session.current.drawn.points] == [True, False, False]
    user.until(user.sees_preview)

    user.press(dock.tools.box)
    user.drag((20, 30), (60, 90))
    (shape,) = user.session.current.drawn.shapes
    assert np.ptp(shape.vertices, axis=0) == pytest.approx([40, 60], abs=2)
    user.until(lambda: user.sees_preview() and len(user.session.candidates) == 1)
    assert sum(button.isVisible() for button in dock.object.candidates.buttons) == 1

    user.key(Qt.Key.Key_Escape, SHIFT)
    assert not user.session.current.drawn
    assert dock.tools.positive.isChecked()  # the next object begins with a point on it
    assert not dock.object.buttons["accept"].isEnabled()


@pytest.mark.parametrize(
    "modifier", [pytest.param(SHIFT, id="FM-15-only-negative-points-in-the-window")]
)
def test_only_negative_points(open_dock, cells, predictor, modifier):
    user = open_dock(cells)
    user.click(40, 50, modifier)
    user.qtbot.wait(100)
    assert user.sentence.startswith("Only background points so far.")
    assert "predict" not in [call for call, _ in predictor.calls]
    user.key(Qt.Key.Key_D, CTRL)
    assert "Nothing to accept yet" in user.sentence
    assert not user.session.labels.data.any()
    user.click(80, 90)
    user.until(user.sees_preview)
    assert user.sentence.startswith("Good?")


def test_the_window_never_waits_for_the_model(open_dock, cells, predictor, monkeypatch):
    user = open_dock(cells)
    user.until(lambda: "Ready" in user.sentence)
    gate, predict = threading.Event(), predictor.predict

    def slow_predict(*args, **options):
        assert gate.wait(60)
        return predict(*args, **options)

    monkeypatch.setattr(predictor, "predict", slow_predict)
    for col in range(20, 120, 10):
        user.click(40, col)
        QApplication.processEvents()
    assert len(user.session.points.data) == 10  # all there while the model still works on the first
    assert user.sentence == "Finding the outline."
    gate.set()
    user.key(Qt.Key.Key_D, CTRL)  # before there is a mask
    assert all(user.session.labels.data[40, col] == 1 for col in range(20, 120, 10))
    # The first click was on its way already; of the others only the last one was worked on, and
    # perhaps once more on the key.
    assert [call for call, _ in predictor.calls].count("predict") <= 3


def test_from_no_image_to_several(open_dock, cells, make_napari_viewer_proxy):
    user = open_dock()
    dock, viewer = user.dock, user.viewer
    assert user.sentence.startswith("No image yet.")
    assert not dock.tools.point.isEnabled()
    viewer.add_image(cells, name="first")
    user.until(lambda: user.session is not None)
    assert str(viewer.layers.selection.active.mode) == "add"
    user.click(40, 50)
    user.until(user.sees_preview)
    user.press(dock.object.buttons["accept"])

    viewer.add_image(cells[::-1], name="second")  # napari selects it
    user.qtbot.wait(50)
    assert user.session.image.name == "first"
    assert user.sentence == "Ready. Press Point or Box above, then click or drag in the image."
    assert not dock.tools.point.isChecked()
    user.press(dock.tools.point)
    assert dock.tools.point.isChecked()
    assert "Click an object" in user.sentence
    dock.source.images.setCurrentIndex(1)
    dock.source.images.activated.emit(1)
    assert user.session.image.name == "second"
    assert not viewer.layers["first points"].visible
    dock.source.images.activated.emit(0)
    assert user.session.objects["label_id"].tolist() == [1]

    viewer.layers["first"].name = "renamed"
    assert dock.source.images.itemText(0) == "renamed"
    viewer.layers.remove("renamed")
    user.until(lambda: user.session is not None and user.session.image.name == "second")
    viewer.layers.clear()
    user.until(lambda: user.session is None)
    assert user.sentence.startswith("No image yet.")


@pytest.mark.parametrize(
    "removed",
    [pytest.param("image", id="FM-20-image"), pytest.param("labels", id="FM-20-labels")],
)
def test_a_layer_removed_while_the_model_works(open_dock, cells, predictor, removed):
    user = open_dock(cells)
    user.until(lambda: "Ready" in user.sentence)
    predictor.delay = 0.2
    user.click(40, 50)
    labels = user.session.labels
    user.viewer.layers.remove(getattr(user.session, removed))
    user.qtbot.wait(400)
    assert not labels.data.any()
    if removed == "image":
        assert user.session is None
    else:  # begun anew
        assert user.session.labels.unique_id != labels.unique_id


def test_fetching_a_model_asks_first_shows_progress_and_can_be_cancelled(open_dock, cells):
    user = open_dock(cells)
    status, models = user.dock.status, user.dock.source.models
    assert models.itemText(1).startswith("vit_b – 380 MB to fetch: ")
    models.activated.emit(1)
    assert status.fetch.text() == "Fetch vit_b (380 MB)"
    user.click(40, 50)
    user.qtbot.wait(50)
    assert not user.session.candidates
    user.press(status.fetch)
    user.until(lambda: status.running.isVisible() and status.bar.value() > 0)
    assert not status.fetch.isVisible()
    user.press(status.cancel)
    assert user.sentence.startswith("Stopped.")
    assert not status.running.isVisible()
    user.press(status.fetch)
    user.until(user.sees_preview)
    assert models.itemText(1).startswith("vit_b – on this computer: ")


def test_errors_are_sentences(open_dock, cells, predictor):
    user = open_dock(cells)
    user.until(lambda: "Ready" in user.sentence)
    predictor.error = ImageError("The image says no. Choose another one.")
    user.click(40, 50)
    user.until(lambda: user.sentence == "The image says no. Choose another one.")
    user.viewer.dims.ndisplay = 3
    assert "Switch to 2-D" in user.sentence
    assert not user.dock.tools.point.isEnabled()
    user.viewer.dims.ndisplay = 2
    user.until(user.sees_preview)


def test_closing_the_dock_leaves_nothing_running(open_dock, cells, predictor):
    user = open_dock(cells)
    user.click(40, 50)
    user.until(user.sees_preview)
    user.press(user.dock.object.buttons["accept"])
    predictor.delay = 0.1
    user.click(80, 50)
    runner, viewer = user.dock.controller.runner, user.viewer
    viewer.window.remove_dock_widget(user.dock)
    assert not runner.alive
    assert not viewer.keymap
    assert [layer.name for layer in viewer.layers] == ["image 0", "image 0 objects"]
    viewer.add_image(cells)
    viewer.dims.ndisplay = 3
    user.qtbot.wait(50)
    viewer.dims.ndisplay = 2
    viewer.layers.selection.active = viewer.layers["image 0"]
    again = SamHQDock(viewer, user.dock.controller.engine)
    assert again.controller.session.labels.unique_id == viewer.layers["image 0 objects"].unique_id
    again.shut_down()


def test_two_windows_at_once_and_closing_one_while_it_works(open_dock, cells, predictor):
    one, two = open_dock(cells), open_dock(cells[::-1])
    one.until(lambda: "Ready" in one.sentence and "Ready" in two.sentence)
    one.click(40, 50)
    two.click(80, 100)
    one.until(lambda: one.sees_preview() and two.sees_preview())
    predictor.delay = 0.2
    one.click(60, 60)
    runner = one.dock.controller.runner
    one.viewer.close()
    one.qtbot.wait(50)
    assert not runner.alive
    two.click(90, 100)
    two.until(lambda: two.sees_preview() and len(two.session.candidates) == 1)
    two.press(two.dock.object.buttons["accept"])
    assert two.session.labels.data[80, 100] == two.session.labels.data[90, 100] == 1


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_texts_fit_at_320_pixels(open_dock, cells, theme):
    user = open_dock(cells, theme=theme)
    dock = user.dock
    user.click(40, 50)
    user.until(user.sees_preview)
    dock.setFixedWidth(320)
    user.qtbot.wait(50)
    for button in [*dock.findChildren(QPushButton), *dock.findChildren(QToolButton)]:
        if button.isVisible():
            assert button.width() >= button.minimumSizeHint().width(), button.text()
            assert button.height() >= button.minimumSizeHint().height(), button.text()
            assert button.toolTip() or button in (dock.status.fetch, dock.status.cancel)
    right = dock.mapToGlobal(dock.rect().topRight()).x()
    for child in filter(QPushButton.isVisible, dock.findChildren(QPushButton)):
        assert child.mapToGlobal(child.rect().topRight()).x() <= right
