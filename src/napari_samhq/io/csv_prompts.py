"""Prompts in CSV files: points, boxes, and the points and shapes layers that napari saves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_samhq.core.journal.shapes_drawn import Drawn, DrawnShape
from napari_samhq.core.labels.label_ids import LARGEST_LABEL_ID
from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.errors import FileError
from napari_samhq.io.entries import Entries
from napari_samhq.io.planes import lies_in
from napari_samhq.io.tables import is_number, read_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_samhq.io.tables import Table

__all__ = ["boxes_in", "is_boxes", "is_shapes", "load_table", "points_in", "shapes_in"]

_BOX = ("min_row", "min_col", "max_row", "max_col")
_POINT = ("row", "col")
_POINT_EXTRA = ("object", "label")
_LEADING = ("t", "z", "plane")  # columns that say in which plane of a stack something lies
_LAYERS = frozenset({"index", "shape-type", "vertex-index", *(f"axis-{n}" for n in range(16))})
_AXIS = re.compile(r"axis-(\d+)")  # how napari calls the columns of coordinates
_POLARITY = ("label", "polarity", "positive", "point_label", "point_labels")
_KNOWN = frozenset({*_BOX, *_POINT, *_POINT_EXTRA, *_LEADING, *_LAYERS, *_POLARITY, "area_px"})
# What the columns of polarity hold, here and elsewhere.
_ON = frozenset({"true", "object", "positive", "foreground", "+", "pos", "fg"})
_BESIDE = frozenset({"false", "background", "negative", "-", "neg", "bg"})
_CORNERS = {"rectangle": 4, "ellipse": 4, "polygon": 3, "path": 2, "line": 2}
_MOST_TOLD = 6


@dataclass(frozen=True)
class _Row:
    """A line: its number, its place among those with content, its cells by column, its plane."""

    line: int
    place: int
    cells: dict[str, str]
    plane: tuple[int, ...]


def load_table(path: str | Path) -> Table:
    """Read a CSV file of prompts.

    Raises
    ------
    FileError
        If it is none, or has nothing in it.
    """
    table = read_table(path, _KNOWN)
    if not table.lines:
        raise FileError(f"{path} has no prompt in it. Needed are lines of points or boxes.")
    return table


def is_shapes(table: Table) -> bool:
    """Tell whether napari saved this from a shapes layer."""
    return table.names is not None and {"shape-type", "vertex-index"} <= set(table.names)


def is_boxes(table: Table) -> bool:
    """Tell boxes from points by the names of the columns, or how many there are.

    Raises
    ------
    FileError
        If it could be both.
    """
    if table.names is not None:
        return bool(set(table.names) & set(_BOX))
    if len(table.lines[0][1]) == len(_BOX):
        raise FileError(
            f"{table.path} has four numbers in a line, which could be boxes, or points with their "
            f"object and label. Name the columns in the first line: {', '.join(_BOX)}; or "
            f"{', '.join((*_POINT, *_POINT_EXTRA))}."
        )
    return False


def points_in(table: Table, plane: Sequence[int] | None, *, strict: bool) -> dict[int, Prompt]:
    """Read points, as :func:`~napari_samhq.io.prompt_files.read_points_csv`."""
    if is_shapes(table):
        raise FileError(
            f"{table.path} has shapes of napari in it, no points. Give it as --prompts."
        )
    points: dict[int, list[list[float]]] = {}
    labels: dict[int, list[int]] = {}
    with Entries.of(table.path, "line", strict=strict) as entries:
        for row in _rows(table, _POINT, _POINT_EXTRA, plane, entries):
            with entries.again(f"line {row.line}"):
                number, label = _object(row), _label(row)
                point = [_number(row, name) for name in _POINT]
                points.setdefault(number, []).append(point)
                labels.setdefault(number, []).append(label)
        for number in sorted(labels):
            if 1 in labels[number]:
                continue
            del points[number]
            for _ in labels[number]:
                with entries.again(f"object {number}"):
                    raise FileError(
                        f"object {number} has only points beside it (label 0). Give each object at "
                        "least one point with label 1; the column 'object' says which belong "
                        "together."
                    )
    return {number: Prompt(points[number], labels[number]) for number in sorted(points)}


def boxes_in(table: Table, plane: Sequence[int] | None, *, strict: bool) -> dict[int, Prompt]:
    """Read boxes, as :func:`~napari_samhq.io.prompt_files.read_boxes_csv`."""
    boxes: dict[int, Prompt] = {}
    with Entries.of(table.path, "line", strict=strict) as entries:
        for row in _rows(table, _BOX, ("object",), plane, entries):
            with entries.again(f"line {row.line}"):
                number = _object(row)
                if number in boxes:
                    raise FileError(f"object {number} has a box already; each has one box.")
                boxes[number] = Prompt(box=[_number(row, name) for name in _BOX])
    return boxes


def shapes_in(table: Table, plane: Sequence[int] | None, *, strict: bool) -> dict[int, Drawn]:
    """Read a shapes layer that napari saved.

    Parameters
    ----------
    table : Table
        With the columns index, shape-type, vertex-index and those of the axes.
    plane : sequence of int, optional
        One index for each axis before the rows.
    strict : bool
        Refuse the file if a shape cannot be used, in place of leaving it out.

    Returns
    -------
    dict of int to Drawn
        Each shape is an object, numbered from 1 in the order of the file.

    Raises
    ------
    FileError
        If the file cannot be read, or has shapes in several planes and nothing says which.
    """
    columns = ("index", "shape-type", "vertex-index", *_POINT)
    with Entries.of(table.path, "shape", strict=strict) as entries:
        grouped: dict[str, list[_Row]] = {}
        for row in _all_rows(table, columns, ()):
            grouped.setdefault(row.cells["index"], []).append(row)
        shapes: list[tuple[_Row, DrawnShape]] = []
        for place, (index, rows) in enumerate(grouped.items(), start=1):
            with entries.each(f"shape {index}"):
                first, *others = (_placed(row) for row in rows)
                if any(row.plane != first.plane for row in others):
                    raise FileError(f"shape {index} lies in several planes; needed is one.")
                first = _Row(first.line, place, first.cells, first.plane)
                shapes.append((first, _shape(rows)))
        chosen = {id(row) for row in _in_plane([row for row, _ in shapes], plane, table.path)}
    return {row.place: Drawn(shapes=(shape,)) for row, shape in shapes if id(row) in chosen}


# --------------------------------------------------------------------------------------------- rows


def _rows(
    table: Table,
    needed: Sequence[str],
    extra: Sequence[str],
    plane: Sequence[int] | None,
    entries: Entries,
) -> list[_Row]:
    """Cut the lines of the plane that is meant into columns."""
    rows = []
    for row in _all_rows(table, needed, extra, entries):
        with entries.again(f"line {row.line}"):
            rows.append(_placed(row))
    _check_labels(rows, table.path)
    return _in_plane(rows, plane, table.path)


def _all_rows(
    table: Table, needed: Sequence[str], extra: Sequence[str], entries: Entries | None = None
) -> list[_Row]:
    """Cut lines into columns by their names; `entries` counts those that can be cut."""
    names = _columns(table, needed, extra)
    wanted = [index for index, name in enumerate(names) if name]
    rows = []
    for place, (line, cells) in enumerate(table.lines, start=1):
        with (entries or Entries(table.path, "line", strict=True)).each(f"line {line}"):
            if len(cells) <= wanted[-1] or any(cells[len(names) :]):
                raise FileError(
                    f"line {line}: {len(cells)} values where {len(names)} are needed "
                    f"({', '.join(name or '...' for name in names)})."
                )
            rows.append(_Row(line, place, {names[i]: cells[i] for i in wanted}, ()))
    return rows


def _columns(table: Table, needed: Sequence[str], extra: Sequence[str]) -> list[str]:
    """Name the columns as they are called here; empty for those that nobody asks for."""
    if table.names is None:
        count = len(table.lines[0][1])
        names = [*needed, *extra]
        if not len(needed) <= count <= len(names):
            more = f" and perhaps {', '.join(extra)}" if extra else ""
            raise FileError(
                f"{table.path}, line {table.lines[0][0]}: {count} values; needed are "
                f"{', '.join(needed)}{more}."
            )
        return names[:count]
    names = list(table.names)
    if "area_px" in names:  # a table of objects, which calls the object by its label id
        names = ["object" if name == "label" else name for name in names]
    elif "label" in extra and "label" not in names:
        other = next((name for name in _POLARITY if name in names), "")
        names = ["label" if name and name == other else name for name in names]
    names = _without_axes(names)
    missing = [name for name in needed if name not in names]
    if missing:
        raise FileError(
            f"{table.path}, line {table.header}: no column {', '.join(missing)}; it has "
            f"{', '.join(name for name in table.names if name)}. Needed are {', '.join(needed)}."
        )
    kept = {*needed, *extra}
    names = [name if name in kept or name.startswith(_LEADING) else "" for name in names]
    if len({name for name in names if name}) < sum(map(bool, names)):
        raise FileError(f"{table.path}, line {table.header}: two columns have the same name.")
    return names


def _without_axes(names: list[str]) -> list[str]:
    """Name napari's axes: the last two are rows and columns, those before them tell the plane."""
    axes = sorted((name for name in names if _AXIS.fullmatch(name)), key=lambda name: int(name[5:]))
    named = dict(zip(axes[-2:], _POINT, strict=False)) if len(axes) >= 2 else {}
    named |= {name: f"plane{number:02d}" for number, name in enumerate(axes[:-2])}
    if set(_POINT) <= set(names):
        return names
    kept = [named.get(name, name) for name in names]
    # What a layer's features are called says nothing of the plane where the axes do.
    return [name if name not in _LEADING or not axes else "" for name in kept]


def _placed(row: _Row) -> _Row:
    """Read the plane of a row from its leading axes."""
    order = [name for name in _LEADING if name in row.cells]
    order += sorted(name for name in row.cells if name.startswith("plane") and name != "plane")
    return _Row(row.line, row.place, row.cells, tuple(round(_number(row, n)) for n in order))


def _in_plane(rows: list[_Row], plane: Sequence[int] | None, path: str) -> list[_Row]:
    """Keep what lies in the plane that is meant.

    Raises
    ------
    FileError
        If there is nothing in it, or there are several and nothing says which.
    """
    planes = sorted({row.plane for row in rows})
    chosen = planes if plane is None else [one for one in planes if lies_in(one, plane)]
    if len(chosen) > 1 or (planes and not chosen):
        listed = ", ".join(map(str, planes[:_MOST_TOLD])) + (", ..." if len(planes) > 6 else "")
        asked = "Say which one" if chosen else f"None of them is {tuple(plane or ())}"
        raise FileError(
            f"{path} has prompts in {len(planes)} planes, at {listed}. {asked}: --plane (plane=), "
            "counted from 0."
        )
    return [row for row in rows if row.plane in chosen]


# -------------------------------------------------------------------------------------------- cells


def _number(row: _Row, name: str) -> float:
    cell = row.cells[name]
    value = float(cell.replace(",", ".")) if is_number(cell) else float("nan")
    if not abs(value) < float("inf"):
        raise FileError(f"line {row.line}: {name} is '{cell[:40]}'; needed is a number.")
    return value


def _object(row: _Row) -> int:
    """Read which object a row belongs to; without such a column each row is one."""
    if "object" not in row.cells:
        return row.place
    value = _number(row, "object")
    if value != int(value):
        raise FileError(f"line {row.line}: object is {value}; needed is a whole number.")
    if value < 1:
        raise FileError(f"line {row.line}: object {int(value)}; objects count from 1.")
    if value > LARGEST_LABEL_ID:
        raise FileError(
            f"line {row.line}: object {int(value)}; label ids go up to {LARGEST_LABEL_ID}."
        )
    return int(value)


def _label(row: _Row) -> int:
    """Read whether a point lies on the object, 1, or beside it, 0."""
    if "label" not in row.cells:
        return 1
    cell = row.cells["label"].lower()
    if cell in _ON or cell in _BESIDE:
        return int(cell in _ON)
    value = _number(row, "label")
    if value not in (0, 1):
        raise FileError(
            f"line {row.line}: label {value:g}; needed is 1 (on the object) or 0 (beside)."
        )
    return int(value)


def _check_labels(rows: list[_Row], path: str) -> None:
    """Refuse a column that is called label and numbers objects, before its 1 is taken for "on"."""
    numbers = [row.cells["label"] for row in rows if "label" in row.cells]
    strange = [
        cell for cell in numbers if is_number(cell) and float(cell.replace(",", ".")) not in (0, 1)
    ]
    if len(numbers) > 2 and 2 * len(strange) > len(numbers):
        raise FileError(
            f"{path}: the column 'label' holds {strange[0]} and other numbers; needed is 1 (on the "
            "object) or 0 (beside). If it numbers the objects, call it 'object'."
        )


def _shape(rows: list[_Row]) -> DrawnShape:
    """Put the corners of a shape together."""
    kind = rows[0].cells["shape-type"].lower()
    index = rows[0].cells["index"]
    corners = sorted(rows, key=lambda row: _number(row, "vertex-index"))
    least = _CORNERS.get(kind, 0)
    fits = len(corners) == least if kind in ("rectangle", "ellipse") else len(corners) >= least
    if not least or not fits:
        needed = ", ".join(f"{name} ({count})" for name, count in _CORNERS.items())
        raise FileError(
            f"shape {index} is a {kind or 'shape'} of {len(corners)} corners; read are {needed} "
            "with so many corners, or more where that makes sense."
        )
    vertices = tuple((_number(row, "row"), _number(row, "col")) for row in corners)
    return DrawnShape(kind, vertices)
