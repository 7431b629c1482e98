"""Session state after part of the journal: finished objects and drafts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_samhq.core.journal.drafts import Drafts
from napari_samhq.core.journal.events import Classified, Committed, Deleted

if TYPE_CHECKING:
    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.events import Event, ObjectRecord

__all__ = ["Standing"]


@dataclass
class Standing:
    """The objects being made and those that were made, followed event by event.

    Attributes
    ----------
    drafts : dict of Plane to Drafts
        The objects being made; planes without any are left out.
    records : dict of int to ObjectRecord
        The committed objects, by label id.
    categories : dict of int to str
        The classes of objects that have one, by label id.

    Examples
    --------
    >>> from napari_samhq.core.journal.drafts import Draft
    >>> from napari_samhq.core.journal.events import PromptsChanged
    >>> from napari_samhq.core.geometry.planes import Plane
    >>> event = PromptsChanged(Plane((0, 1)), Drafts(), Drafts().put(Draft(1)))
    >>> standing = Standing()
    >>> standing.apply(event)
    >>> standing.drafts_in(Plane((0, 1))).active
    1
    """

    drafts: dict[Plane, Drafts] = field(default_factory=dict)
    records: dict[int, ObjectRecord] = field(default_factory=dict)
    categories: dict[int, str] = field(default_factory=dict)

    def drafts_in(self, plane: Plane) -> Drafts:
        """Tell which objects are being made in a plane."""
        return self.drafts.get(plane, Drafts())

    def apply(self, event: Event, *, back: bool = False) -> None:
        """Go on by one event, or back."""
        self.apply_to_objects(event, back=back)
        drafts = event.before if back else event.after
        self.drafts.pop(event.plane, None)
        if drafts:
            self.drafts[event.plane] = drafts

    def apply_to_objects(self, event: Event, *, back: bool = False) -> None:
        """Go on by what an event did to committed objects, or back."""
        if isinstance(event, Committed):
            for commit in event.commits[::-1] if back else event.commits:
                self._set(commit.record.label_id, commit.replaced if back else commit.record)
        elif isinstance(event, Deleted):
            self._set(event.label_id, event.record if back else None)
            self._classify(event.label_id, event.category if back else "")
        elif isinstance(event, Classified):
            self._classify(event.label_id, event.old if back else event.new)

    def _set(self, label_id: int, record: ObjectRecord | None) -> None:
        self.records.pop(label_id, None)
        if record is not None:
            self.records[label_id] = record

    def _classify(self, label_id: int, category: str) -> None:
        self.categories.pop(label_id, None)
        if category:
            self.categories[label_id] = category
