"""Channels: what the model is shown, and that answers follow it."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_samhq.core.images.rgb8 import to_rgb8
from napari_samhq.errors import ImageError, LayerError


@pytest.fixture
def several(annotate):
    """A session on three channels, of which the last one is on the screen."""
    viewer = ViewerModel()
    data = np.random.default_rng(0).integers(0, 255, (3, 48, 64)).astype(np.uint8)
    viewer.add_image(data, axis_labels=("c", "y", "x"), name="cells", contrast_limits=(0, 255))
    viewer.dims.set_current_step(0, 2)
    return annotate(viewer)


@pytest.mark.parametrize(
    ("channels", "colours"),
    [
        pytest.param(None, (2, 2, 2), id="FM-08-the-plane-on-the-screen"),
        pytest.param(1, (1, 1, 1), id="FM-08-one"),
        pytest.param((1, 0, 2), (1, 0, 2), id="FM-08-three"),
    ],
)
def test_the_model_is_shown_the_channels_that_were_picked(several, predictor, channels, colours):
    several.channels = channels
    expected = np.stack([several.image.data[one] for one in colours], axis=-1)
    np.testing.assert_array_equal(several.seen_by_model(), expected)
    several.add_points([[20, 30]])
    several.predict()
    (shown,) = [argument for call, argument in predictor.calls if call == "embed"]
    np.testing.assert_array_equal(to_rgb8(shown, contrast_limits=(0, 255)), expected)


def test_other_channels_are_looked_at_anew_and_the_same_ones_are_not(several, predictor):
    several.add_points([[20, 30]])
    for channels in (None, 1, 1, (0, 1), None):
        several.channels = channels
        several.predict()
    assert [call for call, _ in predictor.calls].count("embed") == 3
    assert several.channels is None


def test_objects_go_into_the_plane_on_the_screen_whatever_the_model_sees(several):
    several.channels = (0, 1)
    several.add_points([[20, 30]])
    label_id = several.commit()
    assert several.labels.data[2, 20, 30] == label_id
    assert not several.labels.data[:2].any()


def test_the_axis_of_the_channels_may_be_named(several):
    several.image.axis_labels = ("p", "y", "x")
    with pytest.raises(LayerError, match="Nothing says which axis"):
        several.channels = 1
    assert several.channels is None
    several.channel_axis = 0
    several.channels = (2, 1)
    assert several.channels == (2, 1)
    with pytest.raises(LayerError, match="no axis 7"):
        several.channel_axis = 7
    with pytest.raises(ImageError, match="of the 3"):
        several.channels = 3
    assert (several.channel_axis, several.channels) == (0, (2, 1))


def test_a_display_along_the_channels_is_told(several):
    several.channels = (0, 1)
    several.viewer.dims.order = (1, 0, 2)
    several.add_points([[1, 30]])
    with pytest.raises(LayerError, match="Roll the axes"):
        several.predict()


def test_contrast_limits_hold_and_gamma_colormap_and_visibility_do_not(several):
    image = several.image
    image.contrast_limits = (50, 150)
    seen = several.seen_by_model()
    np.testing.assert_array_equal(seen, to_rgb8(image.data[2], contrast_limits=(50, 150)))
    image.gamma, image.colormap, image.visible, image.opacity = 0.4, "magma", False, 0.1
    np.testing.assert_array_equal(several.seen_by_model(), seen)


def test_floats_are_shown_between_the_contrast_limits(annotate):
    viewer = ViewerModel()
    data = np.random.default_rng(0).normal(size=(48, 64)).astype(np.float16)
    viewer.add_image(data, contrast_limits=(-1.0, 1.5))
    session = annotate(viewer)
    expected = to_rgb8(data, contrast_limits=(-1.0, 1.5))
    np.testing.assert_array_equal(session.seen_by_model(), expected)
    session.add_points([[20, 30]])
    assert session.commit() == 1
