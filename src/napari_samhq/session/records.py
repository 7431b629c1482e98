"""Read what is known of the objects: table, records, journal, and where they lie."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from napari_samhq.session.parts import Part

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.drafts import Drafts
    from napari_samhq.core.journal.events import Journal, ObjectRecord
    from napari_samhq.core.masks.cropped import CroppedMask

__all__ = ["Records"]


class Records(Part):
    """Knows the objects that are there, and those being made."""

    @property
    def objects(self) -> pd.DataFrame:
        """The objects: label_id, score, area in pixels, prompts, plane, model, doubt and class.

        ``disagreement`` and ``uncertainty_px`` are those of
        :class:`~napari_samhq.core.measure.uncertainty.Doubt`; NaN where nobody knows them.
        ``category`` is empty where no class was given.
        """
        return self._history.table()

    @property
    def records(self) -> Mapping[int, ObjectRecord]:
        """What made the objects that are there now, by label id."""
        return MappingProxyType(self._history.records)

    @property
    def journal(self) -> Journal:
        """The events so far, which :meth:`undo` and :meth:`redo` walk along; for reading only."""
        return self._history.journal

    @property
    def unfinished(self) -> dict[Plane, Drafts]:
        """The objects being made, in all planes that have some."""
        return self._unfinished.planes

    def locate(self, label_id: int) -> Plane:
        """Find the plane of an object: where it was made, else the first that has pixels of it."""
        record = self._history.records.get(label_id)
        if record is not None:
            return record.plane
        plane = self.plane
        last_axes = (self.image.ndim - 2, self.image.ndim - 1)
        return (
            plane.at(self._history.tracked.position(label_id)) if plane.axes == last_axes else plane
        )

    def pixels_of(self, label_id: int) -> CroppedMask:
        """Cut out the pixels that the plane on the screen has of a label id; empty if none."""
        return self._history.tracked.pixels(self.plane, label_id)
