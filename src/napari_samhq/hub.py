"""Client of the Hugging Face hub: its address, single files of it, and what went wrong in words.

Everything that talks to the hub does so here, by the public functions of ``huggingface_hub``.
Importing this loads neither that library nor torch.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import DownloadError

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

__all__ = ["NO_HUB", "HubError", "download", "endpoint", "file_metadata", "file_url", "offline"]

NO_HUB = (
    "what answered is not a Hugging Face hub; a login page of the network, a proxy, or "
    "HF_ENDPOINT may be in the way"
)
_STATUS_REASONS = {
    401: "the server asked for a login (401); the model may have been made private",
    403: "the server refused access (403); a proxy or firewall may be in the way",
    404: "the server does not have that file (404); it may have been moved",
    429: "the server asks to slow down (429); wait some minutes",
}


class HubError(DownloadError):
    """The hub could not be used. The message is the reason, for a longer one to quote.

    Attributes
    ----------
    missing : bool
        Whether the hub answered that it has no such file.
    """

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.missing = missing


def endpoint() -> str:
    """Return the address of the hub, which ``HF_ENDPOINT`` can change at any time."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def offline() -> bool:
    """Tell whether the environment asks for no network (``HF_HUB_OFFLINE``)."""
    asked = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(value.upper() in {"1", "ON", "YES", "TRUE"} for value in asked)


def file_url(repository: str, filename: str, revision: str) -> str:
    """Return the address of a file, for the library and for people."""
    return f"{endpoint()}/{repository}/resolve/{revision}/{filename}"


def file_metadata(url: str, *, retry: bool = False) -> HfFileMetadata:
    """Ask the hub for commit, hash and size of a file.

    Parameters
    ----------
    url : str
        As `file_url` gives it.
    retry : bool
        Ask again for some seconds when the trouble may pass.

    Raises
    ------
    HubError
        It did not answer, or not as a hub does.
    """
    from huggingface_hub import get_hf_file_metadata

    try:
        return get_hf_file_metadata(url, endpoint=endpoint(), retry_on_errors=retry)
    except _errors() as error:
        raise _in_words(error) from error


def download(
    repository: str,
    filename: str,
    *,
    revision: str | None = None,
    folder: Path | None = None,
    bar: type[Any] | None = None,
) -> Path:
    """Let the hub library fetch one file, going on where a connection was cut.

    Parameters
    ----------
    repository, filename : str
        The file.
    revision : str, optional
        Commit, branch or tag; the newest when left out.
    folder : Path, optional
        Where it is put; the library's own cache when left out.
    bar : type, optional
        A subclass of ``tqdm.tqdm`` that is told how far it is.

    Raises
    ------
    HubError
        It could not be fetched.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(
            hf_hub_download(
                repository,
                filename,
                revision=revision,
                endpoint=endpoint(),
                local_dir=folder,
                tqdm_class=bar,
            )
        )
    except _errors() as error:
        raise _in_words(error) from error


def _errors() -> tuple[type[Exception], ...]:
    """Return every kind of exception that talking to the hub can raise.

    The first base of the hub's own error is that of the HTTP library, whichever it uses: broken
    connections and proxies raise others of its kind.
    """
    from huggingface_hub.errors import HfHubHTTPError

    return (*HfHubHTTPError.__bases__, ValueError, RuntimeError)


def _in_words(error: BaseException) -> HubError:
    """Say in one sentence why the hub could not be used."""
    from huggingface_hub import errors

    chain = [error]
    while (link := chain[-1].__cause__ or chain[-1].__context__) and link not in chain:
        chain.append(link)
    missing = isinstance(error, errors.EntryNotFoundError)
    for link in chain:
        # A redirect that led nowhere is no reason to show to anybody.
        if isinstance(link, errors.HfHubHTTPError) and link.response.status_code >= 400:
            status = link.response.status_code
            reason = _STATUS_REASONS.get(status, f"the server answered with error {status}")
            return HubError(reason, missing=missing)
        if isinstance(link, errors.OfflineModeIsEnabled):
            return HubError("offline mode is on (HF_HUB_OFFLINE)")
        if isinstance(link, errors.FileMetadataError):
            return HubError(NO_HUB)
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:300].rstrip(".")
    if any(isinstance(link, errors.HfHubHTTPError.__bases__[0]) for link in chain):
        reason = f"the connection failed or was cut ({reason}); check network, proxy and firewall"
    return HubError(reason, missing=missing)
