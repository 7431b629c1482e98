"""Maps by which all objects of an image are found without prompts, and who gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from napari_samhq.inference.prediction import SupportsPrediction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_samhq.inference.embedding import ImageEmbedding

__all__ = ["ObjectMaps", "SupportsDenseMaps"]


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
