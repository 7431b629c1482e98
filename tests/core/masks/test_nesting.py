"""Areas within areas: the innermost ones count, in any order and however deep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.masks.filling import fill_rings
from napari_samhq.core.masks.nesting import parents_among


def square(left: float, top: float, side: float) -> CroppedMask:
    return fill_rings(
        [[[left, top], [left + side, top], [left + side, top + side], [left, top + side]]]
    )


@pytest.mark.parametrize((), [pytest.param(id="FM-75")])
@given(st.integers(1, 5), st.data())
def test_any_nesting_in_any_order_leaves_the_leaves(depth, data):
    nested = [square(10 - k, 10 - k, 80 + 2 * k) for k in range(depth)]
    cells = [square(12 + 20 * k, 30, 12) for k in range(3)]
    beside = [square(200, 10, 30), square(210, 20, 30)]  # overlap, and neither holds the other
    masks = data.draw(st.permutations([*nested, *cells, *beside]))
    parents = parents_among(masks)
    assert [masks[place] for place in parents] == [mask for mask in masks if mask in nested]


@pytest.mark.parametrize((), [pytest.param(id="FM-75")])
def test_what_lies_in_a_hole_is_no_child():
    ring = CroppedMask.of(np.pad(np.zeros((6, 6), bool), 3, constant_values=True))
    assert parents_among([ring, square(4, 4, 4)]) == []
    assert parents_among([ring, square(1, 1, 2)]) == [0]


@pytest.mark.parametrize((), [pytest.param(id="FM-75")])
def test_two_outlines_of_one_thing_are_no_parents():
    """Equal ones, a box and what it was drawn around, and nothing at all."""
    cell = square(5, 5, 9)
    triangle = fill_rings([[[5, 5], [14, 5], [14, 14]]])
    nothing = CroppedMask.of(np.zeros((0, 0)))
    assert parents_among([cell, cell]) == []
    assert parents_among([cell, triangle, nothing]) == []
    assert parents_among([]) == []
