"""Atomic writing of files: a reader finds the old one or the new one, never half."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_samhq.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_target", "explained", "replacing", "sync_folder"]


@contextmanager
def explained(doing: str, path: Path, advice: str) -> Iterator[None]:
    """Turn what the operating system says about a file into a `FileError` that says what to do.

    Parameters
    ----------
    doing : str
        The verb of the message: "read" or "write".
    path : Path
        The file it is about.
    advice : str
        What to do next, as a sentence.

    Raises
    ------
    FileError
        In place of any `OSError` from the block.
    """
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).rstrip(".")
        raise FileError(f"Cannot {doing} {path}: {reason}. {advice}") from error


def check_target(path: str | Path, *, overwrite: bool = False) -> Path:
    """Check that a file could be written, before long work that would be lost otherwise.

    Parameters
    ----------
    path : str or Path
        The file or folder to be written.
    overwrite : bool
        Whether something that has this name already may be replaced.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    FileError
        If its folder does not exist, is no folder or cannot be written to, or if the path exists
        and `overwrite` is not set.
    """
    path = Path(path)
    with explained("write", path, "Choose another place."):
        if not path.parent.is_dir():
            is_file = path.parent.exists()
            what = "is a file, not a folder" if is_file else "does not exist"
            todo = "Choose another place." if is_file else "Create it, or choose another place."
            raise FileError(f"Cannot write {path}: {path.parent} {what}. {todo}")
        if path.exists() and not overwrite:
            raise FileError(
                f"{path} exists already, and nothing is overwritten without being asked for. "
                "Give another name, or allow it with --overwrite (in Python: overwrite=True)."
            )
        if not os.access(path.parent, os.W_OK):
            raise FileError(
                f"Cannot write {path}: no permission to write into {path.parent}. "
                "Choose another place."
            )
    return path


@contextmanager
def replacing(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to, and put it in place when the block succeeded.

    The temporary file (or folder, for formats that are one) lies in the same folder, so that
    putting it in place is one step for the file system. If the block fails, it is removed, and
    what was there before stays as it was.

    Parameters
    ----------
    path : str or Path
        The file or folder to be written.
    overwrite : bool
        Whether something that has this name already may be replaced.

    Yields
    ------
    Path
        Where to write. It has the same name at its end, so that writers see the same extension.

    Raises
    ------
    FileError
        As :func:`check_target`, and in place of any `OSError` from the block.
    """
    path = check_target(path, overwrite=overwrite)
    with explained("write", path, "Free some space, or choose another place."):
        # A private folder beside the target, which also keeps two writers from meeting.
        folder = Path(tempfile.mkdtemp(prefix=".napari-samhq-", dir=path.parent))
        try:
            temporary = folder / path.name
            yield temporary
            if temporary.is_dir():
                _replace_folder(temporary, path, aside=folder / f"old-{path.name}")
            else:
                os.replace(temporary, path)
            sync_folder(path.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _replace_folder(new: Path, path: Path, aside: Path) -> None:
    """Put a folder in place. No file system does it in one step: the old one steps aside first."""
    if not path.exists():
        new.rename(path)
        return
    path.rename(aside)
    try:
        new.rename(path)
    except OSError:
        aside.rename(path)
        raise


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk before going on, so that a power cut takes none.

    Only POSIX systems have a way to ask for it, and not for every kind of disk.
    """
    if os.name != "posix":
        return
    stream = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(stream)
    except OSError:
        return  # some network disks know no such thing, and do it by themselves or not at all
    finally:
        os.close(stream)
