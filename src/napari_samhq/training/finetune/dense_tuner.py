"""Fine-tuning of the dense head, from some annotated objects of a kind.

What is marked is object, what is left empty where all is marked is background. Of the rest nobody
knows; there the head is held to what it said before it learned (knowledge distillation: Li and
Hoiem, Learning without Forgetting, TPAMI 2018).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from napari_samhq.errors import ModelError
from napari_samhq.inference.dense import find_objects
from napari_samhq.inference.object_maps import ObjectMaps
from napari_samhq.inference.settings import DenseSettings
from napari_samhq.model.dense_head import DENSE_CHANNELS, DenseMaps
from napari_samhq.training.dense_targets import dense_targets
from napari_samhq.training.finetune.events import FindingCheck
from napari_samhq.training.finetune.learner import Learner
from napari_samhq.training.finetune.tally import Tally, tally
from napari_samhq.training.losses import dense_loss
from napari_samhq.training.rounds import precision_context

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_samhq.model import SamHQModel
    from napari_samhq.training.finetune.dense_views import DenseView
    from napari_samhq.training.finetune.settings import TuningSettings

__all__ = ["DenseTuner"]

_PREFIX = "dense_head."
_CROP_CELLS = 32  # side of what a step looks at, in places of the image embedding
_CROPS = 2
_ON_OBJECTS = 0.7  # share of the crops that are laid around an object
_KEEP = 1.0  # weight of what the head said before, where nothing is known
_MOST_MEASURED = 8  # views
_LEAST_SCORE = DenseSettings().min_score  # how sure objects are, when nothing else is asked for
_GAINS = (1.0, 0.85, 1.2, 1.4)  # of the distances
_SHARPER = (1.0, 0.7, 1.4, 2.0, 3.0)  # of the logits of the foreground
_BETTER = 0.03  # by so much something else must be better: a few examples say no more


@dataclass(frozen=True, eq=False)
class _Lesson:
    """A view with what is to be learned of it, on the grid of the maps: (h, w) each.

    ``labels`` are finer by two; ``targets`` as `dense_targets` gives them; ``before`` are the maps
    of the base model.
    """

    view: DenseView
    labels: NDArray[np.int32]
    known: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    targets: NDArray[np.float16]
    before: Tensor


class _Seen(NamedTuple):
    """Image embedding (C, h, w) and HQ features of a view."""

    image: Tensor
    hq: Tensor


class DenseTuner(Learner[FindingCheck]):
    """Changes the dense head, step by step.

    Parameters
    ----------
    network : SamHQModel
        The base, on its device, as it is before anything learned.
    learned, held_out : sequence of DenseView
        To learn from, and to measure with.
    settings : TuningSettings
    mixed : bool
        Whether to compute in bfloat16 where that does no harm.

    Notes
    -----
    The features that the head reads change as other parts learn: call :meth:`begin` when these
    are done.
    """

    def __init__(
        self,
        network: SamHQModel,
        learned: Sequence[DenseView],
        held_out: Sequence[DenseView],
        settings: TuningSettings,
        *,
        mixed: bool = False,
    ) -> None:
        if network.dense_head is None:
            raise ModelError("This model has no dense head that could learn.")
        self._network, self._head, self._mixed = network, network.dense_head, mixed
        self.device = network.device
        self._lessons = [self._lesson(view) for view in learned]
        step = max(1, len(held_out) // _MOST_MEASURED)
        self._checked = [self._lesson(view) for view in held_out[::step]]
        self._features: dict[int, _Seen] = {}
        self.before = self._tally([one.before for one in self._checked], self._checked)
        weights = {f"{_PREFIX}{name}": p for name, p in self._head.named_parameters()}
        super().__init__(weights, settings)

    def begin(self) -> None:
        """Compute what the head reads, now that nothing else changes any more."""
        views = [one.view for one in (*self._lessons, *self._checked)]
        self._features = {id(view): self._seen(view) for view in views}

    def calibrate(self) -> Tally:
        """Scale what the head says so that the usual thresholds hold for what it learned.

        Of kinds of objects that a model hardly knows it is less sure. The logits of the foreground
        are scaled (temperature scaling: Guo et al., On calibration of modern neural networks, ICML
        2017), which moves no outline, and the distances, by which objects are told apart, until
        most objects of the examples are found as sure as the usual settings demand. The scales are
        written into the head's last layer.

        Returns
        -------
        Tally
            Of the objects held out, by the usual settings.
        """
        self.use_best()
        some = [*self._checked, *self._lessons[:_MOST_MEASURED]]
        maps = [self._maps(one) for one in some]
        scales = (1.0, 1.0)
        worth = self._tally(maps, some).score
        for trial in itertools.product(_SHARPER, _GAINS):
            found = self._tally([_scaled(one, *trial) for one in maps], some).score
            if found > worth + _BETTER:
                scales, worth = trial, found
        self._scale(*scales)
        self.best = {name: p.detach().clone() for name, p in self._weights.items()}
        return self._tally([self._maps(one) for one in self._checked], self._checked)

    # ---------------------------------------------------------------------------------- underneath

    def _loss_of_step(self, rng: np.random.Generator, seed: int) -> Tensor:
        del seed
        crops = [self._crop(rng) for _ in range(_CROPS)]
        image, hq, labels, targets, known, inside, before = (
            torch.stack(parts).to(self.device) for parts in zip(*crops, strict=True)
        )
        with precision_context(self.device, mixed=self._mixed):
            maps = self._head(image.float(), hq.float())
        loss = dense_loss(maps, labels, targets, known)
        return loss + _KEEP * _change(maps, before.float(), inside & ~known)

    def _crop(self, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """Cut a square out of a view, around an object or anywhere in the image."""
        one = self._lessons[int(rng.integers(len(self._lessons)))]
        seen = self._features[id(one.view)]
        grid = seen.image.shape[-1]
        side = min(_CROP_CELLS, grid)
        finer = len(one.labels) // grid  # labels to a place of the embedding
        places = one.labels > 0 if rng.random() < _ON_OBJECTS else one.inside
        rows, cols = np.nonzero(places if places.any() else one.inside)
        pick = int(rng.integers(len(rows)))
        reach = rng.integers(-side // 4, side // 4 + 1, 2)
        top, left = (
            int(np.clip(at // finer + off - side // 2, 0, grid - side))
            for at, off in zip((rows[pick], cols[pick]), reach, strict=True)
        )

        def cut(values: Tensor, times: int) -> Tensor:
            rows = slice(top * times, (top + side) * times)
            return values[..., rows, slice(left * times, (left + side) * times)]

        labels, known, inside = (
            cut(torch.from_numpy(a), finer) for a in (one.labels, one.known, one.inside)
        )
        hq_finer, maps_finer = seen.hq.shape[-1] // grid, finer // 2
        return (
            cut(seen.image, 1), cut(seen.hq, hq_finer), labels,
            cut(torch.from_numpy(one.targets), maps_finer), known, inside,
            cut(one.before, maps_finer),
        )  # fmt: skip

    def _measured(self) -> FindingCheck:
        found = self._tally([self._maps(one) for one in self._checked], self._checked, 0.0)
        return FindingCheck(self.step, found.ap, found.iou)

    def _known_check(self, step: int, *values: float) -> FindingCheck:
        return FindingCheck(step, *values)

    @torch.no_grad()
    def _seen(self, view: DenseView) -> _Seen:
        kept = [tensor[None].to(self.device).float() for tensor in view.kept]
        with precision_context(self.device, mixed=self._mixed):
            if len(kept) == 1:  # pixels, because the encoder learned too
                output = self._network.vision_encoder(kept[0])
                kept = [output.image_embedding, output.intermediate[0]]
            image, early = (tensor.float() for tensor in kept)
            hq = self._network.mask_decoder.hq_features(image, early)
        return _Seen(image[0].half().cpu(), hq[0].half().cpu())

    @torch.no_grad()
    def _maps_of(self, seen: _Seen) -> Tensor:
        image, hq = (tensor[None].to(self.device).float() for tensor in seen)
        with precision_context(self.device, mixed=self._mixed):
            maps: DenseMaps = self._head(image, hq)
        three = torch.stack([maps.foreground, maps.border, maps.middle], dim=1)
        return three[0].float().cpu()

    def _maps(self, lesson: _Lesson) -> Tensor:
        return self._maps_of(self._features[id(lesson.view)])

    def _lesson(self, view: DenseView) -> _Lesson:
        seen = self._seen(view)
        before = self._maps_of(seen).half()
        step = len(view.labels) // (2 * before.shape[-1])
        labels = np.ascontiguousarray(view.labels[::step, ::step])
        known, inside = (np.ascontiguousarray(a[::step, ::step]) for a in (view.known, view.inside))
        return _Lesson(view, labels, known, inside, dense_targets(labels), before)

    def _tally(
        self, maps: Sequence[Tensor], lessons: Sequence[_Lesson], least: float = _LEAST_SCORE
    ) -> Tally:
        """Find all objects in maps, and count what is right."""
        return reduce(add, self._tallies(maps, lessons, least), Tally())

    @staticmethod
    def _tallies(
        maps: Sequence[Tensor], lessons: Sequence[_Lesson], least: float
    ) -> Iterator[Tally]:
        for one, lesson in zip(maps, lessons, strict=True):
            rows, cols = (part // 2 for part in _extent(lesson.inside))
            fore, border, middle = one.float().numpy()[:, :rows, :cols]
            nowhere = np.zeros((2, *fore.shape), np.float32)
            found = find_objects(ObjectMaps(fore, border, middle, nowhere, one.shape[-1]))
            sure = np.concatenate([[False], found.scores >= least])
            labels = np.where(sure[found.labels], found.labels, 0)
            truth, known = lesson.labels[::2, ::2], lesson.known[::2, ::2]
            yield tally(truth[:rows, :cols], labels, known[:rows, :cols])

    @torch.no_grad()
    def _scale(self, sharper: float, gain: float) -> None:
        """Scale logits and distances, in the last layer."""
        weight, bias = self._head.out.weight, self._head.out.bias
        assert bias is not None
        each = len(weight) // DENSE_CHANNELS
        for tensor in (weight, bias):
            tensor[:each] *= sharper
            tensor[each : 3 * each] *= gain


def _extent(inside: NDArray[np.bool_]) -> tuple[int, int]:
    """Rows and columns that hold the image; padding comes after it."""
    return int(inside.any(axis=1).sum()), int(inside.any(axis=0).sum())


def _scaled(maps: Tensor, sharper: float, gain: float) -> Tensor:
    return torch.stack([maps[0] * sharper, maps[1] * gain, maps[2] * gain])


def _change(maps: DenseMaps, before: Tensor, where: Tensor) -> Tensor:
    """Difference (scalar) from maps of before, (B, 3, h, w), at some places (B, 2h, 2w)."""
    weight = F.avg_pool2d(where.float()[:, None], 2)[:, 0]
    logits, border, middle = before.unbind(1)
    entropy = F.binary_cross_entropy_with_logits(
        maps.foreground, torch.sigmoid(logits), reduction="none"
    )
    distances = (maps.border - border).abs() + (maps.middle - middle).abs()
    return ((entropy + 0.25 * distances) * weight).sum() / weight.sum().clamp_min(1)
