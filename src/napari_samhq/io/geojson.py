"""GeoJSON as QuPath reads and writes it: polygons with holes, names, classes, measurements.

x and y are in pixels from the outer corner of the first pixel (RFC 7946 apart from its units, as is
usual for images; Bankhead et al., "QuPath", Scientific Reports 2017).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from napari_samhq.core.outlines import fill_polygon, outline_of, smooth_outline
from napari_samhq.errors import FileError
from napari_samhq.io.json_files import as_list, as_mapping, as_number, read_json, write_json
from napari_samhq.io.objects import FileObject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["category_of", "features_of", "geometry_of", "read_geojson", "write_geojson"]

_LABEL_ID = "label_id"
_SCORE = "score"
_AREAS = frozenset({"Polygon", "MultiPolygon", "GeometryCollection"})
# So that the same object gets the same identifier each time it is written.
_NAMESPACE = uuid.UUID("6f1b0d4e-9f5c-4f0e-8a53-5f0d3c1c7a11")


def write_geojson(
    path: str | Path,
    objects: Iterable[FileObject],
    *,
    smooth_px: float = 0.0,
    overwrite: bool = False,
) -> Path:
    """Write objects as a GeoJSON file for QuPath.

    Parameters
    ----------
    path : str or Path
    objects : iterable of FileObject
        Each becomes an annotation with its name, class, label id and score.
    smooth_px : float, optional
        How far outlines may move to lose the stairs of the pixels; 0 keeps each pixel's edges, so
        that reading the file gives the same masks.
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
    features = [_feature(one, smooth_px) for one in objects if one.mask]
    content = {"type": "FeatureCollection", "features": features}
    return write_json(path, content, overwrite=overwrite)


def read_geojson(path: str | Path, shape: tuple[int, int] | None = None) -> list[FileObject]:
    """Read the areas of a GeoJSON file.

    Parameters
    ----------
    path : str or Path
        A FeatureCollection, a list of features as older versions of QuPath write it, or one
        feature.
    shape : tuple of two ints, optional
        Height and width of the image; what lies outside is cut off.

    Returns
    -------
    list of FileObject
        In the order of the file, with the label ids that :func:`write_geojson` wrote, and numbered
        from 1 where these are missing or repeated.

    Raises
    ------
    FileError
        If the file is none of this format, or has a geometry without area: points and lines are
        prompts, see :func:`~napari_samhq.io.geojson_prompts.read_geojson_prompts`.
    """
    objects = []
    for number, feature in enumerate(features_of(path), start=1):
        geometry = geometry_of(feature, f"{path}: feature {number}")
        if geometry.geom_type not in _AREAS:
            raise FileError(
                f"{path}: feature {number} is a {geometry.geom_type}, which has no area. Use it as "
                "a prompt instead, or leave it out."
            )
        objects.append(_object(feature, fill_polygon(geometry, shape)))
    ids = [one.label_id for one in objects]
    if all(one > 0 for one in ids) and len(set(ids)) == len(ids):
        return objects
    from dataclasses import replace

    return [replace(one, label_id=number) for number, one in enumerate(objects, start=1)]


def features_of(path: str | Path) -> list[dict[str, Any]]:
    """List the features of a GeoJSON file."""
    content = read_json(path)
    if isinstance(content, dict):
        kind = content.get("type")
        if content.get("crs") is not None:
            raise FileError(
                f"{path} has a coordinate reference system ('crs'), so its coordinates are places "
                "on a map. Needed are pixels of the image: convert it, and leave 'crs' out."
            )
        if kind == "Feature":
            content = [content]
        elif kind == "FeatureCollection":
            content = content.get("features")
        else:
            raise FileError(
                f"{path} is a GeoJSON of type {kind!r}; needed is a FeatureCollection or a Feature."
            )
    listed = as_list(content, f"{path}: features")
    return [as_mapping(one, f"{path}: a feature") for one in listed]


def category_of(properties: Mapping[str, Any]) -> str:
    """Find the class of a feature among its properties; empty where it has none.

    Examples
    --------
    >>> category_of({"classification": {"name": "Tumor", "color": [200, 0, 0]}})
    'Tumor'
    >>> category_of({"classification": {"names": ["Tumor", "CD3"]}})
    'Tumor: CD3'
    """
    classified = properties.get("classification")
    if not isinstance(classified, dict):
        return ""
    names = classified.get("names")
    if isinstance(names, list):  # what QuPath calls derived classes
        return ": ".join(str(name) for name in names)
    return str(classified.get("name") or "")


def geometry_of(feature: dict[str, Any], where: str) -> Any:
    """Read the geometry of a feature, of two dimensions; a FileError says what is wrong with it."""
    import shapely

    described = as_mapping(feature.get("geometry"), f"{where}: geometry")
    _check_numbers(described.get("coordinates", described.get("geometries", [])), where)
    try:
        # The third coordinate, where there is one, is a height and says nothing about pixels.
        return shapely.force_2d(shapely.geometry.shape(described))
    except (shapely.errors.ShapelyError, AttributeError, ValueError, TypeError, KeyError) as error:
        raise FileError(f"{where}: its geometry cannot be read ({error}).") from error


def _check_numbers(values: Any, where: str) -> None:
    """Refuse what only looks like coordinates, before a library makes its own sense of it."""
    pending = [values]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, dict):
            pending.append(value.get("coordinates", value.get("geometries", [])))
        else:
            as_number(value, f"{where}: a coordinate")


def _object(feature: dict[str, Any], mask: Any) -> FileObject:
    properties = as_mapping(feature.get("properties") or {}, "properties")
    measured = as_mapping(properties.get("measurements") or {}, "measurements")
    label_id, score = measured.get(_LABEL_ID, 0), measured.get(_SCORE)
    known = {"objectType", "name", "classification", "measurements"}
    return FileObject(
        as_number(label_id, _LABEL_ID, whole=True),
        mask,
        name=str(properties.get("name") or ""),
        category=category_of(properties),
        score=None if score is None else as_number(score, _SCORE),
        extra={k: v for k, v in properties.items() if k not in known},
    )


def _feature(one: FileObject, smooth_px: float) -> dict[str, Any]:
    import shapely

    outline = outline_of(one.mask)
    if smooth_px > 0:
        outline = smooth_outline(outline, smooth_px)
    measured: dict[str, float] = {_LABEL_ID: one.label_id}
    if one.score is not None:
        measured[_SCORE] = float(one.score)
    properties: dict[str, Any] = {**one.extra, "objectType": "annotation"}
    properties["name"] = one.name or f"Object {one.label_id}"
    if one.category:
        properties["classification"] = {"name": one.category}
    properties["measurements"] = measured
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_NAMESPACE, f"{one.label_id} {one.mask}")),
        "geometry": shapely.geometry.mapping(outline),
        "properties": properties,
    }
