"""A very small model and simple pictures, for tests of fine-tuning."""

from __future__ import annotations

import numpy as np
import torch

from napari_samhq.model import (
    ConvEncoderConfig,
    SamHQConfig,
    SamHQDenseHeadConfig,
    SamHQMaskDecoderConfig,
    SamHQModel,
    SamHQPromptEncoderConfig,
)

#: Settings with which a test is over in a second.
QUICK = {"steps": 30, "check_every": 10, "views": 1, "batch": 4, "minutes": 0.0}


def write_small_model(folder, seed: int = 0, *, dense: bool = False):
    """Write a model of 64 px input with random weights, which finds nothing yet."""
    torch.manual_seed(seed)
    vision = ConvEncoderConfig(
        image_size=64,
        output_channels=16,
        widths=[8, 8, 16, 16],
        depths=[1, 1, 1],
        attention_depth=1,
        attention_heads=2,
        num_pos_feats=8,
    )
    config = SamHQConfig(
        vision,
        SamHQPromptEncoderConfig(
            hidden_size=16, image_size=64, patch_size=8, mask_input_channels=4, prompt_maps=True
        ),
        SamHQMaskDecoderConfig(
            hidden_size=16,
            mlp_dim=16,
            num_attention_heads=2,
            iou_head_hidden_dim=16,
            vit_dim=vision.early_channels,
            join_hq=True,
        ),
        SamHQDenseHeadConfig(hidden_size=16, num_blocks=1) if dense else None,
    )
    network = SamHQModel(config)
    # Maps of prompts begin at zero, where nothing but the token could learn what is meant.
    for parameter in network.prompt_encoder.prompt_maps.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    network.save_pretrained(folder)
    return folder


def discs(count: int = 4, each: int = 3, side: int = 64, seed: int = 0):
    """Pictures of bright discs on dark noise, and their labels."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:side, :side]
    images, labels = [], []
    for _ in range(count):
        drawn = np.zeros((side, side), np.int32)
        while drawn.max() < each:
            centre, radius = rng.uniform(10, side - 10, 2), rng.uniform(5, 9)
            disc = (rows - centre[0]) ** 2 + (cols - centre[1]) ** 2 < radius**2
            if not drawn[disc].any():
                drawn[disc] = drawn.max() + 1
        light = rng.normal(40, 8, (side, side)) + 140 * (drawn > 0)
        images.append(np.clip(light, 0, 255).astype(np.uint8))
        labels.append(drawn)
    return images, labels
