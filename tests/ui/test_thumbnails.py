from __future__ import annotations

import numpy as np
import pytest

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.engine.plane_view import PlaneView
from napari_samhq.session import Candidate
from napari_samhq.ui.thumbnails import names_by_size, thumbnails


def _candidates(*boxes, shape=(50, 80), region=None):
    masks = []
    for box in boxes:
        mask = np.zeros(shape, dtype=bool)
        if box:
            mask[box[0] : box[2], box[1] : box[3]] = True
        masks.append(mask)
    region = region or (slice(0, shape[0]), slice(0, shape[1]))
    start_rc = (region[0].start, region[1].start)
    return [
        Candidate(CroppedMask.of(mask, start_rc), region, 0.5, i == 0)
        for i, mask in enumerate(masks)
    ]


def _view(data, limits=(0.0, 100.0)):
    return PlaneView(data, Plane((0, 1)), limits, 0)


def test_masks_are_shown_where_they_are():
    data = np.zeros((50, 80), dtype=np.uint8)
    data[20:30, 30:40] = 100
    picture, small = thumbnails(
        _view(data), _candidates((20, 30, 30, 40), (24, 34, 26, 36)), (1, 0, 0), (40, 40)
    )
    red = (picture[..., 0] > picture[..., 1]).sum() / 1600
    assert 0.3 < red < 0.6  # ten of fifteen pixels in both directions
    assert (small[..., 0] > small[..., 1]).sum() < red * 1600
    assert small[20, 8, 1] == 255 or small[20, 20, 0] > 0


@pytest.mark.parametrize("box", [(0, 0, 3, 3), (47, 77, 50, 80), (0, 0, 50, 80), None])
def test_masks_at_the_edge_and_empty_ones_have_a_picture_too(box):
    data = np.full((50, 80, 3), 200, dtype=np.uint8)
    (picture,) = thumbnails(_view(data, None), _candidates(box), (0, 1, 0), (40, 60))
    assert picture.shape == (40, 60, 3)
    assert picture.max() >= 200


def test_masks_of_a_window_are_shown_on_their_part_of_the_image():
    data = np.zeros((500, 800), dtype=np.uint8)
    data[420:430, 730:740] = 100
    region = (slice(400, 450), slice(700, 780))
    (picture,) = thumbnails(
        _view(data), _candidates((20, 30, 30, 40), region=region), (1, 0, 0), (40, 40)
    )
    assert (picture[20, 20] > 100).all()  # bright under the tint
    assert picture[2, 2].max() == 0


@pytest.mark.parametrize("dtype", [np.float32, np.uint16, np.int16, ">f4"])
def test_pixels_are_shown_as_napari_shows_them(dtype):
    data = np.full((50, 80), 50, dtype=dtype)
    (picture,) = thumbnails(_view(data), _candidates((20, 30, 22, 32)), (1, 0, 0), (40, 40))
    assert picture[0, 0].tolist() == [128, 128, 128]


def test_names_follow_the_sizes():
    assert names_by_size(_candidates((0, 0, 9, 9), (0, 0, 2, 2), (0, 0, 30, 30))) == [
        "whole",
        "part",
        "group",
    ]
    assert names_by_size(_candidates((0, 0, 9, 9))) == ["mask"]
