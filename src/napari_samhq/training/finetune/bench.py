"""Prompted objects in views: batches for learning, one by one for measuring."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from napari_samhq.core.measure.clicks import deepest_point
from napari_samhq.core.measure.metrics import boundary_iou, iou
from napari_samhq.model.sam_hq import ImageFeatures
from napari_samhq.training.rounds import Objects, encode_prompts, precision_context

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from napari_samhq.model import SamHQModel
    from napari_samhq.model.mask_decoder import DecodedMasks
    from napari_samhq.training.finetune.low_rank import LowRank
    from napari_samhq.training.finetune.views import View

__all__ = ["Batch", "Bench", "Shown", "shown_in"]

_MOST_MEASURED = 40


@dataclass(frozen=True, eq=False)
class Shown:
    """An object in a view: place of the view, label id, box in model pixels (first to last)."""

    view: int
    label: int
    box_xy: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Batch:
    """Objects that are prompted together.

    Attributes
    ----------
    features : ImageFeatures
        Of P views, one for each object.
    target : Tensor of shape (P, 1, S, S)
        The objects, at the resolution of the model's input.
    boxes_xy : Tensor of shape (P, 4)
        Model pixels, first to last.
    """

    features: ImageFeatures
    target: Tensor
    boxes_xy: Tensor

    @property
    def side(self) -> int:
        """Model pixels along each side."""
        return int(self.target.shape[-1])


class Bench:
    """Prompts a model that is being trained, on what its frozen part saw.

    Parameters
    ----------
    network : SamHQModel
    mixed : bool
        Whether to compute in bfloat16 where that does no harm.
    additions : LowRank, optional
        Those of the encoder, where it learns too: views are pixels then.
    """

    def __init__(
        self, network: SamHQModel, *, mixed: bool, additions: LowRank | None = None
    ) -> None:
        self.network, self.mixed, self._additions = network, mixed, additions
        self.device = network.device

    def gather(self, views: Sequence[View], shown: Sequence[Shown]) -> Batch:
        """Compute the features of the views that are needed, once each."""
        used = sorted({one.view for one in shown})
        kept = zip(*(views[k].kept for k in used), strict=True)
        seen = [torch.stack(tensors).to(self.device).float() for tensors in kept]
        with precision_context(self.device, mixed=self.mixed):
            image, early = seen if self._additions is None else self._additions.encode(*seen)
            image, early = image.float(), early.float()
            hq = self.network.mask_decoder.hq_features(image, early).float()
        index = torch.tensor([used.index(one.view) for one in shown], device=self.device)
        masks = np.stack([views[one.view].labels == one.label for one in shown])
        target = torch.from_numpy(masks).to(self.device).float()[:, None]
        boxes = torch.tensor([one.box_xy for one in shown], device=self.device).float()
        return Batch(ImageFeatures(image[index], hq[index]), target, boxes)

    def ask(
        self,
        batch: Batch,
        boxes: Tensor,
        points: Tensor,
        labels: Tensor,
        mask: Tensor | None = None,
    ) -> DecodedMasks:
        """Prompt all objects, the first ones by boxes (b, 4), the others by clicks.

        Positions are encoded in full precision: bfloat16 would blur them.

        Parameters
        ----------
        batch : Batch
            Of P objects.
        boxes : Tensor of shape (b, 4)
        points : Tensor of shape (P, k, 2)
            Of those with a box all but the first are used.
        labels : Tensor of shape (P, k)
        mask : Tensor of shape (P, 1, h, w), optional
            Low-res logits of an earlier answer.
        """
        encoder = self.network.prompt_encoder
        height, width = batch.features.image_embedding.shape[2:]
        origin = torch.zeros(len(points), 2, device=self.device)
        objects = Objects(batch.features, batch.target, batch.boxes_xy, origin, len(boxes))
        tokens, pictures = encode_prompts(self.network, objects, boxes, points, labels)
        dense = encoder.dense(mask, (height, width))
        places = encoder.image_positions((height, width))
        with precision_context(self.device, mixed=self.mixed):
            decoded: DecodedMasks = self.network.mask_decoder(
                *batch.features, places, tokens, dense, pictures
            )
        return decoded

    @torch.no_grad()
    def measure(
        self, views: Sequence[View], shown: Sequence[Shown], prompts: str, size: int
    ) -> tuple[float, float]:
        """Ask about objects by tight boxes and middle clicks: mean IoU and mean boundary IoU.

        Parameters
        ----------
        views, shown : sequence
            Of many objects forty are asked about, evenly chosen.
        prompts : {"both", "boxes", "clicks"}
        size : int
            Objects at a time.
        """
        shown = shown[:: max(1, math.ceil(len(shown) / _MOST_MEASURED))]
        pairs = [
            pair
            for start in range(0, len(shown), size)
            for pair in self._measured(views, shown[start : start + size], prompts)
        ]
        area, border = np.mean(pairs, axis=0).tolist()
        return area, border

    def _measured(
        self, views: Sequence[View], shown: Sequence[Shown], prompts: str
    ) -> Iterator[tuple[float, float]]:
        middles = [_deepest(views[one.view], one) for one in shown]
        points = torch.tensor(middles, device=self.device).float()[:, None]
        labels = torch.ones(len(shown), 1, dtype=torch.long, device=self.device)
        batch = self.gather(views, shown)
        truth = batch.target[:, 0].cpu().numpy() > 0.5
        boxes = batch.boxes_xy
        for given in {"boxes": [boxes], "clicks": [boxes[:0]], "both": [boxes, boxes[:0]]}[prompts]:
            decoded = self.ask(batch, given, points, labels)
            logits = decoded.sam_logits[:, :1].float() + decoded.hq_logits.float()
            size = (batch.side, batch.side)
            full = F.interpolate(logits, size, mode="bilinear", align_corners=False)
            found = (full[:, 0] > 0).cpu().numpy()
            for mask, true, one in zip(found, truth, shown, strict=True):
                where = _padded(one.box_xy, batch.side)
                yield iou(mask, true), boundary_iou(mask[where], true[where])


def shown_in(views: Sequence[View]) -> list[Shown]:
    """List the objects in views."""
    return [
        Shown(index, label, box)
        for index, view in enumerate(views)
        for label, box in view.objects.items()
    ]


def _deepest(view: View, one: Shown) -> tuple[int, int]:
    """Column and row of the pixel farthest from the object's border."""
    x0, y0, x1, y1 = one.box_xy
    inside = view.labels[y0 : y1 + 1, x0 : x1 + 1] == one.label
    row, col = deepest_point(inside)
    return x0 + col, y0 + row


def _padded(box_xy: tuple[int, int, int, int], side: int) -> tuple[slice, slice]:
    """Pad a box by half of its extent, 3 px at least: where borders are compared."""
    x0, y0, x1, y1 = box_xy
    parts = []
    for low, high in ((y0, y1), (x0, x1)):
        pad = max(3, (high - low + 1) // 2)
        parts.append(slice(max(0, low - pad), min(side, high + 1 + pad)))
    return parts[0], parts[1]
