"""Bounded cache that drops the least recently used value (LRU)."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Lru"]

Value = TypeVar("Value")


class Lru(Generic[Value]):
    """Cache with a limit on the sum of its values' weights.

    Parameters
    ----------
    limit : int
        Largest sum of weights: a number of values when each weighs 1, or bytes. The value put last
        stays whatever it weighs.

    Examples
    --------
    >>> cache = Lru(2)
    >>> for number in range(3):
    ...     _ = cache.put(number, "value")
    >>> cache.get(0), cache.get(2)
    (None, 'value')
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._entries: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()

    def get(self, key: Hashable) -> Value | None:
        """Return the value of a key and mark it as used; None if there is none."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key: Hashable, value: Value, weight: int = 1) -> Value:
        """Store a value, drop others while the limit is exceeded, and return the value."""
        self._entries[key] = (value, weight)
        self._entries.move_to_end(key)
        while len(self._entries) > 1 and self.weight > self.limit:
            self._entries.popitem(last=False)
        return value

    @property
    def weight(self) -> int:
        """Sum of the weights of all values."""
        return sum(weight for _, weight in self._entries.values())

    def pop(self, key: Hashable) -> Value | None:
        """Remove a key and return its value; None if there is none."""
        found = self._entries.pop(key, None)
        return None if found is None else found[0]

    def clear(self) -> None:
        """Remove all values."""
        self._entries.clear()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)
