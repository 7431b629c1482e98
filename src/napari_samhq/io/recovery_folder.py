"""The folder of unfinished work: where it is, which files in it are in use, and which are kept."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock

__all__ = ["SUFFIX", "VARIABLE", "in_use", "lock_path", "recovery_folder", "remove", "sweep"]

VARIABLE = "NAPARI_SAMHQ_STATE"
SUFFIX = ".recovery"
_KEPT_CLOSED, _KEPT = 3, 20


def recovery_folder() -> Path:
    """Return the folder for unfinished work, which need not exist yet.

    ``$NAPARI_SAMHQ_STATE`` where it is set, else the user's folder for such files as the operating
    system names it.
    """
    chosen = os.environ.get(VARIABLE, "").strip()
    if chosen:
        return Path(chosen).expanduser() / "sessions"
    import platformdirs

    return Path(platformdirs.user_state_dir("napari-samhq", appauthor=False)) / "sessions"


def lock_path(path: Path) -> Path:
    """Tell where the lock of a file is, which a session holds while it writes to the file."""
    return path.with_name(path.name + ".lock")


def in_use(path: Path) -> bool:
    """Whether a session that runs writes to a file."""
    lock = FileLock(lock_path(path), blocking=False)
    try:
        with lock:
            return False
    except (OSError, NotImplementedError):  # locked; or where nothing could be brought back from
        return True


def remove(path: Path) -> None:
    """Delete a file with its lock."""
    for one in (path, lock_path(path)):
        one.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Keep the last files only: three of closed sessions, and a few of others."""
    paths = sorted(folder.glob(f"*{SUFFIX}"), reverse=True)  # their names begin with the time
    closed = [path for path in paths if _ends_closed(path)]
    for path in {*closed[_KEPT_CLOSED:], *paths[_KEPT:]}:
        if not in_use(path):
            remove(path)


def _ends_closed(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 20))
        return stream.read().endswith(b'{"closed":true}\n')
