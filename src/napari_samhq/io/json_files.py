"""Reading JSON from anywhere: a cap on its size, and no surprises in it.

NaN and Infinity, which JSON does not know and many programs write, are read; whoever uses a number
refuses them by :func:`as_number`, and whoever does not is not disturbed.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_samhq.errors import FileError
from napari_samhq.io.atomic import explained, replacing

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "as_list",
    "as_mapping",
    "as_number",
    "parse_json",
    "read_json",
    "without_nan",
    "write_json",
]

LARGEST_BYTES = 2**29
_LARGEST_NUMBER = 2**53  # up to here doubles hold each whole number


def read_json(path: str | Path, *, largest_bytes: int = LARGEST_BYTES) -> Any:
    """Read a JSON file that may come from a stranger.

    Parameters
    ----------
    path : str or Path
    largest_bytes : int, optional
        Larger files are refused before they are read.

    Raises
    ------
    FileError
        If the file is missing, too large or no JSON; has the same key twice in one object, or is
        nested too deeply.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError(f"There is no file {path}. Check the path.")
    with explained("read", path, "Check the permission to read it."):
        size = path.stat().st_size
        if size > largest_bytes:
            raise FileError(
                f"{path} has {size / 2**20:.0f} MiB; files up to {largest_bytes / 2**20:.0f} MiB "
                "are read. Divide it into several."
            )
        content = path.read_bytes()
    return parse_json(content, path)


def parse_json(content: bytes, path: Path) -> Any:
    """Parse JSON that came from a file; errors as :func:`read_json`.

    Examples
    --------
    >>> parse_json(b'{"rows": 3}', Path("a.json"))
    {'rows': 3}
    """
    try:
        return json.loads(
            content.decode(json.detect_encoding(content)),
            object_pairs_hook=lambda pairs: _without_repetition(pairs, path),
        )
    except RecursionError as error:
        raise FileError(f"{path} is nested too deeply to be a file of objects.") from error
    except FileError:
        raise
    except (UnicodeDecodeError, ValueError) as error:
        raise FileError(f"{path} is not a JSON file: {error}.") from error


def write_json(
    path: str | Path, content: Any, *, overwrite: bool = False, indent: int | None = None
) -> Path:
    """Write a JSON file, whole or not at all; with an indent it is for people, too.

    Numbers that JSON does not know become null.

    Raises
    ------
    FileError
        If it exists already and `overwrite` is not set, or cannot be written.
    """
    path = Path(path)
    separators = (",", ":") if indent is None else None
    try:
        text = json.dumps(content, separators=separators, indent=indent, allow_nan=False)
    except ValueError:  # a NaN somewhere, which files of others bring along
        plain = without_nan(content)
        text = json.dumps(plain, separators=separators, indent=indent, allow_nan=False)
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def without_nan(value: Any) -> Any:
    """Replace numbers that JSON does not know by None, in lists and mappings too.

    Examples
    --------
    >>> without_nan({"iou": [0.5, float("nan")]})
    {'iou': [0.5, None]}
    """
    if isinstance(value, dict):
        return {key: without_nan(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_mapping(value: Any, where: str) -> dict[str, Any]:
    """Expect a JSON object."""
    if not isinstance(value, dict):
        raise FileError(f"{where} is {_kind(value)}; needed is an object with named values.")
    return value


def as_list(value: Any, where: str) -> list[Any]:
    """Expect a JSON array."""
    if not isinstance(value, list):
        raise FileError(f"{where} is {_kind(value)}; needed is a list.")
    return value


def as_number(value: Any, where: str, *, whole: bool = False) -> Any:
    """Expect a number, or a whole one, of a size that means something in an image."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    sensible = is_number and -_LARGEST_NUMBER <= value <= _LARGEST_NUMBER
    if not sensible or (whole and value != int(value)):
        needed = f"a {'whole ' if whole else ''}number up to 2^53"
        raise FileError(f"{where} is {_kind(value)}; needed is {needed}.")
    return int(value) if whole else float(value)


def _kind(value: Any) -> str:
    names: dict[type, str] = {dict: "an object", list: "a list", type(None): "missing"}
    short = str(value)
    return names.get(type(value), f"{short[:37]}..." if len(short) > 40 else repr(value))


def _without_repetition(pairs: Iterable[tuple[str, Any]], path: Path) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise FileError(f"{path} has the key {key!r} twice in one object.")
        result[key] = value
    return result
