"""Prompting in rounds: a first prompt, then corrective clicks."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_samhq.model.prompt_maps import PromptPictures
from napari_samhq.training.losses import click_loss, prompt_loss
from napari_samhq.training.simulate import (
    STRIDE,
    clicks_in,
    corrective_clicks,
    jitter_boxes,
    rough_masks,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from napari_samhq.model import SamHQModel
    from napari_samhq.model.mask_decoder import DecodedMasks
    from napari_samhq.model.sam_hq import ImageFeatures

__all__ = [
    "Objects",
    "Rounds",
    "bfloat16_pays",
    "encode_prompts",
    "precision_context",
    "run_rounds",
]

_CLICK_WEIGHT = 0.3  # of the clicked places beside the whole mask


def bfloat16_pays(device: torch.device) -> bool:
    """Whether mixed precision is faster on this device."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # Processors without matrix units emulate it, which takes twice as long as full precision.
    return device.type == "cpu" and bool(torch.cpu._is_amx_tile_supported())


def precision_context(device: torch.device, *, mixed: bool) -> AbstractContextManager[object]:
    """Autocast to bfloat16, or nothing."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if mixed else nullcontext()


@dataclass(frozen=True)
class Objects:
    """Objects to be prompted, with the features of the crop that each lies in.

    ``target`` (P, 1, h, w) coverage of the low-res cells; ``boxes_xy`` (P, 4) crop px;
    ``origin_xy`` (P, 2) place of the crop in the frame. The first ``boxed`` objects begin with a
    box, the others with a click. ``others`` (P, 1, h, w) is the object beside each.
    """

    features: ImageFeatures
    target: Tensor
    boxes_xy: Tensor
    origin_xy: Tensor
    boxed: int
    others: Tensor | None = None


@dataclass(frozen=True)
class Rounds:
    """What came of prompting in rounds: the mean loss, and the IoU (P,) after each round."""

    loss: Tensor
    ious: list[Tensor]


def encode_prompts(
    model: SamHQModel,
    objects: Objects,
    boxes_xy: Tensor,
    points_xy: Tensor,
    point_labels: Tensor,
) -> tuple[Tensor, PromptPictures | None]:
    """Encode the prompts of all objects, in full precision: tokens (P, k + 1, C) and pictures.

    A box counts as two tokens and so does a first click, because a padding point follows where
    there is no box. Boxed objects have no use for the first of the ``k`` clicks, so all have the
    same number of tokens and are decoded together.

    Parameters
    ----------
    boxes_xy : (boxed, 4), crop px
    points_xy : (P, k, 2), crop px
    point_labels : (P, k)
    """
    encoder = model.prompt_encoder
    boxed = objects.boxed
    grid = objects.features.image_embedding.shape[2:]
    size = (grid[0], grid[1])
    points = points_xy.float() + objects.origin_xy[:, None]
    boxes = boxes_xy[:, None] + objects.origin_xy[:boxed, None].repeat(1, 1, 2)
    tokens, pictures = [], []
    if boxed:
        further, kinds = points[:boxed, 1:], point_labels[:boxed, 1:]
        origin = objects.origin_xy[:boxed]
        with_box = encoder.points(further, kinds, pad=False)
        tokens.append(torch.cat([with_box, encoder.boxes(boxes)], dim=1))
        pictures.append(encoder.pictures(further, kinds, boxes, size, origin))
    if boxed < len(points):
        clicks, kinds, origin = points[boxed:], point_labels[boxed:], objects.origin_xy[boxed:]
        tokens.append(encoder.points(clicks, kinds, pad=True))
        pictures.append(encoder.pictures(clicks, kinds, None, size, origin))
    drawn = [p for p in pictures if p is not None]
    if not drawn:
        return torch.cat(tokens), None
    coarse = torch.cat([picture.coarse for picture in drawn])
    fine = torch.cat([picture.fine(slice(None)) for picture in drawn])
    return torch.cat(tokens), PromptPictures(coarse, fine.__getitem__)


def run_rounds(
    model: SamHQModel, objects: Objects, *, rounds: int, generator: torch.Generator, mixed: bool
) -> Rounds:
    """Prompt objects in rounds, each correcting the last.

    The first prompt is a jittered box or a single click; in one of four batches up to three more
    clicks in object and surroundings come with it, and in one of five a rough mask. Each further
    round adds a click in the error region and gives the last low-res logits back (mostly).

    Positional codes are computed in full precision: a bfloat16 product would blur them by more
    than an object's width.
    """
    device = objects.target.device
    encoder = model.prompt_encoder
    truth = objects.target[:, 0] > 0.5
    grid = objects.features.image_embedding.shape[2:]
    places = encoder.image_positions((grid[0], grid[1]), objects.origin_xy)

    def chance() -> float:
        return float(torch.rand(1, generator=generator, device=device))

    crop = objects.target.shape[-1] * STRIDE
    boxes = jitter_boxes(objects.boxes_xy[: objects.boxed], crop, generator)
    points = clicks_in(truth, generator)[:, None]
    labels = torch.ones(len(truth), 1, dtype=torch.long, device=device)
    if chance() < 0.25:
        points, labels = _more_clicks(truth, points, labels, int(chance() * 3) + 1, generator)
    hinted = chance() < 0.2
    mask = rough_masks(objects.target, objects.others, generator) if hinted else None
    losses, ious = [], []
    for turn in range(rounds):
        single = torch.arange(len(truth), device=device) >= objects.boxed
        single &= points.shape[1] == 1 and mask is None
        tokens, pictures = encode_prompts(model, objects, boxes, points, labels)
        with precision_context(device, mixed=mixed):
            decoded: DecodedMasks = model.mask_decoder(
                *objects.features,
                places,
                tokens,
                encoder.dense(mask, (grid[0], grid[1])),
                pictures,
            )
        result = prompt_loss(decoded, objects.target, ambiguous=single)
        seen = decoded.sam_logits[:, :1].float() + decoded.hq_logits.float()
        obeyed = click_loss(seen, points, labels, STRIDE)
        losses.append(result.loss + _CLICK_WEIGHT * obeyed)
        ious.append(result.ious)
        if turn + 1 < rounds:
            mask = seen.detach()
            place, kind = corrective_clicks(mask[:, 0] > 0, truth, generator)
            points = torch.cat([points, place[:, None]], dim=1)
            labels = torch.cat([labels, kind[:, None]], dim=1)
            mask = mask if chance() < 0.85 else None
    return Rounds(torch.stack(losses).mean(), ious)


def _more_clicks(
    truth: Tensor, points: Tensor, labels: Tensor, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Add clicks in the object and in its near surroundings."""
    grown = F.max_pool2d(truth[:, None].float(), 13, 1, 6)[:, 0] > 0
    around = grown & ~truth
    for _ in range(count):
        inside = torch.rand(len(truth), generator=generator, device=truth.device) < 0.5
        inside |= ~around.flatten(1).any(1)
        place = clicks_in(torch.where(inside[:, None, None], truth, around), generator)
        points = torch.cat([points, place[:, None]], dim=1)
        labels = torch.cat([labels, inside.long()[:, None]], dim=1)
    return points, labels
