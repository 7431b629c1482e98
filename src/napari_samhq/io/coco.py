"""COCO instances: many images, categories, objects as run-length encodings or polygons.

The format of the data set "Common Objects in Context" (Lin et al., ECCV 2014). x and y are in
pixels from the outer corner of the first pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_samhq.core.geometry.frames import corner_xy_to_rc
from napari_samhq.core.journal.shapes_drawn import Drawn, DrawnShape
from napari_samhq.errors import FileError
from napari_samhq.io.coco_contents import (
    Images,
    annotations_of,
    categories_of,
    chosen_id,
    chosen_image,
    content_of,
    image_id_of,
    images_of,
    is_of_another,
)
from napari_samhq.io.coco_segmentations import decode, encode, polygons_of
from napari_samhq.io.entries import Entries
from napari_samhq.io.json_files import as_list, as_mapping, as_number, write_json
from napari_samhq.io.objects import FileObject, box_xywh, check_image_shape, check_pixels

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence
    from pathlib import Path

__all__ = [
    "CocoImage",
    "chosen_image",
    "read_coco",
    "read_coco_boxes",
    "read_coco_image",
    "write_coco",
]

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
                "area": float(one.mask.area),
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
    content = content_of(path)
    return _read(content, images_of(content, path, strict), path, boxes_alone, strict)


def read_coco_image(
    path: str | Path, image_name: str | None = None, *, strict: bool = False
) -> CocoImage:
    """Read one image of a COCO instances file; what is wrong with others does not matter.

    Parameters
    ----------
    path, strict
        As :func:`read_coco`.
    image_name : str, optional
        Which image, see :func:`chosen_image`.

    Raises
    ------
    FileError
        As :func:`read_coco` and :func:`chosen_image`.
    """
    content = content_of(path)
    images = images_of(content, path, strict)
    number = chosen_id(images, image_name, path)
    (image,) = _read(content, {number: images[number]}, path, False, strict, images)
    return image


def _read(
    content: Mapping[str, Any],
    wanted: Images,
    path: str | Path,
    boxes_alone: bool,
    strict: bool,
    known: Container[Any] = (),
) -> list[CocoImage]:
    """Read the annotations of images; those of others that are known are passed over."""
    categories = categories_of(content)
    objects: dict[int, list[FileObject]] = {number: [] for number in wanted}
    boxes: dict[int, list[tuple[int, list[float]]]] = {number: [] for number in wanted}
    with Entries.of(path, "annotation", strict=strict) as entries:
        for where, given in annotations_of(content):
            if is_of_another(given, wanted, known):
                continue
            with entries.each(where):
                annotation = as_mapping(given, where)
                number = image_id_of(annotation, wanted, where)
                if boxes_alone and not annotation.get("segmentation"):
                    boxes[number].append(_box(annotation, where))
                    continue
                read = _object(annotation, wanted[number][1], categories, where, entries)
                objects[number].append(read)
    return [
        CocoImage(name, shape, tuple(_numbered(objects[number])), _rectangles(boxes[number]))
        for number, (name, shape) in wanted.items()
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
    content = content_of(path)
    images = images_of(content, path, strict)
    wanted = chosen_id(images, image_name, path)
    check_image_shape(images[wanted][1], shape, path)
    boxes = []
    with Entries.of(path, "annotation", strict=strict) as entries:
        for where, given in annotations_of(content):
            if is_of_another(given, (wanted,), images):
                continue
            with entries.each(where):
                annotation = as_mapping(given, where)
                image_id_of(annotation, images, where)
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
        as_number(annotation.get(_LABEL_ID) or 0, f"{where}: {_LABEL_ID}", whole=True),
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
