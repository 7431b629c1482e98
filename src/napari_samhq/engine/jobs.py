"""Jobs and runners: at once in scripts, in a thread behind the dock widget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from napari_samhq.errors import SamHQError

__all__ = ["InlineRunner", "Job", "Progress", "Report", "Runner", "amounts"]


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes
    ----------
    stage : {"fetch", "load", "prepare", "predict", "everything"}
        What is being done.
    done, total : float
        Progress in the stage's own unit; a total of 0 means unknown.
    """

    stage: str
    done: float = 0.0
    total: float = 0.0


def amounts(step: Progress) -> tuple[str, float, float]:
    """Tell what is done, how much of it, and of how much in all, as a bar wants to know.

    Examples
    --------
    >>> amounts(Progress("predict", 2, 5))
    ('predict', 2, 5)
    """
    return step.stage, step.done, step.total


#: What work reports its progress to.
Report: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True, eq=False)
class Job:
    """A piece of work that knows nothing of layers, and what to do with its result.

    Attributes
    ----------
    kind : str
        A waiting job is replaced by a newer one of the same kind: the latest click wins.
    work : callable
        Takes a function to report progress to, returns the result. Runs anywhere; it must call
        the report function often, which raises :class:`~napari_samhq.errors.Cancelled` when the
        user stopped the work.
    done, failed, progress : callable
        Get the result, the exception or the progress, always in the thread of the session.
    rank : int
        Jobs of a lower rank go first.
    """

    kind: str
    work: Callable[[Report], Any]
    done: Callable[[Any], None]
    failed: Callable[[Exception], None]
    progress: Callable[[Progress], None]
    rank: int = 0


class Runner(Protocol):
    """What a session needs to have work done."""

    @property
    def inline(self) -> bool:
        """Whether jobs are done when `submit` returns."""
        ...

    def submit(self, job: Job) -> None:
        """Do the job now or later, and hand its result or exception to the job."""
        ...

    def wait(self, job: Job) -> Any:
        """Do the job, hand over and return its result; exceptions are raised."""
        ...

    def later(self, action: Callable[[], None]) -> None:
        """Do a small thing in the thread of the session, once the present event is over."""
        ...

    def cancel(self) -> None:
        """Stop the present job at its next report, and forget those that wait."""
        ...


class InlineRunner:
    """Does each job at once, in the thread that asks.

    Examples
    --------
    >>> job = Job("predict", lambda report: 6 * 7, done=print, failed=print, progress=print)
    >>> InlineRunner().submit(job)
    42
    """

    inline = True

    def submit(self, job: Job) -> None:
        """Do the job now."""
        try:
            result = job.work(job.progress)
        except SamHQError as error:
            job.failed(error)
        else:
            job.done(result)

    def wait(self, job: Job) -> Any:
        """Do the job now, and return its result."""
        result = job.work(job.progress)
        job.done(result)
        return result

    def later(self, action: Callable[[], None]) -> None:
        """Do it now: a script has no event to wait for."""
        action()

    def cancel(self) -> None:
        """Do nothing: no job is waiting."""
