"""COCO instances: many images, categories, objects as run-length encodings or polygons.

The format of the data set "Common Objects in Context" (Lin et al., ECCV 2014). x and y are in
pixels from the outer corner of the first pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.drawn import Drawn, DrawnShape
from napari_samhq.core.geometry import corner_xy_to_rc
from napari_samhq.core.outlines import fill_polygon, outline_of
from napari_samhq.core.rle import compress_runs, crop_from_runs, expand_runs, runs_of_crop
from napari_samhq.errors import FileError
from napari_samhq.io.json_files import as_list, as_mapping, as_number, read_json, write_json
from napari_samhq.io.objects import FileObject, box_xywh

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from napari_samhq.core.masks import CroppedMask

__all__ = ["CocoImage", "chosen_image", "read_coco", "read_coco_boxes", "write_coco"]

_LABEL_ID = "label_id"  # ours, beside the keys of the format
_LARGEST_SIDE_PX = 2**20
_LARGEST_IMAGE_PX = 2**31
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
                "segmentation": _polygons(one) if polygons else _encoded(one, image.shape),
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


def read_coco(path: str | Path, *, boxes_alone: bool = False) -> list[CocoImage]:
    """Read a COCO instances file.

    Parameters
    ----------
    path : str or Path
    boxes_alone : bool, optional
        Take annotations without a segmentation, too, as boxes; they are refused otherwise.

    Returns
    -------
    list of CocoImage
        In the order of the file. Objects keep the label ids that :func:`write_coco` wrote, and are
        numbered from 1 in each image otherwise.

    Raises
    ------
    FileError
        If the file is none of this format, or something in it makes no sense; the message says
        what. Nothing is guessed.
    """
    categories, images, annotations = _contents(path)
    objects: dict[int, list[FileObject]] = {number: [] for number in images}
    boxes: dict[int, list[tuple[int, list[float]]]] = {number: [] for number in images}
    for number, annotation in annotations:
        where = f"{path}: annotation {annotation.get('id', len(objects[number]))}"
        if boxes_alone and not annotation.get("segmentation"):
            boxes[number].append(_box(annotation, where))
            continue
        try:
            read = _object(annotation, images[number][1], categories)
        except FileError as error:
            raise FileError(f"{where}: {error}") from error
        objects[number].append(read)
    return [
        CocoImage(name, shape, tuple(_numbered(objects[number])), _rectangles(boxes[number]))
        for number, (name, shape) in images.items()
    ]


def read_coco_boxes(path: str | Path, image_name: str | None = None) -> dict[int, Drawn]:
    """Read the boxes of one image of a COCO file, as prompts.

    Parameters
    ----------
    path : str or Path
        A file as :func:`read_coco` reads it; annotations need no segmentation.
    image_name : str, optional
        Which image, see :func:`chosen_image`.

    Returns
    -------
    dict of int to Drawn
        A rectangle for each object, in image pixels, by the label id that :func:`read_coco` gives.

    Raises
    ------
    FileError
        As :func:`read_coco`, or if a box is none.
    """
    _, images, annotations = _contents(path)
    names = [name for name, _ in images.values()]
    wanted = list(images)[chosen_image(names, image_name, path)]
    boxes = [
        _box(annotation, f"{path}: annotation {annotation.get('id', '')}")
        for number, annotation in annotations
        if number == wanted
    ]
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
        do extensions. None means the only image there is.
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
    for part in (str, _file_name, _stem):
        found = [index for index, name in enumerate(names) if part(name) == part(wanted)]
        if len(found) == 1:
            return found[0]
    raise FileError(
        f"{path} holds no image {wanted!r}, or several. It holds {listed or 'no image at all'}."
    )


def _file_name(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _stem(name: str) -> str:
    return _file_name(name).split(".", 1)[0]


_Images = dict[int, tuple[str, tuple[int, int]]]


def _contents(
    path: str | Path,
) -> tuple[dict[int, str], _Images, Iterator[tuple[int, dict[str, Any]]]]:
    """Read names of categories, names and sizes of images, and annotations with their image."""
    content = as_mapping(read_json(path), f"{path}")
    categories: dict[int, str] = {}
    for one in as_list(content.get("categories", []), "categories"):
        known = as_mapping(one, "a category")
        categories[as_number(known.get("id"), "id of a category", whole=True)] = str(
            known.get("name", "")
        )
    images: _Images = {}
    for one in as_list(content.get("images"), "images"):
        image = as_mapping(one, "an image")
        number = as_number(image.get("id"), "id of an image", whole=True)
        if number in images:
            raise FileError(f"{path}: two images have the id {number}.")
        shape = _size([image.get("height"), image.get("width")], f"image {number}")
        images[number] = str(image.get("file_name", "")), shape
    annotations = as_list(content.get("annotations"), "annotations")

    def iterate() -> Iterator[tuple[int, dict[str, Any]]]:
        for one in annotations:
            annotation = as_mapping(one, "an annotation")
            number = as_number(annotation.get("image_id"), "image_id", whole=True)
            if number not in images:
                raise FileError(
                    f"{path}: an annotation belongs to image {number}, which is missing."
                )
            yield number, annotation

    return categories, images, iterate()


def _object(
    annotation: Mapping[str, Any], shape: tuple[int, int], categories: Mapping[int, str]
) -> FileObject:
    category = categories.get(as_number(annotation.get("category_id"), "category_id", whole=True))
    score = annotation.get("score")
    known = {"id", "image_id", "category_id", "segmentation", "area", "bbox", "score"}
    if not annotation.get("iscrowd"):
        known.add("iscrowd")
    return FileObject(
        as_number(annotation.get(_LABEL_ID, 0), _LABEL_ID, whole=True),
        _decoded(annotation.get("segmentation"), shape),
        category="" if category in (None, _OBJECT) else str(category),
        score=None if score is None else as_number(score, "score"),
        extra={k: v for k, v in annotation.items() if k not in known | {_LABEL_ID}},
    )


def _numbered(objects: Sequence[FileObject]) -> list[FileObject]:
    """Give the objects of one image label ids from 1, unless all have one of their own."""
    ids = _distinct([one.label_id for one in objects])
    return [replace(one, label_id=number) for number, one in zip(ids, objects, strict=True)]


def _distinct(ids: Sequence[int]) -> Sequence[int]:
    good = all(number > 0 for number in ids) and len(set(ids)) == len(ids)
    return ids if good else range(1, len(ids) + 1)


def _encoded(one: FileObject, shape: tuple[int, int]) -> dict[str, Any]:
    return {
        "size": [shape[0], shape[1]],
        "counts": compress_runs(runs_of_crop(one.mask, shape)),
    }


def _polygons(one: FileObject) -> list[list[float]]:
    outline: Any = outline_of(one.mask)
    parts = getattr(outline, "geoms", [outline])
    if any(len(part.interiors) for part in parts):
        raise FileError(
            f"Object {one.label_id} has a hole, which polygons of the COCO format cannot have. "
            "Write run-length encodings instead (polygons=False)."
        )
    return [np.asarray(part.exterior.coords)[:-1].ravel().tolist() for part in parts]


def _decoded(segmentation: Any, shape: tuple[int, int]) -> CroppedMask:
    if isinstance(segmentation, list):
        return _from_polygons(segmentation, shape)
    encoding = as_mapping(segmentation, "segmentation")
    size = _size(as_list(encoding.get("size"), "size"), "the encoding")
    if size != shape:
        raise FileError(f"It is encoded for {size} pixels, but its image has {shape}.")
    counts = encoding.get("counts")
    if isinstance(counts, str):
        runs = expand_runs(counts)
    else:
        runs = [as_number(one, "a run", whole=True) for one in as_list(counts, "counts")]
    return crop_from_runs(runs, size)


def _from_polygons(polygons: list[Any], shape: tuple[int, int]) -> CroppedMask:
    import shapely

    parts = []
    for polygon in polygons:
        values = [as_number(v, "a coordinate") for v in as_list(polygon, "a polygon")]
        if len(values) < 6 or len(values) % 2:
            raise FileError(f"A polygon of {len(values)} numbers; needed are x, y of 3 or more.")
        part = shapely.Polygon(np.reshape(values, (-1, 2)))
        parts.append(part if part.is_valid else shapely.make_valid(part))
    return fill_polygon(shapely.union_all(parts), shape)


def _size(values: Sequence[Any], what: str) -> tuple[int, int]:
    if len(values) != 2:
        raise FileError(f"The size of {what} is {list(values)}; needed are height and width.")
    height, width = (as_number(v, f"size of {what}", whole=True) for v in values)
    sensible = 0 < height <= _LARGEST_SIDE_PX and 0 < width <= _LARGEST_SIDE_PX
    if not sensible or height * width > _LARGEST_IMAGE_PX:
        raise FileError(f"The size of {what} is {height} x {width} pixels; no image has it.")
    return height, width
