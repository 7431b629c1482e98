"""Saving as one works, and bringing back what was not saved when the program ended."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_samhq.core.images.identity import content_digest
from napari_samhq.core.labels.sparse_labels import edits_of
from napari_samhq.errors import LayerError
from napari_samhq.io.recovery import (
    Recoverable,
    RecoveryFile,
    read_recovery,
    recoverable_files,
)
from napari_samhq.session.storage.restore import write_labels
from napari_samhq.session.storage.snapshot import snapshot, take_up

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Image

    from napari_samhq.core.journal.events import Event
    from napari_samhq.io.recovery import Stepped
    from napari_samhq.io.session_document import SavedSession
    from napari_samhq.session.session import Session

__all__ = ["Autosave", "Recoverable", "recover", "recoverable"]


class Autosave:
    """Keeps the work of a session on the disk, step by step.

    Nothing is written before the first step. When the session is closed, the file goes if the work
    was saved; of closed sessions that were not, the last three files stay.

    Parameters
    ----------
    session : Session
        The session.
    folder : Path, optional
        Where to write; the user's folder for such files when left out.
    """

    def __init__(self, session: Session, folder: Path | None = None) -> None:
        self._session = session
        self._last: tuple[str, Event] | None = None
        self._saved = True
        self.file = RecoveryFile(self._snapshot, folder)
        session.controller.history.journal_changed.connect(self._note)
        session.controller.history.journal_cut.connect(self.restart)
        session.changed.connect(self._look)

    def close(self) -> None:
        """Write no more."""
        session = self._session
        session.controller.history.journal_changed.disconnect(self._note)
        session.controller.history.journal_cut.disconnect(self.restart)
        session.changed.disconnect(self._look)
        self.file.close(keep=not self._saved)

    def saved(self) -> None:
        """Note that all that was done so far was saved by the user."""
        self._saved = True

    def restart(self) -> None:
        """Write the whole session anew."""
        self._saved, self._last = False, None
        self.file.restart()

    def _note(self, stepped: Stepped, event: Event) -> None:
        self._saved, self._last = False, (stepped, event)
        self.file.note(stepped, event)

    def _look(self) -> None:
        if self._session.closed:
            self.close()

    def _snapshot(self) -> SavedSession:
        if self._last is None:
            return snapshot(self._session)
        # The journal is told first, the rest of the session after it.
        stepped, event = self._last
        saved = snapshot(self._session, coming=edits_of(event) if stepped == "append" else ())
        drafts = dict(saved.drafts)
        drafts.pop(event.plane, None)
        after = event.before if stepped == "undo" else event.after
        return replace(saved, drafts={**drafts, event.plane: after} if after else drafts)


def recoverable(image: Image | None = None, folder: Path | None = None) -> list[Recoverable]:
    """List unfinished work that can be brought back, the latest first.

    Parameters
    ----------
    image : napari.layers.Image, optional
        Only work on the image that this layer shows; after it, work that was cut off on an image of
        the same name and shape, of which the pixels may have been changed since.
    folder : Path, optional
        Where to look; the user's folder for such files when left out.
    """
    if image is None:
        return recoverable_files(folder)
    data = image.data[0] if image.multiscale else image.data
    digest, shape = content_digest(data), tuple(int(length) for length in data.shape)
    found = recoverable_files(folder, {digest, image.name})
    same = [one for one in found if one.digest == digest]
    changed = [
        replace(one, other_pixels=True)
        for one in found
        if one.digest != digest and (one.image, one.shape) == (image.name, shape) and not one.closed
    ]
    return same + changed


def recover(session: Session, found: Recoverable) -> None:
    """Bring unfinished work back into a session in which nothing happened yet.

    Its objects are written into the labels layer, its unfinished objects come back, and all of it
    can be undone.

    Parameters
    ----------
    session : Session
        A new session on the same image.
    found : Recoverable
        What to bring back. It is discarded once it is part of the session.

    Raises
    ------
    FileError
        If it cannot be read.
    LayerError
        If something was done in the session already, the labels layer holds other objects, or is
        of another shape.
    """
    saved = read_recovery(found.path)
    if session.journal.can_undo:
        raise LayerError(
            "Something was done in this session already. Undo it or begin a new session, then "
            "bring the work back."
        )
    write_labels(session.labels, saved)
    take_up(session, saved)
    if session.autosave is not None:
        session.autosave.restart()
        if session.autosave.file.writing:
            found.discard()
