"""The preview: the mask being made, shown as a contour in a layer no larger than the mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.session.frames import offset_translate, placement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image, Labels
    from numpy.typing import NDArray

    from napari_samhq.session.plane import Plane

__all__ = ["Preview"]

_LINE_PX = 2
_HALO, _LINE = 1, 2
_OPACITY, _OPACITY_WHILE_WAITING = 1.0, 0.45


class Preview:
    """A labels layer that shows one mask by its outline, in the colour that its label will have.

    A white halo keeps dark colours visible on dark images.

    Parameters
    ----------
    image : napari.layers.Image
        The image that masks belong to.

    Notes
    -----
    The layer's data are the outline in the mask's bounding box, moved to its place by `translate`,
    so showing a small object on a large image costs little. napari's own contours are not used
    because they warn whenever the display turns to 3-D.
    """

    def __init__(self, image: Image) -> None:
        from napari.layers import Labels

        self._image = image
        self._color: tuple[float, ...] = ()
        self.layer: Labels = Labels(
            self._nothing(), name=f"{image.name} preview", opacity=_OPACITY, **placement(image)
        )
        self.layer.editable = False

    def show(
        self,
        plane: Plane,
        mask: NDArray[np.bool_],
        region: tuple[slice, slice],
        color: Sequence[float],
    ) -> None:
        """Show a mask.

        Parameters
        ----------
        plane : Plane
            The plane of the image's data that the mask lies in.
        mask : ndarray of shape (h, w), bool
            The mask.
        region : pair of slices
            Rows and columns of the plane that it covers.
        color : sequence of floats
            Red, green, blue and alpha, from 0 to 1: that of the label that it will be.
        """
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            self.hide()
            return
        crop = mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        start_rc = [(region[0].start or 0) + rows[0], (region[1].start or 0) + cols[0]]
        shape = np.ones(plane.ndim, dtype=int)
        shape[list(plane.axes)] = crop.shape
        self._paint(color)
        self._set(
            _outline(crop).reshape(shape),
            offset_translate(self._image, plane.lift([start_rc])[0]),
        )
        self.layer.opacity = _OPACITY

    def hide(self) -> None:
        """Show nothing."""
        if self.layer.data.any():
            self._set(self._nothing(), np.asarray(self._image.translate, dtype=float))

    def dim(self) -> None:
        """Show that the mask is about to be replaced."""
        self.layer.opacity = _OPACITY_WHILE_WAITING

    def _paint(self, color: Sequence[float]) -> None:
        from napari.utils.colormaps import DirectLabelColormap

        if tuple(color) != self._color:
            self._color = tuple(color)
            self.layer.colormap = DirectLabelColormap(
                color_dict={_HALO: "white", _LINE: np.asarray(color), None: "transparent"}
            )

    def _nothing(self) -> NDArray[np.uint8]:
        return np.zeros((1,) * self._image.ndim, dtype=np.uint8)

    def _set(self, data: NDArray[np.uint8], translate: NDArray[np.float64]) -> None:
        # Small data first at a wrong place would for a moment enlarge the extent of all layers,
        # and the sliders with it; nothing is drawn in between, so shrink, move, then fill.
        self.layer.data = self._nothing()
        self.layer.translate = translate
        self.layer.data = data


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Mark the pixels near the border of a mask: the first ring as halo, the next ones as line."""
    from scipy import ndimage

    within = np.pad(mask, 1)  # the rim of the crop is a border too
    first = ndimage.binary_erosion(within)
    inner = ndimage.binary_erosion(first, iterations=_LINE_PX)
    return np.where(first, _LINE * ~inner, _HALO * within).astype(np.uint8)[1:-1, 1:-1]
