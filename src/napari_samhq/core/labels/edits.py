"""Edits of labels as values: computed before anything is written, and reversible.

Only the pixels of the object and of its new mask are read, so that the size of the labels does not
matter. The labels may be any array of integers that is indexed like numpy's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.journal.events import LabelsEdit
from napari_samhq.core.masks.cleaning import check_area
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.settings import CommitRules

__all__ = [
    "Region",
    "check_value",
    "edit_to_clear",
    "edit_to_place",
    "pixels_with",
    "read_region",
    "reverse",
    "same_edits",
]

#: Rows and columns of a plane.
Region = tuple[slice, slice]


def check_value(value: int, dtype: Any) -> None:
    """Refuse a value that labels of a type cannot hold.

    Raises
    ------
    LayerError
        If it is too large.
    """
    type_ = np.dtype(dtype)
    if value > np.iinfo(type_).max:
        raise LayerError(
            f"Labels of type {type_} end at {np.iinfo(type_).max}, so object {value} does not fit. "
            "Convert the labels layer to int32 by a right click in the layer list, then choose the "
            "image again."
        )


def pixels_with(data: Any, plane: Plane, value: int, region: Region | None) -> CroppedMask:
    """Find the pixels of a plane that have a value, within a region that holds them all.

    Examples
    --------
    >>> from napari_samhq.core.geometry.planes import Plane
    >>> labels = np.zeros((9, 9), dtype=int)
    >>> labels[2:4, 5] = 7
    >>> pixels_with(labels, Plane((0, 1)), 7, (slice(0, 6), slice(0, 9))).region
    (slice(2, 4, None), slice(5, 6, None))
    """
    if region is None:
        return CroppedMask.of(np.zeros((0, 0), dtype=bool))
    start = (region[0].start, region[1].start)
    return CroppedMask.of(read_region(data, plane, region) == value, start)


def edit_to_place(
    data: Any,
    plane: Plane,
    mask: CroppedMask,
    value: int,
    *,
    rules: CommitRules,
    preserve_labels: bool,
    had: CroppedMask | None = None,
    had_value: int | None = None,
) -> LabelsEdit:
    """Work out how a mask is written into the labels.

    Parameters
    ----------
    data : array of integers
        The labels; nothing is written to them here.
    plane : Plane
        A plane of them.
    mask : CroppedMask
        The pixels that the object should have in the plane.
    value : int
        What to write.
    rules : CommitRules
        Who gets pixels that have another value, and how small an object may be.
    preserve_labels : bool
        Whether the layer wants other objects to keep their pixels.
    had : CroppedMask, optional
        Pixels that the object has now. Those that are not in the mask become background.
    had_value : int, optional
        What stands in these pixels, if that is not the value to write; others are left alone.

    Returns
    -------
    LabelsEdit
        What to write.

    Raises
    ------
    LayerError
        If the labels cannot hold the value, do not reach as far as the mask, or other objects own
        all of it.
    PromptError
        If fewer pixels are left than the smallest area.

    Examples
    --------
    >>> from napari_samhq.core.geometry.planes import Plane
    >>> from napari_samhq.settings import CommitRules
    >>> labels = np.array([[0, 0, 5, 5]])
    >>> edit = edit_to_place(
    ...     labels,
    ...     Plane((0, 1)),
    ...     CroppedMask.of([[False, True, True, False]]),
    ...     8,
    ...     rules=CommitRules(),
    ...     preserve_labels=True,
    ... )
    >>> edit.region, edit.old.tolist(), edit.new.tolist()
    ((slice(0, 1, None), slice(1, 2, None)), [0], [8])
    """
    check_value(value, data.dtype)
    if not mask:
        check_area(0, rules)
    region = _around(mask, had)
    present = read_region(data, plane, region)
    start, shape = (region[0].start, region[1].start), (present.shape[0], present.shape[1])
    wanted = mask.within(shape, start)
    own = np.zeros(shape, dtype=bool)
    if had:
        own = had.within(shape, start) & (present == (value if had_value is None else had_value))
    if not rules.overwrites(preserve_labels=preserve_labels):
        wanted &= (present == 0) | (present == value) | own
        if not wanted.any():
            raise LayerError(
                "Other objects own every pixel of this mask, so nothing is left for a new object. "
                "Let objects overwrite others, or reject this one."
            )
    check_area(int(np.count_nonzero(wanted)), rules)
    after = np.where(own & ~wanted, 0, present).astype(present.dtype)
    after[wanted] = value
    return _edit(plane, region, present, after)


def edit_to_clear(data: Any, plane: Plane, pixels: CroppedMask, value: int) -> LabelsEdit:
    """Work out how the pixels of an object become background, those that still have its value."""
    present = read_region(data, plane, pixels.region)
    return _edit(
        plane, pixels.region, present, np.where(pixels.array() & (present == value), 0, present)
    )


def reverse(edits: Sequence[LabelsEdit]) -> tuple[LabelsEdit, ...]:
    """Make the edits that take back others, in the order in which they have to happen."""
    return tuple(
        LabelsEdit(edit.plane, edit.region, edit.changed, edit.new, edit.old)
        for edit in reversed(edits)
    )


def same_edits(first: Sequence[LabelsEdit], second: Sequence[LabelsEdit]) -> bool:
    """Whether two rows of edits change the same pixels in the same way."""
    return len(first) == len(second) and all(
        one.plane == other.plane
        and one.region == other.region
        and all(
            np.array_equal(getattr(one, name), getattr(other, name))
            for name in ("changed", "old", "new")
        )
        for one, other in zip(first, second, strict=True)
    )


def read_region(data: Any, plane: Plane, region: Region) -> NDArray[Any]:
    """Read a region of a plane, shape (h, w).

    Raises
    ------
    LayerError
        If the labels have no such plane or region: they may have got another shape since.
    """
    size = tuple(data.shape[axis] for axis in plane.axes) if len(data.shape) == plane.ndim else ()
    inside = (
        len(size) == 2
        and all(
            0 <= place < data.shape[axis]
            for axis, place in zip(plane.other_axes, plane.position, strict=True)
        )
        and all(part.stop <= length for part, length in zip(region, size, strict=True))
    )
    if not inside:
        raise LayerError(
            f"The labels have the shape {tuple(data.shape)}, which ends before this object does. "
            "Somebody gave the labels layer other data; choose one that lies over the image."
        )
    return np.asarray(data[plane.index(region)])


def _around(mask: CroppedMask, had: CroppedMask | None) -> Region:
    """Smallest rows and columns around two masks."""
    both = [one.region for one in (mask, had) if one]
    rows, cols = (
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*both, strict=True)
    )
    return rows, cols


def _edit(plane: Plane, region: Region, present: NDArray[Any], after: NDArray[Any]) -> LabelsEdit:
    """Crop to what changes."""
    changed = CroppedMask.of(present != after, (region[0].start, region[1].start))
    rows, cols = (
        slice(part.start - whole.start, part.stop - whole.start)
        for part, whole in zip(changed.region, region, strict=True)
    )
    pixels = changed.array()
    return LabelsEdit(
        plane, changed.region, pixels, present[rows, cols][pixels], after[rows, cols][pixels]
    )
