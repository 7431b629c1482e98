"""Run generators, the form that long work has here, to their end."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["finished"]

Event = TypeVar("Event")
Value = TypeVar("Value")


def finished(
    steps: Generator[Event, None, Value], report: Callable[[Event], Any] | None = None
) -> Value:
    """Run a generator to its end, and return its value; close it if it is stopped.

    Parameters
    ----------
    steps : generator
    report : callable, optional
        Called with each event; an exception that it raises stops the work.

    Examples
    --------
    >>> def work():
    ...     yield "half"
    ...     return "done"
    >>> finished(work())
    'done'
    """
    with closing(steps):  # now, and not when the traceback is gone: threads may be at work
        while True:
            try:
                event = next(steps)
            except StopIteration as stop:
                value: Value = stop.value
                return value
            if report is not None:
                report(event)
