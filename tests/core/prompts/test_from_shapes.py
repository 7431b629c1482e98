"""Drawn shapes become prompts, the same ones whichever way they were drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_samhq.core.prompts.from_shapes import points_along, prompt_from_shape
from napari_samhq.errors import PromptError, SamHQWarning

SHAPE = (64, 80)
SQUARE = np.array([[10, 20], [10, 40], [30, 40], [30, 20]], float)
BOW_TIE = np.array([[10, 10], [30, 30], [30, 10], [10, 30]], float)
STAR = np.array([[5, 30], [55, 45], [20, 5], [20, 55], [55, 15]], float)


@pytest.mark.parametrize(
    ("shape_type", "vertices", "box"),
    [
        pytest.param("rectangle", SQUARE, [10, 20, 30, 40], id="FM-17-rectangle"),
        pytest.param(
            "rectangle", [[0, 10], [10, 20], [20, 10], [10, 0]], [0, 0, 20, 20], id="FM-17-turned"
        ),
        pytest.param("ellipse", SQUARE, [10, 20, 30, 40], id="FM-17-ellipse"),
        pytest.param("polygon", STAR, [5, 5, 55, 55], id="FM-17-polygon"),
        pytest.param("polygon", BOW_TIE, [10, 10, 30, 30], id="FM-17-self-crossing"),
    ],
)
def test_areas_become_the_box_around_them(shape_type, vertices, box):
    prompt = prompt_from_shape(vertices, shape_type, SHAPE)
    assert prompt.box == pytest.approx(box)
    assert prompt.points is None
    assert prompt.mask is None


def test_a_turned_ellipse_has_the_box_of_the_ellipse_and_not_of_its_frame():
    angle = np.radians(45)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = (SQUARE - [20, 30]) @ turn.T + [20, 30]
    box = prompt_from_shape(corners, "ellipse", SHAPE).box
    assert box == pytest.approx([10, 20, 30, 40])  # a circle looks the same from all sides


def test_the_mask_of_a_turned_ellipse_fills_its_box():
    corners = np.array([[5, 30], [25, 70], [35, 65], [15, 25]], float)
    prompt = prompt_from_shape(corners, "ellipse", SHAPE, with_mask=True)
    rows, cols = np.nonzero(prompt.mask.within(SHAPE))
    filled = [rows.min(), cols.min(), rows.max(), cols.max()]
    assert np.abs(prompt.box - filled).max() <= 1


@pytest.mark.parametrize(
    "vertices",
    [
        pytest.param(STAR, id="FM-17-winding-star"),
        pytest.param(BOW_TIE, id="FM-17-winding-bow-tie"),
        pytest.param(SQUARE + 0.25, id="FM-17-winding-square"),
    ],
)
def test_winding_and_first_vertex_make_no_difference(vertices):
    expected = prompt_from_shape(vertices, "polygon", SHAPE, with_mask=True)
    for other in (vertices[::-1], np.roll(vertices, 2, axis=0)):
        prompt = prompt_from_shape(other, "polygon", SHAPE, with_mask=True)
        assert np.array_equal(prompt.box, expected.box)
        assert prompt.mask == expected.mask


def test_the_middle_of_a_star_is_outside_by_the_even_odd_rule():
    mask = prompt_from_shape(STAR, "polygon", SHAPE, with_mask=True).mask.within(SHAPE)
    assert not mask[30, 30]
    assert mask[12, 31]


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(
        float, st.tuples(st.integers(3, 7), st.just(2)), elements=st.integers(2, 300).map(float)
    )
)
def test_any_polygon_gives_the_same_mask_from_either_side(vertices):
    vertices = vertices / 5
    try:
        prompt = prompt_from_shape(vertices, "polygon", SHAPE, with_mask=True)
    except PromptError:
        return
    other = prompt_from_shape(vertices[::-1], "polygon", SHAPE, with_mask=True)
    assert np.array_equal(other.box, prompt.box)
    assert other.mask == prompt.mask


@pytest.mark.parametrize(
    ("shape_type", "vertices", "count"),
    [
        pytest.param("line", [[5, 5], [5, 7]], 1, id="FM-17-short-line"),
        pytest.param("line", [[5, 5], [5, 29]], 3, id="FM-17-line"),
        pytest.param("path", [[5, 5], [5, 60], [60, 60], [60, 5]], 8, id="FM-17-path"),
        pytest.param("path", [[5, 5]], 1, id="FM-17-single-vertex"),
        pytest.param("path", [[5, 5], [5, 5], [5, 29]], 3, id="FM-17-repeated-vertex"),
    ],
)
def test_lines_and_paths_become_positive_points(shape_type, vertices, count):
    prompt = prompt_from_shape(vertices, shape_type, SHAPE)
    assert prompt.box is None
    assert prompt.point_labels.tolist() == [1] * count
    backwards = points_along(np.array(vertices, float)[::-1])
    assert sorted(map(tuple, backwards.round(9))) == sorted(map(tuple, prompt.points.round(9)))


@pytest.mark.parametrize(
    ("shape_type", "vertices", "words"),
    [
        pytest.param("rectangle", np.empty((0, 2)), "no vertex", id="FM-17-empty"),
        pytest.param("polygon", [[5, 5], [5, 9]], "no area", id="FM-17-flat-polygon"),
        pytest.param("rectangle", SQUARE + 100, "outside", id="FM-17-outside"),
        pytest.param("ellipse", SQUARE[:3], "four corners", id="FM-17-broken-ellipse"),
        pytest.param("spiral", SQUARE, "'spiral'", id="FM-17-unknown"),
        pytest.param("polygon", [[1, 2, 3]], r"\(N, 2\)", id="FM-17-three-dimensional"),
    ],
)
def test_shapes_that_say_nothing_are_refused(shape_type, vertices, words):
    with pytest.raises(PromptError, match=words):
        prompt_from_shape(vertices, shape_type, SHAPE)


@pytest.mark.parametrize("bad", [pytest.param(np.nan, id="FM-14-vertex-nan"), np.inf])
def test_vertices_that_are_not_finite_are_left_out(bad):
    vertices = np.vstack([SQUARE, [[bad, 3]]])
    with pytest.warns(SamHQWarning, match="1 of 5 vertices"):
        prompt = prompt_from_shape(vertices, "polygon", SHAPE)
    assert prompt.box.tolist() == [10, 20, 30, 40]
