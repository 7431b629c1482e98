"""A plane of an image as the engine gets it: where the pixels are, and which channels are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.images.channels import PickedChannels
from napari_samhq.core.images.rgb8 import to_rgb8
from napari_samhq.inference.source import ImageSource

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from napari_samhq.core.geometry.planes import Plane

__all__ = ["Channels", "PlaneView", "with_channels"]


@dataclass(frozen=True)
class Channels:
    """Which channels of an image the model is shown.

    Attributes
    ----------
    axis : int
        The axis of the layer's data that holds them; of RGB layers the colour axis.
    picks : tuple of one to three ints
        One is seen as grey, two as red and green, three as red, green and blue.
    """

    axis: int
    picks: tuple[int, ...]


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
        Changes when the layer gets other data, or other channels are picked.
    channels : Channels or None
        The channels that `data` shows in place of the single planes of the layer.
    coarser : tuple of arrays
        The same at lower resolutions, where the layer has them.
    """

    data: Any
    plane: Plane
    contrast_limits: tuple[float, float] | None
    identity: Hashable
    channels: Channels | None = None
    coarser: tuple[Any, ...] = ()

    @property
    def seen(self) -> tuple[tuple[str, Any], ...]:
        """Tell how the pixels are shown to the model, as names and plain values."""
        pairs: list[tuple[str, Any]] = [("contrast_limits", self.contrast_limits)]
        if self.channels is not None:
            pairs += [("channel_axis", self.channels.axis), ("channels", self.channels.picks)]
        return tuple(pairs)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        rows, cols = self.plane.axes
        return int(self.data.shape[rows]), int(self.data.shape[cols])

    def source(self) -> ImageSource:
        """Describe the plane as an image of any size, of which windows are read."""
        return ImageSource.of(
            [self.data, *self.coarser], plane=self.plane, contrast_limits=self.contrast_limits
        )

    def read(self, region: tuple[slice, slice] | None = None) -> NDArray[Any]:
        """Read the pixels of the plane or a region of it, shape (H, W) or (H, W, C)."""
        return np.asarray(self.data[self.plane.index(region)])

    def read_rgb8(self, region: tuple[slice, slice] | None = None) -> NDArray[np.uint8]:
        """Read pixels as the model sees them before it resizes them, shape (H, W, 3)."""
        return to_rgb8(self.read(region), contrast_limits=self.contrast_limits)


def with_channels(
    data: Any, channels: Channels | None, contrast_limits: tuple[float, float] | None
) -> Any:
    """Show channels of an image's data as colours; None leaves the data as they are."""
    if channels is None:
        return data
    black = _black(data.dtype, contrast_limits)
    return PickedChannels(data, channels.axis, channels.picks, black)


def _black(dtype: Any, limits: tuple[float, float] | None) -> float:
    """Find a value of this type that is shown black."""
    low = 0.0 if limits is None else min(0.0, float(np.floor(limits[0])))
    return max(low, float(np.iinfo(dtype).min)) if np.dtype(dtype).kind in "iu" else low
