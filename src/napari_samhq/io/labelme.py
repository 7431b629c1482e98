"""labelme's JSON: polygons, rectangles, circles, points, lines and masks of one image.

The format of the program labelme (github.com/wkentaro/labelme). x and y are in pixels from the
outer corner of the first pixel; the corners of masks alone are numbers of pixels.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.geometry.frames import corner_xy_to_rc
from napari_samhq.core.journal.shapes_drawn import Drawn, DrawnPoint, DrawnShape
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.prompts.from_shapes import area_of_shape
from napari_samhq.errors import FileError
from napari_samhq.io.entries import Entries
from napari_samhq.io.json_files import as_list, as_mapping, as_number, read_json
from napari_samhq.io.objects import (
    FileObject,
    check_image_shape,
    check_pixels,
    lies_beside,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["read_labelme", "read_labelme_layers", "read_labelme_prompts"]

_LARGEST_MASK_PX = 2**28
_LARGEST_SIDE_PX = 2**20
_LINES = {"line": "line", "linestrip": "path"}
_POLYGONS = ("polygon", "oriented_rectangle")
_POINTS = ("point", "points")


@dataclass(frozen=True)
class _Shape:
    """A shape of the file, in image pixels."""

    number: int
    label: str
    group: int | None
    drawn: Drawn
    name: str = ""
    score: float | None = None


def read_labelme(
    path: str | Path, shape: tuple[int, int] | None = None, *, strict: bool = False
) -> list[FileObject]:
    """Read the shapes that have an area.

    Parameters
    ----------
    path : str or Path
    shape : tuple of two ints, optional
        Height and width of the image in pixels; what lies outside is cut off.
    strict : bool, optional
        Refuse a file with a shape that cannot be used, in place of leaving it out.

    Returns
    -------
    list of FileObject
        Shapes of the same label and the same group are one object, which gets the number of its
        group as label id where that is free; the others are numbered from 1. The label is its
        category, the description its name.

    Raises
    ------
    FileError
        If the file is none of this format or damaged, or belongs to an image of another size.

    Warns
    -----
    SamHQWarning
        If shapes were left out, such as points and lines, which have no area.
    """
    objects = []
    with Entries.of(path, "shape", strict=strict) as entries:
        shapes, image_shape = _contents(path, shape, entries)
        for label_id, parts in _grouped(shapes):
            where = f"shape {parts[0].number}"
            with entries.again(where):
                one = _object(label_id, parts, image_shape)
                check_pixels(one.mask, image_shape, where)
                objects.append(one)
    return objects


def read_labelme_layers(
    path: str | Path, *, strict: bool = False
) -> tuple[list[FileObject], dict[int, Drawn], tuple[int, int] | None]:
    """Read shapes with an area as objects, and all others as prompts.

    Parameters
    ----------
    path, strict
        As in :func:`read_labelme`.

    Returns
    -------
    objects : list of FileObject
    prompts : dict of int to Drawn
    shape : tuple of two ints, or None
        Height and width of the image, if the file says them.
    """
    objects, prompts = [], {}
    with Entries.of(path, "shape", strict=strict) as entries:
        shapes, image_shape = _contents(path, None, entries)
        for label_id, parts in _grouped(shapes, by_label=False):
            with entries.again(f"shape {parts[0].number}"):
                one = _object(label_id, parts, image_shape)
                if one.mask:
                    objects.append(one)
                else:
                    prompts[label_id] = _together(parts)
    return objects, prompts, image_shape


def _object(label_id: int, parts: list[_Shape], shape: tuple[int, int] | None) -> FileObject:
    mask = CroppedMask.union(one for part in parts for one in _masks(part.drawn, shape))
    first = parts[0]
    return FileObject(label_id, mask, name=first.name, category=first.label, score=first.score)


def read_labelme_prompts(
    path: str | Path, shape: tuple[int, int] | None = None, *, strict: bool = False
) -> dict[int, Drawn]:
    """Read shapes as prompts.

    Parameters
    ----------
    path : str or Path
    shape : tuple of two ints, optional
        Height and width of the image in pixels, which the file is checked against.
    strict : bool, optional
        As in :func:`read_labelme`.

    Returns
    -------
    dict of int to Drawn
        What was drawn for each object, in image pixels, by the label id that :func:`read_labelme`
        gives it. Points with the label background, negative or ignore lie beside the object of
        their group.

    Raises
    ------
    FileError
        As :func:`read_labelme`.
    """
    prompts: dict[int, Drawn] = {}
    with Entries.of(path, "shape", strict=strict) as entries:
        shapes, _ = _contents(path, shape, entries)
        for label_id, parts in _grouped(shapes, by_label=False):
            with entries.again(f"shape {parts[0].number}"):
                prompts[label_id] = _together(parts)
    return prompts


def _together(parts: list[_Shape]) -> Drawn:
    masks = [part.drawn.mask for part in parts if part.drawn.mask is not None]
    drawn = Drawn(
        tuple(point for part in parts for point in part.drawn.points),
        tuple(one for part in parts for one in part.drawn.shapes),
        CroppedMask.union(masks) if masks else None,
    )
    if not drawn.says_where:
        raise FileError(
            f"points labelled {parts[0].label!r} lie beside an object, but nothing says which. "
            "Give them the same group as their object in labelme, or another label."
        )
    return drawn


def _contents(
    path: str | Path, shape: tuple[int, int] | None, entries: Entries
) -> tuple[list[_Shape], tuple[int, int] | None]:
    """Read all shapes, and the size of the image where the file or somebody says it."""
    content = as_mapping(read_json(path), f"{path}")
    if "shapes" not in content:
        raise FileError(
            f"{path} is no file of labelme: it has no 'shapes', but {_some(content)}. Save it in "
            "labelme again, or use another format."
        )
    sides = [content.get("imageHeight"), content.get("imageWidth")]
    said = None
    if all(side is not None for side in sides):
        height, width = (as_number(s, f"{path}: size of the image", whole=True) for s in sides)
        if not (0 < height <= _LARGEST_SIDE_PX and 0 < width <= _LARGEST_SIDE_PX):
            raise FileError(f"{path}: no image has {height} x {width} pixels.")
        said = height, width
    check_image_shape(said, shape, path)
    shapes = []
    for number, one in enumerate(as_list(content["shapes"], f"{path}: shapes"), start=1):
        where = f"shape {number}"
        with entries.each(where):
            shapes.append(_shape(as_mapping(one, where), number, where))
    return shapes, shape or said


def _some(content: dict[str, Any]) -> str:
    names = [repr(name) for name in list(content)[:5]]
    return ", ".join(names) or "nothing"


def _shape(content: dict[str, Any], number: int, where: str) -> _Shape:
    label = str(content.get("label") or "")
    kind = content.get("shape_type") or "polygon"
    points_xy = _points(content.get("points"), where)
    group = content.get("group_id")
    score = content.get("score")
    return _Shape(
        number,
        label,
        None if group is None else as_number(group, f"{where}: group_id", whole=True),
        _drawn(kind, points_xy, content, where),
        name=str(content.get("description") or ""),
        score=None if score is None else as_number(score, f"{where}: score"),
    )


def _points(given: Any, where: str) -> list[list[float]]:
    points = []
    for point in as_list(given, f"{where}: points"):
        pair = [as_number(value, f"{where}: points") for value in as_list(point, where)]
        if len(pair) != 2:
            raise FileError(f"{where}: a point has {len(pair)} numbers; needed are x and y.")
        points.append(pair)
    if not points:
        raise FileError(f"{where} has no point. Delete it in labelme, or draw it again.")
    return points


def _drawn(kind: str, points_xy: list[list[float]], content: Any, where: str) -> Drawn:
    if kind == "mask":
        return Drawn(mask=_mask(points_xy, content.get("mask"), where))
    corners = [(row, col) for row, col in corner_xy_to_rc(points_xy).tolist()]
    if kind in _POINTS:
        positive = not lies_beside(str(content.get("label") or ""))
        return Drawn(points=tuple(DrawnPoint(row, col, positive) for row, col in corners))
    if kind in _LINES:
        return Drawn(shapes=(DrawnShape(_LINES[kind], tuple(corners)),))
    if kind in _POLYGONS:
        if len(corners) < 3:
            raise FileError(f"{where} has {len(corners)} corners; an area needs 3 or more.")
        return Drawn(shapes=(DrawnShape("polygon", tuple(corners)),))
    if kind not in ("rectangle", "circle"):
        raise FileError(
            f"{where} is of the type {kind!r}. Read are polygon, rectangle, oriented_rectangle, "
            "circle, point, points, line, linestrip and mask."
        )
    if len(corners) != 2:
        raise FileError(f"{where} is a {kind} of {len(corners)} points; needed are 2.")
    (row, col), (row_2, col_2) = corners
    if kind == "circle":  # its middle, and a point on its border
        radius = math.hypot(row_2 - row, col_2 - col)
        frame = _frame(row - radius, col - radius, row + radius, col + radius)
        return Drawn(shapes=(DrawnShape("ellipse", frame),))
    return Drawn(shapes=(DrawnShape("rectangle", _frame(row, col, row_2, col_2)),))


def _frame(top: float, left: float, bottom: float, right: float) -> tuple[tuple[float, float], ...]:
    return (top, left), (top, right), (bottom, right), (bottom, left)


def _mask(points_xy: list[list[float]], encoded: Any, where: str) -> CroppedMask:
    """Unpack the picture of a mask; its corners are its first and last pixel."""
    from PIL import Image

    (left, top), (right, bottom) = points_xy[0], points_xy[-1]
    left, top, right, bottom = (int(value) for value in (left, top, right, bottom))
    if not isinstance(encoded, str):
        raise FileError(f"{where} is a mask without its pixels. Draw it again.")
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)), formats=["PNG"]) as p:
            if p.width * p.height > _LARGEST_MASK_PX:
                raise FileError(f"{where} is a mask of {p.height} x {p.width} pixels, too many.")
            pixels = np.asarray(p.convert("L")) > 0
    except FileError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FileError(f"{where}: the picture of its mask is damaged: {error}.") from error
    if pixels.shape != (bottom - top + 1, right - left + 1):
        raise FileError(
            f"{where}: its mask has {pixels.shape[0]} x {pixels.shape[1]} pixels, and its corners "
            f"are {bottom - top + 1} x {right - left + 1} pixels apart."
        )
    return CroppedMask.of(pixels, (top, left))


def _grouped(shapes: list[_Shape], *, by_label: bool = True) -> Iterator[tuple[int, list[_Shape]]]:
    """Put shapes of one object together, and number the objects.

    Groups of labelme hold for one label each; points beside an object have a label of their own.
    """
    groups: dict[Any, list[_Shape]] = {}
    for number, one in enumerate(shapes):
        key: Any = ("alone", number)
        if one.group is not None:
            key = ("group", one.label, one.group)
        groups.setdefault(key, []).append(one)
    if not by_label:
        groups = _with_those_beside(groups)
    wanted = [key[2] for key in groups if key[0] == "group" and key[2] > 0]
    taken = {number for number in wanted if wanted.count(number) == 1}
    free = 0
    for key, parts in groups.items():
        if key[0] == "group" and key[2] in taken:
            yield key[2], parts
            continue
        free = next(n for n in range(free + 1, free + len(taken) + 2) if n not in taken)
        yield free, parts


def _with_those_beside(groups: dict[Any, list[_Shape]]) -> dict[Any, list[_Shape]]:
    """Give what lies beside an object to it, where it came first in the file."""
    merged: dict[Any, list[_Shape]] = {}
    for key, parts in groups.items():
        owner = key
        if key[0] == "group" and lies_beside(key[1]):
            same = (k for k in groups if k[0] == "group" and k[2] == key[2] and k != key)
            owner = next(same, key)
        merged.setdefault(owner, []).extend(parts)
    return merged


def _masks(drawn: Drawn, shape: tuple[int, int] | None) -> Iterator[CroppedMask]:
    if drawn.mask is not None:
        yield drawn.mask
    for one in drawn.shapes:
        if one.closed:
            yield area_of_shape(one.vertices, one.kind, shape)
