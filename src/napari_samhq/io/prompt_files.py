"""Reading prompts, in image pixels, from CSV, GeoJSON, COCO and session files."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.geometry import box_around
from napari_samhq.core.prompts import Prompt
from napari_samhq.core.shapes import outline_of_shape, points_along
from napari_samhq.errors import FileError
from napari_samhq.io.atomic import explained
from napari_samhq.io.entries import Entries
from napari_samhq.io.objects import check_image_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from napari_samhq.core.drawn import Drawn
    from napari_samhq.io.session_document import SavedSession

__all__ = ["PROMPT_SUFFIXES", "read_boxes_csv", "read_drawn", "read_points_csv", "read_prompts"]

PROMPT_SUFFIXES = (".csv", ".geojson", ".json", ".samhq.json")
"""Ends of the names of files that :func:`read_prompts` reads."""

_BOX = ("min_row", "min_col", "max_row", "max_col")
_POINT = ("row", "col")
_POINT_EXTRA = ("object", "label")
# The names under which napari saves a Points layer of a single plane.
_SYNONYMS = {"axis-0": "row", "axis-1": "col"}


def read_prompts(
    path: str | Path,
    image_name: str | None = None,
    *,
    shape: tuple[int, int] | None = None,
    plane: Sequence[int] | None = None,
    strict: bool = False,
) -> dict[int, Prompt]:
    """Read prompts from any file that has some.

    Parameters
    ----------
    path : str or Path
        ``.csv`` (points, or boxes if there is a column ``min_row``), ``.geojson`` (points, lines
        and areas, as QuPath writes them), ``.json`` (COCO: boxes), or ``.samhq.json`` (a session:
        the prompts of its objects, finished or not).
    image_name : str, optional
        Which image, where the file has several (COCO).
    shape : tuple of two ints, optional
        Height and width of the image in pixels. With it prompts are cleaned as
        :meth:`Prompt.cleaned` does, areas that are no boxes go along as masks, and files that state
        another size are refused; without it areas give the box around them.
    plane : sequence of int, optional
        Which plane of a stack, where the file has prompts in several (sessions): one index for each
        axis before the rows.
    strict : bool, optional
        Refuse the file if something in it cannot be used, in place of leaving it out.

    Returns
    -------
    dict of int to Prompt
        The prompt of each object, by its label id.

    Raises
    ------
    FileError
        If the file cannot be read, has no prompt in it that can be used, belongs to an image of
        another size, or has several images or planes and nothing says which.

    Warns
    -----
    SamHQWarning
        If entries of the file were left out: how many, the first few, and why.

    Examples
    --------
    >>> from importlib.resources import files
    >>> prompts = read_prompts(files("napari_samhq") / "data" / "nuclei_boxes.csv")
    >>> len(prompts), prompts[1].box.tolist()
    (97, [0.0, 232.0, 22.0, 261.0])
    """
    if Path(path).suffix.lower() == ".csv":
        found = _read_csv(Path(path))
        if shape is None:
            return found
        return _usable({n: p.cleaned for n, p in found.items()}, shape, path, strict)
    drawn = read_drawn(path, image_name, shape=shape, plane=plane, strict=strict)
    if not drawn:
        raise FileError(f"{path} has no prompt in it. Draw points, boxes or lines, and save again.")
    if shape is None:
        return {label_id: _prompt_of(one) for label_id, one in drawn.items()}
    return _usable({n: one.to_prompt for n, one in drawn.items()}, shape, path, strict)


def _usable(
    makers: Mapping[int, Callable[[tuple[int, int]], Prompt]],
    shape: tuple[int, int],
    path: str | Path,
    strict: bool,
) -> dict[int, Prompt]:
    """Make the prompts of an image of this size, and leave out those that say nothing in it."""
    prompts: dict[int, Prompt] = {}
    with Entries.of(path, "object", strict=strict) as entries:
        for label_id, make in makers.items():
            with entries.each(f"object {label_id}"):
                prompts[label_id] = make(shape)
    return prompts


def read_drawn(
    path: str | Path,
    image_name: str | None = None,
    *,
    shape: tuple[int, int] | None = None,
    plane: Sequence[int] | None = None,
    strict: bool = False,
) -> dict[int, Drawn]:
    """Read prompts as they were drawn: points, boxes, lines and polygons.

    Parameters
    ----------
    path, image_name, shape, plane, strict
        As :func:`read_prompts`; CSV files excepted.

    Returns
    -------
    dict of int to Drawn
        By label id, in image pixels. It may be empty.

    Raises
    ------
    FileError
        As :func:`read_prompts`.
    """
    name = Path(path).name.lower()
    if name.endswith(".samhq.json"):
        from napari_samhq.io.session_files import read_session

        return _drawn_in_session(read_session(path), path, shape, plane)
    if name.endswith(".geojson"):
        from napari_samhq.io.geojson_prompts import read_geojson_prompts

        return read_geojson_prompts(path, shape, strict=strict)
    if name.endswith(".json"):
        from napari_samhq.io.coco import read_coco_boxes

        return read_coco_boxes(path, image_name, shape, strict=strict)
    raise FileError(
        f"{path} is no file of prompts. Prompts are read from {', '.join(PROMPT_SUFFIXES)}."
    )


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
        ``max_col`` (image pixels, integers on pixel centres) and ``object`` (whole numbers from 1
        on, each once); other columns are ignored. Without such a line the columns are these, in
        this order; the last may be missing. Tables of objects that were written here serve too.

    Returns
    -------
    dict of int to Prompt
        One prompt per box, by its object; numbered from 1 in the order of the lines where the file
        has no such column.

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
    boxes: dict[int, Prompt] = {}
    for count, (line, row) in enumerate(_rows(path, _BOX, ("object",)), start=1):
        number = _whole(row["object"], "object", path, line) if "object" in row else count
        if number < 1 or number in boxes:
            raise FileError(
                f"{path}, line {line}: object {number}; objects count from 1, and each has one box."
            )
        boxes[number] = Prompt(box=[row[name] for name in _BOX])
    return boxes


def _read_csv(path: Path) -> dict[int, Prompt]:
    """Tell points from boxes by the names of the columns, or how many there are."""
    first = next((cells for _, cells in _lines(path)), None)
    if first is None:
        raise FileError(f"{path} has no prompt in it. Needed are lines of points or boxes.")
    names = {cell.lower() for cell in first}
    if names & set(_BOX):
        return read_boxes_csv(path)
    if all(_is_number(cell) for cell in first) and len(first) == len(_BOX):
        raise FileError(
            f"{path} has four numbers in a line, which could be boxes, or points with their object "
            f"and label. Name the columns in the first line: {', '.join(_BOX)}; or "
            f"{', '.join((*_POINT, *_POINT_EXTRA))}."
        )
    return read_points_csv(path)


def _prompt_of(drawn: Drawn) -> Prompt:
    """Make a prompt without knowing the image: points, points along lines, the box around areas."""
    points = [[(p.row, p.col) for p in drawn.points]]
    labels = [int(p.positive) for p in drawn.points]
    box = None
    for one in drawn.shapes:
        if one.closed:
            box = box_around(outline_of_shape(one.vertices, one.kind))
        else:
            along = points_along(one.vertices).tolist()
            points.append(along)
            labels += [1] * len(along)
    if drawn.mask and box is None and 1 not in labels:
        rows, cols = drawn.mask.region
        box = np.array([rows.start, cols.start, rows.stop, cols.stop]) - 0.5
    listed = [point for part in points for point in part]
    return Prompt(listed or None, labels if listed else None, box)


def _drawn_in_session(
    saved: SavedSession,
    path: str | Path,
    shape: tuple[int, int] | None,
    plane: Sequence[int] | None,
) -> dict[int, Drawn]:
    placed = [(one.plane, one.label_id, one.drawn) for one in saved.objects]
    placed += [
        (where, draft.label_id, draft.drawn)
        for where, drafts in saved.drafts.items()
        for draft in drafts
        if draft.drawn.says_where
    ]
    planes = sorted({(where.axes, where.position) for where, _, _ in placed})
    if plane is not None:
        planes = [one for one in planes if one[1] == tuple(plane)]
    if len(planes) > 1:
        listed = ", ".join(str(position) for _, position in planes[:10])
        raise FileError(
            f"{path} has prompts in {len(planes)} planes, at {listed}. Say which one: --plane "
            "(plane=)."
        )
    for axes, _ in planes:
        check_image_shape([saved.image.shape[axis] for axis in axes], shape, path)
    return {
        label_id: drawn
        for where, label_id, drawn in placed
        if [(where.axes, where.position)] == planes
    }


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
    if "area_px" in names:  # a table of objects, which calls the object by its label id
        names = ["object" if name == "label" else name for name in names]
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
