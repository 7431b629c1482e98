"""Losses on points where the mask is uncertain.

SAM-HQ learns from its masks at points (Ke et al., "Segment Anything in High Quality", NeurIPS
2023), chosen as by PointRend (Kirillov, Wu, He, Girshick, "PointRend: Image segmentation as
rendering", CVPR 2020): from more places than needed, those are taken where the mask is least
certain, and some others. Cross-entropy and dice are computed there, against the outline at the
full resolution of the model's input. So borders count for what they are worth, whatever the size
of the object.

What is different here: half of the places are drawn in the object's padded box, because an object
in a microscope's image may take a thousandth of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["at_points", "point_loss", "uncertain_points"]

POINTS = 2048
"""Points for each object."""

OVERSAMPLING = 3
"""So many times more places are looked at."""

UNCERTAIN_SHARE = 0.75
"""Share of the points that are the least certain places."""

NEAR_SHARE = 0.5
"""Share of all places that lie in the padded box."""


def at_points(pictures: Tensor, places_xy: Tensor) -> Tensor:
    """Read pictures at places, with bilinear interpolation.

    Parameters
    ----------
    pictures : Tensor of shape (P, M, h, w)
    places_xy : Tensor of shape (P, N, 2)
        From 0 to 1 over the whole picture, whatever its resolution.

    Returns
    -------
    Tensor of shape (P, M, N)
    """
    grid = (2 * places_xy - 1)[:, :, None]
    values = F.grid_sample(
        pictures, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return values[..., 0]


@torch.no_grad()
def uncertain_points(
    logits: Tensor, boxes_xy: Tensor, generator: torch.Generator, count: int = POINTS
) -> Tensor:
    """Choose places of masks to learn from, most of them where the mask is least certain.

    Parameters
    ----------
    logits : Tensor of shape (P, 1, h, w)
    boxes_xy : Tensor of shape (P, 4)
        Tight boxes of the objects, from 0 to 1; they are padded by half of their extent.
    generator : torch.Generator
    count : int
        Points for each object.

    Returns
    -------
    Tensor of shape (P, count, 2)
        From 0 to 1 over the picture.
    """
    total = OVERSAMPLING * count
    places = torch.rand(len(logits), total, 2, generator=generator, device=logits.device)
    near = round(NEAR_SHARE * total)
    low, high = boxes_xy[:, None, :2], boxes_xy[:, None, 2:]
    pad = 0.5 * (high - low) + 0.01
    low, high = (low - pad).clamp(0, 1), (high + pad).clamp(0, 1)
    # Near and far places alternate, so that any part of the list is a fair sample.
    order = torch.randperm(total, generator=generator, device=logits.device)
    chosen = order[:near]
    places[:, chosen] = low + places[:, chosen] * (high - low)
    doubt = -at_points(logits, places)[:, 0].abs()
    uncertain = round(UNCERTAIN_SHARE * count)
    best = doubt.topk(uncertain, dim=1).indices
    picked = torch.gather(places, 1, best[..., None].expand(-1, -1, 2))
    return torch.cat([picked, places[:, -(count - uncertain) :]], dim=1)


def point_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy plus dice over points.

    Parameters
    ----------
    logits : Tensor of shape (P, M, N)
    target : Tensor of shape (P, 1, N), in [0, 1]

    Returns
    -------
    Tensor of shape (P, M)
    """
    target = target.expand_as(logits)
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(2)
    p = torch.sigmoid(logits)
    dice = 1 - (2 * (p * target).sum(2) + 1) / (p.sum(2) + target.sum(2) + 1)
    return cross + dice
