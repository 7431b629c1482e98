"""Self-attention of the vision transformer: windows, and decomposed relative positions.

The position bias between a query at (y, x) and a key at (y', x') is a sum of two products,
``q . R_h[y - y'] + q . R_w[x - x']`` (Li et al., MViTv2, CVPR 2022, as used by ViTDet and SAM).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ViTAttention", "join_windows", "split_windows"]

# Scores are computed for as many heads, or rows of queries of one head, at a time as stay below
# this many entries: on a CPU what stays in the cache, which takes 0.4 of the time. All scores of a
# 64 x 64 grid with 12 heads would be 0.8 GB, several times over. The order of the sums is the same.
_SCORES_PER_STEP = {"cpu": 1 << 20}
_SCORES_PER_STEP_ELSEWHERE = 1 << 25


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
    sum_positions_first : bool
        Order of the sums ``scores + (rows + columns)`` or ``(scores + rows) + columns``. They
        differ by rounding alone; published models of either origin come out bit by bit.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        grid: tuple[int, int],
        *,
        qkv_bias: bool = True,
        rel_pos: bool = True,
        sum_positions_first: bool = True,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)
        self.sum_positions_first = sum_positions_first
        self.rel_pos_h: nn.Parameter | None = None
        self.rel_pos_w: nn.Parameter | None = None
        if rel_pos:
            self.rel_pos_h = nn.Parameter(torch.zeros(2 * grid[0] - 1, width // heads))
            self.rel_pos_w = nn.Parameter(torch.zeros(2 * grid[1] - 1, width // heads))

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        q, k, v = self._project(x.flatten(1, 2))
        out = self._attend(q, k, v, (height, width))
        out = out.view(batch, self.heads, height, width, -1).permute(0, 2, 3, 1, 4)
        projected: Tensor = self.proj(out.reshape(batch, height, width, channels))
        return projected

    def _project(self, x: Tensor) -> Iterator[Tensor]:
        """Make queries, keys and values (B * heads, N, C / heads) of tokens (B, N, C)."""
        # On a processor three narrow products of bfloat16 take 0.9 of the time of a wide one.
        count = 3 if x.device.type == "cpu" and x.dtype == torch.bfloat16 else 1
        bias: Tensor | None = self.qkv.bias  # torch says that there always is one
        biases = [None] * count if bias is None else bias.chunk(count)
        for weight, some in zip(self.qkv.weight.chunk(count), biases, strict=True):
            parts = F.linear(x, weight, some).unflatten(-1, (3 // count, self.heads, -1))
            yield from parts.permute(2, 0, 3, 1, 4).flatten(1, 2)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend (B * heads, H * W, C), a few heads or rows of the query grid at a time."""
        height, width = grid
        tokens = height * width
        most = _SCORES_PER_STEP.get(q.device.type, _SCORES_PER_STEP_ELSEWHERE)
        heads = max(1, most // tokens**2)
        step = max(1, min(height, most // (heads * width * tokens)))
        # Memory of every step is used again: new memory costs a large part of a step's time.
        wide = (min(heads, len(q)), step * width, tokens)
        kept, sums = (None if torch.is_grad_enabled() else q.new_empty(wide) for _ in range(2))
        out = []
        for some_q, some_k, some_v in zip(
            q.split(heads), k.split(heads), v.split(heads), strict=True
        ):
            positions = self._position_terms(some_q, grid)
            scaled, keys = some_q * q.shape[-1] ** -0.5, some_k.transpose(1, 2)
            if q.dtype != torch.float32:
                keys = keys.contiguous()  # or it would be made so in every step
            for top in range(0, height, step):
                rows = slice(top, min(top + step, height))
                queries = scaled[:, rows.start * width : rows.stop * width]
                scores = torch.bmm(queries, keys, out=_part(kept, queries))
                if positions is not None:
                    by_row, by_column = (term[:, rows] for term in positions)
                    places = scores.view(len(scores), -1, width, height, width)
                    if self.sum_positions_first:
                        room = _part(sums, queries)
                        room = None if room is None else room.view(places.shape)
                        places += torch.add(by_row, by_column, out=room)
                    else:
                        places += by_row
                        places += by_column
                out.append(scores.softmax(dim=-1) @ some_v)
        return torch.cat([part.flatten(0, 1) for part in out]).view(q.shape)

    def _position_terms(self, q: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor] | None:
        """Return the bias by key row (B, H, W, H, 1) and by key column (B, H, W, 1, W)."""
        if self.rel_pos_h is None or self.rel_pos_w is None:
            return None
        height, width = grid
        by_place = q.reshape(len(q), height, width, -1)
        by_row = torch.einsum("byxc,ykc->byxk", by_place, _offsets(self.rel_pos_h, height))
        by_column = torch.einsum("byxc,xkc->byxk", by_place, _offsets(self.rel_pos_w, width))
        return by_row[..., None], by_column[..., None, :]


def _part(memory: Tensor | None, queries: Tensor) -> Tensor | None:
    """Take what the scores of some queries (B, N, C) need of memory for more of them."""
    return None if memory is None else memory[: len(queries), : queries.shape[1]]


def _offsets(table: Tensor, size: int) -> Tensor:
    """Look up the table's rows for all pairs: (size, size, C), entry [q, k] for offset q - k."""
    index = torch.arange(size, device=table.device)
    return table[index[:, None] - index[None, :] + size - 1]
