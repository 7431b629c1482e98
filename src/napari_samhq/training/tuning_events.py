"""What fine-tuning tells on its way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Begun", "Check", "Checked", "FineTuned", "Learned", "Looked", "TuningEvent"]


@dataclass(frozen=True)
class Check:
    """What was measured on held-out objects, in the frame of the model's input.

    Attributes
    ----------
    step : int
        After so many steps.
    iou, boundary_iou : float
        Means over objects and kinds of prompt.
    """

    step: int
    iou: float
    boundary_iou: float

    @property
    def score(self) -> float:
        """By which the best weights are chosen: the mean of both."""
        return (self.iou + self.boundary_iou) / 2


@dataclass(frozen=True)
class Begun:
    """The examples are in order, and training begins.

    Attributes
    ----------
    learned, held_out : int
        How many objects it learns from, and is measured with.
    by_image : bool
        Whether those held out are on images of their own.
    """

    learned: int
    held_out: int
    by_image: bool


@dataclass(frozen=True)
class Looked:
    """The model looked at a view of an image, or was measured on one: `done` of `total`."""

    done: int
    total: int


@dataclass(frozen=True)
class Learned:
    """A step was taken.

    Attributes
    ----------
    step, steps : int
        Of how many at most.
    seconds, seconds_at_most : float
        Of learning; infinity where there is no limit.
    loss : float
        Of this step.
    """

    step: int
    steps: int
    seconds: float
    seconds_at_most: float
    loss: float

    @property
    def share(self) -> float:
        """How much of what it may take was taken, 0 to 1."""
        return max(self.step / self.steps, self.seconds / self.seconds_at_most)


@dataclass(frozen=True)
class Checked:
    """It was measured on held-out objects.

    Attributes
    ----------
    check : Check
        What was found.
    best : Check
        The best until now.
    """

    check: Check
    best: Check


@dataclass(frozen=True)
class FineTuned:
    """What came of it.

    Attributes
    ----------
    path : Path
        The file with the head, for :func:`napari_samhq.load_model`.
    record : dict
        What is in the file beside the weights: settings, data and their hash, numbers, curve.
    """

    path: Path
    record: dict[str, Any]

    @property
    def before(self) -> dict[str, float]:
        """Mean IoUs on held-out objects, by the base model."""
        return dict(self.record["before"])

    @property
    def after(self) -> dict[str, float]:
        """Mean IoUs on held-out objects, by the fine-tuned model."""
        return dict(self.record["after"])

    @property
    def curve(self) -> list[Check]:
        """What was measured on the way."""
        return [Check(int(step), *rest) for step, *rest in self.record["curve"]]


#: What :func:`iter_finetune` gives, one after the other.
TuningEvent = Begun | Looked | Learned | Checked | FineTuned
