"""Outlines of masks as polygons, and polygons filled again.

Polygons are in the frame of drawing programs: x, y in pixels with (0, 0) in the outer corner of the
first pixel, so the pixel in row r and column c covers x from c to c + 1 and y from r to r + 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.masks import CroppedMask
from napari_samhq.errors import FileError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

__all__ = ["fill_polygon", "one_ring", "outline_of", "rings_of", "smooth_outline"]

_ROWS_AT_ONCE = 256  # so that coordinates of all pixels of a large area are never in memory


def outline_of(mask: CroppedMask) -> BaseGeometry:
    """Trace the edges of a mask's pixels.

    Parameters
    ----------
    mask : CroppedMask

    Returns
    -------
    shapely Polygon or MultiPolygon
        Its area is the number of pixels. Pixels that touch at a corner only are parts of their own;
        holes are holes. Filling it gives the mask again, pixel by pixel.

    Examples
    --------
    >>> square = CroppedMask.of(np.ones((2, 3), dtype=bool), (10, 20))
    >>> outline_of(square).bounds, outline_of(square).area
    ((20.0, 10.0, 23.0, 12.0), 6.0)
    """
    import shapely

    inside = np.pad(mask.array(), ((0, 0), (1, 1)))
    steps = np.diff(inside.astype(np.int8), axis=1)
    rows, starts = np.nonzero(steps == 1)  # row by row, so runs and their ends come in pairs
    _, stops = np.nonzero(steps == -1)
    boxes = shapely.box(starts + mask.left, rows + mask.top, stops + mask.left, rows + mask.top + 1)
    # Corners in the middle of a straight edge are left over from the runs; they say nothing.
    outline: BaseGeometry = shapely.simplify(shapely.union_all(boxes), 0)
    return outline


def smooth_outline(outline: BaseGeometry, tolerance_px: float = 1.0) -> BaseGeometry:
    """Replace the stairs of a traced outline by fewer, straighter edges.

    Parameters
    ----------
    outline : shapely geometry
    tolerance_px : float, optional
        How far the edge may move (Douglas & Peucker, 1973).
    """
    import shapely

    smoothed: BaseGeometry = shapely.simplify(outline, tolerance_px)
    return smoothed


def one_ring(outline: BaseGeometry) -> NDArray[np.float64]:
    """Trace an outline of several pieces and holes in one go, for formats that hold one ring.

    From the first ring a cut of no width leads to each of the others and back, between corners
    that are near each other, so that the even-odd rule fills it as before.

    Parameters
    ----------
    outline : shapely Polygon or MultiPolygon

    Returns
    -------
    ndarray of shape (N, 2)
        x, y of the corners; the first one is not repeated at the end. :func:`rings_of` takes it
        apart.

    Examples
    --------
    >>> import shapely
    >>> ring = one_ring(shapely.box(0, 0, 9, 9) - shapely.box(3, 3, 6, 6))
    >>> len(ring), [len(one) for one in rings_of(ring)]
    (10, [4, 4])
    """
    from scipy.spatial import cKDTree

    parts: Any = getattr(outline, "geoms", [outline])
    rings = [
        np.asarray(ring.coords)[:-1] for part in parts for ring in (part.exterior, *part.interiors)
    ]
    first, near = rings[0], cKDTree(rings[0])
    inserted: dict[int, list[NDArray[np.float64]]] = {}
    for ring in rings[1:]:
        distances, places = near.query(ring)
        nearest = int(np.argmin(distances))
        turned = np.roll(ring, -nearest, axis=0)
        place = int(places[nearest])
        inserted.setdefault(place, []).append(np.concatenate([turned, turned[:1], first[[place]]]))
    pieces = []
    for index in range(len(first)):
        pieces += [first[[index]], *inserted.get(index, [])]
    return np.concatenate(pieces)


def rings_of(corners: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Take a ring that touches itself apart, and drop the cuts of no width in it.

    Parameters
    ----------
    corners : ndarray of shape (N, 2)
        x, y; the first one is not repeated at the end.

    Returns
    -------
    list of ndarray of shape (M, 2)
        Rings that pass each of their corners once. A point is inside if it is in an odd number of
        them.
    """
    rings = []
    path: list[tuple[float, float]] = []
    places: dict[tuple[float, float], int] = {}
    for x, y in [*corners.tolist(), corners[0].tolist()]:
        corner = (x, y)
        if corner in places:
            start = places[corner]
            loop = path[start:]
            for one in loop:
                del places[one]
            del path[start:]
            if len(loop) > 2:
                rings.append(np.array(loop))
        places[corner] = len(path)
        path.append(corner)
    return rings


def fill_polygon(polygon: BaseGeometry, shape: tuple[int, int] | None = None) -> CroppedMask:
    """Collect the pixels whose centres a polygon covers.

    Parameters
    ----------
    polygon : shapely Polygon or MultiPolygon
        A self-crossing one follows the even-odd rule.
    shape : tuple of two ints, optional
        Height and width of the image; what lies outside is cut off.

    Returns
    -------
    CroppedMask
        Empty where the polygon covers no pixel centre.

    Raises
    ------
    FileError
        If the polygon is larger than an image could be, or not finite.

    Examples
    --------
    >>> import shapely
    >>> fill_polygon(shapely.box(20, 10, 23, 12)).array().tolist()
    [[True, True, True], [True, True, True]]
    """
    import shapely

    if polygon.is_empty:
        return CroppedMask.of(np.zeros((0, 0), dtype=bool))
    valid = polygon if polygon.is_valid else shapely.make_valid(polygon)
    if shape is not None:
        valid = shapely.clip_by_rect(valid, 0, 0, shape[1], shape[0])
        if valid.is_empty:
            return CroppedMask.of(np.zeros((0, 0), dtype=bool))
    left, top, right, bottom = valid.bounds
    if not np.isfinite([left, top, right, bottom]).all() or (right - left) * (bottom - top) > 2**31:
        raise FileError(
            f"A polygon reaches from x {left:g}, y {top:g} to x {right:g}, y {bottom:g}: more than "
            "any image. Coordinates are needed in pixels of the image."
        )
    start = int(np.floor(top)), int(np.floor(left))
    size = int(np.ceil(bottom)) - start[0], int(np.ceil(right)) - start[1]
    filled = np.zeros(size, dtype=bool)
    shapely.prepare(valid)  # an index of its edges, without which each pixel asks all of them
    columns = start[1] + 0.5 + np.arange(size[1])
    for row in range(0, size[0], _ROWS_AT_ONCE):
        part = filled[row : row + _ROWS_AT_ONCE]
        rows = start[0] + 0.5 + np.arange(row, row + len(part))
        part[:] = shapely.contains_xy(valid, columns[np.newaxis], rows[:, np.newaxis])
    return CroppedMask.of(filled, start)
