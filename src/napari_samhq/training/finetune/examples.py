"""Examples: labelled images, checked, and split into training and held-out parts.

Everything that can be wrong with them is said here, before a model is loaded.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_samhq.core.images.rgb8 import rgb8_and_limits
from napari_samhq.errors import SamHQError, SamHQWarning, TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Example", "Item", "checked_examples", "data_hash", "split"]


@dataclass(frozen=True, eq=False)
class Example:
    """An image with labels, ready to be learned from.

    Attributes
    ----------
    rgb8 : ndarray of shape (H, W, 3), uint8
        The image as the model sees it.
    labels : ndarray of shape (H, W), int32
        0 background, otherwise the label id of the object.
    name : str
        For people.
    complete : ndarray of shape (H, W), bool
        Where all objects are labelled: what has no label there is background. Elsewhere nobody
        knows.
    """

    rgb8: NDArray[np.uint8]
    labels: NDArray[np.int32]
    name: str
    complete: NDArray[np.bool_]


@dataclass(frozen=True)
class Item:
    """One object of an example.

    Attributes
    ----------
    example : int
        Place in the list of examples.
    label : int
        Its label id.
    box_rc : tuple of four ints
        First row and column, last row and column.
    """

    example: int
    label: int
    box_rc: tuple[int, int, int, int]


def checked_examples(
    images: Any,
    labels: Any,
    smallest_px: int,
    names: Sequence[str] | None = None,
    complete: Any = False,
) -> tuple[list[Example], list[Item]]:
    """Check images and labels, and list their objects.

    Parameters
    ----------
    images : array_like of shape (H, W) or (H, W, C), or sequence of these
        Of any real type, all values finite.
    labels : array_like of shape (H, W), int, or sequence of these
        As many as images.
    smallest_px : int
        Smaller objects are left out.
    names : sequence of str, optional
        What to call the images in messages.
    complete : bool, array_like of shape (H, W), bool, or sequence of these
        Where all objects are labelled: everywhere, nowhere, or a mask; for all images, or for each.

    Returns
    -------
    examples : list of Example
        Images that have objects, or places that are known to have none.
    items : list of Item
        Their objects.

    Raises
    ------
    TrainingError
        If images, labels and `complete` do not belong together, labels are no labels, an image
        holds NaN or cannot be used, or there are fewer than two objects.

    Warns
    -----
    SamHQWarning
        If images without objects or objects that are too small were left out.

    Examples
    --------
    >>> labels = np.kron([[1, 0], [0, 2]], np.ones((8, 8), int))
    >>> _, items = checked_examples(labels * 100, labels, smallest_px=16)
    >>> items[1]
    Item(example=0, label=2, box_rc=(8, 8, 15, 15))
    """
    pictures, drawn = _as_list(images, "images"), _as_list(labels, "labels")
    if len(pictures) != len(drawn):
        raise TrainingError(
            f"There are {len(pictures)} images and {len(drawn)} label images; needed is one label "
            "image for each image, in the same order."
        )
    if not pictures:
        raise TrainingError("There are no images. Give at least one, with its label image.")
    names = names or [f"image {index + 1}" for index in range(len(pictures))]
    masks = _one_for_each(complete, len(pictures))
    examples: list[Example] = []
    items: list[Item] = []
    empty: list[str] = []
    small = 0
    for picture, drawing, mask, name in zip(pictures, drawn, masks, names, strict=True):
        ids = _checked_labels(drawing, name)
        _check_shapes(picture, ids, name)
        done = _checked_complete(mask, ids.shape, name)
        found, left_out = _items(ids, len(examples), smallest_px)
        small += left_out
        if not found and not done.any():
            empty.append(name)
            continue
        examples.append(Example(_rgb8(picture, name), ids, name, done))
        items += found
    _tell_of_left_out(empty, small, smallest_px)
    if len(items) < 2:
        raise TrainingError(
            f"There {'is one object' if items else 'are no objects'} of at least {smallest_px} "
            f"pixels in {len(pictures)} label image{'s' if len(pictures) > 1 else ''}; needed are "
            "two at least, one to learn from and one to measure with. Twenty are a good start."
        )
    return examples, items


def split(items: Sequence[Item], share: float, seed: int) -> tuple[list[Item], list[Item]]:
    """Divide objects into those to learn from and those to measure with.

    Whole images are held out, so that what is measured was never seen; where there is one image
    only, objects of it.

    Parameters
    ----------
    items : sequence of at least two Item
    share : float
        Of images or objects to hold out; at least one is, and one is not.
    seed : int
        Which.

    Returns
    -------
    learned, held_out : list of Item

    Examples
    --------
    >>> items = [Item(image, 1, (0, 0, 9, 9)) for image in range(4)]
    >>> [len(part) for part in split(items, 0.25, seed=0)]
    [3, 1]
    """
    examples = sorted({item.example for item in items})
    by_image = len(examples) > 1
    groups: list[Any] = list(examples) if by_image else list(range(len(items)))
    count = min(max(1, round(share * len(groups))), len(groups) - 1)
    order = np.random.default_rng(seed).permutation(len(groups))
    chosen = {groups[index] for index in order[:count]}
    keys = [item.example for item in items] if by_image else groups
    learned = [item for item, key in zip(items, keys, strict=True) if key not in chosen]
    return learned, [item for item, key in zip(items, keys, strict=True) if key in chosen]


def data_hash(examples: Sequence[Example]) -> str:
    """Return a SHA-256 of all images and labels, as they are learned from."""
    total = hashlib.sha256()
    for example in examples:
        arrays: list[NDArray[Any]] = [example.rgb8, example.labels]
        if example.complete.any():
            arrays.append(example.complete)
        for array in arrays:
            total.update(f"{array.shape}{array.dtype}".encode())
            total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def _as_list(values: Any, what: str) -> list[Any]:
    """Take one array for a list of one."""
    if isinstance(values, list | tuple) and (not values or np.ndim(values[0]) >= 2):
        return list(values)
    if np.ndim(values) in (2, 3) and what == "images":
        return [values]
    if np.ndim(values) == 2:
        return [values]
    raise TrainingError(
        f"The {what} are {type(values).__name__} of shape {np.shape(values)}; needed is one array "
        "or a list of arrays, each of shape (H, W)"
        + (", or (H, W, C) in colour." if what == "images" else ".")
    )


def _checked_labels(drawing: Any, name: str) -> NDArray[np.int32]:
    ids = np.asarray(drawing)
    if ids.ndim != 2:
        raise TrainingError(
            f"The labels of {name} have the shape {ids.shape}; needed is (H, W), a number for each "
            "object. Give the planes of a stack as single images."
        )
    if ids.dtype.kind == "b":
        raise TrainingError(
            f"The labels of {name} are True and False, which does not tell objects apart. Number "
            "them first, as skimage.measure.label does."
        )
    if ids.dtype.kind not in "iu":
        raise TrainingError(
            f"The labels of {name} are of the type {ids.dtype}; needed are whole numbers. If they "
            "are label ids, convert them by labels.astype('int32')."
        )
    if ids.size and (ids.min() < 0 or ids.max() > np.iinfo(np.int32).max):
        raise TrainingError(
            f"The labels of {name} go from {ids.min()} to {ids.max()}; needed are 0 for "
            "background, and label ids above it of at most 31 bits."
        )
    return ids.astype(np.int32)


def _one_for_each(complete: Any, count: int) -> list[Any]:
    """Take one answer for that of all images, and one mask for a list of one."""
    if isinstance(complete, bool | np.bool_):
        return [complete] * count
    given = list(complete) if isinstance(complete, list | tuple) else [complete]
    if len(given) != count:
        raise TrainingError(
            f"'complete' tells of {len(given)} images, and there are {count}. Give True or False "
            "for all of them, or one for each: True, False, or a mask of where all objects are "
            "labelled."
        )
    return given


def _checked_complete(mask: Any, shape: tuple[int, ...], name: str) -> NDArray[np.bool_]:
    """Make a mask of an answer for one image."""
    if isinstance(mask, bool | np.bool_):
        return np.full(shape, bool(mask))
    array = np.asarray(mask)
    if array.shape != shape or array.dtype.kind not in "biu":
        raise TrainingError(
            f"The mask that tells where {name} is complete is of the type {array.dtype} and has "
            f"the shape {array.shape}; needed is True and False, or whole numbers, of the shape "
            f"{shape} of its labels."
        )
    return np.asarray(array != 0)


def _check_shapes(picture: Any, ids: NDArray[np.int32], name: str) -> None:
    shape = np.shape(picture)
    if shape[:2] != ids.shape:
        raise TrainingError(
            f"{name[:1].upper()}{name[1:]} has the shape {shape} and its labels {ids.shape}; rows "
            "and columns must be the same. Check that the two belong together."
        )
    values = np.asarray(picture)
    if values.dtype.kind in "fc" and not np.isfinite(values).all():
        bad = int(np.count_nonzero(~np.isfinite(values)))
        raise TrainingError(
            f"{name[:1].upper()}{name[1:]} holds {bad} values that are NaN or infinite. Replace "
            "them, or cut the image to where it is right."
        )


def _rgb8(picture: Any, name: str) -> NDArray[np.uint8]:
    try:
        return rgb8_and_limits(picture)[0]
    except SamHQError as error:
        raise TrainingError(f"{name[:1].upper()}{name[1:]} cannot be used. {error}") from error


def _items(ids: NDArray[np.int32], example: int, smallest_px: int) -> tuple[list[Item], int]:
    """List the objects of a label image; also tell how many are too small."""
    labels, places = np.unique(ids, return_inverse=True)
    compact = places.reshape(ids.shape).astype(np.int32)
    if labels[0] != 0:  # no background at all
        compact += 1
        labels = np.concatenate([[0], labels])
    areas = np.bincount(compact.ravel(), minlength=len(labels))
    items, small = [], 0
    for index, where in enumerate(ndimage.find_objects(compact), start=1):
        if where is None:
            continue
        if areas[index] < smallest_px:
            small += 1
            continue
        rows, cols = where
        box = (rows.start, cols.start, rows.stop - 1, cols.stop - 1)
        items.append(Item(example, int(labels[index]), box))
    return items, small


def _tell_of_left_out(empty: list[str], small: int, smallest_px: int) -> None:
    if empty:
        shown = ", ".join(empty[:3]) + (", …" if len(empty) > 3 else "")
        warnings.warn(
            f"{len(empty)} images have no object to learn from and were left out: {shown}.",
            SamHQWarning,
            stacklevel=4,
        )
    if small:
        warnings.warn(
            f"{small} objects of fewer than {smallest_px} pixels were left out.",
            SamHQWarning,
            stacklevel=4,
        )
