"""Planes of an image as the engine gets them: where the pixels are, not yet the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.channels import PickedChannels, checked_picks
from napari_samhq.core.images import to_rgb8
from napari_samhq.errors import LayerError
from napari_samhq.inference.source import ImageSource
from napari_samhq.session.frames import layer_shape

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_samhq.core.planes import Plane

__all__ = ["Channels", "PlaneView", "pick_channels", "view_plane", "with_channels"]

#: Axis labels that say, whatever their case, that an axis holds channels.
_CHANNEL_LABELS = frozenset({"c", "ch", "channel", "channels"})


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


def pick_channels(
    image: Image, picks: int | Sequence[int] | None, axis: int | None = None
) -> Channels | None:
    """Find the channels that a caller means.

    Parameters
    ----------
    image : napari.layers.Image
        The layer.
    picks : int, sequence of one to three ints, or None
        The channels, counted from 0. None: the plane on the screen as it is.
    axis : int, optional
        The axis of the layer's data that holds the channels. When left out: the colour axis of an
        RGB layer, else the one axis that `image.axis_labels` calls "c", "ch" or "channel".

    Returns
    -------
    Channels or None

    Raises
    ------
    LayerError
        If nothing says which axis holds the channels. It is never guessed.
    ImageError
        If there is no such axis or channel.

    Examples
    --------
    >>> from napari.layers import Image
    >>> image = Image(np.zeros((4, 40, 60)), axis_labels=("c", "y", "x"))
    >>> pick_channels(image, (2, 0))
    Channels(axis=0, picks=(2, 0))
    """
    if picks is None:
        return None
    if axis is None:
        axis = _channel_axis(image)
    data = image.data[0] if image.multiscale else image.data
    if not -data.ndim <= axis < data.ndim:
        raise LayerError(
            f"The image {image.name!r} has no axis {axis}: its data have the shape "
            f"{tuple(data.shape)}."
        )
    axis %= data.ndim
    chosen = (picks,) if isinstance(picks, int | np.integer) else tuple(picks)
    return Channels(axis, checked_picks(chosen, int(data.shape[axis])))


def view_plane(
    image: Image, plane: Plane, generation: int = 0, channels: Channels | None = None
) -> PlaneView:
    """Describe a plane of an image layer.

    Parameters
    ----------
    image : napari.layers.Image
        The layer; of a multiscale one all levels.
    plane : Plane
        Where to cut.
    generation : int, optional
        Counts how often the layer got other data.
    channels : Channels, optional
        What the model is shown instead of the one plane; the index of the plane along their axis
        has no effect then.

    Returns
    -------
    PlaneView
        With the layer's contrast limits, for all channels alike, unless it is RGB.

    Raises
    ------
    LayerError
        If the plane lies along the channels.
    """
    levels = list(image.data) if image.multiscale else [image.data]
    low_high: tuple[float, float] | None = None
    if not image.rgb:
        low, high = image.contrast_limits
        low_high = (float(low), float(high))
    if channels is not None and channels.axis in plane.axes:
        raise LayerError(
            f"The display shows the axis {channels.axis} of {image.name!r}, which holds the "
            "channels. Roll the axes, or let the model see single planes: channels = None."
        )
    identity = (image.unique_id, generation, channels)
    shown = [with_channels(level, channels, low_high) for level in levels]
    return PlaneView(shown[0], plane, low_high, identity, channels, tuple(shown[1:]))


def with_channels(
    data: Any, channels: Channels | None, contrast_limits: tuple[float, float] | None
) -> Any:
    """Show channels of an image's data as colours; None leaves the data as they are."""
    if channels is None:
        return data
    black = _black(data.dtype, contrast_limits)
    return PickedChannels(data, channels.axis, channels.picks, black)


def _channel_axis(image: Image) -> int:
    if image.rgb:
        return int(image.ndim)
    named = [i for i, label in enumerate(image.axis_labels) if label.lower() in _CHANNEL_LABELS]
    if len(named) != 1:
        raise LayerError(
            f"Nothing says which axis of {image.name!r}, of shape {layer_shape(image)}, holds the "
            "channels. Name it, as in image.axis_labels = ('c', 'y', 'x'), or give its number."
        )
    return named[0]


def _black(dtype: Any, limits: tuple[float, float] | None) -> float:
    """Find a value of this type that is shown black."""
    low = 0.0 if limits is None else min(0.0, float(np.floor(limits[0])))
    return max(low, float(np.iinfo(dtype).min)) if np.dtype(dtype).kind in "iu" else low
