"""Label ids from anywhere: every type that can hold them, and a word where a mask was given."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_samhq.core.display.overlay import objects_table
from napari_samhq.core.labels.label_ids import checked_ids, in_pieces, look_like_labels, pieces_of
from napari_samhq.errors import ImageError, SamHQWarning

TYPES = [np.uint8, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64]
TILES = np.kron([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 4, 0]], np.ones((20, 20), int))
MASK = np.where(TILES % 4, 255, 0).astype(np.uint8)


@pytest.mark.parametrize("dtype", TYPES, ids=lambda d: f"FM-87-{np.dtype(d)}")
def test_every_type_that_holds_ids_is_read(dtype) -> None:
    highest = 2**23 if np.dtype(dtype).kind == "f" else int(np.iinfo(dtype).max)
    highest = min(highest, 2**63 - 1)
    labels = np.where(TILES == 4, highest, TILES).astype(dtype)
    found = checked_ids(labels, "a.tif")
    assert found.dtype == (np.int32 if highest < 2**31 else np.int64)
    assert np.unique(found).tolist() == [0, 1, 2, 3, highest]
    table = objects_table(found)  # in time and memory of the objects, whatever their ids
    assert table["label"].tolist() == [1, 2, 3, highest]
    assert table["area_px"].tolist() == [400] * 4


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        pytest.param(TILES - 1, "negative values, down to -1", id="FM-87-negative"),
        pytest.param(TILES * 0.5, "not whole", id="FM-87-fractions"),
        pytest.param(np.where(TILES == 1, np.nan, TILES), "not whole", id="FM-87-nan"),
        pytest.param(TILES.astype(np.uint64) * 2**62, "2\\^63", id="FM-87-64-bits"),
        pytest.param(TILES > 0, "--connected", id="FM-86-true-and-false"),
        pytest.param(TILES.astype(complex), "complex128", id="FM-87-complex"),
    ],
)
def test_what_is_no_label_image_is_refused_in_words(labels, message: str) -> None:
    with pytest.raises(ImageError, match=rf"a\.tif .*{message}"):
        checked_ids(labels, "a.tif")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        pytest.param(MASK, r"only object \(255\) is in 3 pieces", id="FM-86-0-255"),
        pytest.param(MASK // 255, r"only object \(1\) is in 3 pieces", id="FM-86-0-1"),
        pytest.param((TILES + 1) // 2, "2 of 2 objects are in several", id="FM-86-classes"),
    ],
)
def test_masks_are_told_with_what_to_do(labels, message: str) -> None:
    with pytest.warns(SamHQWarning, match=rf"mask\.png: .*({message}).*--connected"):
        checked_ids(labels, "mask.png")
    found = checked_ids(labels, "mask.png", connected=True)
    assert found.max() == ndimage.label(labels > 0)[1]


def test_single_specks_and_whole_objects_are_no_masks() -> None:
    labels = TILES.copy()
    labels[0, 0] = 1  # a stray pixel of another object
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (checked_ids(labels, "a.tif") == labels).all()
        checked_ids(np.zeros((4, 4), int), "a.tif")
        checked_ids(TILES == 1, "a.tif", connected=True)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_each_piece_is_an_object_and_lies_in_one(seed: int, kinds: int) -> None:
    labels = np.random.default_rng(seed).integers(0, kinds + 1, (9, 11))
    found = pieces_of(labels)
    assert ((found > 0) == (labels > 0)).all()
    whole = [ndimage.label(labels == k, np.ones((3, 3)))[1] for k in range(1, kinds + 1)]
    assert found.max() == sum(whole)
    for number in range(1, found.max() + 1):
        assert len(np.unique(labels[found == number])) == 1
    assert all(count <= whole[k - 1] for k, count in in_pieces(labels).items())


def test_pictures_do_not_look_like_labels() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (60, 60)).astype(np.uint8)
    smooth = ndimage.gaussian_filter(picture.astype(float), 6).astype(np.uint8)
    for image in (picture, smooth, picture[..., None], smooth.astype(float)):
        assert not look_like_labels(image)
    assert look_like_labels(TILES)
    assert look_like_labels(MASK)
