"""Remaining time in words."""

from __future__ import annotations

__all__ = ["TimeLeft"]

_KNOWN_AFTER_S = 3.0  # before, an estimate would jump
_KNOWN_AFTER = 0.02  # of the work


class TimeLeft:
    """Estimates the time left from the progress so far.

    Examples
    --------
    >>> left = TimeLeft()
    >>> left.words(0, 100, now=0.0)
    ''
    >>> left.words(25, 100, now=10.0)
    '30 s left'
    """

    def __init__(self) -> None:
        self._began_at, self._began, self._last = 0.0, 0.0, (0.0, 0.0)

    def words(self, done: float, total: float, now: float) -> str:
        """Say how long it will take; nothing where that is not known yet.

        Parameters
        ----------
        done, total : float
            How far it is. A lower `done`, or another `total`, than the last time begins anew.
        now : float
            Seconds on any clock.
        """
        if total != self._last[1] or done < self._last[0]:
            self._began_at, self._began = now, done
        self._last = (done, total)
        took, progress = now - self._began_at, done - self._began
        if took < _KNOWN_AFTER_S or progress < _KNOWN_AFTER * total:
            return ""
        seconds = took * (total - done) / progress
        if seconds >= 90:
            return f"{seconds / 60:.0f} min left"
        return f"{max(seconds, 1):.0f} s left"
