"""YOLO labels: a text file for each image, a line for each object, a box or a polygon.

As Ultralytics and Darknet write them: the number of the class, then x and y as shares of the
image's width and height, from the outer corner of the first pixel. A box is its middle, width and
height; a polygon its corners. What the classes are called is in a file of the folder:
``classes.txt``, ``obj.names`` or ``data.yaml``.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.geometry.frames import corner_xy_to_rc
from napari_samhq.core.journal.shapes_drawn import Drawn, DrawnShape
from napari_samhq.core.masks.filling import fill_rings
from napari_samhq.core.masks.outlines import one_ring, outline_of
from napari_samhq.errors import FileError
from napari_samhq.io.atomic import explained, replacing
from napari_samhq.io.entries import Entries
from napari_samhq.io.objects import FileObject, box_xywh, check_pixels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

__all__ = [
    "class_names",
    "image_of_yolo",
    "looks_like_yolo",
    "read_yolo",
    "read_yolo_prompts",
    "write_yolo",
]

_LARGEST_BYTES = 2**28
_LIST_NAMES = ("classes.txt", "obj.names", "predefined_classes.txt")
_YAML_NAMES = ("data.yaml", "data.yml", "dataset.yaml")
_DIGITS = 10  # a ten-thousandth of a pixel in the largest of images
_BOX, _BOX_AND_SCORE = 5, 6


def read_yolo(
    path: str | Path,
    shape: tuple[int, int] | None,
    *,
    names: str | Path | None = None,
    strict: bool = False,
) -> list[FileObject]:
    """Read boxes and polygons as objects with an area.

    Parameters
    ----------
    path : str or Path
    shape : tuple of two ints
        Height and width of the image in pixels.
    names : str or Path, optional
        File of the names of classes; one of the usual names beside `path`, or one folder up, when
        left out.
    strict : bool, optional
        Refuse a file with a line that cannot be used, in place of leaving it out.

    Returns
    -------
    list of FileObject
        Numbered from 1 in the order of the lines. Boxes are filled. Classes without a name keep
        their number.

    Raises
    ------
    FileError
        If the file cannot be read, or no line of it makes sense.

    Warns
    -----
    SamHQWarning
        If lines were left out.
    """
    path, shape = Path(path), _known(shape, path)
    called = class_names(path, names)
    objects: list[FileObject] = []
    with Entries.of(path, "line", strict=strict) as entries:
        for number, words in _lines(path):
            with entries.each(f"line {number}"):
                category, corners_xy, score = _parsed(words, shape)
                mask = fill_rings([corners_xy], shape)
                check_pixels(mask, shape, f"line {number}")
                name = called.get(category, str(category))
                objects.append(FileObject(len(objects) + 1, mask, category=name, score=score))
    return objects


def read_yolo_prompts(
    path: str | Path, shape: tuple[int, int] | None, *, strict: bool = False
) -> dict[int, Drawn]:
    """Read boxes and polygons as prompts.

    Parameters
    ----------
    path, shape, strict
        As in :func:`read_yolo`.

    Returns
    -------
    dict of int to Drawn
        A rectangle or polygon for each line, in image pixels, numbered from 1.

    Raises
    ------
    FileError
        As :func:`read_yolo`.
    """
    shape = _known(shape, path)
    prompts: dict[int, Drawn] = {}
    with Entries.of(path, "line", strict=strict) as entries:
        for number, words in _lines(Path(path)):
            with entries.each(f"line {number}"):
                _, corners_xy, _ = _parsed(words, shape)
                corners = tuple((row, col) for row, col in corner_xy_to_rc(corners_xy).tolist())
                kind = "rectangle" if _is_upright(corners_xy) else "polygon"
                prompts[len(prompts) + 1] = Drawn(shapes=(DrawnShape(kind, corners),))
    return prompts


def write_yolo(
    path: str | Path,
    objects: Iterable[FileObject],
    shape: tuple[int, int],
    *,
    boxes: bool = False,
    smooth_px: float = 0.0,
    overwrite: bool = False,
) -> Path:
    """Write the objects of one image.

    Parameters
    ----------
    path : str or Path
        Of the name of the image, and ``.txt``.
    objects : iterable of FileObject
        Those without a category are of the class 0.
    shape : tuple of two ints
        Height and width of the image in pixels.
    boxes : bool, optional
        Write boxes, for detection, in place of polygons.
    smooth_px : float, optional
        How far outlines may move to lose the stairs of the pixels. 0 keeps all pixels.
    overwrite : bool, optional
        Whether a file of this name may be replaced.

    Returns
    -------
    Path

    Raises
    ------
    FileError
        If the file cannot be written, or ``classes.txt`` beside it lacks a category.

    Notes
    -----
    Names of classes are those of ``classes.txt`` beside the file, which is written if there is
    none and the objects have categories. A line is one ring: pieces and holes are joined to it by
    cuts of no width, as Ultralytics does when it converts COCO.
    """
    path = Path(path)
    listed = list(objects)
    numbers, new_names = _numbers_of(path, sorted({one.category for one in listed}))
    lines = []
    for one in listed:
        values = _box(one, shape) if boxes else _ring(one, shape, smooth_px)
        told = " ".join(f"{value:.{_DIGITS}g}" for value in values)
        lines.append(f"{numbers[one.category]} {told}\n")
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
    if new_names:
        with replacing(path.with_name(_LIST_NAMES[0])) as temporary:
            temporary.write_text("".join(f"{name}\n" for name in new_names), encoding="utf-8")
    return path


def class_names(path: Path, names: str | Path | None = None) -> dict[int, str]:
    """Find what the classes of a label file are called.

    Parameters
    ----------
    path : Path
        The label file.
    names : str or Path, optional
        The file of names; looked for beside the label file and one folder up when left out.

    Returns
    -------
    dict of int to str
        Empty where there is no such file.

    Raises
    ------
    FileError
        If `names` is not there, or says no names.
    """
    if names is not None:
        return _names_in(Path(names))
    for folder in (path.parent, path.parent.parent):
        for name in (*_LIST_NAMES, *_YAML_NAMES):
            if (folder / name).is_file() and folder / name != path:
                return _names_in(folder / name)
    return {}


def looks_like_yolo(path: Path) -> bool:
    """Tell whether the first line of a text file could be a box or a polygon of YOLO."""
    try:
        with path.open("rb") as file:
            first = file.read(2**16).decode("ascii").split("\n", 1)[0]
    except (OSError, UnicodeDecodeError):
        return False
    words = first.split()
    if len(words) < _BOX or not words[0].isdigit():
        return False
    try:
        return all(-1 <= float(word) <= 2 for word in words[1:])
    except ValueError:
        return False


def image_of_yolo(path: Path) -> Path | None:
    """Find the image that labels belong to: beside them, or in ``images`` where these are in
    ``labels``.
    """
    from napari_samhq.io.images import IMAGE_SUFFIXES

    folders = [path.parent]
    parts = list(path.parent.parts)
    if "labels" in parts:
        last = len(parts) - 1 - parts[::-1].index("labels")
        folders.append(Path(*parts[:last], "images", *parts[last + 1 :]))
    for folder in folders:
        for suffix in IMAGE_SUFFIXES:
            if (image := folder / (path.stem + suffix)).exists():
                return image
    return None


# ------------------------------------------------------------------------------------------ reading


def _known(shape: tuple[int, int] | None, path: str | Path) -> tuple[int, int]:
    if shape is None:
        raise FileError(
            f"{path} has coordinates that are shares of the image (YOLO). Say how large the image "
            "is (shape=)."
        )
    return shape


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield number and words of the lines with content."""
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            yield number, line.split()


def _parsed(
    words: Sequence[str], shape: tuple[int, int]
) -> tuple[int, NDArray[np.float64], float | None]:
    """Read class, corners (N, 2) in pixels, x and y, and score of a line."""
    category, values = _numbers(words)
    score = None
    if len(words) == _BOX_AND_SCORE or (len(words) > _BOX_AND_SCORE and len(values) % 2):
        score, values = values[-1], values[:-1]
    if len(values) == _BOX - 1:
        corners = _corners(values)
    else:
        corners = np.array(values, dtype=np.float64).reshape(-1, 2)
    return category, corners * (shape[1], shape[0]), score


def _numbers(words: Sequence[str]) -> tuple[int, list[float]]:
    try:
        category = int(words[0])
        values = [float(word) for word in words[1:]]
    except ValueError as error:
        raise FileError(
            f"no label of YOLO ({error}). Needed are the number of a class, and x, y, width and "
            "height of a box or x and y of three corners or more, as shares of the image."
        ) from error
    if category < 0 or len(words) < _BOX:
        raise FileError(
            f"the class {category} and {len(values)} numbers; needed are a class from 0 on, and "
            "four numbers for a box or six and more for a polygon."
        )
    if not all(math.isfinite(value) and -1 <= value <= 2 for value in values):
        raise FileError(
            "numbers that are no shares of the image, from 0 to 1. Divide x by its width and y by "
            "its height."
        )
    return category, values


def _corners(values: Sequence[float]) -> NDArray[np.float64]:
    x, y, width, height = values
    if not (width > 0 and height > 0):
        raise FileError(f"a box of the width {width:g} and the height {height:g}.")
    left, right, top, bottom = x - width / 2, x + width / 2, y - height / 2, y + height / 2
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def _text(path: Path) -> str:
    if not path.is_file():
        raise FileError(f"There is no file {path}. Check the path.")
    with explained("read", path, "Check the permission to read it."):
        if path.stat().st_size > _LARGEST_BYTES:
            raise FileError(f"{path} is larger than {_LARGEST_BYTES >> 20} MiB. Divide it.")
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise FileError(f"{path} is no text file: {error}.") from error


def _names_in(path: Path) -> dict[int, str]:
    text = _text(path)
    if path.suffix.lower() not in (".yaml", ".yml"):
        return dict(enumerate(line.strip() for line in text.splitlines()))
    import yaml

    try:
        content = yaml.safe_load(text)
        names: Any = content["names"]
        pairs = names.items() if isinstance(names, dict) else enumerate(names)
        return {int(number): str(name) for number, name in pairs}
    except (yaml.YAMLError, RecursionError, KeyError, TypeError, ValueError) as error:
        raise FileError(
            f"{path} does not say what the classes are called ({error}). Needed is a list 'names'."
        ) from error


def _is_upright(corners_xy: NDArray[np.float64]) -> bool:
    low, high = corners_xy.min(axis=0), corners_xy.max(axis=0)
    on_edge = np.isclose(corners_xy, low) | np.isclose(corners_xy, high)
    turns = np.isclose(corners_xy, np.roll(corners_xy, 1, axis=0)).sum(axis=1)
    return len(corners_xy) == 4 and bool(on_edge.all()) and bool((turns == 1).all())


# ------------------------------------------------------------------------------------------ writing


def _numbers_of(path: Path, categories: list[str]) -> tuple[dict[str, int], list[str]]:
    """Give each category its number, and the names to write if there is no list of them yet."""
    named = [name for name in categories if name]
    existing = path.with_name(_LIST_NAMES[0])
    if not existing.is_file():
        order = ["object", *named] if named and "" in categories else named
        numbers = {name: number for number, name in enumerate(order)}
        return {"": 0} | numbers, order if named else []
    numbers = {name: number for number, name in _names_in(existing).items()}
    missing = [name for name in named if name not in numbers]
    if missing:
        raise FileError(
            f"{existing} has no class {', '.join(missing[:5])}. Add a line for each, or write into "
            "another folder."
        )
    return {"": 0} | numbers, []


def _box(one: FileObject, shape: tuple[int, int]) -> list[float]:
    height, width = shape
    x, y, across, down = box_xywh(one.mask)
    return [(x + across / 2) / width, (y + down / 2) / height, across / width, down / height]


def _ring(one: FileObject, shape: tuple[int, int], smooth_px: float) -> list[float]:
    outline: Any = outline_of(one.mask)
    ring = one_ring(outline.simplify(smooth_px) if smooth_px > 0 else outline)
    shares: NDArray[np.float64] = ring / (shape[1], shape[0])
    return shares.ravel().tolist()
