"""Journals out of JSON: what :mod:`napari_samhq.io.journal_writer` wrote, with all checks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from napari_samhq.core.journal.drafts import Choice, Draft, Drafts, Output, Step
from napari_samhq.core.journal.events import (
    Classified,
    Commit,
    Committed,
    Deleted,
    Event,
    ObjectRecord,
    Painted,
)
from napari_samhq.core.journal.shapes_drawn import CLOSED_SHAPES, Drawn, DrawnPoint, DrawnShape
from napari_samhq.core.journal.state import Standing
from napari_samhq.core.measure.uncertainty import Doubt
from napari_samhq.io.fields import Fields
from napari_samhq.io.journal_writer import KINDS, changed_drafts

if TYPE_CHECKING:
    from napari_samhq.io.pixel_reader import PixelReader

__all__ = ["LONGEST_CATEGORY", "JournalReader", "named_values"]

LONGEST_CATEGORY = 1000

_OUTPUTS: tuple[Output, ...] = ("sam+hq", "sam", "hq")
_SHAPES = (*sorted(CLOSED_SHAPES), "line", "path")


class JournalReader:
    """Reads the events of one journal, in order, and believes none of it before it is checked.

    Parameters
    ----------
    pixels : PixelReader
        Reads what lies in planes of the labels.
    standing : Standing, optional
        What stood before the first event. It is followed from there on.

    Raises
    ------
    FileError
        From all methods, if something is missing, of another type, or out of range.
    """

    def __init__(self, pixels: PixelReader, standing: Standing | None = None) -> None:
        self.pixels = pixels
        self.standing = standing or Standing()

    def event(self, fields: Fields) -> Event:
        """Read the event that happens next."""
        kind = KINDS[fields.one_of("kind", tuple(KINDS))]
        plane = self.pixels.plane(fields.child("plane"))
        known = self.standing.drafts_in(plane)
        before = self._change(fields.child("before"), known) if fields.has("before") else known
        after = self._change(fields.child("after"), before) if fields.has("after") else before
        event: Event
        if kind is Committed:
            event = Committed(plane, before, after, tuple(fields.children("commits", self._commit)))
        elif kind is Deleted:
            label_id = fields.whole("label_id", low=1)
            record = self._known(fields, "record", label_id)
            edit = self.pixels.edit(fields.child("edit"))
            category = fields.text("category", "", longest=LONGEST_CATEGORY)
            event = Deleted(plane, before, after, label_id, record, edit, category)
        elif kind is Classified:
            label_id = fields.whole("label_id", low=1)
            old, new = (fields.text(name, longest=LONGEST_CATEGORY) for name in ("old", "new"))
            event = Classified(plane, before, after, label_id, old, new)
        elif kind is Painted:
            event = Painted(plane, before, after, tuple(fields.children("edits", self.pixels.edit)))
        else:
            event = kind(plane, before, after)
        self.standing.apply(event)
        return event

    def drafts(self, fields: Fields) -> Drafts:
        """Read the objects being made in a plane."""
        return self._change(fields, Drafts())

    def record(self, fields: Fields) -> ObjectRecord:
        """Read a committed object."""
        label_id = fields.whole("label_id", low=1)
        plane = self.pixels.plane(fields.child("plane"))
        steps = tuple(fields.children("steps", self._step))
        if not steps:
            raise fields.wrong([], "one step or more", f"{fields.where}/steps")
        score = fields.number("score") if fields.has("score") else fields.raw("score", None)
        return ObjectRecord(
            label_id=label_id,
            plane=plane,
            steps=steps,
            score=math.nan if score is None else score,
            model=fields.text("model"),
            threshold=fields.number("threshold", 0.0),
            rules=named_values(fields, "rules"),
            fingerprint=fields.text("fingerprint", ""),
            seen=named_values(fields, "seen"),
            mask=self.pixels.mask(fields.child("mask")) if fields.has("mask") else None,
            doubt=_doubt(fields.child("doubt")) if fields.has("doubt") else None,
        )

    def _commit(self, fields: Fields) -> Commit:
        record_fields = fields.child("record")
        record = self.record(record_fields)
        record_fields.done()
        replaced = self._known(fields, "replaced", record.label_id)
        return Commit(record, replaced, self.pixels.edit(fields.child("edit")))

    def _known(self, fields: Fields, name: str, label_id: int) -> ObjectRecord | None:
        value = fields.raw(name, None)
        if value is None:
            return None
        if value == "known":
            record = self.standing.records.get(label_id)
            if record is None:
                raise fields.wrong(value, "an object that is known", f"{fields.where}/{name}")
            return record
        inner = Fields(value, f"{fields.where}/{name}", fields.source, fields.unread)
        record = self.record(inner)
        inner.done()
        return record

    def _change(self, fields: Fields, before: Drafts) -> Drafts:
        put = fields.children("put", self._draft, [])
        gone = fields.wholes("gone", [], low=1)
        active = fields.whole("active", low=1) if fields.has("active") else None
        fields.raw("active", None)
        fields.done()
        after = changed_drafts(before, put, list(gone), active)
        if active is not None and after.get(active) is None:
            raise fields.wrong(active, "an object being made", f"{fields.where}/active")
        return after

    def _draft(self, fields: Fields) -> Draft:
        choice = Choice()
        if fields.has("choice"):
            inner = fields.child("choice")
            candidate = inner.whole("candidate") if inner.has("candidate") else None
            inner.raw("candidate", None)
            output = inner.one_of("output", _OUTPUTS, "sam+hq")
            choice = Choice(candidate, output, inner.number("threshold", 0.0))
            inner.done()
        return Draft(
            fields.whole("label_id", low=1),
            self._drawn(fields.child("drawn")),
            choice,
            fields.flag("reopened", False),
            tuple(fields.children("earlier", self._step, [])),
        )

    def _step(self, fields: Fields) -> Step:
        return Step(
            self._drawn(fields.child("drawn")),
            fields.whole("candidate", 0),
            fields.one_of("output", _OUTPUTS, "sam+hq"),
            fields.flag("together", False),
        )

    def _drawn(self, fields: Fields) -> Drawn:
        points = []
        for value, place in fields.items("points", []):
            row, col, positive = self._numbers(fields, value, place, 3)
            points.append(DrawnPoint(row, col, bool(positive)))
        shapes = tuple(fields.children("shapes", self._shape, []))
        mask = self.pixels.mask(fields.child("mask")) if fields.has("mask") else None
        fields.done()
        return Drawn(tuple(points), shapes, mask)

    def _shape(self, fields: Fields) -> DrawnShape:
        kind = fields.one_of("kind", _SHAPES)
        vertices = []
        for value, place in fields.items("vertices"):
            row, col = self._numbers(fields, value, place, 2)
            vertices.append((row, col))
        if len(vertices) < 2:
            raise fields.wrong(vertices, "two vertices or more", f"{fields.where}/vertices")
        return DrawnShape(kind, tuple(vertices))

    @staticmethod
    def _numbers(fields: Fields, value: Any, place: str, count: int) -> list[float]:
        if not isinstance(value, list) or len(value) != count:
            raise fields.wrong(value, f"a list of {count} numbers", place)
        return [fields.as_number(one, place) for one in value]


def _doubt(fields: Fields) -> Doubt:
    found = Doubt(fields.number("disagreement"), fields.number("uncertainty_px"))
    fields.done()
    return found


def named_values(fields: Fields, name: str) -> tuple[tuple[str, Any], ...]:
    """Take an object of plain values: numbers, texts, true or false, null, lists of them."""
    place = f"{fields.where}/{name}"
    content = fields.raw(name, {})
    if not isinstance(content, dict):
        raise fields.wrong(content, "an object with named values", place)
    return tuple((key, _plain(fields, value, f"{place}/{key}")) for key, value in content.items())


def _plain(fields: Fields, value: Any, place: str) -> Any:
    if isinstance(value, list):
        return tuple(_plain(fields, one, place) for one in value)
    if isinstance(value, dict):
        raise fields.wrong(value, "a number, a text, true, false or null", place)
    if isinstance(value, float):
        return fields.as_number(value, place)
    return value
