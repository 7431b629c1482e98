"""CSV files of any program: their characters, what separates the columns, the decimal sign."""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_samhq.errors import FileError
from napari_samhq.io.atomic import explained

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Table", "is_number", "read_table"]

_LARGEST_BYTES = 2**29
_SEPARATORS = ("\t", ";", ",", "|")
_LOOKED_AT = 50  # lines, to find out what separates the columns
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAID = re.compile(r'"?sep=(\\t|.)"?', re.IGNORECASE)  # how Excel says what separates
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.I)
_POINT, _COMMA = re.compile(r"\d*\.\d+|\d+\.\d*"), re.compile(r"\d*,\d+|\d+,\d*")
_THOUSANDS = re.compile(r"[1-9]\d{0,2},\d{3}")


@dataclass(frozen=True)
class Table:
    """The cells of a CSV file.

    Attributes
    ----------
    path : str
        The file, for messages.
    names : tuple of str, or None
        The columns in small letters; None where the first line has numbers.
    header : int
        Number of the line that has the names.
    lines : list of (int, list of str)
        Number and cells of each line that is not blank.
    """

    path: str
    names: tuple[str, ...] | None
    header: int
    lines: list[tuple[int, list[str]]]


def is_number(cell: str) -> bool:
    """Tell whether a cell holds a number; NaN and infinity look like one.

    Examples
    --------
    >>> [is_number(cell) for cell in ("1.5", "1,5", "-2e3", "nan", "1_0", "1.000,5", "")]
    [True, True, True, True, False, False, False]
    """
    return bool(_NUMBER.fullmatch(cell))


def read_table(path: str | Path, known: Collection[str] = ()) -> Table:
    """Read a CSV file.

    Columns are separated by commas, semicolons, tabs or ``|``, found from the first lines or said
    by a line such as ``sep=;``. Characters are UTF-8, UTF-16 or UTF-32 with a byte order mark, or
    Latin-1. Blank lines and those that begin with ``#`` are passed over; a comment right above the
    numbers that names all columns counts as their names.

    Parameters
    ----------
    path : str or Path
    known : collection of str
        Names of columns that are looked for.

    Raises
    ------
    FileError
        If it is no such file, or has decimal commas in some lines and points in others.
    """
    path = Path(path)
    lines = _decoded(path).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    separator = _said(lines)
    comments: dict[int, str] = {}
    for index, line in enumerate(lines):
        if line.lstrip(' "').startswith("#"):
            comments[index] = line.strip().strip('"').lstrip("# ")
            lines[index] = ""
    separator = separator or _separator([line for line in lines if line.strip()], known)
    rows = _rows(lines, separator, path)
    if not rows:
        return Table(str(path), None, 0, [])
    number, first = rows[0]
    names = None
    if not all(is_number(cell) for cell in first):
        names, rows = _names(first), rows[1:]
    elif comments:
        above = max((n for n in comments if n < number), default=-1)
        found = _names(next(csv.reader([comments.get(above, "")], delimiter=separator), []))
        if len(found) == len(first) and set(found) & set(known):
            names, number = found, above + 1
    wanted = [names is None or name in known for name in names or first]
    _check_decimals(rows, wanted, separator, path)
    return Table(str(path), names, number, rows)


def _decoded(path: Path) -> str:
    """Read the characters of a file."""
    if not path.is_file():
        raise FileError(f"There is no file {path}. Check the path.")
    with explained("read", path, "Check the permission to read it."):
        if path.stat().st_size > _LARGEST_BYTES:
            raise FileError(f"{path} is larger than {_LARGEST_BYTES // 2**20} MiB. Divide it.")
        content = path.read_bytes()
    encodings = [name for mark, name in _MARKS if content.startswith(mark)][:1]
    zeros = [content[:4096:2].count(0), content[1:4096:2].count(0)]
    if not encodings and max(zeros) > len(content[:4096]) / 4 > 4 * min(zeros):
        encodings = ["utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"]
    for encoding in encodings or ["utf-8", "cp1252"]:
        try:
            text = content.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text.rstrip("\x1a")  # which ended files in DOS
    raise FileError(
        f"{path} is not a CSV file: its characters are neither UTF-8 nor UTF-16 nor Latin-1. Save "
        "it as CSV in UTF-8."
    )


def _said(lines: list[str]) -> str:
    """Take the line away in which Excel says what separates the columns."""
    for index, line in enumerate(lines):
        if line.strip():
            found = _SAID.fullmatch(line.strip(" \r"))
            if found:
                lines[index] = ""
            return "" if found is None else found[1].replace("\\t", "\t")
    return ""


def _separator(lines: list[str], known: Collection[str]) -> str:
    """Find what separates the columns: what gives known names, else numbers in several columns."""
    best, most = ",", (0, 0.0)
    for separator in _SEPARATORS:
        rows = [cells for _, cells in _rows(lines[:_LOOKED_AT], separator, None)]
        named = len(set(_names(rows[0])) & set(known)) if rows else 0
        numeric = [row for row in rows if len(row) > 1 and _all_numbers(row, separator)]
        found = (named, len(numeric) / max(1, len(rows)))
        if found > most:
            best, most = separator, found
    return best


def _all_numbers(row: list[str], separator: str) -> bool:
    return all(is_number(cell) and not (separator == "," and "," in cell) for cell in row)


def _rows(lines: list[str], separator: str, path: Path | None) -> list[tuple[int, list[str]]]:
    """Cut lines into cells; empty ones at the end do not count."""
    reader = csv.reader(
        io.StringIO("\n".join(lines), newline=""), delimiter=separator, skipinitialspace=True
    )
    rows = []
    try:
        for cells in reader:
            row = [cell.strip() for cell in cells]
            if any(row):
                rows.append((reader.line_num, row))
    except csv.Error as error:
        if path is not None:
            raise FileError(f"{path} is not a CSV file: {error}.") from error
    return rows


def _names(cells: list[str]) -> tuple[str, ...]:
    return tuple(cell.strip(" '\"\ufeff").lower() for cell in cells)


def _check_decimals(
    rows: list[tuple[int, list[str]]], wanted: list[bool], separator: str, path: Path
) -> None:
    """Refuse files that use both signs, and those whose commas may separate thousands."""
    cells = [
        (line, cell)
        for line, row in rows
        for cell, counts in zip(row, wanted, strict=False)
        if counts and is_number(cell)
    ]
    commas = [(line, cell) for line, cell in cells if _COMMA.fullmatch(cell.lstrip("+-"))]
    points = [(line, cell) for line, cell in cells if _POINT.fullmatch(cell.lstrip("+-"))]
    if commas and points:
        raise FileError(
            f"{path} has numbers with a comma (line {commas[0][0]}: {commas[0][1]}) and a point "
            f"(line {points[0][0]}: {points[0][1]}), so that one of them may separate thousands. "
            "Save it with one decimal sign, and nothing between thousands."
        )
    large = [(line, cell) for line, cell in commas if _THOUSANDS.fullmatch(cell.lstrip("+-"))]
    # Who writes decimal commas seldom separates columns by them.
    if separator == "," and large and len(large) == len(commas):
        raise FileError(
            f"{path}, line {large[0][0]}: {large[0][1]} may be a decimal number or thousands. Save "
            "it with decimal points, and nothing between thousands."
        )
