"""Layers that lie anywhere: prompts come through to image pixels, and back, unchanged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points

from napari_samhq.errors import LayerError, SamHQWarning
from napari_samhq.session.layers.transforms import (
    check_placement,
    offset_translate,
    placement,
    to_layer,
)
from support.places import numbers, placements


@given(placements(), placements(), st.lists(st.tuples(numbers, numbers), min_size=1))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("side_px", [pytest.param(1000, id="FM-10-and-FM-12")])
def test_a_round_trip_between_two_layers_is_exact(side_px, image_place, points_place, positions):
    image = Image(np.zeros((40, 60)), **image_place)
    points = Points(np.zeros((0, 2)), ndim=2, **points_place)
    pixels = side_px * np.array(positions)
    there = to_layer(pixels, image, points)
    back = to_layer(there, points, image)
    np.testing.assert_allclose(back, pixels, rtol=0, atol=1e-6)


@given(placements(), st.tuples(st.integers(0, 39), st.integers(0, 59)))
@settings(max_examples=40, deadline=None)
def test_a_cut_out_lies_where_it_was_cut_out(place, offset):
    image = Image(np.zeros((40, 60)), **place)
    cut = Labels(
        np.zeros((5, 5), dtype=int),
        **(placement(image) | {"translate": offset_translate(image, offset)}),
    )
    there = image.world_to_data(cut.data_to_world([3, 4]))
    np.testing.assert_allclose(there, np.add(offset, (3, 4)), rtol=0, atol=1e-6)


def test_prompts_in_other_units_mean_the_same_place(annotate):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((40, 60)), scale=(0.5, 0.5), units=("um", "um"))
    session = annotate(viewer)
    session.points.units = ("nm", "nm")
    session.points.scale = (1, 1)
    session.points.add([10_000, 15_000])
    (point,) = session.current.drawn.points
    assert (point.row, point.col) == pytest.approx((20, 30))
    session.undo()
    session.redo()
    np.testing.assert_allclose(session.points.data, [[10_000, 15_000]])


def test_units_that_do_not_fit_are_told():
    image = Image(np.zeros((40, 60)), units=("um", "um"))
    with pytest.raises(LayerError):
        to_layer([[1, 2]], image, Points(ndim=2, units=("s", "s")))
    with pytest.warns(SamHQWarning, match="mix pixels"):
        to_layer([[1, 2]], image, Points(ndim=2))


def test_labels_must_lie_over_the_image():
    image = Image(np.zeros((40, 60)), scale=(2, 2))
    check_placement(image, Labels(np.zeros((40, 60), dtype=int), scale=(2, 2)))
    with pytest.raises(LayerError, match="lies elsewhere"):
        check_placement(image, Labels(np.zeros((40, 60), dtype=int)))
