"""Input images of a command, and the paths of its outputs."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_samhq.errors import FileError, SamHQError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "Found",
    "beside",
    "check_name",
    "find_images",
    "one_image",
    "only_image",
    "part_of",
    "renamed",
]

_MAGIC = re.compile(r"[*?\[]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])\s*(\..*)?", re.IGNORECASE)
_ZARR_NOTES = ("zarr.json", ".zgroup", ".zarray")


@dataclass(frozen=True)
class Found:
    """An image that a command is to work on.

    Attributes
    ----------
    path : Path
        Where it is.
    place : Path
        Its name, with the folders below the one that the user gave, or below what comes before the
        first wildcard.
    """

    path: Path
    place: Path

    @property
    def stem(self) -> str:
        """The name without its extension: what files that belong to the image are called."""
        return self.place.stem


def one_image(
    given: Sequence[str], *, well: str | None = None, field: str | None = None
) -> Found | None:
    """Find the image if arguments stand for one, and no list of them, which may have one, too."""
    if len(given) != 1 or not _is_image(Path(given[0])):
        return None
    inside = _inside(Found(Path(given[0]), Path(given[0])), well, field)
    return inside[0] if len(inside) == 1 else None


def only_image(path: Path, *, well: str | None = None, field: str | None = None) -> Path:
    """Find the one image that a path, and of plates a well and a field, stand for.

    Raises
    ------
    FileError
        If there is none, or more than one.
    """
    inside = _inside(Found(path, path), well, field)
    if len(inside) > 1:
        names = ", ".join(one.place.stem for one in inside[:8])
        raise FileError(
            f"{path} holds {len(inside)} images: {names}{', ...' if len(inside) > 8 else ''}. "
            "Choose one with --well and --field."
        )
    return inside[0].path


def _inside(found: Found, well: str | None, field: str | None) -> list[Found]:
    """Take plates, series and files of several scenes apart.

    Raises
    ------
    FileError
        If there is no image of that well and field.
    """
    from napari_samhq.io.bioio_images import bioio_file, scenes_in
    from napari_samhq.io.ome_zarr_plates import images_inside, is_collection

    path, place = found.path, found.place
    stem = place.name[: -len(place.suffix)] if place.suffix else place.name
    stem = stem.removesuffix(".ome")
    if path.is_dir() and is_collection(path):
        listed = images_inside(path, well=well, field=field)
        return [Found(one.path, place.with_name(f"{stem}_{one.name}.zarr")) for one in listed]
    named = bioio_file(path)
    if named is not None and named[1] is None and well is None:
        scenes = [one for one in scenes_in(path) if field is None or one.name == field]
        if scenes != [path]:
            if not scenes:
                raise FileError(f"{path} has no scene {field}. They count from 0.")
            return [
                Found(one, place.with_name(f"{stem}_{one.name}{place.suffix}")) for one in scenes
            ]
    if well is not None or field is not None:
        raise FileError(f"{path} is one image. --well and --field choose among those of plates.")
    return [found]


def find_images(
    given: Sequence[str], *, well: str | None = None, field: str | None = None
) -> list[Found]:
    """Find the images that the arguments of a command stand for.

    Parameters
    ----------
    given : sequence of str
        Files, folders (all images in them, not those in folders below) and patterns such as
        ``data/*.tif`` or ``data/**/*.png``, for shells that do not fill them in. Plates and series
        (OME-Zarr) and files of several scenes stand for all images in them.
    well, field : str, optional
        Of these one well, and one field of each well, alone.

    Returns
    -------
    list of Found
        Each image once: the arguments in their order, names in the order of the alphabet.

    Raises
    ------
    FileError
        If there is nothing of a name, or no image in a folder or under a pattern.

    Examples
    --------
    >>> from importlib.resources import files
    >>> folder = files("napari_samhq") / "data"
    >>> [str(found.place) for found in find_images([f"{folder}/nuclei*.png"])]
    ['nuclei.png', 'nuclei_labels.png']
    """
    found: dict[Path, Found] = {}
    for one in given:
        for image in _found(one):
            for inside in _inside_or_itself(image, well, field):
                found.setdefault(inside.path, inside)
    return list(found.values())


def _inside_or_itself(image: Found, well: str | None, field: str | None) -> list[Found]:
    """Take an image apart; one that cannot be opened is told when it is its turn."""
    try:
        return _inside(image, well, field)
    except SamHQError:
        if well is not None or field is not None:
            raise
        return [image]


def _found(given: str) -> list[Found]:
    path = Path(given)
    if _is_image(path):
        return [Found(path, Path(path.name))]
    if path.is_dir():
        images = [Found(one, Path(one.name)) for one in _images(path.iterdir())]
        if not images:
            raise FileError(
                f"There is no image in {path}. Images end in {_known()}; those in folders below "
                f"are found by a pattern such as '{path / '**' / '*.tif'}'."
            )
        return images
    root = Path(*_before_magic(path.parts))
    matching = _images(Path(name) for name in glob.glob(given, recursive=True))
    if not matching:
        raise FileError(f"No image matches '{given}'. Images end in {_known()}.")
    return [Found(one, one.relative_to(root)) for one in matching]


def _is_image(path: Path) -> bool:
    """Tell whether this names one image, be it there or not."""
    if path.is_dir():
        return path.suffix.lower() == ".zarr" or any((path / n).exists() for n in _ZARR_NOTES)
    # A name with brackets in it may be a file, and is taken for a pattern only when it is none.
    return path.exists() or not _MAGIC.search(str(path))


def _images(paths: Iterable[Path]) -> list[Path]:
    from napari_samhq.io.cellpose import is_cellpose
    from napari_samhq.io.images import IMAGE_SUFFIXES

    return sorted(
        one
        for one in paths
        if one.suffix.lower() in IMAGE_SUFFIXES
        and not one.name.startswith(".")
        and not is_cellpose(one)  # which lie beside their images
    )


def _before_magic(parts: Sequence[str]) -> list[str]:
    plain: list[str] = []
    for part in parts[:-1]:
        if _MAGIC.search(part):
            break
        plain.append(part)
    return plain


def _known() -> str:
    from napari_samhq.io.images import IMAGE_SUFFIXES

    return ", ".join(IMAGE_SUFFIXES)


def part_of(images: Sequence[Found], part: tuple[int, int]) -> list[Found]:
    """Take the share of one job of an array: every n-th image, so that all have about as many.

    Examples
    --------
    >>> part_of("abcde", (2, 3))
    ['b', 'e']
    """
    number, count = part
    return list(images[number - 1 :: count])


def beside(
    found: Found, folder: Path, suffixes: Sequence[str], *, shown: Sequence[str] | None = None
) -> Path:
    """Find the file in a folder that belongs to an image: one of the same name, up to the end.

    Parameters
    ----------
    found : Found
        The image.
    folder : Path
    suffixes : sequence of str
        How the file may end, as ``.csv`` or ``_labels.tif``.
    shown : sequence of str, optional
        Those that the message names; all when left out.

    Raises
    ------
    FileError
        If there is none, or more than one.
    """
    from napari_samhq.io.images import IMAGE_SUFFIXES
    from napari_samhq.io.names import image_stem

    path, image = found.place, found.path
    plain = image_stem(path.name)
    stems = {path.name, plain, path.stem if path.suffix.lower() in IMAGE_SUFFIXES else plain}
    wanted = {stem + suffix for suffix in suffixes for stem in stems}
    matching = sorted(
        one for one in folder.iterdir() if one.name in wanted and not _is_same(one, image)
    )
    if not matching:
        likely = [plain + suffix for suffix in shown or suffixes]
        raise FileError(
            f"{folder} has no file for {path.name}. It would be named {' or '.join(likely)}."
        )
    if len(matching) > 1:
        names = ", ".join(one.name for one in matching)
        raise FileError(f"{folder} has several files for {path.name}: {names}. Leave one of them.")
    return matching[0]


def renamed(place: Path, suffix: str) -> Path:
    """Name a result after an image: its extension is replaced, other dots belong to the name.

    Examples
    --------
    >>> str(renamed(Path("plate1.A01.tif"), ".csv")), str(renamed(Path("plate1.A01"), ".csv"))
    ('plate1.A01.csv', 'plate1.A01.csv')
    """
    from napari_samhq.io.images import IMAGE_SUFFIXES

    known = place.suffix.lower() in IMAGE_SUFFIXES
    return place.with_suffix(suffix) if known else place.with_name(place.name + suffix)


def _is_same(path: Path, other: Path) -> bool:
    return other.exists() and path.samefile(other)


def check_name(path: Path) -> None:
    """Refuse names that some system cannot have, since results are passed on.

    Raises
    ------
    FileError
        If the name is one of those that Windows keeps for devices, ends in a blank or a dot, or
        has a character that cannot be in a name.

    Examples
    --------
    >>> check_name(Path("results/aux.tif"))
    Traceback (most recent call last):
    ...
    napari_samhq.errors.FileError: 'aux.tif' is a name that Windows keeps for a device, so that the
    file could not be copied there. Choose another name.
    """
    name = path.name
    if _RESERVED.fullmatch(name):
        raise FileError(
            f"{name!r} is a name that Windows keeps for a device, so that the file could not be "
            "copied there. Choose another name."
        )
    forbidden = '<>:"|?*' if os.name == "nt" else ""
    bad = [one for one in name if one < " " or one in forbidden]
    if bad or name != name.rstrip(" .") or not name:
        what = f"has the character {bad[0]!r} in it" if bad else "ends in a blank or a dot"
        raise FileError(f"The name {name!r} {what}. Choose another name.")
