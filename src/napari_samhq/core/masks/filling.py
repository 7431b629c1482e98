"""Fill rings and ellipses, in time and memory of their outlines.

x and y are in the frame of drawing programs: pixels, with (0, 0) in the outer corner of the first
one. A pixel is inside if its centre is. A centre on an edge belongs to what lies to the right of
the edge, or below it where the edge is level, as in Java's drawing, and so in ImageJ and QuPath: of
neighbours that share an edge exactly one has the pixel, whichever way the edge is drawn.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.masks.runs import toggled, transposed
from napari_samhq.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["fill_coco_polygon", "fill_ellipse", "fill_rings"]

_FARTHEST_PX = 2**21  # a side of the largest image that may be meant, where its size is not known
_FARTHEST_COORDINATE = 2.0**40  # past it a double no longer tells parts of a pixel apart
_MOST_CROSSINGS = 2**26  # of edges and rows: half a gigabyte
_AT_ONCE = 2**20
# Places are rounded to this part of a pixel, so that an edge that was computed twice in two ways
# (from micrometres, or in pieces) still has its pixel centres on one side.
_ROUNDED = 1024.0
_TIE = 1e-9  # so near to its edge a pixel centre lies on an ellipse: what rounding leaves
_COCO_SCALE = 5.0  # steps of pycocotools to a pixel
_NONE = CroppedMask.of_runs(np.zeros((0, 3), dtype=np.int64))


def fill_rings(rings_xy: Sequence[ArrayLike], shape: tuple[int, int] | None = None) -> CroppedMask:
    """Collect the pixels that rings enclose by the even-odd rule.

    Parameters
    ----------
    rings_xy : sequence of array_like of shape (N, 2)
        x and y of the corners of each ring, in order, in either direction. The last corner is
        joined to the first one; repeated ones change nothing.
    shape : tuple of two ints, optional
        Height and width of the image; what lies outside is left out, and takes no time.

    Returns
    -------
    CroppedMask
        Empty where no pixel centre is inside.

    Raises
    ------
    FileError
        If a coordinate is not finite, or the rings are larger, or more jagged, than anything in
        an image could be.

    Examples
    --------
    >>> left, right = ([[x, 0.5], [x + 2, 0.5], [x + 2, 2.5], [x, 2.5]] for x in (0.5, 2.5))
    >>> fill_rings([left]).region, fill_rings([right]).region
    ((slice(0, 2, None), slice(0, 2, None)), (slice(0, 2, None), slice(2, 4, None)))
    """
    rings = [np.asarray(ring, dtype=np.float64).reshape(-1, 2) for ring in rings_xy]
    rings = [ring for ring in rings if len(ring) > 2]
    if not rings:
        return _NONE
    _check(np.concatenate(rings), shape)
    starts = np.concatenate(rings)
    stops = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    # Each edge is taken from its upper end, so that both of its sides reckon with the same numbers.
    upwards = starts[:, 1] > stops[:, 1]
    starts[upwards], stops[upwards] = stops[upwards], starts[upwards]
    first, last = _first_pixel(starts[:, 1]), _first_pixel(stops[:, 1])
    if shape is not None:
        first, last = np.clip(first, 0, shape[0]), np.clip(last, 0, shape[0])
    counts = last - first
    edges = np.flatnonzero(counts > 0)
    if counts[edges].sum() > _MOST_CROSSINGS:
        raise FileError(
            f"An outline of {len(starts)} edges crosses {counts[edges].sum()} rows of pixels; up "
            f"to {_MOST_CROSSINGS} are taken. Make it simpler."
        )
    rows, columns = [], []
    for some in _pieces(edges, counts):
        row = _ranges(first[some], counts[some])
        (x0, y0), (x1, y1) = (
            np.repeat(ends[some], counts[some], axis=0).T for ends in (starts, stops)
        )
        along = np.clip(((row + 0.5) - y0) / (y1 - y0), 0, 1)
        column = _first_pixel(x0 + along * (x1 - x0))
        rows.append(row)
        columns.append(column if shape is None else np.clip(column, 0, shape[1]))
    if not rows:
        return _NONE
    return CroppedMask.of_runs(toggled(np.concatenate(rows), np.concatenate(columns)))


def fill_ellipse(
    centre_xy: ArrayLike, half_axes_xy: ArrayLike, shape: tuple[int, int] | None = None
) -> CroppedMask:
    """Collect the pixels of an ellipse, with those whose centres lie on its edge, as ImageJ does.

    Parameters
    ----------
    centre_xy : array_like of shape (2,)
    half_axes_xy : array_like of shape (2, 2)
        From the centre to the middles of two neighbouring sides of the rectangle, or parallelogram,
        that the ellipse touches.
    shape : tuple of two ints, optional
        As in :func:`fill_rings`.

    Returns
    -------
    CroppedMask
        Empty where the ellipse covers no pixel centre, or has no width.

    Raises
    ------
    FileError
        As :func:`fill_rings`.

    Examples
    --------
    >>> fill_ellipse([2, 2], [[2, 0], [0, 2]]).array().astype(int).tolist()
    [[0, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1], [0, 1, 1, 0]]
    """
    centre = np.asarray(centre_xy, dtype=np.float64)
    axes = np.asarray(half_axes_xy, dtype=np.float64)
    reach = np.hypot(*axes)
    _check(np.stack([centre - reach, centre + reach]), shape)
    low, high = centre[1] - reach[1], centre[1] + reach[1]
    top, bottom = math.ceil(low - 0.5 - _TIE), math.floor(high - 0.5 + _TIE) + 1
    if shape is not None:
        top, bottom = max(top, 0), min(bottom, shape[0])
    flat = abs(np.linalg.det(axes)) <= _TIE
    rows = np.arange(top, top if flat else max(top, bottom))
    if not rows.size:
        return _NONE
    # A point is inside where its place along the two half axes lies in the unit circle.
    (p, q), (r, s) = np.linalg.inv(axes.T)
    down = rows + 0.5 - centre[1]
    middle = -(p * q + r * s) * down / (p * p + r * r)
    squared = middle**2 - ((q * q + s * s) * down**2 - 1) / (p * p + r * r)
    half = np.sqrt(np.maximum(squared, 0))
    first = np.ceil(centre[0] + middle - half - 0.5 - _TIE).astype(np.int64)
    last = np.floor(centre[0] + middle + half - 0.5 + _TIE).astype(np.int64) + 1
    if shape is not None:
        first, last = np.clip(first, 0, shape[1]), np.clip(last, 0, shape[1])
    inside = (last > first) & (squared > -_TIE)
    return CroppedMask.of_runs(np.stack([rows, first, last], axis=1)[inside].astype(np.int64))


def fill_coco_polygon(polygon_xy: ArrayLike, shape: tuple[int, int]) -> CroppedMask:
    """Collect the pixels that pycocotools gives a polygon, each of them.

    Corners are rounded to a fifth of a pixel, and each edge to a chain of such steps; a column is
    inside between the places where chains cross its middle (Lin et al., ECCV 2014, COCO API).

    Parameters
    ----------
    polygon_xy : array_like of shape (N, 2)
        x and y of the corners.
    shape : tuple of two ints
        Height and width of the image; what lies outside is left out.

    Returns
    -------
    CroppedMask

    Raises
    ------
    FileError
        As :func:`fill_rings`.

    Examples
    --------
    >>> fill_coco_polygon([[0, 0], [3, 0], [3, 2], [0, 2]], (4, 4)).array().shape
    (2, 3)
    """
    corners = np.asarray(polygon_xy, dtype=np.float64).reshape(-1, 2)
    if len(corners) < 3:
        return _NONE
    _check(corners, shape)
    fine = np.trunc(_COCO_SCALE * corners + 0.5).astype(np.int64)
    starts, stops = fine, np.roll(fine, -1, axis=0)
    size = np.abs(stops - starts)
    flat = size[:, 0] >= size[:, 1]
    lengths = size.max(axis=1)
    if lengths.sum() > _MOST_CROSSINGS or lengths.max(initial=0) > 4 * _AT_ONCE:
        # It goes on far outside of the image, which is not worth the steps.
        return fill_rings([corners], shape)
    axis = np.where(flat, 0, 1)
    each = np.arange(len(fine))
    turned = starts[each, axis] > stops[each, axis]
    low, high = np.where(turned[:, None], stops, starts), np.where(turned[:, None], starts, stops)
    slope = (high - low)[each, 1 - axis] / np.maximum(lengths, 1)
    columns, rows = [], []
    for some in _pieces(np.flatnonzero(lengths > 0), lengths):
        count = lengths[some]
        step = _ranges(np.zeros(len(some), dtype=np.int64), count)  # of each step the first point
        edge = np.repeat(some, count)
        (x0, y0), (x1, y1) = (_chain(low, slope, flat, edge, at) for at in (step, step + 1))
        crossing = x0 != x1
        column = np.minimum(x0, x1)[crossing]
        row = np.minimum(y0, y1)[crossing]
        middle = (column - int(_COCO_SCALE) // 2) % int(_COCO_SCALE) == 0
        column = column[middle] // int(_COCO_SCALE)
        row = np.ceil(np.clip((row[middle] + 0.5) / _COCO_SCALE - 0.5, 0, shape[0]))
        within = (column >= 0) & (column < shape[1])
        columns.append(column[within])
        rows.append(row[within].astype(np.int64))
    if not columns:
        return _NONE
    return CroppedMask.of_runs(transposed(toggled(np.concatenate(columns), np.concatenate(rows))))


def _chain(
    low: NDArray[np.int64],
    slope: NDArray[np.float64],
    flat: NDArray[np.bool_],
    edge: NDArray[np.int64],
    step: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give x and y of points on the chains of edges, counted in steps from their lower ends."""
    x, y = low[edge].T
    along_x = np.trunc(x + slope[edge] * step + 0.5).astype(np.int64)
    along_y = np.trunc(y + slope[edge] * step + 0.5).astype(np.int64)
    return np.where(flat[edge], x + step, along_x), np.where(flat[edge], along_y, y + step)


def _first_pixel(places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Find the first pixel whose centre lies at a place, or behind it."""
    return np.ceil(np.round(places * _ROUNDED) / _ROUNDED - 0.5).astype(np.int64)


def _pieces(edges: NDArray[np.int64], counts: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Divide edges so that a piece has not too many counts, except those of one edge alone."""
    if edges.size:
        number = np.cumsum(counts[edges]) // _AT_ONCE
        yield from np.split(edges, np.flatnonzero(np.diff(number)) + 1)


def _ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put ranges of numbers, of which starts and lengths are given, behind each other."""
    behind = np.cumsum(counts)
    return np.arange(behind[-1]) + np.repeat(starts - behind + counts, counts)


def _check(points_xy: NDArray[np.float64], shape: tuple[int, int] | None) -> None:
    """Refuse what cannot be meant as pixels.

    Raises
    ------
    FileError
        See :func:`fill_rings`.
    """
    (left, top), (right, bottom) = points_xy.min(axis=0), points_xy.max(axis=0)
    most = _FARTHEST_PX if shape is None else _FARTHEST_COORDINATE
    if not np.isfinite(points_xy).all() or max(-left, -top, right, bottom) > most:
        raise FileError(
            f"An outline reaches from x {left:g}, y {top:g} to x {right:g}, y {bottom:g}: more "
            "than any image. Coordinates are needed in pixels of the image."
        )
