"""The folder for fetched weights, and the checksums beside the files in it."""

from __future__ import annotations

import getpass
import hashlib
import os
import tempfile
import uuid
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError, FileError, SamHQWarning

if TYPE_CHECKING:
    from .registry import ModelInfo

__all__ = [
    "cache_folder",
    "checksum",
    "find_weights",
    "make_writable",
    "md5",
    "quarantine",
    "record_checksum",
    "recorded_checksum",
    "usable_folder",
    "verified_checksum",
    "weights_path",
]

VARIABLE = "NAPARI_SAMHQ_CACHE"


def cache_folder() -> Path:
    """Return the folder for fetched weights, which need not exist yet.

    ``$NAPARI_SAMHQ_CACHE`` where it is set, else the user's cache folder as the operating system
    names it.
    """
    chosen = os.environ.get(VARIABLE, "").strip()
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("napari-samhq", appauthor=False))


def usable_folder() -> Path:
    """Return a cache folder that exists and can be written to.

    Where no folder was chosen and the user's own cannot be used (no home directory, a read-only
    one), a private folder among the temporary files takes its place, with a warning.

    Raises
    ------
    FileError
        The folder that ``$NAPARI_SAMHQ_CACHE`` names cannot be used.
    """
    folder = cache_folder()
    try:
        _probe(folder)
    except (OSError, RuntimeError) as error:
        if os.environ.get(VARIABLE, "").strip():
            raise FileError(
                f"The folder for weights, {folder} (from ${VARIABLE}), cannot be used: "
                f"{_reason(error)}. Make it writable, or set ${VARIABLE} to another folder."
            ) from error
        spare = _spare_folder()
        warnings.warn(
            f"The folder for weights, {folder}, cannot be used ({_reason(error)}); {spare} takes "
            f"its place until it is cleared. Set ${VARIABLE} to a folder that lasts.",
            SamHQWarning,
            stacklevel=2,
        )
        return spare
    return folder


def make_writable(folder: Path) -> None:
    """Make sure that a folder exists and can be written to.

    Raises
    ------
    FileError
        It cannot.
    """
    try:
        _probe(folder)
    except OSError as error:
        raise FileError(
            f"The folder for weights, {folder}, cannot be used: {_reason(error)}. "
            f"Choose another one (${VARIABLE}, or cache_dir=)."
        ) from error


def weights_path(model: ModelInfo, folder: Path | None = None) -> Path:
    """Return where the weights of a published model belong, whether they are there or not.

    Parameters
    ----------
    model
        A model with a repository, a revision and a file name.
    folder
        The cache folder; the one of `cache_folder` when left out.
    """
    assert model.repository is not None
    assert model.revision is not None
    assert model.filename is not None
    owner = model.repository.replace("/", "--")
    return (folder or cache_folder()) / owner / model.revision[:12] / model.filename


def find_weights(model: ModelInfo, folder: Path | None = None) -> Path | None:
    """Return the weights file of a published model, or None where it is not on this machine.

    Parameters
    ----------
    model
        A model with a repository, a revision and a file name.
    folder
        The only folder to look into; the one of `cache_folder` and the spare one among the
        temporary files when left out. Neither need be writable.
    """
    folders = [folder] if folder is not None else [cache_folder()]
    if folder is None and _is_private(_spare_path()):
        folders.append(_spare_path())
    for candidate in (weights_path(model, place) for place in folders):
        if candidate.is_file():
            return candidate
    return None


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises
    ------
    FileError
        The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise FileError(f"Could not read {path}: {_reason(error)}.") from error


def md5(path: Path) -> str:
    """Return the MD5 of a file, which is known for some published ones; no guard against malice."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def recorded_checksum(path: Path) -> str | None:
    """Return the SHA-256 recorded beside a weights file, or None where there is none."""
    try:
        words = _record(path).read_text(encoding="ascii").split()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"The checksum file {_record(path)} cannot be read: {_reason(error)}. Delete it."
        ) from error
    return words[0].lower() if words else None


def record_checksum(path: Path, sha256: str) -> None:
    """Write the SHA-256 of a weights file beside it, in the form that ``sha256sum -c`` reads."""
    target = _record(path)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.partial")
    try:
        temporary.write_text(f"{sha256}  {path.name}\n", encoding="ascii")
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def verified_checksum(path: Path, *, expected: str | None = None) -> str:
    """Compute the SHA-256 of a weights file and compare it with what it should be.

    Parameters
    ----------
    path
        The weights file.
    expected
        The SHA-256 it should have; the one recorded beside the file when left out. Without
        either, there is nothing to compare.

    Returns
    -------
    str
        The SHA-256, which identifies the weights.

    Raises
    ------
    CheckpointError
        They differ. The file is left where it is.
    FileError
        The file cannot be read.
    """
    wanted = expected or recorded_checksum(path)
    found = checksum(path)
    if wanted is not None and found != wanted:
        raise CheckpointError(
            f"{path} is damaged or was replaced: its SHA-256 is {found}, needed {wanted}. "
            f"If you replaced it on purpose, delete {_record(path).name} beside it; "
            "otherwise fetch it again."
        )
    return found


def quarantine(path: Path, home: Path) -> Path:
    """Rename a bad file out of the way, keeping it for whoever wants to look.

    Parameters
    ----------
    path
        The bad file.
    home
        Where it is, or was meant to be: the new name is this one with ``.bad`` at the end.

    Returns
    -------
    Path
        The new name. An earlier file of that name is replaced.
    """
    bad = home.with_name(home.name + ".bad")
    path.replace(bad)
    return bad


def _record(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _probe(folder: Path) -> None:
    """Make a folder and write into it; permission bits alone do not tell on every system."""
    if not folder.is_absolute():
        raise FileNotFoundError(f"{folder} is not an absolute path")
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".probe-{uuid.uuid4().hex[:12]}"
    probe.touch()
    probe.unlink()


def _spare_folder() -> Path:
    """Make a folder among the temporary files that belongs to this user and nobody else."""
    folder = _spare_path()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if not _is_private(folder):
            # Whoever made it could swap the weights between check and use.
            raise PermissionError("it belongs to somebody else")
        _probe(folder)
    except OSError as error:
        raise FileError(
            f"There is no folder for weights: neither the user's cache folder nor {folder} can be "
            f"used ({_reason(error)}). Set ${VARIABLE} to a writable folder."
        ) from error
    return folder


def _spare_path() -> Path:
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    safe = "".join(letter if letter.isalnum() else "-" for letter in user)
    return Path(tempfile.gettempdir()) / f"napari-samhq-{safe}"


def _is_private(folder: Path) -> bool:
    """Tell whether a folder exists and only this user can have put something into it."""
    if not folder.is_dir() or folder.is_symlink():
        return False
    if not hasattr(os, "getuid"):
        return True
    state = folder.stat()
    return state.st_uid == os.getuid() and not state.st_mode & 0o022


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
