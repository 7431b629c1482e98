"""Images of microscopes (CZI, ND2, LIF), by the library bioio where it is installed.

A file may hold several scenes. One of them is named as if it lay in a folder: ``cells.lif/2``.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import FileError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["BIOIO_SUFFIXES", "bioio_file", "open_scene", "pixel_sizes", "scenes_in"]

_READERS = {".czi": "bioio-czi", ".nd2": "bioio-nd2", ".lif": "bioio-lif"}
BIOIO_SUFFIXES = tuple(_READERS)
"""Extensions of the files that are read by bioio."""


@dataclass(frozen=True)
class SceneArray:
    """A scene, of which what is cut is read.

    Attributes
    ----------
    path : Path
        The file.
    pixels : array
        Of dask.
    axes : tuple of str
        Names of its axes: some of "t", "c" and "z", then "y" and "x", and "s" for colours.
    shape : tuple of ints
    dtype : numpy.dtype
    channels : tuple of str
        Names of the channels.
    """

    path: Path
    pixels: Any
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    channels: tuple[str, ...]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Cut as numpy does, and read it."""
        with _told(self.path):
            return np.asarray(self.pixels[index])


def bioio_file(path: str | Path) -> tuple[Path, int | None] | None:
    """Tell the file and the scene that a path names; None for files of other kinds.

    Examples
    --------
    >>> bioio_file("a/cells.lif/2"), bioio_file("cells.tif")
    ((PosixPath('a/cells.lif'), 2), None)
    """
    path = Path(path)
    if path.suffix.lower() in _READERS:
        return path, None
    if path.name.isdigit() and path.parent.suffix.lower() in _READERS:
        return path.parent, int(path.name)
    return None


def scenes_in(path: Path) -> list[Path]:
    """List the scenes of a file, as paths that :func:`open_scene` takes.

    Raises
    ------
    FileError, MissingExtraError
        As :func:`open_scene`.
    """
    count = len(_image(path).scenes)
    return [path] if count == 1 else [path / str(number) for number in range(count)]


def open_scene(path: Path) -> SceneArray:
    """Open a scene of a file, without reading its pixels.

    Parameters
    ----------
    path : Path
        The file, or for one scene of several ``FILE/NUMBER``, from 0.

    Raises
    ------
    FileError
        If the file cannot be read, or has several scenes and none is named.
    MissingExtraError
        If bioio or its reader is not installed; the message says which.
    """
    file, scene = bioio_file(path) or (path, None)
    image = _image(file)
    scenes = list(image.scenes)
    if scene is None and len(scenes) > 1:
        raise FileError(
            f"{file} holds {len(scenes)} scenes. Name one: {file / '0'} to "
            f"{file / str(len(scenes) - 1)}."
        )
    if scene is not None and scene >= len(scenes):
        raise FileError(f"{file} has no scene {scene}: it holds {len(scenes)}, counted from 0.")
    with _told(file):
        image.set_scene(scene or 0)
        array = image.xarray_dask_data
        names = [str(name).lower() for name in array.dims]
        # Axes of length 1 that the library adds say nothing.
        single = [n for n, length in zip(names, array.shape, strict=True) if length == 1]
        dropped = [names.index(name) for name in single if name in ("t", "c", "z", "m")]
        pixels = array.data[tuple(0 if i in dropped else slice(None) for i in range(len(names)))]
        axes = tuple(name for i, name in enumerate(names) if i not in dropped)
        channels = tuple(str(name) for name in image.channel_names or ())
    return SceneArray(file, pixels, axes, tuple(pixels.shape), np.dtype(pixels.dtype), channels)


def pixel_sizes(path: Path) -> tuple[tuple[str, ...], list[float], list[str]] | None:
    """Read names of axes, pixel sizes and units of a scene; None where the file has no sizes."""
    file, scene = bioio_file(path) or (path, None)
    image = _image(file)
    with _told(file):
        image.set_scene(scene or 0)
        sizes = image.physical_pixel_sizes
    axes = tuple(name for name in open_scene(path).axes if name != "s")
    known = {"z": sizes.Z, "y": sizes.Y, "x": sizes.X}
    if not (known["y"] and known["x"]):
        return None
    lengths = [abs(float(known.get(name) or 1)) for name in axes]
    units = ["um" if known.get(name) else "pixel" for name in axes]
    return axes, lengths, units


def _image(path: Path) -> Any:
    if not path.is_file():
        raise FileError(f"There is no image {path}. Check the path.")
    try:
        import bioio
    except ImportError as error:
        raise MissingExtraError(
            f"{path.suffix.upper()[1:]} files are read by the library bioio, which is not "
            f"installed, for {path}. Run: pip install 'napari-samhq[bioio]'"
        ) from error
    with _told(path):
        try:
            return bioio.BioImage(path)
        except Exception as error:
            name = _READERS[path.suffix.lower()]
            if type(error).__name__ == "UnsupportedFileFormatError" and not _is_installed(name):
                raise MissingExtraError(
                    f"{path} needs bioio's reader {name}, which is not installed. Run: pip install "
                    f"{name}"
                ) from error
            raise


def _is_installed(distribution: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn whatever the readers of vendors' formats raise into an error that names the file."""
    try:
        yield
    except (FileError, MissingExtraError, MemoryError):
        raise
    except Exception as error:
        raise FileError(
            f"Cannot read {path}: {type(error).__name__}: {error}. It is damaged, or of a kind "
            "that bioio does not know; save it as OME-TIFF in the microscope's program."
        ) from error
