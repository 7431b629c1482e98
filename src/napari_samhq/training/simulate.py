"""Simulated users: boxes drawn by hand, clicks on an object, clicks that correct a mask.

All work on masks of the low-res grid (stride 2 of the model frame), as tensors, many objects at
once. Points come out in crop px: cell ``(i, j)`` of the grid covers px ``2i, 2i + 1`` and ``2j, 2j
+ 1``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["STRIDE", "clicks_in", "corrective_clicks", "jitter_boxes", "rough_masks"]

STRIDE = 2
"""Px of the model frame per cell of the low-res grid."""


def jitter_boxes(
    boxes_xy: Tensor, size: int, generator: torch.Generator, amount: float = 0.08
) -> Tensor:
    """Boxes as a hand draws them: each side off by about ``amount`` of the object's extent, 1 px at
    least.

    Parameters
    ----------
    boxes_xy : (P, 4) float
        Tight boxes x0, y0, x1, y1, px.
    size : int
        Side of the crop; boxes stay inside.
    generator : torch.Generator
    amount : float
        Standard deviation relative to width and height; capped at 20 px.

    Returns
    -------
    (P, 4) float
        Boxes with x0 < x1 and y0 < y1.
    """
    extent = (boxes_xy[:, 2:] - boxes_xy[:, :2]).repeat(1, 2)
    deviation = (amount * extent).clamp(1.0, 20.0)
    noise = torch.randn(boxes_xy.shape, generator=generator, device=boxes_xy.device).clamp(-2, 2)
    # Half of the hands are careful.
    careful = torch.rand(len(boxes_xy), 1, generator=generator, device=boxes_xy.device)
    moved = (boxes_xy + noise * deviation * careful).clamp(0, size - 1)
    low = torch.minimum(moved[:, :2], moved[:, 2:])
    high = torch.maximum(moved[:, :2], moved[:, 2:])
    return torch.cat([low, torch.maximum(high, low + 1)], dim=1)


def _draw(weights: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a cell (P, 2) xy of each (P, h, w) weight picture, px of the crop; all-zero pictures
    give their middle.
    """
    count, height, width = weights.shape
    flat = weights.reshape(count, -1)
    empty = flat.sum(1) <= 0
    flat = torch.where(empty[:, None], torch.ones_like(flat), flat)
    cell = torch.multinomial(flat, 1, generator=generator)[:, 0]
    middle = (height // 2) * width + width // 2
    cell = torch.where(empty, torch.full_like(cell, middle), cell)
    sub = torch.randint(0, STRIDE, (count, 2), generator=generator, device=weights.device)
    return torch.stack([cell % width, cell // width], dim=1) * STRIDE + sub


def _blur(pictures: Tensor, radius: int) -> Tensor:
    """Mean over squares of side 2 radius + 1, one direction after the other."""
    side = 2 * radius + 1
    return F.avg_pool2d(
        F.avg_pool2d(pictures, (side, 1), 1, (radius, 0)), (1, side), 1, (0, radius)
    )


def _inner(region: Tensor, power: float) -> Tensor:
    """Weights that prefer the inside of a region: the region times its own blurred depth."""
    soft = region[:, None].float()
    depth = soft
    for radius in (1, 3, 6):
        depth = depth + _blur(soft, radius)
    depth = depth[:, 0]
    peak = depth.flatten(1).amax(1).clamp_min(1e-6)[:, None, None]
    return region * (depth / peak) ** power


def clicks_in(region: Tensor, generator: torch.Generator) -> Tensor:
    """One click in each region.

    Half of the users aim at the middle, half click anywhere inside.

    Parameters
    ----------
    region : (P, h, w) bool
        Low-res masks.
    generator : torch.Generator

    Returns
    -------
    (P, 2) int64
        x, y in crop px.
    """
    aim = torch.rand(len(region), 1, 1, generator=generator, device=region.device) < 0.5
    weights = torch.where(aim, _inner(region, 8.0), _inner(region, 0.5))
    return _draw(weights, generator)


def corrective_clicks(
    mask: Tensor, target: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Simulate the next click of a user who sees a mask and wants another.

    The click falls inside the wrong pixels, deep inside large wrong regions by preference; where
    nothing is wrong it confirms the object.

    Parameters
    ----------
    mask, target : (P, h, w) bool
    generator : torch.Generator

    Returns
    -------
    points_xy : (P, 2) int64
        Crop px.
    labels : (P,) int64
        1 where the object was missed, 0 where background was taken.
    """
    wrong = mask ^ target
    fine = ~wrong.flatten(1).any(1)
    region = torch.where(fine[:, None, None], target, wrong)
    points = _draw(_inner(region, 4.0), generator)
    rows, cols = points[:, 1] // STRIDE, points[:, 0] // STRIDE
    index = torch.arange(len(points), device=points.device)
    return points, target[index, rows, cols].long()


def rough_masks(target: Tensor, others: Tensor | None, generator: torch.Generator) -> Tensor:
    """Low-res logits of the masks that some earlier step, plane or frame might have left.

    Each object's is shifted, grown or shrunk; of some a part is torn off, or the object beside it
    is taken in (`others`). They are hints: no more than the place, size and rough shape is right.

    Parameters
    ----------
    target : (P, 1, h, w) float in [0, 1]
    others : (P, 1, h, w) float in [0, 1] or None
        The object beside each.
    generator : torch.Generator

    Returns
    -------
    (P, 1, h, w) float
        Of random confidence.
    """
    count, _, height, width = target.shape
    device = target.device

    def chance(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator, device=device)

    merged = target
    if others is not None:
        taken_in = chance(1, 1, 1) < 0.15
        merged = torch.where(taken_in, torch.maximum(target, others), target)
    extent = merged.flatten(1).sum(1).sqrt()[:, None]  # about the object's diameter, in cells
    # Half of the masks lie well, the others are off by up to a third of a diameter.
    reach = torch.where(chance(1) < 0.5, 0.05, 0.25) * extent + 0.5
    offset = (2 * chance(2) - 1) * reach
    scale = 1 + (2 * chance(2) - 1) * torch.where(chance(1) < 0.5, 0.04, 0.2)
    centre = _centres(merged)
    rows = torch.arange(height, device=device, dtype=torch.float32)
    cols = torch.arange(width, device=device, dtype=torch.float32)
    y = centre[:, :1] + (rows - centre[:, :1] - offset[:, :1]) * scale[:, :1]
    x = centre[:, 1:] + (cols - centre[:, 1:] - offset[:, 1:]) * scale[:, 1:]
    grid = torch.stack(
        torch.broadcast_tensors(
            (2 * (x + 0.5) / width - 1)[:, None, :], (2 * (y + 0.5) / height - 1)[:, :, None]
        ),
        dim=-1,
    )
    moved = F.grid_sample(merged, grid, align_corners=False)
    angle = 2 * torch.pi * chance(1, 1)
    side = torch.cos(angle) * (rows[:, None] - centre[:, :1, None]) + torch.sin(angle) * (
        cols - centre[:, 1:, None]
    )
    torn = (chance(1, 1) < 0.15) & (side > (0.3 * chance(1, 1) - 0.1) * extent[..., None])
    moved = moved * (~torn)[:, None]
    radius = int(torch.randint(0, 3, (1,), generator=generator, device=device))
    soft = _blur(moved, radius)
    level = 0.5 + 0.3 * (chance(1, 1, 1) - 0.5)
    gain = 4 + 36 * chance(1, 1, 1)
    return (soft - level) * gain


def _centres(masks: Tensor) -> Tensor:
    """Centres of gravity (P, 2), row and column in cells, of (P, 1, h, w)."""
    total = masks.sum((1, 2, 3)).clamp_min(1e-6)
    rows = torch.arange(masks.shape[2], device=masks.device, dtype=masks.dtype)
    cols = torch.arange(masks.shape[3], device=masks.device, dtype=masks.dtype)
    row = (masks.sum((1, 3)) * rows).sum(1) / total
    col = (masks.sum((1, 2)) * cols).sum(1) / total
    return torch.stack([row, col], dim=1)
