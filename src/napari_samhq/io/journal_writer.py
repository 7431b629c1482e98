"""Journals to JSON: prompts, objects, edits and events.

Pixels are packed, compressed with zlib and written in base64. An event says only what it changed
in the objects being made, so that a journal grows with the work and not with its square; whoever
writes or reads it therefore goes through it in order.
"""

from __future__ import annotations

import base64
import math
import zlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.journal.drafts import Choice, Draft, Drafts
from napari_samhq.core.journal.events import (
    ChoiceChanged,
    Classified,
    Commit,
    Committed,
    Deleted,
    Event,
    Painted,
    PromptsChanged,
    Rejected,
    Reopened,
)
from napari_samhq.core.journal.state import Standing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.drafts import Step
    from napari_samhq.core.journal.events import LabelsEdit, ObjectRecord
    from napari_samhq.core.journal.shapes_drawn import Drawn
    from napari_samhq.core.masks.cropped import CroppedMask

__all__ = [
    "KINDS",
    "JournalWriter",
    "changed_drafts",
    "drafts_to_json",
    "edit_to_json",
    "pack",
    "plane_to_json",
    "record_to_json",
]

#: What events are called in files.
KINDS: dict[str, type[Event]] = {
    "prompts": PromptsChanged,
    "choice": ChoiceChanged,
    "rejected": Rejected,
    "reopened": Reopened,
    "committed": Committed,
    "deleted": Deleted,
    "painted": Painted,
    "classified": Classified,
}
_NAMES = {kind: name for name, kind in KINDS.items()}


def pack(data: bytes) -> str:
    """Compress bytes, and write them in letters."""
    return base64.b64encode(zlib.compress(data, 6)).decode("ascii")


def plane_to_json(plane: Plane) -> dict[str, Any]:
    """Write a plane."""
    return {"axes": list(plane.axes), "position": list(plane.position)}


def _mask_to_json(mask: CroppedMask) -> dict[str, Any]:
    start, size = [mask.top, mask.left], [mask.height, mask.width]
    return {"start": start, "size": size, "pixels": pack(mask.bits)}


def _drawn_to_json(drawn: Drawn) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if drawn.points:
        content["points"] = [[p.row, p.col, int(p.positive)] for p in drawn.points]
    if drawn.shapes:
        content["shapes"] = [
            {"kind": shape.kind, "vertices": [list(vertex) for vertex in shape.vertices]}
            for shape in drawn.shapes
        ]
    if drawn.mask is not None:
        content["mask"] = _mask_to_json(drawn.mask)
    return content


def _draft_to_json(draft: Draft) -> dict[str, Any]:
    choice = draft.choice
    content: dict[str, Any] = {"label_id": draft.label_id, "drawn": _drawn_to_json(draft.drawn)}
    if choice != Choice():
        content["choice"] = {
            "candidate": choice.candidate,
            "output": choice.output,
            "threshold": choice.threshold,
        }
    if draft.reopened:
        content["reopened"] = True
    if draft.earlier:
        content["earlier"] = [_step_to_json(step) for step in draft.earlier]
    return content


def _step_to_json(step: Step) -> dict[str, Any]:
    content: dict[str, Any] = {
        "drawn": _drawn_to_json(step.drawn),
        "candidate": step.candidate,
        "output": step.output,
    }
    if step.together:
        content["together"] = True
    return content


def drafts_to_json(drafts: Drafts) -> dict[str, Any]:
    """Write the objects being made in a plane."""
    return _change_to_json(Drafts(), drafts)


def _change_to_json(before: Drafts, after: Drafts) -> dict[str, Any]:
    """Say how the objects being made in a plane changed."""
    content: dict[str, Any] = {"active": after.active}
    put = [draft for draft in after if before.get(draft.label_id) != draft]
    gone = [draft.label_id for draft in before if after.get(draft.label_id) is None]
    if changed_drafts(before, put, gone, after.active) != after:  # the order changed too
        put, gone = list(after), [draft.label_id for draft in before]
    if put:
        content["put"] = [_draft_to_json(draft) for draft in put]
    if gone:
        content["gone"] = gone
    return content


def changed_drafts(before: Drafts, put: list[Draft], gone: list[int], active: int | None) -> Drafts:
    """Take drafts out, put others in, and say which one is active."""
    after = before
    for label_id in gone:
        after = after.without(label_id)
    for draft in put:
        after = after.put(draft)
    return Drafts(after.drafts, active)


def record_to_json(record: ObjectRecord) -> dict[str, Any]:
    """Write a committed object."""
    content: dict[str, Any] = {
        "label_id": record.label_id,
        "plane": plane_to_json(record.plane),
        "steps": [_step_to_json(step) for step in record.steps],
        "threshold": record.threshold,
        "score": record.score if math.isfinite(record.score) else None,
        "model": record.model,
        "fingerprint": record.fingerprint,
        "rules": dict(record.rules),
        "seen": dict(record.seen),
    }
    if record.doubt is not None:
        content["doubt"] = asdict(record.doubt)
    if record.mask is not None:
        content["mask"] = _mask_to_json(record.mask)
    return content


def edit_to_json(edit: LabelsEdit) -> dict[str, Any]:
    """Write a change of labels."""
    rows, cols = edit.region
    return {
        "plane": plane_to_json(edit.plane),
        "start": [rows.start, cols.start],
        "size": [rows.stop - rows.start, cols.stop - cols.start],
        "changed": pack(np.packbits(edit.changed).tobytes()),
        "old": _values_to_json(edit.old),
        "new": _values_to_json(edit.new),
    }


def _values_to_json(values: NDArray[Any]) -> int | str:
    """Write label ids: one number where all are equal, as they mostly are."""
    if values.size and (values == values[0]).all():
        return int(values[0])
    return pack(np.asarray(values).astype(np.dtype(values.dtype).newbyteorder("<")).tobytes())


class JournalWriter:
    """Writes the events of one journal, in order.

    Parameters
    ----------
    standing : Standing, optional
        What stood before the first event. It is followed from there on.
    """

    def __init__(self, standing: Standing | None = None) -> None:
        self.standing = standing or Standing()

    def event(self, event: Event) -> dict[str, Any]:
        """Write the event that happens next."""
        known = self.standing.drafts_in(event.plane)
        content: dict[str, Any] = {
            "kind": _NAMES[type(event)],
            "plane": plane_to_json(event.plane),
        }
        if event.before != known:
            content["before"] = _change_to_json(known, event.before)
        if event.after != event.before:
            content["after"] = _change_to_json(event.before, event.after)
        if isinstance(event, Committed):
            content["commits"] = [self._commit(commit) for commit in event.commits]
        elif isinstance(event, Deleted):
            content["label_id"] = event.label_id
            content["record"] = self._known(event.record, event.label_id)
            content["edit"] = edit_to_json(event.edit)
            if event.category:
                content["category"] = event.category
        elif isinstance(event, Painted):
            content["edits"] = [edit_to_json(edit) for edit in event.edits]
        elif isinstance(event, Classified):
            content |= {"label_id": event.label_id, "old": event.old, "new": event.new}
        self.standing.apply(event)
        return content

    def _commit(self, commit: Commit) -> dict[str, Any]:
        return {
            "record": record_to_json(commit.record),
            "replaced": self._known(commit.replaced, commit.record.label_id),
            "edit": edit_to_json(commit.edit),
        }

    def _known(self, record: ObjectRecord | None, label_id: int) -> Any:
        """Write a record; "known" where it is the one that stands."""
        if record is None:
            return None
        return "known" if record == self.standing.records.get(label_id) else record_to_json(record)
