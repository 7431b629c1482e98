"""The Hugging Face hub: its address, and what went wrong with it in words."""

from __future__ import annotations

import os

from ._transfer import CutAgain

__all__ = ["endpoint", "failure_reason", "hub_errors", "may_pass", "offline", "was_cut"]

NO_HUB = (
    "what answered is not a Hugging Face hub; a login page of the network, a proxy, or "
    "HF_ENDPOINT may be in the way"
)
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_STATUS_REASONS = {
    401: "the server asked for a login (401); the model may have been made private",
    403: "the server refused access (403); a proxy or firewall may be in the way",
    404: "the server does not have that file (404); it may have been moved",
    429: "the server asks to slow down (429); wait some minutes",
}


def endpoint() -> str:
    """Return the address of the hub, which ``HF_ENDPOINT`` can change."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def offline() -> bool:
    """Tell whether the environment asks for no network (``HF_HUB_OFFLINE``)."""
    asked = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(value.upper() in {"1", "ON", "YES", "TRUE"} for value in asked)


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
    if isinstance(error, CutAgain):
        return str(error)
    chain = _chain(error)
    kinds = " ".join(type(link).__name__ for link in chain)
    if "OfflineMode" in kinds:
        return "offline mode is on (HF_HUB_OFFLINE)"
    if "FileMetadataError" in kinds:
        return NO_HUB
    if "ProxyError" in kinds:
        return "the proxy could not be used; check HTTPS_PROXY"
    if "Timeout" in kinds:
        return "the server did not answer in time"
    if "ConnectError" in kinds or "NetworkError" in kinds or "ProtocolError" in kinds:
        return f"the connection failed or was cut ({_line(chain[-1])})"
    return _line(error)


def may_pass(error: BaseException) -> bool:
    """Tell whether the same request might succeed a little later."""
    status = _status(error)
    return status in _TRANSIENT if status is not None else was_cut(error)


def was_cut(error: BaseException) -> bool:
    """Tell whether a connection broke or fell silent, without an answer from the server."""
    if isinstance(error, CutAgain) or _status(error) is not None:
        return False
    kinds = {base.__name__ for link in _chain(error) for base in type(link).__mro__}
    return bool(kinds & {"TimeoutException", "NetworkError", "RemoteProtocolError"})


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
