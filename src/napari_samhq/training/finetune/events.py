"""Events of fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Begun",
    "Check",
    "Checked",
    "CheckedFinding",
    "FindingCheck",
    "FineTuned",
    "Learned",
    "Looked",
    "TuningEvent",
]


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
class FindingCheck:
    """How well all objects are found without prompts, in what was held out.

    Attributes
    ----------
    step : int
        After so many steps of the dense head.
    ap : float
        Average precision at an IoU of 0.5, of all that was found, however sure. Where not all
        objects are known, what is found beside them does not count.
    iou : float
        Mean IoU of the objects with what covers them best.
    """

    step: int
    ap: float
    iou: float

    @property
    def score(self) -> float:
        """By which the best weights are chosen: the mean of both."""
        return (self.ap + self.iou) / 2


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
    finding : bool
        Whether it learns to find all objects, which comes after learning to answer prompts.
    """

    step: int
    steps: int
    seconds: float
    seconds_at_most: float
    loss: float
    finding: bool = False

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
class CheckedFinding:
    """It was measured how well all objects are found.

    Attributes
    ----------
    check : FindingCheck
        What was found.
    best : FindingCheck
        The best until now.
    """

    check: FindingCheck
    best: FindingCheck


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
        """Mean IoUs on held-out objects, by the base model.

        "everything", of models with a dense head: average precision at an IoU of 0.5 of all
        objects that are found without prompts by the usual settings, in the model's frame.
        """
        return dict(self.record["before"])

    @property
    def after(self) -> dict[str, float]:
        """The same by the fine-tuned model."""
        return dict(self.record["after"])

    @property
    def curve(self) -> list[Check]:
        """What was measured on the way."""
        return [Check(int(step), *rest) for step, *rest in self.record["curve"]]


#: What :func:`iter_finetune` gives, one after the other.
TuningEvent = Begun | Looked | Learned | Checked | CheckedFinding | FineTuned
