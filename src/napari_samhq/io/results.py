"""Objects out and in: the end of a file's name says how, whatever the format."""

from __future__ import annotations

from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.display.overlay import objects_table
from napari_samhq.core.labels.run_labels import RunLabels
from napari_samhq.errors import FileError, ImageError, SettingsError
from napari_samhq.io.atomic import replacing
from napari_samhq.io.calibration import Calibration
from napari_samhq.io.json_kinds import is_labelme_file
from napari_samhq.io.labelme import read_labelme
from napari_samhq.io.labelme_writing import write_labelme
from napari_samhq.io.labels import LABEL_SUFFIXES, write_labels
from napari_samhq.io.objects import check_image_shape, objects_of
from napari_samhq.io.planes import Position, in_plane
from napari_samhq.io.yolo import read_yolo, write_yolo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import ArrayLike

    from napari_samhq.io.objects import FileObject

__all__ = [
    "FORMAT_SUFFIXES",
    "OBJECT_SUFFIXES",
    "RESULT_SUFFIXES",
    "check_result_suffix",
    "described",
    "read_objects",
    "write_labels_as",
    "write_table",
]

OBJECT_SUFFIXES = (".json", ".geojson", ".zip", ".txt")
"""Extensions of files of objects: COCO and labelme, GeoJSON, ROIs of ImageJ, YOLO."""

FORMAT_SUFFIXES = {"labelme": ".json", "yolo": ".txt", "yolo-boxes": ".txt"}
"""Formats that share their extension with others, by the name that tells them apart."""

RESULT_SUFFIXES = (*LABEL_SUFFIXES, *OBJECT_SUFFIXES, ".csv")
"""Extensions of the files that :func:`write_labels_as` writes."""


def check_result_suffix(path: str | Path, file_format: str | None = None) -> None:
    """Check that labels can be written to a file of this name, in any of the formats.

    Parameters
    ----------
    path : str or Path
    file_format : str, optional
        One of `FORMAT_SUFFIXES`.

    Raises
    ------
    FileError
        If its extension is not one of `RESULT_SUFFIXES` or that of the format, or it is the name
        of a session.
    """
    path = Path(path)
    if file_format is not None and FORMAT_SUFFIXES.get(file_format) != path.suffix.lower():
        known = ", ".join(f"{name} ({suffix})" for name, suffix in FORMAT_SUFFIXES.items())
        raise FileError(
            f"{path} cannot be written in the format {file_format!r}. Formats that the end of a "
            f"name does not tell are {known}."
        )
    if path.name.lower().endswith(".samhq.json"):
        raise FileError(f"{path} is the name of a session. Labels go into .json (COCO) or others.")
    if path.suffix.lower() not in RESULT_SUFFIXES:
        raise FileError(
            f"Labels cannot be written as '{path.suffix or path.name}'. Let the name end in one "
            f"of {', '.join(RESULT_SUFFIXES)}."
        )


def write_labels_as(
    path: str | Path,
    labels: ArrayLike | RunLabels,
    *,
    table: pd.DataFrame | None = None,
    pixel_size: float | Sequence[float] | None = None,
    unit: str | Sequence[str] | None = None,
    axes: Sequence[str] | None = None,
    image_name: str = "",
    smooth_px: float = 0.0,
    file_format: str | None = None,
    position: Position | None = None,
    overwrite: bool = False,
) -> Path:
    """Write labels in the format that the end of the file's name says.

    Parameters
    ----------
    path : str or Path
        ``.tif``, ``.ome.tif``, ``.png``, ``.npy`` or ``.zarr`` (see
        :func:`~napari_samhq.io.labels.write_labels`), ``.json`` (COCO), ``.labelme.json``,
        ``.geojson`` (QuPath), ``.zip`` (ImageJ), ``.txt`` (YOLO) or ``.csv`` (a table of the
        objects).
    labels : array_like of shape (H, W), int
        0 where there is nothing, otherwise the label id of the object. TIFF, npy and OME-Zarr take
        more axes, rows and columns last. For OME-Zarr, GeoJSON, ImageJ and CSV also zarr and dask
        of any size, which are read in pieces.
    table : pandas.DataFrame, optional
        What is known of the objects: a column ``label`` (or ``label_id``, or an index of that
        name), and any others. Formats keep ``name``, ``category`` and ``score`` as far as they have
        a place for them; CSV and OME-Zarr keep all columns.
    pixel_size : float or sequence of floats, optional
        Size of a pixel along rows and columns, or along each axis.
    unit : str or sequence of str, optional
        Unit of the pixel size, as "um".
    axes : sequence of str, optional
        Names of all axes, such as "z", "y", "x".
    image_name : str, optional
        File name of the image, for COCO and labelme.
    smooth_px : float, optional
        How far outlines may move to lose the stairs of the pixels, in GeoJSON, labelme and YOLO.
        0 keeps all pixels.
    file_format : str, optional
        What the end of the name leaves open, see `FORMAT_SUFFIXES`: "labelme" for any ``.json``,
        "yolo-boxes" for boxes in place of polygons.
    position : Position, optional
        In which plane of a stack the objects lie, for GeoJSON, ImageJ and CSV.
    overwrite : bool, optional
        Whether a file of this name may be replaced.

    Returns
    -------
    Path

    Raises
    ------
    FileError
        If the name has another end, exists already, or cannot be written to.
    ImageError
        If `labels` is none, or has more axes than the format.
    SettingsError
        If the pixel size makes no sense, or `table` does not say which row is which object.

    Examples
    --------
    >>> import tempfile
    >>> labels = np.zeros((8, 8), dtype=int)
    >>> labels[2:5, 3:7] = 4
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_labels_as(Path(folder) / "cells.geojson", labels)
    ...     [(one.label_id, one.mask.left) for one in read_objects(path)]
    [(4, 3)]
    """
    path = Path(path)
    check_result_suffix(path, file_format)
    suffix = path.suffix.lower()
    known = None if table is None else _by_label(table)
    if suffix in LABEL_SUFFIXES:
        properties = {} if known is None else known.to_dict("index")
        return write_labels(
            path,
            labels,
            overwrite=overwrite,
            pixel_size=pixel_size,
            unit=unit,
            axes=axes,
            properties={int(label_id): values for label_id, values in properties.items()},
        )
    ids: Any = labels if hasattr(labels, "dtype") else np.asarray(labels)
    if ids.ndim != 2:
        raise ImageError(
            f"{path.suffix} holds objects of one plane; these labels have the shape {ids.shape}. "
            "Pick a plane, or write .tif or .zarr."
        )
    if suffix == ".csv":
        return write_table(
            path,
            ids,
            table=table,
            pixel_size=pixel_size,
            unit=unit,
            position=position,
            overwrite=overwrite,
        )
    calibration = Calibration.of(2, pixel_size, unit)
    # All channels show the same objects.
    where = replace(position or Position(), c=None)
    objects = [replace(one, position=where) for one in described(objects_of(ids), table)]
    if suffix == ".geojson":
        from napari_samhq.io.geojson import write_geojson

        note: dict[str, Any] = {"image_shape": [int(n) for n in ids.shape]}
        if calibration.known:
            note |= _noted(calibration)
        return write_geojson(path, objects, smooth_px=smooth_px, note=note, overwrite=overwrite)
    if suffix == ".zip":
        from napari_samhq.io.imagej import write_imagej_rois

        return write_imagej_rois(path, objects, overwrite=overwrite)
    shape = (int(ids.shape[0]), int(ids.shape[1]))
    if suffix == ".txt":
        boxes = file_format == "yolo-boxes"
        return write_yolo(
            path, objects, shape, boxes=boxes, smooth_px=smooth_px, overwrite=overwrite
        )
    if file_format == "labelme" or path.name.lower().endswith(".labelme.json"):
        return write_labelme(
            path,
            objects,
            shape,
            image_name=image_name,
            smooth_px=smooth_px,
            overwrite=overwrite,
        )
    from napari_samhq.io.coco import CocoImage, write_coco

    image = CocoImage(image_name or path.stem, shape, tuple(objects))
    return write_coco(path, [image], overwrite=overwrite)


def _noted(calibration: Calibration) -> dict[str, Any]:
    """Note the size of pixels in one unit, or where that cannot be, with that of each axis."""
    sizes = calibration.in_plane()
    if sizes is None:
        return {"pixel_size": list(calibration.pixel_size), "unit": list(calibration.units)}
    return {"pixel_size": list(sizes[0]), "unit": sizes[1]}


def write_table(
    path: str | Path,
    labels: ArrayLike | RunLabels,
    *,
    table: pd.DataFrame | None = None,
    pixel_size: float | Sequence[float] | None = None,
    unit: str | Sequence[str] | None = None,
    position: Position | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the objects of a label image as a CSV table, one per row.

    Parameters
    ----------
    path, labels, table, pixel_size, unit, position, overwrite
        As :func:`write_labels_as`.

    Returns
    -------
    Path
        Columns as :func:`~napari_samhq.core.display.overlay.objects_table` gives them, then those
        of `table`, then ``t`` and ``z`` where these are the axes of the position.
    """
    path = Path(path)
    size = None
    calibration = Calibration.of(2, pixel_size, unit)
    if calibration.known and (known := calibration.in_plane()):
        size = known[0]
    if not isinstance(labels, np.ndarray | list | RunLabels):  # of any size: read in pieces
        lazy: Any = labels
        labels = RunLabels.of(((o.label_id, o.mask) for o in objects_of(lazy)), lazy.shape)
    measured = objects_table(labels, pixel_size=size, unit=calibration.unit)
    if table is not None:
        known = _by_label(table)
        # What was measured of these labels counts more than what somebody said of them.
        more = known.drop(columns=[c for c in known.columns if c in measured.columns])
        measured = measured.join(more, on="label")
    if position is not None and position.c is None:  # as such a table is read as boxes
        places = {name: getattr(position, name) for name in ("t", "z")}
        measured = measured.assign(**{n: i for n, i in places.items() if i is not None})
    with replacing(path, overwrite=overwrite) as temporary:
        measured.to_csv(temporary, index=False)
    return path


def read_objects(
    path: str | Path,
    shape: tuple[int, int] | None = None,
    image_name: str | None = None,
    *,
    plane: Sequence[int] | None = None,
    axes: Mapping[str, int] | None = None,
    strict: bool = False,
) -> list[FileObject]:
    """Read the objects of one image from a COCO, GeoJSON, ImageJ, labelme or YOLO file.

    Parameters
    ----------
    path : str or Path
        ``.json`` (COCO or labelme), ``.geojson``, ``.zip``, ``.roi`` or ``.txt`` (YOLO).
    shape : tuple of two ints, optional
        Height and width of the image; what lies outside is cut off, and files that state another
        size are refused. YOLO needs it.
    image_name : str, optional
        Which image, where a COCO file has several.
    plane, axes : optional
        Which plane of a stack, where the file has objects in several, see
        :func:`~napari_samhq.io.planes.in_plane`.
    strict : bool, optional
        Refuse the file if an object in it cannot be used, in place of leaving it out.

    Raises
    ------
    FileError
        If the file cannot be read, belongs to an image of another size, or has several images or
        planes and nothing says which.

    Warns
    -----
    SamHQWarning
        If objects were left out.
    """
    objects = _objects(path, shape, image_name, strict)
    kept = in_plane([one.position for one in objects], plane, axes, path)
    return [replace(one, position=Position()) for one in compress(objects, kept)]


def _objects(
    path: str | Path, shape: tuple[int, int] | None, image_name: str | None, strict: bool
) -> list[FileObject]:
    """Read the objects of all planes."""
    name = Path(path).name.lower()
    if name.endswith(".geojson"):
        from napari_samhq.io.geojson import read_geojson

        return read_geojson(path, shape, strict=strict)
    if name.endswith((".zip", ".roi")):
        from napari_samhq.io.imagej import read_imagej_rois

        return read_imagej_rois(path, shape, strict=strict)
    if name.endswith(".json") and not name.endswith(".samhq.json"):
        if is_labelme_file(path):
            return read_labelme(path, shape, strict=strict)
        from napari_samhq.io.coco import read_coco_image

        chosen = read_coco_image(path, image_name, strict=strict)
        check_image_shape(chosen.shape, shape, path)
        return list(chosen.objects)
    if name.endswith(".txt"):
        return read_yolo(path, shape, strict=strict)
    raise FileError(
        f"{path} is no file of objects. They are read from {', '.join(OBJECT_SUFFIXES)} and .roi."
    )


def described(objects: Iterable[FileObject], table: pd.DataFrame | None) -> Iterable[FileObject]:
    """Give objects the name, category and score that a table says.

    Parameters
    ----------
    objects : iterable of FileObject
    table : pandas.DataFrame or None
        As for :func:`write_labels_as`.

    Yields
    ------
    FileObject
    """
    known: dict[Any, dict[str, Any]] = {}
    if table is not None:
        known = _by_label(table).to_dict("index")
    for one in objects:
        said = known.get(one.label_id, {})
        score = said.get("score")
        yield replace(
            one,
            name=_text(said.get("name", one.name)),
            category=_text(said.get("category", one.category)),
            score=one.score if score is None or not np.isfinite(score) else float(score),
        )


def _text(value: Any) -> str:
    missing = value is None or (isinstance(value, float) and np.isnan(value))
    return "" if missing else str(value)


def _by_label(table: pd.DataFrame) -> pd.DataFrame:
    """Index a table by label id."""
    for name in ("label", "label_id", "index"):  # napari calls it so in the features of labels
        if name in table.columns:
            table = table.set_index(name)
            break
    else:
        if table.index.name not in ("label", "label_id"):
            raise SettingsError(
                f"The table of objects has the columns {', '.join(map(str, table.columns))}; "
                "needed is 'label', the label id of each object."
            )
    if not table.index.is_unique:
        raise SettingsError("The table of objects has two rows for one label id. Keep one.")
    return table
