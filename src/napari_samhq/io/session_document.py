"""Sessions as JSON documents: all that is needed to go on, or to make the objects again.

The format is described in ``docs/session-files.md``.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.images.identity import ImageIdentity
from napari_samhq.core.journal.state import Standing
from napari_samhq.core.labels.sparse_labels import BLOCK_PX, SparseLabels, rebuild_labels
from napari_samhq.errors import FileError
from napari_samhq.io.fields import Fields, put_back
from napari_samhq.io.journal_reader import LONGEST_CATEGORY, JournalReader, named_values
from napari_samhq.io.journal_writer import (
    JournalWriter,
    drafts_to_json,
    edit_to_json,
    pack,
    plane_to_json,
    record_to_json,
)
from napari_samhq.io.json_files import without_nan
from napari_samhq.io.pixel_reader import PixelReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.drafts import Drafts
    from napari_samhq.core.journal.events import Event, LabelsEdit, ObjectRecord

__all__ = [
    "SCHEMA_VERSION",
    "SavedLabels",
    "SavedSession",
    "from_document",
    "standing_of",
    "to_document",
]

SCHEMA_VERSION = 1
_FORMAT = "napari-samhq session"
_MOST_AXES = 16

#: Turns a document of a version into one of the next.
_MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


@dataclass(frozen=True, eq=False)
class SavedLabels:
    """The labels of a session, as they were before its first event.

    Attributes
    ----------
    name : str
        Name of the layer.
    base : SparseLabels
        The labels before the first event.
    complete : bool
        Whether `base` is all of them; otherwise only what the session changed, as with labels too
        large to be read.
    corrections : tuple of LabelsEdit
        What was written to the labels behind the journal's back, so that nothing is lost.
    preserve : bool
        Whether new objects leave the pixels of others alone.
    """

    name: str
    base: SparseLabels
    complete: bool = True
    corrections: tuple[LabelsEdit, ...] = ()
    preserve: bool = True


@dataclass(frozen=True, eq=False)
class SavedSession:
    """A session as values: what a session file holds.

    Attributes
    ----------
    image : ImageIdentity
        The image that was annotated.
    labels : SavedLabels
        The labels at the beginning.
    model, fingerprint : str
        Name of the model, and which weights these were; the latter may be empty.
    settings : mapping of str to plain values
        The settings of the session.
    objects : tuple of ObjectRecord
        The objects there are, with what made them.
    events : tuple of Event
        The journal, with the events that were taken back at its end.
    count : int
        How many of the events count.
    drafts : mapping of Plane to Drafts
        The unfinished objects.
    categories : mapping of int to str
        The classes of objects that have one, by label id.
    saved : str
        When, as an ISO date and time.
    unread : mapping
        What a newer program wrote and this one does not know, by its place.
    """

    image: ImageIdentity
    labels: SavedLabels
    model: str
    fingerprint: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    objects: tuple[ObjectRecord, ...] = ()
    events: tuple[Event, ...] = ()
    count: int = 0
    drafts: Mapping[Plane, Drafts] = field(default_factory=dict)
    saved: str = ""
    categories: Mapping[int, str] = field(default_factory=dict)
    unread: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    def labels_now(self) -> SparseLabels:
        """Rebuild the labels as they were when the session was saved."""
        labels = rebuild_labels(self.events[: self.count], self.labels.base)
        for edit in self.labels.corrections:
            labels.apply(edit)
        return labels

    def keeping_unread(self, earlier: SavedSession) -> SavedSession:
        """Keep what an earlier file said that nobody here understood, where it still applies."""

        def applies(place: str) -> bool:
            names = place.split("/")
            number = next((int(name) for name in names if name.isdigit()), -1)
            if place.startswith("journal/events/"):
                pair = [one.events[number : number + 1] for one in (self, earlier)]
                return bool(pair[0]) and pair[0][0] is pair[1][0]
            if place.startswith("objects/"):
                mine, theirs = (one.objects[number : number + 1] for one in (self, earlier))
                return bool(mine) and mine == theirs
            return not place.startswith("drafts/")

        kept = {place: values for place, values in earlier.unread.items() if applies(place)}
        return replace(self, unread=kept)


def to_document(saved: SavedSession) -> dict[str, Any]:
    """Turn a session into what JSON can hold."""
    from napari_samhq import __version__

    writer = JournalWriter()
    labels, base = saved.labels, saved.labels.base
    document: dict[str, Any] = {
        "format": _FORMAT,
        "schema_version": SCHEMA_VERSION,
        "generator": f"napari-samhq {__version__}",
        "saved": saved.saved or datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "image": {
            "name": saved.image.name,
            "shape": list(saved.image.shape),
            "dtype": saved.image.dtype,
            "digest": saved.image.digest,
            "rgb": saved.image.rgb,
            "axis_labels": list(saved.image.axis_labels),
            "units": list(saved.image.units),
            "scale": list(saved.image.scale),
            "source": saved.image.source,
        },
        "labels": {
            "name": labels.name,
            "shape": list(base.shape),
            "dtype": base.dtype.name,
            "preserve": labels.preserve,
            "complete": labels.complete,
            "base": [
                {"block": list(place), "values": pack(_little_endian(block))}
                for place, block in sorted(base.blocks.items())
            ],
            "corrections": [edit_to_json(edit) for edit in labels.corrections],
        },
        "model": {"name": saved.model, "fingerprint": saved.fingerprint},
        "settings": dict(saved.settings),
        "journal": {
            "count": saved.count,
            "events": [writer.event(event) for event in saved.events],
        },
        "objects": [record_to_json(record) for record in saved.objects],
        "drafts": [
            {"plane": plane_to_json(plane), "drafts": drafts_to_json(drafts)}
            for plane, drafts in sorted(saved.drafts.items(), key=lambda one: str(one[0]))
        ],
    }
    if saved.categories:
        document["categories"] = [
            {"label_id": label_id, "category": name} for label_id, name in saved.categories.items()
        ]
    put_back(document, without_nan(dict(saved.unread)))
    return document


def from_document(document: Any, source: str) -> SavedSession:
    """Read a session out of what JSON held.

    Parameters
    ----------
    document : object
        What the parser gave.
    source : str
        Where it comes from, for messages.

    Raises
    ------
    FileError
        If it is damaged, no session, or of a newer version.
    """
    fields = Fields(_present(document, source), "", source)
    for name in ("format", "schema_version", "generator"):
        fields.raw(name, None)
    saved = fields.text("saved", "")
    image = _image(fields.child("image"))
    labels_fields = fields.child("labels")
    shape = labels_fields.wholes("shape", low=1)
    dtype = labels_fields.one_of("dtype", tuple(f"{s}int{n}" for s in ("", "u") for n in _BITS))
    if not 2 <= len(shape) <= _MOST_AXES:
        raise labels_fields.wrong(list(shape), "two axes or more", "labels/shape")
    pixels = PixelReader(shape, dtype)
    labels = _labels(labels_fields, pixels)
    model_fields = fields.child("model")
    model, fingerprint = model_fields.text("name"), model_fields.text("fingerprint", "")
    model_fields.done()
    reader = JournalReader(pixels)
    journal = fields.child("journal")
    events = tuple(journal.children("events", reader.event))
    count = journal.whole("count", high=len(events))
    journal.done()
    objects = tuple(fields.children("objects", reader.record))
    if len({one.label_id for one in objects}) < len(objects):
        raise fields.wrong("the same label id twice", "each object once", "objects")
    drafts: dict[Plane, Drafts] = {}
    for one in fields.children("drafts", lambda inner: _drafts(inner, reader), []):
        drafts[one[0]] = one[1]
    categories = dict(fields.children("categories", _category, []))
    settings = dict(named_values(fields, "settings"))
    fields.done()
    return SavedSession(
        image, labels, model, fingerprint, settings, objects, events, count, drafts, saved,
        categories, fields.unread,
    )  # fmt: skip


_BITS = (8, 16, 32, 64)


def _present(document: Any, source: str) -> dict[str, Any]:
    """Check what a file is, and bring one of an older version up to date."""
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise FileError(f"{source} is not a session of napari-samhq. Choose a *.samhq.json file.")
    version = document.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise FileError(f"{source} is damaged: its schema_version is {version!r}, no number.")
    if version > SCHEMA_VERSION:
        generator = str(document.get("generator", "a newer program"))[:60]
        raise FileError(
            f"{source} has the schema version {version}, written by {generator}; this program "
            f"reads versions up to {SCHEMA_VERSION}. Update napari-samhq."
        )
    present: dict[str, Any] = document
    while version < SCHEMA_VERSION:
        migrate = _MIGRATIONS.get(version)
        if migrate is None:
            raise FileError(
                f"{source} has the schema version {version}, which no release has written. "
                f"Needed is {SCHEMA_VERSION}."
            )
        present, version = migrate(present), version + 1
    return present


def _image(fields: Fields) -> ImageIdentity:
    source = fields.text("source", "")
    # A name on any system is judged as on all of them: sessions travel.
    parts = PurePosixPath(source).parts
    if source and (
        ".." in parts or source.startswith("/") or any(sign in source for sign in ":\\")
    ):
        raise fields.wrong(source, "a path within the folder of the file", "image/source")
    identity = ImageIdentity(
        name=fields.text("name"),
        shape=fields.wholes("shape", low=1),
        dtype=fields.text("dtype"),
        digest=fields.text("digest"),
        rgb=fields.flag("rgb", False),
        axis_labels=_texts(fields, "axis_labels"),
        units=_texts(fields, "units"),
        scale=tuple(fields.as_number(value, place) for value, place in fields.items("scale", [])),
        source=source,
    )
    fields.done()
    return identity


def _texts(fields: Fields, name: str) -> tuple[str, ...]:
    values = [value for value, _ in fields.items(name, [])]
    if not all(isinstance(value, str) for value in values):
        raise fields.wrong(values, "a list of texts", f"{fields.where}/{name}")
    return tuple(values)


def _labels(fields: Fields, pixels: PixelReader) -> SavedLabels:
    base = SparseLabels(pixels.shape, pixels.dtype)
    last = tuple((n - 1) // side for n, side in zip(base.shape, base.sides, strict=True))

    def read_block(inner: Fields) -> None:
        place = inner.wholes("block")
        fits = len(place) == len(last) and all(a <= b for a, b in zip(place, last, strict=True))
        if not fits or place in base.blocks:
            raise inner.wrong(
                list(place), f"another block of {BLOCK_PX} px, up to {last}", inner.where
            )
        size = [part.stop - part.start for part in base.slices(place)]
        values = pixels.values(inner, "values", int(np.prod(size)))
        base.blocks[place] = values.reshape(size)

    fields.children("base", read_block, [])
    saved = SavedLabels(
        fields.text("name"),
        base,
        fields.flag("complete", True),
        tuple(fields.children("corrections", pixels.edit, [])),
        fields.flag("preserve", True),
    )
    fields.done()
    return saved


def _category(fields: Fields) -> tuple[int, str]:
    label_id = fields.whole("label_id", low=1)
    return label_id, fields.text("category", longest=LONGEST_CATEGORY)


def _drafts(fields: Fields, reader: JournalReader) -> tuple[Plane, Drafts]:
    plane = reader.pixels.plane(fields.child("plane"))
    return plane, reader.drafts(fields.child("drafts"))


def _little_endian(block: np.ndarray[Any, Any]) -> bytes:
    return block.astype(block.dtype.newbyteorder("<")).tobytes()


def standing_of(saved: SavedSession) -> Standing:
    """Tell what stood when a session was saved: its objects, and the unfinished ones."""
    records = {one.label_id: one for one in saved.objects}
    return Standing(dict(saved.drafts), records, dict(saved.categories))
