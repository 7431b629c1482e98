"""Reading images: TIFF, PNG, JPEG and WebP, numpy files, zarr and OME-Zarr."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.planes import Plane
from napari_samhq.errors import FileError, ImageError
from napari_samhq.inference.source import ImageSource
from napari_samhq.io.atomic import explained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["IMAGE_SUFFIXES", "open_array", "open_image", "plane_index", "read_image"]

_TIFF = (".tif", ".tiff")
_PILLOW = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
IMAGE_SUFFIXES = (*_TIFF, *_PILLOW, ".npy", ".zarr")
"""Extensions of the files that are read here."""

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
    with explained("read", path, "Check the path and the permission to read it."):
        (array, *_), has_color = _open(path)
        index = plane_index(tuple(array.shape), has_color, plane, path)
        try:
            return np.asarray(array[index])
        except (ValueError, RuntimeError) as error:  # how codecs say that they are missing, or fail
            raise FileError(
                f"Cannot read {path}: {error}. If it names a compression of TIFF files, `pip "
                "install imagecodecs` adds it; otherwise the file is damaged, or of a rare kind."
            ) from error


def open_image(
    path: str | Path,
    *,
    plane: Sequence[int] | None = None,
    contrast_limits: tuple[float, float] | None = None,
) -> ImageSource:
    """Open one plane of an image file of any size, without reading it.

    Parameters
    ----------
    path : str or Path
        As :func:`read_image`. Zarr arrays, OME-Zarr images, npy files and TIFF files that are tiled
        or not compressed are read piece by piece later; pyramids are used. Pictures (PNG, JPEG)
        are read at once.
    plane : sequence of int, optional
        As :func:`read_image`.
    contrast_limits : tuple of two floats, optional
        Values that become black and white, see :meth:`ImageSource.of`.

    Returns
    -------
    ImageSource
        It keeps no file open.

    Raises
    ------
    FileError, ImageError
        As :func:`read_image`.

    Examples
    --------
    >>> from importlib.resources import files
    >>> open_image(files("napari_samhq") / "data" / "nuclei.png")
    ImageSource(520 x 696 px, uint16)
    """
    path = Path(path)
    with explained("read", path, "Check the path and the permission to read it."):
        levels, has_color = _open(path)
        index = plane_index(tuple(levels[0].shape), has_color, plane, path)
        where = Plane((len(index), len(index) + 1), index)
        return ImageSource.of(levels, plane=where, contrast_limits=contrast_limits)


def open_array(path: str | Path) -> Any:
    """Open an image file with all its axes, without reading it where the format allows that.

    Parameters
    ----------
    path : str or Path
        As :func:`read_image`.

    Returns
    -------
    array
        At full resolution, with `shape` and `dtype`; cut it to read it.

    Raises
    ------
    FileError
        As :func:`read_image`.

    Examples
    --------
    >>> from importlib.resources import files
    >>> open_array(files("napari_samhq") / "data" / "tissue.webp").shape
    (256, 320, 3)
    """
    path = Path(path)
    with explained("read", path, "Check the path and the permission to read it."):
        return _open(path)[0][0]


def _open(path: Path) -> tuple[list[Any], bool | None]:
    """Open all levels; None: the file leaves open whether its last axis is colour."""
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES and not path.is_dir():
        raise FileError(
            f"Cannot read {path}: images of type '{suffix}' are not supported. "
            f"Supported are {', '.join(IMAGE_SUFFIXES)}."
        )
    if not path.exists():
        raise FileError(f"There is no image {path}. Check the path.")
    if path.is_dir():
        return _open_zarr(path)
    if suffix in _TIFF:
        return _open_tiff(path)
    array, has_color = _read_npy(path) if suffix == ".npy" else _read_with_pillow(path)
    return [array], has_color


def plane_index(
    shape: tuple[int, ...], has_color: bool | None, plane: Sequence[int] | None, path: Path
) -> tuple[int, ...]:
    """Find the index that takes the wanted plane out of an array of this shape."""
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
    return tuple(index % length for index, length in zip(plane, leading, strict=True))


@dataclass(frozen=True)
class _Tiff:
    """A level of the first series of a TIFF. The file is open only while it is read."""

    path: Path
    level: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __getitem__(self, where: tuple[int | slice, ...]) -> NDArray[Any]:
        import tifffile
        import zarr

        with tifffile.TiffFile(self.path) as tiff:
            series = tiff.series[0].levels[self.level]
            if series.dataoffset is not None:  # in one piece: let the system read what is needed
                pixels = tifffile.memmap(self.path, series=0, level=self.level, mode="r")
                return np.array(pixels[where])
            with tiff.series[0].aszarr(level=self.level) as store:
                array = zarr.open_array(store, mode="r", zarr_format=2)
                return np.asarray(array[where])


def _open_tiff(path: Path) -> tuple[list[_Tiff], bool | None]:
    """Look at a TIFF; its axes say what is colour."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            series = tiff.series[0]
            levels = [
                _Tiff(path, number, level.shape, np.dtype(level.dtype))
                for number, level in enumerate(series.levels)
                if level.axes == series.axes
            ]
            return levels, series.axes.endswith("S")
    except (tifffile.TiffFileError, IndexError) as error:
        raise FileError(f"{path} is not a TIFF file, or a damaged one: {error}.") from error


def _read_npy(path: Path) -> tuple[NDArray[Any], bool | None]:
    """Read an array; pickled objects are refused, since unpickling runs code, and so is all else
    that `numpy.load` takes, such as archives.
    """
    try:
        return np.lib.format.open_memmap(path, mode="r"), None
    except (ValueError, EOFError, SyntaxError, TokenError) as error:  # the header is Python
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


def _open_zarr(path: Path) -> tuple[list[Any], bool | None]:
    """Open a zarr array, or all levels of an OME-Zarr image, without reading it."""
    import zarr

    try:
        node = zarr.open(path, mode="r")
    except (ValueError, KeyError, OSError) as error:
        raise FileError(
            f"{path} is a folder, but neither a zarr array nor an OME-Zarr image: {error}."
        ) from error
    if isinstance(node, zarr.Array):
        return [node], None
    attributes = dict(node.attrs)
    ome: Any = attributes.get("ome", attributes)  # version 0.5 has a level more than 0.4
    try:
        multiscale = ome["multiscales"][0]
        levels = [node[dataset["path"]] for dataset in multiscale["datasets"]]
        if not levels:
            raise KeyError("datasets")
        # Axes are objects with a name since version 0.4, plain names before.
        names = [a["name"] if isinstance(a, dict) else a for a in multiscale.get("axes", "tczyx")]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise FileError(
            f"{path} is a zarr group without an image in it (no OME-Zarr 'multiscales'). "
            f"Give the path of one array: {', '.join(sorted(node.keys())) or 'it has none'}."
        ) from error
    return levels, names[-1] == "c"
