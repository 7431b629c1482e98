"""The Points and Shapes layers in which the user draws, read and written as plain values."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.session.frames import placement, to_layer
from napari_samhq.session.prompting import Drawn, DrawnPoint, readable_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from napari.layers import Image, Points, Shapes

    from napari_samhq.session.plane import Plane

__all__ = ["BACKGROUND_COLOR", "OBJECT_COLOR", "PromptLayers", "new_points", "new_shapes"]

#: Bluish green and vermilion of Okabe and Ito: colour-blind people tell them apart.
OBJECT_COLOR, BACKGROUND_COLOR = "#009E73", "#D55E00"
_POLARITY = "polarity"
_POSITIVE, _NEGATIVE = "object", "background"
_SYMBOLS = {True: "disc", False: "cross"}
_DONE = frozenset({"added", "changed", "removed"})


def new_points(image: Image) -> Points:
    """Make the layer for points: on the object and beside it, in two colours and two symbols."""
    import pandas as pd
    from napari.layers import Points

    polarity = pd.Categorical([], categories=[_POSITIVE, _NEGATIVE])
    return Points(
        np.zeros((0, image.ndim)),
        ndim=image.ndim,
        name=f"{image.name} points",
        features=pd.DataFrame({_POLARITY: polarity}),
        feature_defaults=pd.DataFrame({_POLARITY: [_POSITIVE]}),
        face_color=_POLARITY,
        face_color_cycle={_POSITIVE: OBJECT_COLOR, _NEGATIVE: BACKGROUND_COLOR},
        border_color="white",
        border_width=0.12,
        symbol=_SYMBOLS[True],
        size=_point_size(image),
        canvas_size_limits=(9, 15),  # as large on the screen at any zoom
        **placement(image),
    )


def new_shapes(image: Image) -> Shapes:
    """Make the layer for boxes and other shapes."""
    from napari.layers import Shapes

    return Shapes(
        ndim=image.ndim,
        name=f"{image.name} boxes",
        face_color="transparent",
        edge_color=OBJECT_COLOR,
        edge_width=max(1.0, _point_size(image) / 6),
        **placement(image),
    )


class PromptLayers:
    """Two layers, and what is drawn in them plane by plane.

    Parameters
    ----------
    image : napari.layers.Image
        The image that is prompted. What is drawn is told in its pixels, wherever the layers lie.
    points, shapes : napari layers
        Where the user draws.
    on_change : callable
        Called with no argument after the user (or a script) changed one of the layers.

    Attributes
    ----------
    positive : bool
        Whether the next point lies on the object.
    """

    def __init__(
        self, image: Image, points: Points, shapes: Shapes, on_change: Callable[[], None]
    ) -> None:
        self.points, self.shapes = points, shapes
        self.positive = True
        self._image = image
        self._on_change = on_change
        self._silent = False
        self._flipped = False  # the modifier key was held at the last press
        self._told: Any = np.zeros(0, dtype=bool)  # the polarities that `on_change` was about
        points.events.data.connect(self._points_changed)
        points.events.features.connect(self._polarity_changed)
        points.mouse_drag_callbacks.append(self._note_modifier)
        shapes.events.data.connect(self._shapes_changed)

    def disconnect(self) -> None:
        """Leave the layers alone from now on."""
        self.points.events.data.disconnect(self._points_changed)
        self.points.events.features.disconnect(self._polarity_changed)
        self.shapes.events.data.disconnect(self._shapes_changed)
        if self._note_modifier in self.points.mouse_drag_callbacks:
            self.points.mouse_drag_callbacks.remove(self._note_modifier)

    def read(self, orientation: Plane) -> dict[Plane, Drawn]:
        """Collect what is drawn, for each plane parallel to `orientation` that has something."""
        drawn: dict[Plane, Drawn] = {}
        positions = to_layer(self.points.data, self.points, self._image)
        for position, positive in zip(positions, self._polarities(), strict=True):
            if np.isfinite(position).all():
                plane = orientation.at(position[list(orientation.other_axes)])
                row, col = (float(value) for value in position[list(orientation.axes)])
                before = drawn.get(plane, Drawn())
                added = DrawnPoint(row, col, bool(positive))
                drawn[plane] = Drawn((*before.points, added), before.shapes)
        for kind, vertices in zip(self.shapes.shape_type, self.shapes.data, strict=True):
            positions = to_layer(vertices, self.shapes, self._image)
            shape = readable_shape(kind, orientation.flatten(positions))
            if shape is not None and not shape.empty:
                depth = np.nanmean(positions[:, list(orientation.other_axes)], axis=0)
                plane = orientation.at(depth)
                before = drawn.get(plane, Drawn())
                drawn[plane] = Drawn(before.points, (*before.shapes, shape))
        return drawn

    def write(self, drawn: Mapping[Plane, Drawn]) -> None:
        """Show exactly this in the two layers, without telling of a change."""
        with self._silence():
            self._write_points(drawn)
            self._write_shapes(drawn)

    def _write_points(self, drawn: Mapping[Plane, Drawn]) -> None:
        positions: list[Any] = []
        polarities: list[bool] = []
        for plane, one in drawn.items():
            positions.extend(plane.lift([[p.row, p.col] for p in one.points]))
            polarities.extend(p.positive for p in one.points)
        data = np.array(positions, dtype=float).reshape(-1, self._image.ndim)
        data = to_layer(data, self._image, self.points)
        self.points.selected_data = set()
        if len(data) != len(self.points.data) or not np.array_equal(data, self.points.data):
            self.points.data = data
        self._set_polarities(np.array(polarities, dtype=bool))

    def _write_shapes(self, drawn: Mapping[Plane, Drawn]) -> None:
        shapes = [
            (to_layer(plane.lift(shape.vertices), self._image, self.shapes), shape.kind)
            for plane, one in drawn.items()
            for shape in one.shapes
        ]
        present = list(zip(self.shapes.data, self.shapes.shape_type, strict=True))
        if len(shapes) == len(present) and all(
            a[1] == b[1] and np.array_equal(a[0], b[0])
            for a, b in zip(shapes, present, strict=True)
        ):
            return
        self.shapes.selected_data = set()
        self.shapes.data = []
        if shapes:
            self.shapes.add([s[0] for s in shapes], shape_type=[s[1] for s in shapes])
        self.shapes.selected_data = set()

    def _polarities(self) -> Any:
        features = self.points.features
        if _POLARITY not in features:
            return np.ones(len(self.points.data), dtype=bool)
        return np.array(features[_POLARITY] != _NEGATIVE, dtype=bool)

    def _set_polarities(self, positive: Any) -> None:
        # Setting either costs a redraw of all points, so only what differs.
        symbols = [_SYMBOLS[bool(value)] for value in positive]
        with self._silence():
            if not np.array_equal(positive, self._polarities()):
                features = self.points.features.copy()
                features[_POLARITY] = np.where(positive, _POSITIVE, _NEGATIVE)
                self.points.features = features
            if symbols != [str(symbol) for symbol in self.points.symbol]:
                self.points.symbol = symbols
        self._told = np.array(positive)

    def _note_modifier(self, _layer: Any, event: Any) -> None:
        self._flipped = "Shift" in event.modifiers

    def _points_changed(self, event: Any) -> None:
        if self._silent or _action(event) not in _DONE:
            return
        if _action(event) == "added":
            positive = self._polarities()
            new = [int(index) for index in event.data_indices]
            positive[new] = self.positive != self._flipped
            self._flipped = False
            self._set_polarities(positive)
        self._told = self._polarities()
        self._on_change()

    def _polarity_changed(self, _event: Any) -> None:
        positive = self._polarities()
        if not self._silent and not np.array_equal(positive, self._told):
            self._set_polarities(positive)
            self._on_change()

    def _shapes_changed(self, event: Any) -> None:
        if not self._silent and _action(event) in _DONE:
            self._on_change()

    @contextmanager
    def _silence(self) -> Iterator[None]:
        before, self._silent = self._silent, True
        try:
            yield
        finally:
            self._silent = before


def _action(event: Any) -> str:
    return str(getattr(event, "action", "changed"))


def _point_size(image: Image) -> float:
    from napari_samhq.session.frames import layer_shape

    return float(np.clip(max(layer_shape(image)[-2:]) / 60, 2, 200))
