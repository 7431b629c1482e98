"""Fetching published weights: once, at a pinned revision, checked before anything reads them.

The hub library does the transfer. What it leaves open is done here: the SHA-256 of the file is
compared with what the hub says about the pinned revision (and, where it is known, the MD5 that
others have seen), a bad file never takes the place of a good one, retries and silence have an
end, and several processes that want the same file end with one.
"""

from __future__ import annotations

import re
import shutil
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .. import hub
from ..errors import CheckpointError, DownloadError, FileError, SamHQWarning
from . import cache
from ._transfer import Transfer
from .registry import ModelInfo, model_info

if TYPE_CHECKING:
    import os

__all__ = ["Progress", "fetch", "fetch_checked", "manual_steps"]

Progress = Callable[[int, int], None]

#: A transfer that brings nothing for so many seconds has failed. The hub library hands on pieces
#: of 10 MB, so the limit also means that links slower than 0.3 Mbit/s need the manual way.
SILENCE_SECONDS = 300.0
_SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch(
    name: str,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    offline: bool | None = None,
) -> Path:
    """Return the weights file of a named model, fetching it where it is not on this machine.

    Parameters
    ----------
    name
        One of the names in `napari_samhq.list_models`.
    cache_dir
        The folder for weights; ``$NAPARI_SAMHQ_CACHE`` or the user's cache folder when left out.
    progress
        Called several times a second, in the calling thread, with the bytes that are here and
        the bytes in all. An exception that it raises ends the transfer.
    offline
        True to use no network. When left out, ``HF_HUB_OFFLINE`` decides.

    Returns
    -------
    Path
        The file, whose checksum was verified just now.

    Raises
    ------
    ModelError
        There is no model of that name.
    DownloadError
        The file is not here and could not be fetched; the message gives the manual steps.
    CheckpointError
        A file with a wrong checksum was found or received. It was renamed to ``*.bad``.
    FileError
        The folder cannot be used.

    Examples
    --------
    >>> fetch("vit_tiny")  # doctest: +SKIP
    PosixPath('/home/ada/.cache/napari-samhq/lkeab--hq-sam/a3a77cd0a2e5/sam_hq_vit_tiny.pth')
    """
    return fetch_checked(name, cache_dir=cache_dir, progress=progress, offline=offline)[0]


def fetch_checked(
    name: str,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    offline: bool | None = None,
) -> tuple[Path, str]:
    """Do the same as `fetch`, and also return the SHA-256 of the file, which is known by then."""
    model = model_info(name)
    if model.path is not None:
        return _bundled(model, model.path)
    folder = None if cache_dir is None else Path(cache_dir).expanduser().absolute()
    offline = hub.offline() if offline is None else offline
    found = cache.find_weights(model, folder)
    if found is not None:
        return found, _accept(found, model, offline=offline)
    if offline:
        target = cache.weights_path(model, folder)
        raise DownloadError(
            f"The weights of {name} are not on this machine ({target} is missing) and offline "
            f"mode is on (HF_HUB_OFFLINE, or offline=True). {manual_steps(model, target)}"
        )
    target = cache.weights_path(model, folder or cache.usable_folder())
    cache.make_writable(target.parent)
    return target, _in_background(model, target, progress)


def manual_steps(model: ModelInfo, target: Path) -> str:
    """Say how to bring the weights to this machine by hand."""
    return (
        f"By hand: download {_url(model)} with a browser, on any computer, save it as {target}, "
        "and try again; no network is needed then. The model 'micro' comes with the package and "
        "never needs one."
    )


def _bundled(model: ModelInfo, folder: Path) -> tuple[Path, str]:
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise CheckpointError(
            f"The bundled weights of {model.name} are missing ({weights}): the installation is "
            "incomplete. Install napari-samhq again, or train them with `make train-micro`."
        )
    return weights, cache.checksum(weights)


def _url(model: ModelInfo) -> str:
    assert model.repository is not None
    assert model.filename is not None
    assert model.revision is not None
    return hub.file_url(model.repository, model.filename, model.revision)


# Files that are here ------------------------------------------------------------------------


def _accept(path: Path, model: ModelInfo, *, offline: bool) -> str:
    """Verify a weights file that is already here and return its SHA-256."""
    expected = model.sha256 or cache.recorded_checksum(path)
    found = cache.checksum(path)
    if expected is None:
        expected = _first_sight(path, model, found, offline=offline)
    if found != expected:
        raise _bad_file(path, f"its SHA-256 is {found}, needed {expected}")
    return found


def _first_sight(path: Path, model: ModelInfo, found: str, *, offline: bool) -> str:
    """Return the SHA-256 that a file put here by hand should have, and record it."""
    expected = found
    if model.md5 is not None:
        _check_md5(path, model)
    else:
        try:
            if offline:
                raise DownloadError("offline mode is on")
            expected = _published_checksum(model, path) or found
        except DownloadError as error:
            warnings.warn(
                f"{path} could not be compared with the published file ({error}); from now on it "
                "is compared with itself as it is today.",
                SamHQWarning,
                stacklevel=2,
            )
    if found == expected:
        _record_if_possible(path, found)
    return expected


def _record_if_possible(path: Path, sha256: str) -> None:
    try:
        cache.record_checksum(path, sha256)
    except OSError as error:
        # A read-only folder shared by many: the file was verified and is good.
        warnings.warn(
            f"The checksum of {path} could not be recorded beside it ({error.strerror or error}); "
            "the file is verified anew each time.",
            SamHQWarning,
            stacklevel=2,
        )


def _check_md5(path: Path, model: ModelInfo, home: Path | None = None) -> None:
    if model.md5 is None:
        return
    found = cache.md5(path)
    if found != model.md5:
        raise _bad_file(path, f"its MD5 is {found}, the published file has {model.md5}", home)


def _bad_file(path: Path, what: str, home: Path | None = None) -> CheckpointError:
    """Move a bad file out of the way and return the error that says so."""
    home = home or path
    with path.open("rb") as stream:
        head = stream.read(256).lstrip().lower()
    if head.startswith((b"<!doctype", b"<html", b"<head")):
        what = f"it is a web page (a login page of the network?), {what}"
    try:
        kept = f"kept as {cache.quarantine(path, home)}"
    except OSError as error:
        kept = f"could not be renamed ({error.strerror or error}): delete it"
    return CheckpointError(
        f"{home} is not the published file: {what}. It was not read; it is {kept}. "
        "Try again to fetch it anew."
    )


# Files that are not ------------------------------------------------------------------------


def _in_background(model: ModelInfo, target: Path, progress: Progress | None) -> str:
    """Run the transfer in a thread of its own, so that it can be left whenever nothing comes."""
    transfer = Transfer(total=round(model.megabytes * 1e6))

    def work() -> None:
        try:
            transfer.result = _download(model, target, transfer)
        except BaseException as error:  # noqa: BLE001 (handed over to the thread that waits)
            transfer.error = error

    thread = threading.Thread(target=work, name=f"fetch {model.name}", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.1)
            if progress is not None:
                progress(transfer.done, transfer.total)
            if thread.is_alive() and transfer.silence > SILENCE_SECONDS:
                raise _failed(model, target, f"nothing came for {SILENCE_SECONDS:.0f} seconds")
    finally:
        transfer.abandon()
    if transfer.error is not None:
        raise transfer.error
    if progress is not None:
        progress(transfer.total, transfer.total)
    return transfer.result


def _download(model: ModelInfo, target: Path, transfer: Transfer) -> str:
    """Fetch, verify and put in place, unless another process is quicker; return the SHA-256."""
    incoming = target.parent / ".incoming"
    with transfer.alone(target.with_name(f".{target.name}.lock")):
        if target.is_file():
            return _accept(target, model, offline=False)
        expected = _published_checksum(model, target, transfer)
        try:
            received = _receive(model, target, incoming, transfer)
        except DownloadError:
            # Where locks do not work (some network file systems), another process may have
            # finished meanwhile and tidied up what was arriving here.
            if target.is_file():
                return _accept(target, model, offline=False)
            raise
        try:
            found = cache.checksum(received)
            if expected is not None and found != expected:
                raise _bad_file(received, f"its SHA-256 is {found}, needed {expected}", target)
            _check_md5(received, model, target)
            transfer.alive()
            cache.record_checksum(target, found)
            received.replace(target)
        except OSError as error:
            raise FileError(
                f"The weights of {model.name} arrived but could not be put at {target}: "
                f"{error.strerror or error}. Check that the folder is writable and has room."
            ) from error
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
    return found


def _receive(model: ModelInfo, target: Path, incoming: Path, transfer: Transfer) -> Path:
    """Let the hub library fetch the file of the pinned revision into a folder for new arrivals."""
    assert model.repository is not None
    assert model.filename is not None
    try:
        return hub.download(
            model.repository,
            model.filename,
            revision=model.revision,
            folder=incoming,
            bar=transfer.bar(),
        )
    except hub.HubError as error:
        raise _failed(model, target, error) from error


def _published_checksum(
    model: ModelInfo, target: Path, transfer: Transfer | None = None
) -> str | None:
    """Ask the hub for the SHA-256 of the file at the pinned revision.

    None when the hub does not say it and the MD5 of the file is known instead.
    """
    try:
        metadata = hub.file_metadata(_url(model), retry=transfer is not None)
    except hub.HubError as error:
        raise _failed(model, target, error) from error
    if transfer is not None and metadata.size:
        transfer.total = metadata.size
    if metadata.commit_hash is None:
        raise _failed(model, target, hub.NO_HUB)
    if metadata.commit_hash != model.revision:
        raise _failed(
            model,
            target,
            f"it offers revision {metadata.commit_hash} instead of the pinned {model.revision}",
        )
    published = metadata.etag if _SHA256.fullmatch(metadata.etag or "") else None
    known = model.sha256 or cache.recorded_checksum(target)
    if published is not None and known is not None and published != known:
        raise CheckpointError(
            f"The file that {_url(model)} offers is not the one seen before: its SHA-256 is "
            f"{published}, needed {known}. Nothing was fetched. If you trust the new file, delete "
            f"{target.name}.sha256 in {target.parent}."
        )
    if published is None and known is None and model.md5 is None:
        raise _failed(model, target, "it does not say the SHA-256 of the file")
    return published or known


def _failed(model: ModelInfo, target: Path, reason: object) -> DownloadError:
    return DownloadError(
        f"Could not fetch {model.name} ({model.megabytes:g} MB) from {hub.endpoint()}: {reason}. "
        f"{manual_steps(model, target)}"
    )
