"""Cellpose's ``_seg.npy``: the labels in it, read without running what else the file may hold.

The file is a pickled dictionary, and pickles are programs. Here an unpickler reads it that knows
numpy's arrays and plain values, and builds the arrays itself from their bytes.
"""

from __future__ import annotations

import math
import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import FileError
from napari_samhq.io.atomic import explained

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from numpy.typing import NDArray

__all__ = ["CELLPOSE_SUFFIX", "is_cellpose", "read_cellpose"]

CELLPOSE_SUFFIX = "_seg.npy"
"""End of the names that Cellpose gives its files."""

_LARGEST_BYTES = 2**33
_MASKS = "masks"
_PLAIN_TYPE = re.compile(r"[biuf][1248]|[SU]\d{1,6}|f16")


def is_cellpose(path: str | Path) -> bool:
    """Tell by its name whether a file is one of Cellpose."""
    return Path(path).name.lower().endswith(CELLPOSE_SUFFIX)


def read_cellpose(path: str | Path) -> NDArray[Any]:
    """Read the labels that Cellpose found, or that were drawn in its window.

    Parameters
    ----------
    path : str or Path
        Ends in ``_seg.npy``.

    Returns
    -------
    ndarray of shape (H, W) or (Z, H, W), int
        0 where there is nothing, otherwise the label id of the object.

    Raises
    ------
    FileError
        If the file has no labels, is damaged, or holds anything but arrays and plain values, of
        which nothing is run.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError(f"There is no file {path}. Check the path.")
    with explained("read", path, "Check the permission to read it."):
        if path.stat().st_size > _LARGEST_BYTES:
            raise FileError(f"{path} is larger than {_LARGEST_BYTES >> 30} GiB, and is not read.")
        with path.open("rb") as file:
            content = _unpickled(file, path)
    found = content.get(_MASKS) if isinstance(content, dict) else None
    masks = found.array if isinstance(found, _ArrayState) else None
    if masks is None or masks.ndim not in (2, 3) or masks.dtype.kind not in "iu":
        raise FileError(
            f"{path} holds no labels of Cellpose: no array of integers called '{_MASKS}'. Save it "
            "in Cellpose again (Ctrl+S), or as PNG or TIFF."
        )
    return masks


def _unpickled(file: BinaryIO, path: Path) -> Any:
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0
        shape, _, dtype = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(file)
        if dtype != np.dtype(object) or shape != ():
            raise FileError(
                f"{path} is an array of type {dtype} and shape {shape}, and no file of Cellpose. "
                "Give it another name to have it read as labels."
            )
        stored = _Unpickler(file, path).load()
    except FileError:
        raise
    except Exception as error:  # a damaged pickle fails in any way, in what was called by it
        if isinstance(error, OSError):
            raise
        # Damaged lengths ask for any amount of memory, before anything is read.
        raise FileError(
            f"{path} is damaged, or no file of Cellpose: {type(error).__name__}: {error}."
        ) from error
    # numpy pickles the array of no axes that holds the dictionary.
    return stored.values[0] if isinstance(stored, _ArrayState) and stored.values else stored


class _Unpickler(pickle.Unpickler):
    """Builds arrays and plain values; every other name in the file is refused."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        super().__init__(file)
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        """Give our own builder for a name of numpy, and refuse all others."""
        plain = module.replace("numpy._core", "numpy.core")
        builder = _BUILDERS.get((plain, name))
        if builder is None:
            raise FileError(
                f"{self._path} asks for {module}.{name}, which is more than arrays and plain "
                "values, and could run code. It was not read. Save the labels as PNG or TIFF in "
                "Cellpose."
            )
        # A function of its own each time: what a pickle does to it afterwards ends with the file.
        return lambda *arguments: builder(*arguments)

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to things outside of the file."""
        raise FileError(f"{self._path} refers to something outside of it ({pid!r:.40}).")


class _TypeState:
    """A type of numpy while it is read."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = str(code), "="

    def __setstate__(self, state: Any) -> None:
        self.order = str(state[1])

    def dtype(self) -> np.dtype[Any]:
        """Give the type, if its values are plain."""
        if not _PLAIN_TYPE.fullmatch(self.code) or self.order not in "<>=|":
            raise ValueError(f"values of the type {self.order}{self.code!r:.20}")
        return np.dtype(self.code if self.order == "|" else self.order + self.code)


class _ArrayState:
    """An array while it is read; afterwards, if its values are objects, a list of them."""

    def __init__(self, *_: Any) -> None:
        self.values: list[Any] = []
        self.array: NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_columns, data = state
        count = math.prod(int(n) for n in shape)
        if isinstance(data, list):
            self.values = data
            return
        if isinstance(data, str):  # older protocols had no bytes
            data = data.encode("latin-1")
        dtype = kind.dtype()
        if min(shape, default=0) < 0 or len(data) != count * dtype.itemsize:
            raise ValueError(f"{len(data)} bytes for an array of the shape {shape}")
        order = "F" if by_columns else "C"
        self.array = np.frombuffer(data, dtype).reshape(shape, order=order)  # type: ignore[call-overload]


def _scalar(kind: Any, data: Any = b"") -> Any:
    if isinstance(data, str):
        data = data.encode("latin-1")
    return np.frombuffer(data, kind.dtype(), count=1)[0].item()


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError(f"text in the encoding {encoding!r:.20}")
    return text.encode("latin-1")


_BUILDERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _ArrayState,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy", "ndarray"): _ArrayState,
    ("numpy", "dtype"): _TypeState,
    ("_codecs", "encode"): _encoded,
}
