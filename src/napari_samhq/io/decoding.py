"""Errors of decoders: whatever a library says about a damaged file becomes one clear sentence."""

from __future__ import annotations

import asyncio
import itertools
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import FileError, SamHQError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["CheckedArray", "check_memory", "check_packed_size", "decoding", "settled"]

_SMALL_BYTES = 2**26  # less is nobody's trouble, however it is packed
_LONGEST_REASON = 200


@contextmanager
def decoding(path: Path, what: str = "file") -> Iterator[None]:
    """Turn every error of the block into a `FileError` that names the file.

    Parsers of files that strangers wrote fail in any way there is when a byte is wrong: by errors
    of their own, by `struct.error`, `KeyError`, `MemoryError` and so on. Keep the block to calls
    of such a library.

    Parameters
    ----------
    path : Path
        The file that is read.
    what : str, optional
        What it should be, for the message.

    Raises
    ------
    FileError
        In place of any exception but `SamHQError`.

    Examples
    --------
    >>> from pathlib import Path
    >>> with decoding(Path("cells.tif"), "TIFF file"):
    ...     int("12 strips")
    Traceback (most recent call last):
    ...
    napari_samhq.errors.FileError: Cannot read cells.tif: it is a damaged TIFF file, or of ...
    """
    try:
        yield
    except SamHQError:
        raise
    except OSError as error:
        if error.errno is None:  # not the system's, but a decoder's
            raise _undecodable(path, what, error) from error
        reason = error.strerror or str(error)
        raise FileError(
            f"Cannot read {path}: {reason.rstrip('.')}. Check the path and the permission to read "
            "it."
        ) from error
    except ImportError as error:  # how imagecodecs says that it was built without a codec
        raise FileError(
            f"Cannot read {path}: {_reason(error)}. A codec that its compression needs is not "
            "there; `pip install --upgrade imagecodecs` brings all that there are."
        ) from error
    except MemoryError as error:
        raise FileError(
            f"Cannot read {path}: there is not enough memory for the size that it states. If it is "
            "not damaged, save it tiled, as TIFF or OME-Zarr."
        ) from error
    except Exception as error:
        raise _undecodable(path, what, error) from error


@contextmanager
def settled() -> Iterator[None]:
    """Let all reading of zarr come to its end before an error of the block goes on.

    Zarr reads pieces side by side and gives up at the first that fails. The others would fail
    later, with a traceback for each on the terminal.
    """
    try:
        yield
    except Exception:
        from zarr.core.sync import sync  # there is no public way to the loop in which zarr reads

        sync(_others_done())
        raise


async def _others_done() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)


class CheckedArray:
    """A zarr array whose damaged pieces are told as a `FileError`.

    Parameters
    ----------
    array : zarr.Array
    path : Path
        Of the folder, for messages.
    """

    def __init__(self, array: Any, path: Path) -> None:
        self._array, self._path = array, path
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)
        self.chunks: tuple[int, ...] = tuple(array.chunks)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def array(self) -> Any:
        """The array itself, for those who know nothing but zarr; all its shards are looked at.

        Raises
        ------
        FileError
            If one of them is empty.
        """
        self._check_shards(...)
        return self._array

    def __getitem__(self, where: Any) -> NDArray[Any]:
        """Read what is cut, as zarr does."""
        self._check_shards(where)
        with decoding(self._path, "zarr array"), settled():
            return np.asarray(self._array[where])

    def _check_shards(self, where: Any) -> None:
        """Refuse empty files of shards, which zarr before 3.2 reads as zeros."""
        store, root = self._array.store, getattr(self._array.store, "root", None)
        if self._array.shards is None or root is None:
            return
        folder = root / self._array.path
        with decoding(self._path, "zarr array"):
            for numbers in itertools.product(*_touched(where, self.shape, self._array.shards)):
                shard = folder / self._array.metadata.encode_chunk_key(numbers)
                if shard.is_file() and not shard.stat().st_size:
                    raise FileError(
                        f"{self._path} is damaged: {shard.relative_to(store.root)} is empty. Copy "
                        "or write it again; delete that file if zeros are right there."
                    )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read all of it."""
        return np.asarray(self[...], dtype=dtype)


def _touched(where: Any, shape: tuple[int, ...], lengths: tuple[int, ...]) -> list[range]:
    """Find the numbers of the pieces of these lengths that a cut touches, along each axis.

    Examples
    --------
    >>> _touched((slice(3, 9), 12), (20, 20), (4, 10))
    [range(0, 3), range(1, 2)]
    """
    index = where if isinstance(where, tuple) else (where,)
    if Ellipsis in index:
        place = index.index(Ellipsis)
        index = (
            *index[:place],
            *[slice(None)] * (len(shape) + 1 - len(index)),
            *index[place + 1 :],
        )
    touched = []
    for axis, (length, piece) in enumerate(zip(shape, lengths, strict=True)):
        one = index[axis] if axis < len(index) else slice(None)
        if isinstance(one, slice):
            first, stop, _ = one.indices(length)
        elif isinstance(one, int | np.integer):
            first, stop = int(one) % max(1, length), int(one) % max(1, length) + 1
        else:  # a list of places: all pieces
            first, stop = 0, length
        touched.append(range(first // piece, -(-stop // piece) if stop > first else first // piece))
    return touched


def check_memory(path: Path, nbytes: int) -> None:
    """Refuse to read more than fits into the memory of this machine.

    Parameters
    ----------
    path : Path
        The file that is read.
    nbytes : int
        Bytes that the pixels take.

    Raises
    ------
    FileError
        If there is less memory than that.
    """
    there_is = _memory()
    if there_is is not None and nbytes > max(there_is, _SMALL_BYTES):
        raise FileError(
            f"Cannot read {path}: the pixels asked for take {nbytes / 2**30:,.0f} GiB, and this "
            f"machine has {there_is / 2**30:,.0f} GiB of memory. If the size is right, save the "
            "image tiled, as TIFF or OME-Zarr, and work on a part of it."
        )


def check_packed_size(path: Path, nbytes: int, packed: int, ratio: int) -> None:
    """Refuse a size that the bytes in a file cannot unpack to.

    Parameters
    ----------
    path : Path
        The file that is read.
    nbytes : int
        Bytes that the pixels take, as the file states.
    packed : int
        Bytes that hold them.
    ratio : int
        How many bytes one of them can unpack to at most.

    Raises
    ------
    FileError
        If that is impossible.
    """
    if nbytes > max(packed * ratio, _SMALL_BYTES):
        raise FileError(
            f"Cannot read {path}: it states {nbytes / 2**20:,.0f} MiB of pixels, which its "
            f"{packed:,} bytes cannot hold. It is damaged; copy or save it again."
        )


def _memory() -> int | None:
    """Bytes of memory of this machine, where the system tells."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no such call
        return None


def _undecodable(path: Path, what: str, error: BaseException) -> FileError:
    return FileError(
        f"Cannot read {path}: it is a damaged {what}, or of a kind that is not read here "
        f"({_reason(error)}). Copy it or save it again, as TIFF without compression if need be."
    )


def _reason(error: BaseException) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, KeyError | IndexError | AttributeError):
        words = f"{type(error).__name__}: {words}"
    return words[:_LONGEST_REASON].rstrip(".")
