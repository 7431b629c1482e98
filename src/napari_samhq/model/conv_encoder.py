"""The compact convolutional encoder of the bundled model ``micro``.

Residual 3x3 convolutions at strides 4, 8 and 16, global attention at stride 16 for context, and
one path back up: the image embedding lies at stride 8, twice as fine as in SAM for the same
number of tokens, because the input is 512 px instead of 1024. The early features are those at
stride 4, folded to stride 8 so that the HQ decoder's two upsampling steps end at stride 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from .common import LayerNorm2d, Mlp2
from .outputs import EncoderOutput

if TYPE_CHECKING:
    from .config import ConvEncoderConfig

__all__ = ["ConvEncoder"]


class ConvEncoder(nn.Module):
    """Convolutional encoder; any input whose sides are multiples of 16 is accepted."""

    def __init__(self, config: ConvEncoderConfig) -> None:
        super().__init__()
        at2, at4, at8, at16 = config.widths
        out = config.output_channels
        self.stem = nn.Sequential(
            _conv_norm(config.num_channels, at2, stride=2),
            nn.ReLU(),
            _conv_norm(at2, at4, stride=2),
            nn.ReLU(),
        )
        self.stage4 = _blocks(at4, config.depths[0])
        self.down8 = nn.Sequential(_conv_norm(at4, at8, stride=2), nn.ReLU())
        self.stage8 = _blocks(at8, config.depths[1])
        self.down16 = nn.Sequential(_conv_norm(at8, at16, stride=2), nn.ReLU())
        self.stage16 = _blocks(at16, config.depths[2])
        self.context = nn.Sequential(
            *(_AttentionBlock(at16, config.attention_heads) for _ in range(config.attention_depth))
        )
        self.up = nn.Conv2d(at16, at8, 1)
        self.merge = _blocks(at8, 1)
        self.neck = nn.Sequential(
            nn.Conv2d(at8, out, 1, bias=False),
            LayerNorm2d(out),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            LayerNorm2d(out),
        )

    def forward(self, pixel_values: Tensor) -> EncoderOutput:
        at4 = self.stage4(self.stem(pixel_values))
        at8 = self.stage8(self.down8(at4))
        at16 = self.context(self.stage16(self.down16(at8)))
        context = F.interpolate(self.up(at16), scale_factor=2.0, mode="bilinear")
        embedding = self.neck(self.merge(at8 + context))
        early = F.pixel_unshuffle(at4, 2).permute(0, 2, 3, 1)
        return EncoderOutput(embedding, [early])


def _conv_norm(width_in: int, width_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width_in, width_out, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width_out)
    )


def _blocks(width: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(_ResidualBlock(width) for _ in range(depth)))


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al., CVPR 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = _conv_norm(width, width)
        self.conv2 = _conv_norm(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.conv2(F.relu(self.conv1(x))))


class _AttentionBlock(nn.Module):
    """Pre-normalised self-attention and MLP over all places; positions by a depthwise 3x3."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.position = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp2(width, 2 * width, "gelu")

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = (x + self.position(x)).flatten(2).transpose(1, 2)
        qkv = self.qkv(self.norm1(tokens)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        tokens = tokens + self.proj(attended)
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.transpose(1, 2).reshape(x.shape)
