"""The scale is taken at which a dense head is surest."""

from dataclasses import replace

import numpy as np
import pytest

from napari_samhq.core.util.generators import finished
from napari_samhq.inference.dense_scale import surest_settings
from napari_samhq.inference.object_maps import Seen
from napari_samhq.inference.settings import DenseSettings
from napari_samhq.inference.source import ImageSource
from support.fakes_of_objects import MapsPredictor, blobs, pictured

SIDE = 64


class SureAt(MapsPredictor):
    """A head that sees everything, and is sure of it in windows of one size."""

    def __init__(self, window_px: int) -> None:
        super().__init__(input_size=SIDE)
        self.window_px = window_px

    def dense_maps(self, embedding):
        maps = super().dense_maps(embedding)
        away = abs(np.log2(max(embedding.image_shape) / self.window_px))
        return replace(maps, foreground=maps.foreground / (4 + 4 * away))


def settings_of(predictor, shape, settings=None, **options):
    source = ImageSource.of(pictured(blobs(shape, seed=3)))
    area = slice(0, shape[0]), slice(0, shape[1])
    steps = surest_settings(predictor, source, area, settings or DenseSettings(), **options)
    return finished(steps)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_surest_scale_is_taken(scale):
    found = settings_of(SureAt(scale * SIDE), (250, 250))
    assert found.diameter == 30 * scale
    assert found == DenseSettings(diameter=30 * scale).fitted(SIDE, (250, 250))


def test_an_image_that_one_look_shows_is_not_looked_at_to_choose():
    predictor = SureAt(SIDE)
    assert settings_of(predictor, (60, 64)) == DenseSettings().fitted(SIDE, (60, 64))
    assert not predictor.calls


@pytest.mark.parametrize(
    "given", [DenseSettings(diameter=15), DenseSettings(tile_px=40, halo_px=8)]
)
def test_what_is_given_is_kept(given):
    predictor = SureAt(4 * SIDE)
    assert settings_of(predictor, (250, 250), given) == given.fitted(SIDE, (250, 250))
    assert not predictor.calls


def test_an_empty_image_is_looked_at_as_it_is():
    source = ImageSource.of(np.zeros((250, 250, 3), np.uint8))
    area = slice(0, 250), slice(0, 250)
    found = finished(surest_settings(SureAt(SIDE), source, area, DenseSettings()))
    assert found.diameter == 30


def test_tiles_that_were_looked_at_are_kept():
    seen = Seen()
    found = settings_of(SureAt(4 * SIDE), (250, 250), seen=seen)
    tile = found.tile_px + 2 * found.halo_px
    assert tile >= 250
    assert seen.get((slice(0, 250), slice(0, 250))) is not None
