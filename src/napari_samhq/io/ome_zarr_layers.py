"""Images of OME-Zarr as layer data: with channels and sizes; plates and series as stacks.

Needs dask, which napari brings.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import FileError, SamHQError, SamHQWarning
from napari_samhq.io.axes import axes_of
from napari_samhq.io.calibration import Calibration, read_calibration
from napari_samhq.io.channel_choice import channel_names
from napari_samhq.io.images import open_levels
from napari_samhq.io.names import image_stem
from napari_samhq.io.ome_zarr_plates import ImageInside, about_group, images_inside, is_collection

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["is_zarr", "placed", "read_image_layers"]

LayerData = tuple[Any, dict[str, Any], str]

_NOTES = ("zarr.json", ".zgroup", ".zarray")
_HEX = re.compile(r"#?([0-9a-fA-F]{6})")
_MOST_TOLD = 5


@dataclass(frozen=True)
class _Opened:
    """An image, opened: its levels, and where its channels and colours are."""

    path: Path
    name: str
    levels: list[Any]
    has_color: bool
    channel_axis: int | None
    calibration: Calibration | None

    @property
    def kind(self) -> tuple[Any, ...]:
        """What images of one stack have in common."""
        shapes = tuple((tuple(level.shape), np.dtype(level.dtype)) for level in self.levels)
        return shapes, self.has_color, self.channel_axis, self.calibration


def is_zarr(path: str | Path) -> bool:
    """Tell whether a folder is an array or a group of zarr."""
    path = Path(path)
    return path.is_dir() and any((path / name).exists() for name in _NOTES)


def read_image_layers(
    path: str | Path, *, well: str | None = None, field: str | None = None
) -> list[LayerData]:
    """Open a zarr array, an OME-Zarr image, or all images of a plate or of several series.

    Parameters
    ----------
    path : str or Path
        The folder.
    well, field : str, optional
        As :func:`~napari_samhq.io.ome_zarr_plates.images_inside`.

    Returns
    -------
    list of (data, options, "image")
        Arrays of dask, all levels of a pyramid, with the size of pixels, and names, colours and
        limits of channels. Images of a plate or of series that are alike are one stack, their
        names in its ``metadata["images"]``, in the order of the first axis.

    Raises
    ------
    FileError
        If nothing in it can be opened.

    Warns
    -----
    SamHQWarning
        If images of a plate or of series were left out, since they cannot be opened.
    """
    path = Path(path)
    name = image_stem(path.name)
    if not is_collection(path):
        opened = _opened(path, name)
        return [_layer([opened], name)]
    stacks: dict[tuple[Any, ...], list[_Opened]] = {}
    for opened in _all_opened(path, images_inside(path, well=well, field=field)):
        stacks.setdefault(opened.kind, []).append(opened)
    alone = len(stacks) == 1
    return [
        _layer(listed, name if alone else f"{name} {listed[0].name}") for listed in stacks.values()
    ]


def _all_opened(path: Path, listed: Sequence[ImageInside]) -> list[_Opened]:
    """Open images; those that cannot be opened are left out, counted and named."""
    opened, left_out = [], []
    for one in listed:
        try:
            opened.append(_opened(one.path, one.name))
        except SamHQError as error:
            left_out.append((one.name, error))
    if not opened:
        raise FileError(f"No image of {path} can be opened. {left_out[0][1]}")
    if left_out:
        names = [name for name, _ in left_out[:_MOST_TOLD]]
        more = ", ..." if len(left_out) > _MOST_TOLD else ""
        warnings.warn(
            f"{path}: {len(left_out)} of {len(listed)} images were left out: "
            f"{', '.join(names)}{more}. {left_out[0][1]}",
            SamHQWarning,
            stacklevel=4,
        )
    return opened


def _opened(path: Path, name: str) -> _Opened:
    levels, has_color = open_levels(path)
    names = axes_of(levels[0], path)
    ndim = len(levels[0].shape)
    if len(names) != ndim:
        names = ("",) * ndim
    color = bool(has_color) and levels[0].shape[-1] in (3, 4)
    axis = names.index("c") if "c" in names and not color else None
    calibration = read_calibration(path)
    if calibration is not None and len(calibration.axes) != ndim - (color or axis is not None):
        calibration = None
    return _Opened(path, name, levels, color, axis, calibration)


def _layer(listed: Sequence[_Opened], name: str) -> LayerData:
    """Make a layer of one image, or a stack of several."""
    first, is_stack = listed[0], len(listed) > 1
    levels = [_lazy([one.levels[i] for one in listed]) for i in range(len(first.levels))]
    options: dict[str, Any] = {"name": name, "rgb": first.has_color}
    if first.calibration is not None:
        found = first.calibration
        if is_stack:
            found = Calibration(
                (1.0, *found.pixel_size), ("pixel", *found.units), ("image", *found.axes)
            )
        options |= placed(found)
    if is_stack:
        options["metadata"] = {"images": [one.name for one in listed]}
    if first.channel_axis is not None:
        options["channel_axis"] = first.channel_axis + is_stack
        options |= _shown(first, name)
    if len(levels) > 1:
        options["multiscale"] = True
    return (levels if len(levels) > 1 else levels[0]), options, "image"


def placed(calibration: Calibration) -> dict[str, Any]:
    """Give scale, units and axis labels of a layer."""
    size, units = calibration.pixel_size, calibration.units
    if calibration.in_plane() is None:  # known along rows or columns only: shown as it is, square
        size, units = (*size[:-2], 1.0, 1.0), (*units[:-2], "pixel", "pixel")
    options: dict[str, Any] = {"scale": size, "units": units}
    if all(calibration.axes):
        options["axis_labels"] = calibration.axes
    return options


def _lazy(arrays: Sequence[Any]) -> Any:
    """Read no pixel before it is looked at; what is damaged is told then."""
    from importlib import import_module

    da: Any = import_module("dask.array")  # half of it has types
    opened = [
        da.from_array(one, chunks=one.chunks, name=False, meta=np.empty((0,) * one.ndim, one.dtype))
        for one in arrays
    ]
    return opened[0] if len(opened) == 1 else da.stack(opened)


def _shown(opened: _Opened, name: str) -> dict[str, Any]:
    """Give names, colours and limits of channels, as far as the file says them for all."""
    assert opened.channel_axis is not None
    count = int(opened.levels[0].shape[opened.channel_axis])
    names = channel_names(opened.path)
    if len(names) != count:
        names = [""] * count
    plain = [f"{name} {number}" for number in range(count)] if count > 1 else [name]
    options: dict[str, Any] = {
        "name": [f"{name} {one}" if one else other for one, other in zip(names, plain, strict=True)]
    }
    omero = about_group(opened.path).get("omero")
    listed = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(listed, list) or len(listed) != count:
        return options
    said = [one if isinstance(one, dict) else {} for one in listed]
    colors = [_HEX.fullmatch(str(one.get("color", ""))) for one in said]
    if all(colors):
        options["colormap"] = [f"#{found[1].lower()}" for found in colors if found]
    limits = [_limits(one.get("window")) for one in said]
    if all(limits):
        options["contrast_limits"] = limits
    shown = [one.get("active", True) is not False for one in said]
    if any(shown):
        options["visible"] = shown
    return options


def _limits(window: Any) -> tuple[float, float] | None:
    try:
        low, high = float(window["start"]), float(window["end"])
    except (TypeError, KeyError, ValueError, OverflowError):
        return None
    return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None
