"""Images of any size that take no memory: their pixels are made when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


def noise(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Look random, the same at the same place."""
    mixed = rows.astype(np.uint64) * np.uint64(0x9E3779B1) ^ cols.astype(np.uint64) * np.uint64(
        0x85EBCA77
    )
    return (mixed >> np.uint64(13)) % np.uint64(256)


class Counting:
    """An array that makes its pixels from rows (n, 1) and columns (1, m), and counts them."""

    def __init__(
        self,
        shape: tuple[int, int],
        dtype: Any = np.uint8,
        value: Callable[[np.ndarray, np.ndarray], np.ndarray] = noise,
    ) -> None:
        self.shape, self.dtype, self.value, self.read = shape, np.dtype(dtype), value, 0

    def __getitem__(self, where: tuple[slice, ...]) -> np.ndarray:
        rows, cols = (
            np.arange(*part.indices(n)) for part, n in zip(where[:2], self.shape, strict=True)
        )
        self.read += rows.size * cols.size
        return self.value(rows[:, None], cols[None]).astype(self.dtype)
