"""All objects by the dense head: tiles leave no trace, thresholds ask nothing, others outline."""

from __future__ import annotations

import random
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
from napari_samhq.batch.workers import Serial
from napari_samhq.inference.settings import AutomaticSettings, DenseSettings
from napari_samhq.inference.source import ImageSource
from support.fakes import FakePredictor
from support.fakes_of_objects import MapsPredictor, ObjectPredictor, blobs, pictured

LOOSE = {"smallest_px": 1, "min_score": 0.1}


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


def tiled(image, settings, shift, seed):
    source = ImageSource.of(image)
    height, width = source.shape
    area = (slice(0, height), slice(0, width))
    plan = Plan((height, width), area, settings, None, "", "", origin_rc=shift)
    labels = np.zeros((height, width), dtype=np.int32)
    site = Site(plan, MemoryResults(), source, MapsPredictor())
    keys = finished(iter_segment(site, Shuffled(seed), keep_going=False))
    finished(iter_publish(plan, site.results, keys, labels))
    return labels


def looks(predictor) -> int:
    return sum(call[0] == "embed" for call in predictor.calls)


@pytest.mark.parametrize("block", range(4))
def test_tiled_equals_whole_for_objects_of_any_size(block):
    for seed in range(10 * block, 10 * block + 10):
        rng = random.Random(seed)
        shape = rng.randint(20, 110), rng.randint(20, 110)
        image = pictured(blobs(shape, seed, rng.choice([1, 3, 6])))
        sizes = {"smallest_px": rng.choice([1, 30]), "min_score": rng.choice([0.1, 0.8])}
        whole = segment_everything(image, MapsPredictor(), **sizes)
        small = DenseSettings(tile_px=rng.randint(16, 60), halo_px=rng.randint(0, 30), **sizes)
        shift = rng.randint(-50, 50), rng.randint(-50, 50)
        assert np.array_equal(tiled(image, small, shift, seed), whole), seed


def test_every_object_is_found_once_and_to_the_pixel():
    grey = np.zeros((90, 120), np.uint8)
    rows, cols = np.indices(grey.shape)
    for number, (row, col, radius) in enumerate([(20, 20, 9), (60, 30, 14), (50, 90, 25)], 1):
        grey[np.hypot(rows - row, cols - col) <= radius] = number * 60
    labels = segment_everything(pictured(grey), MapsPredictor(), tile=32, halo=8)
    assert labels.max() == 3
    assert np.array_equal(labels > 0, grey > 0)
    assert {len(np.unique(labels[grey == value])) for value in (60, 120, 180)} == {1}


@pytest.mark.parametrize((), [pytest.param(id="FM-51-dense")])
@pytest.mark.parametrize("place", [(4, 5), (60, 70)], ids=["ten tiles long", "whole image"])
def test_an_object_of_ten_tiles_comes_out_whole(place):
    grey = np.zeros((220, 240), dtype=np.uint8)
    grey[place[0] : 200, place[1] : place[1] + 160] = 200
    labels = segment_everything(pictured(grey), MapsPredictor(), tile=16, halo=4)
    assert np.array_equal(labels, grey // 200)


def test_a_region_gives_that_part_and_sees_what_is_around_it():
    image = pictured(blobs((100, 120), 4))
    area = (slice(20, 81), slice(33, 100))
    whole = segment_everything(image, MapsPredictor(), tile=24, halo=8, **LOOSE)
    part = segment_everything(image, MapsPredictor(), region=area, tile=24, halo=8, **LOOSE)
    seen = whole[area]
    assert np.array_equal(part > 0, seen > 0)
    pairs = np.unique(np.stack([part.ravel(), seen.ravel()]), axis=1)
    assert pairs.shape[1] == np.unique(part).size == np.unique(seen).size


def test_objects_that_begin_in_a_region_may_go_on_past_its_edge():
    image = pictured(blobs((100, 120), 4))
    area = (slice(20, 81), slice(33, 100))
    source = ImageSource.of(image)
    settings = DenseSettings(tile_px=24, halo_px=8, **LOOSE)
    plan = Plan((100, 120), area, settings, None, "", "", past_the_edge=True)
    site = Site(plan, MemoryResults(), source, MapsPredictor())
    keys = finished(iter_segment(site, Serial(), keep_going=False))
    labels = np.zeros((61, 67), np.int32)
    objects = finished(iter_publish(plan, site.results, keys, labels))
    whole = segment_everything(image, MapsPredictor(), **LOOSE)
    wanted = np.unique(whole[area][whole[area] > 0])
    assert len(objects) == len(wanted)
    boxes = ndimage.find_objects(whole)
    assert sorted(map(tuple, objects.regions.tolist())) == sorted(
        (box[0].start, box[1].start, box[0].stop, box[1].stop)
        for box in (boxes[number - 1] for number in wanted)
    )


def test_objects_mostly_off_the_mask_are_left_out_and_empty_tiles_not_looked_at():
    image = pictured(blobs((60, 200), 2))
    mask = np.zeros(image.shape[:2], dtype=bool)
    mask[:, :50] = True
    few, all_of_it = MapsPredictor(), MapsPredictor()
    labels = segment_everything(image, few, mask=mask, tile=32, halo=4, **LOOSE)
    whole = segment_everything(image, all_of_it, tile=32, halo=4, **LOOSE)
    assert looks(few) < looks(all_of_it)
    areas = np.bincount(whole.ravel())
    inside = np.bincount(whole[mask], minlength=len(areas))
    wanted = np.flatnonzero(2 * inside >= areas)
    assert np.array_equal(labels > 0, np.isin(whole, wanted[wanted > 0]))
    with pytest.raises(samhq.ImageError, match="equal"):
        segment_everything(image, few, mask=mask[:5])


def test_threads_and_files_give_the_same_labels(tmp_path):
    image = pictured(blobs((120, 130), 5))
    options = {"tile": 32, "halo": 8, **LOOSE}
    one = segment_everything(image, MapsPredictor(), **options)
    assert one.max() > 5
    many = segment_everything(image, MapsPredictor(), workers=3, **options)
    assert np.array_equal(one, many)
    out = tmp_path / "labels.zarr"

    def stop(step) -> None:
        if step.done >= 4:
            raise samhq.Cancelled("Stopped.")

    first, second, whole = MapsPredictor(), MapsPredictor(), MapsPredictor()
    with pytest.raises(samhq.Cancelled):
        segment_everything(image, first, out=out, progress=stop, **options)
    with pytest.raises(samhq.FileError, match="other settings"):
        segment_everything(image, second, out=out, **{**options, "min_score": 0.7})
    with pytest.raises(samhq.FileError, match="model that finds"):
        segment_everything(
            image, FakePredictor(name="fake"), find=MapsPredictor(name="b"), out=out, **options
        )
    second.calls.clear()
    stored = segment_everything(image, second, out=out, **options)
    segment_everything(image, whole, **options)
    assert np.array_equal(stored[:], one)
    assert looks(first) + looks(second) <= looks(whole) + 1


def test_plans_go_to_json_and_back():
    settings = DenseSettings(diameter=30).fitted(512, (900, 900))
    plan = Plan((9, 9), (slice(0, 9), slice(0, 9)), settings, None, "", "", finder="f")
    assert Plan.from_json(plan.to_json()) == plan
    points = replace(plan, settings=AutomaticSettings())
    assert Plan.from_json(points.to_json()) == points
    assert len({plan.run_id, points.run_id, replace(plan, finder="").run_id}) == 3


def test_tiles_that_see_the_same_share_a_look():
    image = pictured(blobs((52, 150), 4))
    predictor, whole = MapsPredictor(input_size=52), MapsPredictor(input_size=1000)
    labels = segment_everything(image, predictor, **LOOSE)
    settings = DenseSettings(**LOOSE).fitted(52, (52, 150))
    assert 2 * settings.tile_px > 52 > settings.tile_px  # two rows of tiles
    assert looks(predictor) <= 4 + 2 + 1  # the latter from farther away
    assert np.array_equal(labels, segment_everything(image, whole, **LOOSE))


def test_other_thresholds_need_no_model():
    image = pictured(blobs((90, 100), 3))
    predictor = MapsPredictor()
    candidates = find_candidates(image, predictor, tile_px=40, halo_px=8, min_score=0.3)
    asked = len(predictor.calls)
    assert candidates.settings == DenseSettings(tile_px=40, halo_px=8, min_score=0.3)
    for changes in ({}, {"min_score": 0.8}, {"smallest_px": 100, "largest_px": 400}):
        labels = candidates.filtered(**changes)
        wanted = {"tile_px": 40, "halo_px": 8, "min_score": 0.3, **changes}
        again = segment_everything(image, MapsPredictor(), **wanted)
        assert np.array_equal(labels, again)
    assert len(predictor.calls) == asked
    with pytest.raises(samhq.SettingsError, match="asked again"):
        candidates.filtered(diameter=3)


def test_the_method_follows_the_model_and_the_settings():
    image = pictured(blobs((60, 60), 1))
    both, points = MapsPredictor(), ObjectPredictor()
    segment_everything(image, both)
    assert not any(what == "predict" for what, _ in both.calls)
    segment_everything(image, points)
    assert any(what == "predict" for what, _ in points.calls)
    for options in ({"method": "points"}, {"spacing_px": 16}, {"settings": AutomaticSettings()}):
        both.calls.clear()
        segment_everything(image, both, **options)
        assert any(what == "predict" for what, _ in both.calls)
    with pytest.raises(samhq.ModelError, match="find='micro'"):
        segment_everything(image, points, method="dense")
    with pytest.raises(samhq.SettingsError, match="no method"):
        segment_everything(image, both, method="magic")
    with pytest.raises(samhq.SettingsError, match="do not belong"):
        segment_everything(image, both, method="points", settings=DenseSettings())
    with pytest.raises(samhq.SettingsError, match="spacing_px"):
        segment_everything(image, both, method="dense", spacing_px=3)


def test_another_model_outlines_what_this_one_finds():
    grey = np.zeros((64, 64), np.uint8)
    grey[10:20, 10:20] = grey[40:44, 40:60] = 99
    grey[10:20, 15:16] = 0  # two halves, of which a filled box makes rectangles
    grey[41:43, 41:59] = 99
    finder, outliner = MapsPredictor(name="finder"), FakePredictor(name="outliner")
    found = segment_everything(pictured(grey), finder, **LOOSE)
    labels = segment_everything(pictured(grey), outliner, find=finder, **LOOSE)
    prompts = [argument for what, argument in outliner.calls if what == "predict"]
    assert len(prompts) == found.max() == labels.max()
    assert all(prompt.points is None and prompt.box is not None for prompt in prompts)
    for number, box in enumerate(ndimage.find_objects(found), start=1):
        assert (labels[box] == number).all()  # this model fills boxes
    assert not looks(FakePredictor())
    same = MapsPredictor(name="finder")
    again = segment_everything(pictured(grey), same, find=MapsPredictor(name="finder"), **LOOSE)
    assert np.array_equal(again, found)
    assert looks(same) == 0 or not any(what == "predict" for what, _ in same.calls)


class Everywhere(FakePredictor):
    """Takes all of the picture for the object, whatever is asked."""

    def _draw(self, prompt, shape, radius):
        return np.ones(shape, dtype=bool)


def test_an_outline_of_something_else_is_not_taken():
    image, outliner = pictured(blobs((64, 64), 1)), Everywhere(name="everywhere")
    found = segment_everything(image, MapsPredictor(name="finder"), **LOOSE)
    labels = segment_everything(image, outliner, find=MapsPredictor(name="finder"), **LOOSE)
    assert any(what == "predict" for what, _ in outliner.calls)
    assert np.array_equal(labels, found)


def test_the_size_of_objects_says_from_how_far_to_look():
    image = pictured(blobs((120, 120), 1))
    near, far = MapsPredictor(input_size=64), MapsPredictor(input_size=64)
    segment_everything(image, near, diameter=10)
    segment_everything(image, far, diameter="80 um", pixel_size=0.5, unit="um")
    assert looks(near) > 8 * looks(far) > 0
    with pytest.raises(samhq.SettingsError, match="pixel_size"):
        segment_everything(image, near, diameter="80 um")
    with pytest.raises(samhq.SettingsError, match="no length"):
        segment_everything(image, near, diameter="large")
    with pytest.raises(samhq.SettingsError, match="diameter"):
        segment_everything(image, near, diameter=-3)


@pytest.mark.parametrize((), [pytest.param(id="FM-03-dense")])
def test_empty_images_stay_empty():
    with pytest.warns(samhq.SamHQWarning):
        labels = segment_everything(np.zeros((40, 50)), MapsPredictor())
    assert labels.shape == (40, 50)
    assert not labels.any()
