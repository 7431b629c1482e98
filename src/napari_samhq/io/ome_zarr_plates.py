"""OME-Zarr that holds many images: plates of wells and fields, and series of bioformats2raw.

By the specifications ngff.openmicroscopy.org/0.4 and 0.5. Each image in them is a folder of its
own, which is opened like any other OME-Zarr image.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_samhq.errors import FileError
from napari_samhq.io.atomic import explained

__all__ = ["ImageInside", "about_group", "image_inside", "images_inside", "is_collection"]

_LAYOUT = "bioformats2raw.layout"
_WELL = re.compile(r"([A-Za-z]+)/?(\d+)")
_MOST_TOLD = 8


@dataclass(frozen=True)
class ImageInside:
    """An image of a plate or of a collection of series.

    Attributes
    ----------
    path : Path
        Its folder.
    name : str
        Well and field, "B03_0", or the series.
    well, field : str
        As the file names them; no well outside of plates.
    """

    path: Path
    name: str
    well: str
    field: str


def is_collection(path: str | Path) -> bool:
    """Tell whether a folder is a plate, a well or a collection of series, and no image itself."""
    about = about_group(Path(path))
    return "multiscales" not in about and any(key in about for key in ("plate", "well", _LAYOUT))


def images_inside(
    path: str | Path, *, well: str | None = None, field: str | None = None
) -> list[ImageInside]:
    """List the images of a plate, a well, or a collection of series.

    Parameters
    ----------
    path : str or Path
        The folder.
    well : str, optional
        One well alone, as "B03", "B3" or "B/3".
    field : str, optional
        One field of each well alone, or one series, by the name of its folder: "2".

    Returns
    -------
    list of ImageInside
        In the order of the file.

    Raises
    ------
    FileError
        If it is no such folder, says nothing usable, or has no image of that well and field.

    Notes
    -----
    Where `bioformats2raw` wrote a plate, its metadata of the plate count.
    """
    path = Path(path)
    about = about_group(path)
    if "plate" in about:
        listed = _of_plate(path, about["plate"])
    elif "well" in about:
        name = f"{path.parent.name}{path.name}"
        listed = _of_well(path, about["well"], name)
    elif _LAYOUT in about:
        listed = _of_series(path)
    else:
        raise FileError(
            f"{path} is neither a plate nor a collection of series. Give the path of an image."
        )
    chosen = [
        one
        for one in listed
        if (well is None or _same_well(one.well, well)) and (field is None or one.field == field)
    ]
    if not chosen:
        asked = " and ".join(
            f"{name} {value}" for name, value in (("well", well), ("field", field)) if value
        )
        raise FileError(
            f"{path} has no image{f' of {asked}' if asked else ''}. It holds {_told(listed)}."
        )
    return chosen


def image_inside(path: Path) -> Path:
    """Find the only image of a collection.

    Raises
    ------
    FileError
        If there are several, and nothing says which one.
    """
    listed = images_inside(path)
    if len(listed) == 1:
        return listed[0].path
    raise FileError(
        f"{path} holds {len(listed)} images: {_told(listed)}. Choose with --well and --field, or "
        f"give the path of one, {listed[0].path}."
    )


def about_group(path: Path) -> dict[str, Any]:
    """Read what a group says of itself; version 0.5 has a level more than 0.4."""
    import zarr

    try:
        attributes: Any = dict(zarr.open_group(path, mode="r").attrs)
    except (ValueError, KeyError, OSError):
        return {}
    ome = attributes.get("ome")
    return {**attributes, **ome} if isinstance(ome, dict) else attributes


def _of_plate(path: Path, plate: Any) -> list[ImageInside]:
    found: list[ImageInside] = []
    for well in _paths(plate, "wells", path):
        folder = _within(path, well)
        about = about_group(folder).get("well")
        if about is None:
            continue  # plates name wells that were never acquired
        found += _of_well(folder, about, well.replace("/", ""))
    return found


def _of_well(path: Path, well: Any, name: str) -> list[ImageInside]:
    fields = _paths(well, "images", path)
    return [ImageInside(_within(path, one), f"{name}_{one}", name, one) for one in fields]


def _of_series(path: Path) -> list[ImageInside]:
    """List series: by their list, and for want of one by the numbers of folders."""
    said = about_group(path / "OME").get("series")
    if not isinstance(said, list):
        with explained("read", path, "Check the permission to read it."):
            numbered = [one.name for one in path.iterdir() if one.is_dir() and one.name.isdigit()]
        said = sorted(numbered, key=int)
    names = [str(one) for one in said]
    return [ImageInside(_within(path, one), one.replace("/", "_"), "", one) for one in names]


def _paths(content: Any, name: str, path: Path) -> list[str]:
    listed = content.get(name) if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise FileError(f"{path} is damaged: it has no list of {name}.")
    paths = [one.get("path") if isinstance(one, dict) else None for one in listed]
    if not all(isinstance(one, str) and one for one in paths):
        raise FileError(f"{path} is damaged: of its {name} one has no path.")
    return [str(one) for one in paths]


def _within(folder: Path, name: str) -> Path:
    """Refuse names that lead out of the folder."""
    parts = Path(name).parts
    if Path(name).is_absolute() or ".." in parts:
        raise FileError(f"{folder} names the image {name!r}, which is outside of it.")
    return folder / name


def _same_well(name: str, wanted: str) -> bool:
    return _well(name) == _well(wanted)


def _well(name: str) -> tuple[str, int] | str:
    found = _WELL.fullmatch(name.strip())
    return name.strip().upper() if found is None else (found[1].upper(), int(found[2]))


def _told(listed: list[ImageInside]) -> str:
    names = [one.name for one in listed[:_MOST_TOLD]]
    more = f" and {len(listed) - _MOST_TOLD} more" if len(listed) > _MOST_TOLD else ""
    return (", ".join(names) or "none") + more
