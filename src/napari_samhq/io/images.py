"""Reading images: TIFF, PNG, JPEG and WebP, numpy files, zarr and OME-Zarr."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import FileError, ImageError
from napari_samhq.io.atomic import explained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["IMAGE_SUFFIXES", "read_image"]

_TIFF = (".tif", ".tiff")
_PILLOW = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
IMAGE_SUFFIXES = (*_TIFF, *_PILLOW, ".npy", ".zarr")
"""Extensions of the files that :func:`read_image` reads."""

_COLOR_CHANNELS = (3, 4)
# Pictures whose numbers are not the colours themselves.
_PLAIN_MODES = {"P": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB", "LAB": "RGB"} | {
    "LA": "RGBA",
    "La": "RGBA",
    "PA": "RGBA",
    "RGBa": "RGBA",
}


def read_image(path: str | Path, *, plane: Sequence[int] | None = None) -> NDArray[Any]:
    """Read one plane of an image file.

    Parameters
    ----------
    path : str or Path
        A TIFF or OME-TIFF, PNG, JPEG, WebP, BMP, GIF or npy file, or the folder of a zarr array or
        of an OME-Zarr image (of which the full resolution is read).
    plane : sequence of int, optional
        Which plane of a stack: one index for each axis before the rows. Negative ones count from
        the end. May be left out if all these axes have length 1.

    Returns
    -------
    ndarray of shape (H, W), (H, W, 3) or (H, W, 4)
        The pixels as they are in the file. Colour is the last axis, if its length is 3 or 4 and
        the file does not say that it is something else.

    Raises
    ------
    FileError
        If the file does not exist, cannot be read, or is of a kind that is not read here.
    ImageError
        If the image is a stack and `plane` does not say which plane of it.

    Examples
    --------
    >>> from importlib.resources import files
    >>> image = read_image(files("napari_samhq") / "data" / "nuclei.png")
    >>> image.shape, image.dtype
    ((520, 696), dtype('uint16'))
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES and not path.is_dir():
        raise FileError(
            f"Cannot read {path}: images of type '{suffix}' are not supported. "
            f"Supported are {', '.join(IMAGE_SUFFIXES)}."
        )
    if not path.exists():
        raise FileError(f"There is no image {path}. Check the path.")
    with explained("read", path, "Check the path and the permission to read it."):
        if path.is_dir():
            array, has_color = _open_zarr(path)
        elif suffix in _TIFF:
            array, has_color = _open_tiff(path)
        elif suffix == ".npy":
            array, has_color = _read_npy(path)
        else:
            array, has_color = _read_with_pillow(path)
        try:
            return _one_plane(array, has_color, plane, path)
        except ImageError:
            raise
        except (ValueError, RuntimeError) as error:  # how codecs say that they are missing, or fail
            raise FileError(
                f"Cannot read {path}: {error}. If it names a compression of TIFF files, `pip "
                "install imagecodecs` adds it; otherwise the file is damaged, or of a rare kind."
            ) from error


def _one_plane(
    array: Any, has_color: bool | None, plane: Sequence[int] | None, path: Path
) -> NDArray[Any]:
    """Take a plane out of an array, which may be a lazy one; None: the file leaves colour open."""
    shape = tuple(array.shape)
    if len(shape) < 2:
        raise ImageError(f"{path} has the shape {shape}; an image has at least two axes.")
    if has_color is None:
        has_color = len(shape) > 2 and shape[-1] in _COLOR_CHANNELS
    leading = shape[: len(shape) - (3 if has_color else 2)]
    if plane is None and all(n == 1 for n in leading):
        plane = (0,) * len(leading)
    if plane is None or len(plane) != len(leading):
        given = "none" if plane is None else f"{tuple(plane)}"
        raise ImageError(
            f"{path} has the shape {shape}; the {len(leading)} axes before rows and columns need "
            f"one index each to choose a plane, and given is {given}. For example, the first "
            f"plane is --plane {','.join('0' * len(leading)) or '(left out)'}."
        )
    for index, length in zip(plane, leading, strict=True):
        if not -length <= index < length:
            raise ImageError(
                f"{path} has the shape {shape}: there is no plane {tuple(plane)}. Indices start "
                "at 0."
            )
    # Negative indices are resolved here, since not every lazy array knows them.
    where = tuple(index % length for index, length in zip(plane, leading, strict=True))
    return np.asarray(array[where])


@dataclass(frozen=True)
class _Tiff:
    """The first series of a TIFF at full resolution, of which one plane is read at a time."""

    path: Path
    shape: tuple[int, ...]

    def __getitem__(self, where: tuple[int, ...]) -> NDArray[Any]:
        import tifffile

        leading = self.shape[: len(where)]
        with tifffile.TiffFile(self.path) as tiff:
            series = tiff.series[0]
            pixels: NDArray[Any]
            if where and len(series.pages) == math.prod(leading):
                pixels = series.asarray(key=int(np.ravel_multi_index(where, leading)))
                return pixels.reshape(self.shape[len(where) :])
            pixels = series.asarray().reshape(self.shape)[where]
            return pixels


def _open_tiff(path: Path) -> tuple[_Tiff, bool | None]:
    """Look at a TIFF; its axes say what is colour."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            series = tiff.series[0]
            return _Tiff(path, series.shape), series.axes.endswith("S")
    except (tifffile.TiffFileError, IndexError) as error:
        raise FileError(f"{path} is not a TIFF file, or a damaged one: {error}.") from error


def _read_npy(path: Path) -> tuple[NDArray[Any], bool | None]:
    """Read an array; pickled objects are refused, since unpickling runs code."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False), None
    except (ValueError, EOFError) as error:
        raise FileError(
            f"{path} is not an array that numpy can read: {error}. Save it again with "
            "numpy.save, with real numbers in it."
        ) from error


def _read_with_pillow(path: Path) -> tuple[NDArray[Any], bool | None]:
    """Read a picture; palettes become colours."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            array = np.asarray(picture.convert(_PLAIN_MODES.get(picture.mode, picture.mode)))
    except (UnidentifiedImageError, SyntaxError) as error:
        raise FileError(f"{path} is not the picture that its name says, or damaged.") from error
    except Image.DecompressionBombError as error:
        raise FileError(f"{path} is too large for its format: {error}. Use a TIFF.") from error
    return array, array.ndim == 3


def _open_zarr(path: Path) -> tuple[Any, bool | None]:
    """Open a zarr array, or the full resolution of an OME-Zarr image, without reading it."""
    import zarr

    try:
        node = zarr.open(path, mode="r")
    except (ValueError, KeyError, OSError) as error:
        raise FileError(
            f"{path} is a folder, but neither a zarr array nor an OME-Zarr image: {error}."
        ) from error
    if isinstance(node, zarr.Array):
        return node, None
    attributes = dict(node.attrs)
    ome: Any = attributes.get("ome", attributes)  # version 0.5 has a level more than 0.4
    try:
        multiscale = ome["multiscales"][0]
        array = node[multiscale["datasets"][0]["path"]]
        # Axes are objects with a name since version 0.4, plain names before.
        names = [a["name"] if isinstance(a, dict) else a for a in multiscale.get("axes", "tczyx")]
    except (KeyError, IndexError, TypeError) as error:
        raise FileError(
            f"{path} is a zarr group without an image in it (no OME-Zarr 'multiscales'). "
            f"Give the path of one array: {', '.join(sorted(node.keys())) or 'it has none'}."
        ) from error
    return array, names[-1] == "c"
