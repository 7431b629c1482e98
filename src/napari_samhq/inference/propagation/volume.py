"""Planes of a volume, read one by one, and the given outlines in them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.images.rgb8 import measured_limits
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.errors import FileError, ImageError, SamHQError, SamHQWarning
from napari_samhq.inference.source import ImageSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["Picture", "Volume", "given_outlines"]

_MEASURED_PLANES = 5
_MEASURED_PX = 2**18  # of a plane
_BLUR_PX = 1.0  # standard deviation: single pixels are noise
_COLOURS = (1, 3, 4)
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


@dataclass(frozen=True, eq=False)
class Picture:
    """One plane as it is compared with its neighbours.

    Attributes
    ----------
    index : int
        Of the plane.
    grey : ndarray of shape (h, w), float32
        Between 0 and 255, a little blurred.
    is_blank : bool
        Whether there is nothing in it: a lost section, a plane that was never written.
    """

    index: int
    grey: NDArray[np.float32]
    is_blank: bool


class Volume:
    """A stack of planes along one axis of an array, which may be far larger than memory.

    Parameters
    ----------
    data : array of shape (Z, H, W) or (Z, H, W, C)
        Numpy, dask or zarr, or anything else with a shape, a dtype and slicing.
    axis : int
        Planes follow each other along it: 0, 1 or 2.
    contrast_limits : tuple of two floats, optional
        Values that become black and white in all planes; see :meth:`measure`.

    Raises
    ------
    ImageError
        If this is no stack of planes of real numbers.
    """

    def __init__(
        self, data: Any, axis: int = 0, contrast_limits: tuple[float, float] | None = None
    ) -> None:
        self._data = data if hasattr(data, "shape") and hasattr(data, "dtype") else np.asarray(data)
        full = tuple(int(length) for length in self._data.shape)
        if len(full) not in (3, 4) or (len(full) == 4 and full[3] not in _COLOURS):
            raise ImageError(
                f"The volume has the shape {full}; needed is (Z, H, W), or (Z, H, W, C) with 1, 3 "
                "or 4 channels. Of more axes (time, channels) pick one index first, as "
                "volume[t], and move channels to the end."
            )
        if not 0 <= axis < 3:
            raise ImageError(f"axis is {axis}; needed is 0, 1 or 2, an axis of {full[:3]}.")
        if 0 in full:
            raise ImageError(f"The volume has the shape {full}, and so no pixel.")
        self.full_shape: tuple[int, int, int] = (full[0], full[1], full[2])
        self.axis = axis
        rows, cols = (other for other in range(3) if other != axis)
        self._axes = rows, cols
        self.shape: tuple[int, int] = full[rows], full[cols]
        self._limits = contrast_limits
        self.source(0)  # refuses what cannot be seen at all

    def __len__(self) -> int:
        return self.full_shape[self.axis]

    def source(self, index: int) -> ImageSource:
        """Describe one plane for a predictor, without reading it."""
        plane = Plane(self._axes, (index,))
        return ImageSource.of(self._data, plane=plane, contrast_limits=self._limits)

    def measure(self, indices: Iterable[int]) -> None:
        """Find one intensity mapping for all planes, from a few of them, if none was given."""
        if self._limits is not None:
            return
        chosen = sorted(indices)
        picks = np.unique(np.linspace(0, len(chosen) - 1, _MEASURED_PLANES).astype(int))
        step = max(1, int(np.sqrt(self.shape[0] * self.shape[1] / _MEASURED_PX)))
        everything = slice(None), slice(None)
        pixels = [self.source(chosen[pick]).read(everything)[::step, ::step] for pick in picks]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SamHQWarning)  # told by the planes that have it
            self._limits = measured_limits(np.concatenate(pixels))

    def picture(self, index: int) -> Picture:
        """Read a plane.

        Raises
        ------
        FileError
            If it cannot be read; the message says which.
        """
        try:
            rgb8 = self.source(index).read_rgb8((slice(0, self.shape[0]), slice(0, self.shape[1])))
        except FileError as error:
            raise FileError(f"Plane {index} of the volume: {error}") from error
        grey = rgb8.astype(np.float32) @ _LUMA
        is_blank = bool(grey.min() == grey.max())
        return Picture(index, ndimage.gaussian_filter(grey, _BLUR_PX), is_blank)


def given_outlines(labels: Any, volume: Volume) -> dict[int, dict[int, CroppedMask]]:
    """Find the given outlines, reading one plane of labels after the other.

    Parameters
    ----------
    labels : array of shape (Z, H, W), int
        As large as the volume; 0 is background.
    volume : Volume

    Returns
    -------
    dict of dict
        Of planes, the outlines by label id.

    Raises
    ------
    ImageError
        If these are no labels of this volume, or there is no object in them.
    """
    array = labels if hasattr(labels, "shape") and hasattr(labels, "dtype") else np.asarray(labels)
    shape, dtype = tuple(array.shape), np.dtype(array.dtype)
    if shape != volume.full_shape:
        raise ImageError(
            f"The labels have the shape {shape}, the volume {volume.full_shape}; needed are "
            "labels of the volume's shape (without channels), 0 where nothing is outlined."
        )
    if dtype.kind not in "biu":
        raise ImageError(f"The labels are of type {dtype}; needed are integers, 0 for background.")
    found: dict[int, dict[int, CroppedMask]] = {}
    for index, plane in _planes(array, volume):
        outlines = _outlines(plane, index)
        if outlines:
            found[index] = outlines
    if not found:
        raise ImageError(
            "No object is outlined in the labels: all of them are 0. Outline an object in at least "
            "one plane."
        )
    return found


def _planes(array: Any, volume: Volume) -> Iterator[tuple[int, NDArray[Any]]]:
    for index in range(len(volume)):
        where: list[Any] = [slice(None)] * 3
        where[volume.axis] = index
        try:
            yield index, np.asarray(array[tuple(where)])
        except SamHQError:
            raise
        except Exception as error:  # what stores and codecs say is of any type
            raise FileError(
                f"Cannot read plane {index} of the labels: {error}. Check that the file is "
                "complete and may be read."
            ) from error


def _outlines(plane: NDArray[Any], index: int) -> dict[int, CroppedMask]:
    low, high = int(plane.min()), int(plane.max())
    if low < 0 or high > np.iinfo(np.int32).max:
        raise ImageError(
            f"The labels of plane {index} reach from {low} to {high}; label ids lie between 1 and "
            f"{np.iinfo(np.int32).max}, and 0 is background."
        )
    if high == 0:
        return {}
    ids = [int(label_id) for label_id in np.unique(plane) if label_id]
    compact = np.searchsorted(np.array([0, *ids]), plane)  # ids may be large and few
    boxes = ndimage.find_objects(compact, len(ids))
    return {
        label_id: CroppedMask.of(compact[box] == number, (box[0].start, box[1].start))
        for number, (label_id, box) in enumerate(zip(ids, boxes, strict=True), start=1)
    }
