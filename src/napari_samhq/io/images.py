"""Reading images: TIFF, PNG, JPEG and WebP, numpy files, zarr and OME-Zarr."""

from __future__ import annotations

import math
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.errors import FileError, ImageError
from napari_samhq.inference.source import ImageSource
from napari_samhq.io.atomic import explained
from napari_samhq.io.bioio_images import BIOIO_SUFFIXES, bioio_file, open_scene
from napari_samhq.io.channel_choice import picked_channels
from napari_samhq.io.decoding import CheckedArray, check_memory, decoding
from napari_samhq.io.ome_zarr_plates import image_inside, is_collection
from napari_samhq.io.pictures import PICTURE_SUFFIXES, read_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "IMAGE_SUFFIXES",
    "open_array",
    "open_image",
    "open_levels",
    "plane_index",
    "read_image",
]

_TIFF = (".tif", ".tiff")
IMAGE_SUFFIXES = (*_TIFF, *PICTURE_SUFFIXES, ".npy", ".zarr", *BIOIO_SUFFIXES)
"""Extensions of the files that are read here."""

_COLOR_CHANNELS = (3, 4)


def read_image(
    path: str | Path,
    *,
    plane: Sequence[int] | None = None,
    channels: Sequence[int | str] | None = None,
    as_labels: bool = False,
) -> NDArray[Any]:
    """Read one plane of an image file.

    Parameters
    ----------
    path : str or Path
        A TIFF or OME-TIFF, PNG, JPEG, WebP, BMP, GIF or npy file, or the folder of a zarr array or
        of an OME-Zarr image (of which the full resolution is read).
    plane : sequence of int, optional
        Which plane of a stack: one index for each axis before the rows. Negative ones count from
        the end. May be left out if all these axes have length 1.
    channels : sequence of int or str, optional
        One to three channels, by their numbers from 0 or their names in the file: one is seen as
        grey, two as red and green, three as red, green and blue. `plane` has no index for the axis
        of the channels then. It is the axis that the file calls so, or a short one that is last.
    as_labels : bool, optional
        Whether the numbers are what counts: a palette is then not turned into its colours, and
        white that is stored as 0 stays 0.

    Returns
    -------
    ndarray of shape (H, W), (H, W, 3) or (H, W, 4)
        The pixels with all the bits that are in the file. Colour is the last axis, wherever the
        file has it; in files that do not say, if its length is 3 or 4. It is red, green and blue
        (and alpha), also of palettes, of CMYK, YCbCr and CIELAB.

    Raises
    ------
    FileError
        If the file does not exist, cannot be read, or is of a kind that is not read here.
    ImageError
        If the image is a stack and `plane` does not say which plane of it; or if its colours are
        of a kind that is not read here.

    Warns
    -----
    SamHQWarning
        If there is more in the file than is read, or it says that it is stored turned.

    Examples
    --------
    >>> from importlib.resources import files
    >>> image = read_image(files("napari_samhq") / "data" / "nuclei.png")
    >>> image.shape, image.dtype
    ((520, 696), dtype('uint16'))
    """
    path = Path(path)
    with explained("read", path, "Check the path and the permission to read it."):
        (array, *_), index = _chosen(path, plane, channels, as_labels)
        kept = array.shape[len(index) :]
        check_memory(path, math.prod(kept) * np.dtype(array.dtype).itemsize)
        with decoding(path):
            return np.asarray(array[index])


def open_image(
    path: str | Path,
    *,
    plane: Sequence[int] | None = None,
    channels: Sequence[int | str] | None = None,
    contrast_limits: tuple[float, float] | None = None,
) -> ImageSource:
    """Open one plane of an image file of any size, without reading it.

    Parameters
    ----------
    path : str or Path
        As :func:`read_image`. Zarr arrays, OME-Zarr images, npy files and TIFF files that are tiled
        or not compressed are read piece by piece later; pyramids are used. Pictures (PNG, JPEG)
        are read at once.
    plane, channels : optional
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
        levels, index = _chosen(path, plane, channels)
        where = Plane((len(index), len(index) + 1), index)
        return ImageSource.of(levels, plane=where, contrast_limits=contrast_limits)


def open_array(
    path: str | Path,
    *,
    channels: Sequence[int | str] | None = None,
    as_labels: bool = False,
) -> Any:
    """Open an image file with all its axes, without reading it where the format allows that.

    Parameters
    ----------
    path, channels, as_labels : optional
        As :func:`read_image`.

    Returns
    -------
    array
        At full resolution, with `shape` and `dtype`; cut it to read it.

    Raises
    ------
    FileError
        As :func:`read_image`.
    ImageError
        If labels are wanted, and the file says that it is a colour picture.

    Examples
    --------
    >>> from importlib.resources import files
    >>> open_array(files("napari_samhq") / "data" / "tissue.webp").shape
    (256, 320, 3)
    """
    path = Path(path)
    with explained("read", path, "Check the path and the permission to read it."):
        levels, has_color = open_levels(path, as_labels=as_labels)
        if channels is not None:
            levels, has_color, _ = picked_channels(levels[:1], has_color, path, channels)
    if as_labels and has_color:
        raise ImageError(f"{path} is a colour picture, no labels. Open it as an image.")
    return levels[0]


def _chosen(
    path: Path,
    plane: Sequence[int] | None,
    channels: Sequence[int | str] | None,
    as_labels: bool = False,
) -> tuple[list[Any], tuple[int, ...]]:
    """Open all levels, with the chosen channels alone, and find the index of the wanted plane."""
    levels, has_color = open_levels(path, as_labels=as_labels)
    if channels is None:
        return levels, _plane_of(levels[0], has_color, plane, path)
    levels, has_color, axis = picked_channels(levels, has_color, path, channels)
    shape = tuple(levels[0].shape)
    if axis is None:
        return levels, plane_index(shape, has_color, plane, path)
    index = plane_index((*shape[:axis], *shape[axis + 1 :]), has_color, plane, path)
    return levels, (*index[:axis], 0, *index[axis:])


def open_levels(path: Path, *, as_labels: bool = False) -> tuple[list[Any], bool | None]:
    """Open all levels of an image, the full resolution first.

    Parameters
    ----------
    path, as_labels : optional
        As :func:`read_image`.

    Returns
    -------
    levels : list of arrays
        As :func:`open_array`.
    has_color : bool or None
        Whether the last axis is colour; None: the file leaves that open.

    Raises
    ------
    FileError
        As :func:`read_image`.
    """
    if bioio_file(path) is not None:
        scene = open_scene(path)
        return [scene], scene.axes[-1] == "s"
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
        from napari_samhq.io.tiff import open_tiff

        return open_tiff(path, keep_numbers=as_labels)
    if suffix == ".npy":
        return [_open_npy(path)], None
    array, has_color = read_picture(path, keep_numbers=as_labels)
    return [array], has_color


def _plane_of(
    array: Any, has_color: bool | None, plane: Sequence[int] | None, path: Path
) -> tuple[int, ...]:
    # Of a set of files of which some are missing, a plane that is there makes the better example.
    shape = tuple(int(length) for length in array.shape)
    return plane_index(shape, has_color, plane, path, example=getattr(array, "present", None))


def plane_index(
    shape: tuple[int, ...],
    has_color: bool | None,
    plane: Sequence[int] | None,
    path: Path,
    *,
    example: Sequence[int] | None = None,
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
        first = example or (0,) * len(leading)
        raise ImageError(
            f"{path} has the shape {shape}; the {len(leading)} axes before rows and columns need "
            f"one index each to choose a plane, and given is {given}. For example, the first "
            f"plane is --plane {','.join(map(str, first)) or '(left out)'}."
        )
    for index, length in zip(plane, leading, strict=True):
        if not -length <= index < length:
            raise ImageError(
                f"{path} has the shape {shape}: there is no plane {tuple(plane)}. Indices start "
                "at 0."
            )
    # Negative indices are resolved here, since not every lazy array knows them.
    return tuple(index % length for index, length in zip(plane, leading, strict=True))


def _open_npy(path: Path) -> NDArray[Any]:
    """Open an array; pickled objects are refused, since unpickling runs code, and so is all else
    that `numpy.load` takes, such as archives.
    """
    with decoding(path, "array of numpy's"):
        try:
            return np.lib.format.open_memmap(path, mode="r")
        except (ValueError, EOFError, SyntaxError, TokenError) as error:  # the header is Python
            raise FileError(
                f"{path} is not an array that numpy can read: {error}. Save it again with "
                "numpy.save, with real numbers in it."
            ) from error


def _open_zarr(path: Path) -> tuple[list[Any], bool | None]:
    """Open a zarr array, or all levels of an OME-Zarr image, without reading it."""
    with decoding(path, "zarr folder"):
        try:
            return _zarr_levels(path)
        except (ValueError, KeyError) as error:
            if "imagecodecs" not in str(error):
                raise
        # Codecs that zarr knows only once they were registered: of zarr 2, and of zarr 3, which
        # imagecodecs has for newer Pythons.
        for module in ("imagecodecs.numcodecs", "imagecodecs.zarr"):
            if find_spec(module) is not None:
                import_module(module).register_codecs(verbose=False)
        return _zarr_levels(path)


def _zarr_levels(path: Path) -> tuple[list[Any], bool | None]:
    import zarr

    try:
        node = zarr.open(path, mode="r")
    except FileNotFoundError as error:
        raise FileError(
            f"{path} is a folder, but neither a zarr array nor an OME-Zarr image: {error}."
        ) from error
    if isinstance(node, zarr.Array):
        return [CheckedArray(node, path)], None
    attributes = dict(node.attrs)
    if is_collection(path):
        return _open_zarr(image_inside(path))
    ome: Any = attributes.get("ome", attributes)  # version 0.5 has a level more than 0.4
    try:
        multiscale = ome["multiscales"][0]
        paths = [dataset["path"] for dataset in multiscale["datasets"]]
        # Axes are objects with a name since version 0.4, plain names before.
        names = [a["name"] if isinstance(a, dict) else a for a in multiscale.get("axes", "tczyx")]
        last = names[-1]
        if not paths:
            raise KeyError("datasets")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise FileError(
            f"{path} is a zarr group without an image in it (no OME-Zarr 'multiscales'). "
            f"Give the path of one array: {', '.join(sorted(node.keys())) or 'it has none'}."
        ) from error
    levels = [node[level] for level in paths]
    if not all(isinstance(level, zarr.Array) for level in levels):
        raise FileError(
            f"{path} is damaged: its 'multiscales' name {', '.join(map(str, paths))}, and not all "
            "of these are arrays. Write it again."
        )
    return [CheckedArray(level, path) for level in levels], last == "c"
