"""The Hugging Face hub: folders of published models, and what went wrong with it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError, DownloadError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["endpoint", "failure_reason", "hub_errors", "pretrained_folder"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_STATUS_REASONS = {
    401: "the server asked for a login (401); the model may have been made private",
    403: "the server refused access (403); a proxy or firewall may be in the way",
    404: "the server does not have that file (404); it may have been moved",
    429: "the server asks to slow down (429); wait some minutes",
}


def pretrained_folder(
    source: str | os.PathLike[str],
    revision: str | None = None,
    files: Sequence[str] = ("config.json", "model.safetensors"),
) -> Path:
    """Return a local folder that holds a published model.

    Parameters
    ----------
    source
        A folder, or the id of a model on the Hugging Face hub such as
        ``"syscv-community/sam-hq-vit-base"``. An existing folder always wins.
    revision
        Branch, tag or commit on the hub; the default branch when left out.
    files
        The files needed from the hub. They are kept in the cache of `huggingface_hub`, and those
        whose name in that cache is their SHA-256 are checked against it.

    Raises
    ------
    CheckpointError
        ``source`` is neither, or a file in the cache is damaged.
    DownloadError
        The hub cannot be reached and the files are not in its cache.
    """
    path = Path(source)
    if path.is_dir():
        return path
    if path.exists():
        raise CheckpointError(
            f"{path} is a file; a folder with config.json and model.safetensors was needed. "
            "napari_samhq.load_model() reads single files, `napari-samhq convert` makes a folder."
        )
    name = os.fspath(source)
    if not _HUB_ID.fullmatch(name):
        raise CheckpointError(
            f"There is no folder {name!r}, and it is not the id of a model on the hub, "
            "which looks like 'owner/name'. Check the spelling and the working directory."
        )
    return next(_hub_file(name, file, revision) for file in files).parent


def endpoint() -> str:
    """Return the address of the hub, which ``HF_ENDPOINT`` can change."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def hub_errors() -> tuple[type[Exception], ...]:
    """Return every kind of exception that talking to the hub can raise."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    # The HTTP library's own base class is among the bases of the hub's error; naming the library
    # here would tie us to the one that the installed hub library happens to use.
    http = next(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")
    return (http, HFValidationError, OSError, ValueError, RuntimeError)


def failure_reason(error: BaseException) -> str:
    """Say in one sentence why the hub could not be used."""
    status = _status(error)
    if status is not None:
        return _STATUS_REASONS.get(status, f"the server answered with error {status}")
    chain = _chain(error)
    kinds = " ".join(type(link).__name__ for link in chain)
    if "OfflineMode" in kinds:
        return "offline mode is on (HF_HUB_OFFLINE)"
    if "FileMetadataError" in kinds:
        return (
            "what answered is not a Hugging Face hub; a login page of the network, a proxy, or "
            "HF_ENDPOINT may be in the way"
        )
    if "ProxyError" in kinds:
        return "the proxy could not be used; check HTTPS_PROXY"
    if "Timeout" in kinds:
        return "the server did not answer in time"
    if "ConnectError" in kinds or "NetworkError" in kinds or "ProtocolError" in kinds:
        return f"the connection failed or was cut ({_line(chain[-1])})"
    return _line(error)


def _hub_file(repository: str, file: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        path = Path(hf_hub_download(repository, file, revision=revision, endpoint=endpoint()))
    except hub_errors() as error:
        raise DownloadError(
            f"Could not fetch {file} of {repository} from {endpoint()}: {failure_reason(error)}. "
            "Check the id and the network, or download the files with a browser into one folder "
            "and give that folder instead."
        ) from error
    _check_blob(path)
    return path


def _check_blob(path: Path) -> None:
    """Compare a file of the hub's cache with its SHA-256, where the cache is named by it."""
    expected = path.resolve().name
    if not _SHA256.fullmatch(expected):
        return
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != expected:
        raise CheckpointError(
            f"{path} is damaged: its SHA-256 is {found}, needed {expected}. "
            "Delete it; it is fetched anew the next time."
        )


def _chain(error: BaseException) -> list[BaseException]:
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or link.__context__
    return links


def _status(error: BaseException) -> int | None:
    for link in _chain(error):
        status = getattr(getattr(link, "response", None), "status_code", None)
        # A redirect that led nowhere is no reason to show to anybody.
        if isinstance(status, int) and status >= 400:
            return status
    return None


def _line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300].rstrip(".") if text else type(error).__name__
