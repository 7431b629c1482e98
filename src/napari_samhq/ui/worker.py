"""The one thread that works: it owns the models, and touches neither layers nor widgets."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, QTimer, Signal  # type: ignore[attr-defined]

from napari_samhq.engine.jobs import Progress
from napari_samhq.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_samhq.engine.jobs import Job

__all__ = ["ThreadRunner", "Worker"]

# Each report draws a part of the window, and thereby all of it: without a graphics card that costs
# the model a good part of a processor.
_REPORT_EVERY_S = 0.3


@dataclass(eq=False)
class _Ticket:
    """A job on its way: whose it is, what came of it, and whether anybody still wants to know."""

    job: Job
    owner: ThreadRunner
    cancelled: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)
    awaited: bool = False
    result: Any = None
    error: Exception | None = None


class Worker:
    """A thread that does the jobs of one window, or of several that share a model.

    Of each kind at most one job waits for each window: a newer one takes its place. Jobs of a
    lower rank go first, so a click goes before background work.
    """

    def __init__(self) -> None:
        self._waiting: list[_Ticket] = []
        self._running: _Ticket | None = None
        self._closed = False
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def put(self, ticket: _Ticket) -> None:
        """Take a job on."""
        with self._condition:
            if self._closed:
                raise Cancelled("The dock is closed. Open it again.")
            self._waiting = [
                one
                for one in self._waiting
                if (one.owner, one.job.kind) != (ticket.owner, ticket.job.kind)
            ]
            self._waiting.append(ticket)
            self._waiting.sort(key=lambda one: one.job.rank)
            if self._thread is None:
                # A daemon, so that a job that never reports cannot keep Python from ending.
                self._thread = threading.Thread(target=self._work, name="samhq", daemon=True)
                self._thread.start()
            self._condition.notify_all()

    def take_back(self, owner: ThreadRunner) -> list[_Ticket]:
        """Give up the jobs of a window: those that wait, and the present one at its next report."""
        with self._condition:
            tickets = [one for one in self._waiting if one.owner is owner]
            self._waiting = [one for one in self._waiting if one.owner is not owner]
            if self._running is not None and self._running.owner is owner:
                tickets.insert(0, self._running)
            for ticket in tickets:
                ticket.cancelled.set()
        return tickets

    def works_for(self, owner: ThreadRunner) -> bool:
        """Whether a job of a window is being done."""
        running = self._running
        return running is not None and running.owner is owner

    def wait_for(self, owner: ThreadRunner, timeout_s: float) -> None:
        """Wait until no job of a window is being done."""
        with self._condition:
            self._condition.wait_for(lambda: not self.works_for(owner), timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        """End the thread; the present job is left at its next report."""
        with self._condition:
            self._closed = True
            self._waiting.clear()
            if self._running is not None:
                self._running.cancelled.set()
            self._condition.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _work(self) -> None:
        """Take tickets until closed. Runs in the thread."""
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                ticket = self._running = self._waiting.pop(0)
            try:
                ticket.result = ticket.job.work(self._reporter(ticket))
            except Exception as error:  # noqa: BLE001  # handed over and raised there
                ticket.error = error
            with self._condition:
                self._running = None
                self._condition.notify_all()
            ticket.finished.set()
            ticket.owner.tell(ticket, None)

    def _reporter(self, ticket: _Ticket) -> Callable[[Progress], None]:
        last = Progress("")
        told_at = 0.0

        def report(progress: Progress) -> None:
            nonlocal last, told_at
            if ticket.cancelled.is_set() or self._closed:
                raise Cancelled("The user stopped the work.")
            now = time.monotonic()
            if progress.stage != last.stage or now - told_at > _REPORT_EVERY_S:
                last, told_at = progress, now
                ticket.owner.tell(ticket, progress)

        return report


class ThreadRunner(QObject):
    """Has the jobs of one window done in a thread, and hands over their results in this one.

    Parameters
    ----------
    worker : Worker, optional
        The thread, where it is shared with other windows; one of its own when left out.

    Notes
    -----
    A cancelled job is over at once for who asked; the thread leaves it at its next report.
    """

    inline = False
    _happened = Signal(object)

    def __init__(self, worker: Worker | None = None) -> None:
        super().__init__()
        self._worker = worker or Worker()
        self._owns_worker = worker is None
        self._lock = threading.Lock()
        self._closed = False
        self._happened.connect(self._hand_over, Qt.ConnectionType.QueuedConnection)

    def submit(self, job: Job) -> None:
        """Do the job as soon as its turn comes."""
        self._put(_Ticket(job, self))

    def wait(self, job: Job) -> Any:
        """Do the job, and hold this thread until it is done."""
        ticket = _Ticket(job, self, awaited=True)
        self._put(ticket)
        ticket.finished.wait()
        if ticket.error is not None:
            raise ticket.error
        job.done(ticket.result)
        return ticket.result

    def later(self, action: Callable[[], None]) -> None:
        """Do a small thing in this thread, once the present event is over."""
        QTimer.singleShot(0, action)

    def cancel(self) -> None:
        """Stop the present job, and forget those that wait."""
        for ticket in self._worker.take_back(self):
            ticket.job.failed(Cancelled("The user stopped the work."))

    def close(self, timeout_s: float = 5.0) -> None:
        """Have nothing more done; returns once the present job was left at its next report."""
        with self._lock:
            self._closed = True
        for ticket in self._worker.take_back(self):
            if ticket.awaited and not ticket.finished.is_set():
                ticket.error = Cancelled("The window was closed.")
                ticket.finished.set()
        if self._owns_worker:
            self._worker.close(timeout_s)
        else:
            self._worker.wait_for(self, timeout_s)

    @property
    def alive(self) -> bool:
        """Whether there is a thread that would do a job."""
        return not self._closed and self._worker.alive

    @property
    def busy(self) -> bool:
        """Whether a job is being done, be it one that nobody waits for any more."""
        return self._worker.works_for(self)

    def tell(self, ticket: _Ticket, progress: Progress | None) -> None:
        """Hand progress or the outcome (None) of a job over. Called in the worker's thread."""
        with self._lock:  # not while this object is being taken down
            if not self._closed:
                self._happened.emit((ticket, progress))

    def _put(self, ticket: _Ticket) -> None:
        if self._closed:
            raise Cancelled("The dock is closed. Open it again.")
        self._worker.put(ticket)

    def _hand_over(self, happening: tuple[_Ticket, Progress | None]) -> None:
        """Give a job its progress or its outcome. Runs in the thread that made this object."""
        ticket, progress = happening
        if self._closed or ticket.cancelled.is_set() or ticket.awaited:
            return
        if progress is not None:
            ticket.job.progress(progress)
        elif ticket.error is not None:
            ticket.job.failed(ticket.error)
        else:
            ticket.job.done(ticket.result)
