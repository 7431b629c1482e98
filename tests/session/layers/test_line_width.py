"""Boxes are as thin on the screen at any zoom."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel


def on_screen(viewer, session, pixel=1.0):
    return session.shapes.current_edge_width * pixel * viewer.scene.camera.zoom


@pytest.mark.parametrize(
    ("options", "pixel"),
    [
        ({}, 1.0),
        ({"scale": (0.25, 0.25), "units": ("um", "um")}, 0.25),
        ({"scale": (2, 8)}, 4.0),
        ({"scale": (0.5, 0.5), "rotate": 30}, 0.5),
    ],
)
def test_lines_are_as_wide_on_the_screen_at_any_zoom(annotate, options, pixel):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((40, 60)), **options)
    session = annotate(viewer)
    session.add_boxes([[2, 2, 10, 12], [2, 20, 10, 30]])
    for zoom in (0.01, 0.5, 1, 40, 3, 1000):
        viewer.scene.camera.zoom = zoom
        session.add_box([20, 20, 30, 30])
        assert 1.5 < on_screen(viewer, session, pixel) < 2.7
        assert set(session.shapes.edge_width) == {session.shapes.current_edge_width}


def test_a_width_that_was_chosen_stays(viewer, session):
    viewer.scene.camera.zoom = 1
    chosen = 5 * session.shapes.current_edge_width
    session.shapes.current_edge_width = chosen
    viewer.scene.camera.zoom = 100
    assert session.shapes.current_edge_width == pytest.approx(chosen / 100)


def test_units_of_the_viewer_count(annotate):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((40, 60)), name="cells", units=("um", "um"))
    session = annotate(viewer, "cells")
    viewer.add_image(np.zeros((40, 60)), units=("nm", "nm"))
    assert [str(unit) for unit in viewer.layers.extent.units] == ["nanometer"] * 2
    viewer.scene.camera.zoom = 3
    assert 1.5 < on_screen(viewer, session, 1000) < 2.7


def test_nobody_listens_after_the_end(viewer, annotate):
    session = annotate(viewer)
    session.close()
    before = session.shapes.current_edge_width
    viewer.scene.camera.zoom = 1000
    assert session.shapes.current_edge_width == before
