"""What a notebook shows: escaped text, small pictures, outlines where the masks are."""

from __future__ import annotations

import numpy as np
import pytest

from napari_samhq.core.display.html import card, figure, outlined, outlined_part, thumbnail
from support.notebook_cards import Card

ORANGE = (230, 159, 0)
HOSTILE = '<script>alert("x")</script>&amp;\'"'


def is_orange(picture):
    return (picture == ORANGE).all(axis=-1)


def test_names_that_are_html_are_shown_as_they_are() -> None:
    shown = Card(card(HOSTILE, {HOSTILE: HOSTILE}))
    assert "script" not in shown.tags
    assert shown.text.count(HOSTILE) == 3
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    assert Card(figure(picture, HOSTILE)).tags == {"figure", "img", "figcaption"}


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (96, 96), (700, 30), (2000, 3000)])
def test_pictures_have_a_size_that_a_page_has_room_for(shape) -> None:
    (picture,) = Card(figure(np.full((*shape, 3), 77, dtype=np.uint8))).pictures
    assert 96 <= max(picture.shape[:2]) <= 320
    assert (picture == 77).all()
    ratio = picture.shape[0] / picture.shape[1]
    assert ratio == pytest.approx(shape[0] / shape[1], rel=0.1)


@pytest.mark.parametrize("shape", [(5, 5), (512, 512), (513, 100), (100, 4000)])
def test_a_thumbnail_is_small_and_no_view(shape) -> None:
    image = np.zeros((*shape, 3), dtype=np.uint8)
    small = thumbnail(image)
    assert max(small.shape[:2]) == min(max(shape), 512)
    assert not np.shares_memory(small, image)


def test_the_outline_is_the_border_of_the_mask() -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[2:7, 3:8] = True
    inner = np.zeros_like(mask)
    inner[3:6, 4:7] = True
    image = np.full((9, 9, 3), 200, dtype=np.uint8)
    drawn = outlined(mask, image)
    np.testing.assert_array_equal(is_orange(drawn), mask & ~inner)
    assert (drawn[inner] == 200).all()
    assert (image == 200).all()
    assert (drawn[0] == 200).all()


def test_an_object_is_shown_with_its_surroundings_where_it_is() -> None:
    image = np.zeros((200, 300, 3), dtype=np.uint8)
    image[:, :, 1] = np.arange(200)[:, np.newaxis]
    mask = np.ones((10, 20), dtype=bool)
    region = slice(100, 110), slice(150, 170)
    drawn = outlined_part(mask, region, image, (slice(0, 200), slice(0, 300)))
    assert drawn.shape == (10 + 2 * 24, 20 + 2 * 24, 3)
    assert drawn[0, 0, 1] == 100 - 24  # the row of the image that it shows
    rows, cols = np.nonzero(is_orange(drawn))
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (24, 33, 24, 43)


def test_a_picture_of_lower_resolution_is_laid_under_the_mask() -> None:
    image = np.zeros((20, 30, 3), dtype=np.uint8)
    image[10:, :, 2] = 255
    mask = np.zeros((200, 300), dtype=bool)
    mask[90:110, 140:160] = True
    drawn = outlined_part(mask, (slice(0, 200), slice(0, 300)), image)
    assert (drawn[: 100 - (90 - 24), 0, 2] == 0).all()
    assert (drawn[100 - (90 - 24) :, 0, 2] == 255).all()


def test_a_mask_at_the_corner_an_empty_one_and_a_huge_one_are_shown() -> None:
    whole = slice(0, 50), slice(0, 60)
    corner = np.zeros((50, 60), dtype=bool)
    corner[:3, :3] = True
    assert outlined_part(corner, whole).shape == (3 + 24, 3 + 24, 3)
    empty = outlined_part(np.zeros((50, 60), dtype=bool), whole)
    assert empty.shape == (50, 60, 3)
    assert not is_orange(empty).any()
    huge = np.ones((3000, 3000), dtype=bool)
    assert max(outlined_part(huge, (slice(0, 3000), slice(0, 3000))).shape) <= 320
