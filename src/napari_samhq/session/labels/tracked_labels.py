"""Labels layer that objects go into, with an index of where each label id is."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.labels.edits import pixels_with, read_region
from napari_samhq.core.labels.label_index import Census
from napari_samhq.core.labels.label_writer import LabelWriter
from napari_samhq.errors import LayerError
from napari_samhq.session.labels.hand_edits import HandEdits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from napari.layers import Labels

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.events import LabelsEdit, ObjectRecord
    from napari_samhq.core.masks.cropped import CroppedMask
    from napari_samhq.settings import CommitRules

__all__ = ["TrackedLabels"]

# Up to this size a plane is looked at for values that were written past napari.
_QUICK_PX = 1 << 22


class TrackedLabels:
    """Works out and writes the edits of objects, and knows where each label id is.

    Nothing reads more of the layer than the bounding box of an object, after one look at all of it
    that is taken when it is first needed, or before, see :meth:`look`.

    Parameters
    ----------
    layer : napari.layers.Labels
        The layer.
    on_paint, on_history : callable
        Called with edits by others, see :class:`~napari_samhq.session.labels.hand_edits.HandEdits`.
    on_replaced : callable
        Called after the layer got another array.

    Examples
    --------
    >>> from napari.layers import Labels
    >>> from napari_samhq.core.masks.cropped import CroppedMask
    >>> from napari_samhq.core.geometry.planes import Plane
    >>> from napari_samhq.settings import CommitRules
    >>> layer = Labels(np.array([[0, 0, 4]]))
    >>> bound = TrackedLabels(layer, on_paint=print, on_history=print, on_replaced=print)
    >>> mask = CroppedMask.of([[True, True, False]])
    >>> bound.free_id()
    5
    >>> bound.write([bound.edit_to_commit(Plane((0, 1)), mask, 5, CommitRules())])
    >>> layer.data.tolist(), bound.area(5), bound.free_id()
    ([[5, 5, 4]], 2, 6)
    >>> bound.close()
    """

    def __init__(
        self,
        layer: Labels,
        *,
        on_paint: Callable[[tuple[LabelsEdit, ...]], None],
        on_history: Callable[[tuple[LabelsEdit, ...]], None],
        on_replaced: Callable[[], None],
    ) -> None:
        self.layer, self._data = layer, layer.data
        self._on_paint, self._on_history = on_paint, on_history
        self._on_replaced = on_replaced
        self._tally = Census(layer.data)
        self._used: set[int] = set()
        self._hand = HandEdits(layer, self._take_paint, self._take_history, self._take_data)

    def close(self) -> None:
        """Leave the layer alone from now on."""
        self._hand.close()

    # ------------------------------------------------------------------------------------ label ids

    def look(self) -> bool:
        """Look at a further part of the layer, some milliseconds; tell whether more is to do."""
        # A stroke that goes on is in the data, and will be told of as a whole.
        return True if self._hand.in_stroke else self._tally.step()

    def free_ids(self, taken: Iterable[int] = ()) -> Iterator[int]:
        """List label ids for new objects: none of them is in the layer, was used, or is taken.

        They lie above all of these; where that leaves the layer's type, they are the lowest ones
        that are free. Where it has none, they do not fit: nothing is refused before something is
        written.
        """
        known = self._used.union(taken)
        highest = max(self._census.highest, max(known, default=0))
        limit = int(np.iinfo(self.layer.data.dtype).max)
        above = range(highest + 1, limit + 1)
        below = (i for i in range(1, highest) if i not in self._census and i not in known)
        return itertools.chain(above, below, itertools.count(max(highest, limit) + 1))

    def free_id(self) -> int:
        """Tell the first of :meth:`free_ids`."""
        return next(self.free_ids())

    def use(self, label_id: int) -> None:
        """Note that an object got a label id; no new one will get it."""
        self._used.add(label_id)

    def is_taken(self, label_id: int, plane: Plane) -> bool:
        """Whether the layer has pixels of a label id, even such as were written past napari."""
        if label_id in self._census:
            return True
        shape = self.layer.data.shape
        if len(shape) != plane.ndim or math.prod(shape[axis] for axis in plane.axes) > _QUICK_PX:
            return False
        rows, cols = (slice(0, shape[axis]) for axis in plane.axes)
        taken = bool((read_region(self.layer.data, plane, (rows, cols)) == label_id).any())
        if taken:
            self._tally = Census(self.layer.data)
        return taken

    def ids_in(self, plane: Plane) -> set[int]:
        """Collect the label ids that a plane may have, and perhaps some of other planes."""
        ids = self._census.ids
        return {label_id for label_id in ids if self._census.region(plane, label_id) is not None}

    def ids_without(self, records: Iterable[ObjectRecord]) -> list[int]:
        """List the label ids in the layer that no record explains."""
        known = {record.value for record in records}
        return [label_id for label_id in self._census.ids if label_id not in known]

    def is_there(self, record: ObjectRecord) -> bool:
        """Whether the layer has pixels of an object where it was made."""
        try:
            if record.mask is not None:
                return self.area(record.label_id, record) > 0
            region = self._census.region(record.plane, record.label_id)
            return bool(pixels_with(self.layer.data, record.plane, record.label_id, region))
        except LayerError:  # it has another shape now
            return False

    def area(self, label_id: int, record: ObjectRecord | None = None) -> int:
        """Count the pixels that an object has now, in all planes, hand edits included."""
        if record is None or record.mask is None:
            return self._census.area(label_id)
        present = read_region(self.layer.data, record.plane, record.mask.region)
        return int(np.count_nonzero((present == record.value) & record.mask.array()))

    def position(self, label_id: int) -> tuple[int, ...]:
        """Find the first plane along the last two axes that a label id is in."""
        ndim = len(self.layer.data.shape)
        return self._census.first_position(label_id, (ndim - 2, ndim - 1))

    def pixels(self, plane: Plane, label_id: int) -> CroppedMask:
        """Cut out all pixels that a plane has of a label id; empty if it has none."""
        region = self._census.region(plane, label_id)
        return pixels_with(self.layer.data, plane, label_id, region)

    # ---------------------------------------------------------------------------------------- edits

    def edit_to_commit(
        self,
        plane: Plane,
        mask: CroppedMask,
        label_id: int,
        rules: CommitRules,
        *,
        record: ObjectRecord | None = None,
        others: Iterable[ObjectRecord] = (),
    ) -> LabelsEdit:
        """Work out how a clean mask becomes the object of a label id, see :class:`LabelWriter`.

        Parameters
        ----------
        plane : Plane
            The plane of the layer's data.
        mask : CroppedMask
            The object.
        label_id : int
            Which object.
        rules : CommitRules
            What to write, and who gets pixels that another object has.
        record : ObjectRecord, optional
            What made the object before, if it was there.
        others : iterable of ObjectRecord, optional
            The other objects.

        Raises
        ------
        LayerError
            If the layer's type cannot hold the value, or other objects own all of the mask.
        PromptError
            If fewer pixels are left than the smallest area.
        """
        return self._writer(others).place(
            plane,
            mask,
            label_id,
            rules.value(label_id),
            rules=rules,
            preserve_labels=self.layer.preserve_labels,
            before=record,
        )

    def edit_to_delete(
        self,
        plane: Plane,
        label_id: int,
        record: ObjectRecord | None = None,
        others: Iterable[ObjectRecord] = (),
    ) -> LabelsEdit:
        """Work out how an object is taken out of a plane.

        Raises
        ------
        LayerError
            If it has no pixel there.
        """
        edit = self._writer(others).clear(plane, label_id, record)
        if edit is None:
            raise LayerError(
                f"The labels layer {self.layer.name!r} has no object {label_id} in this plane. "
                "See session.objects for those that are there."
            )
        return edit

    def one_step(self) -> AbstractContextManager[None]:
        """Make one step of napari's undo of all that is written meanwhile."""
        return self._hand.one_step()

    def write(self, edits: Sequence[LabelsEdit]) -> None:
        """Write edits as one step of napari's undo."""
        self._tally.note(self._hand.write(edits))

    def take_back(self, edits: Sequence[LabelsEdit]) -> None:
        """Take edits back that were the last ones; in step with napari's undo."""
        self._tally.note(self._hand.take_back(edits))

    def do_again(self, edits: Sequence[LabelsEdit]) -> None:
        """Do edits again that were taken back; in step with napari's redo."""
        self._tally.note(self._hand.do_again(edits))

    def settle(self) -> None:
        """Notice all that happened so far: what napari undid in a hidden layer, half a stroke."""
        self._hand.settle()

    @property
    def _census(self) -> Census:
        """All label ids; the layer may have to be looked at for it."""
        if not self._tally.complete:
            self._hand.settle()
        return self._tally

    def _writer(self, records: Iterable[ObjectRecord]) -> LabelWriter:
        return LabelWriter(self.layer.data, self._census, records)

    def _take_paint(self, edits: tuple[LabelsEdit, ...]) -> None:
        if not self._tally.complete and not all(map(self._is_written, edits)):
            self._tally.finish()  # before they are: what is looked at later has them
        self._tally.note(edits)
        self._on_paint(edits)

    def _is_written(self, edit: LabelsEdit) -> bool:
        present = np.asarray(self.layer.data[edit.plane.index(edit.region)])[edit.changed]
        return np.array_equal(present, edit.new)

    def _take_history(self, edits: tuple[LabelsEdit, ...]) -> None:
        self._tally.note(edits)
        self._on_history(edits)

    def _take_data(self) -> None:
        replaced = self.layer.data is not self._data
        self._data = self.layer.data
        self._tally = Census(self._data)
        if replaced:
            self._on_replaced()
