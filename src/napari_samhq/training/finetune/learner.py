"""Stepwise learning that keeps the weights that do best on held-out objects."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import torch

from napari_samhq.errors import CheckpointError, TrainingError
from napari_samhq.training.adam import AdamW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from napari_samhq.training.finetune.events import Check, FindingCheck
    from napari_samhq.training.finetune.settings import TuningSettings

__all__ = ["Learner", "Lent"]

_Check = TypeVar("_Check", "Check", "FindingCheck")

_WARMUP_STEPS = 10
_AVERAGE = 0.9  # of the weights, over some ten steps


class Learner(ABC, Generic[_Check]):
    """Changes some weights of a model, step by step.

    Parameters
    ----------
    weights : dict of str to Tensor
        What learns, by its names in the model.
    settings : TuningSettings

    Attributes
    ----------
    step : int
        How many steps were taken.
    curve : list
        What was measured on the way.
    best : dict of str to Tensor
        The weights that did best.
    """

    def __init__(self, weights: Mapping[str, Any], settings: TuningSettings) -> None:
        self.settings = settings
        self._weights = {name: one.requires_grad_() for name, one in weights.items()}
        self._smooth = {name: p.detach().clone() for name, p in self._weights.items()}
        self.best = {name: p.detach().clone() for name, p in self._weights.items()}
        self._optimizer = AdamW([{"params": list(self._weights.values())}])
        self.step = 0
        self.curve: list[_Check] = []

    @abstractmethod
    def _loss_of_step(self, rng: np.random.Generator, seed: int) -> Tensor:
        """Loss of what one step looks at."""

    @abstractmethod
    def _measured(self) -> _Check:
        """Measure the weights as they are on what was held out."""

    @abstractmethod
    def _known_check(self, step: int, *values: float) -> _Check:
        """Give a check that was measured before a break."""

    @property
    def best_check(self) -> _Check:
        """The best one so far; of equal ones the first."""
        return max(self.curve, key=lambda one: one.score)

    @property
    def is_over(self) -> bool:
        """Whether all steps were taken, or too many checks brought nothing better."""
        if self.step >= self.settings.steps:
            return True
        if not self.curve:
            return False
        since = len(self.curve) - 1 - self.curve.index(self.best_check)
        return since >= self.settings.patience

    def learn(self) -> float:
        """Take one step; return its loss."""
        seed = self.settings.seed * 1_000_003 + self.step
        loss = self._loss_of_step(np.random.default_rng(seed), seed)
        self._optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(list(self._weights.values()), 1.0)
        if not torch.isfinite(norm):
            raise TrainingError(
                f"Training went astray at step {self.step + 1}: the loss is "
                f"{float(loss.detach()):.3g} and its gradient {float(norm):.3g}. Use a "
                "lower learning rate."
            )
        self._optimizer.param_groups[0]["lr"] = self._rate()
        self._optimizer.step()
        self.step += 1
        keep = min(_AVERAGE, self.step / (self.step + 4))
        for name, parameter in self._weights.items():
            self._smooth[name].lerp_(parameter.detach(), 1 - keep)
        return float(loss.detach())

    @torch.no_grad()
    def check(self) -> _Check:
        """Measure the averaged weights on what was held out, and keep them if they are the best."""
        with Lent(self._weights, self._smooth):
            check = self._measured()
        if not self.curve or check.score > self.best_check.score:
            self.best = {name: value.clone() for name, value in self._smooth.items()}
        self.curve.append(check)
        return check

    @torch.no_grad()
    def use_best(self) -> None:
        """Give the network the best weights."""
        for name, parameter in self._weights.items():
            parameter.copy_(self.best[name])

    def state(self) -> dict[str, Any]:
        """All that is needed to go on from here."""
        return {
            "weights": {name: p.detach().clone() for name, p in self._weights.items()},
            "smooth": self._smooth,
            "best": self.best,
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
            "curve": [list(astuple(check)) for check in self.curve],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state; what comes then is what would have come without a break.

        Raises
        ------
        CheckpointError
            It is that of another training.
        """
        shapes = {name: p.shape for name, p in self._weights.items()}
        if {name: p.shape for name, p in state["weights"].items()} != shapes:
            raise CheckpointError(
                "The state to go on from belongs to a training of other parts or of another "
                "model. Begin anew, without resume."
            )
        with torch.no_grad():
            for name, parameter in self._weights.items():
                parameter.copy_(state["weights"][name])
        for mine, kept in ((self._smooth, "smooth"), (self.best, "best")):
            mine.update({name: value.to(mine[name].device) for name, value in state[kept].items()})
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = int(state["step"])
        self.curve = [self._known_check(int(step), *rest) for step, *rest in state["curve"]]

    def _rate(self) -> float:
        """Warm up, then fall along a cosine to a tenth."""
        warm = min(1.0, (self.step + 1) / _WARMUP_STEPS)
        fall = 0.5 * (1 + math.cos(math.pi * self.step / self.settings.steps))
        return self.settings.learning_rate * warm * (0.1 + 0.9 * fall)


class Lent:
    """Gives parameters other values for a while."""

    def __init__(self, parameters: Mapping[str, Any], values: Mapping[str, Tensor]) -> None:
        self._parameters, self._values = parameters, values
        self._own: dict[str, Tensor] = {}

    def __enter__(self) -> None:
        self._own = {name: p.detach().clone() for name, p in self._parameters.items()}
        self._put(self._values)

    def __exit__(self, *_: object) -> None:
        self._put(self._own)

    def _put(self, values: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(values[name])
