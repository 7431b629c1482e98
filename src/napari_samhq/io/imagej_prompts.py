"""ImageJ ROIs as prompts: of the ROI Manager (``.roi``, ``.zip``) and of the overlay of a TIFF."""

from __future__ import annotations

from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.geometry.frames import corner_xy_to_rc
from napari_samhq.core.journal.shapes_drawn import Drawn, DrawnPoint, DrawnShape
from napari_samhq.errors import FileError
from napari_samhq.io.atomic import explained
from napari_samhq.io.entries import Entries
from napari_samhq.io.imagej import contents_of_rois, parsed_roi, position_of_roi
from napari_samhq.io.imagej_areas import fill_roi
from napari_samhq.io.nested_prompts import leaves_among
from napari_samhq.io.planes import Position, in_plane

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["has_overlay", "read_imagej_prompts"]

_PATHS = {"LINE": "line", "POLYLINE": "path", "FREELINE": "path"}
_POLYGONS = ("POLYGON", "FREEHAND", "TRACED")


def read_imagej_prompts(
    path: str | Path,
    shape: tuple[int, int] | None = None,
    *,
    plane: Sequence[int] | None = None,
    axes: Mapping[str, int] | None = None,
    strict: bool = False,
) -> dict[int, Drawn]:
    """Read ROIs as prompts.

    Parameters
    ----------
    path : str or Path
        ``.roi``, ``.zip``, or a TIFF that ImageJ saved with an overlay or a selection.
    shape : tuple of two ints, optional
        Height and width of the image; what composite ROIs have outside is cut off.
    plane, axes : optional
        Which plane of a stack, where there are ROIs in several, see
        :func:`~napari_samhq.io.planes.in_plane`.
    strict : bool, optional
        Refuse a file with a ROI that cannot be used, in place of leaving it out.

    Returns
    -------
    dict of int to Drawn
        One object for each ROI, and for each point of a multi-point, numbered from 1 in the order
        of the file. Rectangles and ovals are boxes and ellipses, lines paths; composite ROIs are
        rough masks.

    Raises
    ------
    FileError
        If the file is damaged, or no ROI says anything of an object.

    Warns
    -----
    SamHQWarning
        If ROIs were left out, such as angles, and those that have others inside.
    """
    listed = _overlay(path) if _is_tiff(path) else contents_of_rois(path)
    found: list[Drawn] = []
    positions: list[Position] = []
    with Entries.of(path, "ROI", strict=strict) as entries:
        for name, content in listed:
            with entries.each(name):
                roi = parsed_roi(content, name)
                found += _drawn(roi, shape, f"{name} ({roi.name})" if roi.name else name)
                positions += [position_of_roi(roi)] * (len(found) - len(positions))
    kept = in_plane(positions, plane, axes, path)
    return leaves_among(dict(enumerate(compress(found, kept), start=1)), shape, path)


def has_overlay(path: str | Path) -> bool:
    """Tell whether ImageJ saved ROIs with a TIFF."""
    return _is_tiff(path) and bool(_bytes_of_rois(path))


def _is_tiff(path: str | Path) -> bool:
    return Path(path).suffix.lower() in (".tif", ".tiff")


def _overlay(path: str | Path) -> list[tuple[str, bytes]]:
    listed = _bytes_of_rois(path)
    return [(f"ROI {number}", content) for number, content in enumerate(listed, start=1)]


def _bytes_of_rois(path: str | Path) -> list[bytes]:
    """Read the overlay of a TIFF, or where there is none its selection, without parsing them."""
    import tifffile

    path = Path(path)
    with explained("read", path, "Check the path and the permission to read it."):
        try:
            with tifffile.TiffFile(path) as tiff:
                known: dict[str, Any] = tiff.imagej_metadata or {}
        except (tifffile.TiffFileError, ValueError, IndexError, KeyError, TypeError) as error:
            raise FileError(f"{path} is not a TIFF file, or a damaged one: {error}.") from error
    overlays, selection = known.get("Overlays") or [], known.get("ROI")
    listed = [overlays] if isinstance(overlays, bytes) else list(overlays)
    return listed or ([selection] if isinstance(selection, bytes) else [])


def _drawn(roi: Any, shape: tuple[int, int] | None, where: str) -> Iterator[Drawn]:
    import roifile

    kind = roifile.ROI_TYPE(roi.roitype).name
    if roi.composite:
        yield Drawn(mask=fill_roi(roi, shape, where))
        return
    if kind == "POINT":
        # Whole numbers name pixels; between them ImageJ counts from the corner of the first one.
        points = np.asarray(roi.coordinates(), dtype=float)
        halves = 0.5 if roi.subpixelresolution else 0.0
        for x, y in points.reshape(-1, 2).tolist():
            yield Drawn(points=(DrawnPoint(y - halves, x - halves),))
        return
    if kind in ("RECT", "OVAL"):
        shape_kind = "rectangle" if kind == "RECT" else "ellipse"
        yield Drawn(shapes=(DrawnShape(shape_kind, _vertices(_frame(roi))),))
        return
    if kind not in _PATHS and kind not in _POLYGONS:
        raise FileError(f"{where} is of the kind {kind}, which says nothing of an object.")
    corners = np.asarray(roi.coordinates(), dtype=float)
    if kind in _POLYGONS and len(corners) < 3:
        raise FileError(f"{where} has {len(corners)} corners; an area needs 3 or more.")
    yield Drawn(shapes=(DrawnShape(_PATHS.get(kind, "polygon"), _vertices(corners)),))


def _frame(roi: Any) -> Any:
    """Corners of a rectangle or of the frame of an oval, x and y."""
    if roi.subpixelrect:
        left, top = float(roi.xd), float(roi.yd)
        right, bottom = left + float(roi.widthd), top + float(roi.heightd)
    else:
        left, top, right, bottom = roi.left, roi.top, roi.right, roi.bottom
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _vertices(corners_xy: Any) -> tuple[tuple[float, float], ...]:
    listed = corner_xy_to_rc(np.asarray(corners_xy, dtype=float)).tolist()
    return tuple((row, col) for row, col in listed)
