"""Labels as OME-Zarr, by the specification ngff.openmicroscopy.org/0.5."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import FileError, ImageError
from napari_samhq.io.calibration import long_unit
from napari_samhq.io.decoding import decoding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_samhq.io.calibration import Calibration

__all__ = ["described_pyramid", "is_label_group", "read_properties", "write_label_group"]

_CHUNK_PX = 1024
_SMALLEST_LEVEL_PX = 256
_TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


def write_label_group(
    path: Path,
    ids: Any,
    calibration: Calibration,
    properties: Mapping[int, Mapping[str, Any]],
) -> None:
    """Write labels with a pyramid.

    Parameters
    ----------
    path : Path
        Of the zarr group, which does not exist.
    ids : array of shape (..., H, W), int
        Numpy, dask or zarr; read piece by piece.
    calibration : Calibration
    properties : mapping of int to mapping
        What is known of the objects, by label id.
    """
    import zarr

    axes = _axis_names(calibration)
    group = zarr.create_group(store=path, zarr_format=3)
    level: Any = ids
    number = 0
    while True:
        shape = tuple(level.shape) if number == 0 else _halved(level.shape)
        array = group.create_array(
            str(number),
            shape=shape,
            dtype=ids.dtype,
            chunks=(1,) * (len(shape) - 2) + tuple(min(_CHUNK_PX, n) for n in shape[-2:]),
            dimension_names=axes,
            fill_value=0,
        )
        _fill(array, level, step=1 if number == 0 else 2)
        level, number = array, number + 1
        if max(shape[-2:]) <= _SMALLEST_LEVEL_PX:
            break
    group.attrs["ome"] = described_pyramid(path.stem, calibration, number) | {
        "image-label": _about(properties)
    }


def _halved(shape: Sequence[int]) -> tuple[int, ...]:
    return (*shape[:-2], *(-(-length // 2) for length in shape[-2:]))


def _fill(array: Any, source: Any, step: int) -> None:
    """Copy every pixel, or every other one, in pieces that are rows of chunks of one plane."""
    # Label ids have no mean, and so the centres of the first pixels coincide.
    for plane in np.ndindex(array.shape[:-2]):
        for row in range(0, array.shape[-2], _CHUNK_PX):
            rows = slice(row * step, (row + _CHUNK_PX) * step)
            piece = np.asarray(source[(*plane, rows)])
            if piece.size and piece.min() < 0:
                raise ImageError(
                    f"The labels have the value {piece.min()}; label ids are 0 or more."
                )
            array[(*plane, slice(row, row + _CHUNK_PX))] = piece[::step, ::step]


def read_properties(path: Path) -> dict[int, dict[str, Any]]:
    """Read what an OME-Zarr says of the objects of its labels, by label id."""
    listed = _image_label(path).get("properties", [])
    found = {}
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, dict) and isinstance(one.get("label-value"), int):
            values = {str(key): value for key, value in one.items() if key != "label-value"}
            found[one["label-value"]] = values
    return found


def is_label_group(path: Path) -> bool:
    """Tell whether a folder says that it is an OME-Zarr of labels."""
    return bool(_image_label(path))


def _image_label(path: Path) -> dict[str, Any]:
    import zarr

    try:
        with decoding(path):
            attributes: Any = dict(zarr.open_group(path, mode="r").attrs)
            found = attributes.get("ome", attributes).get("image-label")
    except FileError:
        return {}
    return found if isinstance(found, dict) else {}


def described_pyramid(
    name: str, calibration: Calibration, levels: int, *, pooled: bool = False
) -> dict[str, Any]:
    """Describe a pyramid, each level of which is half as large as the finer one.

    Parameters
    ----------
    name : str
        Of the image.
    calibration : Calibration
        Of the finest level.
    levels : int
        How many there are.
    pooled : bool, optional
        Whether a pixel shows 2 x 2 pixels of the finer level. Otherwise it is one of them, the
        first, and the centres of the first pixels coincide.

    Returns
    -------
    dict
        What "ome" says in the attributes of the group.

    Examples
    --------
    >>> from napari_samhq.io.calibration import Calibration
    >>> about = described_pyramid("cells", Calibration.of(2, 0.5, "um"), 2, pooled=True)
    >>> about["multiscales"][0]["datasets"][1]["coordinateTransformations"][1]
    {'type': 'translation', 'translation': [0.25, 0.25]}
    """
    described = []
    for axis, unit in zip(_axis_names(calibration), calibration.units, strict=True):
        one = {"name": axis}
        if axis in _TYPES:
            one["type"] = _TYPES[axis]
        if long_unit(unit):
            one["unit"] = long_unit(unit)
        described.append(one)
    datasets = []
    for number in range(levels):
        sizes, start = list(calibration.pixel_size), [0.0] * len(calibration.pixel_size)
        if pooled:
            start[-2:] = [size * (2**number - 1) / 2 for size in sizes[-2:]]
        sizes[-2:] = [size * 2**number for size in sizes[-2:]]
        placed: list[dict[str, Any]] = [{"type": "scale", "scale": sizes}]
        if any(start):
            placed.append({"type": "translation", "translation": start})
        datasets.append({"path": str(number), "coordinateTransformations": placed})
    return {
        "version": "0.5",
        "multiscales": [
            {"name": name.removesuffix(".ome"), "axes": described, "datasets": datasets}
        ],
    }


def _axis_names(calibration: Calibration) -> tuple[str, ...]:
    # What leading axes are, maybe nobody said; axes without a type may have any name.
    return tuple(name or f"axis-{index}" for index, name in enumerate(calibration.axes))


def _about(properties: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    about: dict[str, Any] = {"version": "0.5"}
    listed = [
        {"label-value": int(label_id)} | {k: _plain(v) for k, v in values.items()}
        for label_id, values in sorted(properties.items())
    ]
    if listed:
        about["properties"] = listed
    return about


def _plain(value: Any) -> Any:
    """Turn numpy's numbers into those of JSON, which has none that is not finite."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
