"""Reading prompts from CSV files: points, or boxes, in image pixels."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING

from napari_samhq.core.prompts import Prompt
from napari_samhq.errors import FileError
from napari_samhq.io.atomic import explained

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["read_boxes_csv", "read_points_csv"]

_BOX = ("min_row", "min_col", "max_row", "max_col")
_POINT = ("row", "col")
_POINT_EXTRA = ("object", "label")
# The names under which napari saves a Points layer of a single plane.
_SYNONYMS = {"axis-0": "row", "axis-1": "col"}


def read_points_csv(path: str | Path) -> dict[int, Prompt]:
    """Read points, and which object each belongs to.

    Parameters
    ----------
    path : str or Path
        A CSV file. Its first line may name the columns: ``row`` and ``col`` (image pixels, integers
        on pixel centres), ``object`` (a whole number from 1 on; points that share it are prompts of
        one object) and ``label`` (1 on the object, 0 beside it); other columns are ignored.
        Without such a line the columns are these, in this order; the last two may be missing. CSV
        files that napari saves from the points of one plane are understood too.

    Returns
    -------
    dict of int to Prompt
        The prompt of each object, by its number. Where the file has no ``object`` column each
        point is an object of its own, numbered from 1 in the order of the lines.

    Raises
    ------
    FileError
        If the file cannot be read or a line makes no sense; the message has its number.

    Notes
    -----
    A file in which two points, on and beside, say what the first object is, and one point the
    second::

        row, col, object, label
        10, 20, 1, 1
        14, 20, 1, 0
        50, 60, 2, 1
    """
    path = Path(path)
    points: dict[int, list[tuple[float, float]]] = {}
    labels: dict[int, list[int]] = {}
    for count, (line, row) in enumerate(_rows(path, _POINT, _POINT_EXTRA), start=1):
        number = _whole(row["object"], "object", path, line) if "object" in row else count
        label = _whole(row["label"], "label", path, line) if "label" in row else 1
        if number < 1:
            raise FileError(f"{path}, line {line}: object {number}; objects count from 1.")
        if label not in (0, 1):
            raise FileError(
                f"{path}, line {line}: label {label}; needed is 1 (on the object) or 0 (beside)."
            )
        points.setdefault(number, []).append((row["row"], row["col"]))
        labels.setdefault(number, []).append(label)
    for number, of_object in labels.items():
        if 1 not in of_object:
            raise FileError(
                f"{path}: object {number} has only points beside it (label 0). Give each object "
                "at least one point with label 1; the column 'object' says which belong together."
            )
    return {number: Prompt(points[number], labels[number]) for number in sorted(points)}


def read_boxes_csv(path: str | Path) -> dict[int, Prompt]:
    """Read boxes, one per object.

    Parameters
    ----------
    path : str or Path
        A CSV file. Its first line may name the columns ``min_row``, ``min_col``, ``max_row`` and
        ``max_col`` (image pixels, integers on pixel centres); other columns are ignored. Without
        such a line the columns are these four, in this order.

    Returns
    -------
    dict of int to Prompt
        One prompt per box, numbered from 1 in the order of the lines.

    Raises
    ------
    FileError
        If the file cannot be read or a line makes no sense; the message has its number.

    Examples
    --------
    >>> from importlib.resources import files
    >>> boxes = read_boxes_csv(files("napari_samhq") / "data" / "nuclei_boxes.csv")
    >>> len(boxes), boxes[1].box.tolist()
    (97, [0.0, 232.0, 22.0, 261.0])
    """
    path = Path(path)
    rows = enumerate(_rows(path, _BOX, ()), start=1)
    return {number: Prompt(box=[row[name] for name in _BOX]) for number, (_, row) in rows}


def _rows(
    path: Path, needed: tuple[str, ...], extra: tuple[str, ...]
) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield (line number, column name -> number) for each line with content."""
    names: list[str] | None = None
    empty = True
    for line, cells in _lines(path):
        if names is None:
            names = _header(cells, needed, path, line)
            if names is not None:
                continue
            names = [*needed, *extra]
            if not len(needed) <= len(cells) <= len(names):
                raise FileError(
                    f"{path}, line {line}: {len(cells)} values; needed are {', '.join(needed)}"
                    f"{' and perhaps ' + ', '.join(extra) if extra else ''}."
                )
            names = names[: len(cells)]
        if len(cells) != len(names):
            raise FileError(
                f"{path}, line {line}: {len(cells)} values where {len(names)} are needed "
                f"({', '.join(names)})."
            )
        empty = False
        wanted = zip(names, cells, strict=True)
        yield line, {n: _number(c, n, path, line) for n, c in wanted if n in (*needed, *extra)}
    if empty:
        raise FileError(f"{path} has no prompt in it. Needed are lines of {', '.join(needed)}.")


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of the lines that are not blank."""
    if not path.is_file():
        raise FileError(f"There is no file {path}. Check the path.")
    try:
        # utf-8-sig: spreadsheet programs put a byte order mark before the first column's name.
        with (
            explained("read", path, "Check the permission to read it."),
            path.open(newline="", encoding="utf-8-sig") as file,
        ):
            reader = csv.reader(file)
            for cells in reader:
                cells = [cell.strip() for cell in cells]
                if any(cells):
                    yield reader.line_num, cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"{path} is not a CSV file: {error}.") from error


def _header(cells: list[str], needed: tuple[str, ...], path: Path, line: int) -> list[str] | None:
    """Return the names of the columns if this line has names, None if it has numbers."""
    if all(_is_number(cell) for cell in cells):
        return None
    names = [_SYNONYMS.get(cell.lower(), cell.lower()) for cell in cells]
    missing = [name for name in needed if name not in names]
    if missing:
        raise FileError(
            f"{path}, line {line}: no column {', '.join(missing)}; it has {', '.join(cells)}. "
            f"Needed are {', '.join(needed)}."
        )
    if len(set(names)) < len(names):
        raise FileError(f"{path}, line {line}: two columns have the same name.")
    return names


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(cell: str, name: str, path: Path, line: int) -> float:
    if not _is_number(cell) or not math.isfinite(float(cell)):
        raise FileError(f"{path}, line {line}: {name} is '{cell}'; needed is a number.")
    return float(cell)


def _whole(value: float, name: str, path: Path, line: int) -> int:
    if value != int(value):
        raise FileError(f"{path}, line {line}: {name} is {value}; needed is a whole number.")
    return int(value)
