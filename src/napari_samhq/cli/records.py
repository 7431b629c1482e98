"""Run records: a file beside each result that says how to make it again.

A record has a recipe, which is all that decides what comes out: the version of the program, the
weights, the image, the prompts, the settings. Whoever finds a result with the recipe that is asked
for need not make it again. The rest of the record is for people: when, where, how long.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_samhq.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_samhq.core.prompts.prompt import Prompt
    from napari_samhq.inference.settings import Search

__all__ = [
    "RECORD_SUFFIX",
    "check_record",
    "digest_of_file",
    "digest_of_prompts",
    "image_in_recipe",
    "is_made",
    "model_in_recipe",
    "read_record",
    "record_path",
    "versions",
    "write_record",
]

RECORD_SUFFIX = ".run.json"
"""What the name of a record has behind that of the result."""

_FORMAT = "napari-samhq run"
_VERSION = 1


def record_path(output: Path) -> Path:
    """Tell where the record of a result is.

    Examples
    --------
    >>> record_path(Path("labels.tif")).name
    'labels.tif.run.json'
    """
    return output.with_name(output.name + RECORD_SUFFIX)


def read_record(output: Path) -> dict[str, Any] | None:
    """Read the record of a result; None where there is none that can be understood."""
    from napari_samhq.io.json_files import read_json

    path = record_path(output)
    if not path.is_file():
        return None
    try:
        record = read_json(path)
    except FileError:
        return None
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        return None
    return record


def is_made(output: Path, recipe: Mapping[str, Any]) -> bool:
    """Tell whether a result is there and was made by this very recipe."""
    if not output.exists():
        return False
    record = read_record(output)
    return record is not None and record.get("recipe") == json.loads(json.dumps(recipe))


def check_record(output: Path, *, overwrite: bool) -> None:
    """Check that a record could be written beside a result, before there is one.

    Raises
    ------
    FileError
        If not; a file of its name that is no record is not replaced.
    """
    from napari_samhq.io.atomic import check_target

    check_target(record_path(output), overwrite=overwrite or read_record(output) is not None)


def write_record(
    output: Path,
    recipe: Mapping[str, Any],
    *,
    command: str,
    image: Path,
    seconds: Mapping[str, float],
    **more: Any,
) -> Path:
    """Write the record of a result that is in place.

    Parameters
    ----------
    output : Path
        The result.
    recipe : mapping
        What decides what comes out.
    command : str
        The command that made it.
    image : Path
        What it was made of.
    seconds : mapping of str to float
        What its parts took.
    **more
        What else is worth telling: device, number of objects.

    Returns
    -------
    Path
        The record, which was written whole.
    """
    from napari_samhq.io.json_files import write_json

    record = {
        "format": _FORMAT,
        "version": _VERSION,
        "command": command,
        "recipe": dict(recipe),
        "image": str(image.absolute()),
        "output": {"name": output.name, "sha256": digest_of_file(output)},
        **more,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "folder": str(Path.cwd()),
        "arguments": sys.argv[1:],
        "versions": versions(),
        "system": platform.platform(),
    }
    return write_json(record_path(output), record, overwrite=True, indent=1)


def model_in_recipe(predictor: Any, name: str) -> dict[str, str]:
    """Name the weights, and the numbers in which they are used."""
    return {"name": name, "sha256": predictor.fingerprint, "precision": predictor.precision}


def search_in_recipe(search: Search | None, finder: Any) -> dict[str, Any]:
    """Name the method that all objects are found by, and all of its settings."""
    if search is None:
        return {}
    finds_objects = bool(getattr(finder, "finds_objects", False))
    settings = search.settings_for(finds_objects=finds_objects)
    return {"method": settings.method, **dict(settings.pairs())}


def image_in_recipe(path: Path, plane: Any, channels: Any = None) -> dict[str, Any]:
    """Name the content of an image file, wherever it is.

    Raises
    ------
    FileError
        If it cannot be read.
    """
    from napari_samhq.core.images.identity import content_digest
    from napari_samhq.io.atomic import explained
    from napari_samhq.io.images import open_array

    array = open_array(path)
    with explained("read", path, "Check the path and the permission to read it."):
        return {
            "shape": [int(length) for length in array.shape],
            "type": str(array.dtype),
            "digest": content_digest(array),
            "plane": None if plane is None else list(plane),
        } | ({} if channels is None else {"channels": list(channels)})


def digest_of_prompts(prompts: Mapping[int, Prompt]) -> str:
    """Hash prompts, with the numbers of their objects.

    Examples
    --------
    >>> from napari_samhq.core.prompts.prompt import Prompt
    >>> one, other = ({1: Prompt(points=[[10, row]])} for row in (4, 5))
    >>> digest_of_prompts(one) == digest_of_prompts(other)
    False
    """
    import numpy as np

    from napari_samhq.core.masks.cropped import CroppedMask

    digest = hashlib.sha256()
    for number in sorted(prompts):
        prompt = prompts[number]
        for name in ("points", "point_labels", "box", "mask"):
            value = getattr(prompt, name)
            if isinstance(value, CroppedMask):
                digest.update(f"{number} {value}".encode())
                digest.update(value.packed)
            elif value is not None:
                array = np.ascontiguousarray(value, dtype="<f8")
                digest.update(f"{number} {name} {array.shape}".encode())
                digest.update(array.tobytes())
    return digest.hexdigest()


def digest_of_file(path: Path) -> str:
    """Hash a file; of a folder, the names and contents of all that is in it."""
    from napari_samhq.io.atomic import explained

    digest = hashlib.sha256()
    with explained("read", path, "Check the permission to read it."):
        if not path.is_dir():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        for one in sorted(path.rglob("*")):
            if one.is_file():
                digest.update(one.relative_to(path).as_posix().encode())
                digest.update(digest_of_file(one).encode())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Name the versions of all that takes part in the arithmetic."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in ("napari-samhq", "torch", "numpy", "scikit-image", "scipy", "pillow", "tifffile"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a package that lies on the path without being installed
            continue
    return found
