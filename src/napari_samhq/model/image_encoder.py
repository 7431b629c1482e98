"""Vision transformer of SAM (ViT), and building of any image encoder by its configuration.

All encoders map pixel values (B, 3, S, S) to an image embedding (B, C, h, w) and to early
features (B, h, w, E), the local detail that the HQ mask decoder fuses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .attention import ViTAttention, join_windows, split_windows
from .common import LayerNorm2d, Mlp2
from .config import ConvEncoderConfig, EncoderConfig, SamHQVisionConfig, TinyVitConfig
from .conv_encoder import ConvEncoder
from .outputs import EncoderOutput
from .tiny_vit import TinyVitEncoder

__all__ = ["ViTEncoder", "build_encoder"]


def build_encoder(config: EncoderConfig) -> nn.Module:
    """Build the image encoder that a configuration describes."""
    if isinstance(config, TinyVitConfig):
        return TinyVitEncoder(config)
    if isinstance(config, ConvEncoderConfig):
        return ConvEncoder(config)
    return ViTEncoder(config)


class ViTEncoder(nn.Module):
    """Plain vision transformer with windowed and global attention (Kirillov et al., 2023)."""

    def __init__(self, config: SamHQVisionConfig) -> None:
        super().__init__()
        grid = config.image_size // config.patch_size
        self.patch_embed = _PatchEmbed(config)
        self.pos_embed: nn.Parameter | None = None
        if config.use_abs_pos:
            self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, config.hidden_size))
        self.layers = nn.ModuleList(
            _Block(config, window=0 if index in config.global_attn_indexes else config.window_size)
            for index in range(config.num_hidden_layers)
        )
        self.neck = _Neck(config)

    def forward(self, pixel_values: Tensor) -> EncoderOutput:
        x = self.patch_embed(pixel_values)
        if self.pos_embed is not None:
            x = x + self.pos_embed
        intermediate = []
        for block in self.layers:
            x = block(x)
            if block.window == 0:
                intermediate.append(x)
        return EncoderOutput(self.neck(x), intermediate)


class _PatchEmbed(nn.Module):
    """Non-overlapping patches to tokens: (B, 3, S, S) -> (B, S / p, S / p, C)."""

    def __init__(self, config: SamHQVisionConfig) -> None:
        super().__init__()
        size = config.patch_size
        self.projection = nn.Conv2d(config.num_channels, config.hidden_size, size, stride=size)

    def forward(self, x: Tensor) -> Tensor:
        patches: Tensor = self.projection(x)
        return patches.permute(0, 2, 3, 1)


class _Block(nn.Module):
    """Transformer block; attention within windows of `window` patches, or over all when it is 0."""

    def __init__(self, config: SamHQVisionConfig, window: int) -> None:
        super().__init__()
        side = window or config.image_size // config.patch_size
        assert config.mlp_dim is not None
        self.window = window
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attn = ViTAttention(
            config.hidden_size,
            config.num_attention_heads,
            (side, side),
            qkv_bias=config.qkv_bias,
            rel_pos=config.use_rel_pos,
            sum_positions_first=config.sum_positions_first,
        )
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = Mlp2(config.hidden_size, config.mlp_dim, config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.layer_norm1(x)
        if self.window:
            height, width = x.shape[1:3]
            attended = self.attn(split_windows(normed, self.window))
            x = x + join_windows(attended, height, width)
        else:
            x = x + self.attn(normed)
        out: Tensor = x + self.mlp(self.layer_norm2(x))
        return out


class _Neck(nn.Module):
    """1x1 and 3x3 convolution, each with layer normalisation: tokens to the image embedding."""

    def __init__(self, config: SamHQVisionConfig) -> None:
        super().__init__()
        out = config.output_channels
        self.conv1 = nn.Conv2d(config.hidden_size, out, 1, bias=False)
        self.layer_norm1 = LayerNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.layer_norm2 = LayerNorm2d(out)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.layer_norm1(self.conv1(tokens.permute(0, 3, 1, 2)))
        out: Tensor = self.layer_norm2(self.conv2(x))
        return out
