"""Sessions on the disk: saving, opening, and bringing back what was not finished."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog

from napari_samhq.errors import SamHQError
from napari_samhq.session.storage.autosave import recover, recoverable
from napari_samhq.session.storage.open import layers_read_from, open_session
from napari_samhq.session.storage.snapshot import SAVED_IN

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_samhq.session import Session
    from napari_samhq.session.storage.autosave import Recoverable
    from napari_samhq.ui.controller import Controller
    from napari_samhq.ui.panels import RecoveryBanner

__all__ = ["Files", "offer_of"]

_SUFFIX = ".samhq.json"
_KIND = f"SAM-HQ session (*{_SUFFIX})"


class Files:
    """Asks for file names, saves and opens sessions, and offers unfinished work.

    Parameters
    ----------
    controller : Controller
        Knows the session.
    banner : RecoveryBanner
        Where work is offered.
    window : QWidget
        What dialogs belong to.
    """

    def __init__(self, controller: Controller, banner: RecoveryBanner, window: QWidget) -> None:
        self._controller, self._banner, self._window = controller, banner, window
        self._looked_for: Session | None = None
        self._found: list[Recoverable] = []
        self._told: set[str] = set()  # files that could not be gone on with
        banner.wanted.connect(self.bring_back)
        banner.discarded.connect(self.discard)

    def save(self) -> None:
        """Save the session where it was saved before, else where the user says."""
        session = self._controller.session
        if session is None:
            return
        name = str(session.path) if session.path is not None else session.image.name + _SUFFIX
        chosen, _ = QFileDialog.getSaveFileName(self._window, "Save the session", name, _KIND)
        if chosen:
            path = chosen if chosen.endswith(_SUFFIX) else chosen + _SUFFIX
            # The dialog asked before it let a file be chosen that is there already.

            def save_it() -> None:
                saved = session.save(path, overwrite=chosen == path)
                session.say(f"Saved in {saved.name}.")

            self._controller.attempt(save_it)
            self._controller.changed.emit()

    def open(self) -> None:
        """Go on with a session from a file that the user chooses."""
        chosen, _ = QFileDialog.getOpenFileName(self._window, "Open a session", "", _KIND)
        if not chosen:
            return
        self._controller.attempt(lambda: self._go_on(chosen))
        self._controller.changed.emit()

    def take_up_read(self) -> None:
        """Go on with session files that were dropped on the window, or opened by napari's menu.

        Where a session cannot be gone on with yet, because its image is not there, this is told
        once, and tried again with each layer that comes.
        """
        controller = self._controller
        read = layers_read_from(None, controller.viewer)
        for path in dict.fromkeys(layer.metadata[SAVED_IN] for layer in read):
            try:
                self._go_on(path)
            except SamHQError as error:
                if path not in self._told:
                    self._told.add(path)
                    controller.say(str(error))
            else:
                self._told.discard(path)
                controller.changed.emit()

    def _go_on(self, path: str) -> None:
        controller = self._controller
        session = open_session(path, controller.viewer, **controller.session_options())
        controller.adopt(session)
        session.say(f"All of {Path(path).name} is back.")

    def look(self) -> None:
        """Offer unfinished work on the present image, once for each session that is begun."""
        session = self._controller.session
        if session is self._looked_for:
            if self._found and session is not None and session.journal.can_undo:
                self._offer([])  # the user went on with something else
            return
        self._looked_for = session
        fresh = session is not None and session.path is None
        self._offer(recoverable(session.image) if session is not None and fresh else [])

    def bring_back(self) -> None:
        """Bring the work back that is offered."""
        session = self._controller.session
        if session is not None and self._found:
            found = self._found[0]
            self._controller.attempt(lambda: recover(session, found))
            self._offer([])
            self._controller.changed.emit()

    def discard(self) -> None:
        """Forget the work that is offered, and offer what else there is."""
        if self._found:
            try:
                self._found[0].discard()
            except (OSError, SamHQError) as error:
                self._controller.say(f"It cannot be discarded: {error}")
            self._offer(self._found[1:])

    def _offer(self, found: list[Recoverable]) -> None:
        self._found = found
        self._banner.offer(offer_of(found[0], datetime.now().astimezone()) if found else "")


def offer_of(found: Recoverable, now: datetime) -> str:
    """Say what can be brought back.

    Examples
    --------
    >>> from datetime import timezone
    >>> from pathlib import Path
    >>> from napari_samhq.session.storage.autosave import Recoverable
    >>> found = Recoverable(Path("a"), "nuclei", "", (9, 9), 61380.0, 12, 1, closed=False)
    >>> offer_of(found, datetime(1970, 1, 2, 9, 0, tzinfo=timezone.utc))
    'Unfinished work of yesterday 17:03 on nuclei: 12 objects, and 1 not accepted yet.'
    """
    then = datetime.fromtimestamp(found.time, now.tzinfo)
    days = (now.date() - then.date()).days
    day = {0: "today", 1: "yesterday"}.get(days, f"{then:%Y-%m-%d}")
    counts = f"{found.objects} object{'' if found.objects == 1 else 's'}"
    if found.unfinished:
        counts += f", and {found.unfinished} not accepted yet"
    image = f"{found.image}, which had other pixels" if found.other_pixels else found.image
    return f"Unfinished work of {day} {then:%H:%M} on {image}: {counts}."
