"""Label images: TIFF and OME-TIFF, PNG, npy and OME-Zarr, with the size of their pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.labels.label_ids import whole_ids
from napari_samhq.errors import FileError, ImageError
from napari_samhq.io.atomic import replacing
from napari_samhq.io.calibration import (
    Calibration,
    centimetres,
    ome_unit,
    read_calibration,
)
from napari_samhq.io.cellpose import is_cellpose, read_cellpose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "LABEL_SUFFIXES",
    "LabelImage",
    "check_label_suffix",
    "fits_a_tag",
    "ome_options",
    "plane_of_labels",
    "read_labels",
    "write_labels",
]

LABEL_SUFFIXES = (".tif", ".tiff", ".png", ".npy", ".zarr")
"""Extensions of the files that :func:`write_labels` writes."""

# What 1 divided by numbers of 32 bits can say without an error that matters.
_LEAST_RATIO = 1e-8
_IMAGEJ_AXES = frozenset("tzcyx")
_LARGEST_IMAGEJ_BYTES = 2**32 - 2**25


@dataclass(frozen=True, eq=False)
class LabelImage:
    """Labels of a file.

    Attributes
    ----------
    labels : array of shape (..., H, W), int
        Read from the file when it is cut, where the format allows that.
    calibration : Calibration or None
        Size of the pixels, if the file says it.
    properties : mapping of int to mapping
        What the file says of objects, such as their names, by label id.
    """

    labels: Any
    calibration: Calibration | None = None
    properties: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


def check_label_suffix(path: str | Path) -> None:
    """Check that labels can be written to a file of this name.

    Parameters
    ----------
    path : str or Path
        The file to be written.

    Raises
    ------
    FileError
        If its extension is not one of `LABEL_SUFFIXES`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in LABEL_SUFFIXES:
        raise FileError(
            f"Labels cannot be written as '{suffix or Path(path).name}'. Let the name end in one "
            f"of {', '.join(LABEL_SUFFIXES)}."
        )


def write_labels(
    path: str | Path,
    labels: ArrayLike,
    *,
    overwrite: bool = False,
    pixel_size: float | Sequence[float] | None = None,
    unit: str | Sequence[str] | None = None,
    axes: Sequence[str] | None = None,
    properties: Mapping[int, Mapping[str, Any]] | None = None,
) -> Path:
    """Write a label image; the extension of the name says how.

    Parameters
    ----------
    path : str or Path
        ``.tif`` or ``.tiff`` (compressed, 16 bits per pixel where they suffice, 32 otherwise; with
        the metadata of ImageJ where they are needed and fit, and of OME in ``.ome.tif`` and
        elsewhere), ``.png`` (8 or 16 bits), ``.npy`` (the type of `labels`), or ``.zarr`` (an
        OME-Zarr 0.5 label image with a pyramid, of the type of `labels`).
    labels : array_like of shape (..., H, W), int
        0 where there is nothing, otherwise the label id of the object. For OME-Zarr also dask or
        zarr, of any size, which are read piece by piece.
    overwrite : bool
        Whether a file that has this name already may be replaced.
    pixel_size, unit, axes : optional
        Size of the pixels, see :meth:`Calibration.of`. TIFF and OME-Zarr keep them.
    properties : mapping of int to mapping, optional
        What is known of objects, by label id; plain values. OME-Zarr keeps them.

    Returns
    -------
    Path
        The path that was written. Readers find it complete or not at all.

    Raises
    ------
    FileError
        If the name has another extension, exists already, or cannot be written to; or if the
        format has too few bits for the label ids.
    ImageError
        If `labels` is not an array of integers that are 0 or more; 2-D for PNG, else 2-D or more.
    SettingsError
        If the size of the pixels makes no sense.
    """
    path = Path(path)
    check_label_suffix(path)
    flat, in_pieces = path.suffix.lower() == ".png", path.suffix.lower() == ".zarr"
    ids: Any = labels if in_pieces and hasattr(labels, "dtype") else np.asarray(labels)
    fits = ids.ndim == 2 if flat else ids.ndim >= 2
    # Of labels that are written in pieces each is looked at in its turn.
    if not (fits and ids.dtype.kind in "iu" and ids.size) or (not in_pieces and ids.min() < 0):
        more = "" if flat else ", or one of more axes"
        raise ImageError(
            f"Labels are a 2-D array of integers from 0 on{more}; this one has shape {ids.shape} "
            f"and type {ids.dtype}{', with negative values' if ids.dtype.kind == 'i' else ''}."
        )
    calibration = Calibration.of(ids.ndim, pixel_size, unit, axes)
    with replacing(path, overwrite=overwrite) as temporary:
        if in_pieces:
            from napari_samhq.io.ome_zarr import write_label_group

            write_label_group(temporary, ids, calibration, properties or {})
        elif flat:
            _write_png(temporary, ids)
        elif path.suffix.lower() == ".npy":
            np.save(temporary, ids, allow_pickle=False)
        else:
            _write_tiff(temporary, ids, calibration)
    return path


def read_labels(path: str | Path) -> LabelImage:
    """Read a label image of any of the formats that :func:`write_labels` writes, or of Cellpose.

    Parameters
    ----------
    path : str or Path
        Also ``_seg.npy``, see :func:`~napari_samhq.io.cellpose.read_cellpose`.

    Returns
    -------
    LabelImage

    Raises
    ------
    FileError
        If it cannot be read.
    ImageError
        If its values are no whole numbers, or it is a colour image.
    """
    from napari_samhq.io.images import open_array

    path = Path(path)
    if is_cellpose(path):
        return LabelImage(read_cellpose(path))
    if not path.is_dir():  # within an OME-Zarr image, labels are folders of any name
        check_label_suffix(path)
    labels = open_array(path, as_labels=True)
    if np.dtype(labels.dtype).kind not in "iu" or len(labels.shape) < 2:
        labels = whole_ids(np.asarray(labels[...]), str(path))  # floats may hold label ids
    properties: Mapping[int, Mapping[str, Any]] = {}
    if path.is_dir():
        from napari_samhq.io.ome_zarr import read_properties

        properties = read_properties(path)
    return LabelImage(labels, read_calibration(path), properties)


def plane_of_labels(path: str | Path, plane: Sequence[int] | None = None) -> NDArray[Any]:
    """Read one plane of a label image.

    Parameters
    ----------
    path : str or Path
        As :func:`read_labels`.
    plane : sequence of int, optional
        Which plane, if the labels have more axes than two.

    Returns
    -------
    ndarray of shape (H, W)
        As it is stored; :func:`~napari_samhq.core.labels.label_ids.checked_ids` looks at the
        values.

    Raises
    ------
    FileError
        If it cannot be read.
    ImageError
        If it is a colour picture, or `plane` does not say which plane of them.
    """
    from napari_samhq.io.images import open_array, plane_index, read_image

    path = Path(path)
    if is_cellpose(path):
        found = read_cellpose(path)
        index = plane_index(found.shape, False, plane if found.ndim > 2 else None, path)
        return np.asarray(found[index])
    has_planes = len(open_array(path, as_labels=True).shape) > 2
    labels = read_image(path, plane=plane if has_planes else None, as_labels=True)
    if labels.ndim != 2:
        raise ImageError(
            f"{path} has the shape {labels.shape} and the type {labels.dtype}, and so is a picture "
            "rather than labels: integers, one for each object, 0 where there is none."
        )
    return labels


def _smallest(ids: NDArray[Any], *types: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    """Convert to the first of these types that holds all ids."""
    highest = int(ids.max())
    for dtype in types:
        if highest <= np.iinfo(dtype).max:
            return ids.astype(dtype)
    bits = 8 * np.dtype(types[-1]).itemsize
    raise FileError(
        f"The highest label id is {highest}, more than the {bits} bits per pixel of this format "
        "can hold. Write .npy or .zarr instead, or number the objects anew."
    )


def _write_tiff(path: Path, ids: NDArray[Any], calibration: Calibration) -> None:
    import tifffile

    pixels = _smallest(ids, np.uint16, np.uint32)
    # Deflate is the one compression that every TIFF reader knows and that needs no extra package.
    # Without being told, the writer takes a last axis of three for colours.
    options: dict[str, Any] = {"compression": "zlib", "photometric": "minisblack"}
    axes = calibration.named_axes
    fixed = set(axes) <= _IMAGEJ_AXES and len(set(axes)) == len(axes)
    small = pixels.dtype == np.uint16 and pixels.nbytes <= _LARGEST_IMAGEJ_BYTES
    is_ome = any(part in path.name.lower() for part in (".ome.tif", ".ome.tiff"))
    if fixed and is_ome:
        options |= ome_options(axes, calibration)
    elif calibration.known and fixed and small and _suits_imagej(axes, calibration):
        options |= _imagej_options(axes, calibration)
    elif calibration.known and fixed:
        options |= ome_options(axes, calibration)
    tifffile.imwrite(path, pixels, **options)


def _suits_imagej(axes: Sequence[str], calibration: Calibration) -> bool:
    """Tell whether ImageJ's own metadata can say it: one unit of length, in this order of axes."""
    sizes = calibration.in_plane()
    if sizes is None or list(axes) != [name for name in "tzcyx" if name in axes]:
        return False
    return all(fits_a_tag(1 / size) for size in sizes[0])


def fits_a_tag(number: float) -> bool:
    """Tell whether a ratio of two numbers of 32 bits can say it, as the tags of TIFF do."""
    return _LEAST_RATIO < number < 1 / _LEAST_RATIO


def _imagej_options(axes: Sequence[str], calibration: Calibration) -> dict[str, Any]:
    """Say it as ImageJ does: pixels per unit in the tags, everything else in words."""
    sizes = dict(zip(axes, calibration.pixel_size, strict=True))
    units = dict(zip(axes, calibration.units, strict=True))
    sizes["y"] = calibration.along(-2, calibration.unit) or sizes["y"]
    metadata: dict[str, Any] = {"axes": "".join(axes).upper(), "unit": calibration.unit}
    if "z" in axes and (step := calibration.along(axes.index("z"), calibration.unit)):
        metadata["spacing"] = step
    if "t" in axes and units["t"] != "pixel":
        metadata |= {"finterval": sizes["t"], "tunit": units["t"]}
    resolution = (1 / sizes["x"], 1 / sizes["y"])
    return {"imagej": True, "resolution": resolution, "metadata": metadata}


def ome_options(axes: Sequence[str], calibration: Calibration) -> dict[str, Any]:
    """Say it as OME does, and in the tags for those who know no more than TIFF."""
    metadata: dict[str, Any] = {"axes": "".join(axes).upper()}
    names = {"x": "PhysicalSizeX", "y": "PhysicalSizeY", "z": "PhysicalSizeZ", "t": "TimeIncrement"}
    for axis, size, unit in zip(axes, calibration.pixel_size, calibration.units, strict=True):
        if axis in names and ome_unit(unit):
            metadata |= {names[axis]: size, f"{names[axis]}Unit": ome_unit(unit)}
    options: dict[str, Any] = {"ome": True, "metadata": metadata}
    pairs = zip(calibration.pixel_size[:-3:-1], calibration.units[:-3:-1], strict=True)
    lengths = [centimetres(size, unit) for size, unit in pairs]
    if all(length and fits_a_tag(1 / length) for length in lengths):
        options |= {
            "resolution": tuple(1 / length for length in lengths if length),
            "resolutionunit": "CENTIMETER",
        }
    return options


def _write_png(path: Path, ids: NDArray[Any]) -> None:
    from PIL import Image

    Image.fromarray(_smallest(ids, np.uint8, np.uint16)).save(path)
