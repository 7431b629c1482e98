"""Small models for tests: real tensors in either layout, and the tables of the published ones."""

from __future__ import annotations

import functools
import gzip
import json
from pathlib import Path

import torch

from napari_samhq.checkpoints.keys import to_original
from napari_samhq.model import (
    ConvEncoderConfig,
    SamHQConfig,
    SamHQMaskDecoderConfig,
    SamHQModel,
    SamHQPromptEncoderConfig,
    SamHQVisionConfig,
    TinyVitConfig,
)
from napari_samhq.model.serialization import without_random_weights
from support.stand_in import stand_in

TABLES = Path(__file__).parents[1] / "data" / "checkpoint_keys.json.gz"


@functools.cache
def published_tables() -> dict[str, dict[str, dict[str, list[int]]]]:
    """Return name -> shape of every published file, by layout and model."""
    return json.loads(gzip.decompress(TABLES.read_bytes()))


def small_config(encoder: str) -> SamHQConfig:
    """Return the configuration of a very small model of the original repository's kind."""
    vision = {
        "vit": SamHQVisionConfig(
            hidden_size=48,
            output_channels=32,
            num_hidden_layers=3,
            num_attention_heads=3,
            image_size=128,
            window_size=5,
            global_attn_indexes=[1],
            num_pos_feats=16,
            mlp_ratio=2.0,
            sum_positions_first=False,
        ),
        "tiny_vit": TinyVitConfig(
            output_channels=32,
            embed_dims=[32, 40, 48, 64],
            depths=[1, 1, 2, 1],
            num_heads=[1, 2, 3, 4],
            window_sizes=[7, 5, 6, 5],
            num_pos_feats=16,
        ),
        "conv": ConvEncoderConfig(
            image_size=64,
            output_channels=32,
            widths=[8, 8, 16, 16],
            depths=[1, 1, 1],
            attention_depth=1,
            attention_heads=2,
            num_pos_feats=16,
        ),
    }[encoder]
    return SamHQConfig(
        vision,
        SamHQPromptEncoderConfig(
            hidden_size=32,
            image_size=vision.image_size,
            patch_size=vision.patch_size,
            mask_input_channels=8,
        ),
        SamHQMaskDecoderConfig(
            hidden_size=32,
            mlp_dim=64,
            iou_head_hidden_dim=24,
            vit_dim=vision.early_channels,
            layer_norm_eps=1e-5,
        ),
    )


def small_tensors(encoder: str, *, original: bool = False) -> dict[str, torch.Tensor]:
    """Return stand-in weights of a small model, under the names of either layout."""
    with torch.device("meta"), without_random_weights():
        shapes = {
            name: t.shape for name, t in SamHQModel(small_config(encoder)).state_dict().items()
        }
    tensors = {name: torch.from_numpy(stand_in(name, shape)) for name, shape in shapes.items()}
    return to_original(tensors) if original else tensors
