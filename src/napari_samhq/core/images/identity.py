"""Identity of an image: a short digest, also for images too large to be read whole."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ImageIdentity", "content_digest"]

_WHOLE = 2**22  # values that are read in a moment, from anywhere
_PIECES, _PIECE_SIDE, _PIECE = 16, 64, 64 * 64 * 4
_GOLDEN = 0.6180339887498949  # steps of this fraction fill an axis evenly


@dataclass(frozen=True)
class ImageIdentity:
    """What tells an image from others.

    Attributes
    ----------
    name : str
        What people call it.
    shape : tuple of ints
        Shape of its data at full resolution, with the colour axis if there is one.
    dtype : str
        Type of its values, as numpy names it.
    digest : str
        Hash of its values or of a sample, from :func:`content_digest`.
    rgb : bool
        Whether the last axis is colour.
    axis_labels, units : tuple of str
        Of each axis of the layer, colour left out.
    scale : tuple of floats
        Size of a pixel along these axes, in their units.
    source : str
        Where it is, relative to the folder of the session file; empty if it is not beside it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    digest: str
    rgb: bool = False
    axis_labels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    scale: tuple[float, ...] = ()
    source: str = ""

    def matches(self, other: ImageIdentity) -> bool:
        """Tell whether this is the same image, whatever it is called."""
        return (self.shape, self.dtype, self.digest) == (other.shape, other.dtype, other.digest)


def content_digest(array: Any) -> str:
    """Hash an array; of one that is large, 16 pieces of 64 x 64 or so, spread over all of it.

    Parameters
    ----------
    array : array
        Numpy, zarr or dask. Of a large one only the pieces are read.

    Returns
    -------
    str
        The same for equal arrays, whatever holds them. An edit between the pieces of a large
        image stays unseen: the digest says which image it is, not that it is untouched.

    Examples
    --------
    >>> image = np.arange(10_000, dtype="<u2").reshape(100, 100)
    >>> content_digest(image) == content_digest(image.astype(">u2"))
    True
    >>> content_digest(image) == content_digest(image + 1)
    False
    """
    shape = tuple(int(length) for length in array.shape)
    dtype = np.dtype(array.dtype).newbyteorder("<")
    digest = hashlib.sha256(f"{shape} {dtype.str}".encode())
    for where in _pieces(shape):
        values = np.asarray(array[where]).astype(dtype, copy=False)
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _pieces(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    if math.prod(shape) <= _WHOLE:
        yield tuple(slice(0, length) for length in shape)
        return
    sides: list[int] = []
    for length in reversed(shape):
        room = _PIECE // math.prod(sides)
        sides.insert(0, min(length, _PIECE_SIDE) if room >= _PIECE_SIDE else 1)
    for number in range(_PIECES):
        yield tuple(
            _spread(length, side, number / _PIECES + axis * number * _GOLDEN)
            for axis, (length, side) in enumerate(zip(shape, sides, strict=True))
        )


def _spread(length: int, side: int, position: float) -> slice:
    start = int((length - side + 1) * (position % 1.0))
    return slice(start, start + side)
