"""What the model sees of an image layer."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.images.rgb8 import to_rgb8
from napari_samhq.engine.plane_view import Channels
from napari_samhq.errors import ImageError, LayerError
from napari_samhq.session.layers.image_view import pick_channels, view_plane

ROWS = Plane((1, 2), (0,))


@pytest.fixture
def colours() -> Image:
    """Four channels of 16 bits, told apart by their level."""
    data = np.random.default_rng(0).integers(0, 100, (4, 20, 30)).astype(np.uint16)
    data += np.arange(4, dtype=np.uint16)[:, None, None] * 100
    return Image(data, contrast_limits=(50, 350), axis_labels=("C", "y", "x"), name="cells")


def test_a_plane_is_seen_with_the_contrast_limits_of_the_layer(colours):
    colours.contrast_limits = (120, 180)
    seen = view_plane(colours, Plane((1, 2), (1,))).read_rgb8()
    np.testing.assert_array_equal(seen, to_rgb8(colours.data[1], contrast_limits=(120, 180)))


@pytest.mark.parametrize(
    ("picks", "shown"),
    [
        pytest.param(3, (3, 3, 3), id="FM-08-one-channel"),
        pytest.param((2, 0), (2, 0, None), id="FM-08-two-channels"),
        pytest.param([2, 0, 1], (2, 0, 1), id="FM-08-three-channels"),
    ],
)
def test_picked_channels_are_seen_as_colours(colours, picks, shown):
    view = view_plane(colours, ROWS, 0, pick_channels(colours, picks))
    assert view.shape == (20, 30)
    seen = view.read_rgb8()
    greys = [to_rgb8(channel, contrast_limits=(50, 350))[..., 0] for channel in colours.data]
    nothing = np.zeros((20, 30))
    expected = [nothing if channel is None else greys[channel] for channel in shown]
    np.testing.assert_array_equal(seen, np.stack(expected, axis=-1))
    region = (slice(3, 9), slice(4, 15))
    np.testing.assert_array_equal(view.read_rgb8(region), seen[region])


@pytest.mark.parametrize(
    ("dtype", "limits"),
    [
        (np.uint16, (0, 300)),
        (np.uint16, (20, 300)),
        (np.int16, (-50.5, 300)),
        (np.float32, (-1e-3, 1)),
        (bool, (0, 1)),
    ],
)
def test_a_missing_colour_is_black_whatever_the_limits(dtype, limits):
    image = Image(np.ones((2, 4, 5), dtype=dtype), contrast_limits=limits)
    seen = view_plane(image, ROWS, 0, pick_channels(image, (0, 1), axis=0)).read_rgb8()
    assert not seen[..., 2].any()


def test_one_channel_of_a_colour_picture():
    data = np.random.default_rng(0).integers(0, 256, (20, 30, 4)).astype(np.uint8)
    image = Image(data, rgb=True)
    view = view_plane(image, Plane((0, 1)), 0, pick_channels(image, 1))
    np.testing.assert_array_equal(view.read_rgb8(), np.repeat(data[..., 1:2], 3, axis=2))


def test_alpha_is_dropped(recwarn):
    data = np.random.default_rng(0).integers(0, 256, (20, 30, 4)).astype(np.uint8)
    seen = view_plane(Image(data, rgb=True), Plane((0, 1))).read_rgb8()
    np.testing.assert_array_equal(seen, data[..., :3])
    assert "alpha" in str(recwarn.pop().message)


@pytest.mark.parametrize(
    "labels", [pytest.param(("z", "y", "x"), id="FM-08-no-label"), pytest.param(("c", "c", "x"))]
)
def test_the_channel_axis_is_asked_for_and_never_guessed(colours, labels):
    colours.axis_labels = labels
    with pytest.raises(LayerError, match=r"which axis of 'cells'.*Name it"):
        pick_channels(colours, 1)
    assert pick_channels(colours, 1, axis=0) == Channels(0, (1,))
    assert pick_channels(colours, None) is None


def test_channels_that_are_not_there_are_told(colours):
    with pytest.raises(ImageError, match="of the 4"):
        pick_channels(colours, 4)
    with pytest.raises(LayerError, match="no axis 3"):
        pick_channels(colours, 1, axis=3)


def test_a_plane_along_the_channels_is_refused(colours):
    channels = pick_channels(colours, (0, 1))
    with pytest.raises(LayerError, match="Roll the axes"):
        view_plane(colours, Plane((0, 2), (3,)), 0, channels)


def test_other_channels_are_another_picture(colours):
    views = [view_plane(colours, ROWS, 0, pick_channels(colours, p)) for p in (None, 0, (0, 1))]
    assert len({view.identity for view in views}) == 3


def test_channels_of_a_pyramid_are_those_of_the_full_resolution():
    full = np.random.default_rng(0).integers(0, 99, (3, 64, 96)).astype(np.uint8)
    image = Image([full, full[:, ::2, ::2]], multiscale=True, contrast_limits=(0, 99))
    view = view_plane(image, ROWS, 0, pick_channels(image, (0, 2), axis=0))
    np.testing.assert_array_equal(view.read()[..., 1], full[2])
