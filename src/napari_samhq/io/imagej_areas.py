"""Areas of ImageJ's ROIs: rectangles, ovals, outlines and composites as masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.masks.filling import fill_ellipse, fill_rings
from napari_samhq.errors import FileError

if TYPE_CHECKING:
    from napari_samhq.core.masks.cropped import CroppedMask

__all__ = ["fill_roi"]


def fill_roi(roi: Any, shape: tuple[int, int] | None, where: str) -> CroppedMask:
    """Collect the pixels of a ROI: ovals as ellipses, composite ones by the even-odd rule.

    Parameters
    ----------
    roi : roifile.ImagejRoi
    shape : tuple of two ints, optional
        Height and width of the image; what lies outside is left out.
    where : str
        Which ROI, for messages.

    Returns
    -------
    CroppedMask

    Raises
    ------
    FileError
        If it is damaged, or has no area, as points, lines and texts have none.
    """
    import roifile

    kinds, subtypes = roifile.ROI_TYPE, roifile.ROI_SUBTYPE
    if roi.roitype not in (kinds.POLYGON, kinds.RECT, kinds.OVAL, kinds.FREEHAND, kinds.TRACED):
        raise FileError(f"{where} is a {roi.roitype.name}, which has no area.")
    if roi.subtype in (subtypes.TEXT, subtypes.IMAGE):
        raise FileError(f"{where} is a {roi.subtype.name}, which outlines no area.")
    if roi.roitype in (kinds.RECT, kinds.OVAL) and not roi.composite:
        left, top, width, height = roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top
        if roi.subpixelrect:
            left, top, width, height = roi.xd, roi.yd, roi.widthd, roi.heightd
        if roi.roitype == kinds.OVAL:
            centre, axes = [left + width / 2, top + height / 2], [[width / 2, 0], [0, height / 2]]
            return fill_ellipse(centre, axes, shape)
        arc = min(roi.rounded_rect_arc_size, width, height) / 2
        return _rounded(left, top, width, height, max(arc, 0), shape)
    if roi.composite:
        rings = _rings_of_path(roi.multi_coordinates, where)
    else:
        coordinates = np.asarray(roi.coordinates(), dtype=float)
        if len(coordinates) < 3:
            raise FileError(f"{where} has {len(coordinates)} corners; an area needs 3 or more.")
        rings = [coordinates]
    return fill_rings(rings, shape)


def _rounded(
    left: float,
    top: float,
    width: float,
    height: float,
    radius: float,
    shape: tuple[int, int] | None,
) -> CroppedMask:
    """Fill a rectangle, the corners of which may be quarters of a circle."""
    right, bottom = left + width, top + height
    if not radius:
        return fill_rings([[[left, top], [right, top], [right, bottom], [left, bottom]]], shape)
    angle = np.linspace(0, np.pi / 2, 33)
    arc = radius * (1 - np.stack([np.cos(angle), np.sin(angle)], axis=1))  # of the first corner
    corners = [(left, top, 1, 1, 1), (right, top, -1, 1, -1)]
    corners += [(right, bottom, -1, -1, 1), (left, bottom, 1, -1, -1)]
    ring = [np.array([x, y]) + arc[::turn] * [sx, sy] for x, y, sx, sy, turn in corners]
    return fill_rings([np.concatenate(ring)], shape)


def _rings_of_path(path: Any, where: str) -> list[Any]:
    """Read a path of Java's: moves, lines, curves of second and third degree, and ends of rings.

    roifile reads the straight ones; ImageJ writes curves where somebody put ovals together.
    """
    values = [float(value) for value in path]
    rings: list[list[Any]] = []
    place = 0
    while place < len(values):
        length = {0: 2, 1: 2, 2: 4, 3: 6, 4: 0}.get(int(values[place]))
        corners = np.reshape(values[place + 1 : place + 1 + (length or 0)], (-1, 2))
        starts = values[place] == 0
        if length is None or 2 * len(corners) != length or not (rings or starts):
            raise FileError(f"{where} has a path that cannot be read. The file is damaged.")
        if starts:
            rings.append([corners[0]])
        elif length:
            rings[-1].extend(_curve(np.array([rings[-1][-1], *corners])))
        place += 1 + length
    return rings


def _curve(controls: Any) -> Any:
    """Give points on a Bezier curve, as close as pixels; the end alone of a straight line."""
    if len(controls) == 2:
        return controls[1:]
    length = np.hypot(*np.diff(controls, axis=0).T).sum()
    along = np.linspace(0, 1, int(np.clip(2 * length, 8, 4096)))[1:, np.newaxis, np.newaxis]
    points = np.broadcast_to(controls, (len(along), *controls.shape))
    while points.shape[1] > 1:  # de Casteljau
        points = (1 - along) * points[:, :-1] + along * points[:, 1:]
    return points[:, 0]
