"""Picked channels look like colour pictures, and only they are read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.images.channels import PickedChannels, checked_picks
from napari_samhq.errors import ImageError


@st.composite
def cuts(draw):
    """An array of 3 to 5 axes, its channel axis, picks, and a plane along two other axes."""
    shape = draw(st.lists(st.integers(1, 5), min_size=3, max_size=5))
    axis = draw(st.integers(0, len(shape) - 1))
    picks = draw(st.lists(st.integers(0, shape[axis] - 1), min_size=1, max_size=3))
    others = [i for i in range(len(shape)) if i != axis]
    axes = tuple(sorted(draw(st.permutations(others))[:2]))
    place = tuple(draw(st.integers(0, n - 1)) for i, n in enumerate(shape) if i not in axes)
    return np.arange(np.prod(shape), dtype=np.int32).reshape(shape), axis, picks, axes, place


@given(cuts())
def test_a_plane_of_picked_channels_is_what_numpy_gives(cut):
    array, axis, picks, axes, place = cut
    plane = Plane(axes, place)
    seen = PickedChannels(array, axis, picks, nothing=-1)
    if axis == array.ndim - 1:  # colours: the plane is that of an array without their axis
        others = [i for i in plane.other_axes if i != axis]
        plane = Plane(axes, tuple(place[plane.other_axes.index(i)] for i in others))
    else:
        assert seen.shape[:-1] == array.shape
    got = seen[plane.index()]
    planes = np.moveaxis(array, (axis, *axes), (0, -2, -1))
    rest = [i for i in range(array.ndim) if i not in (axis, *axes)]
    at = tuple(place[Plane(axes, place).other_axes.index(i)] for i in rest)
    grey = {1: [0, 0, 0], 2: [0, 1, None], 3: [0, 1, 2]}[len(picks)]
    for colour, which in enumerate(grey):
        expected = -1 if which is None else planes[(picks[which], *at)]
        np.testing.assert_array_equal(got[..., colour], np.broadcast_to(expected, got.shape[:2]))


def test_only_what_is_cut_is_read_and_each_channel_once():
    class Counted:
        shape, dtype = (4, 100, 100), np.dtype(np.uint8)
        cuts: list = []  # noqa: RUF012

        def __getitem__(self, index):
            self.cuts.append(index)
            return np.zeros((2, 3), dtype=np.uint8)

    array = Counted()
    assert PickedChannels(array, 0, (2,))[0, 10:12, 20:23, 0:3].shape == (2, 3, 3)
    assert array.cuts == [(2, slice(10, 12), slice(20, 23))]


@pytest.mark.parametrize("picks", [(), (0, 1, 2, 3), (4,), (-1,)])
def test_picks_that_are_not_there_are_told(picks):
    with pytest.raises(ImageError, match="one, two or three of the 4"):
        checked_picks(picks, 4)


def test_an_axis_that_is_not_there_is_told():
    with pytest.raises(ImageError, match="no axis 3"):
        PickedChannels(np.zeros((2, 3, 4)), 3, (0,))
