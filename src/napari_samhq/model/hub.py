"""Where ``from_pretrained`` finds its files: a folder, or a model of the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import CheckpointError, DownloadError

__all__ = ["pretrained_folder"]

_FILES = ["config.json", "preprocessor_config.json", "model.safetensors"]
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


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
        If `source` is neither.
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
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(source), revision=revision, allow_patterns=_FILES))
    except (OSError, ValueError) as error:  # the hub's and the network's errors derive from these
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DownloadError(
            f"Model {source!r} could not be fetched from the hub: {reason}. Without a network, "
            f"copy {', '.join(_FILES)} into a folder and pass the folder's path."
        ) from error
