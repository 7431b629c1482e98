"""Writing label images: TIFF, PNG, npy and OME-Zarr."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import FileError, ImageError
from napari_samhq.io.atomic import replacing

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["LABEL_SUFFIXES", "check_label_suffix", "write_labels"]

LABEL_SUFFIXES = (".tif", ".tiff", ".png", ".npy", ".zarr")
"""Extensions of the files that :func:`write_labels` writes."""

_CHUNK_PX = 1024


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


def write_labels(path: str | Path, labels: ArrayLike, *, overwrite: bool = False) -> Path:
    """Write a label image; the extension of the name says how.

    Parameters
    ----------
    path : str or Path
        ``.tif`` or ``.tiff`` (compressed, 16 bits per pixel where they suffice, 32 otherwise),
        ``.png`` (8 or 16 bits), ``.npy`` (the type of `labels`), or ``.zarr`` (an OME-Zarr 0.5
        label image, of the type of `labels`).
    labels : array_like of shape (..., H, W), int
        0 where there is nothing, otherwise the label id of the object.
    overwrite : bool
        Whether a file that has this name already may be replaced.

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
    """
    path = Path(path)
    check_label_suffix(path)
    ids = np.asarray(labels)
    flat = path.suffix.lower() == ".png"
    fits = ids.ndim == 2 if flat else ids.ndim >= 2
    if not fits or ids.dtype.kind not in "iu" or ids.size == 0 or ids.min() < 0:
        more = "" if flat else ", or one of more axes"
        raise ImageError(
            f"Labels are a 2-D array of integers from 0 on{more}; this one has shape {ids.shape} "
            f"and type {ids.dtype}{', with negative values' if ids.dtype.kind == 'i' else ''}."
        )
    write = {".png": _write_png, ".npy": _write_npy, ".zarr": _write_ome_zarr}
    with replacing(path, overwrite=overwrite) as temporary:
        write.get(path.suffix.lower(), _write_tiff)(temporary, ids)
    return path


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


def _write_tiff(path: Path, ids: NDArray[Any]) -> None:
    import tifffile

    # Deflate is the one compression that every TIFF reader knows and that needs no extra package.
    pixels = _smallest(ids, np.uint16, np.uint32)
    # Without being told, the writer takes a last axis of three for colours.
    tifffile.imwrite(path, pixels, compression="zlib", photometric="minisblack")


def _write_png(path: Path, ids: NDArray[Any]) -> None:
    from PIL import Image

    Image.fromarray(_smallest(ids, np.uint8, np.uint16)).save(path)


def _write_npy(path: Path, ids: NDArray[Any]) -> None:
    np.save(path, ids, allow_pickle=False)


def _write_ome_zarr(path: Path, ids: NDArray[Any]) -> None:
    """Write one resolution with the metadata of the specification ngff.openmicroscopy.org/0.5."""
    import zarr

    # What leading axes are, nobody said; the specification lets axes without a type have any name.
    axes = (*(f"axis-{axis}" for axis in range(ids.ndim - 2)), "y", "x")
    group = zarr.create_group(store=path, zarr_format=3)
    array = group.create_array(
        "0",
        shape=ids.shape,
        dtype=ids.dtype,
        chunks=(1,) * (ids.ndim - 2) + tuple(min(_CHUNK_PX, n) for n in ids.shape[-2:]),
        dimension_names=axes,
    )
    array[...] = ids
    scale = {"type": "scale", "scale": [1.0] * ids.ndim}
    ome: Any = {
        "version": "0.5",
        "multiscales": [
            {
                "name": path.stem,
                "axes": [
                    {"name": name, "type": "space"} if name in "yx" else {"name": name}
                    for name in axes
                ],
                "datasets": [{"path": "0", "coordinateTransformations": [scale]}],
            }
        ],
        "image-label": {"version": "0.5"},
    }
    group.attrs["ome"] = ome
