"""Runs: the same sets of pixels as masks, whatever is done with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_samhq.core.labels.run_labels import RunLabels
from napari_samhq.core.masks import runs
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.measure.quality import compare_labels

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=12))
SHAPE = (9, 11)
planes = hnp.arrays(bool, st.just(SHAPE))


@given(masks)
def test_a_mask_and_its_runs_say_the_same(mask):
    found = runs.runs_of_array(mask)
    np.testing.assert_array_equal(runs.painted(found, mask.shape), mask)
    assert (found[:, 2] > found[:, 1]).all()
    cropped = CroppedMask.of(mask, (3, 5))
    assert cropped.area == mask.sum()
    place, size = (cropped.top, cropped.left), (cropped.height, cropped.width)
    assert CroppedMask.of_bits(place, size, cropped.bits) == cropped


@given(planes, planes)
def test_sets_are_joined_cut_and_compared_as_masks_are(first, second):
    one, other = CroppedMask.of(first), CroppedMask.of(second)
    assert CroppedMask.union([one, other]) == CroppedMask.of(first | second)
    assert one.shared_with(other) == (first & second).sum()
    assert one.covers(other) == (not second.any() or bool((first | ~second).all()))
    left = runs.combined(one.runs, other.runs, lambda own, its: own & ~its)
    np.testing.assert_array_equal(runs.painted(left, SHAPE), first & ~second)


@given(planes)
def test_columns_are_the_rows_of_the_transposed_mask(mask):
    columns = runs.transposed(runs.runs_of_array(mask))
    np.testing.assert_array_equal(columns, runs.runs_of_array(mask.T))


@given(planes, st.integers(-4, 9), st.integers(-4, 9), st.integers(1, 4))
def test_a_window_shows_every_so_manieth_pixel(mask, top, left, step):
    shape = (6, 7)
    around = np.pad(mask, 20)
    expected = around[top + 20 : top + 26 : step, left + 20 : left + 27 : step]
    cut = CroppedMask.of(mask).cut(shape, (top, left), step)
    np.testing.assert_array_equal(cut.within(expected.shape), expected)
    assert cut == CroppedMask.of(expected)


@pytest.mark.parametrize((), [pytest.param(id="FM-71")])
@settings(max_examples=20)
@given(st.integers(1, 60_000), st.integers(1, 60_000))
def test_a_large_area_takes_no_more_than_its_border(height, width):
    """Memory follows the outline."""
    mask = CroppedMask.of_runs(np.array([[row, 3, 3 + width] for row in (0, height)]))
    block = CroppedMask.of_runs(
        np.column_stack([np.arange(height), np.full(height, 5), np.full(height, 5 + width)])
    )
    assert block.area == height * width
    assert block.nbytes == 12 * height
    assert mask.nbytes == 24


labels = hnp.arrays(np.int32, st.just(SHAPE), elements=st.integers(0, 4))


@pytest.mark.parametrize((), [pytest.param(id="FM-77")])
@given(labels, labels)
def test_labels_kept_as_runs_are_those_painted(first, second):
    """Compared, measured and taken apart without painting them."""
    one, other = RunLabels.of_array(first), RunLabels.of_array(second)
    np.testing.assert_array_equal(np.asarray(one), first)
    np.testing.assert_array_equal(one[2:7, 3:20], first[2:7, 3:20])
    assert compare_labels(one, other) == compare_labels(first, second)
    found = {number: mask.within(SHAPE) for number, mask in one.objects()}
    assert sorted(found) == [n for n in np.unique(first).tolist() if n]
    for number, mask in found.items():
        np.testing.assert_array_equal(mask, first == number)
    painted = RunLabels.of([*one.objects(), *other.objects()], SHAPE)
    np.testing.assert_array_equal(painted, np.where(second > 0, second, first))
