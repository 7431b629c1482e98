"""The journal: what happened in a session, event by event, and how far it is undone.

Events are frozen and speak in data coordinates of the image. Each one holds what it changed, before
and after, so that it can be taken back and done again without asking the model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_samhq.session.prompting import Drawn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_samhq.session.labels import LabelsEdit
    from napari_samhq.session.plane import Plane

__all__ = [
    "Committed",
    "Deleted",
    "Draft",
    "Event",
    "Journal",
    "ObjectRecord",
    "PromptsChanged",
    "Rejected",
    "Reopened",
]


@dataclass(frozen=True)
class Draft:
    """The object being made in a plane: its prompts, and its label id when it was made before."""

    drawn: Drawn = field(default_factory=Drawn)
    label_id: int | None = None

    def __bool__(self) -> bool:
        return bool(self.drawn) or self.label_id is not None


@dataclass(frozen=True)
class ObjectRecord:
    """A committed object: where it is and what made it.

    Attributes
    ----------
    label_id : int
        Its value in the labels layer.
    plane : Plane
        The plane it lies in.
    drawn : Drawn
        The prompts that made it.
    score : float
        The model's own estimate of the mask's quality.
    model : str
        Name of the model.
    candidate : int
        Which of the model's masks was taken, best first.
    """

    label_id: int
    plane: Plane
    drawn: Drawn
    score: float
    model: str
    candidate: int = 0


@dataclass(frozen=True)
class Event:
    """Something that can be undone: the draft of a plane before and after."""

    plane: Plane
    before: Draft
    after: Draft


@dataclass(frozen=True)
class PromptsChanged(Event):
    """Points or shapes were added, moved or removed."""


@dataclass(frozen=True)
class Rejected(Event):
    """The object being made was given up."""


@dataclass(frozen=True)
class Reopened(Event):
    """A committed object was taken up again with its prompts."""


@dataclass(frozen=True)
class Committed(Event):
    """A mask went into the labels layer, in place of `replaced` if the object was there."""

    record: ObjectRecord
    replaced: ObjectRecord | None
    edit: LabelsEdit


@dataclass(frozen=True)
class Deleted(Event):
    """An object was taken out of the labels layer; None stands for one that was painted by hand."""

    record: ObjectRecord | None
    edit: LabelsEdit


class Journal:
    """A row of events with a mark that says how many of them count.

    Examples
    --------
    >>> from napari_samhq.session.plane import Plane
    >>> journal = Journal()
    >>> journal.append(Rejected(Plane((0, 1)), Draft(), Draft()))
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
