"""Objects in files of any format: masks with a name and a class."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.labels.run_labels import RunLabels
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.masks.nesting import parents_among
from napari_samhq.errors import FileError, ImageError, SamHQWarning
from napari_samhq.io.planes import Position

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "FileObject",
    "box_xywh",
    "check_image_shape",
    "check_pixels",
    "labels_of",
    "leaves_of",
    "lies_beside",
    "numbered",
    "objects_of",
    "smallest_type",
    "warn_of_parents",
]


_PIECE_PX = 2048
# What people call what they do not want; QuPath itself writes a star after classes to be ignored.
_BESIDE = frozenset({"background", "negative", "ignore*", "ignore"})


@dataclass(frozen=True)
class FileObject:
    """An object as files hold it.

    Attributes
    ----------
    label_id : int
        Its value in a label image; 0 where the file does not say.
    mask : CroppedMask
        Its pixels.
    name : str
        What it is called.
    category : str
        Its class.
    score : float or None
        How sure somebody was of it.
    extra : dict
        What else the file says of it, as the format names it.
    position : Position
        In which plane of a stack it lies, if the file says it.
    """

    label_id: int
    mask: CroppedMask
    name: str = ""
    category: str = ""
    score: float | None = None
    extra: dict[str, Any] = field(default_factory=dict, compare=False)
    position: Position = field(default_factory=Position)


def objects_of(labels: Any) -> Iterator[FileObject]:
    """Take a label image apart, object by object, in the order of the label ids.

    Parameters
    ----------
    labels : array of shape (H, W), int
        0 where there is nothing. Numpy, or zarr and dask of any size: they are read in pieces, and
        memory holds no more than the largest object. Or RunLabels, which are not painted.

    Raises
    ------
    ImageError
        If it is no 2-D array of integers, or some are negative.

    Examples
    --------
    >>> [(one.label_id, one.mask.top) for one in objects_of([[0, 0], [7, 0]])]
    [(7, 1)]
    """
    if isinstance(labels, RunLabels):
        yield from (FileObject(label_id, mask) for label_id, mask in labels.objects())
        return
    ids = labels if hasattr(labels, "dtype") else np.asarray(labels)
    if ids.ndim != 2 or ids.dtype.kind not in "iu":
        raise ImageError(
            f"Labels are a 2-D array of integers; this one has shape {ids.shape} and type "
            f"{ids.dtype}."
        )
    for label_id, (top, left, bottom, right) in sorted(_boxes(ids).items()):
        mask = np.asarray(ids[top:bottom, left:right]) == label_id
        yield FileObject(label_id, CroppedMask.of(mask, (top, left)))


def _boxes(ids: Any) -> dict[int, tuple[int, int, int, int]]:
    """Find the first and last row and column of each object, going through the labels once."""
    from scipy import ndimage

    boxes: dict[int, tuple[int, int, int, int]] = {}
    for row in range(0, ids.shape[0], _PIECE_PX):
        for col in range(0, ids.shape[1], _PIECE_PX):
            piece = np.asarray(ids[row : row + _PIECE_PX, col : col + _PIECE_PX])
            if piece.dtype.kind == "i" and piece.size and piece.min() < 0:
                raise ImageError(
                    f"The labels have the value {piece.min()}; label ids are 0 or more. Set to 0 "
                    "what is no object."
                )
            present = np.unique(piece[piece > 0])
            if not present.size:
                continue
            # Label ids may be large and few; numbered without gaps they take no more than needed.
            numbers = np.searchsorted(present, np.where(piece > 0, piece, 0)) + (piece > 0)
            places = ndimage.find_objects(numbers)
            for label_id, (rows, cols) in zip(present.tolist(), places, strict=True):
                found = row + rows.start, col + cols.start, row + rows.stop, col + cols.stop
                known = boxes.get(label_id, found)
                low = (min(pair) for pair in zip(known[:2], found[:2], strict=True))
                high = (max(pair) for pair in zip(known[2:], found[2:], strict=True))
                top, left, bottom, right = *low, *high
                boxes[label_id] = top, left, bottom, right
    return boxes


def leaves_of(objects: Sequence[FileObject], where: str) -> list[FileObject]:
    """Leave out the objects that hold others, such as the tissue that cells were found in.

    Parameters
    ----------
    objects : sequence of FileObject
    where : str
        The file, for the warning.

    Returns
    -------
    list of FileObject
        Those without an object inside, in their order.

    Warns
    -----
    SamHQWarning
        If any was left out.

    Examples
    --------
    >>> cell = FileObject(5, CroppedMask.of(np.ones((1, 2), dtype=bool)))
    >>> [one.label_id for one in leaves_of([cell], "a.geojson")]
    [5]
    """
    parents = parents_among([one.mask for one in objects])
    if parents:
        warn_of_parents([objects[place].label_id for place in parents], where)
    left_out = set(parents)
    return [one for place, one in enumerate(objects) if place not in left_out]


def warn_of_parents(label_ids: Sequence[int], where: str) -> None:
    """Say that areas were left out because others lie inside of them."""
    listed = ", ".join(map(str, label_ids[:10])) + (", ..." if len(label_ids) > 10 else "")
    warnings.warn(
        f"{where}: {len(label_ids)} left out that have other areas inside, as the annotation of a "
        f"tissue has cells: object {listed}. The innermost areas count.",
        SamHQWarning,
        stacklevel=3,
    )


def labels_of(objects: Iterable[FileObject], shape: tuple[int, int] | None = None) -> NDArray[Any]:
    """Paint objects into a label image; where they overlap, the later one is on top.

    Parameters
    ----------
    objects : iterable of FileObject
        Those without a label id get the next free one.
    shape : tuple of two ints, optional
        Height and width of the image in pixels; as large as the objects need when left out.

    Returns
    -------
    ndarray of shape (H, W), int32; int64 where label ids need it

    Raises
    ------
    ImageError
        If they lie in several planes of a stack.

    Examples
    --------
    >>> one = FileObject(5, CroppedMask.of(np.ones((1, 2), dtype=bool)))
    >>> labels_of([one], (2, 2)).tolist()
    [[5, 5], [0, 0]]
    """
    listed = numbered(objects)
    if shape is None:
        ends = [(one.mask.top + one.mask.height, one.mask.left + one.mask.width) for one in listed]
        shape = (max(1, *(r for r, _ in ends), 1), max(1, *(c for _, c in ends), 1))
    highest = max((one.label_id for one in listed), default=0)
    labels: NDArray[Any] = np.zeros(shape, dtype=smallest_type(highest))
    for one in listed:
        rows, cols = one.mask.region
        start = max(rows.start, 0), max(cols.start, 0)
        part = labels[start[0] : max(rows.stop, 0), start[1] : max(cols.stop, 0)]
        if part.size:
            inside = one.mask.within((part.shape[0], part.shape[1]), start)
            part[inside] = one.label_id
    return labels


def numbered(objects: Iterable[FileObject]) -> list[FileObject]:
    """Give those without a label id the next free one, as :func:`labels_of` does.

    Raises
    ------
    ImageError
        If they lie in several planes of a stack.
    """
    listed = list(objects)
    planes = {(one.position.t, one.position.z, one.position.stack) for one in listed}
    if len(planes) > 1:
        raise ImageError(
            f"These objects lie in {len(planes)} planes of a stack, and one label image has place "
            "for those of one. Choose them by their position, or read them with plane=."
        )
    highest = max((one.label_id for one in listed), default=0)
    free = itertools.count(highest + 1)
    return [one if one.label_id > 0 else replace(one, label_id=next(free)) for one in listed]


def smallest_type(highest: int) -> type[np.signedinteger[Any]]:
    """Choose the type of a label image whose label ids go up to this: int32, or else int64."""
    return np.int32 if highest <= np.iinfo(np.int32).max else np.int64


def check_image_shape(
    noted: Sequence[int] | None, shape: tuple[int, int] | None, path: str | Path
) -> None:
    """Check that a file belongs to an image of this size.

    Parameters
    ----------
    noted : sequence of two ints, or None
        Height and width that the file states, if it does.
    shape : tuple of two ints, or None
        Height and width of the image, if they are known.
    path : str or Path
        The file, for messages.

    Raises
    ------
    FileError
        If they differ.

    Examples
    --------
    >>> check_image_shape([30, 40], (30, 40), "a.json")
    """
    if noted is None or shape is None or tuple(noted) == tuple(shape):
        return
    raise FileError(
        f"{path} belongs to an image of {noted[0]} x {noted[1]} pixels, and this one has "
        f"{shape[0]} x {shape[1]}. Take the file of this image, or the image at that resolution; "
        "if only the size in the file is wrong, correct it there."
    )


def check_pixels(mask: CroppedMask, shape: tuple[int, int] | None, where: str) -> CroppedMask:
    """Check that an object has pixels in the image.

    Parameters
    ----------
    mask : CroppedMask
    shape : tuple of two ints, or None
        Height and width of the image, if they are known; no image has negative coordinates.
    where : str
        Which object, for messages.

    Raises
    ------
    FileError
        If it has none.
    """
    bottom, right = mask.top + mask.height, mask.left + mask.width
    rows, cols = shape or (max(bottom, 1), max(right, 1))
    if not mask:
        in_it = "" if shape is None else f" in the image of {rows} x {cols} pixels"
        raise FileError(
            f"{where} covers the centre of no pixel{in_it}: it has no area, or lies outside."
        )
    if bottom <= 0 or right <= 0 or mask.top >= rows or mask.left >= cols:
        raise FileError(
            f"{where} lies outside of the image: rows {mask.top} to {bottom - 1}, columns "
            f"{mask.left} to {right - 1}. Coordinates are pixels from its upper left corner."
        )
    return mask


def box_xywh(mask: CroppedMask) -> list[float]:
    """Give the bounding box as x, y, width, height from the outer corner of the first pixel.

    Examples
    --------
    >>> box_xywh(CroppedMask.of(np.ones((2, 3), dtype=bool), (10, 20)))
    [20.0, 10.0, 3.0, 2.0]
    """
    return [float(mask.left), float(mask.top), float(mask.width), float(mask.height)]


def lies_beside(category: str) -> bool:
    """Tell whether a class is one of those that people give to what is no object.

    Examples
    --------
    >>> lies_beside("Background"), lies_beside("nucleus")
    (True, False)
    """
    return category.strip().lower() in _BESIDE
