"""JSON files of other programs: what they are, and what to do with them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from napari_samhq.errors import FileError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_labelme_file", "other_json", "sniffed"]

_COCO = "Export it as COCO instances (.json)"
_MOST_KEYS = 6
_SNIFFED_BYTES = 2**22


def sniffed(path: str | Path) -> bytes:
    """Read the beginning and the end of a file that may be large; nothing where that fails."""
    try:
        with open(path, "rb") as file:
            start = file.read(_SNIFFED_BYTES)
            file.seek(max(len(start), os.path.getsize(path) - _SNIFFED_BYTES))
            return start + file.read(_SNIFFED_BYTES)
    except OSError:
        return b""


def is_labelme_file(path: str | Path) -> bool:
    """Tell whether a JSON file is one of labelme, without parsing what may be large."""
    text = sniffed(path)
    return b'"shapes"' in text and not any(name in text for name in (b'"images"', b'"annotations"'))


def other_json(content: Any, path: str | Path, needed: str) -> FileError:
    """Make the error that says what a JSON file is, where another kind of it was needed.

    Parameters
    ----------
    content : object
        What the parser gave.
    path : str or Path
        The file.
    needed : str
        What it should be, as "COCO instances".

    Examples
    --------
    >>> print(other_json([{"data": {}, "annotations": []}], "a.json", "COCO instances"))
    a.json is a file of Label Studio, no COCO instances. Export it as COCO instances (.json) there.
    """
    kind, advice = _recognised(content)
    if kind:
        return FileError(f"{path} is {kind}, no {needed}. {advice}.")
    if isinstance(content, dict) and isinstance(content.get("type"), str):
        came = f"JSON of the type {content['type'][:40]!r}"
    elif isinstance(content, dict):
        keys = ", ".join(list(content)[:_MOST_KEYS]) or "nothing at all"
        came = f"JSON with {keys} in it" + (", and more" if len(content) > _MOST_KEYS else "")
    else:
        came = "an empty list" if content == [] else f"JSON of the type {type(content).__name__}"
    return FileError(
        f"{path} is {came}, no {needed}. Read are COCO instances and labelme (.json), GeoJSON as "
        "of QuPath (.geojson) and sessions (.samhq.json): convert it to one of these."
    )


def _recognised(content: Any) -> tuple[str, str]:
    """Name the program or format, and what to do; empty texts for what nobody knows."""
    first = content[0] if isinstance(content, list) and content else None
    for kinds, one in ((_OBJECTS, content), (_LISTS, first)):
        if isinstance(one, dict):
            for names, kind, advice in kinds:
                if all(_has(one, name) for name in names):
                    return kind, advice
    if isinstance(content, dict) and content:
        inner = next(iter(content.values()))
        if isinstance(inner, dict) and {"filename", "regions"} <= set(inner):
            return _VIA
    return "", ""


def _has(value: dict[str, Any], name: str) -> bool:
    """Tell whether there is a key, or a key with this value: "type=Feature"."""
    key, sign, wanted = name.partition("=")
    return key in value and (not sign or value[key] == wanted)


_VIA = "a project of the VGG Image Annotator (VIA)", f"{_COCO} there"
# The names that tell a format, what it is, and what to do.
_OBJECTS = (
    (("shapes",), "a file of labelme", "Read it with napari_samhq.io.labelme"),
    (("_via_img_metadata",), *_VIA),
    (("format=napari-samhq session",), "a session of napari-samhq", "Name it *.samhq.json"),
    (("type=FeatureCollection",), "GeoJSON", "Let its name end in .geojson"),
    (("type=Feature",), "GeoJSON", "Let its name end in .geojson"),
    (("images", "annotations"), "a file of COCO", "Let its name end in .json"),
    (("categories", "items"), "a file of CVAT or Datumaro", "Export it as COCO 1.0 there"),
    (("version", "meta", "tags"), "a file of CVAT", "Export it as COCO 1.0 there"),
    (("image", "annotations"), "a file of a single image, as of SA-1B or V7 Darwin", _COCO),
    (("item", "annotations"), "a file of V7 Darwin", f"{_COCO} there"),
    (("metadata", "instances"), "a file of SuperAnnotate", f"{_COCO} there"),
    (("data_row",), "a file of Labelbox", f"{_COCO} there"),
    (("objects", "size"), "a file of Supervisely", f"{_COCO} there"),
    (("imgHeight", "objects"), "a file of Cityscapes", _COCO),
    (("data", "annotations"), "a file of Label Studio", f"{_COCO} there"),
    (("recipe", "command"), "the record of a run of napari-samhq", "Give the result beside it"),
    (("model_type",), "the configuration of a model", "Give a file of objects"),
)
_LISTS = (
    (("image_id", "category_id"), "a list of COCO results, without the images they belong to",
     "Load it with pycocotools' loadRes, and save images and annotations together"),
    (("data", "annotations"), "a file of Label Studio", f"{_COCO} there"),
    (("annotations", "image"), "a file of CreateML", f"{_COCO} there"),
    (("data_row",), "a file of Labelbox", f"{_COCO} there"),
    (("Label",), "a file of Labelbox", f"{_COCO} there"),
    (("frames",), "a file of BDD100K or Scalabel", _COCO),
    (("type=Feature",), "GeoJSON", "Let its name end in .geojson"),
)  # fmt: skip
