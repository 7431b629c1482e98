"""Regions of interest of any shape: a mask image, or outlines of GeoJSON, ImageJ or labelme."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.masks.outlines import outline_of
from napari_samhq.core.prompts.from_shapes import outline_of_shape
from napari_samhq.core.prompts.outline_masks import OutlineMask
from napari_samhq.errors import FileError
from napari_samhq.io.json_kinds import is_labelme_file
from napari_samhq.io.labels import LABEL_SUFFIXES, plane_of_labels
from napari_samhq.io.objects import check_image_shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_samhq.core.journal.shapes_drawn import Drawn

__all__ = ["WITHIN_SUFFIXES", "read_within"]

_OUTLINES = (".geojson", ".json", ".zip", ".roi")
WITHIN_SUFFIXES = (*_OUTLINES, *LABEL_SUFFIXES)
"""Ends of the names of files that :func:`read_within` reads."""


def read_within(path: str | Path, shape: tuple[int, int]) -> Any:
    """Read the part of an image in which objects are wanted.

    Parameters
    ----------
    path : str or Path
        A mask or label image (TIFF, PNG, npy, OME-Zarr), inside where it is not 0; or outlines:
        GeoJSON, ROIs of ImageJ, labelme. All of a file count.
    shape : tuple of two ints
        Height and width of the image in pixels.

    Returns
    -------
    array of shape (H, W)
        An :class:`~napari_samhq.core.prompts.outline_masks.OutlineMask` of outlines, which takes no
        more memory than they do.

    Raises
    ------
    FileError
        If it cannot be read, has no area in the image, or belongs to an image of another size.
    """
    path = Path(path)
    if not path.exists():
        raise FileError(f"There is no file {path}. Check the path.")
    suffix = path.suffix.lower()
    if suffix in LABEL_SUFFIXES or path.is_dir():
        mask: Any = plane_of_labels(path)
        check_image_shape(mask.shape, shape, path)
        is_empty = not (mask != 0).any()
    elif suffix in _OUTLINES:
        mask, is_empty = _filled(path, shape)
    else:
        raise FileError(f"{path} is no outline. They are read from {', '.join(WITHIN_SUFFIXES)}.")
    if is_empty:
        raise FileError(f"{path} has no area in the image of {shape[0]} x {shape[1]} pixels.")
    return mask


def _filled(path: Path, shape: tuple[int, int]) -> tuple[OutlineMask, bool]:
    import shapely

    parts = [one if one.is_valid else shapely.make_valid(one) for one in _areas(path, shape)]
    outline = shapely.union_all(parts)
    image = shapely.box(0, 0, shape[1], shape[0])
    return OutlineMask(outline, shape), outline.intersection(image).area == 0


def _areas(path: Path, shape: tuple[int, int]) -> Iterator[Any]:
    """Yield the areas of a file as polygons, x and y."""
    name = path.name.lower()
    if name.endswith(".geojson"):
        from napari_samhq.io.geojson import geometry_of, load_features

        features = load_features(path)
        check_image_shape(features.image_shape, shape, path)
        for number, feature in enumerate(features.listed, start=1):
            yield geometry_of(feature, f"{path}: feature {number}")
        return
    if name.endswith((".zip", ".roi")):
        from napari_samhq.io.imagej_prompts import read_imagej_prompts

        drawn = read_imagej_prompts(path, shape)
    elif is_labelme_file(path):
        from napari_samhq.io.labelme import read_labelme_prompts

        drawn = read_labelme_prompts(path, shape)
    else:
        raise FileError(
            f"{path} is JSON, and not of labelme. Save outlines as .geojson, or with labelme."
        )
    for one in drawn.values():
        yield from _areas_of(one)


def _areas_of(drawn: Drawn) -> Iterator[Any]:
    import shapely

    for shape in drawn.shapes:
        if shape.closed:
            corners: Any = outline_of_shape(shape.vertices, shape.kind)
            yield shapely.Polygon(np.asarray(corners)[:, ::-1] + 0.5)
    if drawn.mask:
        yield outline_of(drawn.mask)
