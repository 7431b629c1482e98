"""Labels of any size: only the parts that have objects are kept, in memory or in an OME-Zarr.

Coarser copies for display are kept in step, so that a viewer never reads more than a screen.
"""

from __future__ import annotations

import math
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from napari_samhq.core.tiles.blocks import Blocks, as_indices, pooled
from napari_samhq.core.util.lru import Lru
from napari_samhq.errors import FileError
from napari_samhq.io.atomic import explained
from napari_samhq.io.calibration import Calibration
from napari_samhq.io.ome_zarr import described_pyramid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from napari_samhq.core.tiles.blocks import Key, Place

__all__ = ["BLOCK_PX", "LabelStore"]

#: Side of the blocks in which labels are kept, along the last two axes; it is 1 along all others.
BLOCK_PX = 512

_COARSEST_PX = 1024
_MOST_LEVELS = 10  # the blocks of coarser ones would not begin on a pixel
_REMEMBERED = 64  # blocks, as they were read
_MOST_WAITING = 256  # blocks that wait to be written together
_ATTRIBUTE = "napari-samhq"
_ADVICE = "Free some space, or choose another place."


class LabelStore:
    """A label image that is indexed like a numpy array, of which zeros take no space.

    On disk it is an OME-Zarr 0.5 label image with a pyramid. A pixel of each level shows the
    highest label id of 2 x 2 pixels of the finer one: small objects are seen from any distance.

    Parameters
    ----------
    shape : tuple of ints
        Two axes or more.
    dtype : dtype, optional
        A type of integers.
    path : str or Path, optional
        A folder whose name ends in ``.zarr``. The first write makes it. In memory when left out.
    about : dict, optional
        Plain values to keep with it.
    calibration : Calibration, optional
        Size of the pixels, which the file tells to other programs.

    Raises
    ------
    FileError
        If there is something of this name already; :meth:`open` goes on with that.

    Notes
    -----
    A write touches the blocks that it changes and no others; each is there whole or not at all.
    Several writes can be put together, see :meth:`together`. One program writes a store at a time.
    Coarser levels that a killed one left behind are made anew when the store is opened.

    Examples
    --------
    >>> store = LabelStore((100_000, 100_000))
    >>> store[52_000:52_003, 71_000] = 7
    >>> store[52_001:52_005, 71_000].tolist(), store.filled_px
    ([7, 7, 0, 0], 262144)
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: Any = np.int32,
        *,
        path: str | Path | None = None,
        about: dict[str, Any] | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        if path is not None and Path(path).exists():
            raise FileError(f"{path} exists already. Open it, or choose another name.")
        self.shape, self.dtype = tuple(int(n) for n in shape), np.dtype(dtype)
        self.chunks = (1,) * (len(self.shape) - 2) + (BLOCK_PX, BLOCK_PX)
        self._blocks = Blocks(self.shape, self.chunks)
        where = None if path is None else Path(path)
        self._pyramid = _Pyramid(self.shape, self.dtype, where, dict(about or {}), calibration)
        self._read: Lru[NDArray[Any]] = Lru(_REMEMBERED)
        self._waiting: dict[Place, NDArray[Any]] = {}
        self._depth = 0

    @classmethod
    def open(cls, path: str | Path) -> LabelStore:
        """Go on with a store on disk.

        Raises
        ------
        FileError
            If it is something else, cannot be read, or another program writes to it.
        """
        pyramid = _Pyramid.of_file(Path(path))
        store = cls(pyramid.blocks.shape, pyramid.dtype)
        store._pyramid = pyramid
        return store

    def close(self) -> None:
        """Write what waits, and let others write."""
        self.flush()
        self._pyramid.release()

    @property
    def path(self) -> Path | None:
        """Where it is on disk, or will be from the first write on; None for one in memory."""
        return self._pyramid.path

    @property
    def about(self) -> dict[str, Any]:
        """The values that were kept with it."""
        return dict(self._pyramid.about)

    @property
    def level_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the levels, full resolution first."""
        return tuple(self._pyramid.shapes)

    @property
    def filled_px(self) -> int:
        """Pixels in blocks that have objects; all others are 0."""
        return len(self._pyramid.filled | self._waiting.keys()) * math.prod(self.chunks)

    def is_empty(self, region: Key) -> bool:
        """Tell whether a region, slices with start and stop, has no object for sure."""
        filled, waiting = self._pyramid.filled, self._waiting
        return not any(p in filled or p in waiting for p in self._blocks.touched(region))

    def read_level(self, number: int, key: Key) -> NDArray[Any]:
        """Read a region, slices with start and stop, of a level; 0 is the full resolution."""
        return self[key] if number == 0 else self._pyramid.read(number, key)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        indices = as_indices(key)
        if indices is not None:
            return self._pixels(indices)
        region, taken = self._blocks.normalized(key)
        out: NDArray[Any] = np.zeros([part.stop - part.start for part in region], self.dtype)
        for place in self._blocks.touched(region):
            values = self._block(place)
            if values is not None:
                inside, outside = self._blocks.common(place, region)
                out[outside] = values[inside]
        found: NDArray[Any] = out[taken]
        return found

    def __setitem__(self, key: Any, value: Any) -> None:
        with self.together():
            indices = as_indices(key)
            if indices is not None:
                ids = np.broadcast_to(np.asarray(value, dtype=self.dtype), indices[0].shape)
                for place, chosen, pixels in self._blocks.grouped(indices):
                    self._changing(place)[pixels] = ids[chosen]
                return
            region, taken = self._blocks.normalized(key)
            values = self[region]
            values[taken] = value
            for place in self._blocks.touched(region):
                inside, outside = self._blocks.common(place, region)
                present = self._block(place)
                before: Any = 0 if present is None else present[inside]
                if (values[outside] != before).any():
                    self._changing(place)[inside] = values[outside]

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write each block once for all that is changed meanwhile."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self.flush()

    def flush(self) -> None:
        """Write all that waits.

        Raises
        ------
        FileError
            If it cannot be written; it waits on then.
        """
        if self._waiting:
            self._pyramid.write(self._waiting)
            for place, values in self._waiting.items():
                self._read.put(place, values)
            self._waiting = {}

    def _pixels(self, indices: tuple[NDArray[np.intp], ...]) -> NDArray[Any]:
        out: NDArray[Any] = np.zeros(len(indices[0]), self.dtype)
        for place, chosen, inside in self._blocks.grouped(indices):
            values = self._block(place)
            if values is not None:
                out[chosen] = values[inside]
        return out

    def _block(self, place: Place) -> NDArray[Any] | None:
        """Get the values of a block, not to be changed; None for zeros."""
        if place in self._waiting:
            return self._waiting[place]
        if place not in self._pyramid.filled:
            return None
        found = self._read.get(place)
        if found is None:
            region = self._blocks.region(place)
            found = self._read.put(place, self._pyramid.read(0, region))
        return found

    def _changing(self, place: Place) -> NDArray[Any]:
        """Get the values of a block, to be changed."""
        if place not in self._waiting:
            if len(self._waiting) >= _MOST_WAITING:
                self.flush()
            values = self._block(place)
            if values is None:
                shape = [part.stop - part.start for part in self._blocks.region(place)]
                self._waiting[place] = np.zeros(shape, self.dtype)
            else:
                self._waiting[place] = values.copy()
            self._read.pop(place)
        return self._waiting[place]


class _Pyramid:
    """The blocks of a store, in memory or on disk, and the coarser levels made of them."""

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        path: Path | None,
        about: dict[str, Any],
        calibration: Calibration | None = None,
    ) -> None:
        self.shapes = _level_shapes(shape)
        self.blocks = Blocks(shape, (1,) * (len(shape) - 2) + (BLOCK_PX, BLOCK_PX))
        self.dtype, self.path, self.about = dtype, path, about
        self._calibration = calibration or Calibration.of(len(shape))
        self.filled: set[Place] = set()
        self._arrays: list[Any] = []  # none before the first write
        self._lock: FileLock | None = None

    @classmethod
    def of_file(cls, path: Path) -> _Pyramid:
        import zarr

        with explained("read", path, "Choose another file."):
            try:
                group: Any = zarr.open_group(path, mode="r+")
                note = group.attrs[_ATTRIBUTE]
                arrays = [group[str(number)] for number in range(note["levels"])]
                found = cls(arrays[0].shape, arrays[0].dtype, path, note["about"])
            except (KeyError, TypeError, ValueError) as error:
                raise FileError(
                    f"{path} is no store of objects ({error!r}). Choose another file."
                ) from error
            found._take_lock(path)
            found._arrays = arrays
            found.filled = set(_places_in(path / "0" / "c", len(found.blocks.shape)))
            unfinished = path / ".unfinished"
            if unfinished.exists():
                for place in sorted(found.filled):
                    found._write_coarser({place: found.read(0, found.blocks.region(place))})
                unfinished.unlink()
        return found

    def release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def read(self, number: int, key: Key) -> NDArray[Any]:
        if not self._arrays:
            return np.zeros([part.stop - part.start for part in key], self.dtype)
        with explained("read", self.path or Path("labels in memory"), "Is the file complete?"):
            return np.asarray(self._arrays[number][key])

    def write(self, blocks: Mapping[Place, NDArray[Any]]) -> None:
        with explained("write", self.path or Path("labels in memory"), _ADVICE):
            if not self._arrays:
                self._create()
            unfinished = None if self.path is None else self.path / ".unfinished"
            if unfinished is not None:
                unfinished.touch()
            for place, values in blocks.items():
                self._arrays[0][self.blocks.region(place)] = values
                if values.any():
                    self.filled.add(place)
                else:  # zarr keeps no block of zeros
                    self.filled.discard(place)
            self._write_coarser(blocks)
            if unfinished is not None:
                unfinished.unlink()

    def _create(self) -> None:
        import zarr

        name = "objects" if self.path is None else self.path.stem
        target: Any = {} if self.path is None else self.path
        group = zarr.create_group(store=target, zarr_format=3)
        if self.path is not None:
            self._take_lock(self.path)
        arrays = [
            group.create_array(
                str(number), shape=shape, dtype=self.dtype, chunks=self.blocks.sides, fill_value=0
            )
            for number, shape in enumerate(self.shapes)
        ]
        note: Any = {"levels": len(self.shapes), "about": self.about}
        about = described_pyramid(name, self._calibration, len(self.shapes), pooled=True)
        ome: Any = about | {"image-label": {"version": "0.5"}}
        group.attrs.update({"ome": ome, _ATTRIBUTE: note})
        self._arrays = arrays

    def _take_lock(self, path: Path) -> None:
        lock = FileLock(path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise FileError(
                f"Another program writes to {path}. Close it, or choose another file."
            ) from error
        self._lock = lock

    def _write_coarser(self, blocks: Mapping[Place, NDArray[Any]]) -> None:
        """Bring the coarser levels up to date where blocks of the full resolution changed."""
        pieces = {
            tuple(part.start for part in self.blocks.region(place)): values
            for place, values in blocks.items()
        }
        for number in range(1, len(self.shapes)):
            pieces = {
                (*start[:-2], start[-2] // 2, start[-1] // 2): pooled(values)
                for start, values in pieces.items()
            }
            level = Blocks(self.shapes[number], self.blocks.sides)
            by_block: dict[Place, list[Place]] = {}
            for start in pieces:
                place = tuple(a // side for a, side in zip(start, level.sides, strict=True))
                by_block.setdefault(place, []).append(start)
            for place, starts in by_block.items():
                region = level.region(place)
                block = np.asarray(self._arrays[number][region])
                for start in starts:
                    top, left = start[-2] - region[-2].start, start[-1] - region[-1].start
                    height, width = pieces[start].shape[-2:]
                    block[..., top : top + height, left : left + width] = pieces[start]
                self._arrays[number][region] = block


def _level_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    shapes = [shape]
    while max(shapes[-1][-2:]) > _COARSEST_PX and len(shapes) < _MOST_LEVELS:
        *others, height, width = shapes[-1]
        shapes.append((*others, -(-height // 2), -(-width // 2)))
    return shapes


def _places_in(folder: Path, ndim: int) -> Iterator[Place]:
    """List the blocks that have a file."""
    for at, _, names in os.walk(folder):
        parts = Path(at).relative_to(folder).parts
        for name in names:
            place = (*parts, name)
            if len(place) == ndim and all(part.isdecimal() for part in place):
                yield tuple(map(int, place))
