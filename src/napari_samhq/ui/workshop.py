"""Models, embeddings and the worker thread that all docks of a process share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_samhq.engine.engine import shared_engine
from napari_samhq.ui.worker import Worker

if TYPE_CHECKING:
    from napari_samhq.engine.engine import Engine

__all__ = ["Workshop", "enter", "leave"]


@dataclass(eq=False)
class Workshop:
    """An engine, and the thread of the docks that use it.

    Attributes
    ----------
    guests : int
        How many docks work here.
    """

    engine: Engine
    worker: Worker = field(default_factory=Worker)
    guests: int = 0


_open: Workshop | None = None


def enter(engine: Engine | None = None) -> Workshop:
    """Join the workshop of this process; give it back with :func:`leave`.

    Parameters
    ----------
    engine : Engine, optional
        Another engine than the shared one: a workshop of its own.

    Examples
    --------
    >>> one, two = enter(), enter()
    >>> one is two
    True
    >>> leave(one), leave(two)
    (None, None)
    >>> enter() is one
    False
    """
    global _open  # one model in memory, however many windows there are
    if engine is not None:
        return Workshop(engine, guests=1)
    if _open is None:
        _open = Workshop(shared_engine())
    _open.guests += 1
    return _open


def leave(workshop: Workshop) -> None:
    """Go; the last one ends the thread, and lets go of the models and the memory they take."""
    global _open
    workshop.guests -= 1
    if workshop.guests == 0:
        workshop.worker.close()
        if workshop is _open:
            _open = None
