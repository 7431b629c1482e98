"""Training examples from a session: images, finished objects and background."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.journal.events import Deleted, Rejected
from napari_samhq.core.masks.cropped import CroppedMask, bounds_of
from napari_samhq.errors import TrainingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.engine.plane_view import PlaneView
    from napari_samhq.session.session import Session

__all__ = ["Lesson", "Lessons", "lessons_of"]

_MARGIN_PX = 256  # what is kept around the objects of a plane that is too large to be kept whole
_WHOLE_UP_TO = 2**24  # pixels
_MOST_MARKED = 0.1  # of a refused mask, for it to be background


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
    complete : ndarray of shape (h, w), bool
        Where all objects are marked: in areas that were called finished, and where something was
        deleted or rejected and nothing marked since.
    """

    view: PlaneView
    region: tuple[slice, slice]
    labels: Any
    complete: Any

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
    others, and not touched since, count where they lie in an area that was called finished.

    Raises
    ------
    TrainingError
        If there are fewer than two such objects.
    """
    by_plane: dict[Plane, list[int]] = defaultdict(list)
    left_out = 0
    finished = _in_finished_areas(session)
    table = session.objects
    for label_id, position in zip(table["label_id"], table["plane"], strict=True):
        record = session.records.get(int(label_id))
        plane = record.plane if record is not None else session.plane.at(position)
        untouched = record is not None and "everything" in dict(record.seen)
        if untouched and int(label_id) not in finished[plane]:
            left_out += 1
            continue
        by_plane[plane].append(int(label_id))
    count = sum(map(len, by_plane.values()))
    if count < 2:
        there = "no object" if not count else "one object"
        raise TrainingError(
            f"There is {there} that you made or corrected; two are the least to learn from, and "
            "twenty a good start."
            + (f" ({left_out} were found by 'Everything' and not touched.)" if left_out else "")
        )
    refused = _refused(session)
    for plane in (*session.finished, *refused):
        by_plane[plane] += []
    lessons = tuple(
        _lesson(session, plane, ids, refused.get(plane, [])) for plane, ids in by_plane.items()
    )
    return Lessons(lessons, count, left_out)


def _in_finished_areas(session: Session) -> dict[Plane, set[int]]:
    """Collect the objects that lie in finished areas and do not go on beyond them, by plane."""
    found: dict[Plane, set[int]] = defaultdict(set)
    for plane, areas in session.finished.items():
        drawn = np.asarray(session.labels.data[plane.index()])
        for area in areas:
            beyond = drawn.copy()
            beyond[area] = 0
            found[plane] |= set(np.unique(drawn[area]).tolist()) - set(np.unique(beyond).tolist())
    return found


def _refused(session: Session) -> dict[Plane, list[CroppedMask]]:
    """Collect masks that were deleted, or rejected while they were made, by plane.

    The session remembers the latest masks of objects being made only, so that of those that were
    rejected long ago nothing is known.
    """
    found: dict[Plane, list[CroppedMask]] = defaultdict(list)
    for event in session.journal:
        if isinstance(event, Deleted):
            rows, cols = event.edit.region
            mask = CroppedMask.of(event.edit.changed, (rows.start, cols.start))
            found[event.edit.plane].append(mask)
        elif isinstance(event, Rejected):
            for draft in event.before:
                gone = event.after.get(draft.label_id) is None and not draft.reopened
                shown = session.controller.masks.recalled(event.plane, draft) if gone else None
                if shown is not None:
                    found[event.plane].append(shown.mask)
    return dict(found)


def _lesson(session: Session, plane: Plane, ids: list[int], refused: list[CroppedMask]) -> Lesson:
    view = session.controller.masks.view(plane)
    drawn = np.asarray(session.labels.data[plane.index()])
    records = session.records
    height, width = view.shape
    labels = np.zeros((height, width), np.int32)
    for label_id in ids:
        record = records.get(label_id)
        if record is not None and record.mask is not None:  # of a class: all have one value
            labels[record.mask.region][record.mask.array()] = label_id
        else:
            labels[drawn == label_id] = label_id
    complete = _complete(session, plane, drawn, refused)
    complete &= (drawn == 0) | (labels > 0)  # of objects that do not count nothing is known
    rows, cols = slice(0, height), slice(0, width)
    if labels.size > _WHOLE_UP_TO:
        high, wide = bounds_of((labels > 0) | complete)
        rows, cols = _grown(high, height), _grown(wide, width)
    return Lesson(view, (rows, cols), labels[rows, cols], complete[rows, cols])


def _complete(
    session: Session, plane: Plane, drawn: Any, refused: list[CroppedMask]
) -> NDArray[np.bool_]:
    """Tell where all objects of a plane are marked."""
    complete = np.zeros(drawn.shape, bool)
    for mask in refused:
        here = mask.array()
        # Whoever marked an object there meant another outline, not that nothing is there.
        marked = np.count_nonzero(drawn[mask.region][here])
        if marked <= _MOST_MARKED * np.count_nonzero(here):
            complete[mask.region] |= here
    for area in session.finished.get(plane, ()):
        complete[area] = True
    return complete


def _grown(part: slice, length: int) -> slice:
    return slice(max(0, part.start - _MARGIN_PX), min(length, part.stop + _MARGIN_PX))
