"""Pictures of the prompts: maps over the frame that say where points and box are.

A two-way transformer finds a prompt's place only by comparing positional codes, which takes long
training. Drawing the prompts into the picture says it outright, as in click-based segmentation
(Xu et al., "Deep interactive object selection", CVPR 2016; Sofiiuk et al., "Reviving iterative
training with mask guidance", ICIP 2022). Distances are continuous, so places finer than a cell
are kept. Published SAM-HQ models have no such maps; the bundled ``micro`` has.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["MAP_COUNT", "PromptMapEmbedding", "PromptPictures", "prompt_maps"]

POINT_SCALES_PX = (6.0, 20.0, 60.0, 160.0)
BOX_SCALES_PX = (4.0, 20.0, 80.0)
# Of each kind of point a bump per scale; of the box its four sides, and the nearest of them, per
# scale, and its ellipse; whether there is a box, whether there are points.
MAP_COUNT = 2 * len(POINT_SCALES_PX) + 5 * len(BOX_SCALES_PX) + 3


class PromptPictures(NamedTuple):
    """Embedded maps of P prompts.

    Attributes
    ----------
    coarse : Tensor of shape (P, C, h, w)
        On the grid of the image embedding, to be added to the dense embedding.
    fine : callable
        Takes an index of prompts, gives theirs (n, C / 8, 4h, 4w): on the grid of the low-res
        logits, to be added to the mask decoder's upscaled features. Not made before it is asked
        for: it takes a quarter of a prompt's time, and unpromising prompts do without.
    """

    coarse: Tensor
    fine: Callable[[Tensor | slice], Tensor]


def prompt_maps(
    points_xy: Tensor | None,
    labels: Tensor | None,
    boxes_xy: Tensor | None,
    columns: Tensor,
    rows: Tensor,
) -> Tensor:
    """Draw prompts on a grid.

    Parameters
    ----------
    points_xy : Tensor of shape (P, N, 2) or None
        Model pixels; integers are pixel centres.
    labels : Tensor of shape (P, N) or None
        1 foreground, 0 background; points with other labels are not drawn.
    boxes_xy : Tensor of shape (P, K, 4) or None
        x0, y0, x1, y1 in model pixels. At least one of points and boxes is given.
    columns, rows : Tensor of shape (1 or P, w) and (1 or P, h)
        Centres of the grid's cells; model pixels, counted from the frame's edge.

    Returns
    -------
    Tensor of shape (P, MAP_COUNT, h, w)
        Values between -1 and 1.
    """
    count = len(points_xy if points_xy is not None else boxes_xy)  # type: ignore[arg-type]
    maps = [rows.new_zeros(count, rows.shape[1], columns.shape[1])] * MAP_COUNT
    for index, drawn in _drawn(points_xy, labels, boxes_xy, columns, rows):
        maps[index] = drawn.expand_as(maps[index])
    return torch.stack(maps, dim=1)


def _drawn(
    points_xy: Tensor | None,
    labels: Tensor | None,
    boxes_xy: Tensor | None,
    columns: Tensor,
    rows: Tensor,
) -> Iterator[tuple[int, Tensor]]:
    """Draw only what is not 0: places among the maps, and maps (P, 1 or h, 1 or w)."""
    bumps = len(POINT_SCALES_PX)
    if points_xy is not None and labels is not None and points_xy.shape[1]:
        centres = points_xy.to(rows.dtype) + 0.5
        across = (columns[:, None] - centres[..., :1]) ** 2
        down = (rows[:, None] - centres[..., 1:]) ** 2
        for kind, first in ((1, 0), (0, bumps)):
            # Points of another kind are infinitely far, where a bump is 0.
            away = torch.where(labels == kind, 0.0, torch.inf)[..., None].to(rows.dtype)
            for index, scale in enumerate(POINT_SCALES_PX, first):
                x, y = (torch.exp(d / (-2 * scale**2)) for d in (across, down + away))
                yield index, (y[..., None] * x[..., None, :]).amax(1)
        any_drawn = ((labels == 1) | (labels == 0)).any(1).to(rows.dtype)
        yield MAP_COUNT - 1, any_drawn[:, None, None]
    if boxes_xy is not None:
        yield from enumerate(_box_maps(boxes_xy.to(rows.dtype) + 0.5, columns, rows), 2 * bumps)


def _box_maps(boxes_xy: Tensor, columns: Tensor, rows: Tensor) -> Iterator[Tensor]:
    """Signed distances to the sides, positive inside; of several boxes the greatest."""
    x0, y0, x1, y1 = boxes_xy[..., None].unbind(2)
    x, y = columns[:, None], rows[:, None]
    for scale in BOX_SCALES_PX:
        left, right = torch.tanh((x - x0) / scale), torch.tanh((x1 - x) / scale)
        top, bottom = torch.tanh((y - y0) / scale), torch.tanh((y1 - y) / scale)
        yield from (side.amax(1)[:, None, :] for side in (left, right))
        yield from (side.amax(1)[..., None] for side in (top, bottom))
        by_column, by_row = torch.minimum(left, right), torch.minimum(top, bottom)
        yield torch.minimum(by_column[..., None, :], by_row[..., None]).amax(1)
    across = (2 * x - x0 - x1) / (x1 - x0).clamp_min(1)
    down = (2 * y - y0 - y1) / (y1 - y0).clamp_min(1)
    yield torch.tanh(1 - across[..., None, :] ** 2 - down[..., None] ** 2).amax(1)
    yield torch.ones_like(x0[:, :1])


def _mixed(maps: Iterable[tuple[int, Tensor]], convolution: nn.Conv2d) -> Tensor:
    """Apply a 1x1 convolution to maps as `_drawn` gives them: (P, h, w, C).

    Maps that do not change along an axis are multiplied with its weights before they are spread
    out; a box's sides are such, and so are most maps.
    """
    weight, bias = convolution.weight.flatten(1), convolution.bias
    thin: dict[torch.Size, Tensor] = {}
    full = []
    for index, drawn in maps:
        if 1 in drawn.shape[1:]:
            product = drawn[..., None] * weight[:, index]
            thin[drawn.shape] = thin[drawn.shape] + product if drawn.shape in thin else product
        else:
            full.append((index, drawn))
    stacked = torch.stack([drawn for _, drawn in full], dim=1)
    columns = weight[:, [index for index, _ in full]]
    flat = F.linear(stacked.flatten(2).transpose(1, 2), columns, bias)
    mixed: Tensor = flat.unflatten(1, stacked.shape[2:])
    for product in thin.values():
        mixed = mixed + product
    return mixed


class _Mixer(nn.Sequential):
    """Two 1x1 convolutions with an activation between them; 0 until it is trained."""

    def __init__(self, hidden: int, out: int) -> None:
        first, last = nn.Conv2d(MAP_COUNT, hidden, 1), nn.Conv2d(hidden, out, 1)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        super().__init__(first, nn.GELU(), last)

    def forward(self, maps: Iterable[tuple[int, Tensor]]) -> Tensor:
        first, last = self[0], self[2]
        assert isinstance(first, nn.Conv2d)
        assert isinstance(last, nn.Conv2d)
        picture = F.linear(F.gelu(_mixed(maps, first)), last.weight.flatten(1), last.bias)
        # Channels lie side by side in memory, as they do in what it is added to.
        return picture.permute(0, 3, 1, 2)


class PromptMapEmbedding(nn.Module):
    """Learned embedding of prompt maps on both grids; zero until it is trained.

    Parameters
    ----------
    channels : int
        Width of the dense embedding.
    patch_size : int
        Model pixels per place of the image embedding.
    """

    def __init__(self, channels: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.coarse = _Mixer(channels // 2, channels)
        self.fine = _Mixer(channels // 8, channels // 8)

    def forward(
        self,
        points_xy: Tensor | None,
        labels: Tensor | None,
        boxes_xy: Tensor | None,
        size: tuple[int, int],
        origin_xy: Tensor | None = None,
    ) -> PromptPictures:
        """Draw and embed prompts for an image embedding of `size` that begins at `origin_xy`."""

        def drawn(finer: int, which: Tensor | slice) -> Tensor:
            mixer = self.fine if finer > 1 else self.coarse
            cell = self.patch_size / finer
            table = next(mixer.parameters())  # whose device and precision count
            rows, columns = (
                (torch.arange(finer * n, device=table.device, dtype=table.dtype) + 0.5)[None] * cell
                for n in size
            )
            points, kinds, boxes, origin = (
                None if t is None else t[which] for t in (points_xy, labels, boxes_xy, origin_xy)
            )
            if origin is not None:
                columns = columns + origin[:, :1].to(columns.dtype)
                rows = rows + origin[:, 1:].to(rows.dtype)
            picture: Tensor = mixer(_drawn(points, kinds, boxes, columns, rows))
            return picture

        return PromptPictures(drawn(1, slice(None)), partial(drawn, 4))
