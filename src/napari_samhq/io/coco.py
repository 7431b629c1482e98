"""COCO instances: many images, categories, objects as run-length encodings or polygons.

The format of the data set "Common Objects in Context" (Lin et al., ECCV 2014). x and y are in
pixels from the outer corner of the first pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_samhq.core.drawn import Drawn, DrawnShape
from napari_samhq.core.geometry import corner_xy_to_rc
from napari_samhq.errors import FileError
from napari_samhq.io.coco_segmentations import decode, encode, polygons_of, size_of
from napari_samhq.io.entries import Entries
from napari_samhq.io.json_files import as_list, as_mapping, as_number, read_json, write_json
from napari_samhq.io.json_kinds import other_json
from napari_samhq.io.names import file_name, image_stem
from napari_samhq.io.objects import FileObject, box_xywh, check_image_shape, check_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["CocoImage", "chosen_image", "read_coco", "read_coco_boxes", "write_coco"]

_LABEL_ID = "label_id"  # ours, beside the keys of the format
_OBJECT = "object"


@dataclass(frozen=True)
class CocoImage:
    """An image of a COCO file, with its objects.

    Attributes
    ----------
    file_name : str
        As the file gives it.
    shape : tuple of two ints
        Height and width in pixels.
    objects : tuple of FileObject
    boxes : mapping of int to Drawn
        What has a box and no mask, in image pixels.
    """

    file_name: str
    shape: tuple[int, int]
    objects: tuple[FileObject, ...]
    boxes: Mapping[int, Drawn] = field(default_factory=dict)


def write_coco(
    path: str | Path,
    images: Sequence[CocoImage],
    *,
    polygons: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a COCO instances file.

    Parameters
    ----------
    path : str or Path
    images : sequence of CocoImage
    polygons : bool, optional
        Write outlines in place of run-length encodings. They are exact to the pixel, but objects
        with holes cannot be written so.
    overwrite : bool, optional
        Whether a file of this name may be replaced.

    Returns
    -------
    Path

    Raises
    ------
    FileError
        If an object has a hole and `polygons` is set, or the file cannot be written.
    """
    names = sorted({one.category or _OBJECT for image in images for one in image.objects})
    numbers = {name: number for number, name in enumerate(names, start=1)}
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(images, start=1):
        for one in image.objects:
            annotation: dict[str, Any] = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": numbers[one.category or _OBJECT],
                "segmentation": polygons_of(one) if polygons else encode(one, image.shape),
                "area": float(one.mask.array().sum()),
                "bbox": box_xywh(one.mask),
                "iscrowd": one.extra.get("iscrowd", 0),
                _LABEL_ID: one.label_id,
            }
            if one.score is not None:
                annotation["score"] = one.score
            annotations.append({**one.extra, **annotation})
    content = {
        "info": {"description": "Objects segmented with napari-samhq", "version": "1.0"},
        "licenses": [],
        "images": [
            {"id": i, "file_name": one.file_name, "height": one.shape[0], "width": one.shape[1]}
            for i, one in enumerate(images, start=1)
        ],
        "categories": [
            {"id": number, "name": name, "supercategory": ""} for name, number in numbers.items()
        ],
        "annotations": annotations,
    }
    return write_json(path, content, overwrite=overwrite)


def read_coco(
    path: str | Path, *, boxes_alone: bool = False, strict: bool = False
) -> list[CocoImage]:
    """Read a COCO instances file.

    Parameters
    ----------
    path : str or Path
    boxes_alone : bool, optional
        Take annotations without a segmentation, too, as boxes; they are left out otherwise.
    strict : bool, optional
        Refuse the file if an annotation or an image cannot be used, in place of leaving it out.

    Returns
    -------
    list of CocoImage
        In the order of the file. Objects keep the label ids that :func:`write_coco` wrote, and are
        numbered from 1 in each image otherwise.

    Raises
    ------
    FileError
        If the file is none of this format, or none of its annotations can be used; the message
        says why. Nothing is guessed.

    Warns
    -----
    SamHQWarning
        If annotations or images were left out.
    """
    content = _content(path)
    images = _images(content, path, strict)
    categories = _categories(content)
    objects: dict[int, list[FileObject]] = {number: [] for number in images}
    boxes: dict[int, list[tuple[int, list[float]]]] = {number: [] for number in images}
    with Entries.of(path, "annotation", strict=strict) as entries:
        for where, given in _annotations(content):
            with entries.each(where):
                annotation = as_mapping(given, where)
                number = _image_id(annotation, images, where)
                if boxes_alone and not annotation.get("segmentation"):
                    boxes[number].append(_box(annotation, where))
                    continue
                read = _object(annotation, images[number][1], categories, where, entries)
                objects[number].append(read)
    return [
        CocoImage(name, shape, tuple(_numbered(objects[number])), _rectangles(boxes[number]))
        for number, (name, shape) in images.items()
    ]


def read_coco_boxes(
    path: str | Path,
    image_name: str | None = None,
    shape: tuple[int, int] | None = None,
    *,
    strict: bool = False,
) -> dict[int, Drawn]:
    """Read the boxes of one image of a COCO file, as prompts.

    Parameters
    ----------
    path : str or Path
        A file as :func:`read_coco` reads it; annotations need no segmentation.
    image_name : str, optional
        Which image, see :func:`chosen_image`.
    shape : tuple of two ints, optional
        Height and width of the image, to be compared with those that the file states.
    strict : bool, optional
        Refuse the file if an annotation of this image cannot be used, in place of leaving it out.

    Returns
    -------
    dict of int to Drawn
        A rectangle for each object, in image pixels, by the label id that :func:`read_coco` gives.

    Raises
    ------
    FileError
        As :func:`read_coco`, or if the file states another size of the image.
    """
    content = _content(path)
    images = _images(content, path, strict)
    names = [name for name, _ in images.values()]
    wanted = list(images)[chosen_image(names, image_name, path)]
    check_image_shape(images[wanted][1], shape, path)
    boxes = []
    others = set(images) - {wanted}
    with Entries.of(path, "annotation", strict=strict) as entries:
        for where, given in _annotations(content):
            number = given.get("image_id") if isinstance(given, dict) else None
            if isinstance(number, int | float) and number in others:
                continue
            with entries.each(where):
                annotation = as_mapping(given, where)
                _image_id(annotation, images, where)
                boxes.append(_box(annotation, where))
    return _rectangles(boxes)


def _box(annotation: Mapping[str, Any], where: str) -> tuple[int, list[float]]:
    """Read the label id and the box, x, y, width and height, of an annotation."""
    given = as_list(annotation.get("bbox"), f"{where}: bbox")
    values = [as_number(value, f"{where}: bbox") for value in given]
    if len(values) != 4 or not (values[2] > 0 and values[3] > 0):
        raise FileError(
            f"{where}: its bbox is {values}; needed are x, y, and a width and height above 0."
        )
    return as_number(annotation.get(_LABEL_ID, 0), f"{where}: {_LABEL_ID}", whole=True), values


def _rectangles(boxes: Sequence[tuple[int, list[float]]]) -> dict[int, Drawn]:
    ids = _distinct([label_id for label_id, _ in boxes])
    drawn = {}
    for label_id, (_, (x, y, width, height)) in zip(ids, boxes, strict=True):
        top, left, bottom, right = corner_xy_to_rc([x, y, x + width, y + height]).tolist()
        corners = ((top, left), (top, right), (bottom, right), (bottom, left))
        drawn[label_id] = Drawn(shapes=(DrawnShape("rectangle", corners),))
    return drawn


def chosen_image(names: Sequence[str], wanted: str | None, path: str | Path) -> int:
    """Find the image that is meant among those of a file.

    Parameters
    ----------
    names : sequence of str
        File names of the images, as the file gives them.
    wanted : str or None
        A name or path. Folders do not count where the names themselves are different, and neither
        do the extensions of images; other dots belong to the name. None means the only image there
        is.
    path : str or Path
        The file, for messages.

    Returns
    -------
    int
        Index into `names`.

    Raises
    ------
    FileError
        If it is not there, or could be several.

    Examples
    --------
    >>> chosen_image(["a/cells.tif", "a/nuclei.tif"], "/data/nuclei.png", "boxes.json")
    1
    """
    listed = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    if wanted is None:
        if len(names) != 1:
            raise FileError(
                f"{path} holds {len(names)} images ({listed or 'none'}). Say which one: give its "
                "file name (image_name=)."
            )
        return 0
    for part in (str, file_name, image_stem):
        found = [index for index, name in enumerate(names) if part(name) == part(wanted)]
        if len(found) == 1:
            return found[0]
    raise FileError(
        f"{path} holds no image {wanted!r}, or several. It holds {listed or 'no image at all'}."
    )


_Images = dict[int, tuple[str, tuple[int, int]]]


def _content(path: str | Path) -> dict[str, Any]:
    """Read a file, and check that it is one of this format."""
    content = read_json(path)
    lists = isinstance(content, dict) and all(
        isinstance(content.get(name), list) for name in ("images", "annotations")
    )
    if not lists:
        raise other_json(content, path, "COCO instances")
    known: dict[str, Any] = content
    return known


def _categories(content: Mapping[str, Any]) -> dict[int, str]:
    """Read the names of the categories; those that have no number name nothing."""
    listed = content.get("categories")
    known = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return {one["id"]: str(one.get("name", "")) for one in known if type(one.get("id")) is int}


def _images(content: Mapping[str, Any], path: str | Path, strict: bool) -> _Images:
    """Read names and sizes of the images."""
    images: _Images = {}
    repeated = set()
    with Entries.of(path, "image", strict=strict) as entries:
        for place, one in enumerate(content["images"]):
            number = one.get("id") if isinstance(one, dict) else None
            where = f"image {place if number is None else number}"
            with entries.each(where):
                image = as_mapping(one, where)
                number = as_number(image.get("id"), f"{where}: id", whole=True)
                shape = size_of([image.get("height"), image.get("width")], where)
                if number in images:
                    repeated.add(number)
                images[number] = str(image.get("file_name", "")), shape
    if repeated:
        raise FileError(
            f"{path}: two images have the id {min(repeated)}, so that nothing says which one an "
            "annotation belongs to. Give each its own id."
        )
    return images


def _annotations(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Go through the annotations, each with its place, for messages."""
    for place, one in enumerate(content["annotations"]):
        number = one.get("id", place) if isinstance(one, dict) else place
        yield f"annotation {number}", one


def _image_id(annotation: Mapping[str, Any], images: _Images, where: str) -> int:
    number: int = as_number(annotation.get("image_id"), f"{where}: image_id", whole=True)
    if number not in images:
        raise FileError(f"{where} belongs to image {number}, which is missing.")
    return number


def _object(
    annotation: Mapping[str, Any],
    shape: tuple[int, int],
    categories: Mapping[int, str],
    where: str,
    entries: Entries,
) -> FileObject:
    category = None
    if annotation.get("category_id") is not None:
        number = as_number(annotation["category_id"], f"{where}: category_id", whole=True)
        category = categories.get(number)
    score = annotation.get("score")
    if isinstance(score, float) and not math.isfinite(score):
        score = None
    mask = decode(annotation.get("segmentation"), shape, where, entries)
    known = {"id", "image_id", "category_id", "segmentation", "area", "bbox", "score"}
    if not annotation.get("iscrowd"):
        known.add("iscrowd")
    return FileObject(
        as_number(annotation.get(_LABEL_ID, 0), f"{where}: {_LABEL_ID}", whole=True),
        check_pixels(mask, shape, where),
        category="" if category in (None, _OBJECT) else str(category),
        score=None if score is None else as_number(score, f"{where}: score"),
        extra={k: v for k, v in annotation.items() if k not in known | {_LABEL_ID}},
    )


def _numbered(objects: Sequence[FileObject]) -> list[FileObject]:
    """Give the objects of one image label ids from 1, unless all have one of their own."""
    ids = _distinct([one.label_id for one in objects])
    return [replace(one, label_id=number) for number, one in zip(ids, objects, strict=True)]


def _distinct(ids: Sequence[int]) -> Sequence[int]:
    good = all(number > 0 for number in ids) and len(set(ids)) == len(ids)
    return ids if good else range(1, len(ids) + 1)
