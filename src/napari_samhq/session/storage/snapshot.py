"""Saving sessions: what is kept of one, and how it is taken up by the next one."""

from __future__ import annotations

import math
import warnings
import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.images.identity import ImageIdentity, content_digest
from napari_samhq.core.journal.drafts import Choice
from napari_samhq.core.journal.events import Journal
from napari_samhq.core.labels.sparse_labels import SparseLabels, base_of, edits_of, rebuild_labels
from napari_samhq.errors import FileError, SamHQError, SamHQWarning, SettingsError
from napari_samhq.io.session_document import SavedLabels, SavedSession
from napari_samhq.io.session_files import (
    SESSION_SUFFIX,
    source_of,
    write_session,
)
from napari_samhq.session.finishing import areas_from, plain_areas
from napari_samhq.session.layers.image_view import pick_channels
from napari_samhq.session.layers.lookup import within
from napari_samhq.settings import CommitRules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari.layers import Image

    from napari_samhq.core.journal.events import LabelsEdit
    from napari_samhq.session.session import Session

__all__ = [
    "identify",
    "register",
    "running_on",
    "save",
    "snapshot",
    "take_up",
]

#: In the metadata of a labels layer that a session file was read into: the path of the file.
SAVED_IN = "napari_samhq_session"

#: The sessions that are not closed, so that a labels layer leads to its session.
_RUNNING: weakref.WeakSet[Session] = weakref.WeakSet()

# Labels with more values than this are not looked through as a whole.
_MOST_VALUES = 2**28


def identify(image: Image, folder: Path | None = None) -> ImageIdentity:
    """Tell which image a layer shows.

    Parameters
    ----------
    image : napari.layers.Image
        The layer.
    folder : Path, optional
        Where the session file goes: an image that lies there is remembered by its path.

    Examples
    --------
    >>> from napari.layers import Image
    >>> identify(Image(np.zeros((40, 60), np.uint8), name="cells")).shape
    (40, 60)
    """
    data = image.data[0] if image.multiscale else image.data
    return ImageIdentity(
        name=image.name,
        shape=tuple(int(length) for length in data.shape),
        dtype=str(np.dtype(data.dtype)),
        digest=content_digest(data),
        rgb=bool(image.rgb),
        axis_labels=tuple(image.axis_labels),
        units=tuple(str(unit) for unit in image.units),
        scale=tuple(float(size) for size in image.scale),
        source=_relative(image.source.path, folder),
    )


def register(session: Session) -> None:
    """Let the session be found by its labels."""
    _RUNNING.add(session)


def running_on(data: Any) -> Session | None:
    """Find the session that works on the data of a labels layer, if there is one."""
    for session in list(_RUNNING):
        if not session.closed and session.labels.data is data:
            return session
    return None


def snapshot(
    session: Session, folder: Path | None = None, *, coming: Iterable[LabelsEdit] = ()
) -> SavedSession:
    """Collect all that a session file holds.

    Parameters
    ----------
    session : Session
        The session.
    folder : Path, optional
        Where the file goes.
    coming : iterable of LabelsEdit, optional
        Edits of the journal that may not be in the data yet, as of a stroke that was just told of.
    """
    history, layer = session.controller.history, session.labels
    counted = tuple(history.journal)
    shape = tuple(int(length) for length in layer.data.shape)
    # Labels in blocks know where they have objects.
    complete = getattr(layer.data, "filled_px", math.prod(shape)) <= _MOST_VALUES
    touched = None
    if not complete:
        edits = (edit for event in counted for edit in edits_of(event))
        touched = SparseLabels(shape, layer.data.dtype).touched(edits)
    now = SparseLabels.of(layer.data, touched)
    for edit in coming:
        now.apply(edit)
    base = base_of(counted, now)
    labels = SavedLabels(
        name=layer.name,
        base=base,
        complete=complete,
        # Whatever was written to the layer past the journal belongs to the labels, too.
        corrections=rebuild_labels(counted, base).differences(now),
        preserve=bool(layer.preserve_labels),
    )
    records = [history.records[label_id] for label_id in sorted(history.records)]
    model = session.controller.masks.scheduler.model
    weights = [record.fingerprint for record in records if record.model == model]
    return SavedSession(
        image=identify(session.image, folder),
        labels=labels,
        model=model,
        fingerprint=weights[-1] if weights else "",
        settings=_settings(session),
        objects=tuple(records),
        events=(*counted, *history.journal.undone),
        count=len(counted),
        drafts=session.controller.unfinished.planes,
        categories=dict(sorted(history.categories.items())),
    )


def save(session: Session, path: str | Path | None, *, overwrite: bool = False) -> Path:
    """Save a session, see :meth:`Session.save`."""
    if path is None and session.path is None:
        raise FileError(
            "The session was not saved before, so it has no file yet. Give one: "
            f"save('cells{SESSION_SUFFIX}')."
        )
    target = Path(path) if path is not None else session.path
    assert target is not None
    saved = snapshot(session, target.parent)
    if session.opened is not None:
        saved = saved.keeping_unread(session.opened)
        earlier = session.opened.image
        if not saved.image.source and saved.image.matches(earlier):
            kept = source_of(session.opened, session.path or target)
            source = _relative(None if kept is None else str(kept), target.parent)
            saved = replace(saved, image=replace(saved.image, source=source))
    own = session.path is not None and target.resolve() == session.path.resolve()
    session.path = write_session(target, saved, overwrite=overwrite or own)
    if session.autosave is not None:
        session.autosave.saved()
    return session.path


def take_up(session: Session, saved: SavedSession) -> None:
    """Go on where a saved session ended. The labels layer has its labels already.

    Parameters
    ----------
    session : Session
        A session in which nothing happened yet.
    saved : SavedSession
        What to go on from.
    """
    journal = Journal()
    for event in saved.events:
        journal.append(event)
    for _ in range(len(saved.events) - saved.count):
        journal.step_back()
    controller = session.controller
    records = {record.label_id: record for record in saved.objects}
    controller.history.take_up(journal, records, saved.categories)
    _take_settings(session, saved.settings)
    for plane, drafts in saved.drafts.items():
        controller.unfinished.put(plane, drafts)
    controller.turn()


_RULE = "rule "  # before the names of rules for committing, among the other settings


def _settings(session: Session) -> dict[str, Any]:
    """Collect the settings of a session as plain values."""
    habit = session.controller.unfinished.habit
    rules = {f"{_RULE}{name}": value for name, value in session.controller.history.rules.pairs()}
    picked = session.controller.masks.channels
    looks = {} if picked is None else {"channels": list(picked.picks), "channel_axis": picked.axis}
    areas = plain_areas(session.controller.finished)
    return {
        **looks,
        **({"finished": areas} if areas else {}),
        "refine": session.controller.masks.refine,
        "output": habit.output,
        "threshold": habit.threshold,
        **rules,
    }


def _take_settings(session: Session, settings: Mapping[str, Any]) -> None:
    """Take over settings; those that a program does not know keep their present value."""
    known = {f"{_RULE}{one.name}": one.name for one in CommitRules.described()}
    chosen = {known[name]: value for name, value in settings.items() if name in known}
    try:
        session.rules = CommitRules.of(chosen.items())
        output = settings.get("output", "sam+hq")
        if output not in ("sam+hq", "sam", "hq"):
            raise SettingsError(f"The output {output!r} is not known.")
        session.controller.unfinished.begin_with(
            Choice(None, output, float(settings.get("threshold", 0.0)))
        )
        session.refine = bool(settings.get("refine", True))
        if settings.get("channels") is not None:
            axis = settings.get("channel_axis")
            session.controller.masks.look_at(
                pick_channels(session.image, settings["channels"], axis)
            )
        finished = within(session.image, areas_from(settings.get("finished", ())))
        session.controller.finished.clear()
        session.controller.finished.update(finished)
    except (SamHQError, TypeError, ValueError) as error:
        warnings.warn(
            f"The settings of the session cannot be used, so the usual ones hold: {error}",
            SamHQWarning,
            stacklevel=3,
        )


def _relative(source: str | None, folder: Path | None) -> str:
    """Tell where a file lies within a folder; empty if it does not."""
    if not source or folder is None:
        return ""
    path, folder = Path(source).resolve(), folder.resolve()
    inside = path.exists() and path.is_relative_to(folder)
    return path.relative_to(folder).as_posix() if inside else ""
