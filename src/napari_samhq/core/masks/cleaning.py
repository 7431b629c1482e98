"""Cleaning of masks: one piece, no holes, a minimal area."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_samhq.settings import CommitRules

__all__ = ["check_area", "clean_mask", "largest_piece", "without_holes"]


def clean_mask(
    mask: CroppedMask, rules: CommitRules, points_rc: Iterable[tuple[float, float]] = ()
) -> CroppedMask:
    """Clean a mask by the rules for committing: first its largest piece, then its holes.

    Parameters
    ----------
    mask : CroppedMask
        The mask in its plane.
    rules : CommitRules
        What is wanted.
    points_rc : iterable of pairs of floats, optional
        Positive points (row, column) in pixels of the plane. A piece with one of them on it goes
        before larger ones without.

    Returns
    -------
    CroppedMask
        The cleaned mask in the same plane.

    Raises
    ------
    PromptError
        If the mask is empty, or fewer pixels are left than the smallest area.

    Examples
    --------
    >>> from napari_samhq.settings import CommitRules
    >>> mask = np.ones((5, 5), dtype=bool)
    >>> mask[2, 2] = False
    >>> bool(clean_mask(CroppedMask.of(mask), CommitRules(fill_holes=True)).array().all())
    True
    """
    if not mask:
        raise PromptError(
            "The mask is empty, so there is no object to accept. Move the points, or draw a box "
            "around the object."
        )
    pixels = mask.array()
    if rules.keep_largest:
        inside = [(row - mask.top, col - mask.left) for row, col in points_rc]
        pixels = largest_piece(pixels, inside)
    if rules.fill_holes:
        pixels = without_holes(pixels)
    check_area(int(np.count_nonzero(pixels)), rules)
    return CroppedMask.of(pixels, (mask.top, mask.left))


def check_area(area_px: int, rules: CommitRules) -> None:
    """Refuse an object of fewer pixels than the rules ask for.

    Raises
    ------
    PromptError
        If it is too small.
    """
    if area_px < rules.smallest_area:
        raise PromptError(
            f"The object would have {area_px} pixels, fewer than the smallest area of "
            f"{rules.smallest_area}. Lower the smallest area, or add points where the object goes "
            "on."
        )


def largest_piece(
    mask: NDArray[np.bool_], points_rc: Iterable[tuple[float, float]] = ()
) -> NDArray[np.bool_]:
    """Keep one piece of a mask; pixels that touch at a corner belong together.

    Parameters
    ----------
    mask : ndarray of shape (H, W), bool
        A mask.
    points_rc : iterable of pairs of floats, optional
        Points (row, column) of the mask in pixels. If some lie on it, only pieces with such a
        point are candidates.

    Returns
    -------
    ndarray of shape (H, W), bool
        The largest of the candidates; of several that are equally large the topmost.
    """
    from scipy import ndimage

    pieces, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count < 2:
        return mask
    areas = np.bincount(pieces.reshape(-1), minlength=count + 1)
    areas[0] = 0
    pointed = np.zeros_like(areas, dtype=bool)
    for point in points_rc:
        row, col = (int(np.rint(value)) for value in point)
        if 0 <= row < mask.shape[0] and 0 <= col < mask.shape[1]:
            pointed[pieces[row, col]] = True
    if pointed[1:].any():
        areas[~pointed] = 0
    kept: NDArray[np.bool_] = pieces == int(np.argmax(areas))
    return kept


def without_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill what a mask encloses; a gap that is closed by corners only counts as closed.

    Parameters
    ----------
    mask : ndarray of shape (H, W), bool
        A mask. Background at its border is never a hole.
    """
    from scipy import ndimage

    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(mask)
    return filled
