"""Where ``from_pretrained`` finds its files: a folder, or a model of the Hugging Face hub."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

from ..errors import CheckpointError, DownloadError

__all__ = ["pretrained_folder"]

_NEEDED = ("config.json", "model.safetensors")
_OPTIONAL = "preprocessor_config.json"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def pretrained_folder(source: str | Path, revision: str | None = None) -> Path:
    """Return the folder that holds a model's files, fetching them from the hub where needed.

    Parameters
    ----------
    source : str or Path
        A folder, or a hub id ``"owner/name"``.
    revision : str, optional
        Revision on the hub; its newest when left out.

    Raises
    ------
    CheckpointError
        If `source` is neither, or if the weights do not have the hash that the hub gives for them.
    DownloadError
        If the files cannot be fetched.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder
    if not _HUB_ID.fullmatch(str(source)):
        raise CheckpointError(
            f"There is no folder {str(source)!r}, and it is not the id of a model on the hub "
            "('owner/name'). For a single weights file use napari_samhq.load_model."
        )
    weights = _fetch(str(source), revision)
    _check_hash(weights)
    return weights.parent


def _fetch(name: str, revision: str | None) -> Path:
    """Fetch a model's files into the hub library's cache, and return the path of its weights."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

    # The base class of the HTTP library's errors, whichever library the hub's uses: proxies and
    # cut connections raise others of its kind.
    http_error: type[Exception] = next(
        base
        for base in HfHubHTTPError.__mro__
        if base.__name__ == "HTTPError" and issubclass(base, Exception)
    )
    # The library reads HF_ENDPOINT when it is imported; here it counts whenever it is set.
    endpoint = os.environ.get("HF_ENDPOINT") or None

    def fetch(file: str) -> Path:
        return Path(str(hf_hub_download(name, file, revision=revision, endpoint=endpoint)))

    try:
        paths = [fetch(file) for file in _NEEDED]
        with suppress(EntryNotFoundError):  # SamHQProcessor says so, should it be asked for
            fetch(_OPTIONAL)
    except (OSError, ValueError, http_error) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DownloadError(
            f"Model {name!r} could not be fetched from the hub: {reason}. Without a network, copy "
            f"{' and '.join(_NEEDED)} into a folder and pass the folder's path."
        ) from error
    return paths[-1]


def _check_hash(weights: Path) -> None:
    """Compare a cached file with its SHA-256, after which the hub's cache names large files."""
    stored = weights.resolve()
    if not _SHA256.fullmatch(stored.name):
        return  # a cache without links, as on some Windows machines, does not keep the hash
    with stored.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != stored.name:
        raise CheckpointError(
            f"{stored} is damaged: its SHA-256 is {found}, and the hub says {stored.name}. Delete "
            "the file and load the model again."
        )
