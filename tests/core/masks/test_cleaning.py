"""Cleaning of masks: against scikit-image, and by what must hold for any mask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import euler_number, label, regionprops

from napari_samhq.core.masks.cleaning import clean_mask, largest_piece, without_holes
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.errors import PromptError
from napari_samhq.settings import CommitRules

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14))
points = st.lists(st.tuples(st.floats(-3, 16), st.floats(-3, 16)), max_size=4)


@given(masks, points)
@settings(deadline=None)
def test_the_piece_that_is_kept_is_one_and_the_largest(mask, points_rc):
    kept = largest_piece(mask, points_rc)
    assert not (kept & ~mask).any()
    pieces = label(mask, connectivity=2)
    if not mask.any():
        assert not kept.any()
        return
    assert len(np.unique(pieces[kept])) == 1
    rounded = [tuple(np.rint(point).astype(int)) for point in points_rc]
    on = {
        int(pieces[p])
        for p in rounded
        if 0 <= p[0] < mask.shape[0] and 0 <= p[1] < mask.shape[1] and mask[p]
    }
    areas = {r.label: r.area for r in regionprops(pieces) if not on or r.label in on}
    assert kept.sum() == max(areas.values())


@given(masks)
@settings(deadline=None)
def test_filling_leaves_no_hole_and_adds_nothing_outside(mask):
    filled = without_holes(mask)
    assert not (mask & ~filled).any()
    # Euler number = pieces - holes, for pixels that touch at corners.
    assert euler_number(filled, connectivity=2) == label(filled, connectivity=2).max()
    background = np.pad(~mask, 1, constant_values=True)
    outside = label(background, connectivity=1)
    assert not filled[(outside == outside[0, 0])[1:-1, 1:-1]].any()


@given(masks, st.booleans(), st.booleans(), st.tuples(st.integers(0, 900), st.integers(0, 900)))
@settings(deadline=None)
def test_cleaning_twice_changes_nothing_more_wherever_the_mask_lies(mask, fill, largest, start):
    rules = CommitRules(fill_holes=fill, keep_largest=largest)
    if not mask.any():
        with pytest.raises(PromptError, match="empty"):
            clean_mask(CroppedMask.of(mask, start), rules)
        return
    cleaned = clean_mask(CroppedMask.of(mask, start), rules)
    assert clean_mask(cleaned, rules) == cleaned
    here = clean_mask(CroppedMask.of(mask), rules)
    assert cleaned == CroppedMask.of(here.within(mask.shape), start)


def test_a_point_says_which_piece_is_meant():
    mask = np.zeros((20, 20), dtype=bool)
    mask[2:10, 2:10] = True
    mask[14:17, 14:17] = True
    cropped = CroppedMask.of(mask, (100, 200))
    rules = CommitRules(keep_largest=True)
    assert clean_mask(cropped, rules).array().sum() == 64
    small = clean_mask(cropped, rules, [(115.2, 215.4)])
    assert (small.top, small.left, small.array().sum()) == (114, 214, 9)
    assert clean_mask(cropped, rules, [(111, 211)]).array().sum() == 64  # on no piece


def test_an_object_that_is_too_small_is_refused_with_both_numbers():
    mask = CroppedMask.of(np.ones((3, 4), dtype=bool))
    assert clean_mask(mask, CommitRules(smallest_area=12)) == mask
    with pytest.raises(PromptError, match="12 pixels, fewer than the smallest area of 13"):
        clean_mask(mask, CommitRules(smallest_area=13))
