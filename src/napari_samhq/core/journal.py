"""The journal: what happened while objects were made, event by event, and how far it is undone.

Everything here is a frozen value in data coordinates of the image. Each event holds what it
changed, before and after, so that it can be taken back and done again without asking the model;
and objects hold what made them, so that they can be made again, by this model or another one.

::

    Event                 the objects being made in one plane, before and after
    +-- PromptsChanged    points, shapes or a mask were added, moved or removed
    +-- ChoiceChanged     another candidate, output or threshold was chosen
    +-- Rejected          objects being made were given up
    +-- Reopened          a committed object was taken up again
    +-- Committed         masks went into the labels
    +-- Deleted           an object was taken out of the labels
    +-- Classified        an object got another class
    +-- Painted           somebody edited the labels by hand
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from napari_samhq.core.drawn import Drawn

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_samhq.core.doubt import Doubt
    from napari_samhq.core.masks import CroppedMask
    from napari_samhq.core.planes import Plane

__all__ = [
    "Choice",
    "ChoiceChanged",
    "Classified",
    "Commit",
    "Committed",
    "Deleted",
    "Draft",
    "Drafts",
    "Event",
    "Journal",
    "LabelsEdit",
    "ObjectRecord",
    "Output",
    "Painted",
    "PromptsChanged",
    "Rejected",
    "Reopened",
    "Step",
]

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
    >>> from napari_samhq.core.drawn import DrawnPoint
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


@dataclass(frozen=True)
class ObjectRecord:
    """A committed object: where it is and what made it.

    Attributes
    ----------
    label_id : int
        Names the object, and is its value in the labels, unless the rules say another.
    plane : Plane
        The plane it lies in.
    steps : tuple of Step
        What the model was asked, in order, at least once. The last one made the mask.
    threshold : float
        Logits above it are object.
    score : float
        The model's own estimate of the mask's quality.
    model : str
        Name of the model.
    rules : tuple of (str, object) pairs
        How the mask became an object, by the names of the rules for committing.
    fingerprint : str
        Which weights these were; empty where nobody knows.
    seen : tuple of (str, object) pairs
        How the pixels were shown to the model, such as ``("contrast_limits", (0.0, 255.0))``;
        ``everything`` with its settings, where the object was found among all others.
    mask : CroppedMask or None
        Its pixels, where the labels cannot tell them: all objects of a class have the same value.
    doubt : Doubt or None
        How much to trust the mask; None where the model did not tell.
    """

    label_id: int
    plane: Plane
    steps: tuple[Step, ...]
    score: float
    model: str
    threshold: float = 0.0
    rules: tuple[tuple[str, Any], ...] = ()
    fingerprint: str = ""
    seen: tuple[tuple[str, Any], ...] = ()
    mask: CroppedMask | None = None
    doubt: Doubt | None = None

    @property
    def value(self) -> int:
        """What stands in the labels for it: the label id, or the value of its class."""
        rules = dict(self.rules)
        return int(rules["semantic_value"]) if rules.get("mode") == "semantic" else self.label_id

    @property
    def drawn(self) -> Drawn:
        """The prompts that made it."""
        return self.steps[-1].drawn

    @property
    def as_found(self) -> CroppedMask | None:
        """The mask, where the object was found among all others: no prompt gives it again."""
        return self.drawn.mask if "everything" in dict(self.seen) else None

    @property
    def choice(self) -> Choice:
        """What was taken of the model's answer."""
        return Choice(self.steps[-1].candidate, self.steps[-1].output, self.threshold)


@dataclass(frozen=True, eq=False)
class LabelsEdit:
    """A change of some pixels in one plane of the labels, no larger than the object.

    Attributes
    ----------
    plane : Plane
        The plane of the labels.
    region : pair of slices
        Rows and columns of the plane, around all that changes.
    changed : ndarray of shape (h, w), bool
        Which pixels of the region change.
    old, new : ndarray of shape (N,)
        The values of these pixels, in order, before and after.
    """

    plane: Plane
    region: tuple[slice, slice]
    changed: NDArray[np.bool_]
    old: NDArray[Any]
    new: NDArray[Any]

    @property
    def nbytes(self) -> int:
        """Memory that it takes, about."""
        return int(self.changed.nbytes + self.old.nbytes + self.new.nbytes)


@dataclass(frozen=True)
class Event:
    """Something that can be undone: the objects being made in a plane, before and after."""

    plane: Plane
    before: Drafts
    after: Drafts


@dataclass(frozen=True)
class PromptsChanged(Event):
    """Points, shapes or a mask were added, moved or removed."""


@dataclass(frozen=True)
class ChoiceChanged(Event):
    """Another candidate, output or threshold was chosen."""


@dataclass(frozen=True)
class Rejected(Event):
    """Objects being made were given up."""


@dataclass(frozen=True)
class Reopened(Event):
    """A committed object was taken up again with its prompts."""


@dataclass(frozen=True, eq=False)
class Commit:
    """One mask that went into the labels, in place of `replaced` if the object was there."""

    record: ObjectRecord
    replaced: ObjectRecord | None
    edit: LabelsEdit


@dataclass(frozen=True)
class Committed(Event):
    """Masks went into the labels, one or several at once."""

    commits: tuple[Commit, ...]


@dataclass(frozen=True)
class Deleted(Event):
    """An object was taken out of the labels; None stands for one that was painted by hand."""

    label_id: int
    record: ObjectRecord | None
    edit: LabelsEdit
    category: str = ""


@dataclass(frozen=True)
class Classified(Event):
    """An object got another class, in place of the old one; empty for none."""

    label_id: int
    old: str
    new: str


@dataclass(frozen=True)
class Painted(Event):
    """Somebody edited the labels by hand, in one plane or in several."""

    edits: tuple[LabelsEdit, ...]


class Journal:
    """A row of events with a mark that says how many of them count.

    Examples
    --------
    >>> from napari_samhq.core.planes import Plane
    >>> journal = Journal()
    >>> journal.append(Rejected(Plane((0, 1)), Drafts(), Drafts()))
    >>> journal.can_undo, journal.can_redo
    (True, False)
    >>> type(journal.step_back()).__name__, journal.can_redo
    ('Rejected', True)
    """

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._count = 0

    def __len__(self) -> int:
        """How many events count at present."""
        return self._count

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events[: self._count])

    @property
    def undone(self) -> tuple[Event, ...]:
        """Events that were taken back and can be done again."""
        return tuple(self._events[self._count :])

    @property
    def can_undo(self) -> bool:
        """Whether an event is left to take back."""
        return self._count > 0

    @property
    def can_redo(self) -> bool:
        """Whether an event was taken back and nothing happened since."""
        return self._count < len(self._events)

    def append(self, event: Event) -> None:
        """Add what happened; events that were taken back are forgotten."""
        del self._events[self._count :]
        self._events.append(event)
        self._count += 1

    def clear(self) -> None:
        """Forget all events."""
        self._events.clear()
        self._count = 0

    def last(self) -> Event | None:
        """Look at the event that would be taken back next."""
        return self._events[self._count - 1] if self.can_undo else None

    def next(self) -> Event | None:
        """Look at the event that would be done again next."""
        return self._events[self._count] if self.can_redo else None

    def step_back(self) -> Event:
        """Move the mark before the last event, and return it."""
        self._count -= 1
        return self._events[self._count]

    def step_forward(self) -> Event:
        """Move the mark behind the next event, and return it."""
        self._count += 1
        return self._events[self._count - 1]
