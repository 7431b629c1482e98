"""The preview: the mask being made, shown as a contour in a layer no larger than the mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.session.frames import offset_translate, placement

if TYPE_CHECKING:
    from napari.layers import Image, Labels
    from numpy.typing import NDArray

    from napari_samhq.session.plane import Plane

__all__ = ["Preview"]

_CONTOUR_PX = 2
_OPACITY, _OPACITY_WHILE_WAITING = 1.0, 0.45


class Preview:
    """A labels layer that shows one mask by its outline, in the colour that its label will have.

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
        self.layer: Labels = Labels(
            self._nothing(), name=f"{image.name} preview", opacity=_OPACITY, **placement(image)
        )
        self.layer.editable = False

    def show(
        self,
        plane: Plane,
        mask: NDArray[np.bool_],
        region: tuple[slice, slice],
        label_id: int,
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
        label_id : int
            What it will be; decides the colour.
        """
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            self.hide()
            return
        crop = mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        start_rc = [(region[0].start or 0) + rows[0], (region[1].start or 0) + cols[0]]
        shape = np.ones(plane.ndim, dtype=int)
        shape[list(plane.axes)] = crop.shape
        self._set(
            (_outline(crop) * np.int32(label_id)).reshape(shape),
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

    def _nothing(self) -> NDArray[np.int32]:
        return np.zeros((1,) * self._image.ndim, dtype=np.int32)

    def _set(self, data: NDArray[np.int32], translate: NDArray[np.float64]) -> None:
        # Small data first at a wrong place would for a moment enlarge the extent of all layers,
        # and the sliders with it; nothing is drawn in between, so shrink, move, then fill.
        self.layer.data = self._nothing()
        self.layer.translate = translate
        self.layer.data = data


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the pixels of a mask that lie near its border."""
    from scipy import ndimage

    inner: NDArray[np.bool_] = ndimage.binary_erosion(mask, iterations=_CONTOUR_PX)
    return mask & ~inner
