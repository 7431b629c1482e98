"""The objects of a session: what is in the labels layer, what made it, and how it came about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_samhq.errors import LayerError, PromptError
from napari_samhq.session.journal import (
    Committed,
    Deleted,
    Draft,
    Journal,
    ObjectRecord,
    Reopened,
)
from napari_samhq.session.labels import (
    LabelIds,
    area_of,
    edit_to_commit,
    edit_to_delete,
    write,
)

if TYPE_CHECKING:
    import pandas as pd
    from napari.layers import Labels

    from napari_samhq.session.asking import Shown
    from napari_samhq.session.journal import Event
    from napari_samhq.session.plane import Plane

__all__ = ["Ledger"]


class Ledger:
    """Writes objects into a labels layer, keeps what made them, and can take all of it back.

    Parameters
    ----------
    labels : napari.layers.Labels
        Where the objects are.
    """

    def __init__(self, labels: Labels) -> None:
        self.journal = Journal()
        self.records: dict[int, ObjectRecord] = {}
        self._labels = labels
        self._ids = LabelIds(labels)

    def close(self) -> None:
        """Leave the labels layer alone from now on."""
        self._ids.close()

    def new_label_id(self) -> int:
        """Tell the label id that the next new object gets."""
        return self._ids.next()

    def commit(self, plane: Plane, draft: Draft, shown: Shown) -> int:
        """Write the chosen mask as a new object, or in place of the one that was reopened.

        Raises
        ------
        PromptError
            If the mask is empty.
        LayerError
            If the label id does not fit the layer, or nothing is left to write.
        """
        if not shown.mask.any():
            raise PromptError(
                "The mask is empty, so there is no object to accept. Move the points, or draw a "
                "box around the object."
            )
        label_id = draft.label_id or self._ids.give(plane)
        edit = edit_to_commit(self._labels, plane, shown.mask, shown.prediction.region, label_id)
        record = ObjectRecord(label_id, plane, shown.drawn, shown.score, shown.model, shown.chosen)
        event = Committed(plane, draft, Draft(), record, self.records.get(label_id), edit)
        self._apply(event)
        self.journal.append(event)
        return label_id

    def delete(self, label_id: int, plane: Plane, draft: Draft) -> Event:
        """Take an object out of the labels layer; `plane` and `draft` are those it is found in."""
        edit = edit_to_delete(self._labels, plane, label_id)
        after = Draft() if draft.label_id == label_id else draft
        event = Deleted(plane, draft, after, self.records.get(label_id), edit)
        self._apply(event)
        self.journal.append(event)
        return event

    def reopen(self, label_id: int, draft: Draft) -> Event:
        """Take a committed object up again, with its prompts.

        Raises
        ------
        LayerError
            If nothing is known of it, or another object is being made in its plane.
        """
        record = self.records.get(label_id)
        if record is None:
            known = ", ".join(map(str, sorted(self.records))) or "none"
            raise LayerError(
                f"Object {label_id} has no prompts to come back to: it was not made in this "
                f"session. Objects with prompts: {known}."
            )
        if draft and draft.label_id != label_id:
            raise LayerError(
                "Another object is being made in that plane. Accept or reject it first, then "
                f"reopen object {label_id}."
            )
        event = Reopened(record.plane, draft, Draft(record.drawn, label_id))
        self.journal.append(event)
        return event

    def undo(self) -> Event | None:
        """Take back the last event, in the labels layer too, and return it."""
        event = self.journal.last()
        if event is not None:
            self._apply(event, back=True)
            self.journal.step_back()
        return event

    def redo(self) -> Event | None:
        """Do the event again that was taken back last, and return it."""
        event = self.journal.next()
        if event is not None:
            self._apply(event)
            self.journal.step_forward()
        return event

    def table(self) -> pd.DataFrame:
        """List the objects; areas are counted now, so that hand edits are in them."""
        import pandas as pd

        by_plane: dict[Plane, list[int]] = {}
        for record in self.records.values():
            by_plane.setdefault(record.plane, []).append(record.label_id)
        areas: dict[int, int] = {}
        for plane, label_ids in by_plane.items():
            areas |= area_of(self._labels, plane, label_ids)
        columns = ["label_id", "score", "area", "prompts", "plane", "model"]
        rows = [
            (i, one.score, areas[i], str(one.drawn), one.plane.position, one.model)
            for i, one in sorted(self.records.items())
        ]
        return pd.DataFrame(rows, columns=columns)

    def _apply(self, event: Event, *, back: bool = False) -> None:
        if isinstance(event, Committed | Deleted):
            write(self._labels, event.edit, back=back)
        if isinstance(event, Committed):
            self._set(event.record.label_id, event.replaced if back else event.record)
        elif isinstance(event, Deleted) and event.record is not None:
            self._set(event.record.label_id, event.record if back else None)

    def _set(self, label_id: int, record: ObjectRecord | None) -> None:
        if record is None:
            self.records.pop(label_id, None)
        else:
            self.records[label_id] = record
