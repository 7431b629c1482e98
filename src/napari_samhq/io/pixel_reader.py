"""Pixels and planes out of JSON: label edits and masks, checked before they are unpacked."""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.journal.events import LabelsEdit
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.io.fields import Fields

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PixelReader"]

# What the pixels of one file may take when they are unpacked.
_MOST_BYTES = 2**32


class PixelReader:
    """Reads planes, edits and masks of labels of a shape and type.

    Parameters
    ----------
    shape : tuple of ints
        Shape of the labels; everything must lie within.
    dtype : dtype
        Type of the labels.

    Raises
    ------
    FileError
        From all methods, if something is missing, of another type, or out of range.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._bytes_left = _MOST_BYTES

    def plane(self, fields: Fields) -> Plane:
        """Read a plane of the labels."""
        axes, position = fields.wholes("axes"), fields.wholes("position")
        fields.done()
        ndim = len(self.shape)
        if len(axes) == 2 and len(set(axes)) == 2 and max(axes) < ndim == 2 + len(position):
            plane = Plane((axes[0], axes[1]), position)
            others = zip(plane.other_axes, position, strict=True)
            if all(place < self.shape[axis] for axis, place in others):
                return plane
        raise fields.wrong(
            f"axes {axes} at {position}", f"a plane of labels of shape {self.shape}", fields.where
        )

    def edit(self, fields: Fields) -> LabelsEdit:
        """Read a change of labels."""
        plane = self.plane(fields.child("plane"))
        (top, left), (height, width) = self._pair(fields, "start"), self._pair(fields, "size")
        rows, cols = (self.shape[axis] for axis in plane.axes)
        if top + height > rows or left + width > cols:
            raise fields.wrong(
                f"{height} x {width} at {top}, {left}", f"within {rows} x {cols}", fields.where
            )
        bits = self.unpack(fields, "changed", math.ceil(height * width / 8))
        flat = np.unpackbits(np.frombuffer(bits, np.uint8), count=height * width)
        changed = flat.astype(bool).reshape(height, width)
        old, new = (self.values(fields, name, int(changed.sum())) for name in ("old", "new"))
        fields.done()
        region = slice(top, top + height), slice(left, left + width)
        return LabelsEdit(plane, region, changed, old, new)

    def mask(self, fields: Fields) -> CroppedMask:
        """Read a mask: a prompt, or the pixels of an object."""
        (top, left), (height, width) = self._pair(fields, "start"), self._pair(fields, "size")
        if max(top + height, left + width) > max(self.shape):
            raise fields.wrong(f"{height} x {width}", f"within {self.shape}", fields.where)
        bits = self.unpack(fields, "pixels", math.ceil(height * width / 8))
        fields.done()
        return CroppedMask.of_bits((top, left), (height, width), bits)

    def values(self, fields: Fields, name: str, count: int) -> NDArray[Any]:
        """Read label ids whose number is known."""
        value = fields.raw(name)
        if isinstance(value, str):
            again = Fields({name: value}, fields.where, fields.source)
            data = self.unpack(again, name, count * self.dtype.itemsize)
            values: NDArray[Any] = np.frombuffer(data, self.dtype.newbyteorder("<"))
            return values.astype(self.dtype.newbyteorder("="))
        limits = np.iinfo(self.dtype)
        place = f"{fields.where}/{name}"
        number = fields.as_whole(value, place, int(limits.min), int(limits.max))
        return np.full(count, number, dtype=self.dtype.newbyteorder("="))

    def unpack(self, fields: Fields, name: str, length: int) -> bytes:
        """Take bytes whose number is known; not one more is unpacked."""
        place, text = f"{fields.where}/{name}", fields.text(name, longest=_MOST_BYTES)
        self._bytes_left -= length
        if self._bytes_left < 0:
            raise fields.wrong("more pixels", f"at most {_MOST_BYTES >> 30} GiB in all", place)
        try:
            inflate = zlib.decompressobj()
            data = inflate.decompress(base64.b64decode(text, validate=True), length + 1)
        except (binascii.Error, ValueError, zlib.error) as error:
            raise fields.wrong(str(error), "compressed bytes in base64", place) from error
        if len(data) != length or not inflate.eof or inflate.unused_data:
            raise fields.wrong(f"{len(data)} bytes or more", f"{length} bytes", place)
        return data

    @staticmethod
    def _pair(fields: Fields, name: str) -> tuple[int, int]:
        values = fields.wholes(name)
        if len(values) != 2:
            raise fields.wrong(list(values), "two whole numbers", f"{fields.where}/{name}")
        return values[0], values[1]
