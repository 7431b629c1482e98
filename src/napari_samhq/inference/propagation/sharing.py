"""Give each pixel of a plane to one object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_samhq.core.masks.cropped import CroppedMask
    from napari_samhq.inference.propagation.steps import Guess

__all__ = ["shared"]


def shared(
    guesses: Sequence[Guess], shape: tuple[int, int], taken: Iterable[CroppedMask] = ()
) -> list[tuple[NDArray[np.bool_], float]]:
    """Let objects of a plane compete: a pixel belongs to the one in which it lies deepest.

    Parameters
    ----------
    guesses : sequence of Guess
        Of equal ones the earlier gets the pixel.
    shape : tuple of two ints
        Of the plane.
    taken : iterable of CroppedMask
        Outlines that stay as they are.

    Returns
    -------
    list of (ndarray of shape (h, w), float)
        The pixels of each object in its window, and the share of its guess that others got.
    """
    owner = np.full(shape, -1, dtype=np.int32)
    deepest = np.zeros(shape, dtype=np.float32)
    for mask in taken:
        deepest[mask.region][mask.array()] = np.inf
    for number, guess in enumerate(guesses):
        wins = guess.distance > deepest[guess.window]
        deepest[guess.window][wins] = guess.distance[wins]
        owner[guess.window][wins] = number
    results = []
    for number, guess in enumerate(guesses):
        mask = owner[guess.window] == number
        wanted = np.count_nonzero(guess.mask)
        lost = 1 - np.count_nonzero(mask) / wanted if wanted else 0.0
        results.append((mask, lost))
    return results
