"""Tiles cover what they should, once, and the arithmetic agrees with looking at every tile."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_samhq.core.tiles.grid import TileGrid, intersection, touches_inner_border
from napari_samhq.errors import ImageError


@st.composite
def grids(draw) -> TileGrid:
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    area = []
    for length in (height, width):
        start = draw(st.integers(0, length - 1))
        area.append(slice(start, draw(st.integers(start + 1, length))))
    origin = draw(st.integers(-40, 40)), draw(st.integers(-40, 40))
    return TileGrid.over(
        (height, width),
        (area[0], area[1]),
        tile_px=draw(st.integers(1, 40)),
        halo_px=draw(st.integers(0, 30)),
        origin_rc=origin,
    )


@settings(max_examples=200, deadline=None)
@given(grids())
def test_every_pixel_is_written_once_and_read_with_its_surroundings(grid):
    written = np.zeros(grid.image_shape, dtype=int)
    for tile in grid:
        assert intersection(tile.write, tile.read) == tile.write
        written[tile.write] += 1
        rows, cols = tile.write
        for row, col in ((rows.start - 0.5, cols.start), (rows.stop - 1, cols.stop - 0.6)):
            assert grid.owner((row, col)) == tile.index
        sizes = [part.stop - part.start for part in tile.read]
        assert sizes == [min(n, grid.tile_px + 2 * grid.halo_px) for n in grid.image_shape]
        for write, read, length in zip(tile.write, tile.read, grid.image_shape, strict=True):
            assert read.start <= max(0, write.start - grid.halo_px)
            assert read.stop >= min(length, write.stop + grid.halo_px)
    assert (written[grid.area] == 1).all()
    assert written.sum() == written[grid.area].size


@settings(max_examples=200, deadline=None)
@given(grids(), st.data())
def test_reaching_tiles_are_those_whose_read_regions_meet_the_region(grid, data):
    region = []
    for length in grid.image_shape:
        start = data.draw(st.integers(0, length - 1))
        region.append(slice(start, data.draw(st.integers(start + 1, length))))
    region = (region[0], region[1])
    expected = [tile.index for tile in grid if intersection(tile.read, region)]
    assert grid.reaching(region) == expected


@settings(max_examples=100, deadline=None)
@given(grids())
def test_a_parent_writes_all_that_its_children_write(grid):
    above = grid.coarser()
    for tile in grid:
        parent = above[grid.parent(tile.index)]
        assert intersection(tile.write, parent.write) == tile.write


def test_planning_costs_nothing_however_large_the_image():
    grid = TileGrid.over((100_000, 100_000), tile_px=256, halo_px=64)
    assert len(grid) == 391**2
    assert len(grid.reaching(grid[70_000].write)) == 9


@pytest.mark.parametrize((), [pytest.param(id="FM-51")])
def test_a_halo_larger_than_the_image_reads_the_image():
    grid = TileGrid.over((30, 40), tile_px=16, halo_px=500)
    assert {(t.read[0].stop, t.read[1].stop) for t in grid} == {(30, 40)}
    assert grid.sees_everything


@pytest.mark.parametrize(
    ("area", "tile", "halo"),
    [
        ((slice(0, 0), slice(0, 4)), 4, 0),
        ((slice(0, 9), slice(0, 4)), 4, 0),
        (None, 0, 0),
        (None, 4, -1),
    ],
)
def test_impossible_grids_are_refused(area, tile, halo):
    with pytest.raises(ImageError):
        TileGrid.over((8, 8), area, tile_px=tile, halo_px=halo)


def test_only_inner_borders_cut_objects():
    window = (slice(0, 10), slice(10, 20))
    assert not touches_inner_border((slice(0, 10), slice(11, 19)), window, (10, 40))
    assert touches_inner_border((slice(3, 4), slice(12, 20)), window, (10, 40))
    assert not touches_inner_border((slice(3, 4), slice(12, 20)), window, (10, 20))
    assert touches_inner_border((slice(3, 4), slice(2, 30)), window, (10, 40))
