"""From the maps of a dense head to objects, and from a model to its maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_samhq.core.measure.metrics import match
from napari_samhq.errors import ModelError
from napari_samhq.inference import Predictor
from napari_samhq.inference.dense import find_objects
from napari_samhq.inference.embedding import ImageEmbedding
from napari_samhq.inference.enlarging import Enlarger
from napari_samhq.inference.object_maps import ObjectMaps, SupportsDenseMaps
from napari_samhq.model import ConvEncoderConfig, SamHQConfig, SamHQModel
from support.fakes_of_objects import MapsPredictor, pictured


def touching_cells(shape=(160, 200), seed=0):
    """Draw cells close together, each with its number."""
    grid = np.stack(np.meshgrid(range(16, 150, 21), range(16, 190, 21)), -1).reshape(-1, 2)
    middles = grid + np.random.default_rng(seed).uniform(-4, 4, grid.shape)
    rows, cols = np.indices(shape)
    away = np.hypot(rows[..., None] - middles[:, 0], cols[..., None] - middles[:, 1])
    labels = away.argmin(-1) + 1
    labels[away.min(-1) > 12] = 0
    return labels.astype(np.uint8)


def maps_of(grey, shrunk=1):
    predictor = MapsPredictor()
    maps = predictor.dense_maps(predictor.embed(pictured(grey)))
    part = (..., slice(None, None, shrunk), slice(None, None, shrunk))
    values = (maps.foreground, maps.border, maps.middle, maps.direction)
    return ObjectMaps(*(value[part] for value in values), maps.side // shrunk)


def test_touching_objects_are_told_apart():
    cells = touching_cells()
    found = find_objects(maps_of(cells))
    pairs = match(cells.astype(np.int32), found.labels)
    assert not len(pairs.missed)
    assert not len(pairs.extra)
    assert found.scores.min() > 0.5
    assert found.scores.max() <= 1


def test_masks_are_as_smooth_as_the_image_and_share_no_pixel():
    cells = touching_cells()
    maps = maps_of(cells, shrunk=2)
    maps = replace(maps, foreground=ndimage.gaussian_filter(maps.foreground, 1))
    found = find_objects(maps)
    nothing = torch.zeros(1)
    embedding = ImageEmbedding(nothing, nothing, cells.shape, cells.shape, 200, "")
    enlarger = Enlarger(embedding, maps.side)
    masks = [found.mask(index, enlarger) for index in range(len(found))]
    drawn = sum(mask.within(cells.shape).astype(int) for mask in masks)
    assert drawn.max() == 1
    labels = np.zeros(cells.shape, np.int32)
    for number, mask in enumerate(masks, start=1):
        array = mask.array()
        assert ndimage.label(array)[1] == 1
        labels[mask.region][array] = number
    pairs = match(cells.astype(np.int32), labels)
    assert pairs.ious.mean() > 0.85
    blocks = labels.reshape(80, 2, 100, 2)
    assert (blocks.max((1, 3)) != blocks.min((1, 3))).mean() > 0.05  # corners are cut


def test_nothing_is_found_where_there_is_nothing():
    empty = np.zeros((20, 30), np.float32)
    maps = ObjectMaps(empty - 5, empty, empty, np.zeros((2, 20, 30), np.float32), 30)
    found = find_objects(maps)
    assert len(found) == 0
    assert not found.labels.any()


@pytest.fixture(scope="module")
def small_model():
    torch.manual_seed(0)
    vision = ConvEncoderConfig(
        image_size=64,
        output_channels=32,
        widths=[8, 8, 16, 32],
        depths=[1, 1, 1],
        attention_depth=1,
        attention_heads=2,
        num_pos_feats=16,
    )
    decoder = {"hidden_size": 32, "mlp_dim": 16, "iou_head_hidden_dim": 16}
    config = SamHQConfig(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 32, "image_size": 64, "patch_size": 8},
        mask_decoder_config={**decoder, "vit_dim": vision.early_channels},
        dense_head_config={"hidden_size": 8, "num_blocks": 1},
    )
    return SamHQModel(config)


@pytest.mark.parametrize("shape", [(64, 64), (40, 90), (300, 100)], ids=str)
def test_maps_are_those_of_the_image_without_padding(small_model, shape):
    predictor = Predictor(small_model)
    assert isinstance(predictor, SupportsDenseMaps)
    assert predictor.finds_objects
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    embedding = predictor.embed(image)
    maps = predictor.dense_maps(embedding)
    assert maps.side == 32
    height, width = (-(-n * 32 // 64) for n in embedding.input_shape)
    assert abs(maps.foreground.shape[0] - height) <= 1
    assert abs(maps.foreground.shape[1] - width) <= 1
    assert maps.direction.shape == (2, *maps.foreground.shape)
    for values in (maps.foreground, maps.border, maps.middle, maps.direction):
        assert values.dtype == np.float32
        assert np.isfinite(values).all()


def test_models_without_a_dense_head_say_so(small_model):
    config = small_model.config
    plain = SamHQModel(
        SamHQConfig(config.vision_config, config.prompt_encoder_config, config.mask_decoder_config)
    )
    predictor, other = Predictor(plain), Predictor(small_model)
    assert not predictor.finds_objects
    image = np.zeros((20, 20, 3), np.uint8)
    image[5:9] = 200
    with pytest.raises(ModelError, match="method='points'"):
        predictor.dense_maps(predictor.embed(image))
    with pytest.raises(ModelError, match="another model"):
        other.dense_maps(predictor.embed(image))
