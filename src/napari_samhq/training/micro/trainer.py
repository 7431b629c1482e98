"""The trainer: resumable, seeded, a generator of small frozen events.

Who iterates over :meth:`Trainer.run` decides what to do with the events: print them, log them, draw
them, stop.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from napari_samhq.errors import CheckpointError
from napari_samhq.model.sam_hq import ImageFeatures
from napari_samhq.training.adam import AdamW
from napari_samhq.training.losses import dense_loss
from napari_samhq.training.micro.pool import Batch, BatchMaker, Pool, Prefetcher, plan_of
from napari_samhq.training.micro.queries import QueryHead
from napari_samhq.training.micro.start import identity_start
from napari_samhq.training.rounds import Objects, bfloat16_pays, precision_context, run_rounds
from napari_samhq.training.simulate import clicks_in
from napari_samhq.training.states import write_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from napari_samhq.model import SamHQModel
    from napari_samhq.training.micro.schedule import Phase, TrainerConfig

__all__ = ["Saved", "StepDone", "Trainer", "ranks"]

_log = logging.getLogger(__name__)

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
_LONGEST_AT_FIRST_S = 60.0  # that a step counts for before it is known how long they take


@dataclass(frozen=True)
class StepDone:
    """A step was taken. ``values`` holds losses and IoUs by name."""

    step: int
    progress: float
    seconds: float
    values: dict[str, float]


@dataclass(frozen=True)
class Saved:
    """The state was written."""

    step: int
    path: Path


def ranks() -> tuple[int, int]:
    """Return the place of this process among those of the run (``torchrun``), and their number."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


class Trainer:
    """Trains a SAM-HQ model on annotated images.

    In a process group, every process takes batches of its own and their gradients are averaged;
    the first one writes the state.

    Parameters
    ----------
    model : SamHQModel
        With the convolutional encoder, which takes crops of any size.
    pool : Pool
    config : TrainerConfig
    out : Path
        Folder of ``state.pt``.
    device : torch.device, optional
        The GPU where there is one.
    """

    def __init__(
        self,
        model: SamHQModel,
        pool: Pool,
        config: TrainerConfig,
        out: Path,
        device: torch.device | None = None,
    ) -> None:
        self.config = config
        self.pool = pool
        self.path = Path(out) / "state.pt"
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.mixed = bfloat16_pays(self.device) if config.mixed is None else config.mixed
        self.model = model.to(self.device)
        vision = model.config.vision_config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.queries = QueryHead(vision.output_channels, vision.output_channels // 8).to(
                self.device
            )
        self.ema = copy.deepcopy(model).eval().requires_grad_(False)
        self.optimizer = AdamW(self._groups(), lr=config.learning_rate, betas=(0.9, 0.98))
        # With few tokens the plain products are much faster on a processor than the fused kernel's
        # backward pass.
        self._attention = (
            SDPBackend.MATH if self.device.type == "cpu" else SDPBackend.EFFICIENT_ATTENTION
        )
        self.step = 0
        self.seconds = 0.0
        self._stopping = False
        self.rank, self.peers = ranks()

    def run(self) -> Iterator[StepDone | Saved]:
        """Train until the budget is used; yields an event per step and per saved state."""
        source: Prefetcher | BatchMaker = (
            Prefetcher(self.pool) if self.config.prefetch else BatchMaker(self.pool)
        )
        saved_at = time.monotonic()
        try:
            while self.progress < 1 and not self._stopping:
                began = time.monotonic()
                phase = self._phase()
                if isinstance(source, Prefetcher):
                    batch = source.get(self.step, phase.plans)
                else:
                    batch = source.make(self.step, plan_of(self.step, phase.plans))
                waited = time.monotonic() - began
                values = self.train_step(batch, phase)
                self._count(time.monotonic() - began)
                self._agree()
                yield StepDone(self.step, self.progress, self.seconds, {**values, "wait": waited})
                over = self.progress >= 1 or self._stopping
                due = over or time.monotonic() - saved_at > self.config.save_seconds
                if due and self.rank == 0:
                    write_state(self.state(), self.path)
                    saved_at = time.monotonic()
                    yield Saved(self.step, self.path)
        finally:
            if isinstance(source, Prefetcher):
                source.close()

    def stop(self) -> None:
        """End :meth:`run` after the current step, with the state written."""
        self._stopping = True

    @property
    def progress(self) -> float:
        """Share of the budget that is used."""
        return self.config.budget.progress(self.step, self.seconds)

    def train_step(self, batch: Batch, phase: Phase) -> dict[str, float]:
        """One step of the optimiser; returns what to log."""
        rate = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        self.queries.train()
        for part in self.model.modules() if phase.fixed_statistics else ():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.eval()
        generator = torch.Generator(self.device).manual_seed(
            (self.config.seed + self.rank) * 1_000_003 + self.step
        )
        with sdpa_kernel(self._attention):
            loss, values = self._loss(batch, phase, generator)
            self.optimizer.zero_grad()
            loss.backward()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        if self.peers > 1:
            self._average_gradients(parameters)
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.clip)
        if torch.isfinite(norm):
            self.optimizer.step()
        else:
            _log.warning("step %d: gradients are not finite, step left out", self.step)
        self.step += 1
        self._average()
        return {**values, "loss": float(loss.detach()), "norm": float(norm), "rate": rate}

    def state(self) -> dict[str, Any]:
        """All that a later run needs to go on from here."""
        return {
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "queries": self.queries.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "seed": self.config.seed,
            "sources": sorted({record.source for record in self.pool.records}),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state of :meth:`state`."""
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.queries.load_state_dict(state["queries"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])

    def start_from(self, state: dict[str, Any]) -> None:
        """Begin with the averaged weights and, where there are any, the heads of another run, at
        step 0.

        Parts that the other run's model did not have stay as they are; blocks of an encoder that
        is deeper now begin as the identity.

        Raises
        ------
        CheckpointError
            The state is of another architecture.
        """
        for module in (self.model, self.ema):
            new = module.state_dict()
            known = state["ema"]
            fitting = all(
                name in new and new[name].shape == tensor.shape for name, tensor in known.items()
            )
            if not fitting:
                msg = "the state to start from is of another model; start without it"
                raise CheckpointError(msg)
            identity_start(module, known)
            module.load_state_dict(module.state_dict() | known)
        if "queries" in state:
            self.queries.load_state_dict(state["queries"])

    def _groups(self) -> list[dict[str, Any]]:
        """Matrices decay; biases, norms and learned tokens do not."""
        named = list(self.model.named_parameters()) + list(self.queries.named_parameters())
        decay = [
            p
            for name, p in named
            if p.ndim > 1 and "embed" not in name and "token" not in name.split(".")[-2]
        ]
        chosen = {id(p) for p in decay}
        rest = [p for _, p in named if id(p) not in chosen]
        return [
            {"params": decay, "weight_decay": self.config.weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ]

    def _phase(self) -> Phase:
        progress = self.progress
        return next((p for p in self.config.phases if progress < p.until), self.config.phases[-1])

    def _rate(self) -> float:
        warm = min(1.0, (self.step + 1) / self.config.warmup_steps)
        fall = 0.5 * (1 + math.cos(math.pi * self.progress))
        return (
            self.config.learning_rate
            * warm
            * (self.config.final_rate + (1 - self.config.final_rate) * fall)
        )

    def _count(self, seconds: float) -> None:
        """Add the time of a step. What is far longer than usual was no work: the process stood
        still, or the computer slept.
        """
        longest = 10 * self.seconds / self.step if self.step > 10 else _LONGEST_AT_FIRST_S
        self.seconds += min(seconds, longest)

    def _agree(self) -> None:
        """Let all processes of a run have the same clock, and stop together."""
        if self.peers > 1:
            shared = torch.tensor([self.seconds / self.peers, float(self._stopping)])
            dist.all_reduce(shared)
            self.seconds, self._stopping = float(shared[0]), bool(shared[1])

    def _average_gradients(self, parameters: list[Tensor]) -> None:
        """Mean over all processes; what a batch did not touch has gradient zero."""
        flat = torch.cat(
            [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in parameters]
        )
        dist.all_reduce(flat)
        flat /= self.peers
        parts = flat.split([p.numel() for p in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    @torch.no_grad()
    def _average(self) -> None:
        """Exponential moving average of weights and statistics; short memory at first."""
        keep = min(self.config.ema, (1 + self.step) / (10 + self.step))
        old, new = self.ema.state_dict(), self.model.state_dict()
        smooth = [name for name in old if old[name].dtype.is_floating_point]
        torch._foreach_lerp_([old[n] for n in smooth], [new[n] for n in smooth], 1 - keep)
        for name in old.keys() - set(smooth):
            old[name].copy_(new[name])

    def _loss(
        self, batch: Batch, phase: Phase, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        images = torch.from_numpy(batch.images).to(self.device).float()
        mean = torch.tensor(PIXEL_MEAN, device=self.device).view(1, 3, 1, 1)
        std = torch.tensor(PIXEL_STD, device=self.device).view(1, 3, 1, 1)
        pixels = ((images - mean) / std).to(memory_format=torch.channels_last)
        labels = torch.from_numpy(batch.labels).to(self.device)
        index = torch.from_numpy(batch.image_index).to(self.device)
        ids = torch.from_numpy(batch.object_id).to(self.device)
        target = _coverage(labels[index], ids)
        with precision_context(self.device, mixed=self.mixed):
            features = self.model.encode_image(pixels)
        features = ImageFeatures(*(f.float() for f in features))
        values: dict[str, float] = {}
        loss = torch.zeros((), device=self.device)
        if phase.dense and self.model.dense_head is not None:
            with precision_context(self.device, mixed=self.mixed):
                maps = self.model.dense_maps(features)
            dense = dense_loss(
                maps,
                labels,
                torch.from_numpy(batch.dense).to(self.device),
                torch.from_numpy(batch.complete).to(self.device)[:, None, None],
            )
            loss = loss + phase.dense * dense
            values["dense"] = float(dense.detach())
        if phase.queries and len(index):
            few = torch.randperm(len(index), generator=generator, device=self.device)[
                : self.config.queries * len(images)
            ]
            clicks = clicks_in(target[few, 0] > 0.5, generator)
            query, iou = self.queries.query_loss(features, index[few], clicks, target[few])
            loss = loss + phase.queries * query
            values["query_iou"] = float(iou)
        if phase.prompts and len(index):
            beside = _coverage(labels[index], torch.from_numpy(batch.neighbour_id).to(self.device))
            # Every other object begins with a box; those come first.
            order = torch.cat([torch.arange(0, len(index), 2), torch.arange(1, len(index), 2)])
            order = order.to(self.device)
            crop = index[order]
            boxed = (len(index) + 1) // 2
            rounds = run_rounds(
                self.model,
                Objects(
                    ImageFeatures(features.image_embedding[crop], features.hq_features[crop]),
                    target[order],
                    torch.from_numpy(batch.boxes_xy).to(self.device)[order],
                    torch.from_numpy(batch.origin_xy).to(self.device)[crop],
                    boxed,
                    beside[order],
                ),
                rounds=phase.rounds,
                generator=generator,
                mixed=self.mixed,
            )
            loss = loss + rounds.loss
            for k, iou in enumerate(rounds.ious):
                values[f"box{k}"] = float(iou[:boxed].mean())
                if boxed < len(iou):
                    values[f"click{k}"] = float(iou[boxed:].mean())
        return loss, values


def _coverage(labels: Tensor, ids: Tensor) -> Tensor:
    """Share of each low-res cell (P, 1, h, w) that an object of label crops (P, c, c) covers.

    An id of 0 is no object.
    """
    mask = (labels == ids[:, None, None]) & (ids > 0)[:, None, None]
    return F.avg_pool2d(mask.float()[:, None], 2)
