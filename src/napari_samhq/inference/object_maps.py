"""Maps that find all objects of an image without prompts, and models that give them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from napari_samhq.core.util.lru import Lru
from napari_samhq.inference.prediction import SupportsPrediction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_samhq.core.tiles.grid import Region
    from napari_samhq.inference.embedding import ImageEmbedding

__all__ = ["ObjectMaps", "Seen", "SupportsDenseMaps"]

_KEPT = 8


@dataclass(frozen=True, eq=False)
class ObjectMaps:
    """What a dense head says of each place of an image; made by :meth:`Predictor.dense_maps`.

    Attributes
    ----------
    foreground : ndarray of shape (h, w), float32
        Logits of being part of any object. (h, w) is the part of the low-res logits' grid that
        shows the image.
    border : ndarray of shape (h, w), float32
        Distance to the border of the object there, 1 where it is largest in that object; about 0
        in the background.
    middle : ndarray of shape (h, w), float32
        1 at the innermost place of the object there, falling to 0 at the place of the object that
        is farthest from it; about 0 in the background.
    direction : ndarray of shape (2, h, w), float32
        Unit vector (row, column) to the innermost place.
    side : int
        Side of the square grid of low-res logits that (h, w) is cut from.
    """

    foreground: NDArray[np.float32]
    border: NDArray[np.float32]
    middle: NDArray[np.float32]
    direction: NDArray[np.float32]
    side: int


@runtime_checkable
class SupportsDenseMaps(SupportsPrediction, Protocol):
    """A predictor that may find objects without prompts."""

    @property
    def finds_objects(self) -> bool:
        """Whether this model has a dense head."""
        ...

    def dense_maps(self, embedding: ImageEmbedding) -> ObjectMaps:
        """Say of each place of an image what objects are found by."""
        ...


class Seen:
    """What was found in the latest windows of an image; tiles that see the same share a look."""

    def __init__(self) -> None:
        self._kept: Lru[Any] = Lru(_KEPT)
        self._lock = threading.Lock()

    def get(self, region: Region) -> Any | None:
        """Give what was found in a window, if it is among the latest."""
        with self._lock:
            return self._kept.get(_key(region))

    def put(self, region: Region, found: Any) -> None:
        """Keep what was found in a window."""
        with self._lock:
            self._kept.put(_key(region), found)


def _key(region: Region) -> tuple[int, ...]:
    return tuple(edge for part in region for edge in (part.start, part.stop))
