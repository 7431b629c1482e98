"""Writing labelme's JSON: a polygon for each piece of an object, a mask for one with holes."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.masks.outlines import outline_of
from napari_samhq.io.json_files import write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from napari_samhq.core.masks.cropped import CroppedMask
    from napari_samhq.io.objects import FileObject

__all__ = ["write_labelme"]

# What newer programs than this one are told; its files have had this form since then.
_VERSION = "5.4.1"
_OBJECT = "object"


def write_labelme(
    path: str | Path,
    objects: Iterable[FileObject],
    shape: tuple[int, int],
    *,
    image_name: str = "",
    smooth_px: float = 0.0,
    overwrite: bool = False,
) -> Path:
    """Write objects so that labelme opens them beside their image.

    Parameters
    ----------
    path : str or Path
        labelme itself looks for the name of the image, with ``.json``.
    objects : iterable of FileObject
        Their categories, or "object", become labels; their label ids become groups.
    shape : tuple of two ints
        Height and width of the image in pixels.
    image_name : str, optional
        Path of the image, seen from the folder of the file.
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
        If the file cannot be written.

    Notes
    -----
    An object is a polygon for each of its pieces; one with holes, which polygons of labelme cannot
    have, is a mask.
    """
    shapes = [
        {
            "label": one.category or _OBJECT,
            "points": points,
            "group_id": one.label_id or None,
            "description": one.name,
            "shape_type": kind,
            "flags": {},
            "mask": mask,
        }
        | ({} if one.score is None else {"score": one.score})
        for one in objects
        for kind, points, mask in _written(one.mask, smooth_px)
    ]
    content: dict[str, Any] = {
        "version": _VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": image_name,
        "imageData": None,
        "imageHeight": int(shape[0]),
        "imageWidth": int(shape[1]),
    }
    return write_json(path, content, overwrite=overwrite, indent=1)


def _written(mask: CroppedMask, smooth_px: float) -> Iterator[tuple[str, Any, str | None]]:
    """Give the type, the points and the encoded pixels of the shapes of an object."""
    outline: Any = outline_of(mask)
    parts = getattr(outline, "geoms", [outline])
    if any(part.interiors for part in parts):
        last = [mask.left + mask.width - 1, mask.top + mask.height - 1]
        yield "mask", [[mask.left, mask.top], last], _encoded(mask)
        return
    for part in parts:
        if smooth_px > 0:
            part = part.simplify(smooth_px)
        yield "polygon", np.asarray(part.exterior.coords)[:-1].tolist(), None


def _encoded(mask: CroppedMask) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(mask.array().astype(np.uint8) * 255).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
