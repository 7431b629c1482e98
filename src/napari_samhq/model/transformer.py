"""Two-way transformer: prompt tokens attend to the image, and the image to the tokens."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor, nn

from .common import Mlp2

if TYPE_CHECKING:
    from .config import SamHQMaskDecoderConfig

__all__ = ["Attention", "TwoWayTransformer"]


class Attention(nn.Module):
    """Multi-head attention whose inner width may be smaller than the tokens' width."""

    def __init__(self, width: int, heads: int, downsample: int = 1) -> None:
        super().__init__()
        inner = width // downsample
        self.heads = heads
        self.scale = math.sqrt(inner // heads)
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.out_proj = nn.Linear(inner, width)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (
            self._split(project(x))
            for project, x in ((self.q_proj, q), (self.k_proj, k), (self.v_proj, v))
        )
        scores = q @ k.transpose(-2, -1) / self.scale
        attended = scores.softmax(dim=-1) @ v
        out: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, heads, N, C / heads)."""
        split: Tensor = x.unflatten(-1, (self.heads, -1))
        return split.transpose(1, 2)


class _TwoWayBlock(nn.Module):
    def __init__(self, config: SamHQMaskDecoderConfig, *, first: bool) -> None:
        super().__init__()
        width, heads, eps = config.hidden_size, config.num_attention_heads, config.layer_norm_eps
        down = config.attention_downsample_rate
        self.first = first
        self.self_attn = Attention(width, heads)
        self.layer_norm1 = nn.LayerNorm(width, eps=eps)
        self.cross_attn_token_to_image = Attention(width, heads, down)
        self.layer_norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = Mlp2(width, config.mlp_dim, config.hidden_act)
        self.layer_norm3 = nn.LayerNorm(width, eps=eps)
        self.cross_attn_image_to_token = Attention(width, heads, down)
        self.layer_norm4 = nn.LayerNorm(width, eps=eps)

    def forward(
        self, tokens: Tensor, image: Tensor, token_places: Tensor, image_places: Tensor
    ) -> tuple[Tensor, Tensor]:
        if self.first:
            # The tokens are still their own positions: nothing to add, and no shortcut either.
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            q = tokens + token_places
            tokens = tokens + self.self_attn(q, q, tokens)
        tokens = self.layer_norm1(tokens)

        keys = image + image_places
        tokens = tokens + self.cross_attn_token_to_image(tokens + token_places, keys, image)
        tokens = self.layer_norm2(tokens)
        tokens = self.layer_norm3(tokens + self.mlp(tokens))

        image = image + self.cross_attn_image_to_token(keys, tokens + token_places, tokens)
        return tokens, self.layer_norm4(image)


class TwoWayTransformer(nn.Module):
    """Blocks of token and image attention, and a last look of the tokens at the image."""

    def __init__(self, config: SamHQMaskDecoderConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            _TwoWayBlock(config, first=index == 0) for index in range(config.num_hidden_layers)
        )
        self.final_attn_token_to_image = Attention(
            config.hidden_size, config.num_attention_heads, config.attention_downsample_rate
        )
        self.layer_norm_final_attn = nn.LayerNorm(config.hidden_size)

    def forward(self, tokens: Tensor, image: Tensor, image_places: Tensor) -> tuple[Tensor, Tensor]:
        """Update tokens (P, N, C) and image (1 or P, C, h, w) to (P, N, C) and (P, C, h, w).

        Until prompts have changed it, one image serves them all: the first layer projects it once.
        """
        size = image.shape[2:]
        image = image.flatten(2).transpose(1, 2)
        image_places = image_places.flatten(2).transpose(1, 2)
        places = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, places, image_places)
        look = self.final_attn_token_to_image(tokens + places, image + image_places, image)
        tokens = self.layer_norm_final_attn(tokens + look)
        return tokens, image.transpose(1, 2).unflatten(2, size)
