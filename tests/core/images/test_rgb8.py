"""Images of any real kind become the same 8-bit colours as their float equivalent."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_samhq.core.images import rgb8 as images
from napari_samhq.core.images.rgb8 import rgb8_and_limits, to_rgb8
from napari_samhq.errors import ImageError, SamHQWarning

SHAPE = (40, 50)


# ------------------------------------------------------------------------------------ the rule


def test_8bit_colour_stays_as_it_is(colour_image):
    rgb8, limits = rgb8_and_limits(colour_image)
    assert np.array_equal(rgb8, colour_image)
    assert rgb8 is not colour_image
    assert limits is None


def test_float_colour_between_0_and_1_is_multiplied(colour_image):
    rgb8, limits = rgb8_and_limits(colour_image / 255)
    assert np.array_equal(rgb8, colour_image)
    assert limits == (0.0, 1.0)


def test_grey_is_stretched_to_its_percentiles(grey_image):
    rgb8, limits = rgb8_and_limits(grey_image)
    low, high = np.percentile(grey_image, [0.1, 99.9])
    assert limits == pytest.approx((low, high), abs=1)
    expected = np.clip((grey_image - limits[0]) / (limits[1] - limits[0]), 0, 1) * 255
    assert np.abs(rgb8[..., 0] - expected).max() <= 0.5
    assert (rgb8 == rgb8[..., :1]).all()


def test_one_hot_pixel_does_not_darken_the_rest(grey_image):
    hot = grey_image.astype(np.uint16)
    hot[5, 5] = 60_000
    assert np.abs(to_rgb8(hot).astype(int) - to_rgb8(grey_image)).mean() < 0.5


def test_colour_in_16_bit_keeps_its_hue(colour_image):
    stretched = to_rgb8(colour_image.astype(np.uint16) * 100 + 7)
    order = np.argsort(colour_image.reshape(-1, 3).mean(axis=0))
    assert np.array_equal(np.argsort(stretched.reshape(-1, 3).mean(axis=0)), order)


def test_contrast_limits_become_black_and_white():
    ramp = np.arange(-10, 300, dtype=np.int16).reshape(10, 31)
    rgb8, limits = rgb8_and_limits(ramp, contrast_limits=(0, 255))
    assert np.array_equal(rgb8[..., 0], np.clip(ramp, 0, 255))
    assert limits == (0.0, 255.0)


def test_full_range_limits_change_nothing_in_8bit_colour(colour_image):
    assert np.array_equal(to_rgb8(colour_image, contrast_limits=(0, 255)), colour_image)


@pytest.mark.parametrize("limits", [(1, 1), (2, 1), (0, np.nan), (-np.inf, 1), (1,), "ab"])
def test_senseless_contrast_limits_are_refused(limits):
    with pytest.raises(ImageError, match="contrast_limits"):
        to_rgb8(np.eye(3), contrast_limits=limits)


def test_limits_of_the_whole_give_the_same_mapping_for_a_part(grey_image):
    whole, limits = rgb8_and_limits(grey_image.astype(np.float32) * 3.7 - 20)
    part = (grey_image.astype(np.float32) * 3.7 - 20)[50:90, 30:80]
    assert np.array_equal(to_rgb8(part, contrast_limits=limits), whole[50:90, 30:80])


def test_input_is_not_changed(grey_image):
    image = grey_image.astype(np.float32)
    image[3, 4] = np.nan
    before = image.copy()
    with pytest.warns(SamHQWarning):
        to_rgb8(image)
    assert np.array_equal(image, before, equal_nan=True)


def test_strided_reversed_and_read_only_images(grey_image):
    grey_image = grey_image.copy()
    grey_image.flags.writeable = False
    assert np.array_equal(to_rgb8(grey_image[::-1, ::2]), to_rgb8(grey_image[::-1, ::2].copy()))


def test_lists_are_images_too():
    assert to_rgb8([[0, 1], [2, 3]])[..., 0].tolist() == [[0, 85], [170, 255]]


# ------------------------------------------------------------------------ fault matrix, rows 1-8


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(np.nan, id="FM-01-nan"),
        pytest.param(np.inf, id="FM-01-inf"),
        pytest.param(-np.inf, id="FM-01-minus-inf"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_values_that_are_not_finite_become_black(grey_image, bad, dtype):
    image = grey_image.astype(dtype)
    image[10:12, 20:25] = bad
    with pytest.warns(SamHQWarning, match=r"10 of 50000 values") as caught:
        rgb8 = to_rgb8(image)
    assert len(caught) == 1
    assert (rgb8[10:12, 20:25] == 0).all()
    mask = np.isfinite(image)
    assert np.abs(rgb8[mask].astype(int) - to_rgb8(grey_image)[mask]).max() <= 1


@pytest.mark.parametrize(
    "value",
    [pytest.param(np.nan, id="FM-02-all-nan"), pytest.param(-np.inf, id="FM-02-all-inf")],
)
@pytest.mark.parametrize("limits", [None, (0, 1)])
def test_an_image_without_a_finite_value_is_refused(value, limits):
    with pytest.raises(ImageError, match="NaN or infinite"):
        to_rgb8(np.full(SHAPE, value), contrast_limits=limits)


def test_finite_values_between_the_sampled_ones_count(monkeypatch):
    monkeypatch.setattr(images, "_SAMPLE_PIXELS", 16)
    image = np.full(SHAPE, np.nan)
    image[1, 1], image[3, 3] = 5, 7
    with pytest.warns(SamHQWarning, match="1998 of 2000"):
        rgb8 = to_rgb8(image)
    assert (rgb8[1, 1, 0], rgb8[3, 3, 0]) == (0, 255)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.zeros(SHAPE, np.uint8), id="FM-03-zeros"),
        pytest.param(np.full(SHAPE, 7, np.uint16), id="FM-03-constant"),
        pytest.param(np.full(SHAPE, -3.5), id="FM-03-constant-float"),
        pytest.param(np.full(SHAPE, 2**63 + 1, np.uint64), id="FM-03-constant-uint64"),
        pytest.param(np.full((*SHAPE, 3), 900, np.uint16), id="FM-03-constant-colour"),
        pytest.param(np.ones(SHAPE, bool), id="FM-03-constant-bool"),
        pytest.param(np.full((1, 1), 9, np.uint8), id="FM-03-single-pixel"),
    ],
)
def test_a_constant_image_is_black_with_one_warning(image):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rgb8, limits = rgb8_and_limits(image)
    assert [w.category for w in caught] == [SamHQWarning]
    assert "no contrast" in str(caught[0].message)
    assert not rgb8.any()
    assert not to_rgb8(image, contrast_limits=limits).any()


def test_constant_8bit_colour_stays_but_warns():
    with pytest.warns(SamHQWarning, match="no contrast"):
        assert (to_rgb8(np.full((*SHAPE, 3), 9, np.uint8)) == 9).all()


def test_one_differing_pixel_is_contrast(grey_image):
    image = np.full((100, 100), 50, np.uint8)
    image[5, 5] = 60
    rgb8 = to_rgb8(image)  # less than a thousandth of the pixels: the percentiles are equal
    assert (rgb8[5, 5, 0], rgb8[0, 0, 0]) == (255, 0)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((1, 2), id="FM-04-1x2"),
        pytest.param((1, 300), id="FM-04-row"),
        pytest.param((300, 1), id="FM-04-column"),
        pytest.param((2, 2), id="FM-04-2x2"),
        pytest.param((1, 1, 3), id="FM-04-colour"),
    ],
)
def test_tiny_images_keep_their_shape(shape):
    rgb8 = to_rgb8(np.arange(np.prod(shape), dtype=float).reshape(shape))
    assert rgb8.shape == (*shape[:2], 3)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((0, 5), id="FM-05-no-rows"),
        pytest.param((5, 0), id="FM-05-no-columns"),
        pytest.param((5, 5, 0), id="FM-05-no-channels"),
        pytest.param((0, 0), id="FM-05-nothing"),
    ],
)
def test_images_without_pixels_are_refused(shape):
    with pytest.raises(ImageError, match="no pixel"):
        to_rgb8(np.zeros(shape))


def _as_float32(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float32)


ODD_KINDS = [
    pytest.param("bool", lambda x: x > 80, id="FM-06-bool"),
    pytest.param("uint64", lambda x: x.astype(np.uint64) * 2**55, id="FM-06-uint64"),
    pytest.param("int64", lambda x: -x.astype(np.int64) * 2**40, id="FM-06-int64-negative"),
    pytest.param("int8", lambda x: (x.astype(int) - 128).astype(np.int8), id="FM-06-int8"),
    pytest.param("int16", lambda x: x.astype(np.int16) * 100 - 9000, id="FM-06-int16"),
    pytest.param("uint16", lambda x: x.astype(np.uint16) * 257, id="FM-06-uint16"),
    pytest.param("int32", lambda x: x.astype(np.int32) * 8_000_000 - 2**30, id="FM-06-int32"),
    pytest.param("uint32", lambda x: x.astype(np.uint32) * 2**24, id="FM-06-uint32"),
    pytest.param("float16", lambda x: x.astype(np.float16) / 3, id="FM-06-float16"),
    pytest.param("float64", lambda x: x * 1e30, id="FM-06-float64"),
    pytest.param("longdouble", lambda x: x.astype(np.longdouble), id="FM-06-longdouble"),
    pytest.param(">u2", lambda x: (x * np.uint16(9)).astype(">u2"), id="FM-06-big-endian-uint16"),
    pytest.param(">i4", lambda x: -x.astype(">i4"), id="FM-06-big-endian-int32"),
    pytest.param(">f4", lambda x: x.astype(">f4"), id="FM-06-big-endian-float32"),
]


@pytest.mark.parametrize(("_name", "convert"), ODD_KINDS)
@pytest.mark.parametrize("limits", [None, (50, 150)], ids=["measured", "given"])
def test_odd_types_give_what_float32_gives(grey_image, _name, convert, limits):
    image = convert(grey_image)
    expected = to_rgb8(_as_float32(image), contrast_limits=limits)
    assert np.abs(to_rgb8(image, contrast_limits=limits).astype(int) - expected).max() <= 1


def test_uint64_differences_past_2_to_the_53_are_seen():
    image = np.uint64(2**60) + np.arange(6, dtype=np.uint64).reshape(2, 3)
    assert to_rgb8(image)[..., 0].tolist() == [[0, 51, 102], [153, 204, 255]]


def test_the_whole_range_of_int64_does_not_wrap():
    info = np.iinfo(np.int64)
    assert to_rgb8(np.array([[info.min, 0, info.max]]))[0, :, 0].tolist() == [0, 128, 255]


def test_the_whole_range_of_float64_does_not_overflow():
    image = np.array([[-1.7e308, 0, 1.7e308]])
    assert to_rgb8(image)[0, :, 0].tolist() == [0, 128, 255]


def test_subnormal_differences_do_not_overflow():
    image = np.array([[0.0, 5e-324, 1e-323]])
    assert to_rgb8(image)[0, :, 0].tolist() == [0, 128, 255]


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(
        st.one_of(
            hnp.integer_dtypes(endianness="?"),
            hnp.unsigned_integer_dtypes(endianness="?"),
            hnp.floating_dtypes(endianness="?"),
            hnp.boolean_dtypes(),
        ),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
    )
)
def test_any_real_array_becomes_a_monotone_8bit_image(image):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", SamHQWarning)
        try:
            rgb8 = to_rgb8(image)
        except ImageError:
            assert not np.isfinite(image).any()
            return
    assert rgb8.shape == (*image.shape, 3)
    finite = np.isfinite(image.astype(np.float64)) if image.dtype.kind == "f" else image == image
    order = np.argsort(image[finite], kind="stable")
    assert (np.diff(rgb8[..., 0][finite][order].astype(int)) >= 0).all()
    assert (rgb8[~finite] == 0).all()


@pytest.mark.parametrize(
    ("image", "words"),
    [
        pytest.param(np.ones(SHAPE, complex), "np.abs", id="FM-07-complex"),
        pytest.param(np.ones(SHAPE, object), "object", id="FM-07-object"),
        pytest.param(np.ones(SHAPE, [("a", "f4")]), "np.abs", id="FM-07-structured"),
        pytest.param(np.full(SHAPE, "x"), "real numbers", id="FM-07-text"),
        pytest.param(np.full(SHAPE, "2020", "M8[D]"), "real numbers", id="FM-07-dates"),
        pytest.param(None, "object", id="FM-07-none"),
        pytest.param([[1, 2], [3]], "ragged", id="FM-07-ragged"),
    ],
)
def test_what_is_not_real_is_refused_by_name(image, words):
    with pytest.raises(ImageError, match=words):
        to_rgb8(image)


def test_alpha_is_dropped_with_a_warning(colour_image):
    rgba = np.dstack([colour_image, np.full(colour_image.shape[:2], 128, np.uint8)])
    with pytest.warns(SamHQWarning, match="alpha"):
        assert np.array_equal(to_rgb8(rgba), colour_image)


def test_a_single_channel_is_grey(grey_image):
    assert np.array_equal(to_rgb8(grey_image[..., None]), to_rgb8(grey_image))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        pytest.param((40, 50, 2), "one channel", id="FM-08-two-channels"),
        pytest.param((3, 40, 50), r"np\.moveaxis", id="FM-08-channels-first"),
        pytest.param((4, 40, 50), r"np\.moveaxis", id="FM-08-rgba-first"),
        pytest.param((20, 40, 50), "plane", id="FM-08-stack"),
        pytest.param((2, 3, 40, 50), "4 axes", id="FM-08-4d"),
        pytest.param((40,), "1 axes", id="FM-08-1d"),
        pytest.param((), "0 axes", id="FM-08-0d"),
    ],
)
def test_the_channel_axis_is_never_guessed(shape, words):
    with pytest.raises(ImageError, match=words):
        to_rgb8(np.ones(shape))


# ------------------------------------------------------------------------------------ large images


def test_large_images_need_little_memory_besides_the_result():
    import tracemalloc

    image = np.lib.stride_tricks.as_strided(  # many rows from one: no memory of its own
        np.arange(4096, dtype=np.uint16), (4096, 4096), (0, 2)
    )
    tracemalloc.start()
    rgb8 = to_rgb8(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - rgb8.nbytes < 100 * 2**20
    assert rgb8[0, 0, 0] == 0
    assert rgb8[0, -1, 0] == 255


def test_the_sample_of_a_large_image_is_the_same_each_time(monkeypatch, grey_image):
    monkeypatch.setattr(images, "_SAMPLE_PIXELS", 1000)
    first, second = rgb8_and_limits(grey_image), rgb8_and_limits(grey_image)
    assert first[1] == second[1]
    assert np.array_equal(first[0], second[0])


def test_blocks_make_no_difference(monkeypatch, grey_image):
    whole = to_rgb8(grey_image.astype(np.float32))
    monkeypatch.setattr(images, "_BLOCK_VALUES", 1000)
    assert np.array_equal(to_rgb8(grey_image.astype(np.float32)), whole)
