"""Viewer events that a session listens to, connected and disconnected in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import LayerError
from napari_samhq.session.layers.current_plane import current_plane
from napari_samhq.session.layers.transforms import layer_transform, placement

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_samhq.core.geometry.planes import Plane

__all__ = ["Watch", "ensure_in", "follow", "is_in"]

_PLACING = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


class Watch:
    """Calls back when the viewer moves to another plane, or something happens to the layers.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
        What to listen to.
    image : napari.layers.Image
        The image of the session.
    moved : callable
        Called after another plane, or another kind of display, is shown.
    image_changed : callable
        Called after the image got other data.
    placed : callable
        Called after the image's transform changed.
    removed : callable
        Called with each layer that was removed.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        *,
        moved: Callable[[], None],
        image_changed: Callable[[], None],
        placed: Callable[[], None],
        removed: Callable[[Layer], None],
    ) -> None:
        self._moved, self._image_changed = moved, image_changed
        self._placed, self._removed = placed, removed
        self._viewer, self._image = viewer, image
        self._last = self._place()
        dims, events = viewer.dims.events, image.events
        self._connections: list[tuple[Any, Callable[[Any], None]]] = [
            (dims.current_step, self._on_move),
            (dims.order, self._on_move),
            (dims.ndisplay, self._on_move),
            (events.data, self._on_data),
            (viewer.layers.events.removed, self._on_removed),
            *((getattr(events, name), self._on_placed) for name in _PLACING),
        ]
        for event, callback in self._connections:
            event.connect(callback)

    def close(self) -> None:
        """Stop listening."""
        for event, callback in self._connections:
            event.disconnect(callback)
        self._connections.clear()

    def _on_move(self, _event: Any) -> None:
        # napari tells of moves also when a point that is just being added, and that no one has
        # taken over yet, makes the world larger. Whoever rewrote the layer then would lose it.
        place = self._place()
        if place != self._last:
            self._last = place
            self._moved()

    def _place(self) -> Plane | str:
        """Name what is looked at: a plane, or why there is none."""
        try:
            return current_plane(self._viewer, self._image)
        except LayerError as error:
            return str(error)

    def _on_data(self, _event: Any) -> None:
        self._image_changed()

    def _on_placed(self, _event: Any) -> None:
        self._placed()

    def _on_removed(self, event: Any) -> None:
        self._removed(event.value)


def is_in(viewer: ViewerModel, layer: Layer) -> bool:
    """Whether a viewer has this very layer, whatever its name is."""
    return any(one.unique_id == layer.unique_id for one in viewer.layers)


def ensure_in(viewer: ViewerModel, layer: Layer) -> None:
    """Put a layer (back) into a viewer, keeping the selection as it is."""
    if not is_in(viewer, layer):
        active = viewer.layers.selection.active
        viewer.add_layer(layer)
        viewer.layers.selection.active = active


def follow(image: Image, layers: list[Layer]) -> None:
    """Move layers to where the image is now.

    Raises
    ------
    LayerError
        If the image's transform cannot be used. No layer is moved then.
    """
    layer_transform(image)
    place = placement(image)
    for layer in layers:
        present = placement(layer)
        for field, value in place.items():  # each change makes napari measure all layers anew
            if not np.array_equal(value, present[field]):
                setattr(layer, field, value)
