"""Image source: one plane of an image of any size, read in parts."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.images.rgb8 import measured_limits, to_rgb8
from napari_samhq.core.util.notes import note
from napari_samhq.errors import FileError, SamHQError
from napari_samhq.inference._levels import (
    Level,
    Region,
    as_levels,
    checked_channels,
    checked_levels,
    checked_region,
    plane_in,
    shrunk,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["ImageSource", "Level", "Region", "digest"]

_SAMPLE_PIXELS = 2**22  # the intensity mapping is measured on at most as many
_SAMPLE_BLOCKS = 5  # along each axis, where there is no level small enough for that
_SAMPLE_SIDE_PX = 256
_STRIP_PIXELS = 2**24  # read at a time where pixels are averaged


class ImageSource:
    """A plane to be segmented, which may be far larger than memory.

    Made by :meth:`of`. Nothing is read before it is asked for.

    Parameters
    ----------
    levels : sequence of arrays
        Full resolution first.
    plane : Plane
        Where to cut the first of them.
    contrast_limits : tuple of two floats, or None
        Values that become black and white; None to have them measured when they are needed first.

    Notes
    -----
    There is one intensity mapping for the whole plane, so that the same value looks the same to
    the model in whatever window it is seen, and windows on empty background stay empty.
    """

    def __init__(
        self, levels: Sequence[Any], plane: Plane, contrast_limits: tuple[float, float] | None
    ) -> None:
        self._arrays = tuple(levels)
        self.channels: int | None = checked_channels(self._arrays, plane)
        self._planes = tuple(plane_in(array, plane, levels[0]) for array in levels)
        self.levels: tuple[Level, ...] = checked_levels(self._arrays, self._planes)
        self._given_limits = contrast_limits
        self._limits: tuple[float, float] | None = None
        self._is_measured = False

    @classmethod
    def of(
        cls,
        data: Any,
        *,
        plane: Plane | None = None,
        contrast_limits: tuple[float, float] | None = None,
    ) -> ImageSource:
        """Describe an image.

        Parameters
        ----------
        data : array or sequence of arrays
            A numpy, zarr or dask array, or anything else with a shape, a dtype and slicing; or a
            pyramid: several of these, full resolution first. Each is (H, W), or (H, W, C) with 1,
            3 or 4 channels, the fourth of which is taken for alpha and dropped. An ImageSource
            comes back as it is.
        plane : Plane, optional
            Which plane, where there are more axes. Its indices are those of the full resolution.
        contrast_limits : tuple of two floats, optional
            Values that become black and white in the whole image. When left out they are measured
            once: on all pixels of an array in memory, otherwise on a coarse level or, for want of
            one, on blocks spread over the image.

        Returns
        -------
        ImageSource

        Raises
        ------
        ImageError
            If this is no plane of real numbers, or the levels do not belong together.

        Examples
        --------
        >>> full = np.arange(64).reshape(8, 8)
        >>> source = ImageSource.of([full, full[::2, ::2]])
        >>> source.shape, source.levels[1].factors
        ((8, 8), (2.0, 2.0))
        >>> source.read((slice(0, 2), slice(6, 8))).tolist()
        [[6, 7], [14, 15]]
        """
        if isinstance(data, cls):
            return data
        if contrast_limits is not None:  # refuse wrong ones now, and not at the first window
            to_rgb8(np.zeros((1, 1)), contrast_limits=contrast_limits)
        levels = as_levels(data)
        return cls(levels, plane or Plane((0, 1)), contrast_limits)

    def __repr__(self) -> str:
        shapes = ", ".join("{} x {}".format(*level.shape) for level in self.levels)
        return f"ImageSource({shapes} px, {self.dtype})"

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels at full resolution."""
        return self.levels[0].shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values as they are stored."""
        dtype: np.dtype[Any] = np.dtype(self._arrays[0].dtype)
        return dtype

    @property
    def contrast_limits(self) -> tuple[float, float] | None:
        """Values that become black and white; None for 8-bit colour, which is taken as it is."""
        if not self._is_measured:
            self._limits = self._measure_limits()
            self._is_measured = True
        return self._limits

    def level_for(self, scale: float) -> int:
        """Choose the coarsest level that still shows details of `scale` full-resolution pixels.

        Parameters
        ----------
        scale : float
            How many pixels of the full resolution one pixel of the result may span.

        Returns
        -------
        int
            Index into `levels`.
        """
        fits = [i for i, level in enumerate(self.levels) if max(level.factors) <= scale * 1.001]
        return max(fits, default=0)

    def region_in(self, region: Region, level: int) -> Region:
        """Name the pixels of a level that cover a region of the full resolution."""
        rows, cols = checked_region(region, self.shape)
        (height, width), (down, across) = self.levels[level].shape, self.levels[level].factors
        return (
            shrunk(rows, down, height),
            shrunk(cols, across, width),
        )

    def read(self, region: Region, level: int = 0) -> NDArray[Any]:
        """Read pixels as they are stored.

        Parameters
        ----------
        region : pair of slices
            Rows and columns in pixels of this level.
        level : int, optional
            Index into `levels`.

        Returns
        -------
        ndarray of shape (h, w) or (h, w, 3)
            Without an alpha channel. It may be a view of an array in memory: do not change it.

        Raises
        ------
        ImageError
            If the region has no pixel, or reaches past the image.
        FileError
            If the pixels cannot be read, as from a damaged chunk.
        """
        region = checked_region(region, self.levels[level].shape)
        index: tuple[Any, ...] = self._planes[level].index(region)
        if self.channels is not None:
            index = (*index, slice(0, min(3, self.channels)))
        try:
            pixels = np.asarray(self._arrays[level][index])
        except SamHQError:  # which says already what and where
            raise
        except Exception as error:  # what stores and codecs say is of any type
            rows, cols = region
            raise FileError(
                f"Cannot read rows {rows.start} to {rows.stop} and columns {cols.start} to "
                f"{cols.stop} of the image, level {level}: {error}. Check that the file is "
                "complete and may be read."
            ) from error
        return pixels[..., 0] if self.channels == 1 else pixels

    def read_rgb8(self, region: Region, level: int = 0) -> NDArray[np.uint8]:
        """Read pixels as the model sees them, by the one intensity mapping of this image.

        Parameters
        ----------
        region : pair of slices
            Rows and columns in pixels of this level.
        level : int, optional
            Index into `levels`.

        Returns
        -------
        ndarray of shape (h, w, 3), uint8
            Values that are not finite are black.

        Raises
        ------
        ImageError, FileError
            As :meth:`read`.
        """
        limits = self.contrast_limits
        pixels = self.read(region, level)
        if limits is None:
            return np.array(pixels, order="C")
        if pixels.dtype.kind == "f":
            finite = np.isfinite(pixels)
            if not finite.all():  # without a warning for each window
                pixels = np.where(finite, pixels, pixels.dtype.type(limits[0]))
        return to_rgb8(pixels, contrast_limits=limits)

    def read_rgb8_at(self, region: Region, scale: float) -> NDArray[np.uint8]:
        """Read a region of the full resolution, made smaller on the way where that is enough.

        Pixels come from the coarsest level that is fine enough. Where that is still too fine
        because the image has no pyramid, pixels are averaged strip by strip.

        Parameters
        ----------
        region : pair of slices
            Rows and columns in pixels of the full resolution.
        scale : float
            How many of these one pixel of the result may span.

        Returns
        -------
        ndarray of shape (h, w, 3), uint8
            A pixel spans `scale` or less, but more than half of it where the levels allow.

        Raises
        ------
        ImageError, FileError
            As :meth:`read`.
        """
        level = self.level_for(scale)
        rows, cols = self.region_in(region, level)
        down, across = (max(1, int(scale / f * 1.001)) for f in self.levels[level].factors)
        if down == across == 1:
            return self.read_rgb8((rows, cols), level)
        step = down * max(1, _STRIP_PIXELS // ((cols.stop - cols.start) * down))
        strips = []
        for start in range(rows.start, rows.stop, step):
            strip = slice(start, min(start + step, rows.stop))
            picture = Image.fromarray(self.read_rgb8((strip, cols), level))
            strips.append(np.asarray(picture.reduce((across, down))))
        return np.concatenate(strips)

    def content_key(self, region: Region, level: int = 0) -> str:
        """Name the present content of a region, so that an edit in place is noticed.

        The pixels are read for it: what a store says about its last change does not cover every
        way to change it.

        Parameters
        ----------
        region : pair of slices
            Rows and columns in pixels of this level.
        level : int, optional
            Index into `levels`.

        Returns
        -------
        str
            Equal for equal pixels of the same type.
        """
        return digest(self.read(region, level))

    def _measure_limits(self) -> tuple[float, float] | None:
        if self._given_limits is not None:
            low, high = self._given_limits
            return float(low), float(high)
        if self.dtype == np.uint8 and self.channels in (3, 4):
            return None
        sample = self._sample()
        low, high = sample.min().item(), sample.max().item()
        if low != high or sample.size >= math.prod(self.shape):
            return measured_limits(sample)
        note(
            f"All pixels looked at to find black and white of this large image are {low}. "
            "Pass contrast_limits, or add a pyramid to the image.",
            stacklevel=4,
        )
        return (0.0, 255.0) if self.dtype == np.uint8 else (float(low), float(low) + 1)

    def _sample(self) -> NDArray[Any]:
        """Read pixels that stand for the whole image: all of them where that is cheap."""
        everything = (slice(None), slice(None))
        if isinstance(self._arrays[0], np.ndarray):
            return self.read(everything)
        for number, level in enumerate(self.levels):
            if math.prod(level.shape) <= _SAMPLE_PIXELS:
                return self.read(everything, number)
        coarsest = len(self.levels) - 1
        height, width = self.levels[coarsest].shape
        blocks = [
            self.read((rows, cols), coarsest)
            for rows in _sample_slices(height)
            for cols in _sample_slices(width)
        ]
        # One column: where a value lies does not matter for its share.
        return np.concatenate([block.reshape(-1, 1, *block.shape[2:]) for block in blocks])


def digest(pixels: NDArray[Any]) -> str:
    """Hash type, shape and values of an array.

    Parameters
    ----------
    pixels : ndarray
        Of any shape and plain type.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> digest(np.zeros((2, 3))) == digest(np.zeros((3, 2)))
    False
    """
    hasher = hashlib.blake2b(f"{pixels.dtype.str} {pixels.shape}".encode(), digest_size=32)
    # As bytes, because a memory view cannot be cast from types of foreign byte order.
    hasher.update(np.ascontiguousarray(pixels).reshape(-1).view(np.uint8).data)
    return hasher.hexdigest()


def _sample_slices(length: int) -> list[slice]:
    """Spread blocks evenly along an axis."""
    side = min(_SAMPLE_SIDE_PX, length)
    centres = (np.arange(_SAMPLE_BLOCKS) + 0.5) * length / _SAMPLE_BLOCKS
    starts = np.clip(centres.astype(int) // side * side, 0, length - side)
    return [slice(int(start), int(start) + side) for start in np.unique(starts)]
