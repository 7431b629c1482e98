"""Choose which channels of the image the model is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_samhq.session.layers.image_view import pick_channels
from napari_samhq.session.parts import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_samhq.engine.plane_view import Channels

__all__ = ["Looking"]


class Looking(Part):
    """Chooses what the model sees of the plane on the screen.

    Notes
    -----
    The model sees the full resolution, and as black and white the contrast limits of the layer;
    colour pictures as they are. Gamma, colormap and opacity are for people only.
    """

    @property
    def channels(self) -> tuple[int, ...] | None:
        """The channels that the model sees, counted from 0; None for the plane on the screen.

        Set it to one, two or three channels: one is seen as grey, two as red and green, three as
        red, green and blue. Their axis is the colour axis of an RGB layer, or the one that the
        image's `axis_labels` call "c", "ch" or "channel", or :attr:`channel_axis`. Wherever the
        slider of this axis stands the model sees the same, while objects go into the plane that is
        on the screen.

        Raises
        ------
        LayerError
            If nothing says which axis holds the channels. It is never guessed.
        ImageError
            If there is no such channel.
        """
        picked = self._masks.channels
        return None if picked is None else picked.picks

    @channels.setter
    def channels(self, channels: int | Sequence[int] | None) -> None:
        self._look_at(pick_channels(self.image, channels, self.channel_axis))

    @property
    def channel_axis(self) -> int | None:
        """The axis of the image's data that holds the channels; None as long as none was named."""
        return self._masks.channel_axis

    @channel_axis.setter
    def channel_axis(self, axis: int | None) -> None:
        picked = pick_channels(self.image, self.channels, axis)
        if axis is not None:
            pick_channels(self.image, 0, axis)  # refuses an axis that is not there
        self._masks.channel_axis = axis
        self._look_at(picked)

    def seen_by_model(self) -> NDArray[np.uint8]:
        """Show the plane on the screen as the model sees it, before it is resized.

        Returns
        -------
        ndarray of shape (H, W, 3), uint8

        Raises
        ------
        LayerError
            If there is no plane to look at, as in a 3-D display.
        ImageError
            If the pixels are nothing to look at, such as complex numbers.
        """
        return self._masks.view(self.controller.plane()).read_rgb8()

    def _look_at(self, channels: Channels | None) -> None:
        if channels != self._masks.channels:
            self._masks.look_at(channels)
            self.controller.turn()
