"""A labels layer on which small pictures are put and taken away at no cost worth telling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.session.layers.transforms import layer_shape, offset_translate, placement

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from napari.layers import Image, Labels
    from numpy.typing import NDArray

__all__ = ["Patch", "Sheet"]

_MOST_WHOLE_PIXELS = 2**22  # planes up to this size are covered as a whole, once and for all
_LEAST_SIDE_PX = 1024  # of the part that is covered of larger planes


@dataclass(frozen=True, eq=False)
class Patch:
    """A small picture on a plane.

    Attributes
    ----------
    start_rc : tuple of two ints
        Row and column of its first pixel in the plane.
    values : ndarray of shape (h, w), uint8
        Its pixels; 0 is transparent.
    """

    start_rc: tuple[int, int]
    values: NDArray[np.uint8]

    @property
    def stop_rc(self) -> tuple[int, int]:
        """Row and column after its last pixel."""
        (row, col), (height, width) = self.start_rc, self.values.shape
        return row + height, col + width


class Sheet:
    """A labels layer that covers a plane of an image, or as much of it as is needed.

    Whenever a layer gets other data or moves, napari works out the extent of all layers and every
    slider anew, some 20 ms each time. So here the data stay, and pixels are changed within them;
    only on planes of more than 4 megapixels, and there rarely, the covered part is moved. Bytes do
    for the few values there are: napari looks up the colour of each value that the type can have.

    Parameters
    ----------
    image : napari.layers.Image
        The image that is covered.
    name : str
        Name of the layer.

    Attributes
    ----------
    layer : napari.layers.Labels
        The layer, which nobody else should write to.
    """

    def __init__(self, image: Image, name: str) -> None:
        from napari.layers import Labels

        self._image = image
        self._pixels: NDArray[np.uint8] = np.zeros((1, 1), dtype=np.uint8)  # a view of the data
        self._plane = Plane((image.ndim - 2, image.ndim - 1), (0,) * (image.ndim - 2))
        self._start_rc = (0, 0)
        self._shown: dict[Hashable, Patch] = {}
        self.layer: Labels = Labels(
            self._pixels.reshape((1,) * image.ndim), name=name, **placement(image)
        )
        self.layer.editable = False

    def show(self, plane: Plane, patches: Mapping[Hashable, Patch]) -> None:
        """Show exactly these pictures; where they overlap, later ones lie on top.

        Parameters
        ----------
        plane : Plane
            The plane of the image's data that they lie in.
        patches : mapping to Patch
            The pictures. Nothing is done while they, the plane and the image's place stay the same.
        """
        wanted = {key: patch for key, patch in patches.items() if patch.values.size}
        stays = self._cover(plane, wanted) if wanted else True
        if stays and _same(self._shown, wanted):
            return
        for patch in self._shown.values():
            self._part(patch)[...] = 0
        for patch in wanted.values():
            part = self._part(patch)
            np.copyto(part, patch.values, where=patch.values != 0)
        self._shown = wanted
        self.layer.refresh(extent=False, thumbnail=False, highlight=False)

    def _part(self, patch: Patch) -> NDArray[np.uint8]:
        rows, cols = (
            slice(start - origin, stop - origin)
            for start, stop, origin in zip(
                patch.start_rc, patch.stop_rc, self._start_rc, strict=True
            )
        )
        return self._pixels[rows, cols]

    def _cover(self, plane: Plane, patches: dict[Hashable, Patch]) -> bool:
        """Lie where the patches are; False if that needed other data, which are empty then."""
        plane_shape = [layer_shape(self._image)[axis] for axis in plane.axes]
        low = np.min([patch.start_rc for patch in patches.values()], axis=0)
        high = np.max([patch.stop_rc for patch in patches.values()], axis=0)
        stays = plane.axes == self._plane.axes and self._reaches(low, high, plane_shape)
        if not stays:
            start, stop = _covered(low, high, plane_shape)
            self._start_rc = (int(start[0]), int(start[1]))
            self._pixels = np.zeros(stop - start, dtype=np.uint8)
            self._shown = {}
        self._plane = plane
        self._place(stays)
        return stays

    def _reaches(self, low: Any, high: Any, plane_shape: list[int]) -> bool:
        start, stop = np.array(self._start_rc), np.add(self._start_rc, self._pixels.shape)
        fits = (low >= start).all() and (high <= stop).all()
        return bool(fits and (stop <= plane_shape).all() and self._pixels.size > 1)

    def _place(self, stays: bool) -> None:
        origin = self._plane.lift([self._start_rc])[0]
        translate = offset_translate(self._image, origin)
        moves = not np.array_equal(translate, self.layer.translate)
        if stays:
            if moves:
                self.layer.translate = translate
            return
        shape = np.ones(self._plane.ndim, dtype=int)
        shape[list(self._plane.axes)] = self._pixels.shape
        if moves:
            # Data of the new shape at the old place, or the other way round, would for a moment
            # enlarge the extent of all layers, and the sliders with it: shrink, move, then fill.
            self.layer.data = np.zeros((1,) * self._plane.ndim, dtype=np.uint8)
            self.layer.translate = translate
        self.layer.data = self._pixels.reshape(shape)


def _covered(low: Any, high: Any, plane_shape: list[int]) -> tuple[Any, Any]:
    """Choose the part of a plane that is covered: all of it, or room around what is needed."""
    whole = np.array(plane_shape)
    if whole.prod() <= _MOST_WHOLE_PIXELS:
        return np.zeros(2, dtype=int), whole
    side = np.minimum(np.maximum(_LEAST_SIDE_PX, 3 * (high - low) // 2), whole)
    start = np.clip((low + high - side) // 2, 0, whole - side)
    return start, start + side


def _same(one: dict[Hashable, Patch], other: dict[Hashable, Patch]) -> bool:
    return list(one) == list(other) and all(one[key] is other[key] for key in one)
