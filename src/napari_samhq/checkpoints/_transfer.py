"""One transfer: what the thread that does it and the thread that waits for it share."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tqdm import tqdm

__all__ = ["Abandoned", "Transfer"]

#: A server that cuts every connection and cannot resume would otherwise be asked for ever.
_MOST_TIMES_OVER = 4


class Abandoned(Exception):
    """The one who waited for the transfer does not want it any more."""


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

    def advance(self, count: int, done: int) -> None:
        """Note that bytes arrived, or (negative) that they must be sent again."""
        self.alive()
        self.done = max(done, 0)
        self._received += max(count, 0)
        if self.total and self._received > _MOST_TIMES_OVER * self.total:
            raise ConnectionError(
                f"the connection was cut again and again, {self._received / 1e6:.0f} MB came"
            )

    def bar(self) -> type[tqdm[Any]]:
        """Return a progress bar's class for the hub library: it counts here and shows nothing."""
        from tqdm import tqdm

        transfer = self
        # Some kinds of transfer have two bars, for what came and for what was written.
        bars: list[tqdm[Any]] = []

        class Bar(tqdm):  # type: ignore[misc]  # tqdm has no types
            monitor_interval = 0  # no thread to watch over what is never drawn

            def __init__(self, *args: Any, **settings: Any) -> None:
                super().__init__(*args, **{**settings, "disable": True})
                bars.append(self)
                transfer.total = int(self.total or transfer.total)
                transfer.done = max(int(bar.n) for bar in bars)

            def update(self, n: float | None = 1) -> None:
                self.n += n or 0
                transfer.advance(int(n or 0), max(int(bar.n) for bar in bars))

        return Bar

    @contextmanager
    def alone(self, lock_file: Path) -> Iterator[None]:
        """Hold a lock between processes. One that works there ends by its own watch."""
        from filelock import FileLock, Timeout

        lock = FileLock(lock_file)
        while not lock.is_locked:
            try:
                lock.acquire(timeout=0.5)
            except Timeout:
                self.alive()
        try:
            yield
        finally:
            lock.release()
