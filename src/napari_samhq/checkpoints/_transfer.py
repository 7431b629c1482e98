"""One transfer: what the thread that does it and the thread that waits for it share."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

__all__ = ["Abandoned", "CutAgain", "Transfer"]

#: A server that cuts every connection and cannot resume would otherwise be asked for ever.
_MOST_TIMES_OVER = 4


class Abandoned(Exception):
    """The one who waited for the transfer does not want it any more."""


class CutAgain(ConnectionError):
    """A server cuts the connection each time, and starts from the beginning each time."""


class Transfer:
    """Progress, silence and the end of one transfer.

    Parameters
    ----------
    total
        Bytes to expect, as far as known.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.result = ""
        self.error: BaseException | None = None
        self._received = 0
        self._abandoned = threading.Event()
        self._last_sign = time.monotonic()

    @property
    def silence(self) -> float:
        """Seconds since the last sign of life."""
        return time.monotonic() - self._last_sign

    def alive(self) -> None:
        """Note a sign of life, and end the thread that gives it when nobody waits for it."""
        self._last_sign = time.monotonic()
        if self._abandoned.is_set():
            raise Abandoned

    def abandon(self) -> None:
        """Ask the thread that does the transfer to end at the next opportunity."""
        self._abandoned.set()

    def wait(self, seconds: float) -> None:
        """Pause between two attempts, not longer than somebody waits."""
        if self._abandoned.wait(seconds):
            raise Abandoned

    def advance(self, count: int) -> None:
        """Note that bytes arrived, or (negative) that they must be sent again."""
        self.alive()
        self.done = max(self.done + count, 0)
        self._received += max(count, 0)
        if self.total and self._received > _MOST_TIMES_OVER * self.total:
            raise CutAgain(
                f"the connection was cut again and again, {self._received / 1e6:.0f} MB came"
            )

    def meter(self) -> type[Any]:
        """Return a class that the hub library can use in place of a progress bar."""
        transfer = self

        class Meter(_Meter):
            def __init__(
                self, *_: Any, total: int | None = None, initial: int = 0, **_settings: Any
            ) -> None:
                super().__init__(transfer, total, initial)

        return Meter

    @contextmanager
    def alone(self, lock_file: Path, watched: Path) -> Iterator[None]:
        """Hold a lock between processes; what grows in ``watched`` meanwhile is a sign of life."""
        from filelock import FileLock, Timeout

        lock = FileLock(lock_file)
        newest = 0.0
        while True:
            try:
                lock.acquire(timeout=0.5)
                break
            except Timeout:
                if self._abandoned.is_set():
                    raise Abandoned from None
                latest = _newest_change(watched)
                if latest > newest:
                    newest = latest
                    self.alive()
        try:
            yield
        finally:
            lock.release()


class _Meter:
    """The part of a tqdm bar that the hub library uses, without anything to see.

    Having ``update_transfer`` tells its Xet downloader to use one bar for both of its counts.
    """

    def __init__(self, transfer: Transfer, total: int | None, initial: int) -> None:
        self._transfer = transfer
        self.total = total or transfer.total
        self.n = initial
        transfer.total = self.total
        transfer.done = initial

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def update(self, count: float | None = 1) -> None:
        self.n += int(count or 0)
        self._transfer.advance(int(count or 0))

    def update_transfer(self, _count: float | None = 1) -> None:
        self._transfer.alive()

    def set_postfix_str(self, *_args: Any, **_settings: Any) -> None:
        """Do nothing: speed is not shown."""

    set_transfer_postfix_str = set_description = refresh = reset = set_postfix_str

    def close(self) -> None:
        """Do nothing: there is nothing to see."""


def _newest_change(folder: Path) -> float:
    """Return the time of the latest change of any file below a folder, 0 without any."""
    newest = 0.0
    for path in folder.rglob("*"):
        try:
            newest = max(newest, path.stat().st_mtime)
        except FileNotFoundError:
            continue  # renamed by the process that is at work there
    return newest
