"""Prompt encoder: points, boxes and masks to tokens and a dense embedding.

Coordinates are (x, y) in model pixels, the frame of the resized and padded input.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .common import LayerNorm2d, activation
from .prompt_maps import PromptMapEmbedding, PromptPictures

if TYPE_CHECKING:
    from .config import SamHQPromptEncoderConfig

__all__ = ["NO_POINT", "PADDING_POINT", "PositionalEmbedding", "PromptEncoder"]

PADDING_POINT = -1
"""Point label of the padding that SAM appends where no box is given."""

NO_POINT = -10
"""Point label of the filler that makes lists of points equally long; its token is zero."""


class PositionalEmbedding(nn.Module):
    """Random Fourier features of places (Tancik et al., NeurIPS 2020)."""

    positional_embedding: Tensor

    def __init__(self, num_pos_feats: int, scale: float = 1.0) -> None:
        super().__init__()
        table = nn.init.normal_(torch.empty(2, num_pos_feats), std=scale)
        self.register_buffer("positional_embedding", table)

    def forward(self, places_xy: Tensor) -> Tensor:
        """Encode places (..., 2), given as fractions of the frame, to (..., 2 * num_pos_feats)."""
        # Prompts may come in double precision; only the last step is in the table's precision.
        places = (2 * places_xy - 1).to(self.positional_embedding.dtype)
        angles = 2 * math.pi * (places @ self.positional_embedding)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


class MaskEmbedding(nn.Module):
    """Low-resolution mask logits (B, 1, 4h, 4w) to a dense embedding (B, C, h, w)."""

    def __init__(self, config: SamHQPromptEncoderConfig) -> None:
        super().__init__()
        wide = config.mask_input_channels
        self.conv1 = nn.Conv2d(1, wide // 4, 2, stride=2)
        self.layer_norm1 = LayerNorm2d(wide // 4, config.layer_norm_eps)
        self.conv2 = nn.Conv2d(wide // 4, wide, 2, stride=2)
        self.layer_norm2 = LayerNorm2d(wide, config.layer_norm_eps)
        self.conv3 = nn.Conv2d(wide, config.hidden_size, 1)
        self.act = activation(config.hidden_act)

    def forward(self, mask_logits: Tensor) -> Tensor:
        x = self.act(self.layer_norm1(self.conv1(mask_logits)))
        x = self.act(self.layer_norm2(self.conv2(x)))
        out: Tensor = self.conv3(x)
        return out


class PromptEncoder(nn.Module):
    """Encode prompts.

    Parameters
    ----------
    config : SamHQPromptEncoderConfig
    shared_embedding : PositionalEmbedding
        The same table serves prompts and image, which is how a prompt finds its place.
    """

    def __init__(
        self, config: SamHQPromptEncoderConfig, shared_embedding: PositionalEmbedding
    ) -> None:
        super().__init__()
        self.image_size = config.image_size
        self.patch_size = config.patch_size
        self.shared_embedding = shared_embedding
        self.mask_embed = MaskEmbedding(config)
        self.no_mask_embed = nn.Embedding(1, config.hidden_size)
        self.not_a_point_embed = nn.Embedding(1, config.hidden_size)
        # In order: background point, foreground point, first and second corner of a box.
        self.point_embed = nn.ModuleList(
            nn.Embedding(1, config.hidden_size) for _ in range(config.num_point_embeddings)
        )
        self.prompt_maps = (
            PromptMapEmbedding(config.hidden_size, config.patch_size)
            if config.prompt_maps
            else None
        )

    def points(self, points_xy: Tensor, labels: Tensor, *, pad: bool) -> Tensor:
        """Encode points (P, N, 2) with labels (P, N) to tokens (P, N or N + 1, C)."""
        centres = points_xy + 0.5  # integers lie on pixel centres
        if pad:
            centres = torch.cat([centres, centres.new_zeros(len(centres), 1, 2)], dim=1)
            padding = labels.new_full((len(labels), 1), PADDING_POINT)
            labels = torch.cat([labels, padding], dim=1)
        places = self.shared_embedding(centres / self.image_size)
        kind = labels[..., None]
        background, foreground = self._kinds(0, 1)
        tokens = places + torch.where(kind == 1, foreground, torch.zeros_like(foreground))
        tokens = tokens + torch.where(kind == 0, background, torch.zeros_like(background))
        tokens = torch.where(kind == PADDING_POINT, self.not_a_point_embed.weight, tokens)
        return torch.where(kind == NO_POINT, torch.zeros_like(tokens), tokens)

    def boxes(self, boxes_xy: Tensor) -> Tensor:
        """Encode boxes (P, K, 4) as x0, y0, x1, y1 to tokens (P, 2 K, C)."""
        corners = (boxes_xy + 0.5).unflatten(-1, (2, 2)) / self.image_size
        tokens: Tensor = self.shared_embedding(corners) + torch.stack(self._kinds(2, 3))
        return tokens.flatten(1, 2)

    def _kinds(self, *indices: int) -> list[Tensor]:
        """Embeddings (C,) of kinds of points."""
        return [self.point_embed.get_parameter(f"{index}.weight")[0] for index in indices]

    def dense(self, mask_logits: Tensor | None, size: tuple[int, int]) -> Tensor:
        """Encode masks (P, 1, 4h, 4w); without one, the embedding of "no mask" (1, C, h, w)."""
        if mask_logits is not None:
            out: Tensor = self.mask_embed(mask_logits)
            return out
        return self.no_mask_embed.weight.view(1, -1, 1, 1).expand(1, -1, *size)

    def pictures(
        self,
        points_xy: Tensor | None,
        labels: Tensor | None,
        boxes_xy: Tensor | None,
        size: tuple[int, int],
        origin_xy: Tensor | None = None,
    ) -> PromptPictures | None:
        """Draw points (P, N, 2) with labels (P, N) and boxes (P, K, 4) into the frame.

        None in a model without prompt maps, or where there is nothing to draw.
        """
        if self.prompt_maps is None or (points_xy is None and boxes_xy is None):
            return None
        pictures: PromptPictures = self.prompt_maps(points_xy, labels, boxes_xy, size, origin_xy)
        return pictures

    def image_positions(self, size: tuple[int, int], origin_xy: Tensor | None = None) -> Tensor:
        """Encode the centres of the (h, w) embedding places to (1 or P, C, h, w).

        Parameters
        ----------
        size : tuple of int
        origin_xy : Tensor of shape (P, 2), optional
            Model pixel where the embedding begins, for crops of a larger frame; (0, 0) if left out.
        """
        table = self.shared_embedding.positional_embedding
        rows = torch.arange(size[0], device=table.device, dtype=table.dtype) + 0.5
        columns = torch.arange(size[1], device=table.device, dtype=table.dtype) + 0.5
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        centres = torch.stack([x, y], dim=-1)[None] * self.patch_size
        if origin_xy is not None:
            centres = centres + origin_xy.view(-1, 1, 1, 2)
        encoded: Tensor = self.shared_embedding(centres / self.image_size)
        return encoded.permute(0, 3, 1, 2)
