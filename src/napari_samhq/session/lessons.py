"""What can be learned from a session: its images and the objects that were made or corrected."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.masks import bounds_of
from napari_samhq.errors import TrainingError

if TYPE_CHECKING:
    from napari_samhq.core.planes import Plane
    from napari_samhq.session.session import Session
    from napari_samhq.session.views import PlaneView

__all__ = ["Lesson", "Lessons", "lessons_of"]

_MARGIN_PX = 256  # what is kept around the objects of a plane that is too large to be kept whole
_WHOLE_UP_TO = 2**24  # pixels


@dataclass(frozen=True, eq=False)
class Lesson:
    """A plane, or a part of it, with objects to learn from.

    Attributes
    ----------
    view : PlaneView
        The pixels, not read yet.
    region : pair of slices
        The part of the plane.
    labels : ndarray of shape (h, w), int32
        The objects in it.
    """

    view: PlaneView
    region: tuple[slice, slice]
    labels: Any

    @property
    def plane(self) -> Plane:
        """Where it is from."""
        return self.view.plane

    def read(self) -> Any:
        """Read the pixels as the model sees them, (h, w, 3) uint8. May take a while."""
        return self.view.read_rgb8(self.region)


@dataclass(frozen=True, eq=False)
class Lessons:
    """What can be learned from a session.

    Attributes
    ----------
    lessons : tuple of Lesson
        One for each plane that has objects.
    count : int
        How many objects.
    left_out : int
        Objects that were found with all others and not touched since: the model's own opinion.
    """

    lessons: tuple[Lesson, ...]
    count: int
    left_out: int


def lessons_of(session: Session) -> Lessons:
    """Collect what can be learned from a session: copies, so that one may go on working.

    Objects count that somebody prompted, corrected or painted. Those that were found with all
    others, and not touched since, do not.

    Raises
    ------
    TrainingError
        If there are fewer than two such objects.
    """
    ledger = session.desk.ledger
    by_plane: dict[Plane, list[int]] = defaultdict(list)
    left_out = 0
    table = session.objects
    for label_id, position in zip(table["label_id"], table["plane"], strict=True):
        record = ledger.records.get(int(label_id))
        if record is not None and "everything" in dict(record.seen):
            left_out += 1
            continue
        plane = record.plane if record is not None else session.desk.plane().at(position)
        by_plane[plane].append(int(label_id))
    count = sum(map(len, by_plane.values()))
    if count < 2:
        there = "no object" if not count else "one object"
        raise TrainingError(
            f"There is {there} that you made or corrected; two are the least to learn from, and "
            "twenty a good start."
            + (f" ({left_out} were found by 'Everything' and not touched.)" if left_out else "")
        )
    lessons = tuple(_lesson(session, plane, ids) for plane, ids in by_plane.items())
    return Lessons(lessons, count, left_out)


def _lesson(session: Session, plane: Plane, ids: list[int]) -> Lesson:
    view = session.desk.making.view(plane)
    drawn = np.asarray(session.labels.data[plane.index()])
    records = session.desk.ledger.records
    height, width = view.shape
    labels = np.zeros((height, width), np.int32)
    for label_id in ids:
        record = records.get(label_id)
        if record is not None and record.mask is not None:  # of a class: all have one value
            labels[record.mask.region][record.mask.array()] = label_id
        else:
            labels[drawn == label_id] = label_id
    rows, cols = slice(0, height), slice(0, width)
    if labels.size > _WHOLE_UP_TO:
        high, wide = bounds_of(labels > 0)
        rows, cols = _grown(high, height), _grown(wide, width)
    return Lesson(view, (rows, cols), labels[rows, cols])


def _grown(part: slice, length: int) -> slice:
    return slice(max(0, part.start - _MARGIN_PX), min(length, part.stop + _MARGIN_PX))
