"""Session files dropped on a viewer become layers; layers become session files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from napari.layers import Layer

from napari_samhq import _plugin
from napari_samhq.errors import FileError
from napari_samhq.io.session_files import read_session
from napari_samhq.session.storage.open import open_session
from support.session_work import new_viewer, states, work


@pytest.fixture
def image() -> np.ndarray:
    rows, cols = np.mgrid[:48, :64]
    return (rows * 2 + cols).astype(np.uint8)


def test_layers_show_what_is_in_a_file_and_a_session_goes_on_from_them(
    image, annotate, engine, tmp_path
):
    session = annotate(new_viewer(image, scale=(0.5, 2)))
    work(session)
    session.add_box([1, 1, 7, 7])
    path = str(session.save(tmp_path / "cells.samhq.json"))
    viewer = new_viewer(image, scale=(0.5, 2))
    for data, options, kind in _plugin.get_session_reader(path)(path):
        viewer.add_layer(Layer.create(data, options, kind))
    labels = viewer.layers["cells objects"]
    np.testing.assert_array_equal(labels.data, session.labels.data)
    np.testing.assert_array_equal(labels.scale, [0.5, 2])
    assert len(viewer.layers["cells points"].data) == len(session.points.data)
    assert len(viewer.layers["cells boxes"].data) == len(session.shapes.data)
    again = open_session(path, viewer, engine=engine)
    assert again.labels is labels
    assert len(viewer.layers) == 5
    assert states(again) == states(session)
    again.close()


def test_the_session_that_works_on_labels_is_written(image, annotate, tmp_path):
    session = annotate(new_viewer(image))
    work(session)
    path = str(tmp_path / "cells.samhq.json")
    assert _plugin.write_session(path, [session.labels.as_layer_data_tuple()]) == [path]
    assert len(read_session(path).events) > 10
    # Labels alone do not say what image they belong to.
    session.close()
    with pytest.raises(FileError, match="Choose the image, too"):
        _plugin.write_session(path, [session.labels.as_layer_data_tuple()])
    layers = [session.image.as_layer_data_tuple(), session.labels.as_layer_data_tuple()]
    _plugin.write_session(path, layers)
    saved = read_session(path)
    assert saved.image.name == "cells"
    np.testing.assert_array_equal(saved.labels_now().array(), session.labels.data)
    with pytest.raises(FileError, match="no labels layer"):
        _plugin.write_session(path, layers[:1])


def test_other_files_are_left_to_others(tmp_path):
    assert _plugin.get_session_reader("a.json") is None
    assert _plugin.get_session_reader(["a.samhq.json", "b.tif"]) is None
    path = tmp_path / "a.samhq.json"
    path.write_text(json.dumps({"format": "another"}))
    with pytest.raises(FileError, match="not a session"):
        _plugin.get_session_reader(str(path))(str(path))
