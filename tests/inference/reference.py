"""The small model of the reference outputs, with its stand-in weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from napari_samhq.checkpoints.keys import to_model
from napari_samhq.model import (
    SamHQConfig,
    SamHQMaskDecoderConfig,
    SamHQModel,
    SamHQPromptEncoderConfig,
    SamHQVisionConfig,
)
from stand_in import stand_in

FOLDER = Path(__file__).parents[1] / "data" / "parity"


def small_network() -> SamHQModel:
    """ViT of width 96, 4 blocks, at 256 px, as the reference was run."""
    vision = SamHQVisionConfig(
        hidden_size=96,
        output_channels=64,
        num_hidden_layers=4,
        num_attention_heads=3,
        image_size=256,
        window_size=7,
        global_attn_indexes=[1, 3],
        num_pos_feats=32,
    )
    prompts = SamHQPromptEncoderConfig(hidden_size=64, image_size=256)
    decoder = SamHQMaskDecoderConfig(
        hidden_size=64,
        mlp_dim=128,
        num_attention_heads=8,
        iou_head_hidden_dim=64,
        vit_dim=96,
        layer_norm_eps=1e-5,  # torch's default, as in the original repository
    )
    network = SamHQModel(SamHQConfig(vision, prompts, decoder))
    shapes = json.loads((FOLDER / "vit_small.keys.json").read_text())
    tensors = {name: torch.from_numpy(stand_in(name, shape)) for name, shape in shapes.items()}
    network.load_state_dict(to_model(tensors), strict=True)
    return network.eval()


def small_reference() -> dict[str, np.ndarray]:
    """All reference arrays by name."""
    with np.load(FOLDER / "vit_small.npz") as arrays:
        return dict(arrays)
