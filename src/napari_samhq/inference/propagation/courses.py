"""Courses of propagation: planes, starts and directions for each object."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from napari_samhq.errors import SettingsError

if TYPE_CHECKING:
    from napari_samhq.core.masks.cropped import CroppedMask

__all__ = ["Course", "Direction", "courses_for"]

Direction = Literal["both", "forward", "backward"]


@dataclass(frozen=True)
class Course:
    """One object on its way from a given plane through planes that are not given.

    Attributes
    ----------
    label_id : int
    start : int
        The given plane.
    stop : int
        The last plane to be computed.
    target : int or None
        The given plane behind that, if there is one.
    is_known : bool
        Whether the object is known to reach `stop`; otherwise it is followed as far as there is
        evidence.
    tapers : bool
        Whether it is known to end behind `stop`.
    """

    label_id: int
    start: int
    stop: int
    target: int | None
    is_known: bool
    tapers: bool

    @property
    def step(self) -> int:
        """1 or -1."""
        return 1 if self.stop > self.start else -1

    def covers(self, plane: int) -> bool:
        """Tell whether the plane is to be computed."""
        first = self.start + self.step
        return min(first, self.stop) <= plane <= max(first, self.stop)

    def place(self, plane: int) -> float:
        """Where a plane lies on the way: 0 at the start, 1 at the target, or behind `stop`."""
        end = self.target if self.target is not None else self.stop + self.step
        return abs(plane - self.start) / abs(end - self.start)


def courses_for(
    given: Mapping[int, Mapping[int, CroppedMask]],
    count: int,
    planes: Any,
    direction: str,
) -> list[Course]:
    """Plan what is computed.

    Parameters
    ----------
    given : mapping of mappings
        Of planes, the outlines by label id.
    count : int
        How many planes there are.
    planes : pair of ints, mapping of int to pair of ints, or None
        First and last plane of all objects, or of each.
    direction : {"both", "forward", "backward"}

    Returns
    -------
    list of Course

    Raises
    ------
    SettingsError
        If planes or direction cannot be.
    """
    if direction not in get_args(Direction):
        raise SettingsError(
            f"direction is {direction!r}; needed is one of {', '.join(get_args(Direction))}."
        )
    anchors: dict[int, list[int]] = {}
    for plane, outlines in sorted(given.items()):
        for label_id in outlines:
            anchors.setdefault(label_id, []).append(plane)
    ranges = _ranges(planes, anchors, count)
    courses: list[Course] = []
    for label_id, own in anchors.items():
        courses += _of_one(label_id, own, ranges.get(label_id), count, direction)
    return courses


def _of_one(
    label_id: int, own: list[int], extent: tuple[int, int] | None, count: int, direction: str
) -> list[Course]:
    low, high = extent or (0, count - 1)
    is_known = extent is not None
    courses = []
    for one, other in itertools.pairwise(own):
        if other - one > 1:
            courses.append(Course(label_id, one, other - 1, other, True, False))
            courses.append(Course(label_id, other, one + 1, one, True, False))
    if direction != "backward" and own[-1] < high:
        courses.append(
            Course(label_id, own[-1], high, None, is_known, is_known and high < count - 1)
        )
    if direction != "forward" and own[0] > low:
        courses.append(Course(label_id, own[0], low, None, is_known, is_known and low > 0))
    return courses


def _ranges(
    planes: Any, anchors: Mapping[int, list[int]], count: int
) -> dict[int, tuple[int, int]]:
    if planes is None:
        return {}
    if isinstance(planes, Mapping):
        unknown = sorted(set(planes) - set(anchors))
        if unknown:
            known = ", ".join(map(str, list(anchors)[:10])) + (", …" if len(anchors) > 10 else "")
            raise SettingsError(
                f"planes has a range for label {unknown[0]}, which is outlined nowhere; outlined "
                f"are {known}."
            )
        return {int(key): _range(value, count, f"planes[{key}]") for key, value in planes.items()}
    extent = _range(planes, count, "planes")
    return dict.fromkeys(anchors, extent)


def _range(value: Any, count: int, name: str) -> tuple[int, int]:
    try:
        first, last = (int(index) for index in value)
        exact = all(index == given for index, given in zip((first, last), value, strict=True))
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"{name} is {value!r}; needed are two planes, (first, last), both included."
        ) from error
    if not exact or not 0 <= first <= last < count:
        raise SettingsError(
            f"{name} is {value!r}; needed are whole numbers, (first, last), with first up to "
            f"last, between 0 and {count - 1}."
        )
    return first, last
