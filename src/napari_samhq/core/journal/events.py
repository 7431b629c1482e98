"""Journal: the events of a session in order, and how many of them are undone.

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

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_samhq.core.journal.drafts import Choice, Drafts

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.drafts import Step
    from napari_samhq.core.journal.shapes_drawn import Drawn
    from napari_samhq.core.masks.cropped import CroppedMask
    from napari_samhq.core.measure.uncertainty import Doubt

__all__ = [
    "ChoiceChanged",
    "Classified",
    "Commit",
    "Committed",
    "Deleted",
    "Event",
    "Journal",
    "LabelsEdit",
    "ObjectRecord",
    "Painted",
    "PromptsChanged",
    "Rejected",
    "Reopened",
]


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
    >>> from napari_samhq.core.geometry.planes import Plane
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
