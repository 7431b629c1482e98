"""Entries of a file, of which one that cannot be used does not refuse the others."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_samhq.errors import FileError, ImageError, PromptError, SamHQError, SamHQWarning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Entries"]

_MOST_TOLD = 3
_LONGEST_REASON = 160


class Entries:
    """Counts the entries of a file, and those that had to be left out.

    Parameters
    ----------
    path : str or Path
        The file, for messages.
    what : str
        What its entries are: "annotation", "feature", "line".
    strict : bool, optional
        Raise what is wrong with an entry, in place of leaving it out.

    Examples
    --------
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     with Entries.of("cells.csv", "line") as entries:
    ...         for number, text in enumerate(["3", "x", "5"], start=1):
    ...             with entries.each(f"line {number}"):
    ...                 if not text.isdigit():
    ...                     raise FileError(f"'{text}' is no number.")
    >>> print(told[0].message)
    cells.csv: 1 of 3 lines left out: line 2: 'x' is no number. To refuse such files use --strict
    (strict=True).
    """

    def __init__(self, path: str | Path, what: str, *, strict: bool = False) -> None:
        self.path, self.what, self.strict = str(path), what, strict
        self._count = 0
        self._left_out: list[str] = []
        self._parts: dict[str, str] = {}
        self._last: type[SamHQError] = FileError

    @classmethod
    @contextmanager
    def of(cls, path: str | Path, what: str, *, strict: bool = False) -> Iterator[Entries]:
        """Go through the entries of a file, and tell at the end what was left out.

        Raises
        ------
        FileError, ImageError, PromptError
            If there were entries, and none could be used.

        Warns
        -----
        SamHQWarning
            If some were left out: how many, the first few, and why.
        """
        entries = cls(path, what, strict=strict)
        yield entries
        entries.tell()

    @contextmanager
    def each(self, name: str) -> Iterator[None]:
        """Work on one entry; an error of ours leaves it out.

        Raises
        ------
        FileError, ImageError, PromptError
            What is wrong with it, if `strict`.
        """
        self._count += 1
        try:
            yield
        except (FileError, ImageError, PromptError) as error:
            self._left_out.append(self._reason(name, error))

    @contextmanager
    def again(self, name: str) -> Iterator[None]:
        """Work once more on an entry that was counted already; otherwise as :meth:`each`."""
        self._count -= 1
        with self.each(name):
            yield

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Work on a part of an entry, the rest of which is good without it."""
        try:
            yield
        except (FileError, ImageError, PromptError) as error:
            self._parts[name] = self._reason(name, error)

    def _reason(self, name: str, error: SamHQError) -> str:
        """Say what is wrong with an entry, which begins with its name; raise it if strict."""
        reason = str(error).removeprefix(f"{self.path}: ")
        reason = reason if reason.startswith(name) else f"{name}: {reason}"
        if self.strict:
            raise type(error)(f"{self.path}: {reason}") from error
        self._last = type(error)
        return reason

    def tell(self) -> None:
        """Tell what was left out, see :meth:`of`."""
        count = len(self._left_out)
        if count and count == self._count:
            if count == 1:
                raise self._last(f"{self.path}: {self._left_out[0]}")
            reasons = _listed(self._left_out)
            raise FileError(f"{self.path}: none of its {count} {self.what}s can be used. {reasons}")
        in_part = list(self._parts.values())
        for left, how in ((self._left_out, "left out"), (in_part, "left out in part")):
            if left:
                warnings.warn(
                    f"{self.path}: {len(left)} of {self._count} {self.what}s {how}: "
                    f"{_listed(left)} To refuse such files use --strict (strict=True).",
                    SamHQWarning,
                    stacklevel=5,
                )


def _listed(reasons: list[str]) -> str:
    """Give the first few reasons, in one line."""
    told = [_shortened(reason) for reason in reasons[:_MOST_TOLD]]
    more = len(reasons) - len(told)
    return " ".join(told) + (f" ... and {more} more." if more else "")


def _shortened(reason: str) -> str:
    short = " ".join(reason.split())
    return short if len(short) <= _LONGEST_REASON else f"{short[: _LONGEST_REASON - 4]} ..."
