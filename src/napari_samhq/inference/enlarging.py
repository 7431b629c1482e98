"""Enlarge low-res logits to masks, within each mask's bounding box."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_array

from napari_samhq.core.masks.cropped import CroppedMask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_samhq.inference.embedding import ImageEmbedding

__all__ = ["RIM", "Enlarger"]

RIM = 3
"""A pixel takes from no logit that is farther from its place."""


class Enlarger:
    """Enlarge low-res logits of one embedding as published, but in the object's bounding box only.

    Enlarging is linear along rows and along columns, so it is a product with one matrix for each;
    a mask's bounding box needs a few of their rows. Outside of it no logit is above the threshold,
    and no mixture of them.

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

    def mask(
        self,
        logits: NDArray[np.float32],
        threshold: float = 0.0,
        corner: tuple[int, int] = (0, 0),
    ) -> CroppedMask:
        """Enlarge one mask.

        Parameters
        ----------
        logits : ndarray of shape (h, w), float32
            Cut to `low_res_shape`, or a part of that.
        threshold : float, optional
            Logits above it are object.
        corner : tuple of two ints, optional
            Where such a part begins. No logit within `RIM` of its edges may be above the threshold,
            unless the logits end there.

        Returns
        -------
        CroppedMask
            In pixels of the embedded image; empty where no logit is above the threshold.
        """
        region = self._support(logits, threshold, corner)
        above = self._enlarged(logits, region, corner) > threshold
        return CroppedMask.of(above, (region[0].start, region[1].start))

    def draw(
        self, logits: NDArray[np.float32], mask: NDArray[np.bool_], threshold: float = 0.0
    ) -> None:
        """Enlarge one mask into an empty one of the image's size.

        Parameters
        ----------
        logits : ndarray of shape (h, w), float32
            Cut to `low_res_shape`.
        mask : ndarray of shape (H, W), bool
            All False; what belongs to the object becomes True.
        threshold : float, optional
            Logits above it are object.
        """
        region = self._support(logits, threshold)
        np.greater(self._enlarged(logits, region), threshold, out=mask[region])

    def _support(
        self, logits: NDArray[np.float32], threshold: float, corner: tuple[int, int] = (0, 0)
    ) -> tuple[slice, slice]:
        """Rows and columns of the image that may be above the threshold."""
        inside = logits > threshold
        return (
            self._rows.support(np.flatnonzero(inside.any(axis=1)) + corner[0]),
            self._cols.support(np.flatnonzero(inside.any(axis=0)) + corner[1]),
        )

    def _enlarged(
        self,
        logits: NDArray[np.float32],
        region: tuple[slice, slice],
        corner: tuple[int, int] = (0, 0),
    ) -> NDArray[np.float32]:
        rows, cols = region
        low_rows = self._rows.needed(rows)
        part = logits[low_rows.start - corner[0] : low_rows.stop - corner[0]]
        wide = self._cols.enlarged(part.T, cols, corner[1]).T
        return self._rows.enlarged(wide, rows, low_rows.start)


@dataclass(frozen=True, eq=False)
class _Axis:
    """How logits become pixels along one axis.

    Attributes
    ----------
    weights : sparse array of shape (pixels, logits)
        What each pixel takes from each logit: from few of them. Its products take no threads, which
        after numpy's would spin for a while on the cores that the next prompt needs.
    first, last : ndarray of shape (pixels,)
        The first and the last logit that a pixel takes anything from; they never fall.
    """

    weights: csr_array
    first: NDArray[np.intp]
    last: NDArray[np.intp]

    @classmethod
    @lru_cache(maxsize=8)
    def of(cls, low_res: int, size: int, length: int, wanted: int) -> _Axis:
        """Enlarge `low_res` logits to `size`, cut these to `length`, resize to `wanted` pixels."""
        identity = torch.eye(low_res)[np.newaxis]
        padded = F.interpolate(identity, size, mode="linear", align_corners=False)
        resized = F.interpolate(padded[..., :length], wanted, mode="linear", align_corners=False)
        weights = resized[0].numpy().T
        is_used = weights != 0
        first = is_used.argmax(axis=1)
        last = low_res - 1 - is_used[:, ::-1].argmax(axis=1)
        return cls(csr_array(weights), first, last)

    @property
    def used(self) -> int:
        """How many logits show the image; the others are padding."""
        return int(self.last[-1]) + 1

    def support(self, places: NDArray[np.intp]) -> slice:
        """Pixels that depend on any of the logits at these places."""
        if not places.size:
            return slice(0, 0)
        start = int(np.searchsorted(self.last, places[0]))
        stop = int(np.searchsorted(self.first, places[-1], side="right"))
        return slice(start, max(start, stop))  # of a much smaller image, pixels pass over logits

    def needed(self, pixels: slice) -> slice:
        """All logits that these pixels need."""
        if pixels.start == pixels.stop:
            return slice(0, 0)
        return slice(int(self.first[pixels.start]), int(self.last[pixels.stop - 1]) + 1)

    def enlarged(
        self, logits: NDArray[np.float32], pixels: slice, start: int
    ) -> NDArray[np.float32]:
        """Enlarge logits (n, N), which begin at place `start`, along their first axis."""
        enlarged: NDArray[np.float32] = self.weights[pixels, start : start + len(logits)] @ logits
        return enlarged
