"""Reading prompts, in image pixels, from any file that has some: the end of its name says how."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.geometry.frames import box_around
from napari_samhq.core.labels.label_ids import LARGEST_LABEL_ID
from napari_samhq.core.prompts.from_shapes import outline_of_shape, points_along
from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.errors import FileError
from napari_samhq.io import csv_prompts
from napari_samhq.io.cellpose import CELLPOSE_SUFFIX
from napari_samhq.io.entries import Entries
from napari_samhq.io.imagej_prompts import has_overlay, read_imagej_prompts
from napari_samhq.io.json_kinds import is_labelme_file
from napari_samhq.io.label_prompts import read_label_prompts
from napari_samhq.io.labelme import read_labelme_prompts
from napari_samhq.io.labels import LABEL_SUFFIXES
from napari_samhq.io.objects import check_image_shape
from napari_samhq.io.yolo import read_yolo_prompts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_samhq.core.journal.shapes_drawn import Drawn
    from napari_samhq.io.session_document import SavedSession

__all__ = [
    "PROMPT_SUFFIXES",
    "is_table",
    "read_boxes_csv",
    "read_drawn",
    "read_points_csv",
    "read_prompts",
]

PROMPT_SUFFIXES = (
    *(".csv", ".geojson", ".json", ".samhq.json", ".labelme.json", ".zip", ".roi", ".txt"),
    *LABEL_SUFFIXES,
    CELLPOSE_SUFFIX,
)
"""Ends of the names of files that :func:`read_prompts` reads."""


def read_prompts(
    path: str | Path,
    image_name: str | None = None,
    *,
    shape: tuple[int, int] | None = None,
    plane: Sequence[int] | None = None,
    axes: Mapping[str, int] | None = None,
    connected: bool = False,
    strict: bool = False,
) -> dict[int, Prompt]:
    """Read prompts from any file that has some.

    Parameters
    ----------
    path : str or Path
        ``.csv`` (points, or boxes if there is a column ``min_row``; also points and shapes that
        napari saves), ``.geojson`` (points, lines and areas, as QuPath writes them), ``.json``
        (COCO: boxes; labelme), ``.zip`` and ``.roi`` (ImageJ), ``.txt`` (YOLO, which needs
        `shape`), a TIFF with an overlay of ImageJ, any other label image or Cellpose's ``_seg.npy``
        (each object is a rough mask), or ``.samhq.json`` (a session: the prompts of its objects,
        finished or not).
    image_name : str, optional
        Which image, where the file has several (COCO).
    shape : tuple of two ints, optional
        Height and width of the image in pixels. With it prompts are cleaned as
        :meth:`Prompt.cleaned` does, areas that are no boxes go along as cropped masks, and files
        that state another size are refused; without it areas give the box around them. Of several
        areas of one object it is the union.
    plane : sequence of int, optional
        Which plane of a stack, where the file has prompts in several: one index for each axis
        before the rows.
    axes : mapping of str to int, optional
        Names and lengths of these axes, see :func:`~napari_samhq.io.planes.leading_axes`.
    connected : bool, optional
        Make an object of each connected piece of a label image, as of a mask of 0 and 255.
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
    table = csv_prompts.load_table(path) if Path(path).suffix.lower() == ".csv" else None
    if table is not None and not csv_prompts.is_shapes(table):
        read = csv_prompts.boxes_in if csv_prompts.is_boxes(table) else csv_prompts.points_in
        found = read(table, plane, strict=strict)
        if shape is None:
            return found
        return _usable({n: p.cleaned for n, p in found.items()}, shape, path, strict)
    which: dict[str, Any] = {"plane": plane, "axes": axes, "connected": connected}
    drawn = read_drawn(path, image_name, shape=shape, strict=strict, **which)
    if not drawn:
        in_plane = "" if plane is None else f" for plane {', '.join(map(str, plane))}"
        raise FileError(
            f"{path} has no prompt in it{in_plane}. Draw points, boxes or lines, and save again."
        )
    if shape is None:
        without = {n: partial(_prompt_of, one) for n, one in drawn.items()}
        return _usable(without, None, path, strict)
    return _usable({n: one.to_prompt for n, one in drawn.items()}, shape, path, strict)


def is_table(path: str | Path) -> bool:
    """Tell whether a file lists points or boxes as CSV, and no shapes of napari."""
    if Path(path).suffix.lower() != ".csv":
        return False
    return not csv_prompts.is_shapes(csv_prompts.load_table(path))


def _usable(
    makers: Mapping[int, Callable[[Any], Prompt]],
    shape: tuple[int, int] | None,
    path: str | Path,
    strict: bool,
) -> dict[int, Prompt]:
    """Make the prompts of an image of this size, and leave out those that say nothing in it."""
    prompts: dict[int, Prompt] = {}
    with Entries.of(path, "object", strict=strict) as entries:
        for label_id, make in makers.items():
            with entries.each(f"object {label_id}"):
                if label_id > LARGEST_LABEL_ID:
                    raise FileError(
                        f"object {label_id}: label ids of results go up to {LARGEST_LABEL_ID}."
                    )
                prompts[label_id] = make(shape)
    return prompts


def read_drawn(
    path: str | Path,
    image_name: str | None = None,
    *,
    shape: tuple[int, int] | None = None,
    plane: Sequence[int] | None = None,
    axes: Mapping[str, int] | None = None,
    connected: bool = False,
    strict: bool = False,
) -> dict[int, Drawn]:
    """Read prompts as they were drawn: points, boxes, lines and polygons.

    Parameters
    ----------
    path, image_name, shape, plane, axes, connected, strict
        As :func:`read_prompts`; of CSV files those that napari saves from shapes.

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
    if name.endswith(".csv") and csv_prompts.is_shapes(table := csv_prompts.load_table(path)):
        return csv_prompts.shapes_in(table, plane, strict=strict)
    if name.endswith(".samhq.json"):
        from napari_samhq.io.session_files import read_session

        return _drawn_in_session(read_session(path), path, shape, plane)
    if name.endswith(".geojson"):
        from napari_samhq.io.geojson_prompts import read_geojson_prompts

        return read_geojson_prompts(path, shape, plane=plane, axes=axes, strict=strict)
    if name.endswith(".json"):
        return _drawn_in_json(path, image_name, shape, strict)
    if name.endswith((".zip", ".roi")) or has_overlay(path):
        return read_imagej_prompts(path, shape, plane=plane, axes=axes, strict=strict)
    if name.endswith(".txt"):
        return read_yolo_prompts(path, shape, strict=strict)
    if name.endswith((*LABEL_SUFFIXES, CELLPOSE_SUFFIX)):
        return read_label_prompts(path, shape, plane=plane, connected=connected)
    raise FileError(
        f"{path} is no file of prompts. Prompts are read from {', '.join(PROMPT_SUFFIXES)}."
    )


def _drawn_in_json(
    path: str | Path, image_name: str | None, shape: tuple[int, int] | None, strict: bool
) -> dict[int, Drawn]:
    """Read COCO or labelme, which share the extension."""
    if is_labelme_file(path):
        return read_labelme_prompts(path, shape, strict=strict)
    from napari_samhq.io.coco import read_coco_boxes

    return read_coco_boxes(path, image_name, shape, strict=strict)


def read_points_csv(
    path: str | Path, *, plane: Sequence[int] | None = None, strict: bool = False
) -> dict[int, Prompt]:
    """Read points, and which object each belongs to.

    Parameters
    ----------
    path : str or Path
        A CSV file, see :func:`~napari_samhq.io.tables.read_table`. Its first line may name the
        columns: ``row`` and ``col`` (image pixels, integers on pixel centres), ``object`` (a whole
        number from 1 on; points that share it are prompts of one object), ``label`` or ``polarity``
        (1, "object" or "positive" on the object; 0, "background" or "negative" beside it), and
        ``t``, ``z`` or ``plane`` (index of the plane, from 0); other columns are ignored. Without
        such a line the columns are the first four of these, in this order; the last two may be
        missing. CSV files that napari saves from points are understood too: the last two axes are
        rows and columns.
    plane : sequence of int, optional
        Which plane of a stack, one index for each axis before the rows.
    strict : bool, optional
        Refuse the file if a line cannot be used, in place of leaving it out.

    Returns
    -------
    dict of int to Prompt
        The prompt of each object, by its number. Where the file has no ``object`` column each
        point is an object of its own, numbered from 1 in the order of the lines.

    Raises
    ------
    FileError
        If the file cannot be read, no line can be used (the message has its number), or points lie
        in several planes and nothing says which one is meant.

    Warns
    -----
    SamHQWarning
        If lines were left out.

    Notes
    -----
    A file in which two points, on and beside, say what the first object is, and one point the
    second::

        row, col, object, label
        10, 20, 1, 1
        14, 20, 1, 0
        50, 60, 2, 1
    """
    return csv_prompts.points_in(csv_prompts.load_table(path), plane, strict=strict)


def read_boxes_csv(
    path: str | Path, *, plane: Sequence[int] | None = None, strict: bool = False
) -> dict[int, Prompt]:
    """Read boxes, one per object.

    Parameters
    ----------
    path : str or Path
        A CSV file. Its first line may name the columns ``min_row``, ``min_col``, ``max_row`` and
        ``max_col`` (image pixels, integers on pixel centres), ``object`` (whole numbers from 1 on,
        each once), and ``t``, ``z`` or ``plane`` (index of the plane, from 0); other columns are
        ignored. Without such a line the columns are the first five of these, in this order; the
        last may be missing. Tables of objects that were written here serve too, and shapes that
        napari saves, as the boxes around them.
    plane, strict
        As :func:`read_points_csv`.

    Returns
    -------
    dict of int to Prompt
        One prompt per box, by its object; numbered from 1 in the order of the lines where the file
        has no such column.

    Raises
    ------
    FileError
        As :func:`read_points_csv`.

    Examples
    --------
    >>> from importlib.resources import files
    >>> boxes = read_boxes_csv(files("napari_samhq") / "data" / "nuclei_boxes.csv")
    >>> len(boxes), boxes[1].box.tolist()
    (97, [0.0, 232.0, 22.0, 261.0])
    """
    table = csv_prompts.load_table(path)
    if csv_prompts.is_shapes(table):
        shapes = csv_prompts.shapes_in(table, plane, strict=strict)
        return {number: _prompt_of(one) for number, one in shapes.items()}
    return csv_prompts.boxes_in(table, plane, strict=strict)


def _prompt_of(drawn: Drawn, _shape: None = None) -> Prompt:
    """Make a prompt without knowing the image: points, points along lines, the box around areas."""
    points = [[(p.row, p.col) for p in drawn.points]]
    labels = [int(p.positive) for p in drawn.points]
    corners = []
    for one in drawn.shapes:
        if one.closed:
            corners.append(outline_of_shape(one.vertices, one.kind))
        else:
            along = points_along(one.vertices).tolist()
            points.append(along)
            labels += [1] * len(along)
    box = box_around(np.concatenate(corners)) if corners else None
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
