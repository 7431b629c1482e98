"""Outlines: exact to the pixel, with holes and corners."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.masks.outlines import fill_polygon, outline_of, smooth_outline
from napari_samhq.errors import FileError

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=16))


@settings(deadline=None)
@given(masks)
def test_filling_the_outline_gives_the_mask_again(mask):
    cropped = CroppedMask.of(mask, (3, 7))
    outline = outline_of(cropped)
    assert outline.area == mask.sum()
    assert outline.is_valid
    assert bool(fill_polygon(outline)) == bool(mask.any())
    if mask.any():
        assert fill_polygon(outline) == cropped


def test_a_smoothed_outline_stays_within_its_tolerance():
    rows, cols = np.ogrid[:80, :80]
    disc = CroppedMask.of(np.hypot(rows - 40, cols - 40) < 30)
    outline = outline_of(disc)
    smooth = smooth_outline(outline, 1.0)
    assert shapely.get_num_coordinates(smooth) < 0.5 * shapely.get_num_coordinates(outline)
    assert smooth.hausdorff_distance(outline) <= 1.0 + 1e-9


def test_a_bow_tie_follows_the_even_odd_rule():
    bow_tie = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    filled = fill_polygon(bow_tie)
    assert filled.array().sum() == pytest.approx(shapely.make_valid(bow_tie).area, abs=10)


def test_a_hole_outside_of_its_shell_adds_and_takes_nothing_else():
    shell = [(0, 0), (6, 0), (6, 6), (0, 6)]
    hole = [(20, 20), (22, 20), (22, 22), (20, 22)]
    filled = fill_polygon(shapely.Polygon(shell, [hole]))
    assert filled.within((6, 6)).all()


def test_an_empty_polygon_is_an_empty_mask():
    assert not fill_polygon(shapely.Polygon())


def test_a_polygon_beyond_any_image_is_refused():
    with pytest.raises(FileError, match="more than any image"):
        fill_polygon(shapely.box(0, 0, 1e9, 1e9))


def test_what_lies_outside_of_the_image_is_cut_off():
    filled = fill_polygon(shapely.box(-5, -5, 3, 4), (10, 10))
    assert filled == CroppedMask.of(np.ones((4, 3), dtype=bool))
