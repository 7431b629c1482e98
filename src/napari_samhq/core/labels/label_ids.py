"""Validation of label ids: whole numbers from 0 on, one for each object."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import ImageError, SamHQWarning

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "LARGEST_LABEL_ID",
    "checked_ids",
    "in_pieces",
    "look_like_labels",
    "pieces_of",
    "whole_ids",
]

LARGEST_LABEL_ID = int(np.iinfo(np.int32).max)
"""The highest label id that results can have: label images are int32."""

_LARGEST_HERE = int(np.iinfo(np.int64).max)
_LEAST_SHARE = 0.1  # of the largest piece of an object; smaller ones are specks
_MANY = 5
_MOST_TOLD = 5
_LOOKED_AT = 2**25  # values
_LEAST_EQUAL = 0.93  # share of neighbours with the same value in a label image


def checked_ids(values: ArrayLike, where: str, *, connected: bool = False) -> NDArray[Any]:
    """Check that an array holds label ids, and say it if they are those of a mask.

    Parameters
    ----------
    values : array_like of shape (..., H, W)
        Whole numbers of any type, floats among them.
    where : str
        What they are, for messages: a file.
    connected : bool, optional
        Make an object of each connected piece; masks of 0 and 255, or of True and False, are made
        to labels so. Pieces that touch at a corner are one.

    Returns
    -------
    ndarray of shape (..., H, W), int32; int64 where label ids need it

    Raises
    ------
    ImageError
        If these are no label ids: negative, not whole, beyond 2^63, or True and False where
        `connected` is not set.

    Warns
    -----
    SamHQWarning
        If objects are in many pieces, as they are in a mask, and `connected` is not set.

    Examples
    --------
    >>> checked_ids([[0.0, 3.0], [0.0, 0.0]], "a.tif").tolist()
    [[0, 3], [0, 0]]
    >>> checked_ids([[255, 0, 255]], "mask.png", connected=True).tolist()
    [[1, 0, 2]]
    """
    ids = whole_ids(np.asarray(values), where, connected)
    if connected:
        return pieces_of(ids)
    _tell_of_pieces(ids, where)
    return ids


def pieces_of(ids: NDArray[Any]) -> NDArray[np.int32]:
    """Give each connected piece of equal ids a number, from 1 on.

    Examples
    --------
    >>> pieces_of(np.array([[7, 7, 0, 7], [9, 0, 0, 7]])).tolist()
    [[1, 1, 0, 2], [3, 0, 0, 2]]
    """
    from skimage.measure import label

    number: Any = label  # scikit-image ships no types for it
    found: NDArray[np.int32] = number(ids, background=0, connectivity=ids.ndim).astype(np.int32)
    return found


def in_pieces(ids: NDArray[Any]) -> dict[int, int]:
    """Count the pieces of the objects that have several; specks do not count.

    Examples
    --------
    >>> in_pieces(np.array([[7, 7, 0, 7, 7], [0, 9, 9, 0, 0]]))
    {7: 2}
    """
    pieces = pieces_of(ids)
    areas = np.bincount(pieces.ravel())
    id_of_piece = np.zeros(len(areas), dtype=ids.dtype)
    id_of_piece[pieces.ravel()] = ids.ravel()
    owners, owner = np.unique(id_of_piece[1:], return_inverse=True)
    largest = np.zeros(len(owners), dtype=np.int64)
    np.maximum.at(largest, owner, areas[1:])
    counts = np.bincount(owner[areas[1:] >= _LEAST_SHARE * largest[owner]], minlength=len(owners))
    pairs = zip(owners.tolist(), counts.tolist(), strict=True)
    return {label_id: count for label_id, count in pairs if count > 1}


def look_like_labels(values: NDArray[Any]) -> bool:
    """Tell whether an image is one of labels: whole numbers, the same all over each object.

    Examples
    --------
    >>> ids = np.kron([[0, 1, 0], [2, 0, 3]], np.ones((20, 20), int))
    >>> look_like_labels(ids), look_like_labels(np.arange(2400).reshape(40, 60) % 251)
    (True, False)
    """
    if values.ndim != 2 or values.dtype.kind not in "biu" or min(values.shape) < 2:
        return False
    present = np.unique(values)
    if len(present) < 2 or present[0] != 0:
        return False
    if equal_neighbours(values) < _LEAST_EQUAL:
        return False
    # Ids are given one after the other; the values of a picture without noise lie anywhere.
    return len(present) == 2 or int(present[-1]) < 4 * len(present)


def equal_neighbours(values: NDArray[Any]) -> float:
    """Share of neighbours (H, W) that are equal, along the axis where it is smaller.

    Examples
    --------
    >>> equal_neighbours(np.array([[1, 1], [1, 2]]))
    0.5
    """
    if min(values.shape) < 2:
        return 1.0
    along = (values[1:] == values[:-1], values[:, 1:] == values[:, :-1])
    return float(min(equal.mean() for equal in along))


def whole_ids(values: NDArray[Any], where: str, connected: bool = False) -> NDArray[Any]:
    """Turn whole numbers of any type into int32 or int64, as :func:`checked_ids` without words."""
    if values.dtype.kind == "b":
        if not connected:
            raise ImageError(
                f"{where} is a mask of True and False, which does not tell objects apart. "
                "--connected (connected=True) makes an object of each connected piece."
            )
        return values.astype(np.int32)
    if values.dtype.kind not in "iuf":
        raise ImageError(f"{where} holds {values.dtype}; needed are label ids, whole numbers.")
    if values.ndim < 2 or not values.size:
        raise ImageError(f"{where} has the shape {values.shape}; labels have rows and columns.")
    low, high = values.min(), values.max()
    if values.dtype.kind == "f" and not (np.isfinite([low, high]).all() and _all_whole(values)):
        raise ImageError(
            f"{where} holds numbers that are not whole ({values.dtype}), and so is a picture "
            "rather than labels: whole numbers, one for each object, 0 where there is none."
        )
    if low < 0:
        raise ImageError(
            f"{where} holds negative values, down to {low:g}; label ids are 0 or more. Set to 0 "
            "what is no object."
        )
    if int(high) > _LARGEST_HERE:
        raise ImageError(f"{where} holds {int(high)}; label ids go up to 2^63 - 1. Number anew.")
    return values.astype(np.int32 if int(high) <= LARGEST_LABEL_ID else np.int64)


def _all_whole(values: NDArray[Any]) -> bool:
    return bool((values == np.floor(values)).all())


def _tell_of_pieces(ids: NDArray[Any], where: str) -> None:
    """Say that objects are in many pieces, if it looks like a mask rather than like specks."""
    # Of large images a corner tells, in bounded time and memory.
    side = max(1, math.isqrt(_LOOKED_AT // max(1, math.prod(ids.shape[:-2]))))
    ids = ids[..., :side, :side]
    found = in_pieces(ids)
    count = len(np.unique(ids[ids > 0]))
    many = max(found.values(), default=0)
    if not found or not (count == 1 or many >= _MANY or len(found) > count / 2):
        return
    named = ", ".join(f"{one} in {found[one]}" for one in list(found)[:_MOST_TOLD])
    if count == 1:
        told = f"its only object ({next(iter(found))}) is in {many} pieces, as in a mask"
    else:
        told = f"{len(found)} of {count} objects are in several pieces (id {named})"
    warnings.warn(
        f"{where}: {told}. If each piece is an object, use --connected (connected=True).",
        SamHQWarning,
        stacklevel=4,
    )
