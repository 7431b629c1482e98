"""Self-attention of the vision transformer: windows, and decomposed relative positions.

The position bias between a query at (y, x) and a key at (y', x') is a sum of two products,
``q . R_h[y - y'] + q . R_w[x - x']`` (Li et al., MViTv2, CVPR 2022, as used by ViTDet and SAM).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ViTAttention", "join_windows", "split_windows"]

# Rows of queries per step are chosen so that one step's position bias stays below this many
# entries: memory is flat, and a smaller bias stays in the processor's cache.
_BIAS_ENTRIES = 1 << 23


def split_windows(x: Tensor, size: int) -> Tensor:
    """Cut (B, H, W, C) into windows (B * n, size, size, C), padding bottom and right with zeros."""
    batch, height, width, channels = x.shape
    x = F.pad(x, (0, 0, 0, -width % size, 0, -height % size))
    rows, columns = x.shape[1] // size, x.shape[2] // size
    x = x.view(batch, rows, size, columns, size, channels).transpose(2, 3)
    return x.reshape(batch * rows * columns, size, size, channels)


def join_windows(windows: Tensor, height: int, width: int) -> Tensor:
    """Undo `split_windows`: put the windows together and crop to (B, height, width, C)."""
    size, channels = windows.shape[1], windows.shape[3]
    rows, columns = -(-height // size), -(-width // size)
    x = windows.view(-1, rows, columns, size, size, channels).transpose(2, 3)
    return x.reshape(-1, rows * size, columns * size, channels)[:, :height, :width]


class ViTAttention(nn.Module):
    """Multi-head self-attention over a grid of patches.

    Parameters
    ----------
    width, heads : int
        Channels and number of heads.
    grid : tuple of int
        Rows and columns of the grid that the tables of relative positions are made for.
    """

    def __init__(
        self, width: int, heads: int, grid: tuple[int, int], *, qkv_bias: bool, rel_pos: bool
    ) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)
        self.rel_pos = rel_pos
        if rel_pos:
            head_width = width // heads
            self.rel_pos_h = nn.Parameter(torch.zeros(2 * grid[0] - 1, head_width))
            self.rel_pos_w = nn.Parameter(torch.zeros(2 * grid[1] - 1, head_width))

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        qkv = self.qkv(x).view(batch, height * width, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, H * W, head width)
        if self.rel_pos:
            out = self._with_positions(q, k, v, (height, width))
        else:
            out = F.scaled_dot_product_attention(q, k, v)
        out = out.transpose(1, 2).reshape(batch, height, width, channels)
        projected: Tensor = self.proj(out)
        return projected

    def _with_positions(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend with the position bias, a block of query rows at a time."""
        height, width = grid
        batch, heads, tokens, _ = q.shape
        table_h, table_w = _offsets(self.rel_pos_h, height), _offsets(self.rel_pos_w, width)
        rows_q = q.view(batch, heads, height, width, -1)
        bias_h = torch.einsum("bnyxc,ykc->bnyxk", rows_q, table_h)
        bias_w = torch.einsum("bnyxc,xkc->bnyxk", rows_q, table_w)
        block = max(1, _BIAS_ENTRIES // (batch * heads * width * tokens))
        out = []
        for top in range(0, height, block):
            rows = slice(top, min(top + block, height))
            bias = bias_h[:, :, rows, :, :, None] + bias_w[:, :, rows, :, None, :]
            out.append(
                F.scaled_dot_product_attention(
                    rows_q[:, :, rows].flatten(2, 3), k, v, attn_mask=bias.reshape(batch, heads, -1, tokens)
                )
            )
        return out[0] if len(out) == 1 else torch.cat(out, dim=2)


def _offsets(table: Tensor, size: int) -> Tensor:
    """Look up the table's rows for all pairs: (size, size, C), entry [q, k] for offset q - k."""
    index = torch.arange(size, device=table.device)
    return table[index[:, None] - index[None, :] + size - 1]
