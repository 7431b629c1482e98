"""Appearance of an object against its surroundings, and the evidence it gives in the next plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Appearance"]

_RING = 0.35  # width of what counts as surroundings, as a share of the object's depth
_FEWEST = 5  # pixels, below which nothing is said
_LARGEST = 2.0  # of the log likelihood ratio: no pixel speaks louder


@dataclass(frozen=True)
class Appearance:
    """Mean grey values inside of an object and in a ring around it, and how far they scatter.

    Attributes
    ----------
    inside, around, scatter : float
        In grey values of the picture.
    """

    inside: float
    around: float
    scatter: float

    @classmethod
    def of(
        cls,
        grey: NDArray[np.float32],
        distance: NDArray[np.float32],
        depth: float,
        free: NDArray[np.bool_] | None = None,
    ) -> Appearance | None:
        """Measure it; None where there are too few pixels.

        Parameters
        ----------
        grey : ndarray of shape (h, w), float32
        distance : ndarray of shape (h, w), float32
            Signed distance to the border.
        depth : float
            The largest distance inside of the object when it was outlined.
        free : ndarray of shape (h, w), bool, optional
            Pixels that other objects do not have: of the surroundings the others do not count.
        """
        width = max(2.0, depth * _RING)
        ring = (distance < -1) & (distance > -width - 1)
        if free is not None and np.count_nonzero(ring & free) >= _FEWEST:
            ring &= free
        object_px, ring_px = grey[distance > 0], grey[ring]
        if object_px.size < _FEWEST or ring_px.size < _FEWEST:
            return None
        scatter = float(np.sqrt((object_px.var() + ring_px.var()) / 2)) + 1.0
        return cls(float(object_px.mean()), float(ring_px.mean()), scatter)

    @property
    def contrast(self) -> float:
        """Difference of the means in units of the scatter; positive for bright objects."""
        return (self.inside - self.around) / self.scatter

    def likelihood(self, grey: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log likelihood ratio of pixels to be inside, between -1 and 1."""
        middle = (self.inside + self.around) / 2
        ratio = self.contrast / self.scatter * (grey - middle)
        result: NDArray[np.float32] = np.clip(ratio, -_LARGEST, _LARGEST) / _LARGEST
        return result

    def reliability(
        self, grey: NDArray[np.float32], distance: NDArray[np.float32], width: float
    ) -> float:
        """How well grey values tell inside from outside near a border that is known.

        Parameters
        ----------
        grey, distance : ndarray of shape (h, w), float32
            As in :meth:`of`.
        width : float
            Pixels as near to the border as this are judged.

        Returns
        -------
        float
            1 where all of them are told right, 0 where a coin would do as well.
        """
        says = self.likelihood(grey) > 0
        inside, outside = (distance > 0) & (distance < width), (distance < 0) & (distance > -width)
        if not inside.any() or not outside.any():
            return 0.0
        right = float(says[inside].mean()) + float((~says[outside]).mean())
        return max(0.0, right - 1)

    def remaining(self, seed: Appearance) -> float:
        """How much of the contrast of another plane is left: 1 all, 0 none, below 0 reversed."""
        if seed.contrast == 0:
            return 1.0
        return self.contrast / seed.contrast
