"""Coordinates survive every change of frame, and bad frames are told before they do harm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_samhq.core.geometry.frames import (
    Transform,
    box_around,
    map_points,
    rc_to_model_xy,
    rc_to_xy,
    xy_to_rc,
)
from napari_samhq.core.geometry.units import unit_factors
from napari_samhq.errors import LayerError, SamHQWarning

points = hnp.arrays(
    float, st.tuples(st.integers(1, 5), st.just(2)), elements=st.floats(-2000, 20_000)
)


def test_xy_is_rc_the_other_way_round():
    assert rc_to_xy([[1, 2], [3, 4]]).tolist() == [[2, 1], [4, 3]]
    assert rc_to_xy([1, 2, 3, 4]).tolist() == [2, 1, 4, 3]
    assert rc_to_xy([[[1, 2, 3, 4]]]).tolist() == [[[2, 1, 4, 3]]]


@given(points)
def test_rc_and_xy_round_trip(points_rc):
    assert np.array_equal(xy_to_rc(rc_to_xy(points_rc)), points_rc)


@given(points)
def test_a_box_around_points_contains_them_tightly(points_rc):
    box = box_around(points_rc)
    assert (points_rc >= box[:2]).all()
    assert (points_rc <= box[2:]).all()
    assert all(value in points_rc for value in box)


def test_the_model_frame_is_the_published_one():
    # 300 x 400 resized to 768 x 1024: x = col * 1024 / 400, y = row * 768 / 300, nothing else.
    assert rc_to_model_xy([[150, 200]], (300, 400), (768, 1024)).tolist() == [[512.0, 384.0]]
    assert rc_to_model_xy([0, 0, 300, 400], (300, 400), (768, 1024)).tolist() == [0, 0, 1024, 768]
    # Both sides are rounded on their own, so their ratios may differ a little.
    x, y = rc_to_model_xy([[1, 1]], (300, 401), (766, 1024))[0]
    assert (x, y) == (1024 / 401, 766 / 300)


@given(points, st.tuples(st.integers(1, 5000), st.integers(1, 5000)))
def test_corners_of_boxes_go_into_the_model_frame_as_points_do(points_rc, image_shape):
    input_shape = tuple(max(1, round(n * 1024 / max(image_shape))) for n in image_shape)
    there = rc_to_model_xy(points_rc, image_shape, input_shape)
    sides = np.array(input_shape) / image_shape
    assert np.abs(there[:, ::-1] - points_rc * sides).max() < 1e-6
    boxes = np.hstack([points_rc, points_rc + 1])
    assert np.allclose(rc_to_model_xy(boxes, image_shape, input_shape)[:, :2], there)


# ------------------------------------------------------------------------------- layers and world


@st.composite
def transforms(draw, ndim=2, units=("um", "nm")) -> Transform:
    """Scale (also negative), shear, rotation and translation, in some physical unit."""
    scale = draw(hnp.arrays(float, ndim, elements=st.floats(0.01, 100)))
    scale *= draw(hnp.arrays(float, ndim, elements=st.sampled_from([-1.0, 1.0])))
    shear = np.eye(ndim)
    shear[np.triu_indices(ndim, 1)] = draw(st.floats(-1, 1))
    angle = draw(st.floats(-np.pi, np.pi))
    rotate = np.eye(ndim)
    rotate[-2:, -2:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix = np.eye(ndim + 1)
    matrix[:ndim, :ndim] = rotate @ shear @ np.diag(scale)
    matrix[:ndim, ndim] = draw(hnp.arrays(float, ndim, elements=st.floats(-1e3, 1e3)))
    return Transform(matrix, (draw(st.sampled_from(units)),) * ndim)


@settings(max_examples=200, deadline=None)
@given(points, transforms(), transforms())
def test_points_go_to_another_layer_and_back(points_rc, source, target):
    there = map_points(points_rc, source, target)
    assert np.abs(map_points(there, target, source) - points_rc).max() < 1e-6


@settings(max_examples=100, deadline=None)
@given(points, transforms())
def test_data_and_world_round_trip(points_rc, transform):
    back = transform.data_from_world(transform.world_from_data(points_rc))
    assert np.abs(back - points_rc).max() < 1e-6


@settings(max_examples=50, deadline=None)
@given(transforms(ndim=3))
def test_a_transform_is_learnt_from_a_function(transform):
    learnt = Transform.from_function(
        lambda p: transform.world_from_data(p[np.newaxis])[0], 3, transform.units
    )
    assert np.allclose(learnt.matrix, transform.matrix, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "settings_",
    [
        pytest.param({"scale": (2, -0.5)}, id="FM-10-negative-scale"),
        pytest.param({"rotate": 30}, id="FM-10-rotate"),
        pytest.param({"shear": [0.3]}, id="FM-10-shear"),
        pytest.param({"translate": (1e5, -3)}, id="FM-10-translate"),
        pytest.param({"affine": [[0, 2, 5], [1, 0.1, 6], [0, 0, 1]]}, id="FM-10-affine"),
        pytest.param(
            {"scale": (0.1, 3), "rotate": -70, "shear": [0.2], "translate": (5, 6)},
            id="FM-10-all-of-them",
        ),
    ],
)
def test_the_same_as_a_napari_layer(settings_):
    layers = pytest.importorskip("napari.layers")
    layer = layers.Image(np.zeros((8, 9)), **settings_)
    transform = Transform.from_function(layer.data_to_world, 2, layer.units)
    data = np.array([[3.0, 4.0], [-100.5, 2000.25]])
    world = transform.world_from_data(data)
    assert np.allclose(world, [layer.data_to_world(p) for p in data], rtol=0, atol=1e-6)
    assert np.abs(transform.data_from_world(world) - data).max() < 1e-6
    assert transform.units == ("pixel", "pixel")


def test_points_on_a_plane_of_a_stack():
    stack = Transform(np.diag([2.0, 0.5, 0.5, 1]), ("um",) * 3)
    flat = Transform(np.diag([0.25, 0.25, 1]), ("um",) * 2)
    assert map_points([[8, 4]], flat, stack, missing_world=[6]).tolist() == [[3, 4, 2]]
    assert map_points([[3, 4, 2]], stack, flat).tolist() == [[8, 4]]
    with pytest.raises(LayerError, match="1 leading axes, but 0"):
        map_points([[8, 4]], flat, stack)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        pytest.param(np.diag([0.0, 1, 1]), "cannot be inverted", id="FM-11-scale-0"),
        pytest.param(np.diag([np.nan, 1, 1]), "NaN or infinite", id="FM-11-scale-nan"),
        pytest.param(np.diag([1, np.inf, 1]), "NaN or infinite", id="FM-11-scale-inf"),
        pytest.param([[1, 2, 0], [2, 4, 0], [0, 0, 1]], "cannot be inverted", id="FM-11-singular"),
        pytest.param(
            [[1, 1, 0], [1, 1 + 1e-12, 0], [0, 0, 1]], "cannot be inverted", id="FM-11-nearly"
        ),
        pytest.param([[1, 0, 0], [0, 1, 0], [1, 0, 1]], "affine", id="FM-11-projective"),
        pytest.param(np.eye(3)[:2], "shape", id="FM-11-not-square"),
    ],
)
def test_frames_that_cannot_be_used_are_refused(matrix, words):
    with pytest.raises(LayerError, match=words):
        Transform(matrix)


def test_a_layer_with_a_bad_scale_is_refused_when_it_is_read():
    with pytest.raises(LayerError, match="NaN or infinite"):
        Transform.from_function(lambda p: p * np.nan, 2)


def test_very_different_scales_are_no_fault():
    matrix = np.diag([1e-9, 1e6, 1])
    assert Transform(matrix).data_from_world([[3e-9, 4e6]])[0] == pytest.approx([3, 4])


def test_the_matrix_of_a_transform_is_its_own():
    matrix = np.eye(3)
    transform = Transform(matrix)
    matrix[0, 0] = 5
    assert transform.matrix[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        transform.matrix[0, 0] = 5


# ------------------------------------------------------------------------------------------- units


@pytest.mark.parametrize(
    ("source", "target", "factors"),
    [
        pytest.param(["nm", "nm"], ["um", "um"], [1e-3, 1e-3], id="FM-12-lengths"),
        pytest.param(["s", "mm"], ["ms", "um"], [1e3, 1e3], id="FM-12-time-and-length"),
        pytest.param(["pixel"] * 2, ["pixel"] * 2, [1, 1], id="FM-12-pixels"),
        pytest.param(["micrometer"], ["um"], [1], id="FM-12-two-names"),
    ],
)
def test_units_are_converted(source, target, factors):
    pytest.importorskip("pint")
    assert unit_factors(source, target) == pytest.approx(factors)


def test_points_in_nm_over_an_image_in_um():
    image = Transform(np.diag([0.5, 0.5, 1]), ("um", "um"))
    prompts = Transform(np.eye(3), ("nm", "nm"))
    assert map_points([[1e4, 2e4]], prompts, image)[0] == pytest.approx([20, 40])


@pytest.mark.parametrize(
    ("source", "target"),
    [
        pytest.param(["pixel", "pixel"], ["um", "um"], id="FM-12-pixels-over-um"),
        pytest.param(["um", "nm"], ["pixel", "um"], id="FM-12-one-axis-in-pixels"),
    ],
)
def test_pixels_and_lengths_mixed_are_taken_as_they_are(source, target):
    with pytest.warns(SamHQWarning, match="ignored"):
        assert unit_factors(source, target).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        pytest.param(["s"], ["um"], "measure different things", id="FM-12-time-as-length"),
        pytest.param(["banana"], ["um"], "'banana'", id="FM-12-unknown"),
    ],
)
def test_units_that_do_not_fit_are_refused(source, target, words):
    with pytest.raises(LayerError, match=words):
        unit_factors(source, target)


def test_unit_objects_of_pint_are_taken_too():
    pint = pytest.importorskip("pint")
    registry = pint.get_application_registry()
    assert unit_factors((registry.nanometer,), (registry.micrometer,)) == pytest.approx([1e-3])
