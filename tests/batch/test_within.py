"""Everything inside of an outline: objects at its edge are left out, whatever the tiles."""

from __future__ import annotations

import pickle
import random

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_samhq.batch.candidates import find_candidates
from napari_samhq.batch.everything import segment_everything
from napari_samhq.core.masks.outlines import fill_polygon
from napari_samhq.core.prompts.outline_masks import BothMasks, OutlineMask
from napari_samhq.errors import FileError, ImageError
from support.fakes_of_objects import ObjectPredictor, blobs

SMALL = {"spacing_px": 5, "smallest_px": 1, "largest_px": 0}


def some_outline(rng: random.Random, shape: tuple[int, int]) -> shapely.Polygon:
    """A star around the middle, with a hole."""
    height, width = shape
    turns = np.arange(4) * (2 * np.pi / 12)
    reach = np.array([rng.uniform(0.5, 1.2) for _ in turns])
    x = width / 2 + reach * width / 2 * np.cos(turns)
    y = height / 2 + reach * height / 2 * np.sin(turns)
    hole = shapely.Point(width / 2, height / 2).buffer(rng.uniform(2, 8))
    return shapely.make_valid(shapely.Polygon(np.column_stack([x, y]))) - hole


def inside_only(labels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Pixels of the objects that have none outside of the mask."""
    outside = np.unique(labels[~mask])
    found: np.ndarray = (labels > 0) & ~np.isin(labels, outside)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_FM_96_objects_are_those_that_lie_whole_inside(seed):
    rng = random.Random(seed)
    image = blobs((rng.randint(50, 80), rng.randint(50, 80)), seed, 2)
    outline = some_outline(rng, image.shape)
    mask = fill_polygon(outline, image.shape).within(image.shape)
    tiles = {"tile_px": rng.randint(16, 60), "halo_px": rng.randint(0, 30)}
    everything = segment_everything(image, ObjectPredictor(), **SMALL, **tiles)
    wanted = inside_only(everything, mask)
    assert (wanted != (everything > 0)).any()
    for within in (mask, mask.astype(np.int32) * 7, OutlineMask(outline, image.shape)):
        labels = segment_everything(image, ObjectPredictor(), within=within, **SMALL, **tiles)
        np.testing.assert_array_equal(labels > 0, wanted)
    kept = find_candidates(image, ObjectPredictor(), within=mask, **SMALL, **tiles)
    np.testing.assert_array_equal(kept.filtered() > 0, wanted)


def test_FM_96_a_part_of_an_object_at_the_edge_takes_not_its_place():
    image = np.zeros((40, 60), np.uint8)
    image[10:30, 10:50] = 200
    image[15:20, 15:20] = 90  # a part of the large one, and the second best answer there
    mask = np.zeros(image.shape, bool)
    mask[:, :40] = True
    labels = segment_everything(image, ObjectPredictor(), within=mask, **SMALL)
    assert labels.max() == 0


def test_FM_96_nothing_outside_is_asked():
    image = blobs((90, 90), 3)
    mask = np.zeros(image.shape, bool)
    mask[20:50, 10:60] = True
    upper = np.arange(90)[:, np.newaxis] < np.full(90, 35)
    asked = ObjectPredictor()
    segment_everything(image, asked, within=mask, mask=upper, **SMALL)
    points = [value for name, value in asked.calls if name == "predict"]
    assert 0 < len(points) <= 4 * 11  # of 23 x 23


def test_FM_96_a_run_to_a_file_gives_the_same_and_knows_its_outline(tmp_path):
    image = blobs((100, 90), 5)
    outline = some_outline(random.Random(5), image.shape)
    mask = fill_polygon(outline, image.shape).within(image.shape)
    lazy = OutlineMask(outline, image.shape)
    options = {**SMALL, "tile_px": 32, "halo_px": 16}
    out = tmp_path / "labels.zarr"
    written = segment_everything(image, ObjectPredictor(), within=lazy, out=out, **options)
    everything = segment_everything(image, ObjectPredictor(), **options)
    np.testing.assert_array_equal(np.asarray(written[:]) > 0, inside_only(everything, mask))
    again = ObjectPredictor()
    segment_everything(image, again, within=lazy, out=out, **options)
    assert not again.calls  # done already
    other = OutlineMask(shapely.box(0, 0, 50, 50), image.shape)
    with pytest.raises(FileError, match="exists"):
        segment_everything(image, ObjectPredictor(), within=other, out=out, **options)


def test_an_outline_of_another_size_is_refused():
    with pytest.raises(ImageError, match="within has the shape"):
        segment_everything(blobs((50, 50), 0), ObjectPredictor(), within=np.ones((40, 50)))


@given(st.integers(0, 10_000), st.data())
@settings(max_examples=60, deadline=None)
def test_a_cut_of_an_outline_is_the_cut_of_the_whole(seed, data):
    shape = (50, 70)
    outline = some_outline(random.Random(seed), shape)
    lazy = OutlineMask(outline, shape)
    whole = fill_polygon(outline, shape).within(shape)
    rows = sorted(data.draw(st.tuples(*[st.integers(0, shape[0])] * 2)))
    cols = sorted(data.draw(st.tuples(*[st.integers(0, shape[1])] * 2)))
    cut = slice(*rows), slice(*cols)
    np.testing.assert_array_equal(lazy[cut], whole[cut])
    again = pickle.loads(pickle.dumps(lazy))
    np.testing.assert_array_equal(again[cut], whole[cut])
    assert again.fingerprint == lazy.fingerprint
    np.testing.assert_array_equal(BothMasks(lazy, whole)[cut], whole[cut])
