"""Folders for ``from_pretrained``: one that is given, or a model of the Hugging Face hub."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from .. import hub
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
    name = str(source)
    if not _HUB_ID.fullmatch(name):
        raise CheckpointError(
            f"There is no folder {name!r}, and it is not the id of a model on the hub "
            "('owner/name'). For a single weights file use napari_samhq.load_model."
        )
    try:
        weights = [hub.download(name, file, revision=revision) for file in _NEEDED][-1]
        try:
            hub.download(name, _OPTIONAL, revision=revision)
        except hub.HubError as error:
            if not error.missing:  # SamHQProcessor says so, should it be asked for
                raise
    except hub.HubError as error:
        raise DownloadError(
            f"Model {name!r} could not be fetched from the hub: {error}. Without a network, copy "
            f"{' and '.join(_NEEDED)} into a folder and pass the folder's path."
        ) from error
    _check_hash(weights)
    return weights.parent


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
