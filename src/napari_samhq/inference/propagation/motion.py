"""Local motion between two planes, by normalised cross-correlation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["local_shift"]

_LEAST_GAIN = 0.05  # of correlation; less is noise, and staying is the better guess
_FLAT = 1e-3  # a standard deviation in grey values below which there is nothing to follow
_MOST_PX = 96  # sides of what is compared; more is looked at coarsely


def local_shift(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    box: tuple[slice, slice],
    reach: int,
) -> tuple[int, int]:
    """Find by how much the content of a box moved from one plane to the next.

    Parameters
    ----------
    before, after : ndarray of shape (h, w), float32
        The same part of two planes.
    box : pair of slices
        Rows and columns of what is followed, in this part.
    reach : int
        How far it may have gone, in pixels.

    Returns
    -------
    tuple of two ints
        Rows and columns; 0 where nothing speaks clearly for more.

    Examples
    --------
    >>> before = np.random.default_rng(0).random((40, 40), dtype=np.float32)
    >>> after = np.roll(before, (2, -3), axis=(0, 1))
    >>> local_shift(before, after, (slice(12, 28), slice(12, 28)), 5)
    (2, -3)
    """
    from skimage.feature import match_template

    rows, cols = box
    step = max(1, -(-max(rows.stop - rows.start, cols.stop - cols.start) // _MOST_PX))
    around = tuple(
        slice(part.start - step * min(reach // step, part.start // step), part.stop + reach)
        for part in box
    )
    template = before[box][::step, ::step]
    area = after[around][::step, ::step]
    if min(template.shape) < 3 or template.std() < _FLAT or area.std() < _FLAT:
        return 0, 0
    quality = match_template(area, template)
    stay = tuple((part.start - wide.start) // step for part, wide in zip(box, around, strict=True))
    best = np.unravel_index(int(np.argmax(quality)), quality.shape)
    if quality[best] < quality[stay] + _LEAST_GAIN:
        return 0, 0
    return (int(best[0]) - stay[0]) * step, (int(best[1]) - stay[1]) * step
