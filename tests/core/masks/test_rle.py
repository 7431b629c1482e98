"""Run-length encoding, held against the COCO API on what is valid."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.masks.rle import (
    compress_runs,
    crop_from_runs,
    expand_runs,
    runs_of_crop,
)
from napari_samhq.errors import FileError

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40))


def runs_of(mask):
    """Count runs in the plainest way: pixel by pixel."""
    first, *others = (len(list(run)) for _, run in groupby([False, *mask.ravel("F")]))
    return [first - 1, *others]  # without the pixel that makes the first run background


@given(masks)
def test_a_mask_survives_the_way_there_and_back(mask):
    runs = expand_runs(compress_runs(runs_of(mask)))
    np.testing.assert_array_equal(crop_from_runs(runs, mask.shape).within(mask.shape), mask)


@given(masks)
def test_the_string_is_that_of_the_coco_api(mask):
    coco = pytest.importorskip("pycocotools.mask")
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert compress_runs(runs_of(mask)) == theirs["counts"].decode()


@given(masks, st.tuples(*[st.integers(-3, 5)] * 2), st.tuples(*[st.integers(1, 45)] * 2))
def test_small_masks_in_large_images_have_the_same_runs(mask, start, shape):
    cropped = CroppedMask.of(mask, start)
    whole = cropped.within(shape)
    runs = runs_of_crop(cropped, shape)
    assert runs == runs_of(whole)
    assert crop_from_runs(runs, shape) == CroppedMask.of(whole)


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 8))
def test_runs_of_no_length_are_understood(runs, height):
    total = sum(runs)
    runs = [*runs, -total % height or height]
    shape = (height, sum(runs) // height)
    painted = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(shape[::-1]).T
    assert crop_from_runs(runs, shape) == CroppedMask.of(painted)


@given(st.text(max_size=30))
def test_any_string_is_read_or_refused(text):
    """Never anything but runs of non-negative length, or one error of ours."""
    try:
        runs = expand_runs(text)
    except FileError:
        return
    assert all(run >= 0 for run in runs)


@pytest.mark.parametrize(
    ("runs", "shape"),
    [
        ([0] * 5, (4, 4)),
        ([4], (4, 4)),
        ([], (100_000, 100_000)),
        ([20, -4], (4, 4)),
        ([17], (4, 4)),
    ],
    ids=["FM-39-zeros", "FM-39-short", "FM-39-empty", "FM-39-negative", "FM-39-long"],
)
def test_runs_that_do_not_fill_the_mask_are_refused(runs, shape):
    with pytest.raises(FileError, match="pixels"):
        crop_from_runs(runs, shape)
