"""Views of the planes of an image layer: which plane, channels and contrast the model is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.images.channels import checked_picks
from napari_samhq.engine.plane_view import Channels, PlaneView, with_channels
from napari_samhq.errors import LayerError
from napari_samhq.session.layers.transforms import layer_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image

    from napari_samhq.core.geometry.planes import Plane

__all__ = ["pick_channels", "view_plane"]

#: Axis labels that say, whatever their case, that an axis holds channels.
_CHANNEL_LABELS = frozenset({"c", "ch", "channel", "channels"})


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
