"""Planes of a stack: positions of objects in files, and choice of a plane."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_samhq.errors import FileError
from napari_samhq.io.axes import axes_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Position",
    "check_one_plane",
    "in_plane",
    "leading_axes",
    "lies_in",
    "position_of",
    "stack_lengths",
    "stack_positions",
]

_NAMES = ("t", "z", "c")
_FASTEST_FIRST = ("c", "z", "t")  # how ImageJ counts the planes of a hyperstack
_MOST_TOLD = 6


@dataclass(frozen=True)
class Position:
    """Indices along the axes before rows and columns, from 0; None: all along, or nobody said.

    Attributes
    ----------
    t, z, c : int or None
        Time, slice, channel.
    stack : int or None
        All of them in one number, as ImageJ counts the planes of a stack.
    """

    t: int | None = None
    z: int | None = None
    c: int | None = None
    stack: int | None = None

    def __bool__(self) -> bool:
        return any(getattr(self, one.name) is not None for one in fields(self))


def leading_axes(path: str | Path) -> dict[str, int]:
    """Read names and lengths of the axes of an image before its rows.

    Parameters
    ----------
    path : str or Path
        An image as :func:`~napari_samhq.io.images.open_array` opens it.

    Returns
    -------
    dict of str to int
        Such as ``{"t": 5, "z": 30}``; ``"axis-0"`` and so on where the file has no names.
    """
    from napari_samhq.io.images import open_array

    path = Path(path)
    array = open_array(path)
    shape, names = tuple(array.shape), axes_of(array, path)
    if len(names) != len(shape):
        names = tuple("" for _ in shape)
    colours = bool(names and names[-1] in ("s", "c")) or (not any(names) and shape[-1] in (3, 4))
    count = max(0, len(shape) - (3 if colours and len(shape) > 2 else 2))
    known = [name if name in _NAMES else f"axis-{i}" for i, name in enumerate(names[:count])]
    return dict(zip(known, shape[:count], strict=True)) if len(set(known)) == count else {}


def in_plane(
    positions: Sequence[Position],
    plane: Sequence[int] | None,
    axes: Mapping[str, int] | None,
    path: str | Path,
) -> list[bool]:
    """Tell which objects lie in the plane that is asked for.

    Parameters
    ----------
    positions : sequence of Position
        Of the objects.
    plane : sequence of int, or None
        One index for each axis of the image before the rows.
    axes : mapping of str to int, or None
        Names and lengths of these axes, see :func:`leading_axes`. Where names are missing, a single
        axis is the one along which the objects differ, and two are t and z.
    path : str or Path
        The file, for messages.

    Returns
    -------
    list of bool
        One for each object. Those that lie all along an axis are in each of its planes.

    Raises
    ------
    FileError
        If the objects lie in several planes, and nothing says which one is meant.

    Examples
    --------
    >>> in_plane([Position(z=0), Position(z=3), Position()], [3], {"z": 5}, "a.geojson")
    [False, True, True]
    """
    axes = dict(axes or {})
    placed = stack_positions(positions, axes if plane else {}, path)
    if plane is None:
        check_one_plane(placed, path)
        return [True] * len(placed)
    names = _named(placed, plane, axes)
    lengths = [axes.get(name, 0) for name in names]
    wanted = {
        name: index % length if length and index < 0 else index
        for name, index, length in zip(names, plane, lengths, strict=True)
        if name in _NAMES
    }
    kept = [
        all(getattr(one, name) in (None, index) for name, index in wanted.items()) for one in placed
    ]
    inside = [one for one, keep in zip(placed, kept, strict=True) if keep]
    check_one_plane([replace(one, **dict.fromkeys(wanted)) for one in inside], path)
    return kept


def position_of(plane: Sequence[int] | None, axes: Mapping[str, int]) -> Position:
    """Give the position of objects that were found in a plane.

    Parameters
    ----------
    plane : sequence of int, or None
        One index for each axis of the image before the rows.
    axes : mapping of str to int
        Names and lengths of these axes, as for :func:`in_plane`.

    Examples
    --------
    >>> position_of([-1, 0], {"z": 5, "c": 2}), position_of([7], {})
    (Position(t=None, z=4, c=0, stack=None), Position(t=None, z=7, c=None, stack=None))
    """
    if not plane:
        return Position()
    named = zip(_named([], plane, axes), plane, strict=True)
    found = {
        name: index % axes[name] if index < 0 and name in axes else index for name, index in named
    }
    return Position(**{name: found[name] for name in _NAMES if name in found})


def lies_in(position: Sequence[int], plane: Sequence[int]) -> bool:
    """Compare indices along axes without names, the last ones with each other, as napari does.

    Examples
    --------
    >>> lies_in((3,), (0, 3)), lies_in((1, 3), (3,)), lies_in((2,), (0, 3))
    (True, True, False)
    """
    count = min(len(position), len(plane))
    return not count or tuple(position[-count:]) == tuple(plane[-count:])


def check_one_plane(positions: Sequence[Position], path: str | Path) -> None:
    """Refuse objects of several planes.

    Raises
    ------
    FileError
        If they differ along t or z; channels show the same objects.
    """
    for name in ("t", "z"):
        found = sorted({n for one in positions if (n := getattr(one, name)) is not None})
        if len(found) > 1:
            listed = ", ".join(map(str, found[:_MOST_TOLD])) + (
                ", ..." if len(found) > _MOST_TOLD else ""
            )
            raise FileError(
                f"{path} has objects in {len(found)} planes, {name} {listed}, and nothing says "
                "which one is meant. Give --plane (plane=), counted from 0."
            )


def stack_positions(
    positions: Sequence[Position], axes: Mapping[str, int], path: str | Path
) -> list[Position]:
    """Turn what ImageJ counts through a whole stack into indices along its axes.

    Raises
    ------
    FileError
        If the stack has several axes, and nothing says how long they are.
    """
    if all(one.stack is None for one in positions):
        return list(positions)
    named = {name: axes[name] for name in _FASTEST_FIRST if name in axes}
    if len(axes) < 2:
        name = next(iter(named), "z")
        return [_placed(one, {name: one.stack}) for one in positions]
    if len(named) < len(axes):
        raise FileError(
            f"{path} counts planes through a stack of {len(axes)} axes, and the image does not say "
            "which is time and which are slices. Save it as a hyperstack in ImageJ or as OME-TIFF."
        )
    placed = []
    for one in positions:
        left, found = one.stack, {}
        if left is not None and left < math.prod(named.values()):
            for name, length in named.items():
                found[name], left = left % length, left // length
        placed.append(_placed(one, found))
    return placed


def _placed(position: Position, found: Mapping[str, int | None]) -> Position:
    said = {name: n for name, n in found.items() if getattr(position, name) is None}
    return replace(position, stack=None, **said)


def stack_lengths(positions: Sequence[Position]) -> dict[str, int]:
    """Give the lengths of the axes t and z that objects are spread over; empty for the first plane.

    Examples
    --------
    >>> stack_lengths([Position(z=4), Position(t=0, z=1)]), stack_lengths([Position(z=0)])
    ({'z': 5}, {})
    """
    found = {
        name: 1 + max((getattr(one, name) or 0 for one in positions), default=0)
        for name in ("t", "z")
    }
    return {name: length for name, length in found.items() if length > 1}


def _named(
    positions: Sequence[Position], plane: Sequence[int], axes: Mapping[str, int]
) -> list[str]:
    """Name the axes that the indices of a plane belong to."""
    names = list(axes)
    if len(names) == len(plane) + 1 and "c" in names:  # channels were chosen otherwise
        names.remove("c")
    varying = [
        name for name in ("z", "t") if len({getattr(one, name) for one in positions} - {None}) > 1
    ]
    if len(plane) == 1 and len(varying) == 1 and (not names or names[0] not in varying):
        return varying
    if len(names) == len(plane) and any(name in _NAMES for name in names):
        return names
    return [f"axis-{i}" for i in range(len(plane) - 2)] + ["t", "z"][-len(plane) :]
