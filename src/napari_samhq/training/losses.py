"""Losses on low-res logits.

Rule of the masks: every prompt trains the single mask (token 0), the HQ mask and their sum, which
is what the user gets. The three candidates are trained by their best one only (minimum loss), most
strongly where the prompt is a single click: as SAM's mask, and as the sum with the HQ mask, which
the user gets and of which only the candidate's part learns here. Scores learn the IoU of that sum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from napari_samhq.model.dense_head import DenseMaps
    from napari_samhq.model.mask_decoder import DecodedMasks

__all__ = [
    "PromptLoss",
    "box_weight",
    "click_loss",
    "dense_loss",
    "mask_loss",
    "prompt_loss",
    "ranking_loss",
    "soft_iou",
]

_RANK_TEMPERATURE = 0.05  # IoUs that differ by less are about equally good


class PromptLoss(NamedTuple):
    """Loss of a round of prompts (scalar tensor), and the mean IoU of the user's mask for the
    log.
    """

    loss: Tensor
    iou: Tensor
    ious: Tensor


def box_weight(target: Tensor, margin: float = 0.5, outside: float = 0.5) -> Tensor:
    """Weights (P, 1, h, w) that sum to one: an object's padded box, and the rest of the crop
    together ``outside`` as much.

    Small objects would drown in the background of the crop otherwise.

    Parameters
    ----------
    target : (P, 1, h, w) float
    margin : float
        Padding relative to the box's longer side, 3 cells at least.
    outside : float
        Weight of all cells beyond the padded box, relative to the padded box.
    """
    present = target[:, 0] > 0
    height, width = present.shape[1:]
    rows = torch.arange(height, device=target.device)
    cols = torch.arange(width, device=target.device)
    in_rows, in_cols = present.any(2), present.any(1)
    top = torch.where(in_rows, rows, height).amin(1)
    bottom = torch.where(in_rows, rows, -1).amax(1)
    left = torch.where(in_cols, cols, width).amin(1)
    right = torch.where(in_cols, cols, -1).amax(1)
    pad = (margin * torch.maximum(bottom - top, right - left).float()).clamp_min(3)
    near_rows = (rows >= (top - pad)[:, None]) & (rows <= (bottom + pad)[:, None])
    near_cols = (cols >= (left - pad)[:, None]) & (cols <= (right + pad)[:, None])
    near = (near_rows[:, :, None] & near_cols[:, None, :]).float()
    inside = near.sum((1, 2), keepdim=True).clamp_min(1)
    rest = (height * width - inside).clamp_min(1)
    weight = near / inside + (1 - near) * torch.minimum(outside / rest, 1 / inside)
    return (weight / weight.sum((1, 2), keepdim=True))[:, None]


def mask_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted cross-entropy plus dice, of each mask.

    Parameters
    ----------
    logits : (P, M, h, w)
    target : (P, 1, h, w) in [0, 1]
        Coverage of each cell by the object.
    weight : (P, 1, h, w)
        Sums to one over each picture.

    Returns
    -------
    (P, M)
    """
    logits = logits.float()
    target = target.expand_as(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    cross = (entropy * weight).sum((2, 3))
    p = torch.sigmoid(logits)
    common = (p * target).sum((2, 3))
    dice = 1 - (2 * common + 1) / (p.sum((2, 3)) + target.sum((2, 3)) + 1)
    return 2 * cross + dice


def soft_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU (P, M) of thresholded logits with the object, both on the low-res grid."""
    mask = logits > 0
    truth = (target > 0.5).expand_as(mask)
    common = (mask & truth).sum((2, 3)).float()
    return common / (mask | truth).sum((2, 3)).clamp_min(1)


def prompt_loss(decoded: DecodedMasks, target: Tensor, *, ambiguous: Tensor) -> PromptLoss:
    """Loss of one decoded round.

    Parameters
    ----------
    decoded : DecodedMasks
    target : (P, 1, h, w) float
    ambiguous : (P,) bool
        Which prompts were single clicks, for which the three candidates matter most.
    """
    weight = box_weight(target)
    sam, hq = decoded.sam_logits.float(), decoded.hq_logits.float()
    single = sam[:, :1]
    what_user_gets = mask_loss(single + hq, target, weight)
    parts = mask_loss(torch.cat([single, hq], dim=1), target, weight)
    alone = mask_loss(sam[:, 1:], target, weight).amin(1)
    summed = mask_loss(sam[:, 1:] + hq.detach(), target, weight).amin(1)
    candidates = 0.5 * (alone + summed)
    with_hq = sam.detach() + hq.detach()
    iou = soft_iou(with_hq, target)
    scores = decoded.scores.float()
    score = F.mse_loss(scores, iou)
    ranks = ranking_loss(scores[:, 1:], iou[:, 1:])
    loss = (
        what_user_gets.mean()
        + 0.35 * parts.sum(1).mean()
        + (torch.where(ambiguous, 0.5, 0.2) * candidates).mean()
        + 0.5 * score
        + 0.05 * ranks
    )
    return PromptLoss(loss, iou[:, 0].mean(), iou[:, 0].detach())


def ranking_loss(scores: Tensor, iou: Tensor) -> Tensor:
    """Cross-entropy between the order of the scores and that of the IoUs.

    Squared errors alone teach how good the three candidates of a prompt are together, and hardly
    which of them is the best (listwise ranking: Cao et al., ICML 2007).

    Parameters
    ----------
    scores, iou : (P, M)
    """
    wanted = F.softmax(iou / _RANK_TEMPERATURE, dim=1)
    told = F.log_softmax(scores.float() / _RANK_TEMPERATURE, dim=1)
    loss: Tensor = -(wanted * told).sum(1).mean()
    return loss


def click_loss(logits: Tensor, points_xy: Tensor, labels: Tensor, stride: int) -> Tensor:
    """Mean cross-entropy at the clicked places: each must lie on its side of the mask.

    Parameters
    ----------
    logits : (P, 1, h, w)
    points_xy : (P, k, 2)
        Crop px.
    labels : (P, k)
        1 foreground, 0 background.
    stride : int
        Crop px per cell.
    """
    cols, rows = (points_xy // stride).long().unbind(2)
    rows = rows.clamp(0, logits.shape[2] - 1)
    cols = cols.clamp(0, logits.shape[3] - 1)
    index = torch.arange(len(logits), device=logits.device)[:, None]
    at = logits[:, 0].float()[index, rows, cols]
    return F.binary_cross_entropy_with_logits(at, labels.float())


def dense_loss(maps: DenseMaps, labels: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """Loss of the dense head: cross-entropy of the foreground, absolute errors of distances and
    directions.

    What is not annotated counts only where all objects are; elsewhere nobody knows what it is.

    Parameters
    ----------
    maps : DenseMaps
        Of B crops.
    labels : (B, c, c) int
    targets : (B, 5, c / 2, c / 2)
        As :func:`~napari_samhq.training.dense_targets.dense_targets` gives them.
    known : (B, c, c) or (B, 1, 1) bool
        Where every object is annotated. Objects are known everywhere.
    """
    inside = F.avg_pool2d((labels > 0).float()[:, None], 2)[:, 0]
    marked = F.avg_pool2d(known.float().expand(labels.shape)[:, None], 2)[:, 0]
    known = torch.maximum(marked, (inside > 0).float())
    entropy = F.binary_cross_entropy_with_logits(maps.foreground, inside, reduction="none")
    foreground = (entropy * known).sum() / known.sum().clamp_min(1)
    border, middle, direction, weight = targets.float().split([1, 1, 2, 1], dim=1)
    weight = weight[:, 0] * torch.where(inside > 0, 1.0, 0.25) * known
    distances = (maps.border - border[:, 0]).abs() + (maps.middle - middle[:, 0]).abs()
    directions = (maps.direction - direction).abs().sum(1) * (inside > 0)
    errors = ((distances + 0.25 * directions) * weight).sum() / weight.sum().clamp_min(1)
    loss: Tensor = foreground + errors
    return loss
