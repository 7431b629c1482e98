"""Schedule of a training run: budget, phases and learning rates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_samhq.training.micro.pool import BatchPlan

__all__ = ["Budget", "Phase", "TrainerConfig"]


@dataclass(frozen=True)
class Budget:
    """When training is over: after ``steps``, or after ``minutes`` of work (resumed runs count
    together).
    """

    steps: int | None = None
    minutes: float | None = None

    def progress(self, step: int, seconds: float) -> float:
        """Share of the budget that is used, 0 to 1."""
        shares = [0.0]
        if self.steps is not None:
            shares.append(step / max(self.steps, 1))
        if self.minutes is not None:
            shares.append(seconds / max(60 * self.minutes, 1e-9))
        return min(max(shares), 1.0)


@dataclass(frozen=True)
class Phase:
    """A stretch of training up to a share of the budget; batches of its plans take turns.

    ``prompts`` False trains without prompts; ``dense`` and ``queries`` are the weights of the dense
    head's loss and of the pixel queries'.
    ``fixed_statistics`` normalises by the running statistics, as inference does, instead of those
    of each batch: batches of a few crops have others, and what is learned with them fits less.
    """

    until: float
    plans: tuple[BatchPlan, ...]
    prompts: bool = True
    rounds: int = 2
    dense: float = 0.3
    queries: float = 0.0
    fixed_statistics: bool = False


@dataclass(frozen=True)
class TrainerConfig:
    """All that a run depends on besides model and data."""

    budget: Budget
    phases: tuple[Phase, ...]
    seed: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup_steps: int = 200
    final_rate: float = 0.01
    clip: float = 1.0
    ema: float = 0.998
    queries: int = 8
    save_seconds: float = 180.0
    prefetch: bool = True
    mixed: bool | None = None
    extra: dict[str, Any] = field(default_factory=dict)
