"""GeoJSON as QuPath reads and writes it: polygons with holes, names, classes, measurements.

x and y are in pixels from the outer corner of the first pixel (RFC 7946 apart from its units, as is
usual for images; Bankhead et al., "QuPath", Scientific Reports 2017).
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_samhq.core.masks.outlines import fill_polygon, outline_of, smooth_outline
from napari_samhq.errors import FileError
from napari_samhq.io.entries import Entries
from napari_samhq.io.json_files import as_list, as_mapping, as_number, read_json, write_json
from napari_samhq.io.json_kinds import other_json
from napari_samhq.io.objects import FileObject, check_image_shape, check_pixels
from napari_samhq.io.planes import Position

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = [
    "Features",
    "category_of",
    "geometry_of",
    "load_features",
    "measurements_of",
    "objects_in",
    "position_of",
    "read_geojson",
    "write_features",
    "write_geojson",
]

_LABEL_ID = "label_id"
_SCORE = "score"
_NOTE = "napari_samhq"  # beside the members of the format, which RFC 7946 allows
_AREAS = frozenset({"Polygon", "MultiPolygon", "GeometryCollection"})
_PROMPTS = ("Point", "MultiPoint", "LineString", "MultiLineString", "LinearRing")
# So that the same object gets the same identifier each time it is written.
_NAMESPACE = uuid.UUID("6f1b0d4e-9f5c-4f0e-8a53-5f0d3c1c7a11")


@dataclass(frozen=True)
class Features:
    """The features of a GeoJSON file.

    Attributes
    ----------
    path : str
        The file, for messages.
    listed : list
        As they are in the file.
    note : dict
        What was noted of all of them when they were written here: ``image_shape``, ``pixel_size``,
        ``unit``, and ``kind``, which is "prompts" for prompts.
    numbers : tuple of int
        Places of the features in the file, from 1, where these are some of them.
    has_planes : bool
        Whether any feature of the file says in which plane of a stack it lies.
    """

    path: str
    listed: list[Any]
    note: dict[str, Any] = field(default_factory=dict)
    numbers: tuple[int, ...] = ()
    has_planes: bool = False

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Go through the features, each with its place, for messages."""
        numbers = self.numbers or range(1, len(self.listed) + 1)
        for number, feature in zip(numbers, self.listed, strict=True):
            yield f"feature {number}", feature

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """Height and width of the image, if the file says something sensible."""
        noted: Any = self.note.get("image_shape")
        if not isinstance(noted, list) or [type(n) for n in noted] != [int, int]:
            return None
        sensible = all(0 < n <= 2**20 for n in noted) and math.prod(noted) <= 2**31
        return (noted[0], noted[1]) if sensible else None

    def split(self) -> tuple[Features, Features]:
        """Tell features with an area, or nothing that can be read, from the others: prompts."""
        if self.note.get("kind") == "prompts":
            return replace(self, listed=[]), self
        parts: tuple[list[int], list[int]] = [], []
        for index, feature in enumerate(self.listed):
            parts[_is_prompt(feature)].append(index)
        areas, others = (
            replace(self, listed=[self.listed[i] for i in one], numbers=tuple(i + 1 for i in one))
            for one in parts
        )
        return areas, others


def write_geojson(
    path: str | Path,
    objects: Iterable[FileObject],
    *,
    smooth_px: float = 0.0,
    note: Mapping[str, Any] | None = None,
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
    note : mapping, optional
        What holds for all of them, see :class:`Features`. Other programs pass over it.
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
    return write_features(path, features, note or {}, overwrite=overwrite)


def write_features(
    path: str | Path,
    features: list[dict[str, Any]],
    note: Mapping[str, Any],
    *,
    overwrite: bool = False,
) -> Path:
    """Write features as they are, with a note on all of them."""
    content = {"type": "FeatureCollection", "features": features}
    return write_json(path, content | ({_NOTE: dict(note)} if note else {}), overwrite=overwrite)


def read_geojson(
    path: str | Path, shape: tuple[int, int] | None = None, *, strict: bool = False
) -> list[FileObject]:
    """Read the areas of a GeoJSON file.

    Parameters
    ----------
    path : str or Path
        A FeatureCollection, a list of features as older versions of QuPath write it, or one
        feature.
    shape : tuple of two ints, optional
        Height and width of the image; what lies outside is cut off.
    strict : bool, optional
        Refuse the file if a feature cannot be used. Otherwise such features are left out: damaged
        ones, those without a pixel in the image, and points and lines, which are prompts, see
        :func:`~napari_samhq.io.geojson_prompts.read_geojson_prompts`.

    Returns
    -------
    list of FileObject
        In the order of the file, with the label ids that :func:`write_geojson` wrote, and numbered
        from 1 where these are missing or repeated. Of a stack these are the objects of all planes,
        each with its position.

    Raises
    ------
    FileError
        If the file is none of this format, none of its features can be used, or it states another
        size of the image.

    Warns
    -----
    SamHQWarning
        If features were left out.
    """
    features = load_features(path)
    with Entries.of(path, "feature", strict=strict) as entries:
        return objects_in(features, shape, entries)


def objects_in(
    features: Features, shape: tuple[int, int] | None, entries: Entries
) -> list[FileObject]:
    """Read the areas among features, as :func:`read_geojson`."""
    check_image_shape(features.image_shape, shape, features.path)
    objects = []
    for where, feature in features:
        with entries.each(where):
            geometry = geometry_of(feature, where)
            if geometry.geom_type not in _AREAS:
                raise FileError(
                    f"{where} is a {geometry.geom_type}, which has no area. Use it as a prompt "
                    "instead, or leave it out."
                )
            mask = check_pixels(fill_polygon(geometry, shape), shape, where)
            position = position_of(feature, features, where)
            objects.append(replace(_object(feature, mask), position=position))
    ids = [one.label_id for one in objects]
    # The same id in several planes is one object that goes through them.
    places = {(one.label_id, one.position) for one in objects}
    if all(one > 0 for one in ids) and len(places) == len(ids):
        return objects
    return [replace(one, label_id=number) for number, one in enumerate(objects, start=1)]


def load_features(path: str | Path) -> Features:
    """Read a GeoJSON file as it is.

    Raises
    ------
    FileError
        If it is none.
    """
    content = read_json(path)
    if not _is_geojson(content):
        raise other_json(content, path, "GeoJSON with features")
    note: Any = {}
    if isinstance(content, dict):
        kind, note = content.get("type"), content.get(_NOTE)
        if not _is_usual(content.get("crs")):
            raise FileError(
                f"{path} has a coordinate reference system ('crs'), so its coordinates are places "
                "on a map. Needed are pixels of the image: convert it, and leave 'crs' out."
            )
        content = [content] if kind == "Feature" else content.get("features")
    listed = as_list(content, f"{path}: features")
    planes = any(_plane_of(feature) is not None for feature in listed)
    return Features(f"{path}", listed, note if isinstance(note, dict) else {}, has_planes=planes)


def _is_geojson(content: Any) -> bool:
    """Tell a collection, a feature, and a list of features, one of which may be damaged."""
    if isinstance(content, dict):
        return content.get("type") in ("Feature", "FeatureCollection")
    return isinstance(content, list) and (
        not content
        or any(isinstance(one, dict) and one.get("type") == "Feature" for one in content)
    )


def _is_usual(crs: Any) -> bool:
    """Tell whether a reference system says no more than leaving it out: some libraries write it."""
    named = crs.get("properties") if isinstance(crs, dict) else None
    name = str(named.get("name", "")) if isinstance(named, dict) else ""
    return crs is None or name.upper().endswith(("CRS84", "EPSG::4326", "EPSG:4326"))


def measurements_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Find the measurements of a feature, be they named values or, as older QuPath has it, a list.

    Examples
    --------
    >>> measurements_of({"measurements": [{"name": "Area", "value": 3.0}]})
    {'Area': 3.0}
    """
    found = properties.get("measurements") or {}
    if isinstance(found, list):
        pairs = [as_mapping(one, "a measurement") for one in found]
        return {str(one.get("name", "")): one.get("value") for one in pairs}
    return as_mapping(found, "measurements")


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
    if isinstance(classified, str):  # as other programs write it
        return classified
    if not isinstance(classified, dict):
        return ""
    names = classified.get("names")
    if isinstance(names, list):  # what QuPath calls derived classes
        return ": ".join(str(name) for name in names)
    return str(classified.get("name") or "")


def geometry_of(feature: Any, where: str) -> Any:
    """Read the geometry of a feature, of two dimensions; a FileError says what is wrong with it."""
    import shapely

    described = as_mapping(as_mapping(feature, where).get("geometry"), f"{where}: geometry")
    _check_numbers(described.get("coordinates", described.get("geometries", [])), where)
    try:
        # The third coordinate, where there is one, is a height and says nothing about pixels.
        return shapely.force_2d(shapely.geometry.shape(described))
    except (shapely.errors.ShapelyError, AttributeError, ValueError, TypeError, KeyError) as error:
        raise FileError(f"{where}: its geometry cannot be read ({error}).") from error


def position_of(feature: Mapping[str, Any], features: Features, where: str) -> Position:
    """Read in which plane of a stack a feature lies, as QuPath says it.

    QuPath leaves out the first plane; so where some features have a plane, the others lie there.
    """
    plane = _plane_of(feature)
    if plane is None:
        return Position(t=0, z=0) if features.has_planes else Position()
    found = {}
    for name in ("t", "z", "c"):
        index = as_number(plane.get(name, -1), f"{where}: {name} of its plane", whole=True)
        found[name] = index if index >= 0 else None
    return Position(**found)


def _plane_of(feature: Any) -> dict[str, Any] | None:
    described = feature if isinstance(feature, dict) else {}
    for place in (described.get("geometry"), described, described.get("properties")):
        if isinstance(place, dict) and isinstance(place.get("plane"), dict):
            found: dict[str, Any] = place["plane"]
            return found
    return None


def _is_prompt(feature: Any) -> bool:
    """Tell whether a feature says that it is points or lines."""
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    return isinstance(geometry, dict) and geometry.get("type") in _PROMPTS


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
    measured = measurements_of(properties)
    # QuPath writes NaN for what it could not measure; the same as not measured.
    measured = {
        name: value for name, value in measured.items() if value is not None and not _is_nan(value)
    }
    label_id, score = measured.get(_LABEL_ID, 0), measured.get(_SCORE)
    known = {"objectType", "name", "classification", "measurements"}
    extra = {k: v for k, v in properties.items() if k not in known}
    others = {k: v for k, v in measured.items() if k not in (_LABEL_ID, _SCORE)}
    return FileObject(
        as_number(label_id, _LABEL_ID, whole=True),
        mask,
        name=str(properties.get("name") or ""),
        category=category_of(properties),
        score=None if score is None else as_number(score, _SCORE),
        extra=extra | ({"measurements": others} if others else {}),
    )


def _described_plane(position: Position) -> dict[str, Any]:
    if not position:
        return {}
    c, z, t = position.c, position.z, position.t
    return {"plane": {"c": -1 if c is None else c, "z": z or 0, "t": t or 0}}


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _feature(one: FileObject, smooth_px: float) -> dict[str, Any]:
    import shapely

    outline = outline_of(one.mask)
    if smooth_px > 0:
        outline = smooth_outline(outline, smooth_px)
    measured: dict[str, Any] = {**one.extra.get("measurements", {}), _LABEL_ID: one.label_id}
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
        "geometry": shapely.geometry.mapping(outline) | _described_plane(one.position),
        "properties": properties,
    }
