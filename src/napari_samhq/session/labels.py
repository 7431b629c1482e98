"""Writing masks into a Labels layer: everything is computed first, then written by one edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import LayerError
from napari_samhq.session.frames import check_placement, layer_shape, placement

if TYPE_CHECKING:
    from napari.layers import Image, Labels
    from numpy.typing import NDArray

    from napari_samhq.session.plane import Plane

__all__ = [
    "MADE_FOR",
    "LabelIds",
    "LabelsEdit",
    "area_of",
    "check_labels",
    "edit_to_commit",
    "edit_to_delete",
    "new_labels",
    "write",
]


#: In the metadata of a labels layer that was made here: the `unique_id` of its image.
MADE_FOR = "napari_samhq_image"


@dataclass(frozen=True, eq=False)
class LabelsEdit:
    """A change of some pixels in one plane of a labels layer, no larger than the object.

    Attributes
    ----------
    plane : Plane
        The plane of the layer's data.
    region : pair of slices
        Rows and columns of the plane, around all that changes.
    changed : ndarray of shape (h, w), bool
        Which pixels of the region change.
    old, new : ndarray of shape (N,)
        The values of these pixels, in order, before and after.
    """

    plane: Plane
    region: tuple[slice, slice]
    changed: NDArray[np.bool_]
    old: NDArray[Any]
    new: NDArray[Any]


def new_labels(image: Image) -> Labels:
    """Make an empty labels layer that lies exactly over an image.

    Notes
    -----
    It is made with `preserve_labels` on: a new object takes no pixels from the objects that are
    there already. The switch is in napari's controls of the layer, and it is obeyed here too.

    Examples
    --------
    >>> from napari.layers import Image
    >>> new_labels(Image(np.zeros((40, 60)), scale=(0.5, 0.5), name="cells")).name
    'cells objects'
    """
    from napari.layers import Labels

    labels = Labels(
        np.zeros(layer_shape(image), dtype=np.int32),
        name=f"{image.name} objects",
        metadata={MADE_FOR: image.unique_id},
        **placement(image),
    )
    labels.preserve_labels = True
    return labels


def check_labels(labels: Labels, image: Image) -> None:
    """Refuse a labels layer that cannot take the objects of an image.

    Raises
    ------
    LayerError
        If it is multiscale, cannot be written to, or does not lie over the image.
    """
    if getattr(labels, "multiscale", False):
        raise LayerError(
            f"The labels layer {labels.name!r} is multiscale, which napari cannot edit. Choose "
            "another one, or none, to get a new one."
        )
    if np.dtype(labels.data.dtype).kind not in "iu" or not hasattr(labels.data, "__setitem__"):
        raise LayerError(
            f"The labels layer {labels.name!r} holds {type(labels.data).__name__} of "
            f"{labels.data.dtype}, which cannot be written to. Choose a layer of integers in a "
            "numpy or zarr array, or none, to get a new one."
        )
    check_placement(image, labels)


class LabelIds:
    """Gives out label ids above all that a labels layer has, or that were given before.

    Parameters
    ----------
    labels : napari.layers.Labels
        The layer. It is looked through once; after that only what is painted is looked at.
    """

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._highest: int | None = None
        self._given = 0
        labels.events.data.connect(self._data_replaced)
        labels.events.paint.connect(self._painted)

    def next(self) -> int:
        """Tell the label id that the next new object gets."""
        if self._highest is None:
            data = self._labels.data
            self._highest = int(np.max(data)) if np.prod(data.shape) else 0
        return max(self._highest, self._given, 0) + 1

    def give(self, plane: Plane) -> int:
        """Take the next label id for an object in a plane; it will not be given again."""
        if (np.asarray(self._labels.data[plane.index()]) == self.next()).any():
            self._highest = None  # written to behind napari's back: look again
        self._given = self.next()
        return self._given

    def close(self) -> None:
        """Leave the layer alone from now on."""
        self._labels.events.data.disconnect(self._data_replaced)
        self._labels.events.paint.disconnect(self._painted)

    def _data_replaced(self, _event: Any) -> None:
        self._highest = None

    def _painted(self, event: Any) -> None:
        for atom in event.value:
            # napari records (indices, old, new), or something with names where it used a brush.
            new = getattr(atom, "new_value", atom[2])
            if self._highest is not None:
                self._highest = max(self._highest, int(np.max(new, initial=0)))


def edit_to_commit(
    labels: Labels,
    plane: Plane,
    mask: NDArray[np.bool_],
    region: tuple[slice, slice],
    label_id: int,
) -> LabelsEdit:
    """Work out how a mask becomes the object of a label id.

    Parameters
    ----------
    labels : napari.layers.Labels
        The layer; nothing is written to it here. Its `preserve_labels` decides who owns pixels
        that another object has already.
    plane : Plane
        The plane of the layer's data.
    mask : ndarray of shape (h, w), bool
        The object.
    region : pair of slices
        Rows and columns of the plane that the mask covers.
    label_id : int
        The value to write. Pixels that have it now, and are not in the mask, become background.

    Returns
    -------
    LabelsEdit
        What to write.

    Raises
    ------
    LayerError
        If the layer's type cannot hold the label id, or other objects own all of the mask.
    """
    dtype = np.dtype(labels.data.dtype)
    if label_id > np.iinfo(dtype).max:
        raise LayerError(
            f"The labels layer {labels.name!r} holds {dtype}, which ends at "
            f"{np.iinfo(dtype).max}; object {label_id} does not fit. Convert it to int32 by "
            "a right click in the layer list, then choose the image again."
        )
    present = np.asarray(labels.data[plane.index()])
    own = present == label_id
    box = _box_of(own, mask, region)
    present, own = present[box], own[box]
    wanted_mask = np.zeros(present.shape, dtype=bool)
    rows, cols = (
        slice(part.start - low.start, part.stop - low.start)
        for part, low in zip(_bounds(mask, region), box, strict=True)
    )
    wanted_mask[rows, cols] = _cropped(mask)
    if labels.preserve_labels:
        wanted_mask &= (present == 0) | own
    if not wanted_mask.any():
        raise LayerError(
            "Other objects own every pixel of this mask, and 'preserve labels' is on, so nothing "
            "is left for a new object. Switch it off in the controls of the labels layer, or "
            "reject this object."
        )
    wanted = np.where(own, 0, present)
    wanted[wanted_mask] = label_id
    return _edit(plane, box, present, wanted.astype(dtype))


def edit_to_delete(labels: Labels, plane: Plane, label_id: int) -> LabelsEdit:
    """Work out how an object is taken out of a plane.

    Raises
    ------
    LayerError
        If no pixel of the plane has that label id.
    """
    present = np.asarray(labels.data[plane.index()])
    own = present == label_id
    if not own.any():
        raise LayerError(
            f"The labels layer {labels.name!r} has no object {label_id} in this plane. "
            "See session.objects for those that are there."
        )
    box = _bounds(own, (slice(0, own.shape[0]), slice(0, own.shape[1])))
    return _edit(plane, box, present[box], np.where(own[box], 0, present[box]))


def write(labels: Labels, edit: LabelsEdit, *, back: bool = False) -> None:
    """Write an edit, or take it back, by one step that napari's own undo knows too.

    Parameters
    ----------
    labels : napari.layers.Labels
        The layer.
    edit : LabelsEdit
        What to change.
    back : bool, optional
        Take it back instead. Pixels that were changed since, by hand for example, stay as they are.
    """
    before, after = (edit.new, edit.old) if back else (edit.old, edit.new)
    rows, cols = np.nonzero(edit.changed)
    rows, cols = rows + edit.region[0].start, cols + edit.region[1].start
    coordinates: list[NDArray[Any]] = [rows] * edit.plane.ndim
    for axis, place in zip(edit.plane.other_axes, edit.plane.position, strict=True):
        coordinates[axis] = np.full_like(rows, place)
    coordinates[edit.plane.axes[0]], coordinates[edit.plane.axes[1]] = rows, cols
    present = np.asarray(labels.data[edit.plane.index(edit.region)])[edit.changed]
    untouched = present == before
    if untouched.any():
        indices = tuple(axis[untouched] for axis in coordinates)
        labels.data_setitem(indices, after[untouched])


def area_of(labels: Labels, plane: Plane, label_ids: list[int]) -> dict[int, int]:
    """Count the pixels that objects have in a plane now, hand edits included."""
    present = np.asarray(labels.data[plane.index()])
    found, counts = np.unique(present[np.isin(present, label_ids)], return_counts=True)
    areas = dict(zip(found.tolist(), counts.tolist(), strict=True))
    return {label_id: areas.get(label_id, 0) for label_id in label_ids}


def _edit(
    plane: Plane, box: tuple[slice, slice], present: NDArray[Any], wanted: NDArray[Any]
) -> LabelsEdit:
    changed = present != wanted
    return LabelsEdit(plane, box, changed, present[changed].copy(), wanted[changed])


def _bounds(mask: NDArray[np.bool_], region: tuple[slice, slice]) -> tuple[slice, slice]:
    """Rows and columns of the plane that the pixels of a mask take."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = region[0].start or 0, region[1].start or 0
    if not len(rows):
        return slice(top, top), slice(left, left)
    return (
        slice(top + int(rows[0]), top + int(rows[-1]) + 1),
        slice(left + int(cols[0]), left + int(cols[-1]) + 1),
    )


def _cropped(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return mask[_bounds(mask, (slice(0, None), slice(0, None)))]


def _box_of(
    own: NDArray[np.bool_], mask: NDArray[np.bool_], region: tuple[slice, slice]
) -> tuple[slice, slice]:
    """Smallest rows and columns around the object's present pixels and its new mask."""
    new = _bounds(mask, region)
    if not own.any():
        return new
    old = _bounds(own, (slice(0, None), slice(0, None)))
    if new[0].start == new[0].stop:
        return old
    first, second = (
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(new, old, strict=True)
    )
    return first, second
