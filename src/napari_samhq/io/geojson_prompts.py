"""Prompts in GeoJSON: points, lines and areas that somebody drew in QuPath, as prompts of objects.

x and y are in pixels from the outer corner of the first pixel, see :mod:`napari_samhq.io.geojson`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.geometry.frames import corner_xy_to_rc, rc_to_corner_xy
from napari_samhq.core.journal.shapes_drawn import Drawn, DrawnPoint, DrawnShape
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.masks.outlines import fill_polygon
from napari_samhq.core.prompts.from_shapes import area_of_shape, outline_of_shape
from napari_samhq.errors import FileError
from napari_samhq.io.entries import Entries
from napari_samhq.io.geojson import (
    Features,
    category_of,
    geometry_of,
    load_features,
    measurements_of,
    position_of,
    write_features,
)
from napari_samhq.io.json_files import as_mapping, as_number
from napari_samhq.io.nested_prompts import leaves_among
from napari_samhq.io.objects import check_image_shape, lies_beside
from napari_samhq.io.planes import in_plane

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from napari_samhq.io.planes import Position

__all__ = ["prompts_in", "read_geojson_prompts", "write_geojson_prompts"]

_LABEL_ID = "label_id"
_BACKGROUND = "Background"
_CORNERS_OF_A_BOX = 4
_SPECK_SHARE = 0.01  # of the largest area of an object; what is smaller is none of it


def read_geojson_prompts(
    path: str | Path,
    shape: tuple[int, int] | None = None,
    *,
    plane: Sequence[int] | None = None,
    axes: Mapping[str, int] | None = None,
    strict: bool = False,
) -> dict[int, Drawn]:
    """Read points, lines and areas as prompts.

    Parameters
    ----------
    path : str or Path
        A GeoJSON file as :func:`~napari_samhq.io.geojson.read_geojson` reads it. Features with the
        same measurement ``label_id``, or else the same name, are prompts of one object; every
        other one is an object of its own. Points of the class Background, Negative or Ignore lie
        beside their object.
    shape : tuple of two ints, optional
        Height and width of the image, to be compared with those that the file states. Areas are
        filled no farther.
    plane, axes : optional
        Which plane of a stack, see :func:`~napari_samhq.io.planes.in_plane`.
    strict : bool, optional
        Refuse the file if a feature cannot be used, in place of leaving it out.

    Returns
    -------
    dict of int to Drawn
        What was drawn for each object, in image pixels. Upright rectangles are boxes, other areas
        polygons, lines paths. Areas with holes, which shapes cannot have, go along as a mask.

    Raises
    ------
    FileError
        If the file is none of this format, none of its features can be used, it states another
        size of the image, or features lie in several planes and nothing says which is meant.

    Warns
    -----
    SamHQWarning
        If features were left out: damaged ones, what lies beside no object, specks beside a large
        area of the same object, and areas that have those of other objects inside (unless
        :func:`write_geojson_prompts` wrote the file).
    """
    features = load_features(path)
    with Entries.of(path, "feature", strict=strict) as entries:
        placed = prompts_in(features, shape, entries)
    kept = in_plane([position for position, _, _ in placed], plane, axes, path)
    chosen = [(label_id, drawn) for _, label_id, drawn in compress(placed, kept)]
    prompts = dict(sorted(chosen, key=lambda pair: pair[0]))
    ours = features.note.get("kind") == "prompts"
    return prompts if ours else leaves_among(prompts, shape, features.path)


def prompts_in(
    features: Features, shape: tuple[int, int] | None, entries: Entries
) -> list[tuple[Position, int, Drawn]]:
    """Read features of all planes as prompts, each with its position and label id."""
    check_image_shape(features.image_shape, shape, features.path)
    groups: dict[Any, list[tuple[str, _Parts]]] = {}
    for where, feature in features:
        with entries.each(where):
            geometry = geometry_of(feature, where)
            properties = as_mapping(feature.get("properties") or {}, f"{where}: properties")
            beside = lies_beside(category_of(properties))
            parts = _parts(geometry, shape, positive=not beside, where=where)
            if not parts.points and not parts.shapes:
                raise FileError(f"{where} has an empty geometry.")
            label_id, name = _label_id(properties, where), str(properties.get("name") or "")
            key = ("id", label_id) if label_id else ("name", name) if name else ("number", where)
            position = position_of(feature, features, where)
            groups.setdefault((*key, position), []).append((where, parts))
    return list(_numbered(groups, shape, entries))


def write_geojson_prompts(
    path: str | Path, prompts: Mapping[int, Drawn], *, overwrite: bool = False
) -> Path:
    """Write prompts so that :func:`read_geojson_prompts` and QuPath read them.

    Parameters
    ----------
    path : str or Path
    prompts : mapping of int to Drawn
        What was drawn for each object, by its label id, in image pixels. Rough masks are left out,
        and ellipses become polygons.
    overwrite : bool, optional
        Whether a file of this name may be replaced.

    Returns
    -------
    Path

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    features: list[dict[str, Any]] = []
    for label_id, drawn in prompts.items():
        for geometry, positive in _geometries(drawn):
            properties: dict[str, Any] = {
                "objectType": "annotation",
                "name": f"Object {label_id}",
                "measurements": {_LABEL_ID: int(label_id)},
            }
            if not positive:
                properties["classification"] = {"name": _BACKGROUND}
            features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    return write_features(path, features, {"kind": "prompts"}, overwrite=overwrite)


@dataclass(frozen=True)
class _Parts:
    """What a geometry consists of; with each shape its area, if the shape alone does not say it."""

    points: tuple[DrawnPoint, ...]
    shapes: tuple[tuple[DrawnShape, CroppedMask | None], ...]


def _numbered(
    groups: Mapping[Any, list[tuple[str, _Parts]]],
    image_shape: tuple[int, int] | None,
    entries: Entries,
) -> Iterator[tuple[Position, int, Drawn]]:
    """Put what belongs to one object together; those without a label id get the next free one."""
    taken = {key[1] for key in groups if key[0] == "id"}
    free = 0
    for key, parts in groups.items():
        points = tuple(point for _, one in parts for point in one.points)
        drawn = Drawn(points, *_area_of(parts, image_shape, entries))
        if not drawn.says_where:
            for where, _ in parts:
                with entries.again(where):
                    raise FileError(
                        f"{where} says what lies beside an object, but nothing says which. Give it "
                        "the name of its object, and that a point of another class than "
                        f"{_BACKGROUND}."
                    )
            continue
        if key[0] == "id":
            yield key[2], key[1], drawn
            continue
        free = next(n for n in range(free + 1, free + len(taken) + 2) if n not in taken)
        yield key[2], free, drawn


def _area_of(
    parts: list[tuple[str, _Parts]], image_shape: tuple[int, int] | None, entries: Entries
) -> tuple[tuple[DrawnShape, ...], CroppedMask | None]:
    """Collect the shapes of an object, and their area if one of them does not say it alone.

    A speck beside a large area, as a slip of the brush leaves it, is no part of the object.
    """
    drawn = [(where, *part) for where, one in parts for part in one.shapes]
    closed = {id(shape): _size(shape) for _, shape, _ in drawn if shape.closed}
    least = _SPECK_SHARE * max(closed.values(), default=0)
    kept = []
    for where, shape, mask in drawn:
        if closed.get(id(shape), math.inf) >= least:
            kept.append((shape, mask))
            continue
        with entries.part(where):
            raise FileError(
                f"{where} has a speck of {closed[id(shape)]:.3g} square pixels beside an area of "
                f"{max(closed.values()):.6g}. If it is an object, draw it as one of its own."
            )
    if not any(mask for _, mask in kept):
        return tuple(shape for shape, _ in kept), None
    masks = [mask or area_of_shape(one.vertices, one.kind, image_shape) for one, mask in kept]
    return tuple(shape for shape, _ in kept), CroppedMask.union(masks)


def _size(shape: DrawnShape) -> float:
    """Give the area that corners enclose (Gauss's formula), in square pixels."""
    row, col = (np.array(shape.vertices) - shape.vertices[0]).T
    return abs(float(row @ np.roll(col, -1) - col @ np.roll(row, -1))) / 2


def _label_id(properties: Mapping[str, Any], where: str) -> int:
    found = measurements_of(properties).get(_LABEL_ID, 0)
    if found is None or found != found:  # how JSON and QuPath say that there is none
        return 0
    label_id: int = as_number(found, f"{where}: {_LABEL_ID}", whole=True)
    return max(label_id, 0)


def _parts(
    geometry: Any, image_shape: tuple[int, int] | None, *, positive: bool, where: str
) -> _Parts:
    """Turn a geometry into points and shapes in image pixels."""
    points: list[DrawnPoint] = []
    shapes: list[tuple[DrawnShape, CroppedMask | None]] = []
    pending = [geometry]
    while pending:
        part = pending.pop(0)
        kind = part.geom_type
        if part.is_empty:
            continue
        if hasattr(part, "geoms"):
            pending[:0] = list(part.geoms)
        elif kind == "Point":
            row, col = corner_xy_to_rc([part.x, part.y]).tolist()
            points.append(DrawnPoint(row, col, positive))
        elif not positive:
            raise FileError(
                f"{where} is a {kind} that lies beside an object; only points can. Draw points, or "
                "give it another class."
            )
        else:
            has_holes = kind == "Polygon" and bool(part.interiors)
            shapes.append((_shape(part), fill_polygon(part, image_shape) if has_holes else None))
    return _Parts(tuple(points), tuple(shapes))


def _shape(part: Any) -> DrawnShape:
    if part.geom_type in ("LineString", "LinearRing"):
        return DrawnShape("path", _vertices(part.coords))
    corners = np.asarray(part.exterior.coords)[:-1]
    # Along the edges of an upright rectangle x and y change in turn.
    changes = np.roll(corners, -1, axis=0) != corners
    turns = changes[:, 0] != changes[:, 1]
    upright = len(corners) == _CORNERS_OF_A_BOX and turns.all() and changes[0, 0] != changes[1, 0]
    return DrawnShape("rectangle" if upright else "polygon", _vertices(corners))


def _vertices(coordinates_xy: Any) -> tuple[tuple[float, float], ...]:
    listed = corner_xy_to_rc(np.asarray(coordinates_xy, dtype=float)).tolist()
    return tuple((row, col) for row, col in listed)


def _geometries(drawn: Drawn) -> Iterator[tuple[dict[str, Any], bool]]:
    for positive in (True, False):
        points = [[p.row, p.col] for p in drawn.points if p.positive == positive]
        if points:
            listed = rc_to_corner_xy(points).tolist()
            yield {"type": "MultiPoint", "coordinates": listed}, positive
    for shape in drawn.shapes:
        ring = rc_to_corner_xy(outline_of_shape(shape.vertices, shape.kind)).tolist()
        if shape.closed:
            yield {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}, True
        else:
            yield {"type": "LineString", "coordinates": ring}, True
