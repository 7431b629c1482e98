"""Planes of an image as the engine gets them: where the pixels are, not yet the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_samhq.session.plane import Plane

__all__ = ["PlaneView", "view_plane"]

# Above this a whole plane cannot be looked at in one piece, neither in time nor in memory.
_MOST_PIXELS = 100_000_000


@dataclass(frozen=True, eq=False)
class PlaneView:
    """A plane of an image, not read yet.

    Attributes
    ----------
    data : array
        The layer's data: numpy, zarr or dask, with a colour axis last where the image is RGB.
    plane : Plane
        Where to cut.
    contrast_limits : tuple of two floats, or None
        The values that are shown black and white; None for RGB.
    identity : hashable
        Changes when the layer gets other data.
    """

    data: Any
    plane: Plane
    contrast_limits: tuple[float, float] | None
    identity: Hashable

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        rows, cols = self.plane.axes
        return int(self.data.shape[rows]), int(self.data.shape[cols])

    def read(self, region: tuple[slice, slice] | None = None) -> NDArray[Any]:
        """Read the pixels of the plane or a region of it, shape (H, W) or (H, W, C)."""
        return np.asarray(self.data[self.plane.index(region)])


def view_plane(image: Image, plane: Plane, generation: int = 0) -> PlaneView:
    """Describe a plane of an image layer.

    Parameters
    ----------
    image : napari.layers.Image
        The layer. A multiscale one is taken at full resolution.
    plane : Plane
        Where to cut.
    generation : int, optional
        Counts how often the layer got other data.

    Returns
    -------
    PlaneView
        With the layer's contrast limits, unless it is RGB.

    Raises
    ------
    LayerError
        If the plane is too large to be looked at in one piece.
    """
    data = image.data[0] if image.multiscale else image.data
    low_high: tuple[float, float] | None = None
    if not image.rgb:
        low, high = image.contrast_limits
        low_high = (float(low), float(high))
    view = PlaneView(data, plane, low_high, (image.unique_id, generation))
    rows, cols = view.shape
    if rows * cols > _MOST_PIXELS:
        raise LayerError(
            f"This plane of {image.name!r} has {rows} x {cols} pixels; up to "
            f"{_MOST_PIXELS // 10**6} megapixels can be worked on. Crop the image, or add a "
            "smaller copy of it."
        )
    return view
