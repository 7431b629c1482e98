"""Prompting in rounds: a first prompt, then clicks that correct what came of it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_samhq.model.sam_hq import ImageFeatures
from napari_samhq.training.losses import prompt_loss
from napari_samhq.training.simulate import clicks_in, corrective_clicks, jitter_boxes, rough_masks

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from napari_samhq.model import SamHQModel
    from napari_samhq.model.mask_decoder import DecodedMasks

__all__ = ["Objects", "decode_mixed", "precision_context", "run_rounds"]


def precision_context(device: torch.device, *, mixed: bool) -> AbstractContextManager[object]:
    """Autocast to bfloat16, or nothing."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if mixed else nullcontext()


@dataclass(frozen=True)
class Objects:
    """Objects to be prompted, with the features of the crop that each lies in.

    ``target`` (P, 1, h, w) coverage of the low-res cells; ``boxes_xy`` (P, 4) crop px;
    ``origin_xy`` (P, 2) place of the crop in the frame.
    """

    features: ImageFeatures
    target: Tensor
    boxes_xy: Tensor
    origin_xy: Tensor

    def __getitem__(self, index: slice) -> Objects:
        features = ImageFeatures(
            self.features.image_embedding[index], self.features.hq_features[index]
        )
        return Objects(features, self.target[index], self.boxes_xy[index], self.origin_xy[index])

    def __len__(self) -> int:
        return len(self.target)


def decode_mixed(
    model: SamHQModel,
    objects: Objects,
    *,
    points_xy: Tensor | None,
    point_labels: Tensor | None,
    boxes_xy: Tensor | None,
    mask_logits: Tensor | None,
    mixed: bool,
) -> DecodedMasks:
    """``SamHQModel.decode`` with positional codes in full precision and the rest in mixed
    precision.

    Places are crop px; a bfloat16 product would blur the codes by more than an object's width.
    """
    encoder = model.prompt_encoder
    device = objects.target.device
    origin = objects.origin_xy[:, None]
    sparse = []
    if points_xy is not None and point_labels is not None:
        sparse.append(
            encoder.points(points_xy.float() + origin, point_labels, pad=boxes_xy is None)
        )
    if boxes_xy is not None:
        sparse.append(encoder.boxes(boxes_xy[:, None] + origin.repeat(1, 1, 2)))
    size = objects.features.image_embedding.shape[2:]
    places = encoder.image_positions((size[0], size[1]), objects.origin_xy)
    with precision_context(device, mixed=mixed):
        decoded: DecodedMasks = model.mask_decoder(
            objects.features.image_embedding,
            objects.features.hq_features,
            places,
            torch.cat(sparse, dim=1) if sparse else None,
            encoder.dense(mask_logits, (size[0], size[1])),
        )
    return decoded


def run_rounds(
    model: SamHQModel,
    objects: Objects,
    *,
    boxed: bool,
    rounds: int,
    generator: torch.Generator,
    mixed: bool,
) -> tuple[Tensor, list[Tensor]]:
    """Prompt objects in rounds, each correcting the last.

    The first prompt of ``boxed`` objects is a jittered box, for one in four batches with a click;
    of others a single click, or for one in four batches a click with one to four more in object and
    surroundings. One in eight batches has a rough mask beside the first prompt. Each further round
    adds a click in the error region and gives the last low-res logits back.

    Returns
    -------
    loss : scalar
        Mean over rounds.
    ious : list of (P,) tensors
        IoU of the user's mask after each round.
    """
    device = objects.target.device
    size = objects.target.shape[-1] * 2
    truth = objects.target[:, 0] > 0.5

    def chance() -> float:
        return float(torch.rand(1, generator=generator, device=device))

    boxes = jitter_boxes(objects.boxes_xy, size, generator) if boxed else None
    points: Tensor | None = None
    labels: Tensor | None = None
    more = chance() < 0.25
    if not boxed or more:
        points = clicks_in(truth, generator)[:, None]
        labels = torch.ones(len(objects), 1, dtype=torch.long, device=device)
    if not boxed and more:
        points, labels = _several(truth, points, labels, int(chance() * 4) + 1, generator)
    mask = rough_masks(objects.target, generator) if chance() < 0.125 else None
    losses, ious = [], []
    for turn in range(rounds):
        decoded = decode_mixed(
            model,
            objects,
            points_xy=points,
            point_labels=labels,
            boxes_xy=boxes,
            mask_logits=mask,
            mixed=mixed,
        )
        single = not boxed and points is not None and points.shape[1] == 1 and mask is None
        result = prompt_loss(decoded, objects.target, ambiguous=single)
        losses.append(result.loss)
        ious.append(result.ious)
        if turn + 1 < rounds:
            logits = (decoded.sam_logits[:, :1].float() + decoded.hq_logits.float()).detach()
            place, kind = corrective_clicks(logits[:, 0] > 0, truth, generator)
            points = (
                place[:, None] if points is None else torch.cat([points, place[:, None]], dim=1)
            )
            labels = kind[:, None] if labels is None else torch.cat([labels, kind[:, None]], dim=1)
            mask = logits if chance() < 0.85 else None
    return torch.stack(losses).mean(), ious


def _several(
    truth: Tensor,
    points: Tensor | None,
    labels: Tensor | None,
    count: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Add clicks in the object and in its near surroundings."""
    assert points is not None
    assert labels is not None
    grown = F.max_pool2d(truth[:, None].float(), 13, 1, 6)[:, 0] > 0
    around = grown & ~truth
    for _ in range(count):
        inside = torch.rand(len(truth), generator=generator, device=truth.device) < 0.5
        inside |= ~around.flatten(1).any(1)
        place = clicks_in(torch.where(inside[:, None, None], truth, around), generator)
        points = torch.cat([points, place[:, None]], dim=1)
        labels = torch.cat([labels, inside.long()[:, None]], dim=1)
    return points, labels
