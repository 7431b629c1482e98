"""Drafts: objects being made, with prompts, chosen answers and history.

Everything here is a frozen value in data coordinates of the image.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from napari_samhq.core.journal.shapes_drawn import Drawn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Choice", "Draft", "Drafts", "Output", "Step"]

#: Which logits make the mask: SAM's own, the sum with those of the HQ token, or the latter alone.
Output: TypeAlias = Literal["sam", "sam+hq", "hq"]


@dataclass(frozen=True)
class Choice:
    """What the user wants to see of the model's answer.

    Attributes
    ----------
    candidate : int or None
        Which of the masks, best first; None for the best.
    output : {"sam+hq", "sam", "hq"}
        Which logits make the mask.
    threshold : float
        Logits above it are object. 0 is the model's own border; higher makes masks smaller.
    """

    candidate: int | None = None
    output: Output = "sam+hq"
    threshold: float = 0.0


@dataclass(frozen=True)
class Draft:
    """An object being made.

    Attributes
    ----------
    label_id : int
        The value that it has or will get in the labels. Names the object from its first prompt on.
    drawn : Drawn
        Its prompts.
    choice : Choice
        What is taken of the model's answer.
    reopened : bool
        Whether it was committed before.
    earlier : tuple of Step
        What the model was asked before it gets these prompts. It gets the mask that was taken of
        the last answer along with them.

    Examples
    --------
    >>> from napari_samhq.core.journal.shapes_drawn import DrawnPoint
    >>> one, two = DrawnPoint(1, 1), DrawnPoint(2, 2)
    >>> draft = Draft(7, Drawn((one,))).redrawn(Drawn((one, two)), seen=(Step(Drawn((one,))),))
    >>> len(draft.earlier), len(draft.redrawn(Drawn((two,))).earlier)
    (1, 0)
    """

    label_id: int
    drawn: Drawn = field(default_factory=Drawn)
    choice: Choice = field(default_factory=Choice)
    reopened: bool = False
    earlier: tuple[Step, ...] = ()

    def redrawn(self, drawn: Drawn, *, seen: tuple[Step, ...] = ()) -> Draft:
        """Replace the prompts.

        Parameters
        ----------
        drawn : Drawn
            The new ones.
        seen : tuple of Step, optional
            How the mask came about that was seen for the present prompts, if it is to be refined.

        Returns
        -------
        Draft
            Where points were only added, the model goes on from what was seen; otherwise it begins
            anew. The candidate is open again.
        """
        if drawn == self.drawn:
            return self
        goes_on = drawn.adds_points_to(self.drawn)
        earlier = (seen or self.earlier) if goes_on else ()
        choice = replace(self.choice, candidate=None)
        return replace(self, drawn=drawn, choice=choice, earlier=earlier)


@dataclass(frozen=True)
class Drafts:
    """The objects being made in one plane, in the order in which they were begun.

    Attributes
    ----------
    drafts : tuple of Draft
        Each with another label id.
    active : int or None
        Label id of the one that the next point belongs to; None where that begins a new object.

    Examples
    --------
    >>> two = Drafts().put(Draft(1)).put(Draft(2))
    >>> two.active, [draft.label_id for draft in two.without(2).drafts]
    (2, [1])
    """

    drafts: tuple[Draft, ...] = ()
    active: int | None = None

    def __bool__(self) -> bool:
        return bool(self.drafts)

    def __iter__(self) -> Iterator[Draft]:
        return iter(self.drafts)

    def get(self, label_id: int | None) -> Draft | None:
        """Find the object of a label id."""
        return next((draft for draft in self.drafts if draft.label_id == label_id), None)

    @property
    def active_draft(self) -> Draft | None:
        """The object that the next point belongs to."""
        return self.get(self.active)

    def put(self, draft: Draft) -> Drafts:
        """Add an object, or replace the one of its label id; it becomes the active one."""
        if self.get(draft.label_id) is None:
            return Drafts((*self.drafts, draft), draft.label_id)
        swapped = (draft if old.label_id == draft.label_id else old for old in self.drafts)
        return Drafts(tuple(swapped), draft.label_id)

    def without(self, label_id: int) -> Drafts:
        """Leave an object out; if it was the active one, none is."""
        kept = tuple(draft for draft in self.drafts if draft.label_id != label_id)
        return Drafts(kept, None if self.active == label_id else self.active)

    def activate(self, label_id: int | None) -> Drafts:
        """Let the next point belong to another of the objects, or begin a new one."""
        return replace(self, active=label_id if self.get(label_id) is not None else None)


@dataclass(frozen=True)
class Step:
    """One answer of the model on the way to a mask.

    The model gets the mask that was chosen before as an additional prompt, so a refined object is
    made again by going through its steps in order.

    Attributes
    ----------
    drawn : Drawn
        The prompts.
    candidate : int
        Which of the masks was taken, best first.
    output : {"sam+hq", "sam", "hq"}
        Which logits made it.
    together : bool
        Whether it was answered in a batch with others, which differs by rounding. To get the same
        bits again ask for it twice in one batch.
    """

    drawn: Drawn
    candidate: int = 0
    output: Output = "sam+hq"
    together: bool = False
