"""Sessions as files: what is kept of one, and how the next one goes on from there."""

from __future__ import annotations

import math
import warnings
import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.identity import ImageIdentity, content_digest
from napari_samhq.core.journal import Choice, Journal
from napari_samhq.core.sparse_labels import SparseLabels, base_of, edits_of, rebuild_labels
from napari_samhq.errors import FileError, LayerError, SamHQError, SamHQWarning, SettingsError
from napari_samhq.io.images import open_array
from napari_samhq.io.session_document import SavedLabels, SavedSession
from napari_samhq.io.session_files import (
    SESSION_SUFFIX,
    read_session,
    source_of,
    write_session,
)
from napari_samhq.session.restoring import check_saved_labels, restored_labels
from napari_samhq.session.targets import find_image, images_of
from napari_samhq.session.views import pick_channels
from napari_samhq.settings import CommitRules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_samhq.session.session import Session

__all__ = ["identify", "open_session", "register", "running_on", "save", "snapshot", "take_up"]

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
        if not session.desk.closed and session.labels.data is data:
            return session
    return None


def snapshot(session: Session, folder: Path | None = None) -> SavedSession:
    """Collect all that a session file holds.

    Parameters
    ----------
    session : Session
        The session.
    folder : Path, optional
        Where the file goes.
    """
    ledger, making, layer = session.desk.ledger, session.desk.making, session.labels
    counted = tuple(ledger.journal)
    shape = tuple(int(length) for length in layer.data.shape)
    # Labels in blocks know where they have objects.
    complete = getattr(layer.data, "filled_px", math.prod(shape)) <= _MOST_VALUES
    touched = None
    if not complete:
        edits = (edit for event in counted for edit in edits_of(event))
        touched = SparseLabels(shape, layer.data.dtype).touched(edits)
    now = SparseLabels.of(layer.data, touched)
    base = base_of(counted, now)
    labels = SavedLabels(
        name=layer.name,
        base=base,
        complete=complete,
        # Whatever was written to the layer past the journal belongs to the labels, too.
        corrections=rebuild_labels(counted, base).differences(now),
        preserve=bool(layer.preserve_labels),
    )
    records = [ledger.records[label_id] for label_id in sorted(ledger.records)]
    model = making.asker.model
    weights = [record.fingerprint for record in records if record.model == model]
    return SavedSession(
        image=identify(session.image, folder),
        labels=labels,
        model=model,
        fingerprint=weights[-1] if weights else "",
        settings=_settings(session),
        objects=tuple(records),
        events=(*counted, *ledger.journal.undone),
        count=len(counted),
        drafts=making.unfinished,
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
    desk = session.desk
    desk.ledger.take_up(journal, {record.label_id: record for record in saved.objects})
    _take_settings(session, saved.settings)
    for plane, drafts in saved.drafts.items():
        desk.making.put(plane, drafts)
    desk.turn()


def open_session(
    path: str | Path,
    viewer: ViewerModel,
    *,
    image: Image | str | None = None,
    labels: Labels | None = None,
    **options: Any,
) -> Session:
    """Go on with a session that was saved.

    Parameters
    ----------
    path : str or Path
        The session file.
    viewer : napari.Viewer or napari.components.ViewerModel
        Where the image is, and where layers are added.
    image : napari.layers.Image or str, optional
        The image layer or its name. When left out: the one in the viewer whose pixels are those of
        the session; else the file beside the session file is opened.
    labels : napari.layers.Labels, optional
        The labels as they were saved; they are rebuilt from the session file when left out.
    **options
        As for :class:`~napari_samhq.session.Session`, such as ``model``.

    Returns
    -------
    Session
        With all objects, unfinished ones too, and with the journal: what was done before can be
        undone.

    Raises
    ------
    FileError
        If the file cannot be read.
    LayerError
        If the image is not there, or has another shape; or `labels` holds others than those that
        were saved.

    Warns
    -----
    SamHQWarning
        If the image has other pixels than it had, or its model is not here.

    Examples
    --------
    >>> session = open_session("cells.samhq.json", viewer)  # doctest: +SKIP
    >>> session.undo()  # doctest: +SKIP
    True
    """
    from napari_samhq.session.session import Session

    saved = read_session(path)
    layer = _find_image(saved, Path(path), viewer, image)
    if labels is None:
        labels = _labels_read_from(path, viewer)
    if labels is None:
        labels = restored_labels(saved, layer)
    else:
        check_saved_labels(labels, saved)
    options.setdefault("model", _known_model(saved))
    session = Session(viewer, layer, labels=labels, **options)
    session.opened, session.path = saved, Path(path)
    take_up(session, saved)
    return session


_RULE = "rule "  # before the names of rules for committing, among the other settings


def _settings(session: Session) -> dict[str, Any]:
    """Collect the settings of a session as plain values."""
    making = session.desk.making
    habit = making.habit
    rules = {f"{_RULE}{name}": value for name, value in session.desk.ledger.rules.pairs()}
    picked = making.channels
    looks = {} if picked is None else {"channels": list(picked.picks), "channel_axis": picked.axis}
    return {
        **looks,
        "refine": making.refine,
        "output": habit.output,
        "threshold": habit.threshold,
        **rules,
    }


def _take_settings(session: Session, settings: Mapping[str, Any]) -> None:
    """Take over settings; those that a program does not know keep their present value."""
    making, ledger = session.desk.making, session.desk.ledger
    known = {f"{_RULE}{one.name}": one.name for one in CommitRules.described()}
    chosen = {known[name]: value for name, value in settings.items() if name in known}
    try:
        ledger.rules = CommitRules.of(chosen.items())
        output = settings.get("output", "sam+hq")
        if output not in ("sam+hq", "sam", "hq"):
            raise SettingsError(f"The output {output!r} is not known.")
        making.habit = Choice(None, output, float(settings.get("threshold", 0.0)))
        making.refine = bool(settings.get("refine", True))
        if settings.get("channels") is not None:
            axis = settings.get("channel_axis")
            making.channels = pick_channels(session.image, settings["channels"], axis)
    except (SamHQError, TypeError, ValueError) as error:
        warnings.warn(
            f"The settings of the session cannot be used, so the usual ones hold: {error}",
            SamHQWarning,
            stacklevel=3,
        )


def _find_image(
    saved: SavedSession, path: Path, viewer: ViewerModel, image: Image | str | None
) -> Image:
    wanted = saved.image
    if image is not None:
        found = find_image(viewer, image)
    else:
        fitting = [layer for layer in images_of(viewer) if _shape(layer) == wanted.shape]
        same = [layer for layer in fitting if identify(layer).matches(wanted)]
        named = [layer for layer in fitting if layer.name == wanted.name]
        source = None if same or named else source_of(saved, path)
        if source is not None:
            same = [_open_image(source, saved, viewer)]
        found_ones = same or named or (fitting if len(fitting) == 1 else [])
        if not found_ones:
            raise LayerError(
                f"The session was made on the image {wanted.name!r} of shape {wanted.shape}, which "
                "is not in the viewer. Open it, then the session again; or say which layer it is "
                "by image=."
            )
        found = find_image(viewer, found_ones[-1])
    if _shape(found) != wanted.shape:
        raise LayerError(
            f"The image {found.name!r} has the shape {_shape(found)}; the session was made on "
            f"{wanted.name!r} of shape {wanted.shape}. Choose that image."
        )
    if not identify(found).matches(wanted):
        warnings.warn(
            f"The image {found.name!r} has other pixels than {wanted.name!r} had when the session "
            "was saved. Objects stay as they are; new masks follow the present pixels.",
            SamHQWarning,
            stacklevel=3,
        )
    return found


def _open_image(source: Path, saved: SavedSession, viewer: ViewerModel) -> Image:
    """Open the file of an image, and place it as it was."""
    from napari.layers import Image

    array, known = open_array(source), saved.image
    options: dict[str, Any] = {}
    if known.scale:
        options = {"scale": known.scale, "units": known.units, "axis_labels": known.axis_labels}
    # Zarr arrays stay where they are; napari knows no other array that is read piece by piece.
    data = array if source.is_dir() else np.asarray(array[()])
    layer = Image(data, name=known.name, rgb=known.rgb, **options)
    viewer.add_layer(layer)
    return layer


def _labels_read_from(path: str | Path, viewer: ViewerModel) -> Labels | None:
    """Find the layer that the reader made of the same file, and remove those of its prompts."""
    read = [layer for layer in viewer.layers if layer.metadata.get(SAVED_IN) == str(path)]
    labels = None
    for layer in read:
        if layer._type_string == "labels" and not layer.multiscale:
            labels = layer
        else:  # prompts, or labels of a large image that can only be looked at
            viewer.layers.remove(layer)
    return labels


def _known_model(saved: SavedSession) -> str:
    from napari_samhq.checkpoints import list_models

    known = saved.model in {info.name for info in list_models()}
    if known or Path(saved.model).expanduser().exists():
        return saved.model
    warnings.warn(
        f"The model of the session, {saved.model!r}, is not on this machine, so 'micro' takes its "
        "place. Objects stay as they are.",
        SamHQWarning,
        stacklevel=3,
    )
    return "micro"


def _shape(image: Image) -> tuple[int, ...]:
    data = image.data[0] if image.multiscale else image.data
    return tuple(int(length) for length in data.shape)


def _relative(source: str | None, folder: Path | None) -> str:
    """Tell where a file lies within a folder; empty if it does not."""
    if not source or folder is None:
        return ""
    path, folder = Path(source).resolve(), folder.resolve()
    inside = path.exists() and path.is_relative_to(folder)
    return path.relative_to(folder).as_posix() if inside else ""
