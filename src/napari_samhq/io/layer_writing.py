"""Layers into files, as napari's writers do it: layer data, without napari."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.journal.shapes_drawn import Drawn, DrawnPoint, DrawnShape
from napari_samhq.errors import FileError
from napari_samhq.io.calibration import Calibration, short_unit
from napari_samhq.io.labels import LABEL_SUFFIXES
from napari_samhq.io.layer_data import LARGEST_LABELS_PX, LayerData
from napari_samhq.io.results import write_labels_as

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

__all__ = ["calibration_of", "write_labels_layer", "write_prompts"]

_AXES = frozenset("tczyx")


def write_labels_layer(
    path: str | Path,
    data: Any,
    options: Mapping[str, Any],
    *,
    table: pd.DataFrame | None = None,
    smooth_px: float = 0.0,
    overwrite: bool = False,
) -> Path:
    """Write a labels layer in the format that the end of the name says.

    Parameters
    ----------
    path : str or Path
        As :func:`~napari_samhq.io.results.write_labels_as`.
    data : array of shape (..., H, W), int, or a sequence of them
        Of a pyramid the first one is written.
    options : mapping
        Of the layer: ``name``, ``scale``, ``units``, ``axis_labels``, ``features``, ``multiscale``.
    table : pandas.DataFrame, optional
        What else is known of the objects, by the column ``label``.
    smooth_px : float, optional
        As :func:`~napari_samhq.io.results.write_labels_as`.
    overwrite : bool, optional
        Whether a file of this name may be replaced.

    Returns
    -------
    Path

    Raises
    ------
    FileError, ImageError, SettingsError
        As :func:`~napari_samhq.io.results.write_labels_as`.
    """
    labels = data[0] if options.get("multiscale") else data
    ndim = len(labels.shape)
    # These are written piece by piece, whatever the size of the labels.
    suffix = Path(path).suffix.lower()
    if suffix != ".zarr" and not (suffix in (".geojson", ".zip", ".txt", ".csv") and ndim == 2):
        if math.prod(labels.shape) > LARGEST_LABELS_PX:
            raise FileError(
                f"Cannot write {path}: the labels have {math.prod(labels.shape) / 2**20:.0f} "
                "million pixels, too many for this format here. Write .ome.zarr, or "
                ".geojson."
            )
        labels = np.asarray(labels)
    calibration = calibration_of(options, ndim)
    # Axes of length 1 mean nothing to formats of a single plane.
    if suffix not in LABEL_SUFFIXES and ndim > 2:
        labels = labels.reshape(_without_ones(labels.shape))
        calibration = Calibration.of(
            labels.ndim, calibration.pixel_size[-2:], calibration.units[-2:]
        )
    return write_labels_as(
        path,
        labels,
        table=_merged(_features_of(options), table),
        pixel_size=calibration.pixel_size,
        unit=calibration.units,
        axes=calibration.axes,
        image_name=str(options.get("name", "")),
        smooth_px=smooth_px,
        overwrite=overwrite,
    )


def write_prompts(
    path: str | Path, layers: Sequence[LayerData], *, overwrite: bool = False
) -> Path:
    """Write points and shapes layers as prompts, in GeoJSON.

    Parameters
    ----------
    path : str or Path
        Ends in ``.geojson``.
    layers : sequence of (data, options, kind)
        Of one plane, in the same pixels. The feature ``object`` says what belongs together, and
        ``polarity`` ("object" or "background") where points lie; without it all of a layer's points
        are on objects, each on another one.
    overwrite : bool, optional
        Whether a file of this name may be replaced.

    Raises
    ------
    FileError
        If the layers span several planes, or the file cannot be written.
    """
    from napari_samhq.io.geojson_prompts import write_geojson_prompts

    prompts: dict[int, Drawn] = {}
    planes: set[tuple[float, ...]] = set()
    for data, options, kind in layers:
        owners = _owners(options.get("features", {}), len(data))
        for index, vertices in enumerate(data):
            label_id = owners[index] or max(prompts, default=0) + 1
            places = np.atleast_2d(np.asarray(vertices, dtype=float))
            planes |= {tuple(place) for place in places[:, :-2].tolist()}
            corners = tuple((row, col) for row, col in places[:, -2:].tolist())
            before = prompts.get(label_id, Drawn())
            if kind == "points":
                positive = _is_positive(options.get("features", {}), index)
                points = (*before.points, DrawnPoint(*corners[0], positive))
                prompts[label_id] = Drawn(points, before.shapes)
            else:
                shape = DrawnShape(_shape_type(options, index), corners)
                prompts[label_id] = Drawn(before.points, (*before.shapes, shape))
    if len(planes) > 1:
        raise FileError(
            f"Cannot write {path}: these prompts lie in {len(planes)} planes, and the file has "
            "place for one. Save the session instead, which has place for all."
        )
    return write_geojson_prompts(path, prompts, overwrite=overwrite)


def calibration_of(options: Mapping[str, Any], ndim: int) -> Calibration:
    """Read the size of pixels from the options of a layer: its scale, units and axis labels."""
    sizes = [abs(float(size)) for size in options.get("scale", ())] or None
    units = [short_unit(unit) for unit in options.get("units", ())] or None
    names = tuple(str(name).lower() for name in options.get("axis_labels", ()))
    named = len(names) == ndim and len(set(names)) == ndim and names[-2:] == ("y", "x")
    known = named and set(names) <= _AXES
    return Calibration.of(ndim, sizes, units, names if known else None)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    leading = tuple(length for length in shape[:-2] if length != 1)
    return (*leading, *shape[-2:])


def _features_of(options: Mapping[str, Any]) -> pd.DataFrame | None:
    """Take the features of a labels layer as a table: napari finds the label id in "index"."""
    features = options.get("features")
    if features is None or len(features) == 0:
        return None
    if "index" in features:
        return features.rename(columns={"index": "label"})
    return features.rename_axis("label").reset_index()


def _merged(first: pd.DataFrame | None, second: pd.DataFrame | None) -> pd.DataFrame | None:
    """Put two tables of objects together; where both say something, the second one counts."""
    if first is None or second is None:
        return second if first is None else first
    one, other = first.set_index("label"), second.set_index("label")
    return other.combine_first(one).rename_axis("label").reset_index()


def _owners(features: Any, count: int) -> list[int]:
    """Tell which object each prompt belongs to; 0 where nobody said."""
    if "object" not in features:
        return [0] * count
    return [max(int(label_id), 0) for label_id in np.asarray(features["object"])]


def _is_positive(features: Any, index: int) -> bool:
    return "polarity" not in features or np.asarray(features["polarity"])[index] != "background"


def _shape_type(options: Mapping[str, Any], index: int) -> str:
    kinds = options.get("shape_type", "polygon")
    return str(kinds if isinstance(kinds, str) else kinds[index])
