"""Boxes and outlines drawn as thin at any zoom as they are at first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import LayerError
from napari_samhq.session.layers.current_plane import viewer_to_layer_factors
from napari_samhq.session.layers.transforms import layer_transform

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Shapes

__all__ = ["LineWidth"]

_ON_SCREEN_PX = 2.0
_UNSEEN_RATIO = 1.3  # drawing all lines anew for less than this is not worth it


class LineWidth:
    """Keeps the lines of a Shapes layer as wide on the screen as they are, whatever the zoom.

    napari measures them in pixels of the layer. Where a nucleus fills the screen, a line of one
    such pixel hides its border; where a whole slide does, nobody sees it.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
        Whose zoom counts.
    shapes : napari.layers.Shapes
        The layer. Who sets another width of its lines keeps it: only its ratio to the zoom counts.
    """

    def __init__(self, viewer: ViewerModel, shapes: Shapes) -> None:
        self._viewer, self._shapes = viewer, shapes
        self._pixel = _pixel_on_screen(viewer, shapes)
        if self._pixel is not None:
            self._scale(_ON_SCREEN_PX / self._pixel / shapes.current_edge_width)
        viewer.scene.camera.events.zoom.connect(self._on_zoom)

    def close(self) -> None:
        """Leave the lines as they are from now on."""
        self._viewer.scene.camera.events.zoom.disconnect(self._on_zoom)

    def _on_zoom(self, _event: Any = None) -> None:
        now = _pixel_on_screen(self._viewer, self._shapes)
        if now is None:
            return
        if self._pixel is None:
            self._pixel = now
        ratio = self._pixel / now
        if not 1 / _UNSEEN_RATIO < ratio < _UNSEEN_RATIO:
            self._pixel = now
            self._scale(ratio)

    def _scale(self, ratio: float) -> None:
        shapes = self._shapes
        if len(shapes.data):
            shapes.edge_width = [width * ratio for width in shapes.edge_width]
        shapes.current_edge_width = shapes.current_edge_width * ratio


def _pixel_on_screen(viewer: ViewerModel, layer: Shapes) -> float | None:
    """Tell the size of a layer's pixel on the screen; None where it lies nowhere."""
    surplus = viewer.dims.ndim - layer.ndim
    axes = [axis - surplus for axis in viewer.dims.displayed[-2:]]
    if surplus < 0 or min(axes) < 0:
        return None
    try:
        matrix = layer_transform(layer).matrix[:-1, :-1]
        matrix = matrix / viewer_to_layer_factors(viewer, layer)[:, np.newaxis]
    except LayerError:
        return None
    area = abs(float(np.linalg.det(matrix[np.ix_(axes, axes)])))
    size = math.sqrt(area) * float(viewer.scene.camera.zoom)
    return size if 0 < size < math.inf else None
