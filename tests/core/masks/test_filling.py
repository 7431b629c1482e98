"""Filling: of neighbours that share an edge exactly one has each pixel; ellipses are round."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_samhq.core.masks.filling import fill_coco_polygon, fill_ellipse, fill_rings
from napari_samhq.core.masks.outlines import fill_polygon
from napari_samhq.core.prompts.from_shapes import area_of_shape
from napari_samhq.errors import FileError
from support.tessellations import tessellations

SHAPE = (40, 40)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("rings", id="FM-68-rings"),
        pytest.param("shapes"),
        pytest.param("coco", id="FM-68-coco"),
    ],
)
@settings(max_examples=50, deadline=None)
@given(tessellations(SHAPE))
def test_each_pixel_of_a_tessellation_belongs_to_one_polygon(kind, polygons):
    fill = {
        "rings": lambda ring: fill_rings([ring], SHAPE),
        "coco": lambda ring: fill_coco_polygon(ring, SHAPE),
        "shapes": lambda ring: area_of_shape(np.flip(ring, 1) - 0.5, "polygon", SHAPE),
    }[kind]
    owners = sum(fill(ring).within(SHAPE).astype(int) for ring in polygons)
    np.testing.assert_array_equal(owners, np.ones(SHAPE))


@pytest.mark.parametrize((), [pytest.param(id="FM-68")])
@settings(max_examples=30, deadline=None)
@given(tessellations(SHAPE), st.integers(0, 30))
def test_a_hole_takes_what_fills_it(polygons, which):
    """A polygon and the one in its hole have each pixel once."""
    inner = np.clip(polygons[which % len(polygons)], 1, 39)
    outer = shapely.Polygon([(-1, -1), (41, -1), (41, 41), (-1, 41)], [inner])
    both = fill_polygon(outer, SHAPE).within(SHAPE).astype(int)
    both += fill_polygon(shapely.Polygon(inner), SHAPE).within(SHAPE)
    np.testing.assert_array_equal(both, np.ones(SHAPE))


@pytest.mark.parametrize((), [pytest.param(id="FM-68")])
def test_edges_computed_in_two_ways_lie_on_the_same_side_of_pixels():
    """Half a pixel, in micrometres of 0.3 and back."""
    noisy = 0.3 * 20.5 / 0.3 + np.array([0.0, 1e-9, -1e-9])
    counts = [fill_rings([[[10.5, 3], [right, 3], [right, 4], [10.5, 4]]]).area for right in noisy]
    assert counts == [10, 10, 10]


ring_of = st.lists(
    st.tuples(*[st.integers(-20, 60).map(lambda n: n / 2)] * 2), min_size=3, max_size=9
)


@pytest.mark.parametrize((), [pytest.param(id="FM-73")])
@settings(max_examples=50, deadline=None)
@given(ring_of, st.integers(0, 8))
def test_winding_first_corner_repetition_and_closing_make_no_difference(ring, turn):
    filled = fill_rings([ring], SHAPE)
    turned = ring[turn % len(ring) :] + ring[: turn % len(ring)]
    repeated = [corner for corner in ring for _ in range(2)]
    for other in (ring[::-1], turned, repeated, [*ring, ring[0]]):
        assert fill_rings([other], SHAPE) == filled


@pytest.mark.parametrize((), [pytest.param(id="FM-73")])
@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.integers(-99, 700).map(lambda n: n / 20.3)] * 2), min_size=3, max_size=8
    )
)
def test_centres_inside_are_filled_by_the_even_odd_rule(ring):
    """Edges to the left of a centre are counted, away from the edges themselves."""
    shape = (30, 28)
    filled = fill_rings([ring], shape).within(shape)
    rows, cols = np.mgrid[:30, :28] + 0.5
    crossed = np.zeros(shape, int)
    for (x0, y0), (x1, y1) in itertools.pairwise([*ring, ring[0]]):
        if y0 != y1:
            crossed += ((y0 <= rows) != (y1 <= rows)) & (
                x0 + (rows - y0) / (y1 - y0) * (x1 - x0) <= cols
            )
    edges = shapely.LineString([*ring, ring[0]])
    clear = shapely.distance(shapely.points(cols, rows), edges) > 2e-3
    np.testing.assert_array_equal(filled[clear], (crossed % 2 == 1)[clear])


# pycocotools asks numpy for arrays in a way that numpy 2 calls old.
@pytest.mark.parametrize((), [pytest.param(id="FM-69")])
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(-60, 400).map(lambda n: n / 10)] * 2), min_size=3, max_size=9)
)
def test_polygons_of_coco_have_the_pixels_that_pycocotools_gives_them(ring):
    coco = pytest.importorskip("pycocotools.mask")
    (encoded,) = coco.frPyObjects([np.ravel(ring).tolist()], 30, 28)
    expected = np.asarray(coco.decode(encoded)).astype(bool)
    np.testing.assert_array_equal(fill_coco_polygon(ring, (30, 28)).within((30, 28)), expected)


@pytest.mark.parametrize((), [pytest.param(id="FM-72")])
@pytest.mark.parametrize("far", [1e5, 1e8, 1e11])
def test_what_lies_far_outside_takes_no_time(far):
    """Coordinates as on the other side of the world."""
    ring = [[-far, 10], [far, 10], [far, 20], [-far, 20]]
    for fill in (lambda r: fill_rings([r], SHAPE), lambda r: fill_coco_polygon(r, SHAPE)):
        np.testing.assert_array_equal(
            np.flatnonzero(fill(ring).within(SHAPE).all(1)), range(10, 20)
        )


@pytest.mark.parametrize((), [pytest.param(id="FM-73")])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_coordinates_that_are_no_pixels_are_refused(bad):
    ring = [[0, 0], [5, 0], [bad, 5]]
    for fill in (lambda r: fill_rings([r]), lambda r: fill_coco_polygon(r, SHAPE)):
        with pytest.raises(FileError, match="more than any image"):
            fill(ring)


@pytest.mark.parametrize((), [pytest.param(id="FM-73")])
def test_rings_without_an_area_have_no_pixels():
    for ring in ([], [[3, 3]], [[3, 3], [9, 9]], [[3, 3]] * 5, [[3, 3], [9, 3], [6, 3]]):
        assert not fill_rings([ring])
        assert not fill_coco_polygon(ring, SHAPE)


@pytest.mark.parametrize((), [pytest.param(id="FM-70")])
@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.floats(-3, 9), st.floats(-3, 9))
def test_an_upright_ellipse_has_the_centres_inside(width, height, left, top):
    """ImageJ's rule."""
    shape = (70, 70)
    y, x = np.mgrid[:70, :70] + 0.5
    inside = ((x - left) / width * 2 - 1) ** 2 + ((y - top) / height * 2 - 1) ** 2
    found = fill_ellipse(
        [left + width / 2, top + height / 2], [[width / 2, 0], [0, height / 2]], shape
    ).within(shape)
    clear = abs(inside - 1) > 1e-7
    np.testing.assert_array_equal(found[clear], (inside <= 1)[clear])


@pytest.mark.parametrize((), [pytest.param(id="FM-70")])
@settings(max_examples=40, deadline=None)
@given(st.floats(0, 6.3), st.floats(1, 20), st.floats(1, 20), st.floats(-1, 1))
def test_turned_and_sheared_ellipses_have_the_centres_inside(angle, first, second, shear):
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    axes = np.array([[first, 0], [shear * first, second]]) @ turn
    found = fill_ellipse([20.3, 19.8], axes, SHAPE).within(SHAPE)
    rows, cols = np.mgrid[:40, :40] + 0.5
    along = np.stack([cols - 20.3, rows - 19.8], axis=-1) @ np.linalg.inv(axes)
    inside = (along**2).sum(-1)
    clear = abs(inside - 1) > 1e-6
    np.testing.assert_array_equal(found[clear], (inside <= 1)[clear])
    corners = 20 + np.array(
        [-axes[0] - axes[1], axes[0] - axes[1], axes[0] + axes[1], axes[1] - axes[0]]
    )
    drawn = area_of_shape(np.flip(corners, 1), "ellipse", SHAPE)
    assert drawn == fill_ellipse([20.5, 20.5], axes, SHAPE)


def test_an_ellipse_without_width_has_no_pixels():
    assert not fill_ellipse([5, 5], [[3, 0], [0, 0]])
    assert not fill_ellipse([5, 5], [[3, 1], [6, 2]])


@pytest.mark.parametrize((), [pytest.param(id="FM-71")])
def test_a_slide_is_filled_by_its_outline():
    """48,000 px across, in the blink of an eye."""
    angle = np.linspace(0, 2 * np.pi, 5000)[:-1]
    disc = fill_rings([30_000 + 24_000 * np.stack([np.cos(angle), np.sin(angle)], axis=1)])
    assert disc.area == pytest.approx(np.pi * 24_000**2, rel=1e-5)
    assert disc.nbytes < 2**20
