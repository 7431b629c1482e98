"""Choosing among overlapping masks: nothing twice, nothing lost, and no matter in which order."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.tiles.grid import TileGrid, intersection
from napari_samhq.core.tiles.stitching import (
    Candidate,
    chosen,
    distinct,
    overlaps,
    paint,
    shared_px,
)

SHAPE = (40, 60)


def full(candidate: Candidate) -> np.ndarray:
    out = np.zeros(SHAPE, dtype=bool)
    common = intersection(candidate.region, (slice(0, SHAPE[0]), slice(0, SHAPE[1])))
    out[common] = candidate.sampled(common)
    return out


@st.composite
def candidate_lists(draw) -> list[Candidate]:
    found = []
    for _ in range(draw(st.integers(0, 12))):
        row, col = draw(st.integers(0, SHAPE[0] - 1)), draw(st.integers(0, SHAPE[1] - 1))
        radius = draw(st.integers(1, 14))
        step = draw(st.sampled_from([1, 1, 2, 4]))
        rows, cols = np.ogrid[: SHAPE[0] : step, : SHAPE[1] : step]
        disc = np.hypot(rows - row, cols - col) <= radius
        if disc.any():
            score = draw(st.sampled_from([0.5, 0.8, 0.9]))
            found.append(
                Candidate.of(CroppedMask.of(disc), score, 1.0, (float(row), float(col)), step)
            )
    return found


def objects_of(candidates: list[Candidate], overlap: float) -> list[Candidate]:
    ordered = sorted(candidates, key=lambda c: c.rank)
    whole = (slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    areas = np.array([c.area_px for c in ordered], dtype=np.int64)
    keep = chosen(areas, overlaps(ordered, whole), overlap)
    return [c for c, stays in zip(ordered, keep, strict=True) if stays]


@settings(max_examples=60, deadline=None)
@given(candidate_lists())
def test_counting_shared_pixels_agrees_with_whole_masks(candidates):
    for a in candidates:
        assert a.area_px >= full(a).sum()
        for b in candidates:
            assert shared_px(a, b) == shared_px(b, a)
            if a.step == b.step == 1:
                assert shared_px(a, b) == (full(a) & full(b)).sum()


@settings(max_examples=60, deadline=None)
@given(candidate_lists(), st.integers(1, 40), st.integers(-20, 20))
def test_pairs_found_tile_by_tile_are_all_pairs_each_once(candidates, tile_px, shift):
    whole = (slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    expected = {tuple(pair) for pair in overlaps(candidates, whole).tolist()}
    found = []
    for tile in TileGrid.over(SHAPE, tile_px=tile_px, halo_px=0, origin_rc=(shift, -shift)):
        found += [tuple(pair) for pair in overlaps(candidates, tile.write).tolist()]
    assert len(found) == len(set(found))
    assert set(found) == expected


@settings(max_examples=60, deadline=None)
@given(candidate_lists(), st.randoms(), st.sampled_from([0.2, 0.5, 0.8]))
def test_the_order_of_candidates_makes_no_difference(candidates, random, overlap):
    shuffled = random.sample(candidates, len(candidates))
    assert objects_of(shuffled, overlap) == objects_of(candidates, overlap)
    first, second = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.int32)
    whole = (slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    numbered = list(enumerate(objects_of(candidates, overlap), start=1))
    paint(first, whole, numbered)
    paint(second, whole, random.sample(numbered, len(numbered)))
    assert (first == second).all()


@settings(max_examples=60, deadline=None)
@given(candidate_lists(), st.sampled_from([0.2, 0.5, 0.8]))
def test_what_is_chosen_overlaps_little_and_what_is_left_out_is_covered(candidates, overlap):
    candidates = [c for c in candidates if c.step == 1]
    objects = objects_of(candidates, overlap)
    labels = np.zeros(SHAPE, np.int32)
    paint(labels, (slice(0, SHAPE[0]), slice(0, SHAPE[1])), enumerate(objects, start=1))
    for label, candidate in enumerate(objects, start=1):
        assert (labels == label).sum() >= (1 - overlap) * candidate.area_px
    for candidate in candidates:
        better = [c for c in objects if c.rank < candidate.rank]
        shared = [shared_px(c, candidate) for c in better]
        is_repeated = any(
            n > overlap * min(c.area_px, candidate.area_px)
            for n, c in zip(shared, better, strict=True)
        )
        is_covered = is_repeated or sum(shared) > overlap * candidate.area_px
        assert is_covered != (candidate in objects)


def test_no_more_is_shared_than_there_is():
    """Seen at other resolutions, one sample stands for pixels that the other may not have."""
    corner = Candidate.of(CroppedMask.of(np.array([[1, 1], [1, 0]]) > 0), 0.5, 1.0, (0, 0))
    pixel = Candidate.of(CroppedMask.of(np.ones((1, 1)) > 0), 0.5, 1.0, (0, 0))
    coarse = Candidate.of(CroppedMask.of(np.ones((1, 1)) > 0), 0.5, 1.0, (0, 0), 2)
    assert (shared_px(corner, coarse), shared_px(coarse, corner), shared_px(pixel, coarse)) == (
        3,
        3,
        1,
    )
    assert len(distinct([corner, coarse, pixel], 0.8)) == 3


@settings(max_examples=60, deadline=None)
@given(candidate_lists())
def test_distinct_leaves_out_repetitions_only(candidates):
    kept = distinct(candidates, 0.8)
    assert [c.rank for c in kept] == sorted(c.rank for c in kept)
    for candidate in candidates:
        ious = [
            shared_px(k, candidate) / (k.area_px + candidate.area_px - shared_px(k, candidate))
            for k in kept
        ]
        assert max(ious) >= 0.8
        if candidate in kept:
            assert sorted(ious)[:-1] == [iou for iou in sorted(ious) if iou < 0.8]


def test_painting_a_part_gives_that_part_of_the_whole():
    rng = np.random.default_rng(0)
    candidates = [
        Candidate.of(CroppedMask.of(rng.random((9, 9)) > 0.3, (r, c)), 0.9, 1.0, (r, c))
        for r, c in rng.integers(0, 30, (10, 2)).tolist()
    ]
    whole = np.zeros(SHAPE, np.int32)
    paint(whole, (slice(0, SHAPE[0]), slice(0, SHAPE[1])), enumerate(candidates, start=1))
    part = np.zeros((10, 20), np.int32)
    paint(part, (slice(12, 22), slice(7, 27)), enumerate(candidates, start=1))
    assert (part == whole[12:22, 7:27]).all()
