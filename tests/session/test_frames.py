"""Layers that lie anywhere: prompts come through to image pixels, and back, unchanged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points

from napari_samhq.errors import LayerError, SamHQWarning
from napari_samhq.session.frames import check_placement, offset_translate, placement, to_layer

numbers = st.floats(-3, 3, allow_nan=False, width=32)
scales = st.floats(0.01, 100) | st.floats(-100, -0.01)


@st.composite
def placements(draw):
    affine = np.eye(3)
    affine[:2, :2] += draw(st.sampled_from([0, 0.2])) * np.array([[0, 1], [-1, 0.5]])
    affine[:2, 2] = [draw(numbers), draw(numbers)]
    return {
        "scale": [draw(scales), draw(scales)],
        "translate": [100 * draw(numbers), 100 * draw(numbers)],
        "rotate": 60 * draw(numbers),
        "shear": [draw(numbers) / 3],
        "affine": affine,
        "units": draw(st.sampled_from([("um", "um"), ("nm", "nm"), ("mm", "um")])),
    }


@given(placements(), placements(), st.lists(st.tuples(numbers, numbers), min_size=1))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("row", [pytest.param(10, id="FM-10-and-12")])
def test_a_round_trip_between_two_layers_is_exact(row, image_place, points_place, positions):
    image = Image(np.zeros((40, 60)), **image_place)
    points = Points(np.zeros((0, 2)), ndim=2, **points_place)
    pixels = row * np.array(positions)
    there = to_layer(pixels, image, points)
    np.testing.assert_allclose(to_layer(there, points, image), pixels, atol=1e-6)


@given(placements(), st.tuples(st.integers(0, 39), st.integers(0, 59)))
@settings(max_examples=40, deadline=None)
def test_a_cut_out_lies_where_it_was_cut_out(place, offset):
    image = Image(np.zeros((40, 60)), **place)
    cut = Labels(
        np.zeros((5, 5), dtype=int),
        **(placement(image) | {"translate": offset_translate(image, offset)}),
    )
    expected = image.data_to_world((offset[0] + 3, offset[1] + 4))
    np.testing.assert_allclose(cut.data_to_world([3, 4]), expected, rtol=1e-9, atol=1e-6)


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
