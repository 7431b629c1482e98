"""Outlines of masks as polygons, and polygons filled again.

Polygons are in the frame of drawing programs: x, y in pixels with (0, 0) in the outer corner of the
first pixel, so the pixel in row r and column c covers x from c to c + 1 and y from r to r + 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.masks.filling import fill_rings
from napari_samhq.core.masks.runs import combined, joined
from napari_samhq.core.masks.tracing import rings_around

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

__all__ = ["fill_polygon", "one_ring", "outline_of", "smooth_outline"]


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
    >>> square = CroppedMask.of([[True] * 3] * 2, (10, 20))
    >>> outline_of(square).bounds, outline_of(square).area
    ((20.0, 10.0, 23.0, 12.0), 6.0)
    """
    import shapely

    shells: list[Any] = []
    holes: list[Any] = []
    for ring in rings_around(mask.runs):
        x, y = ring.T
        turn = (x * np.roll(y, -1) - y * np.roll(x, -1)).sum()
        (shells if turn < 0 else holes).append(shapely.linearrings(ring))
    if len(shells) == 1:
        return shapely.Polygon(shells[0], holes)
    parts = [shapely.Polygon(shell) for shell in shells]
    owned: list[list[Any]] = [[] for _ in parts]
    tree = shapely.STRtree(parts)
    for hole in holes:
        around = tree.query(shapely.Polygon(hole), predicate="covered_by").tolist()
        owned[min(around, key=lambda place: parts[place].area)].append(hole)
    return shapely.MultiPolygon(list(zip(shells, owned, strict=True)))


def smooth_outline(outline: BaseGeometry, tolerance_px: float = 1.0) -> BaseGeometry:
    """Replace the stairs of a traced outline by fewer, straighter edges.

    Parameters
    ----------
    outline : shapely geometry
    tolerance_px : float, optional
        How far the edge may move (Douglas & Peucker, 1973).
    """
    import shapely

    # A ring that begins at its leftmost corner does not lose more than the tolerance there.
    smoothed: BaseGeometry = shapely.simplify(shapely.normalize(outline), tolerance_px)
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
        x, y of the corners; the first one is not repeated at the end.

    Examples
    --------
    >>> import shapely
    >>> ring = one_ring(shapely.box(0, 0, 9, 9) - shapely.box(3, 3, 6, 6))
    >>> len(ring), fill_rings([ring]).area
    (10, 72)
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


def fill_polygon(polygon: BaseGeometry, shape: tuple[int, int] | None = None) -> CroppedMask:
    """Collect the pixels whose centres a polygon covers.

    A centre on an edge belongs to exactly one of two neighbours that share the edge, see
    :mod:`napari_samhq.core.masks.filling`.

    Parameters
    ----------
    polygon : shapely Polygon, MultiPolygon or GeometryCollection
        The union of its polygons, without their holes. A ring that crosses itself follows the
        even-odd rule. Points and lines in a collection have no pixels.
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

    parts = []
    pending = [polygon]
    while pending:
        part: Any = pending.pop()
        if hasattr(part, "geoms"):
            pending.extend(part.geoms)
        elif part.geom_type == "Polygon":
            shell, *holes = (
                fill_rings([shapely.get_coordinates(ring)], shape).runs
                for ring in (part.exterior, *part.interiors)
            )
            hole = joined(holes)
            parts.append(combined(shell, hole, lambda own, its: own & ~its) if len(hole) else shell)
    return CroppedMask.of_runs(joined(parts))
