"""Contents of COCO instances: images by number, categories, annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_samhq.errors import FileError
from napari_samhq.io.coco_segmentations import size_of
from napari_samhq.io.entries import Entries
from napari_samhq.io.json_files import as_mapping, as_number, read_json
from napari_samhq.io.json_kinds import other_json
from napari_samhq.io.names import file_name, image_stem

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = [
    "Images",
    "annotations_of",
    "categories_of",
    "chosen_id",
    "chosen_image",
    "content_of",
    "image_id_of",
    "images_of",
    "is_of_another",
]

Images = dict[int, tuple[str, tuple[int, int]]]
"""File names and sizes (height, width) of the images of a file, by their number."""


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


def content_of(path: str | Path) -> dict[str, Any]:
    """Read a file, and check that it is one of this format."""
    content = read_json(path)
    lists = isinstance(content, dict) and all(
        isinstance(content.get(name), list) for name in ("images", "annotations")
    )
    if not lists:
        raise other_json(content, path, "COCO instances")
    known: dict[str, Any] = content
    return known


def categories_of(content: Mapping[str, Any]) -> dict[int, str]:
    """Read the names of the categories; those that have no number name nothing."""
    listed = content.get("categories")
    known = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return {one["id"]: str(one.get("name", "")) for one in known if type(one.get("id")) is int}


def images_of(content: Mapping[str, Any], path: str | Path, strict: bool) -> Images:
    """Read names and sizes of the images."""
    images: Images = {}
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


def annotations_of(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Go through the annotations, each with its place, for messages."""
    for place, one in enumerate(content["annotations"]):
        number = one.get("id", place) if isinstance(one, dict) else place
        yield f"annotation {number}", one


def chosen_id(images: Images, image_name: str | None, path: str | Path) -> int:
    """Find the number of the image that is meant, see :func:`chosen_image`."""
    names = [name for name, _ in images.values()]
    return list(images)[chosen_image(names, image_name, path)]


def is_of_another(annotation: Any, wanted: Container[Any], known: Container[Any]) -> bool:
    """Tell whether an annotation belongs to an image of the file that is not wanted."""
    number = annotation.get("image_id") if isinstance(annotation, dict) else None
    return isinstance(number, int | float) and number in known and number not in wanted


def image_id_of(annotation: Mapping[str, Any], images: Images, where: str) -> int:
    """Read which image an annotation belongs to; a FileError says that there is none."""
    number: int = as_number(annotation.get("image_id"), f"{where}: image_id", whole=True)
    if number not in images:
        raise FileError(f"{where} belongs to image {number}, which is missing.")
    return number
