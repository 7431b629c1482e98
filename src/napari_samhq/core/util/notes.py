"""Warnings for the user that work in another thread hands back as values.

Python's `warnings` has one list of filters for the whole process, so that recording or silencing
them in one thread takes them from all others. What is collected here belongs to one thread.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from napari_samhq.errors import SamHQWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["collected_notes", "note"]

_collecting: ContextVar[list[str] | None] = ContextVar("notes", default=None)


def note(message: str, *, stacklevel: int = 1) -> None:
    """Warn the user, or hand the message to whoever collects notes in this thread.

    Parameters
    ----------
    message : str
        What to say.
    stacklevel : int, optional
        As of :func:`warnings.warn`, counted from the caller.
    """
    notes = _collecting.get()
    if notes is None:
        warnings.warn(message, SamHQWarning, stacklevel=stacklevel + 1)
    else:
        notes.append(message)


@contextmanager
def collected_notes() -> Iterator[list[str]]:
    """Collect the notes of this thread in a list, in place of warnings.

    Never around a `yield` of a generator: what runs between its values would be collected, too.

    Examples
    --------
    >>> with collected_notes() as notes:
    ...     note("The image has no contrast.")
    >>> notes
    ['The image has no contrast.']
    """
    notes: list[str] = []
    token = _collecting.set(notes)
    try:
        yield notes
    finally:
        _collecting.reset(token)
