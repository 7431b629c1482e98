"""The dense head: foreground, and distances to the border and the middle of objects, at each place.

All objects of an image are found from such maps without prompts: places far from the border and
near the middle are seeds, a watershed grows them inside of the foreground. Distances that are
divided by the object's own largest, and a decoder of this kind beside a promptable model, are
those of Segment Anything for Microscopy (Archit et al., Nature Methods 2025); directions to the
middle are what Cellpose's flows are for round objects (Stringer et al., Nature Methods 2021).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .common import LayerNorm2d

if TYPE_CHECKING:
    from .config import SamHQDenseHeadConfig

__all__ = ["DENSE_CHANNELS", "DenseHead", "DenseMaps"]

DENSE_CHANNELS = 5
_FOLD = 2  # the head works at half the resolution of its maps


class DenseMaps(NamedTuple):
    """Maps of B images on the grid of the low-res logits, stride 2 of `micro`'s input.

    Attributes
    ----------
    foreground : Tensor of shape (B, H, W)
        Logits of being part of any object.
    border : Tensor of shape (B, H, W)
        Distance to the border of the object there, 1 where it is largest in that object; about 0
        in the background.
    middle : Tensor of shape (B, H, W)
        1 at the innermost place of the object there, falling to 0 at the place of the object that
        is farthest from it; about 0 in the background.
    direction : Tensor of shape (B, 2, H, W)
        Unit vector (row, column) to the innermost place.
    """

    foreground: Tensor
    border: Tensor
    middle: Tensor
    direction: Tensor

    @classmethod
    def of(cls, maps: Tensor) -> DenseMaps:
        """Name the channels of (B, 5, H, W)."""
        return cls(maps[:, 0], maps[:, 1], maps[:, 2], maps[:, 3:])


class DenseHead(nn.Module):
    """Convolutions over image embedding and HQ features.

    Parameters
    ----------
    config : SamHQDenseHeadConfig
    embedding_channels : int
        Channels of the image embedding; the HQ features have an eighth.
    """

    def __init__(self, config: SamHQDenseHeadConfig, embedding_channels: int) -> None:
        super().__init__()
        width = config.hidden_size
        fine = embedding_channels // 8 * _FOLD**2
        self.coarse = nn.Conv2d(embedding_channels, width, 1)
        self.fine = nn.Conv2d(fine, width, 1)
        self.conv1 = nn.Conv2d(2 * width, width, 3, padding=1)
        self.norm1 = LayerNorm2d(width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(config.num_blocks))
        self.out = nn.Conv2d(width, DENSE_CHANNELS * _FOLD**2, 1)

    def forward(self, image_embedding: Tensor, hq_features: Tensor) -> DenseMaps:
        fine = F.pixel_unshuffle(hq_features, _FOLD)
        coarse = F.interpolate(self.coarse(image_embedding), size=fine.shape[2:], mode="bilinear")
        x = F.gelu(self.norm1(self.conv1(torch.cat([coarse, self.fine(fine)], dim=1))))
        for block in self.blocks:
            x = block(x)
        return DenseMaps.of(F.pixel_shuffle(self.out(x), _FOLD).float())


class _Block(nn.Module):
    """A residual 3x3 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm = LayerNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.gelu(self.norm(self.conv(x)))
