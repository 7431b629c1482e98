"""Segmentations of COCO: run-length encodings and polygons, as masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.masks.filling import fill_coco_polygon
from napari_samhq.core.masks.outlines import outline_of
from napari_samhq.core.masks.rle import compress_runs, crop_from_runs, expand_runs, runs_of_crop
from napari_samhq.errors import FileError
from napari_samhq.io.json_files import as_list, as_mapping, as_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_samhq.io.entries import Entries
    from napari_samhq.io.objects import FileObject

__all__ = ["decode", "encode", "polygons_of", "size_of"]

_LARGEST_SIDE_PX = 2**20


def encode(one: FileObject, shape: tuple[int, int]) -> dict[str, Any]:
    """Encode the pixels of an object as compressed runs."""
    return {
        "size": [shape[0], shape[1]],
        "counts": compress_runs(runs_of_crop(one.mask, shape)),
    }


def polygons_of(one: FileObject) -> list[list[float]]:
    """Give the outline of an object as polygons, x and y; a FileError says that it has holes."""
    outline: Any = outline_of(one.mask)
    parts = getattr(outline, "geoms", [outline])
    if any(len(part.interiors) for part in parts):
        raise FileError(
            f"Object {one.label_id} has a hole, which polygons of the COCO format cannot have. "
            "Write run-length encodings instead (polygons=False)."
        )
    return [np.asarray(part.exterior.coords)[:-1].ravel().tolist() for part in parts]


def decode(segmentation: Any, shape: tuple[int, int], where: str, entries: Entries) -> CroppedMask:
    """Read a segmentation of an image of this size; a FileError says what is wrong with it."""
    if isinstance(segmentation, list):
        return _from_polygons(segmentation, shape, where, entries)
    encoding = as_mapping(segmentation, f"{where}: segmentation")
    size = size_of(as_list(encoding.get("size"), f"{where}: size"), "the encoding")
    if size != shape:
        raise FileError(f"{where} is encoded for {size} pixels, but its image has {shape}.")
    counts = encoding.get("counts")
    if isinstance(counts, str):
        runs = expand_runs(counts)
    else:
        listed = as_list(counts, f"{where}: counts")
        runs = [as_number(one, f"{where}: a run", whole=True) for one in listed]
    return crop_from_runs(runs, size)


def _from_polygons(
    polygons: list[Any], shape: tuple[int, int], where: str, entries: Entries
) -> CroppedMask:
    """Fill polygons as pycocotools does; parts that are none are left out where others are."""
    if polygons and not any(isinstance(one, list) for one in polygons):
        raise FileError(
            f"{where}: segmentation is a list of numbers; needed is a list of polygons, each a "
            "list of x, y, x, y ..."
        )
    parts, wrong = [], []
    for polygon in polygons:
        try:
            parts.append(fill_coco_polygon(_corners(polygon, where), shape))
        except FileError as error:
            wrong.append(error)
    if wrong and not parts:
        raise wrong[0]
    for one in wrong:
        with entries.part(where):
            raise one
    return CroppedMask.union(parts)


def _corners(polygon: Any, where: str) -> NDArray[np.float64]:
    values = [
        as_number(v, f"{where}: a coordinate") for v in as_list(polygon, f"{where}: a polygon")
    ]
    if len(values) < 6 or len(values) % 2:
        raise FileError(
            f"{where} has a polygon of {len(values)} numbers; needed are x, y of 3 or more."
        )
    return np.reshape(np.array(values, dtype=np.float64), (-1, 2))


def size_of(values: Sequence[Any], what: str) -> tuple[int, int]:
    """Read height and width of an image, and refuse those that no image has."""
    if len(values) != 2:
        raise FileError(f"The size of {what} is {list(values)}; needed are height and width.")
    height, width = (as_number(v, f"size of {what}", whole=True) for v in values)
    if not (0 < height <= _LARGEST_SIDE_PX and 0 < width <= _LARGEST_SIDE_PX):
        raise FileError(f"The size of {what} is {height} x {width} pixels; no image has it.")
    return height, width
