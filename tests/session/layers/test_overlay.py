"""Pictures on a sheet lie where they belong, and putting them there disturbs no other layer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.session.layers.overlay import Patch, Sheet

PLACE = {"scale": (2, 0.5, 0.25), "translate": (7, 3, -100), "affine": np.eye(4)}
PLACE["affine"][1:3, 1:4] = [[0.8, -0.6, 5], [0.6, 0.8, 6]]


def seen(sheet: Sheet, image: Image, plane: Plane) -> np.ndarray:
    """Where the sheet's pixels lie in the plane of the image, by napari's own transforms."""
    picture = np.zeros([image.data.shape[axis] for axis in plane.axes], dtype=np.uint8)
    for index in np.argwhere(sheet.layer.data):
        there = image.world_to_data(sheet.layer.data_to_world(index))
        np.testing.assert_allclose(there, np.rint(there), atol=1e-6)
        at = np.rint(there).astype(int)
        assert tuple(at[list(plane.other_axes)]) == plane.position
        picture[tuple(at[list(plane.axes)])] = sheet.layer.data[tuple(index)]
    return picture


@st.composite
def pictures(draw):
    axes, position = draw(st.sampled_from([((1, 2), 4), ((0, 2), 12), ((0, 1), 12)]))
    plane = Plane(axes, (draw(st.integers(0, position - 1)),))
    height, width = ((5, 13, 17)[axis] for axis in axes)
    patches = {}
    for key in draw(st.lists(st.integers(1, 4), max_size=3, unique=True)):
        row, col = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        size = draw(st.integers(1, height - row)), draw(st.integers(1, width - col))
        values = np.full(size, key, dtype=np.uint8)
        values[0, 0] = 0
        patches[key] = Patch((row, col), values)
    return plane, patches


@pytest.mark.parametrize("whole", [2**22, 20], ids=["whole-planes", "parts-of-planes"])
@given(st.lists(pictures(), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_pictures_lie_where_they_belong(whole, shown):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_samhq.session.layers.overlay._MOST_WHOLE_PIXELS", whole)
        patch.setattr("napari_samhq.session.layers.overlay._LEAST_SIDE_PX", 4)
        image = Image(np.zeros((5, 13, 17)), **PLACE)
        sheet = Sheet(image, "sheet")
        for plane, patches in shown:
            sheet.show(plane, patches)
            expected = np.zeros([(5, 13, 17)[axis] for axis in plane.axes], dtype=np.uint8)
            for one in patches.values():
                part = tuple(map(slice, one.start_rc, one.stop_rc))
                expected[part] = np.where(one.values, one.values, expected[part])
            np.testing.assert_array_equal(seen(sheet, image, plane), expected)


def test_changing_a_picture_moves_nothing():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((5, 130, 170)))
    sheet = Sheet(image, "sheet")
    viewer.add_layer(sheet.layer)
    plane = Plane((1, 2), (0,))
    values = np.ones((3, 4), dtype=np.uint8)
    sheet.show(plane, {1: Patch((5, 6), values)})
    told: list[str] = []
    for emitter in (sheet.layer.events, viewer.dims.events):
        emitter.connect(lambda event: told.append(event.type))
    sheet.show(plane, {1: Patch((50, 100), values), 2: Patch((120, 160), values)})
    sheet.show(plane, {})
    assert set(told) <= {"set_data", "reload", "loading", "loaded"}
    sheet.show(plane, {})
    sheet.show(plane, {1: (patch := Patch((5, 6), values))})
    told.clear()
    sheet.show(plane, {1: patch})
    assert told == []


def test_what_is_drawn_is_what_was_put():
    viewer = ViewerModel()
    sheet = Sheet(viewer.add_image(np.zeros((40, 60))), "sheet")
    viewer.add_layer(sheet.layer)
    for start in [(3, 4), (30, 50)]:
        sheet.show(Plane((0, 1)), {1: Patch(start, np.ones((2, 2), dtype=np.uint8))})
        drawn = sheet.layer._slice.image.raw  # what napari hands to the canvas
        assert np.argwhere(drawn).min(axis=0).tolist() == list(start)
        assert np.count_nonzero(drawn) == 4


def test_a_small_picture_on_a_huge_plane_takes_little_memory():
    image = Image(np.broadcast_to(np.uint8(0), (100_000, 100_000)), contrast_limits=(0, 1))
    sheet = Sheet(image, "sheet")
    sheet.show(Plane((0, 1)), {1: Patch((99_990, 5), np.ones((10, 10), dtype=np.uint8))})
    assert sheet.layer.data.nbytes == 1024**2
    last = image.world_to_data(sheet.layer.data_to_world((1023, 0)))
    assert tuple(last) == (99_999, 0)


def test_the_sheet_follows_an_image_that_is_moved_or_gets_other_data():
    image = Image(np.zeros((40, 60)))
    sheet = Sheet(image, "sheet")
    patches = {1: Patch((38, 58), np.ones((2, 2), dtype=np.uint8))}
    sheet.show(Plane((0, 1)), patches)
    image.translate = sheet.layer.translate = (100, 200)
    sheet.show(Plane((0, 1)), patches)
    assert seen(sheet, image, Plane((0, 1)))[39, 59] == 1
    image.data = np.zeros((10, 10))
    sheet.show(Plane((0, 1)), {1: Patch((8, 8), np.ones((2, 2), dtype=np.uint8))})
    assert seen(sheet, image, Plane((0, 1)))[9, 9] == 1
    assert sheet.layer.data.shape == (10, 10)
