"""TinyViT, the image encoder of Light HQ-SAM (Wu et al., ECCV 2022; MobileSAM's variant).

Tensor names are those of the published file. Stages work at strides 4, 8, 16 and 16; the early
features are the output of the second stage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import join_windows, split_windows
from .common import LayerNorm2d
from .outputs import EncoderOutput

if TYPE_CHECKING:
    from .config import TinyVitConfig

__all__ = ["TinyVitEncoder"]


class TinyVitEncoder(nn.Module):
    """Convolutions first, then three stages of windowed attention, and SAM's neck."""

    def __init__(self, config: TinyVitConfig) -> None:
        super().__init__()
        dims = config.embed_dims
        self.patch_embed = _PatchEmbed(config.num_channels, dims[0])
        self.layers = nn.ModuleList()
        for stage, depth in enumerate(config.depths):
            last = stage == len(dims) - 1
            # The last merging keeps the resolution, so that the embedding stays at stride 16.
            stride = 1 if stage == len(dims) - 2 else 2
            merge = None if last else _PatchMerging(dims[stage], dims[stage + 1], stride)
            blocks: list[nn.Module] = [
                _MBConv(dims[stage], config.expand_ratio)
                if stage == 0
                else _Block(
                    dims[stage],
                    config.num_heads[stage],
                    config.window_sizes[stage],
                    config.mlp_ratio,
                )
                for _ in range(depth)
            ]
            self.layers.append(_Stage(blocks, merge))
        out = config.output_channels
        self.neck = nn.Sequential(
            nn.Conv2d(dims[-1], out, 1, bias=False),
            LayerNorm2d(out),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            LayerNorm2d(out),
        )

    def forward(self, pixel_values: Tensor) -> EncoderOutput:
        x = self.patch_embed(pixel_values)
        intermediate = []
        for index, stage in enumerate(self.layers):
            x = stage(x)
            if index == 1:
                intermediate.append(x.permute(0, 2, 3, 1))
        return EncoderOutput(self.neck(x), intermediate)


class _ConvNorm(nn.Module):
    """Convolution without bias, then batch normalisation."""

    def __init__(
        self, width_in: int, width_out: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.c = nn.Conv2d(
            width_in, width_out, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(width_out)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn(self.c(x))
        return out


class _PatchEmbed(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(
            _ConvNorm(channels, width // 2, 3, 2), nn.GELU(), _ConvNorm(width // 2, width, 3, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.seq(x)
        return out


class _MBConv(nn.Module):
    """Inverted bottleneck with a depthwise 3x3 convolution."""

    def __init__(self, width: int, expand: float) -> None:
        super().__init__()
        hidden = int(width * expand)
        self.conv1 = _ConvNorm(width, hidden)
        self.conv2 = _ConvNorm(hidden, hidden, 3, groups=hidden)
        self.conv3 = _ConvNorm(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return F.gelu(x + self.conv3(inner))


class _PatchMerging(nn.Module):
    """Change of width between stages, with or without halving the resolution."""

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _ConvNorm(width_in, width_out)
        self.conv2 = _ConvNorm(width_out, width_out, 3, stride, groups=width_out)
        self.conv3 = _ConvNorm(width_out, width_out)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return out


class _Stage(nn.Module):
    """Blocks at one resolution, then the merging that leads to the next stage."""

    def __init__(self, blocks: list[nn.Module], downsample: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class _Block(nn.Module):
    """Windowed attention, a depthwise convolution, and an MLP, on (B, C, H, W)."""

    def __init__(self, width: int, heads: int, window: int, mlp_ratio: float) -> None:
        super().__init__()
        self.window = window
        self.attn = _Attention(width, heads, window)
        self.local_conv = _ConvNorm(width, width, 3, groups=width)
        self.mlp = _Mlp(width, int(width * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        windows = split_windows(x.permute(0, 2, 3, 1), self.window)
        attended = self.attn(windows.flatten(1, 2)).view(windows.shape)
        x = x + join_windows(attended, height, width).permute(0, 3, 1, 2)
        x = self.local_conv(x)
        out: Tensor = self.mlp(x.permute(0, 2, 3, 1))
        return x + out.permute(0, 3, 1, 2)


class _Mlp(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return out


class _Attention(nn.Module):
    """Attention within a window, with one learned bias per absolute offset and head.

    The padding that fills incomplete windows is zero before the normalisation, so it takes part
    as a token made of the normalisation's bias; published weights expect exactly that.
    """

    offsets: Tensor

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        place = torch.arange(window * window, device="cpu")
        rows, columns = place // window, place % window
        offsets = (rows[:, None] - rows).abs() * window + (columns[:, None] - columns).abs()
        self.register_buffer("offsets", offsets, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, channels = x.shape
        # Per head the published layout holds query, key and value side by side.
        qkv = self.qkv(self.norm(x)).view(batch, tokens, self.heads, -1).transpose(1, 2)
        q, k, v = qkv.chunk(3, dim=-1)
        scores = q @ k.transpose(-2, -1) * self.scale + self.attention_biases[:, self.offsets]
        out = scores.softmax(dim=-1) @ v
        projected: Tensor = self.proj(out.transpose(1, 2).reshape(batch, tokens, channels))
        return projected
