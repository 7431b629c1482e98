"""Session files, ``*.samhq.json``, on the disk: written whole, with backups; read with care.

The format is described in ``docs/session-files.md``.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from napari_samhq.errors import FileError
from napari_samhq.io.atomic import explained, replacing
from napari_samhq.io.json_files import LARGEST_BYTES, read_json
from napari_samhq.io.session_document import from_document, to_document

if TYPE_CHECKING:
    from napari_samhq.io.session_document import SavedSession

__all__ = ["SESSION_SUFFIX", "read_session", "source_of", "write_session"]

SESSION_SUFFIX = ".samhq.json"
_BACKUPS = 3


def write_session(path: str | Path, saved: SavedSession, *, overwrite: bool = False) -> Path:
    """Write a session file, whole or not at all.

    Parameters
    ----------
    path : str or Path
        A name that ends in ``.samhq.json``.
    saved : SavedSession
        What to write.
    overwrite : bool, optional
        Whether a file of this name may be replaced. The last three versions of it are kept beside
        it, as ``.bak1`` (the latest) to ``.bak3``.

    Returns
    -------
    Path
        The path that was written.

    Raises
    ------
    FileError
        If the name has another end, exists already, or cannot be written to.
    """
    path = Path(path)
    if not path.name.lower().endswith(SESSION_SUFFIX):
        raise FileError(f"{path} is no name for a session. Give one that ends in {SESSION_SUFFIX}.")
    content = json.dumps(to_document(saved), separators=(",", ":"), allow_nan=False).encode()
    needed = f"{len(content) / 1e6:.1f} MB"
    if len(content) > LARGEST_BYTES:
        raise FileError(
            f"This session takes {needed}, more than the {LARGEST_BYTES / 1e6:.0f} MB that can be "
            "read again. Save the labels as an image, and begin a new session on them."
        )
    with (
        replacing(path, overwrite=overwrite) as temporary,
        explained("write", path, f"It needs {needed}. Free some space, or choose another place."),
    ):
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        _keep_backups(path)
    return path


def read_session(path: str | Path) -> SavedSession:
    """Read a session file.

    Parameters
    ----------
    path : str or Path
        The file. It may come from a stranger: nothing in it is believed before it is checked.

    Raises
    ------
    FileError
        If it cannot be read, is too large, damaged, no session, or of a newer version.
    """
    path = Path(path)
    return from_document(read_json(path), str(path))


def source_of(saved: SavedSession, path: str | Path) -> Path | None:
    """Find the image of a session file on the disk; None where it is not beside the file.

    Raises
    ------
    FileError
        If the file names a place outside of its own folder, through a link for example.
    """
    if not saved.image.source:
        return None
    folder = Path(path).parent.resolve()
    image = (folder / saved.image.source).resolve()
    if not image.is_relative_to(folder):
        raise FileError(
            f"{path} names the image {saved.image.source!r}, which leads out of its folder. Open "
            "the image yourself, then the session."
        )
    return image if image.exists() else None


def _keep_backups(path: Path) -> None:
    """Keep the file that is about to be replaced, and the two before it."""
    if not path.exists():
        return
    backups = [path.with_name(f"{path.name}.bak{n}") for n in range(1, _BACKUPS + 1)]
    for newer, older in zip(backups[-2::-1], backups[:0:-1], strict=True):
        if newer.exists():
            newer.replace(older)
    shutil.copy2(path, backups[0])
