"""Unfinished work on the disk, step by step, so that it survives the program.

A recovery file begins with a line that holds a whole session, as in a session file. Each line
after it is one step: an event that happened, was taken back, or was done again. Lines are only
ever added at the end, so that a program that dies leaves at most its last line half written.
"""

from __future__ import annotations

import json
import os
import time
import uuid
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from filelock import FileLock

from napari_samhq.errors import FileError, SamHQWarning
from napari_samhq.io.atomic import explained, sync_folder
from napari_samhq.io.fields import Fields
from napari_samhq.io.journal_reader import JournalReader
from napari_samhq.io.journal_writer import JournalWriter
from napari_samhq.io.json_files import parse_json
from napari_samhq.io.pixel_reader import PixelReader
from napari_samhq.io.recovery_folder import (
    SUFFIX,
    VARIABLE,
    in_use,
    lock_path,
    recovery_folder,
    remove,
    sweep,
)
from napari_samhq.io.session_document import from_document, standing_of, to_document

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from napari_samhq.core.journal.events import Event
    from napari_samhq.io.session_document import SavedSession

__all__ = [
    "Recoverable",
    "RecoveryFile",
    "Stepped",
    "read_recovery",
    "recoverable_files",
    "recovery_folder",
]

#: What happened to an event of the journal.
Stepped: TypeAlias = Literal["append", "undo", "redo"]

_LARGEST_BYTES = 2**32
_PATIENCE_S = 30.0  # between attempts to write to a disk that was full


class RecoveryFile:
    """Keeps the work of one session on the disk while it goes on.

    Nothing is written before the first step. A disk that is full or cannot be written to is told
    once; the work goes on, and so do, now and then, the attempts to write.

    Parameters
    ----------
    snapshot : callable
        Returns the session as it is now.
    folder : Path, optional
        Where to write; :func:`recovery_folder` when left out.

    Attributes
    ----------
    path : Path
        The file.
    """

    def __init__(self, snapshot: Callable[[], SavedSession], folder: Path | None = None) -> None:
        # The name is this session's own, so two programs never write to one file.
        stamp = time.strftime("%Y%m%d-%H%M%S")
        name = f"{stamp}-{uuid.uuid4().hex[:12]}{SUFFIX}"
        self.path = (folder or recovery_folder()) / name
        self._snapshot = snapshot
        self._lock = FileLock(lock_path(self.path), blocking=False)
        self._stream: int | None = None
        self._length = 0
        self._writer = JournalWriter()
        self._try_again_at = 0.0
        self._told = False

    @property
    def writing(self) -> bool:
        """Whether all steps so far are on the disk."""
        return self._stream is not None

    def note(self, stepped: Stepped, event: Event) -> None:
        """Write a step that was just made.

        Warns
        -----
        SamHQWarning
            If it could not be written, the first time.
        """
        if self._stream is None:
            self.restart()
            return
        content: Any = True
        if stepped == "append":
            content = self._writer.event(event)
        else:
            self._writer.standing.apply(event, back=stepped == "undo")
        # Only what changed labels waits for the disk itself; the end of the program harms no line.
        self._attempt(lambda: self._write({stepped: content}, wait=_changes_labels(event)))

    def restart(self) -> None:
        """Write the whole session anew: at the beginning, and after the journal was cut."""
        if time.monotonic() >= self._try_again_at:
            self._attempt(self._write_all)

    def close(self, *, keep: bool) -> None:
        """Write no more.

        Parameters
        ----------
        keep : bool
            Whether there is work in it that is nowhere else. The last three such files stay.
        """
        if self._stream is None:
            return
        if keep:
            self._attempt(lambda: self._write({"closed": True}, wait=False))
        self._let_go()
        if keep:
            sweep(self.path.parent)
        else:
            remove(self.path)

    def _write_all(self) -> None:
        saved = self._snapshot()
        if self._stream is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._stream = os.open(self.path, flags, mode=0o600)
            sync_folder(self.path.parent)  # the file has a name there, whatever happens
            self._length = os.fstat(self._stream).st_size
            if self._length:  # a line that could not be finished may be at the end
                self._length += os.write(self._stream, b"\n")
        self._write({"session": to_document(saved)}, wait=True)
        self._writer = JournalWriter(standing_of(saved))

    def _write(self, content: dict[str, Any], *, wait: bool) -> None:
        assert self._stream is not None
        line = json.dumps(content, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        left = memoryview(line)
        while left:
            left = left[os.write(self._stream, left) :]
        if wait:
            os.fsync(self._stream)
        self._length += len(line)

    def _attempt(self, write: Callable[[], None]) -> None:
        try:
            write()
        except (OSError, NotImplementedError) as error:  # the latter: no locks on this disk
            self._give_up(error)
        else:
            self._told = False

    def _give_up(self, error: Exception) -> None:
        """Leave what was written whole, and try all of it again later."""
        self._try_again_at = time.monotonic() + _PATIENCE_S
        if self._stream is not None:
            os.ftruncate(self._stream, self._length)
        self._let_go()
        if not self._told:
            self._told = True
            reason = getattr(error, "strerror", None) or str(error)
            warnings.warn(
                f"Your work is not being saved as you go: {self.path.parent} cannot be written "
                f"to ({reason}). Free some space or set ${VARIABLE} to another folder, and save "
                "the session yourself.",
                SamHQWarning,
                stacklevel=4,
            )

    def _let_go(self) -> None:
        if self._stream is not None:
            os.close(self._stream)
            self._stream = None
        self._lock.release()


def read_recovery(path: str | Path) -> SavedSession:
    """Read a recovery file as far as it goes.

    A last line that was cut off is left out. So is what follows a damaged line, with a warning.

    Raises
    ------
    FileError
        If there is no whole session in it.
    """
    return _read(Path(path))[0]


def _read(path: Path) -> tuple[SavedSession, bool]:
    """Read a recovery file; also tell whether its session was closed."""
    with explained("read", path, "Check the permission to read it."):
        if path.stat().st_size > _LARGEST_BYTES:
            raise FileError(f"{path} is larger than {_LARGEST_BYTES >> 30} GiB. Delete it.")
        *lines, _torn = path.read_bytes().split(b"\n")
    steps = _Steps(path)
    damage: FileError | None = None
    for line in lines:
        # After a damaged line nothing fits any more until the whole session was written again.
        if damage is not None and not line.startswith(b'{"session":'):
            continue
        try:
            steps.take(line)
        except FileError as error:
            damage = error
    if steps.saved is None:
        raise damage or FileError(f"{path} holds no whole session. Delete it.")
    if damage is not None:
        warnings.warn(
            f"A part of the unfinished work in {path} is lost: {damage}", SamHQWarning, stacklevel=3
        )
    return steps.result(), steps.closed


class _Steps:
    """Goes through the lines of a recovery file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.saved: SavedSession | None = None
        self.closed = False
        self._events: list[Event] = []
        self._count = 0
        self._reader: Any = None

    def take(self, line: bytes) -> None:
        """Follow the next line."""
        if not line:
            return
        fields = Fields(parse_json(line, self.path), "", str(self.path))
        if fields.has("session"):
            saved = from_document(fields.raw("session"), str(self.path))
            self.saved = saved
            self._events, self._count = list(saved.events), saved.count
            base = saved.labels.base
            pixels = PixelReader(base.shape, base.dtype)
            self._reader = JournalReader(pixels, standing_of(saved))
        elif self.saved is None:
            raise FileError(f"{self.path} does not begin with a session. Delete it.")
        elif fields.has("closed"):
            self.closed = True
        elif fields.has("append"):
            event = self._reader.event(fields.child("append"))
            self._events[self._count :] = [event]
            self._count += 1
        elif fields.has("undo") and self._count > 0:
            self._count -= 1
            self._reader.standing.apply(self._events[self._count], back=True)
        elif fields.has("redo") and self._count < len(self._events):
            self._reader.standing.apply(self._events[self._count])
            self._count += 1
        else:
            raise fields.wrong(line.decode(errors="replace"), "a step that can be made", "a line")

    def result(self) -> SavedSession:
        """Put together what stands after all lines."""
        assert self.saved is not None
        standing = self._reader.standing
        return replace(
            self.saved,
            events=tuple(self._events),
            count=self._count,
            objects=tuple(standing.records[label_id] for label_id in sorted(standing.records)),
            drafts=dict(standing.drafts),
            categories=dict(sorted(standing.categories.items())),
        )


@dataclass(frozen=True)
class Recoverable:
    """Work that can be brought back.

    Attributes
    ----------
    path : Path
        The recovery file.
    image : str
        Name of the image.
    digest : str
        Which image it was, see :func:`~napari_samhq.core.images.identity.content_digest`.
    shape : tuple of int
        Shape of the image's data.
    time : float
        When the last step was made, in seconds since 1970.
    objects, unfinished : int
        How many objects there are, and how many that were not accepted yet.
    closed : bool
        Whether the session was closed without being saved, rather than cut off.
    other_pixels : bool
        Whether the image that was asked for has other pixels now.
    """

    path: Path
    image: str
    digest: str
    shape: tuple[int, ...]
    time: float
    objects: int
    unfinished: int
    closed: bool
    other_pixels: bool = False

    def discard(self) -> None:
        """Delete it for good."""
        remove(self.path)


def recoverable_files(
    folder: Path | None = None, words: Collection[str] | None = None
) -> list[Recoverable]:
    """List the work that can be brought back, the latest first.

    Files of sessions that still run, here or in another program, are left out. So are damaged
    ones, with a warning.

    Parameters
    ----------
    folder : Path, optional
        Where to look; :func:`recovery_folder` when left out.
    words : collection of str, optional
        Only files that begin with a session in which one of these occurs, such as the digest of
        its image. Others are not read any further.
    """
    folder = folder or recovery_folder()
    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []:
        if in_use(path) or not _begins_with(path, words):
            continue
        try:
            saved, closed = _read(path)
            modified = path.stat().st_mtime
        except FileError as error:
            warnings.warn(f"Unfinished work is lost: {error}", SamHQWarning, stacklevel=2)
            continue
        unfinished = sum(len(drafts.drafts) for drafts in saved.drafts.values())
        # What was only painted or deleted by hand is work too.
        if saved.objects or unfinished or saved.labels.base.differences(saved.labels_now()):
            image, objects = saved.image, len(saved.objects)
            found.append(
                Recoverable(
                    path,
                    image.name,
                    image.digest,
                    image.shape,
                    modified,
                    objects,
                    unfinished,
                    closed,
                )
            )
    return sorted(found, key=lambda one: -one.time)


def _begins_with(path: Path, words: Collection[str] | None) -> bool:
    if words is None:
        return True
    try:
        with path.open("rb") as stream:
            first = stream.readline(_LARGEST_BYTES)
    except OSError:
        return True  # whoever reads all of it tells why that does not work
    return any(json.dumps(word).encode() in first for word in words)


def _changes_labels(event: Event) -> bool:
    from napari_samhq.core.labels.sparse_labels import edits_of

    return bool(edits_of(event))
