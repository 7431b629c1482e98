"""Session files that are dropped on the window, and work that was not finished."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer
from napari.layers._source import layer_source
from skimage.io import imsave

from napari_samhq.session import Session
from napari_samhq.session.storage.napari_files import read_layers
from napari_samhq.session.storage.snapshot import SAVED_IN
from napari_samhq.ui.dock import SamHQDock
from support.session_work import states, work


@pytest.fixture
def saved(bare_dock, cells, tmp_path, qtbot):
    """A session file, made in a dock that is closed by now."""
    dock = bare_dock(cells)
    session = dock.controller.session
    work(session)
    session.add_box([100, 100, 110, 110])
    path = session.save(tmp_path / "cells.samhq.json")
    dock.shut_down()
    return path, session


def drop(viewer, path):
    for layer_data in read_layers(str(path)):
        viewer.add_layer(Layer.create(*layer_data))


def same(dock, session):
    again = dock.controller.session
    np.testing.assert_array_equal(again.labels.data, session.labels.data)
    unfinished = session.unfinished
    return again.unfinished == unfinished and again.objects.equals(session.objects)


def names(dock):
    return [layer.name for layer in dock.controller.viewer.layers]


def test_a_file_dropped_on_its_image_is_gone_on_with(bare_dock, cells, saved, qtbot):
    path, session = saved
    dock = bare_dock(cells)
    drop(dock.controller.viewer, path)
    qtbot.waitUntil(lambda: dock.controller.session.path == path)
    assert same(dock, session)
    back = "All of cells.samhq.json is back."
    qtbot.waitUntil(lambda: back in dock.status.sentence.text())
    assert sorted(names(dock)) == sorted(
        ["image 0", *(f"image 0 {what}" for what in ("objects", "preview", "boxes", "points"))]
    )
    assert len(states(dock.controller.session)) > 10
    assert dock.controller.session.path == path
    dock.controller.session.add_points([[90, 20]])
    dock.controller.viewer.add_labels(np.zeros(cells.shape, int))  # nothing is opened once more
    qtbot.wait(20)
    assert dock.controller.session.drafts != session.drafts


def test_a_file_waits_for_its_image(bare_dock, cells, saved, qtbot):
    path, session = saved
    dock = bare_dock()
    viewer = dock.controller.viewer
    drop(viewer, path)
    qtbot.waitUntil(lambda: "is not in the viewer" in dock.status.sentence.text())
    before = names(dock)
    viewer.add_image(np.zeros((9, 9)), name="another")
    qtbot.wait(20)
    assert [name for name in names(dock) if not name.startswith("another")] == before
    viewer.add_image(cells, name="image 0")
    qtbot.waitUntil(lambda: getattr(dock.controller.session, "path", None) == path)
    assert same(dock, session)


def test_a_file_brings_the_image_beside_it(bare_dock, cells, tmp_path, qtbot):
    imsave(tmp_path / "cells.png", cells, check_contrast=False)
    viewer = ViewerModel()
    with layer_source(path=str(tmp_path / "cells.png")):
        viewer.add_image(cells, name="cells")
    session = Session(viewer, viewer.layers[0], engine=bare_dock().controller.workshop.engine)
    work(session)
    path = session.save(tmp_path / "cells.samhq.json")
    dock = bare_dock()
    drop(dock.controller.viewer, path)
    qtbot.waitUntil(lambda: getattr(dock.controller.session, "path", None) == path)
    assert same(dock, session)
    assert names(dock)[0] == "cells"  # beneath the labels
    session.close()


def test_a_dock_that_is_opened_later_goes_on_with_the_file(bare_dock, cells, saved, qtbot):
    path, session = saved
    viewer = ViewerModel()
    viewer.add_image(cells, name="image 0")
    drop(viewer, path)
    other = bare_dock().controller
    dock = SamHQDock(viewer, other.workshop.engine, other.preferences)
    qtbot.addWidget(dock)
    qtbot.waitUntil(lambda: dock.controller.session.path == path)
    assert same(dock, session)
    dock.shut_down()


def test_labels_that_were_changed_since_are_left_alone(bare_dock, cells, saved, qtbot):
    path, _ = saved
    dock = bare_dock(cells)
    viewer = dock.controller.viewer
    drop(viewer, path)
    (read,) = (
        layer
        for layer in viewer.layers
        if layer.metadata.get(SAVED_IN) and layer.ndim == 2 and hasattr(layer, "selected_label")
    )
    read.data[:3] = 99
    kept = read.data.copy()
    before = len(viewer.layers)
    qtbot.waitUntil(lambda: "does not hold the labels" in dock.status.sentence.text())
    np.testing.assert_array_equal(read.data, kept)
    assert len(viewer.layers) == before  # the prompts that were read are there still
