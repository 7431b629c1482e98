"""Counts of objects found without prompts, in partly annotated images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.measure.metrics import iou_matrix, match

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Tally", "tally"]

_LEAST_KNOWN = 0.5  # of an object's pixels, for it to count as one too many


@dataclass(frozen=True)
class Tally:
    """Objects that were found, missed and found in excess; add tallies to count several images.

    Attributes
    ----------
    found, missed : int
        True objects with and without a partner, which has an IoU above 0.5.
    extra : int
        Objects without a partner at places that are known.
    overlap : float
        Sum, over all true objects, of the IoU with what covers them best.

    Examples
    --------
    >>> both = Tally(1, 0, 1, 0.9) + Tally(1, 1, 0, 0.8)
    >>> both.ap, round(both.iou, 2)
    (0.5, 0.57)
    """

    found: int = 0
    missed: int = 0
    extra: int = 0
    overlap: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.found + other.found,
            self.missed + other.missed,
            self.extra + other.extra,
            self.overlap + other.overlap,
        )

    @property
    def ap(self) -> float:
        """Average precision at an IoU of 0.5: found / (found + missed + extra)."""
        return self.found / max(1, self.found + self.missed + self.extra)

    @property
    def iou(self) -> float:
        """Mean IoU of the true objects with what covers them best."""
        return self.overlap / max(1, self.found + self.missed)

    @property
    def score(self) -> float:
        """By which ways to find are compared: the mean of both."""
        return (self.ap + self.iou) / 2


def tally(
    truth: NDArray[np.integer], found: NDArray[np.integer], known: NDArray[np.bool_]
) -> Tally:
    """Count what was found of the true objects.

    Parameters
    ----------
    truth, found : ndarray of shape (H, W), int
        Label images.
    known : ndarray of shape (H, W), bool
        Where `truth` tells all. What was found elsewhere counts neither way.

    Examples
    --------
    >>> truth = np.array([[1, 1, 0, 0, 0, 0]])
    >>> found = np.array([[5, 5, 0, 6, 0, 7]])
    >>> tally(truth, found, np.array([[True, True, True, True, True, False]]))
    Tally(found=1, missed=0, extra=1, overlap=1.0)
    """
    pairs = match(truth, found)
    ious, _, _ = iou_matrix(truth, found)
    areas = np.bincount(found.ravel())
    told = np.bincount(found.ravel(), known.ravel(), minlength=len(areas))
    extra = pairs.extra[told[pairs.extra] > _LEAST_KNOWN * areas[pairs.extra]]
    best = ious.max(axis=1).sum() if ious.size else 0.0
    return Tally(len(pairs.pairs), len(pairs.missed), len(extra), float(best))
