"""TIFF files: planes, colours and pyramids, read piece by piece, also of sets of several files."""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import FileError, SamHQWarning
from napari_samhq.io.decoding import check_memory, check_packed_size, decoding, settled
from napari_samhq.io.tiff_colours import Colours

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["TiffLevel", "open_tiff"]

_KIND = "TIFF file"
# Programs whose colour tables are for display: the numbers are measured values.
_DISPLAY_TABLES = ("imagej", "ome", "lsm", "mmstack", "micromanager", "stk", "ndtiff")
# No compression, LZW, Deflate, PackBits: how many bytes one of theirs can become at most.
_RATIOS = {1: 1, 5: 4096, 8: 1100, 32946: 1100, 32773: 128}


@dataclass(frozen=True, eq=False)
class TiffLevel:
    """A level of the first series of a TIFF. The file is open only while it is read.

    Attributes
    ----------
    path : Path
    level : int
    shape : tuple of ints
        With colours as the last axis, wherever the file has them.
    dtype : dtype
    axes : tuple of str
        Names of the axes as the file has them, in small letters: "z", "y", "x"; "s" for colours.
    colours : Colours
    sample_axis : int or None
        Which axis in the file holds the samples that become colours.
    missing : frozenset of ints
        Planes, counted in the order of the axes, that are not in the file nor in those beside it.
    planes : tuple of ints
        How many planes there are along each axis before those of a page.
    """

    path: Path
    level: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: tuple[str, ...]
    colours: Colours
    sample_axis: int | None = None
    missing: frozenset[int] = frozenset()
    planes: tuple[int, ...] = ()

    @property
    def ndim(self) -> int:
        """Number of axes, the colours included."""
        return len(self.shape)

    @property
    def present(self) -> tuple[int, ...] | None:
        """The first plane that is there, where others are missing."""
        if not self.missing:
            return None
        count = math.prod(self.planes)
        first = next(index for index in range(count) if index not in self.missing)
        return tuple(int(place) for place in np.unravel_index(first, self.planes))

    def __getitem__(self, where: Any) -> NDArray[Any]:
        """Cut like numpy does, by integers and slices, and read what is cut."""
        cut = self._completed(where)
        in_space = cut[: self.ndim - 1] if self.colours.count else cut
        check_memory(self.path, self._bytes_of(cut))
        wanted = self._wanted_planes(in_space)
        self._check_present(wanted)
        stored = in_space
        if self.sample_axis is not None:
            stored = (*in_space[: self.sample_axis], slice(None), *in_space[self.sample_axis :])
        samples = self._read(stored, wanted)
        if self.sample_axis is not None:
            before = sum(isinstance(part, slice) for part in in_space[: self.sample_axis])
            samples = np.moveaxis(samples, before, -1)
        pixels = samples if self.colours.is_as_stored else self.colours.applied(samples)
        return pixels[..., cut[-1]] if self.colours.count else pixels

    def _read(self, where: tuple[int | slice, ...], wanted: NDArray[Any]) -> NDArray[Any]:
        import tifffile
        import zarr

        with decoding(self.path, _KIND), tifffile.TiffFile(self.path) as tiff:
            series = tiff.series[0].levels[self.level]
            if series.dataoffset is not None:  # in one piece: let the system read what is needed
                pixels = tifffile.memmap(self.path, series=0, level=self.level, mode="r")
                return np.array(pixels[where])
            _check_segments(self.path, series, wanted, tiff.filehandle.size)
            with tiff.series[0].aszarr(level=self.level) as store, settled():
                return np.asarray(zarr.open_array(store, mode="r")[where])

    def _completed(self, where: Any) -> tuple[int | slice, ...]:
        """Say of every axis what is cut."""
        parts = list(where) if isinstance(where, tuple) else [where]
        if not any(part is Ellipsis for part in parts):
            parts.append(Ellipsis)
        start = next(index for index, part in enumerate(parts) if part is Ellipsis)
        rest = parts[start + 1 :]
        left = self.ndim - start - len(rest)
        if left < 0:
            raise IndexError(f"{start + len(rest)} indices for {self.ndim} axes.")
        return tuple(
            part if isinstance(part, slice) else int(part)
            for part in (*parts[:start], *[slice(None)] * left, *rest)
        )

    def _bytes_of(self, cut: tuple[int | slice, ...]) -> int:
        lengths = [
            len(range(*part.indices(length))) if isinstance(part, slice) else 1
            for part, length in zip(cut, self.shape, strict=True)
        ]
        return math.prod(lengths) * self.dtype.itemsize

    def _wanted_planes(self, cut: tuple[int | slice, ...]) -> NDArray[Any]:
        """Numbers of the planes that are cut, in the order of the axes."""
        numbers = np.arange(math.prod(self.planes)).reshape(self.planes)
        return np.atleast_1d(numbers[cut[: len(self.planes)]]).ravel()

    def _check_present(self, wanted: NDArray[Any]) -> None:
        for number in wanted if self.missing else ():
            if int(number) in self.missing:
                place = tuple(int(index) for index in np.unravel_index(number, self.planes))
                raise FileError(
                    f"Cannot read {self.path}: plane {','.join(map(str, place))} lies in a file "
                    f"that is missing. {len(self.missing)} of {math.prod(self.planes)} planes of "
                    "the set are; copy all of its files into one folder."
                )


def open_tiff(path: Path, *, keep_numbers: bool = False) -> tuple[list[TiffLevel], bool]:
    """Look at a TIFF without reading its pixels.

    Parameters
    ----------
    path : Path
    keep_numbers : bool, optional
        Whether palettes are left alone, as of labels.

    Returns
    -------
    levels : list of TiffLevel
        Of the first image in the file, full resolution first.
    has_colour : bool
        Whether the last axis is colour; the file says so.

    Raises
    ------
    FileError
        If it is no TIFF, damaged, or of a kind that is not read here.
    ImageError
        If its colours are of such a kind.

    Warns
    -----
    SamHQWarning
        If there is more in the file than is read, or less than it states.
    """
    import tifffile

    with decoding(path, _KIND), tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        page = series.keyframe
        if page.dtype is None or page.dtype.kind not in "biufc":
            raise FileError(
                f"Cannot read {path}: its samples are of the type {page.sampleformat} with "
                f"{page.bitspersample} bits, which is not read here. Save it again with whole "
                "numbers or floats."
            )
        colours = Colours.of(page, keep_numbers=keep_numbers or series.kind in _DISPLAY_TABLES)
        if series.kind == "shaped" and page.dtype == np.bool_:
            # So numpy arrays of bool are written: white as 0, and true as true.
            colours = replace(colours, photometric=1)
        full = _level_of(path, series, colours)
        levels = [
            replace(full, level=number, shape=_shown_shape(level.shape, full))
            for number, level in enumerate(series.levels)
            if level.axes == series.axes
        ]
        has_colour = series.axes.endswith("S") or colours.count > 0
        _tell_what_is_odd(path, tiff)
        _tell_what_is_missing(path, tiff, math.prod(full.planes))
    return levels, has_colour


def _level_of(path: Path, series: Any, colours: Colours) -> TiffLevel:
    sample_axis = series.axes.find("S") if colours.has_colour else -1
    axes = series.axes.replace("S", "") if sample_axis >= 0 else series.axes
    page_axes = len(series.keyframe.shape)
    planes = tuple(series.shape[: len(series.shape) - page_axes])
    # Of a set of several files, or one that was never finished, pages may be missing.
    is_listed = series.kind in ("ome", "mmstack")
    missing = [n for n, page in enumerate(series) if page is None] if is_listed else []
    return TiffLevel(
        path,
        0,
        tuple(series.shape),
        colours.result_dtype,
        (*axes.lower(), "s") if colours.count else tuple(axes.lower()),
        colours,
        sample_axis if sample_axis >= 0 else None,
        frozenset(missing),
        planes,
    )


def _shown_shape(stored: tuple[int, ...], level: TiffLevel) -> tuple[int, ...]:
    """Put the colours last."""
    shape = list(stored)
    if level.sample_axis is not None:
        del shape[level.sample_axis]
    return (*shape, level.colours.count) if level.colours.count else tuple(shape)


def _check_segments(path: Path, series: Any, wanted: NDArray[Any], size: int) -> None:
    """Refuse pages with fewer strips or tiles than they need, and ones too large to be true."""
    page = series.keyframe
    segment = math.prod(page.chunks) * np.dtype(page.dtype).itemsize
    check_memory(path, segment)
    ratio = _RATIOS.get(int(page.compression))
    if ratio is not None and not series.is_multifile:
        check_packed_size(path, segment, size, ratio)
    needed = math.prod(page.chunked)
    for number in wanted:
        # A page may hold many planes, and a series be one page.
        one = series[int(number)] if number < len(series) else page
        there = 0 if one is None else len(one.dataoffsets)
        if there < needed:
            raise FileError(
                f"Cannot read {path}: it is damaged, since {needed:,} strips or tiles are needed "
                f"and {there:,} are there. Copy it or save it again."
            )
        if there and not series.is_multifile:
            # A decoder of JPEG makes up what is missing at the end of the last one.
            ends = np.add(one.dataoffsets, one.databytecounts, dtype=np.int64)
            if int(ends.max()) > size:
                raise FileError(
                    f"Cannot read {path}: it is cut off, {int(ends.max()):,} bytes are needed and "
                    f"{size:,} are there. Was it copied completely? Copy it again."
                )


def _tell_what_is_odd(path: Path, tiff: Any) -> None:
    count = len(tiff.pages)
    if _breaks_off(tiff):
        told = f"{path} is damaged: its list of pages breaks off after {count}"
        if count > 1:
            raise FileError(f"{told}. Was it copied completely? Copy it again.")
        warnings.warn(f"{told}. Read is that one.", SamHQWarning, stacklevel=5)
    sizes = [series.shape for series in tiff.series if series.kind in ("generic", "uniform")]
    if len(sizes) > 1 and tiff.series[0].kind in ("generic", "uniform"):
        listed = ", ".join(str(tuple(shape)) for shape in sizes[:4])
        warnings.warn(
            f"{path} holds {len(sizes)} images of different shapes: {listed}"
            f"{', ...' if len(sizes) > 4 else ''}. Read is the first; save others to files of "
            "their own.",
            SamHQWarning,
            stacklevel=5,
        )
    orientation = tiff.pages[0].tags.get("Orientation")
    if orientation is not None and orientation.value not in (0, 1):
        warnings.warn(
            f"{path} says that it is stored turned or mirrored (orientation {orientation.value}). "
            "Pixels are taken as they are stored, which is how napari shows them.",
            SamHQWarning,
            stacklevel=5,
        )


def _tell_what_is_missing(path: Path, tiff: Any, planes: int) -> None:
    if tiff.is_ome and tiff.series[0].kind != "ome":
        warnings.warn(
            f"{path} belongs to an OME-TIFF whose description cannot be followed: files are "
            "missing, or it is damaged. Read are the pages of this file alone.",
            SamHQWarning,
            stacklevel=5,
        )
    stated = (tiff.imagej_metadata or {}).get("images", planes)
    if isinstance(stated, int) and stated > planes:
        warnings.warn(
            f"{path} states {stated} images and holds {planes}. Was it copied completely? Read are "
            "those that are there.",
            SamHQWarning,
            stacklevel=5,
        )


def _breaks_off(tiff: Any) -> bool:
    """Tell whether the last page points at a next one, which could not be read."""
    where = tiff.pages.next_page_offset
    if not where:
        return False
    handle = tiff.filehandle
    handle.seek(where, os.SEEK_SET)
    pointer = handle.read(tiff.tiff.offsetsize)
    return len(pointer) < tiff.tiff.offsetsize or any(pointer)
