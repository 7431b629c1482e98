"""Questions to a model about the objects of one plane, and its answers, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_samhq.core.journal.drafts import Draft
    from napari_samhq.core.prompts.prompt import Prompt
    from napari_samhq.engine.plane_view import PlaneView
    from napari_samhq.inference.prediction import Prediction

__all__ = ["Answer", "Question", "Request"]


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked about one object.

    Attributes
    ----------
    draft : Draft
        The object.
    prompt : Prompt
        Its points and box, checked; a rough mask is painted only when its turn comes.
    """

    draft: Draft
    prompt: Prompt


@dataclass(frozen=True, eq=False)
class Request:
    """Questions about one plane, for one model."""

    model: str
    view: PlaneView
    questions: Sequence[Question]


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of a question.

    Attributes
    ----------
    draft : Draft
        The object that was asked for.
    prediction : Prediction
        Its masks.
    together : bool
        Whether it was answered in a batch with others.
    model, fingerprint : str
        Who answered: the name, and a hash of the weights where the predictor tells it.
    notes : tuple of str
        What is to be said about the image.
    remarks : tuple of str
        What came up while this answer was made.
    """

    draft: Draft
    prediction: Prediction
    together: bool
    model: str
    fingerprint: str = ""
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
