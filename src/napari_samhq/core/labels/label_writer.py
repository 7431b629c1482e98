"""Edits that put objects into labels and take them out: one copy for sessions and for replays.

A replay gives the same bits as the session because both work out their edits here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_samhq.core.labels.edits import edit_to_clear, edit_to_place, pixels_with, read_region
from napari_samhq.core.masks.cleaning import clean_mask
from napari_samhq.core.masks.cropped import CroppedMask

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.events import LabelsEdit, ObjectRecord
    from napari_samhq.core.journal.shapes_drawn import Drawn
    from napari_samhq.core.labels.label_index import Census
    from napari_samhq.settings import CommitRules

__all__ = ["LabelWriter", "object_mask"]


def object_mask(mask: CroppedMask, rules: CommitRules, drawn: Drawn) -> CroppedMask:
    """Clean a chosen mask as the rules say; its positive points tell which piece is meant."""
    return clean_mask(mask, rules, [(p.row, p.col) for p in drawn.points if p.positive])


class LabelWriter:
    """Works out edits of labels; writes nothing.

    Parameters
    ----------
    data : array of integers
        The labels, indexed like a numpy array.
    census : Census
        Where each label id is in them.
    records : iterable of ObjectRecord
        What made the objects that are there, for those that share their value with others.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_samhq.core.labels.label_index import Census
    >>> from napari_samhq.core.geometry.planes import Plane
    >>> from napari_samhq.settings import CommitRules
    >>> data = np.array([[0, 0, 4]])
    >>> writer = LabelWriter(data, Census(data), ())
    >>> mask = CroppedMask.of([[True, True, False]])
    >>> edit = writer.place(Plane((0, 1)), mask, 5, 5, rules=CommitRules(), preserve_labels=True)
    >>> edit.region, edit.new.tolist()
    ((slice(0, 1, None), slice(0, 2, None)), [5, 5])
    """

    def __init__(self, data: Any, census: Census, records: Iterable[ObjectRecord]) -> None:
        self._data, self._census, self._records = data, census, records

    def place(
        self,
        plane: Plane,
        mask: CroppedMask,
        label_id: int,
        value: int,
        *,
        rules: CommitRules,
        preserve_labels: bool,
        before: ObjectRecord | None = None,
    ) -> LabelsEdit:
        """Work out how a clean mask becomes the object of a label id.

        Parameters
        ----------
        plane : Plane
            The plane of the labels.
        mask : CroppedMask
            The object, see :func:`object_mask`.
        label_id, value : int
            Which object, and what is written for it. What it has in the plane now, and is not in
            the mask, becomes background.
        rules : CommitRules
            Who gets pixels that another object has, and how small an object may be.
        preserve_labels : bool
            Whether the layer wants other objects to keep their pixels.
        before : ObjectRecord, optional
            What made the object before, if it was there.

        Raises
        ------
        LayerError
            If the labels cannot hold the value, or other objects own all of the mask.
        PromptError
            If fewer pixels are left than the smallest area.
        """
        return edit_to_place(
            self._data,
            plane,
            mask,
            value,
            rules=rules,
            preserve_labels=preserve_labels,
            had=self._pixels(plane, label_id, before),
            had_value=label_id if before is None else before.value,
        )

    def clear(
        self, plane: Plane, label_id: int, record: ObjectRecord | None = None
    ) -> LabelsEdit | None:
        """Work out how an object is taken out of a plane; None if it has no pixel there."""
        pixels = self._pixels(plane, label_id, record)
        value = label_id if record is None else record.value
        return edit_to_clear(self._data, plane, pixels, value) if pixels else None

    def _pixels(self, plane: Plane, label_id: int, record: ObjectRecord | None) -> CroppedMask:
        """Find the pixels of an object; where others have the same value, those of its own."""
        if record is None or record.mask is None or record.plane != plane:
            region = self._census.region(plane, label_id)
            return pixels_with(self._data, plane, label_id, region)
        start, pixels = (record.mask.top, record.mask.left), record.mask.array()
        for other in self._records:
            same = (other.plane, other.value) == (plane, record.value)
            if same and other.label_id != label_id and other.mask is not None:
                pixels &= ~other.mask.within(pixels.shape, start)
        present = read_region(self._data, plane, record.mask.region)
        return CroppedMask.of(pixels & (present == record.value), start)
