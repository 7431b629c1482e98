"""Whatever kind of array holds an image, the same pixels come out, and only those asked for."""

from __future__ import annotations

import warnings

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.images.rgb8 import to_rgb8
from napari_samhq.errors import FileError, ImageError, SamHQWarning
from napari_samhq.inference.source import ImageSource, digest
from support.large import Counting

EVERYTHING = slice(None), slice(None)


def kinds(image):
    """The same image as arrays of every kind."""
    store = zarr.create_array(
        store=zarr.storage.MemoryStore(),
        data=image,
        chunks=(16, 16, *image.shape[2:]),
    )
    return {
        "numpy": image,
        "list": image.tolist(),
        "dask": da.from_array(image, chunks=(17, 19, *image.shape[2:])),
        "zarr": store,
        "levels": [image, image[::2, ::2]],
    }


@pytest.mark.parametrize("kind", ["numpy", "list", "dask", "zarr", "levels"])
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_every_kind_of_array_gives_the_same_pixels(kind, channels) -> None:
    shape = (40, 50) if channels is None else (40, 50, channels)
    image = np.random.default_rng(0).integers(0, 4000, shape)
    source = ImageSource.of(kinds(image)[kind])
    region = slice(3, 21), slice(10, 50)
    expected = image[region][..., 0] if channels == 1 else image[region]
    np.testing.assert_array_equal(source.read(region), expected)
    assert source.shape == (40, 50)
    assert source.dtype == image.dtype


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, ">u2", bool])
@pytest.mark.parametrize("channels", [None, 3])
def test_an_image_in_memory_looks_as_it_does_to_the_predictor(dtype, channels) -> None:
    shape = (40, 50) if channels is None else (40, 50, channels)
    image = np.random.default_rng(1).integers(0, 200, shape).astype(dtype)
    np.testing.assert_array_equal(ImageSource.of(image).read_rgb8(EVERYTHING), to_rgb8(image))


@given(st.data())
def test_windows_agree_with_each_other(data) -> None:
    image = np.random.default_rng(2).normal(100, 30, (60, 70))
    source = ImageSource.of([image, image[::2, ::2]])
    whole = source.read_rgb8(EVERYTHING)
    top, left = data.draw(st.integers(0, 59)), data.draw(st.integers(0, 69))
    bottom, right = data.draw(st.integers(top + 1, 60)), data.draw(st.integers(left + 1, 70))
    region = slice(top, bottom), slice(left, right)
    np.testing.assert_array_equal(source.read_rgb8(region), whole[region])


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.zeros((64, 64), np.uint16), id="FM-03-constant"),
        pytest.param(np.pad(np.full((8, 8), 900, np.uint16), (0, 56)), id="FM-03-empty-tile"),
        pytest.param(np.pad(np.full((8, 8), 0.5), (0, 56)), id="FM-03-empty-tile-float"),
    ],
)
def test_empty_tiles_stay_empty(image) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamHQWarning)  # one of these images has no contrast at all
        source = ImageSource.of(image)
        assert source.contrast_limits is not None
    assert not source.read_rgb8((slice(32, 64), slice(32, 64))).any()  # and not a word about it


def test_an_image_without_contrast_is_told_once() -> None:
    source = ImageSource.of(np.full((9, 9), 7))
    with pytest.warns(SamHQWarning, match="no contrast"):
        assert source.contrast_limits == (7, 8)
    assert not source.read_rgb8(EVERYTHING).any()


def test_values_that_are_not_finite_are_black_in_every_window() -> None:
    image = np.linspace(0, 1, 64 * 64).reshape(64, 64)
    image[:32] = np.nan
    image[40, 40] = np.inf
    source = ImageSource.of(image)
    with pytest.warns(SamHQWarning, match="NaN or infinite"):
        assert source.contrast_limits is not None
    assert np.isfinite(source.contrast_limits).all()
    assert not source.read_rgb8((slice(0, 32), slice(None))).any()
    assert not source.read_rgb8((slice(40, 41), slice(40, 41))).any()


def test_an_image_of_nothing_finite_is_refused() -> None:
    with pytest.raises(ImageError, match="NaN or infinite"):
        ImageSource.of(np.full((4, 4), np.nan)).read_rgb8(EVERYTHING)


def test_given_limits_apply_at_every_level() -> None:
    image = np.full((8, 8), 10, np.uint16)
    source = ImageSource.of([image, image[::2, ::2]], contrast_limits=(0, 20))
    assert (source.read_rgb8(EVERYTHING, 0) == 128).all()
    assert (source.read_rgb8(EVERYTHING, 1) == 128).all()
    with pytest.raises(ImageError, match="lower one first"):
        ImageSource.of(image, contrast_limits=(3, 3))


def test_black_and_white_of_a_pyramid_come_from_a_coarse_level() -> None:
    full = Counting((50_000, 50_000))
    coarse = Counting((500, 500))
    source = ImageSource.of([full, coarse])
    assert source.contrast_limits is not None
    assert (full.read, coarse.read) == (0, 250_000)


def test_black_and_white_without_a_pyramid_come_from_a_bounded_sample() -> None:
    full = Counting((200_000, 300_000), np.uint16, lambda rows, cols: rows % 1000 + cols * 0)
    source = ImageSource.of(full)
    low, high = source.contrast_limits
    assert full.read <= 2**22
    assert low < 50 < 950 < high
    before = full.read
    assert source.read_rgb8((slice(0, 10), slice(0, 20))).shape == (10, 20, 3)
    assert full.read == before + 200


def test_a_sample_of_nothing_but_background_is_told() -> None:
    source = ImageSource.of(Counting((20_000, 20_000), value=lambda rows, cols: 0 * (rows + cols)))
    with pytest.warns(SamHQWarning, match="contrast_limits"):
        assert source.contrast_limits == (0, 255)


def test_levels_know_their_factors_and_what_they_cover() -> None:
    full = np.zeros((1001, 700))
    source = ImageSource.of([full, full[:501, :350], full[:125, :88]])
    assert [level.factors for level in source.levels] == [(1, 1), (2, 2), (8, 8)]
    assert [source.level_for(scale) for scale in (0.5, 1, 2, 7.9, 8, 100)] == [0, 0, 1, 1, 2, 2]
    rows, cols = source.region_in((slice(10, 21), slice(690, 700)), 2)
    assert (rows, cols) == (slice(1, 3), slice(86, 88))


@pytest.mark.parametrize("scale", [1.0, 2.0, 3.7, 8.0, 30.0])
@pytest.mark.parametrize("has_pyramid", [True, False])
def test_a_region_can_be_read_smaller(scale, has_pyramid, monkeypatch) -> None:
    monkeypatch.setattr("napari_samhq.inference.source._STRIP_PIXELS", 5000)
    rows, cols = np.mgrid[:256, :320]
    full = (rows // 2 + cols // 4).astype(np.uint8)
    levels = [full, full[1::4, 1::4]] if has_pyramid else [full]
    source = ImageSource.of(levels, contrast_limits=(0, 255))
    region = slice(32, 224), slice(64, 320)
    picture = source.read_rgb8_at(region, scale)[..., 0].astype(float)
    assert max(192 / picture.shape[0], 256 / picture.shape[1]) <= scale * 1.02
    if not has_pyramid:
        assert picture.shape[0] <= np.ceil(192 / scale) * 2
    # Whatever the size, the same places show the same values.
    fine = source.read_rgb8(region)[..., 0].astype(float)
    for fraction in (0.1, 0.5, 0.9):
        at = [int(fraction * n) for n in picture.shape]
        there = [
            int((i + 0.5) * n / m) for i, n, m in zip(at, fine.shape, picture.shape, strict=False)
        ]
        assert abs(picture[tuple(at)] - fine[tuple(there)]) <= scale + 4


def test_planes_of_stacks_are_cut_at_every_level() -> None:
    stack = np.arange(6 * 32 * 40).reshape(6, 32, 40)
    source = ImageSource.of([stack, stack[::2, ::2, ::2]], plane=Plane((1, 2), (5,)))
    np.testing.assert_array_equal(source.read(EVERYTHING), stack[5])
    np.testing.assert_array_equal(source.read(EVERYTHING, 1), stack[4, ::2, ::2])
    sideways = ImageSource.of(stack, plane=Plane((0, 2), (7,)))
    np.testing.assert_array_equal(sideways.read(EVERYTHING), stack[:, 7])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(np.zeros((4, 4), complex), "np.abs", id="FM-07-complex"),
        pytest.param(np.zeros((2, 5, 4, 4)), "Pick a plane", id="FM-08-stack"),
        pytest.param(np.zeros((6, 6, 2)), "Pick one channel", id="FM-08-two-channels"),
        pytest.param(np.zeros((0, 4)), "no pixel", id="FM-05-empty"),
        pytest.param([np.zeros((4, 4)), np.zeros((8, 8))], "full resolution first", id="order"),
        pytest.param([np.zeros((4, 4)), np.zeros((2, 2, 3))], "as many axes", id="axes"),
        pytest.param([np.zeros((4, 4)), np.zeros((2, 2), int)], "one type", id="types"),
        pytest.param([np.zeros((4, 4, 3)), np.zeros((2, 2, 1))], "channels", id="channels"),
        pytest.param(7, "array", id="number"),
    ],
)
def test_what_is_no_image_is_refused_at_once(data, words) -> None:
    with pytest.raises(ImageError, match=words):
        ImageSource.of(data)


def test_a_plane_that_is_not_there_is_refused() -> None:
    with pytest.raises(ImageError, match="no plane"):
        ImageSource.of(np.zeros((3, 4, 4)), plane=Plane((1, 2), (3,)))


@pytest.mark.parametrize("region", [(slice(0, 0), slice(0, 4)), (slice(0, 9), slice(0, 4))])
def test_a_region_outside_is_refused(region) -> None:
    with pytest.raises(ImageError, match="no part of an image of 8 x 4"):
        ImageSource.of(np.zeros((8, 4))).read(region)


def test_alpha_is_dropped_with_a_word() -> None:
    with pytest.warns(SamHQWarning, match="alpha"):
        source = ImageSource.of(np.full((4, 4, 4), 9, np.uint8))
    assert source.read_rgb8(EVERYTHING).shape == (4, 4, 3)


@pytest.mark.parametrize("kind", [pytest.param(k, id=f"FM-23-{k}") for k in ("numpy", "zarr")])
def test_an_edit_in_place_changes_the_key_of_what_it_touched(kind) -> None:
    data = kinds(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64))[kind]
    source = ImageSource.of(data)
    edited, other = (slice(0, 20), slice(0, 20)), (slice(20, 64), slice(0, 64))
    before = source.content_key(edited), source.content_key(other)
    assert before == (source.content_key(edited), source.content_key(other))
    data[5, 5] = 60_000
    assert source.content_key(edited) != before[0]
    assert source.content_key(other) == before[1]


def test_a_digest_knows_type_and_shape() -> None:
    arrays = [np.zeros(6, np.uint8), np.zeros((2, 3), np.uint8), np.zeros(6, np.int8)]
    assert len({digest(array) for array in arrays}) == 3


def test_a_damaged_chunk_is_told_with_its_place(tmp_path) -> None:
    array = zarr.create_array(tmp_path / "a.zarr", data=np.ones((64, 64)), chunks=(32, 32))
    source = ImageSource.of(array, contrast_limits=(0, 1))
    chunk = tmp_path / "a.zarr" / "c" / "1" / "1"
    chunk.write_bytes(chunk.read_bytes()[:7])
    assert (source.read((slice(0, 32), slice(0, 64))) == 1).all()
    with pytest.raises(FileError, match="rows 32 to 64"):
        source.read((slice(32, 64), slice(32, 64)))
