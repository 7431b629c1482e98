"""Files as napari's readers give them: layer data, without napari.

Label images become labels layers with the size of their pixels; objects become labels layers, too,
with their names, classes and scores as features; what has no area becomes points and shapes.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import FileError, ImageError, SamHQWarning
from napari_samhq.io.calibration import Calibration
from napari_samhq.io.decoding import CheckedArray
from napari_samhq.io.entries import Entries
from napari_samhq.io.json_kinds import is_labelme_file, sniffed
from napari_samhq.io.labelme import read_labelme_layers
from napari_samhq.io.labels import LABEL_SUFFIXES, read_labels
from napari_samhq.io.names import image_stem
from napari_samhq.io.objects import labels_of, smallest_type
from napari_samhq.io.ome_zarr import is_label_group
from napari_samhq.io.ome_zarr_layers import is_zarr, placed, read_image_layers
from napari_samhq.io.ome_zarr_plates import about_group
from napari_samhq.io.planes import Position, stack_lengths, stack_positions
from napari_samhq.io.yolo import image_of_yolo, looks_like_yolo, read_yolo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from napari_samhq.core.journal.shapes_drawn import Drawn
    from napari_samhq.io.geojson import Features
    from napari_samhq.io.objects import FileObject

__all__ = ["LARGEST_LABELS_PX", "LayerData", "is_readable", "read_layer_data"]

LayerData = tuple[Any, dict[str, Any], str]

LARGEST_LABELS_PX = 2**30
_POLARITIES = {True: "object", False: "background"}
_SYMBOLS = {True: "disc", False: "cross"}


def is_readable(path: str | Path) -> bool:
    """Tell whether :func:`read_layer_data` knows a file, as quickly as can be.

    Names that only one format has are enough; a ``.json`` must look like COCO instances or labelme,
    a ``.txt`` like YOLO, with its image where such images are, and a
    ``.zip`` must hold ROIs of ImageJ.

    Parameters
    ----------
    path : str or Path
        A file, or the folder of a zarr.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith(".samhq.json"):
        return False
    if name.endswith((".geojson", ".roi")):
        return True
    if path.is_dir():
        return is_zarr(path)
    if name.endswith(".json"):
        return _looks_like_coco(path) or is_labelme_file(path)
    if name.endswith(".txt"):
        return looks_like_yolo(path) and image_of_yolo(path) is not None
    if name.endswith(".zip"):
        return _holds_rois(path)
    return path.suffix.lower() in LABEL_SUFFIXES


def read_layer_data(path: str | Path, *, strict: bool = False) -> list[LayerData]:
    """Read a file as layers.

    Parameters
    ----------
    path : str or Path
        COCO, GeoJSON, ROIs of ImageJ, labelme, YOLO (beside its image), Cellpose's ``_seg.npy``, a
        label image (TIFF, PNG, npy, OME-Zarr), or an image, a plate or series of OME-Zarr.
    strict : bool, optional
        Refuse a file in which an object cannot be used, in place of leaving it out.

    Returns
    -------
    list of (data, options, kind)
        Labels layers, one for each image of the file; their features have a row for each object,
        with its ``index``, ``name``, ``category`` and ``score``. Points and lines, and boxes
        without a mask, become points and shapes with the features ``object`` and ``polarity``.
        Images become image layers, see :mod:`napari_samhq.io.ome_zarr_layers`.

    Raises
    ------
    FileError, ImageError
        If it cannot be read.

    Warns
    -----
    SamHQWarning
        If objects overlap (labels hold one of them in each pixel), or were left out.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith(".geojson"):
        return _of_geojson(path, strict)
    if name.endswith(".json"):
        return _of_labelme(path, strict) if is_labelme_file(path) else _of_coco(path, strict)
    if name.endswith(".txt"):
        return _of_yolo(path, strict)
    if name.endswith((".zip", ".roi")):
        from napari_samhq.io.imagej import read_imagej_rois

        return [_labels_layer(read_imagej_rois(path, strict=strict), None, image_stem(path.name))]
    return _of_zarr(path) if path.is_dir() else [_of_label_image(path)]


# --------------------------------------------------------------------------------------- what it is


def _looks_like_coco(path: Path) -> bool:
    """Look for the two lists that all such files have, without parsing what may be large."""
    text = sniffed(path)
    opens = text.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    return opens and all(word in text for word in (b'"images"', b'"annotations"'))


def _holds_rois(path: Path) -> bool:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.lower().endswith(".roi") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


# ------------------------------------------------------------------------------------------ reading


def _of_label_image(path: Path) -> LayerData:
    found = read_labels(path)
    # Zarr arrays stay where they are; napari knows no other array that is read piece by piece.
    if isinstance(found.labels, CheckedArray):
        labels = found.labels.array
    else:
        labels = np.asarray(found.labels[...])
        if labels.size and labels.min() < 0:
            raise ImageError(
                f"{path} holds negative values, down to {labels.min()}; label ids are 0 or more. "
                "Set to 0 what is no object, or open it as an image."
            )
    options: dict[str, Any] = {"name": image_stem(path.name)}
    if found.calibration is not None:
        options |= placed(found.calibration)
    if found.properties:
        import pandas as pd

        rows = [{"index": n, **values} for n, values in found.properties.items()]
        options["features"] = pd.DataFrame(rows)
    return labels, options, "labels"


def _of_zarr(path: Path) -> list[LayerData]:
    """Open labels, or images with the labels that lie in their folder."""
    if is_label_group(path):
        return [_of_label_image(path)]
    layers = read_image_layers(path)
    listed = about_group(path / "labels").get("labels") if is_zarr(path / "labels") else None
    for name in listed if isinstance(listed, list) else []:
        inside = path / "labels" / str(name)
        if inside.resolve().is_relative_to(path.resolve()) and is_label_group(inside):
            layers.append(_of_label_image(inside))
    return layers


def _of_geojson(path: Path, strict: bool) -> list[LayerData]:
    from napari_samhq.io.geojson import load_features, objects_in
    from napari_samhq.io.geojson_prompts import prompts_in

    areas, others = load_features(path).split()
    name, layers = image_stem(path.name), []
    with Entries.of(path, "feature", strict=strict) as entries:
        objects = objects_in(areas, areas.image_shape, entries)
        prompts = prompts_in(others, None, entries)
    if objects:
        data, options, kind = _labels_layer(objects, areas.image_shape, name)
        layers.append((data, options | _noted_placement(areas, data.ndim), kind))
    layers += _prompt_layers(prompts, name, lambda ndim: _noted_placement(others, ndim))
    if not layers:
        raise FileError(f"{path} has no feature in it.")
    return layers


def _noted_placement(features: Features, ndim: int) -> dict[str, Any]:
    size, unit = features.note.get("pixel_size"), features.note.get("unit")
    if not isinstance(size, list) or not isinstance(unit, str | list):
        return {}
    try:
        return placed(Calibration.of(ndim, size, unit))
    except (
        ValueError,
        TypeError,
        OverflowError,
    ):  # SettingsError is one; a note that makes no sense is none
        return {}


def _of_coco(path: Path, strict: bool) -> list[LayerData]:
    from napari_samhq.io.coco import read_coco

    layers: list[LayerData] = []
    for image in read_coco(path, boxes_alone=True, strict=strict):
        name = image_stem(image.file_name) or image_stem(path.name)
        if image.objects or not image.boxes:
            layers.append(_labels_layer(image.objects, image.shape, name))
        boxes = [(Position(), label_id, one) for label_id, one in image.boxes.items()]
        layers += _prompt_layers(boxes, name, lambda _: {})
    return layers


def _of_labelme(path: Path, strict: bool) -> list[LayerData]:
    objects, prompts, shape = read_labelme_layers(path, strict=strict)
    name = image_stem(path.name.removesuffix(".json"))
    layers = [_labels_layer(objects, shape, name)] if objects or not prompts else []
    drawn = [(Position(), label_id, one) for label_id, one in prompts.items()]
    return layers + _prompt_layers(drawn, name, lambda _: {})


def _of_yolo(path: Path, strict: bool) -> list[LayerData]:
    from napari_samhq.io.images import open_image

    image = image_of_yolo(path)
    if image is None:
        raise FileError(
            f"{path} has no image beside it, and its numbers are shares of one. Put the image of "
            "the same name into the same folder."
        )
    shape = open_image(image).shape
    return [_labels_layer(read_yolo(path, shape, strict=strict), shape, path.stem)]


def _labels_layer(
    objects: Iterable[FileObject], shape: tuple[int, int] | None, name: str
) -> LayerData:
    import pandas as pd

    listed = list(objects)
    positions = stack_positions([one.position for one in listed], {}, name)
    listed = [replace(one, position=p) for one, p in zip(listed, positions, strict=True)]
    reach = [(one.mask.top + one.mask.height, one.mask.left + one.mask.width) for one in listed]
    size = shape or tuple(max(one) for one in zip(*reach, strict=True)) or (1, 1)
    stack = stack_lengths(positions)
    if math.prod((*stack.values(), *size)) > LARGEST_LABELS_PX:
        raise FileError(
            f"{name}: the objects reach over {' x '.join(map(str, (*stack.values(), *size)))} "
            "pixels, too many for a labels layer. In Python, read_objects of "
            "napari_samhq.io.results gives them one by one."
        )
    labels, overlapping = _painted(listed, stack, size)
    if overlapping > 0:
        warnings.warn(
            f"{name}: {overlapping} pixels belong to several objects, or lie outside of the image. "
            "A labels layer holds one object in each; the later one is on top.",
            SamHQWarning,
            stacklevel=4,
        )
    listed = list({one.label_id: one for one in reversed(listed)}.values())[::-1]
    rows = {
        "index": [one.label_id for one in listed],
        "name": [one.name for one in listed],
        "category": [one.category for one in listed],
        "score": [math.nan if one.score is None else one.score for one in listed],
    }
    return labels, {"name": name, "features": pd.DataFrame(rows)}, "labels"


def _painted(
    objects: Sequence[FileObject], stack: Mapping[str, int], size: tuple[int, int]
) -> tuple[Any, int]:
    """Paint objects into their planes; and count the pixels that belong to several, or to none."""
    by_plane: dict[tuple[int, ...], list[FileObject]] = {}
    for one in objects:
        said = [getattr(one.position, axis) for axis in stack]
        ranges = [range(stack[a]) if n is None else [n] for a, n in zip(stack, said, strict=True)]
        for plane in product(*ranges):
            by_plane.setdefault(plane, []).append(replace(one, position=Position()))
    highest = max((one.label_id for one in objects), default=0)
    labels = np.zeros((*stack.values(), *size), smallest_type(highest + len(objects)))
    for plane, listed in by_plane.items():
        labels[plane] = labels_of(listed, size)
    total = sum(one.mask.area for listed in by_plane.values() for one in listed)
    return labels, total - int(np.count_nonzero(labels))


def _prompt_layers(
    prompts: Iterable[tuple[Position, int, Drawn]],
    name: str,
    placement: Callable[[int], dict[str, Any]],
) -> list[LayerData]:
    """Make points and shapes of prompts, in their planes; `placement` says how large pixels are."""
    import pandas as pd

    listed = list(prompts)
    stack = stack_lengths([position for position, _, _ in listed])
    # What lies all along an axis is shown in its first plane: points lie somewhere.
    where = [[getattr(position, axis) or 0 for axis in stack] for position, _, _ in listed]
    points = [(n, i, p) for (_, i, one), n in zip(listed, where, strict=True) for p in one.points]
    shapes = [(n, i, s) for (_, i, one), n in zip(listed, where, strict=True) for s in one.shapes]
    placed = placement(2 + len(stack))
    layers: list[LayerData] = []
    if points:
        rows = {
            "object": [label_id for _, label_id, _ in points],
            "polarity": [_POLARITIES[point.positive] for _, _, point in points],
        }
        options = {
            **placed,
            "name": f"{name} points",
            "features": pd.DataFrame(rows),
            "symbol": [_SYMBOLS[point.positive] for _, _, point in points],
        }
        layers.append(
            (np.array([(*plane, p.row, p.col) for plane, _, p in points]), options, "points")
        )
    if shapes:
        options = {
            **placed,
            "name": f"{name} shapes",
            "features": pd.DataFrame({"object": [label_id for _, label_id, _ in shapes]}),
            "shape_type": [shape.kind for _, _, shape in shapes],
            "face_color": "transparent",
        }
        layers.append(
            (
                [np.array([(*plane, *v) for v in shape.vertices]) for plane, _, shape in shapes],
                options,
                "shapes",
            )
        )
    return layers
