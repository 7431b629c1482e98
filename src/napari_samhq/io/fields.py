"""Reading values out of JSON by name and type; what nobody asked for is kept."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

from napari_samhq.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Fields", "put_back"]

T = TypeVar("T")

# Whole numbers beyond this fit into no array.
_LARGEST = 2**63 - 1
_REQUIRED: Any = object()


class Fields:
    """The named values of a JSON object, each read once by its type.

    Parameters
    ----------
    value : object
        What the JSON parser gave.
    where : str
        The place in the file, for messages, and to put back what was not read: names and numbers
        with slashes between.
    source : str
        The file, for messages.
    unread : dict, optional
        Gets what :meth:`done` found unread, by place.

    Examples
    --------
    >>> fields = Fields({"rows": 3, "colour": "red"}, "image", "a.json", unread := {})
    >>> fields.whole("rows", low=1)
    3
    >>> fields.done()
    >>> unread
    {'image': {'colour': 'red'}}
    """

    def __init__(
        self, value: Any, where: str, source: str, unread: dict[str, dict[str, Any]] | None = None
    ) -> None:
        self.where, self.source = where, source
        self.unread = {} if unread is None else unread
        if not isinstance(value, dict):
            raise self.wrong(value, "an object with named values", where)
        self._left: dict[str, Any] = dict(value)

    def done(self) -> None:
        """Say that no more is read: what is left comes from a newer program, and is kept."""
        if self._left:
            self.unread[self.where] = self._left

    def has(self, name: str) -> bool:
        """Tell whether there is such a value, and it is not null."""
        return self._left.get(name) is not None

    def raw(self, name: str, default: Any = _REQUIRED) -> Any:
        """Take a value as it is."""
        if name not in self._left:
            if default is _REQUIRED:
                raise FileError(
                    f"{self.source} is damaged: {self._place(name)} is missing. Take a backup of "
                    "it, if there is one."
                )
            return default
        return self._left.pop(name)

    def text(self, name: str, default: str = _REQUIRED, *, longest: int = 10_000) -> str:
        """Take a text."""
        value = self.raw(name, default)
        if not isinstance(value, str) or len(value) > longest or "\0" in value:
            raise self.wrong(value, f"a text of up to {longest} characters", self._place(name))
        return value

    def flag(self, name: str, default: bool = _REQUIRED) -> bool:
        """Take true or false."""
        value = self.raw(name, default)
        if not isinstance(value, bool):
            raise self.wrong(value, "true or false", self._place(name))
        return value

    def whole(
        self, name: str, default: int = _REQUIRED, *, low: int = 0, high: int = _LARGEST
    ) -> int:
        """Take a whole number from `low` to `high`."""
        return self.as_whole(self.raw(name, default), self._place(name), low, high)

    def number(self, name: str, default: float = _REQUIRED) -> float:
        """Take a finite number."""
        return self.as_number(self.raw(name, default), self._place(name))

    def one_of(self, name: str, choices: tuple[T, ...], default: T = _REQUIRED) -> T:
        """Take one of some values."""
        value = self.raw(name, default)
        for choice in choices:
            if value == choice and type(value) is type(choice):
                return choice
        raise self.wrong(value, f"one of {', '.join(map(str, choices))}", self._place(name))

    def wholes(self, name: str, default: Any = _REQUIRED, *, low: int = 0) -> tuple[int, ...]:
        """Take a list of whole numbers."""
        return tuple(
            self.as_whole(value, place, low, _LARGEST) for value, place in self.items(name, default)
        )

    def child(self, name: str) -> Fields:
        """Take an object with named values."""
        return Fields(self.raw(name), self._place(name), self.source, self.unread)

    def children(self, name: str, read: Callable[[Fields], T], default: Any = _REQUIRED) -> list[T]:
        """Take a list of objects with named values, and read each."""
        found = []
        for value, place in self.items(name, default):
            fields = Fields(value, place, self.source, self.unread)
            found.append(read(fields))
            fields.done()
        return found

    def items(self, name: str, default: Any = _REQUIRED) -> Iterator[tuple[Any, str]]:
        """Take a list: its values, each with its place."""
        values = self.raw(name, default)
        if not isinstance(values, list | tuple):
            raise self.wrong(values, "a list", self._place(name))
        for index, value in enumerate(values):
            yield value, f"{self._place(name)}/{index}"

    def as_whole(self, value: Any, place: str, low: int, high: int) -> int:
        """Check a value: a whole number."""
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            ends = f" from {low}" + (f" to {high}" if high < _LARGEST else " on")
            raise self.wrong(value, f"a whole number{ends}", place)
        return value

    def as_number(self, value: Any, place: str) -> float:
        """Check a value: a finite number."""
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        if not fits or abs(value) > 1e300 or not math.isfinite(value):
            raise self.wrong(value, "a finite number", place)
        return float(value)

    def wrong(self, value: Any, needed: str, place: str) -> FileError:
        """Make the error that says what came instead of what was needed."""
        kinds: dict[type, str] = {dict: "an object", list: "a list", type(None): "nothing"}
        came = kinds.get(type(value)) or repr(value)[:40]
        return FileError(
            f"{self.source} is damaged: {place or 'its content'} is {came}; needed is {needed}. "
            "Take a backup of it, if there is one."
        )

    def _place(self, name: str) -> str:
        return f"{self.where}/{name}" if self.where else name


def put_back(document: Any, unread: dict[str, dict[str, Any]]) -> None:
    """Put what was not read back to where it was, if that place is still there.

    Examples
    --------
    >>> document = {"image": {"rows": 3}}
    >>> put_back(document, {"image": {"colour": "red"}, "gone/1": {"x": 1}})
    >>> document
    {'image': {'rows': 3, 'colour': 'red'}}
    """
    for where, values in unread.items():
        node = document
        for name in where.split("/") if where else []:
            if isinstance(node, list) and name.isdigit() and int(name) < len(node):
                node = node[int(name)]
            else:
                node = node.get(name) if isinstance(node, dict) else None
        if isinstance(node, dict):
            for name, value in values.items():
                node.setdefault(name, value)
