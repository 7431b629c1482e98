"""Images and the label images that belong to them, found by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_samhq.cli.paths import Found, find_images

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["pairs_in"]

_MOST_TOLD = 3


def pairs_in(
    images: Path,
    labels: Path,
    what: str = "label image",
    *,
    well: str | None = None,
    field: str | None = None,
) -> list[tuple[Found, Path]]:
    """Find the label image of each image, or its mask.

    Parameters
    ----------
    images, labels : Path
        Two files; or two folders, where names must be the same but for their extensions. A plate
        or a file of several scenes stands for its images: their labels are those of a plate of the
        same wells and fields, or lie in a folder, named as `segment` names them.
    what : str
        What to call them in messages.
    well, field : str, optional
        Of plates and series one well, and one field of each well, alone.

    Raises
    ------
    FileError
        If something is not there, an image has no labels, or a name stands for two files.
    """
    from napari_samhq.errors import FileError
    from napari_samhq.io.bioio_images import bioio_file

    for path in (images, labels):
        file = bioio_file(path)
        if not (path if file is None else file[0]).exists():
            raise FileError(f"{path} does not exist. Check the spelling and the working directory.")
    found = find_images([str(images)], well=well, field=field)
    if found[0].path == images and not _is_folder(labels):
        return [(found[0], labels)]
    if _is_plate(labels):
        return _of_plates(images, found, labels, what)
    if not _is_folder(labels):
        raise FileError(
            f"{images} holds {len(found)} images and {labels} is one file; give two files or two "
            "folders."
        )
    pictures = _by_stem((one.place.name, one.path) for one in found)
    drawings = _by_stem((one.name, one) for one in sorted(labels.iterdir()) if _is_image(one))
    missing = sorted(pictures.keys() - drawings.keys())
    if missing:
        raise FileError(_missing(missing, len(found), images, labels, what))
    for paths in (*pictures.values(), *(drawings[stem] for stem in pictures)):
        if len(paths) > 1:
            raise FileError(
                f"{paths[0]} and {paths[1]} have one name, and nothing says which is meant. Move "
                "one elsewhere."
            )
    places = {one.path: one for one in found}
    return [(places[pictures[stem][0]], drawings[stem][0]) for stem in sorted(pictures)]


def _of_plates(
    images: Path, found: list[Found], labels: Path, what: str
) -> list[tuple[Found, Path]]:
    """Pair images and labels of two plates, which lie at the same place in them."""
    from napari_samhq.errors import FileError

    pairs, missing = [], []
    for one in found:
        inside = labels / one.path.relative_to(images)
        if inside.is_dir():
            pairs.append((one, inside))
        else:
            missing.append(one.place.stem)
    if missing:
        raise FileError(_missing(missing, len(found), images, labels, what))
    return pairs


def _missing(names: list[str], count: int, images: Path, labels: Path, what: str) -> str:
    listed = ", ".join(names[:_MOST_TOLD]) + (", …" if len(names) > _MOST_TOLD else "")
    return (
        f"{len(names)} of {count} images in {images} have no {what} of the same name in {labels}: "
        f"{listed}. Move them elsewhere, or add a {what} for each."
    )


def _by_stem(named: Iterable[tuple[str, Path]]) -> dict[str, list[Path]]:
    from napari_samhq.io.names import image_stem

    listed: dict[str, list[Path]] = {}
    for name, path in named:
        listed.setdefault(image_stem(name), []).append(path)
    return listed


def _is_image(path: Path) -> bool:
    from napari_samhq.io.images import IMAGE_SUFFIXES

    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _is_plate(path: Path) -> bool:
    from napari_samhq.io.ome_zarr_layers import is_zarr
    from napari_samhq.io.ome_zarr_plates import is_collection

    return is_zarr(path) and is_collection(path)


def _is_folder(path: Path) -> bool:
    from napari_samhq.io.ome_zarr_layers import is_zarr

    return path.is_dir() and path.suffix.lower() != ".zarr" and not is_zarr(path)
