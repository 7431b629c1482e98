"""Low-res logits to masks, no more of them than the mask's own bounding box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from napari_samhq.core.masks import CroppedMask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_samhq.inference.embedding import ImageEmbedding

__all__ = ["Enlarger"]


class Enlarger:
    """Enlarge low-res logits of one embedding as :meth:`Predictor.predict` does, but in part.

    Enlarging is linear along rows and along columns, so it is a product with one matrix for each;
    a mask's bounding box needs a few of their rows.

    Parameters
    ----------
    embedding : ImageEmbedding
        What the logits were decoded from.
    low_res_size : int
        Side of the low-res logits.

    Attributes
    ----------
    low_res_shape : tuple of two ints
        The part of the logits that shows the image; the rest is padding.
    """

    def __init__(self, embedding: ImageEmbedding, low_res_size: int) -> None:
        sizes = zip(embedding.input_shape, embedding.image_shape, strict=True)
        self._rows, self._cols = (
            _Axis.of(low_res_size, embedding.input_size, length, wanted) for length, wanted in sizes
        )
        self.low_res_shape = self._rows.used, self._cols.used

    def mask(self, logits: NDArray[np.float32], threshold: float = 0.0) -> CroppedMask:
        """Enlarge one mask.

        Parameters
        ----------
        logits : ndarray of shape (h, w), float32
            Cut to `low_res_shape`.
        threshold : float, optional
            Logits above it are object.

        Returns
        -------
        CroppedMask
            In pixels of the embedded image; empty where no logit is above the threshold.
        """
        inside = logits > threshold
        rows, low_rows = self._rows.support(np.flatnonzero(inside.any(axis=1)))
        cols, low_cols = self._cols.support(np.flatnonzero(inside.any(axis=0)))
        part = self._rows.weights[rows, low_rows] @ logits[low_rows, low_cols]
        full = part @ self._cols.weights[cols, low_cols].T
        return CroppedMask.of(full > threshold, (rows.start, cols.start))


@dataclass(frozen=True, eq=False)
class _Axis:
    """How logits become pixels along one axis.

    Attributes
    ----------
    weights : ndarray of shape (pixels, logits)
        What each pixel takes from each logit.
    first, last : ndarray of shape (pixels,)
        The first and the last logit that a pixel takes anything from; they never fall.
    """

    weights: NDArray[np.float32]
    first: NDArray[np.intp]
    last: NDArray[np.intp]

    @classmethod
    def of(cls, low_res: int, size: int, length: int, wanted: int) -> _Axis:
        """Enlarge `low_res` logits to `size`, cut these to `length`, resize to `wanted` pixels."""
        identity = torch.eye(low_res)[np.newaxis]
        padded = F.interpolate(identity, size, mode="linear", align_corners=False)
        resized = F.interpolate(padded[..., :length], wanted, mode="linear", align_corners=False)
        weights = np.ascontiguousarray(resized[0].numpy().T)
        is_used = weights != 0
        first = is_used.argmax(axis=1)
        last = low_res - 1 - is_used[:, ::-1].argmax(axis=1)
        return cls(weights, first, last)

    @property
    def used(self) -> int:
        """How many logits show the image; the others are padding."""
        return int(self.last[-1]) + 1

    def support(self, places: NDArray[np.intp]) -> tuple[slice, slice]:
        """Pixels that depend on any of the logits at these places, and all logits they need."""
        if not places.size:
            return slice(0, 0), slice(0, 0)
        start = int(np.searchsorted(self.last, places[0]))
        stop = int(np.searchsorted(self.first, places[-1], side="right"))
        if start >= stop:  # of a much smaller image, pixels may pass over logits
            return slice(0, 0), slice(0, 0)
        return slice(start, stop), slice(int(self.first[start]), int(self.last[stop - 1]) + 1)
