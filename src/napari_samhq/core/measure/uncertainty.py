"""Uncertainty of a mask, beside the model's own score: which objects to review first."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BAND_LOGITS", "Doubt", "uncertainty_of"]

BAND_LOGITS = 1.0
"""Logits nearer to the threshold than this are in doubt."""


@dataclass(frozen=True)
class Doubt:
    """What two looks at the model's answer say of a mask.

    Attributes
    ----------
    disagreement : float
        One minus the IoU of SAM's own mask with that of SAM and the HQ token together, for the
        same candidate and threshold: 0 where HQ changed nothing, 1 where nothing is left in
        common. It is the same whichever of them was chosen.
    uncertainty_px : float
        Boundary uncertainty: how wide, on the mean along the outline of the mask, the area is in
        which the logits lie within 1 of the threshold, in image pixels. The logits of another
        model, and those of another output, have another scale.

    Examples
    --------
    >>> Doubt(0.25, 1.5).enlarged(2)
    Doubt(disagreement=0.25, uncertainty_px=3.0)
    """

    disagreement: float
    uncertainty_px: float

    def enlarged(self, step: float) -> Doubt:
        """Say the same in pixels that are smaller by this factor."""
        return replace(self, uncertainty_px=self.uncertainty_px * step)


def uncertainty_of(logits: NDArray[np.float32], threshold: float, px: float) -> float:
    """Measure the boundary uncertainty of a mask, see :class:`Doubt`.

    Parameters
    ----------
    logits : ndarray of shape (h, w)
        Without padding.
    threshold : float
        Logits above it are object.
    px : float
        Image pixels along the side of one of these.

    Returns
    -------
    float
        Image pixels; 0 for a mask without an outline.

    Examples
    --------
    >>> ramp = np.repeat(np.linspace(-4, 4, 33, dtype=np.float32)[np.newaxis], 20, axis=0)
    >>> 13 < uncertainty_of(ramp, 0.0, 2.0) < 16  # 7 of these pixels
    True
    """
    length = _outline_length(logits > threshold)
    area = np.count_nonzero(np.abs(logits - threshold) < BAND_LOGITS)
    return float(area / length * px) if length else 0.0


def _outline_length(mask: NDArray[np.bool_]) -> float:
    """Estimate it from how often lines of four directions cross it (Cauchy and Crofton)."""
    straight = np.count_nonzero(mask[1:] != mask[:-1])
    straight += np.count_nonzero(mask[:, 1:] != mask[:, :-1])
    diagonal = np.count_nonzero(mask[1:, 1:] != mask[:-1, :-1])
    diagonal += np.count_nonzero(mask[1:, :-1] != mask[:-1, 1:])
    return math.pi / 8 * (straight + diagonal / math.sqrt(2))
