"""Random tessellations of a plane: polygons that share their edges, without gap or overlap."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st

OFFSETS = st.sampled_from([0.0, 0.5, 0.25, 0.1, 1 / 3, 0.49999999, np.pi / 7])


@st.composite
def tessellations(draw, shape: tuple[int, int]) -> list[np.ndarray]:
    """Cover an image of this shape with polygons, each (N, 2) of x, y in corner coordinates."""
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from([_voronoi, _triangles, _grid]))
    offset = np.array([draw(OFFSETS), draw(OFFSETS)])
    rings = kind(seed, max(shape), draw(st.sampled_from([1.0, 2.0, None])))
    return [ring[:: draw(st.sampled_from([1, -1]))] + offset for ring in rings]


def _snapped(points: np.ndarray, parts: float | None) -> np.ndarray:
    """Put points on whole or half pixels, where pixel centres lie, or leave them where they are."""
    return points if parts is None else np.round(points * parts) / parts


def _voronoi(random, side: int, parts: float | None) -> list[np.ndarray]:
    from scipy.spatial import Voronoi

    seeds = random.uniform(-side, 2 * side, (60, 2))
    # Mirrored far away, so that all cells near the image are closed.
    frame = [[x, y] for x in (-9, 0.5, 9) for y in (-9, 0.5, 9) if (x, y) != (0.5, 0.5)]
    found = Voronoi(np.concatenate([seeds, np.array(frame) * side]))
    corners = _snapped(found.vertices, parts)
    regions = [found.regions[index] for index in found.point_region[: len(seeds)]]
    return [corners[region] for region in regions if region and -1 not in region]


def _triangles(random, side: int, parts: float | None) -> list[np.ndarray]:
    from scipy.spatial import Delaunay

    far = [
        [-2 * side, -2 * side],
        [3 * side, -2 * side],
        [3 * side, 3 * side],
        [-2 * side, 3 * side],
    ]
    points = np.unique(
        _snapped(np.concatenate([random.uniform(0, side, (25, 2)), far]), parts), axis=0
    )
    return [points[corners] for corners in Delaunay(points).simplices]


def _grid(random, side: int, parts: float | None) -> list[np.ndarray]:
    """Rectangles in rows, whose corners lie on the edges of those above and below."""
    rings = []
    rows = np.unique(_snapped(random.uniform(0, side, 5), parts))
    rows = [-2 * side, *rows, 2 * side]
    for top, bottom in itertools.pairwise(rows):
        cols = [-2 * side, *np.unique(_snapped(random.uniform(0, side, 5), parts)), 2 * side]
        for left, right in itertools.pairwise(cols):
            rings.append(
                np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)
            )
    return rings
