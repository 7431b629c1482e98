"""A memory for a while: what was not used for longest goes first."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Recent"]

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Remembers what was used last, up to a number of bytes.

    Parameters
    ----------
    limit : int
        Most bytes; the last value stays whatever it takes.

    Examples
    --------
    >>> recent = Recent(2)
    >>> for number in range(3):
    ...     _ = recent.put(number, "value", 1)
    >>> recent.get(0), recent.get(2)
    (None, 'value')
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._entries: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()

    def get(self, key: Hashable) -> Value | None:
        """Find a value."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key: Hashable, value: Value, nbytes: int) -> Value:
        """Keep a value, and return it."""
        self._entries[key] = (value, nbytes)
        self._entries.move_to_end(key)
        while len(self._entries) > 1 and sum(n for _, n in self._entries.values()) > self.limit:
            self._entries.popitem(last=False)
        return value

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
