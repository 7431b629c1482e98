"""Stand-in weights: every tensor follows from its name and shape alone.

The reference numbers in ``tests/data`` were computed with these weights, so full-size models can be
compared with the reference without any published weight file. The numbers depend on the names of
the layout the reference used: make the weights under those names first, rename afterwards.
"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_TABLES = ("rel_pos", "pos_embed", "attention_biases")
_EMBEDDINGS = (
    "token",
    "point_embed",
    "not_a_point",
    "no_mask_embed",
    "gaussian_matrix",
    "positional_embedding",
)


def stand_in(key: str, shape: Sequence[int]) -> NDArray[np.float32] | NDArray[np.int64]:
    """Return the stand-in array of one checkpoint entry (float32; int64 zeros for counters)."""
    shape = tuple(shape)
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    # The Hugging Face layout holds the positional table twice; both copies must be equal.
    seed = "positional_embedding" if key.endswith("positional_embedding") else key
    generator = np.random.RandomState(zlib.crc32(seed.encode()))
    values = np.asarray(generator.standard_normal(shape)).astype(np.float32)
    if key.endswith("running_var"):
        return np.float32(0.5) + np.abs(values)
    if key.endswith("running_mean"):
        return np.float32(0.1) * values
    if any(part in key for part in _TABLES):
        return np.float32(0.3) * values
    if any(part in key for part in _EMBEDDINGS):
        return values
    if values.ndim <= 1:
        centre = np.float32(1 if key.endswith("weight") else 0)
        return centre + np.float32(0.1) * values
    return values * np.float32(1.4 / math.sqrt(math.prod(shape[1:])))
