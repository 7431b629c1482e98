"""Fine-tuning of the mask decoder, or its HQ part, on cached embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from napari_samhq.errors import TrainingError
from napari_samhq.training.finetune.bench import Batch, Bench, shown_in
from napari_samhq.training.finetune.events import Check
from napari_samhq.training.finetune.learner import Learner
from napari_samhq.training.finetune.low_rank import LowRank
from napari_samhq.training.finetune.point_losses import at_points, point_loss, uncertain_points
from napari_samhq.training.simulate import STRIDE, clicks_in, corrective_clicks, jitter_boxes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

    from napari_samhq.model import SamHQModel
    from napari_samhq.model.mask_decoder import DecodedMasks
    from napari_samhq.training.finetune.settings import TuningSettings
    from napari_samhq.training.finetune.views import View

__all__ = ["HQ_PARTS", "Tuner", "trained_names"]

HQ_PARTS = (
    "hq_token",
    "hq_mask_mlp",
    "compress_vit_",
    "encoder_conv",
    "encoder_norm",
    "mask_conv",
    "mask_norm",
    "join_hq",
)
"""What SAM-HQ adds to SAM's decoder: its token, the token's MLP, and the convolutions that fuse."""

_CORRECTED = 0.3  # share of the steps with a second round, in which a click corrects the first
_ALONE = 0.35  # weight of the HQ mask by itself, beside the sum that users get


def trained_names(network: SamHQModel, parts: str) -> list[str]:
    """List the parameters that learn; of the encoder, which gets additions instead, none."""
    names = [name for name, _ in network.named_parameters() if name.startswith("mask_decoder.")]
    if parts != "hq":
        return names
    return [name for name in names if name.removeprefix("mask_decoder.").startswith(HQ_PARTS)]


class Tuner(Learner[Check]):
    """Changes what answers prompts, step by step.

    Parameters
    ----------
    network : SamHQModel
        The base, on its device. Its trained weights are changed.
    learned, held_out : sequence of View
        To learn from, and to measure with.
    settings : TuningSettings
    mixed : bool
        Whether to compute in bfloat16 where that does no harm.
    """

    def __init__(
        self,
        network: SamHQModel,
        learned: Sequence[View],
        held_out: Sequence[View],
        settings: TuningSettings,
        *,
        mixed: bool = False,
    ) -> None:
        self.device = network.device
        self._additions = (
            LowRank(network, settings.rank, settings.seed) if settings.parts == "encoder" else None
        )
        self._bench = Bench(network, mixed=mixed, additions=self._additions)
        self._learned, self._held_out = list(learned), list(held_out)
        self._objects, self._checked = shown_in(self._learned), shown_in(self._held_out)
        if not self._objects or not self._checked:
            raise TrainingError(
                "All objects vanish at the resolution of the model's input, so that there is "
                "nothing to learn from or to measure with. Cut the images to where objects are."
            )
        parameters = dict(network.named_parameters())
        weights: dict[str, Any] = {
            name: parameters[name] for name in trained_names(network, settings.parts)
        }
        if self._additions is not None:
            weights |= self._additions.tensors
        super().__init__(weights, settings)

    # ------------------------------------------------------------------------------------ learning

    def use_best(self) -> None:
        """Give the network the best weights."""
        super().use_best()
        if self._additions is not None:
            self._additions.merge()

    def _measured(self) -> Check:
        size = max(self.settings.batch, 4)
        found = self._bench.measure(self._held_out, self._checked, self.settings.prompts, size)
        return Check(self.step, *found)

    def _known_check(self, step: int, *values: float) -> Check:
        return Check(step, *values)

    def _loss_of_step(self, rng: np.random.Generator, seed: int) -> Tensor:
        generator = torch.Generator(self.device).manual_seed(seed)
        return self._loss(*self._batch(rng), generator)

    def _batch(self, rng: np.random.Generator) -> tuple[Batch, int]:
        """Pick objects, and tell how many of them begin with a box."""
        objects = self._objects
        if self._additions is not None:  # one picture a step: to look at it is what takes time
            view = objects[int(rng.integers(len(objects)))].view
            objects = [one for one in objects if one.view == view]
        count = min(self.settings.batch, len(objects))
        picked = rng.choice(len(objects), count, replace=False)
        boxed = {"boxes": count, "clicks": 0, "both": (count + 1) // 2}[self.settings.prompts]
        if self.settings.prompts == "both" and count == 1:
            boxed = int(rng.random() < 0.5)
        return self._bench.gather(self._learned, [objects[index] for index in picked]), boxed

    def _loss(self, batch: Batch, boxed: int, generator: torch.Generator) -> Tensor:
        cell = batch.side // (4 * batch.features.image_embedding.shape[-1])
        coarse = F.avg_pool2d(batch.target, cell)[:, 0] > 0.5
        # Objects thinner than a cell have no cell of their own: the one they touch most.
        thin = ~coarse.flatten(1).any(1)
        if bool(thin.any()):
            coarse[thin] = F.max_pool2d(batch.target[thin], cell)[:, 0] > 0.5
        boxes = jitter_boxes(batch.boxes_xy[:boxed], batch.side, generator)
        points = clicks_in(coarse, generator)[:, None] * (cell / STRIDE)
        labels = torch.ones(len(coarse), 1, dtype=torch.long, device=self.device)
        mask = None
        corrected = float(torch.rand(1, generator=generator, device=self.device)) < _CORRECTED
        losses = []
        for turn in range(2 if corrected else 1):
            decoded = self._bench.ask(batch, boxes, points, labels, mask)
            together = decoded.sam_logits[:, :1].float() + decoded.hq_logits.float()
            losses.append(self._loss_of(decoded, together, batch, generator))
            if corrected and not turn:
                mask = together.detach()
                place, kind = corrective_clicks(mask[:, 0] > 0, coarse, generator)
                points = torch.cat([points, place[:, None] * (cell / STRIDE)], dim=1)
                labels = torch.cat([labels, kind[:, None]], dim=1)
        return torch.stack(losses).mean()

    def _loss_of(
        self, decoded: DecodedMasks, together: Tensor, batch: Batch, generator: torch.Generator
    ) -> Tensor:
        low, high = batch.boxes_xy[:, :2], batch.boxes_xy[:, 2:] + 1
        unit = torch.cat([low, high], dim=1) / batch.side
        places = uncertain_points(together, unit, generator)
        truth = at_points(batch.target, places)
        masks = torch.cat([together, decoded.hq_logits.float()], dim=1)
        both = point_loss(at_points(masks, places), truth)
        loss: Tensor = (both[:, 0] + _ALONE * both[:, 1]).mean()
        if self.settings.parts != "hq":
            # The candidates learn by their best, and scores what the masks are worth.
            three = decoded.sam_logits[:, 1:].float() + decoded.hq_logits.float()
            best = point_loss(at_points(three, places), truth).amin(1).mean()
            masks4 = decoded.sam_logits.detach() + decoded.hq_logits.detach()
            small = F.interpolate(batch.target, masks4.shape[-2:], mode="area") > 0.5
            common = ((masks4 > 0) & small).sum((2, 3)).float()
            found = common / ((masks4 > 0) | small).sum((2, 3)).clamp_min(1)
            loss = loss + 0.3 * best + 0.5 * F.mse_loss(decoded.scores.float(), found)
        return loss
