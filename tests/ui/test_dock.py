"""The real window, driven with mouse and keys."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_samhq.engine.engine import Engine
from napari_samhq.engine.models import ModelSource
from napari_samhq.errors import ImageError
from napari_samhq.ui.controller import Controller
from napari_samhq.ui.dock import SamHQDock

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def test_click_accept_click_accept(open_dock, cells):
    user = open_dock(cells)
    assert "Click an object" in user.sentence
    user.click(40, 50)
    user.until(user.sees_preview)  # nothing else was pressed
    user.until(lambda: user.sentence.startswith("Good?"))
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

    user.press(dock.tools.buttons["box"])
    user.drag((20, 30), (60, 90))
    (shape,) = user.session.current.drawn.shapes
    assert np.ptp(shape.vertices, axis=0) == pytest.approx([40, 60], abs=2)
    user.until(lambda: user.sees_preview() and len(user.session.candidates) == 1)
    assert sum(button.isVisible() for button in dock.object.candidates.buttons) == 1

    user.key(Qt.Key.Key_Escape, SHIFT)
    assert not user.session.current.drawn
    assert dock.tools.positive.isChecked()  # the next object begins with a point on it
    assert not dock.object.buttons["accept"].isEnabled()


def test_the_last_waiting_object_can_be_reached(open_dock, cells):
    user = open_dock(cells)
    panel = user.dock.object
    user.press(user.dock.tools.buttons["box"])
    user.drag((20, 30), (40, 50))
    user.until(user.sees_preview)
    user.drag((60, 80), (80, 110))
    user.until(user.sees_all)
    assert panel.waiting_text.text() == "2 wait"
    user.press(panel.buttons["accept"])
    user.until(lambda: user.sentence == "1 object waits. Accept goes to it.")
    assert panel.waiting.isVisible()
    assert panel.waiting_text.text() == "1 waits"
    user.press(panel.buttons["accept"])
    user.until(lambda: bool(user.session.candidates))
    assert len(user.session.objects) == 1
    assert not panel.waiting.isVisible()
    user.press(panel.buttons["accept"])
    user.until(lambda: len(user.session.objects) == 2)
    assert not user.session.drafts

    user.key(Qt.Key.Key_Z, CTRL)
    user.session.activate(None)
    user.until(panel.waiting.isVisible)
    user.press(panel.buttons["go_next"])
    user.until(lambda: bool(user.session.candidates))
    assert user.session.current.label_id == 1


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
    user.until(lambda: user.sentence.startswith("Good?"))


@pytest.mark.parametrize("clicks", [pytest.param(50, id="FM-24-in-the-window")])
def test_the_window_never_waits_for_the_model(open_dock, cells, predictor, monkeypatch, clicks):
    user = open_dock(cells)
    user.until(lambda: "Ready" in user.sentence)
    gate, iter_predict = threading.Event(), predictor.iter_predict

    def slow_predict(*args, **options):
        assert gate.wait(60)
        yield from iter_predict(*args, **options)

    monkeypatch.setattr(predictor, "iter_predict", slow_predict)
    columns = range(20, 20 + 2 * clicks, 2)
    for col in columns:
        user.click(40, col)
        QApplication.processEvents()
    assert len(user.session.points.data) == clicks  # all there while the model works on the first
    assert user.sentence == "Finding the outline."
    user.key(Qt.Key.Key_Z, CTRL)  # while it works
    assert len(user.session.points.data) == clicks - 1
    gate.set()
    user.until(user.sees_preview)
    user.key(Qt.Key.Key_D, CTRL)
    assert all(user.session.labels.data[40, col] == 1 for col in columns[:-1])
    assert user.session.labels.data[40, columns[-1] + 4] == 0
    # The first click was on its way already; of the others only the last one was worked on.
    assert [call for call, _ in predictor.calls].count("predict") <= 3


def test_a_mask_can_be_accepted_before_it_is_there(open_dock, cells, predictor, monkeypatch):
    user = open_dock(cells)
    user.until(lambda: "Ready" in user.sentence)
    gate, iter_predict = threading.Event(), predictor.iter_predict

    def slow_predict(*args, **options):
        assert gate.wait(60)
        yield from iter_predict(*args, **options)

    monkeypatch.setattr(predictor, "iter_predict", slow_predict)
    user.click(20, 20)
    QApplication.processEvents()
    user.key(Qt.Key.Key_D, CTRL)  # returns at once: the model has not answered yet
    assert not user.session.labels.data.any()
    user.click(60, 60)  # belongs to the next object
    gate.set()
    user.until(lambda: user.session.labels.data[20, 20] == 1)
    user.until(user.sees_preview)
    assert user.session.labels.data[60, 60] == 0
    assert [draft.label_id for draft in user.session.drafts] == [2]
    user.session.undo()  # the step is one like any other
    assert not user.session.labels.data.any()


def test_from_no_image_to_several(open_dock, cells, make_napari_viewer_proxy):
    user = open_dock()
    dock, viewer = user.dock, user.viewer
    assert user.sentence.startswith("No image yet.")
    assert not dock.tools.buttons["point"].isEnabled()
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
    assert not dock.tools.buttons["point"].isChecked()
    user.press(dock.tools.buttons["point"])
    assert dock.tools.buttons["point"].isChecked()
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


@pytest.mark.parametrize("model", [pytest.param("vit_b", id="FM-28-fetching")])
def test_fetching_a_model_asks_first_shows_progress_and_can_be_cancelled(open_dock, cells, model):
    user = open_dock(cells)
    status, models = user.dock.status, user.dock.source.models
    assert models.itemText(1).startswith(f"{model} – 380 MB to fetch: ")
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
    assert not user.dock.tools.buttons["point"].isEnabled()
    user.viewer.dims.ndisplay = 2
    user.until(user.sees_preview)


@pytest.mark.parametrize(
    "closed", [pytest.param("dock", id="FM-26-dock"), pytest.param("viewer", id="FM-26-viewer")]
)
def test_closing_while_the_model_works_leaves_nothing_running(open_dock, cells, predictor, closed):
    user = open_dock(cells)
    user.click(40, 50)
    user.until(user.sees_preview)
    user.press(user.dock.object.buttons["accept"])
    predictor.delay = 0.2
    user.click(80, 50)
    controller, viewer, dock = user.dock.controller, user.viewer, user.dock
    labels = user.session.labels
    if closed == "viewer":
        viewer.close()
    else:
        viewer.window.remove_dock_widget(dock)
        assert [layer.name for layer in viewer.layers] == ["image 0", "image 0 objects"]
        viewer.add_image(cells)  # nobody listens any more
        viewer.dims.ndisplay = 3
        viewer.dims.ndisplay = 2
    user.qtbot.wait(300)
    assert not controller.runner.alive
    assert not controller.workshop.worker.alive
    assert not viewer.keymap
    assert controller.session is None
    assert labels.data[40, 50] == 1
    assert labels.data[80, 50] == 0  # what was not there yet did not come


def test_a_dock_that_is_opened_again_finds_the_objects(open_dock, cells):
    user = open_dock(cells)
    user.click(40, 50)
    user.until(user.sees_preview)
    user.press(user.dock.object.buttons["accept"])
    controller, viewer = user.dock.controller, user.viewer
    viewer.window.remove_dock_widget(user.dock)
    viewer.layers.selection.active = viewer.layers["image 0"]
    again = SamHQDock(viewer, controller.workshop.engine, controller.preferences)
    assert again.controller.session.labels.unique_id == viewer.layers["image 0 objects"].unique_id
    again.shut_down()


@pytest.mark.parametrize("_", [pytest.param(0, id="FM-25-two-windows-on-one-image")])
def test_two_windows_share_a_model_and_closing_one_leaves_the_other(
    open_dock, cells, models, predictor, monkeypatch, _
):
    loaded = []

    def load(name, report):
        loaded.append(name)
        return predictor

    engine = Engine(ModelSource(load, models.list))
    monkeypatch.setattr("napari_samhq.ui.workshop.shared_engine", lambda: engine)
    monkeypatch.setattr("napari_samhq.ui.dock.Controller", shared_controller)
    image = Image(cells, name="cells")
    one, two = open_dock(layer=image), open_dock(layer=image)
    assert one.dock.controller.workshop is two.dock.controller.workshop
    one.until(lambda: "Ready" in one.sentence and "Ready" in two.sentence)
    one.click(40, 50)
    two.click(80, 100)
    one.until(lambda: one.sees_preview() and two.sees_preview())
    assert loaded == ["micro"]
    predictor.delay = 0.2
    one.click(60, 60)
    worker = one.dock.controller.workshop.worker
    one.viewer.close()
    one.qtbot.wait(50)
    assert not one.dock.controller.runner.alive
    assert worker.alive
    two.click(90, 100)
    two.until(lambda: two.sees_preview() and len(two.session.candidates) == 1)
    two.press(two.dock.object.buttons["accept"])
    assert two.session.labels.data[80, 100] == two.session.labels.data[90, 100] == 1
    assert two.session.labels.data[40, 50] == 0
    two.dock.shut_down()
    assert not worker.alive


def shared_controller(viewer, _engine, preferences) -> Controller:
    """Make a controller that works where all docks of the process work."""
    return Controller(viewer, None, preferences)


@pytest.mark.parametrize(
    "phase",
    [
        pytest.param("embed", id="FM-28-looking-at-the-image"),
        pytest.param("predict", id="FM-28-finding-outlines"),
    ],
)
def test_cancel_acts_at_once_and_leaves_the_layers_as_they_were(
    open_dock, cells, predictor, monkeypatch, phase
):
    user = open_dock()
    boxes = [(row, col, row + 8, col + 8) for row in range(0, 100, 10) for col in range(0, 150, 10)]
    if phase == "embed":
        predictor.delay = 3.0
    user.viewer.add_image(cells, name="image")
    user.until(lambda: user.session is not None)
    if phase == "predict":
        user.until(lambda: "Ready" in user.sentence)
        predictor.delay = 0.05
        user.session.add_boxes(boxes)
    user.until(lambda: user.dock.status.running.isVisible())
    before = user.session.labels.data.copy()
    asked = []
    user.dock.status.cancel.pressed.connect(lambda: asked.append(len(predictor.calls)))
    user.press(user.dock.status.cancel)
    assert user.sentence.startswith("Stopped.")
    user.until(lambda: not user.dock.controller.runner.busy)
    user.qtbot.wait(300)
    assert len(predictor.calls) <= asked[0] + 2  # at most what was on its way
    np.testing.assert_array_equal(user.session.labels.data, before)
    predictor.delay = 0.0
    user.click(40, 50)
    user.until(user.sees_preview)
    if phase == "predict":
        user.press(user.dock.object.buttons["accept_all"])
        assert "masks are not there yet" in user.sentence  # and nobody waits for them
        user.until(user.sees_all)
    user.press(user.dock.object.buttons["accept_all" if phase == "predict" else "accept"])
    assert user.session.labels.data.any()


def test_one_accept_paints_the_dock_once_and_all_of_it_reads_one_state(bare_dock, cells, qtbot):
    dock = bare_dock(cells)
    session, painted = dock.controller.session, []
    session.points.add([40, 50])
    qtbot.waitUntil(lambda: bool(session.candidates) and not session.status.busy, timeout=60_000)
    dock.controller.changed.connect(lambda: painted.append(dock.controller.state))
    dock.commands.act("accept")
    assert len(painted) == 1
    assert painted == [session.state]
    assert session.labels.data[40, 50] == 1
