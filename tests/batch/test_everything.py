"""Everything in an image: tiles leave no trace in the result, whatever their size and order."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import napari_samhq as samhq
from napari_samhq.batch.candidates import find_candidates
from napari_samhq.batch.everything import segment_everything
from napari_samhq.batch.plan import Plan
from napari_samhq.batch.results import MemoryResults
from napari_samhq.batch.run import iter_publish, iter_segment
from napari_samhq.batch.site import Site
from napari_samhq.batch.tasks import choose_objects, paint_block
from napari_samhq.batch.workers import Serial
from napari_samhq.core.tiles.grid import TileGrid
from napari_samhq.inference.automatic import ask_tile, grid_points
from napari_samhq.inference.settings import AutomaticSettings
from napari_samhq.inference.source import ImageSource
from support.fakes import FakePredictor
from support.fakes_of_objects import ObjectPredictor, blobs


class Shuffled(Serial):
    """Does tiles in any order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def segment(self, site, keys):
        keys = list(keys)
        self.random.shuffle(keys)
        return super().segment(site, keys)


def finished(steps):
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def tiled(image, predictor, settings, origin_rc=(0, 0), area=None, seed=0, mask=None):
    source = ImageSource.of(image, contrast_limits=(0, 255))
    height, width = source.shape
    area = area or (slice(0, height), slice(0, width))
    limits = source.contrast_limits
    plan = Plan((height, width), area, settings, limits, "", "", origin_rc=origin_rc)
    labels = np.zeros([part.stop - part.start for part in area], dtype=np.int32)
    site = Site(plan, MemoryResults(), source, predictor, foreground=mask)
    keys = finished(iter_segment(site, Shuffled(seed), keep_going=False))
    objects = finished(iter_publish(plan, site.results, keys, labels))
    assert len(objects) == labels.max()
    return labels


@pytest.mark.parametrize("block", range(8))
def test_tiled_equals_whole_for_discs(block):
    for seed in range(25 * block, 25 * block + 25):
        rng = random.Random(seed)
        shape = rng.randint(8, 90), rng.randint(8, 90)
        image = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
        spacing = rng.choice([9, 13, 20])
        settings = AutomaticSettings(
            spacing_px=spacing,
            min_score=rng.choice([0.6, 0.75]),
            smallest_px=rng.choice([1, 30]),
            largest_px=rng.choice([0, 500]),
            tile_px=1000,
            by_box=rng.choice([False, True]),
        )
        predictor = FakePredictor(rng.choice([2, 5, 9, 2 * spacing]))
        whole = tiled(image, predictor, settings)
        small = AutomaticSettings.of(
            {
                **dict(settings.pairs()),
                "tile_px": rng.randint(16, 60),
                "halo_px": rng.randint(0, 30),
            }.items()
        )
        shift = rng.randint(-50, 50), rng.randint(-50, 50)
        assert np.array_equal(tiled(image, predictor, small, shift, seed=seed), whole), seed


@pytest.mark.parametrize("block", range(8))
def test_tiled_equals_whole_for_objects_of_any_size(block):
    for seed in range(25 * block, 25 * block + 25):
        rng = random.Random(seed)
        image = blobs((rng.randint(20, 110), rng.randint(20, 110)), seed, rng.choice([1, 3, 6]))
        common = {"spacing_px": rng.choice([3, 5, 8]), "smallest_px": 1, "largest_px": 0}
        whole = tiled(image, ObjectPredictor(), AutomaticSettings(tile_px=1000, **common))
        small = AutomaticSettings(tile_px=rng.randint(16, 60), halo_px=rng.randint(0, 30), **common)
        shift = rng.randint(-50, 50), rng.randint(-50, 50)
        assert np.array_equal(tiled(image, ObjectPredictor(), small, shift, seed=seed), whole), seed


def test_every_object_under_a_point_is_found_and_is_right():
    image = blobs((150, 130), 1)
    labels = segment_everything(
        image, ObjectPredictor(), spacing_px=1, smallest_px=1, tile_px=32, halo_px=8
    )
    pieces, count = ndimage.label(image)
    assert labels.max() == count
    filled = ndimage.binary_fill_holes(pieces == 1)
    assert np.unique(labels[filled]).size == 1
    assert (labels[image > 0] > 0).all()


def test_objects_are_asked_again_by_their_boxes():
    image = np.zeros((60, 60), np.uint8)
    image[::2] = 200
    predictor = FakePredictor(6)
    settings = AutomaticSettings(spacing_px=60, smallest_px=1, by_box=True, largest_px=400)
    labels = tiled(image, predictor, settings)
    prompts = [argument for what, argument in predictor.calls if what == "predict"]
    # Of the discs of radius 6, 3 and 12 the last is too large; the boxes around the others are
    # filled, and the better one has what both cover.
    assert [prompt.box is not None for prompt in prompts] == [False, True, True]
    rows, cols = np.nonzero(labels)
    assert len(rows) == 12 * 12
    assert np.ptp(rows) == np.ptp(cols) == 11


def test_progress_never_goes_back_when_boxes_follow_points():
    image = blobs((60, 60), 1, 4)
    source, grid = ImageSource.of(image), TileGrid.over((60, 60), tile_px=64, halo_px=0)
    settings = AutomaticSettings(spacing_px=6, smallest_px=1, by_box=True)
    points = grid_points((slice(0, 60), slice(0, 60)), 6)
    asked = list(ask_tile(FakePredictor(6), source, grid, 0, points, settings))
    shares = [one.done / one.total for one in asked]
    assert len(shares) > len(points)  # boxes were asked, too
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_thresholds_chosen_later_are_those_chosen_before_with_boxes_too():
    image = blobs((90, 110), 3, 4)
    for limit in (0, 150):
        settings = AutomaticSettings(
            spacing_px=9, smallest_px=1, by_box=True, largest_px=limit, min_score=0.75
        )
        before = segment_everything(image, FakePredictor(6), settings=settings)
        candidates = find_candidates(image, FakePredictor(6), settings=settings)
        assert before.any()
        assert np.array_equal(candidates.filtered(), before)


@pytest.mark.parametrize((), [pytest.param(id="FM-51")])
@pytest.mark.parametrize("place", [(4, 5), (60, 70)], ids=["ten tiles long", "whole image"])
def test_an_object_of_ten_tiles_comes_out_whole(place):
    image = np.zeros((220, 240), dtype=np.uint8)
    image[place[0] : 200, place[1] : place[1] + 160] = 200
    labels = segment_everything(
        image, ObjectPredictor(), tile=16, halo=4, spacing_px=8, largest_px=0
    )
    assert np.array_equal(labels, image // 200)


def test_an_object_on_a_corner_of_four_tiles_comes_out_whole():
    image = np.zeros((128, 128), dtype=np.uint8)
    image[57:71, 55:73] = 100
    labels = segment_everything(
        image, ObjectPredictor(), tile_px=64, halo_px=16, spacing_px=8, min_score=0.7
    )
    assert np.array_equal(labels, image // 100)


def test_a_region_gives_that_part_and_sees_what_is_around_it():
    image = blobs((100, 120), 4)
    area = (slice(20, 81), slice(33, 100))
    settings = {"spacing_px": 1, "tile_px": 24, "halo_px": 8, "smallest_px": 1}
    whole = segment_everything(image, ObjectPredictor(), **settings)
    part = segment_everything(image, ObjectPredictor(), region=area, **settings)
    assert part.shape == (61, 67)
    seen = whole[area]
    assert np.array_equal(part > 0, seen > 0)
    pairs = np.unique(np.stack([part.ravel(), seen.ravel()]), axis=1)
    assert pairs.shape[1] == np.unique(part).size == np.unique(seen).size


def test_points_off_the_mask_are_not_asked():
    image = blobs((60, 60), 2)
    mask = np.zeros(image.shape, dtype=bool)
    mask[:, :30] = True
    predictor = ObjectPredictor()
    labels = segment_everything(
        image, predictor, mask=mask, spacing_px=3, smallest_px=1, tile_px=32, halo_px=4
    )
    cols = ndimage.find_objects(labels)
    assert labels.any()
    assert all(where[1].start < 30 for where in cols)
    with pytest.raises(samhq.ImageError, match="equal"):
        segment_everything(image, predictor, mask=mask[:5])


@pytest.mark.parametrize((), [pytest.param(id="FM-03")])
def test_empty_tiles_stay_empty():
    image = np.zeros((64, 200), dtype=np.uint16)
    image[20:40, 10:30] = 7
    predictor = FakePredictor()  # draws discs wherever it is asked
    labels = segment_everything(image, predictor, tile_px=64, halo_px=0, spacing_px=16)
    assert labels[:, :64].any()
    assert not labels[:, 64:].any()


def test_an_empty_image_gives_no_labels():
    with pytest.warns(samhq.SamHQWarning):
        labels = segment_everything(np.zeros((40, 50)), FakePredictor())
    assert labels.shape == (40, 50)
    assert not labels.any()


def test_presets_and_settings():
    assert AutomaticSettings.preset("thin").largest_px == 0
    assert AutomaticSettings.preset("nuclei", halo_px=None) == AutomaticSettings.preset("nuclei")
    for wrong in ({"spacing": 3}, {"spacing_px": 0}, {"min_score": 2}, {"largest_px": 10}):
        with pytest.raises(samhq.SettingsError):
            AutomaticSettings.preset("cells", **wrong)
    with pytest.raises(samhq.SettingsError, match="nuclei"):
        AutomaticSettings.preset("trees")


def test_cancelling_stops_within_a_tile():
    predictor = ObjectPredictor()

    def stop(step) -> None:
        if step.done > 2:
            raise samhq.Cancelled("Stopped.")

    with pytest.raises(samhq.Cancelled):
        segment_everything(
            blobs((200, 200), 0), predictor, tile_px=32, halo_px=8, spacing_px=8, progress=stop
        )
    assert len([call for call in predictor.calls if call[0] == "embed"]) <= 4


@pytest.mark.parametrize((), [pytest.param(id="FM-52")])
def test_an_error_in_memory_is_that_error():
    predictor = ObjectPredictor()
    predictor.error = samhq.ImageError("broken")
    with pytest.raises(samhq.ImageError, match="broken"):
        segment_everything(blobs((60, 60), 0), predictor)


def test_stopping_stops_threads_too():
    predictor = ObjectPredictor(delay=0.02)

    def stop(step) -> None:
        if step.done >= 2:
            raise samhq.Cancelled("Stopped.")

    image = blobs((200, 200), 0)
    settings = {"tile": 32, "halo": 8, "spacing_px": 8, "workers": 2, "progress": stop}
    with pytest.raises(samhq.Cancelled) as caught:
        segment_everything(image, predictor, **settings)
    asked = len(predictor.calls)  # while the traceback is still there
    time.sleep(0.2)
    assert caught
    assert len(predictor.calls) == asked


def test_threads_give_the_same_labels():
    image = blobs((150, 170), 5)
    settings = {"tile_px": 32, "halo_px": 8, "spacing_px": 4, "smallest_px": 1}
    one = segment_everything(image, ObjectPredictor(), **settings)
    many = segment_everything(image, ObjectPredictor(), workers=4, **settings)
    assert np.array_equal(one, many)


def test_other_thresholds_need_no_model():
    image = blobs((90, 100), 3)
    predictor = ObjectPredictor()
    settings = {"tile_px": 40, "halo_px": 8, "spacing_px": 4}
    candidates = find_candidates(image, predictor, **settings)
    asked = len(predictor.calls)
    for changes in ({}, {"min_score": 0.85}, {"smallest_px": 100, "largest_px": 400}):
        labels = candidates.filtered(**changes)
        again = segment_everything(image, ObjectPredictor(), **settings, **changes)
        assert np.array_equal(labels, again)
    assert len(candidates) > candidates.filtered(min_score=0.85).max() > 0
    assert len(predictor.calls) == asked
    with pytest.raises(samhq.SettingsError, match="asked again"):
        candidates.filtered(spacing_px=3)
    with pytest.raises(samhq.SettingsError, match="not been kept"):
        candidates.filtered(largest_px=0)


@pytest.mark.parametrize("seed", range(12))
def test_objects_that_begin_in_a_region_may_go_on_past_its_edge(seed):
    rng = random.Random(seed)
    shape = rng.randint(60, 110), rng.randint(60, 110)
    image = blobs(shape, seed, rng.choice([1, 3, 6]))
    area = tuple(
        slice(start, rng.randint(start + 8, length))
        for length in shape
        for start in [rng.randint(0, length - 10)]
    )
    settings = AutomaticSettings(
        spacing_px=3, smallest_px=1, largest_px=0, tile_px=rng.randint(16, 40), halo_px=8
    )
    source = ImageSource.of(image, contrast_limits=(0, 255))
    plan = Plan(shape, area, settings, source.contrast_limits, "", "", past_the_edge=True)
    site = Site(plan, MemoryResults(), source, ObjectPredictor())
    keys = finished(iter_segment(site, Shuffled(seed), keep_going=False))
    objects = finished(choose_objects(plan, site.results, keys))
    everywhere = slice(0, shape[0]), slice(0, shape[1])
    labels = paint_block(plan, site.results, objects, everywhere)
    whole = tiled(image, ObjectPredictor(), settings)
    points = np.zeros(shape, dtype=bool)
    points[1::3, 1::3] = True
    here = np.zeros(shape, dtype=bool)
    here[area] = points[area]
    # Of objects inside of others the better one has the pixels, in both the same.
    begun = np.unique(whole[here & (image > 0)])
    assert len(objects) == len(begun)
    assert np.array_equal(labels > 0, np.isin(whole, begun) & (whole > 0))
    for label in range(1, len(objects) + 1):
        (same,) = np.unique(whole[labels == label])
        assert np.array_equal(whole == same, labels == label)
    cut = replace(plan, past_the_edge=False)
    assert cut.run_id != plan.run_id
