"""The Points and Shapes layers in which the user draws, read and written as plain values."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.journal.assign import Mark
from napari_samhq.core.journal.shapes_drawn import DrawnPoint, DrawnShape
from napari_samhq.errors import SamHQWarning
from napari_samhq.session.layers.prompt_positions import Positions
from napari_samhq.session.layers.transforms import layer_shape, placement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from napari.layers import Image, Points, Shapes
    from numpy.typing import ArrayLike, NDArray

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.drafts import Draft, Drafts
    from napari_samhq.session.layers.prompt_positions import Place

__all__ = ["BACKGROUND_COLOR", "OBJECT_COLOR", "PromptLayers", "new_points", "new_shapes"]

#: Bluish green and vermilion of Okabe and Ito: colour-blind people tell them apart.
OBJECT_COLOR, BACKGROUND_COLOR = "#009E73", "#D55E00"
_POLARITY, _OBJECT = "polarity", "object"
_POSITIVE, _NEGATIVE = "object", "background"
_SYMBOLS = {True: "disc", False: "cross"}
_BORDER = {True: 0.15, False: 0.05}  # of the size; a cross has thin arms
_DIM = 0.4  # how opaque the prompts of objects are that wait
_DONE = frozenset({"added", "changed", "removed"})
_TEXT = {"string": "{object}", "size": 9, "color": "white", "anchor": "upper_left"}


def new_points(image: Image) -> Points:
    """Make the layer for points: on the object and beside it, in two colours and two symbols."""
    import pandas as pd
    from napari.layers import Points

    polarity = pd.Categorical([], categories=[_POSITIVE, _NEGATIVE])
    points = Points(
        np.zeros((0, image.ndim)),
        ndim=image.ndim,
        name=f"{image.name} points",
        features=pd.DataFrame({_POLARITY: polarity, _OBJECT: np.zeros(0, dtype=np.int64)}),
        feature_defaults=pd.DataFrame({_POLARITY: [_POSITIVE], _OBJECT: [0]}),
        face_color=OBJECT_COLOR,
        border_color="white",
        border_width=_BORDER[True],
        symbol=_SYMBOLS[True],
        size=_point_size(image),
        canvas_size_limits=(9, 15),  # as large on the screen at any zoom
        text=_TEXT,
        **placement(image),
    )
    points.text.visible = False
    return points


def new_shapes(image: Image) -> Shapes:
    """Make the layer for boxes and other shapes."""
    import pandas as pd
    from napari.layers import Shapes

    shapes = Shapes(
        ndim=image.ndim,
        name=f"{image.name} boxes",
        features=pd.DataFrame({_OBJECT: np.zeros(0, dtype=np.int64)}),
        feature_defaults=pd.DataFrame({_OBJECT: [0]}),
        face_color="transparent",
        edge_color=OBJECT_COLOR,
        text=_TEXT,
        **placement(image),
    )
    shapes.text.visible = False
    return shapes


class PromptLayers:
    """Two layers, and what is drawn in them plane by plane.

    The column `object` of both layers' features holds the label id that a point or shape belongs
    to, the column `polarity` whether a point lies on the object.

    Parameters
    ----------
    image : napari.layers.Image
        The image that is prompted. What is drawn is told in its pixels, wherever the layers lie.
    points, shapes : napari layers
        Where the user draws.
    on_change : callable
        Called with no argument after the user (or a script) changed one of the layers.
    color_of : callable
        Tells the colour of a label id: red, green, blue and alpha, from 0 to 1.

    Attributes
    ----------
    positive : bool
        Whether the next point lies on the object.
    """

    def __init__(
        self,
        image: Image,
        points: Points,
        shapes: Shapes,
        on_change: Callable[[], None],
        color_of: Callable[[int], Sequence[float]],
    ) -> None:
        self.points, self.shapes = points, shapes
        self.positive = True
        self._image = image
        self._on_change, self._color_of = on_change, color_of
        self._silent = False
        self._flipped = False  # the modifier key was held at the last press
        self._added = False  # a point, a moment ago
        self._told: tuple[list[bool], list[int]] = ([], [])  # the features that are known already
        self._known_shapes = 0
        self._of_points, self._of_shapes = Positions(points, image), Positions(shapes, image)
        points.events.data.connect(self._points_changed)
        points.events.features.connect(self._features_changed)
        points.mouse_drag_callbacks.append(self._note_modifier)
        shapes.events.data.connect(self._shapes_changed)

    def disconnect(self) -> None:
        """Leave the layers alone from now on."""
        self.points.events.data.disconnect(self._points_changed)
        self.points.events.features.disconnect(self._features_changed)
        self.shapes.events.data.disconnect(self._shapes_changed)
        if self._note_modifier in self.points.mouse_drag_callbacks:
            self.points.mouse_drag_callbacks.remove(self._note_modifier)

    def read(self, orientation: Plane) -> dict[Plane, list[Mark]]:
        """Collect what is drawn, for each plane parallel to `orientation` that has something."""
        marks: dict[Plane, list[Mark]] = {}
        owners = zip(self._polarities(), _objects(self.points), strict=True)
        points = self._of_points.read([row[np.newaxis] for row in self.points.data], orientation)
        for place, (positive, label_id) in zip(points, owners, strict=True):
            if place is not None:
                plane, ((row, col),) = place
                mark = Mark(DrawnPoint(row, col, bool(positive)), int(label_id))
                marks.setdefault(plane, []).append(mark)
        shapes = self._of_shapes.read(self.shapes.data, orientation)
        kinds = zip(self.shapes.shape_type, _objects(self.shapes), strict=True)
        for place, (kind, label_id) in zip(shapes, kinds, strict=True):
            shape = _readable_shape(kind, np.array(place[1])) if place is not None else None
            if place is not None and shape is not None and not shape.empty:
                marks.setdefault(place[0], []).append(Mark(shape, int(label_id)))
        return marks

    def write(self, drafts: Mapping[Plane, Drafts]) -> None:
        """Show exactly these objects' prompts in the two layers, without telling of a change."""
        entries = [
            (plane, draft, draft.label_id == together.active)
            for plane, together in drafts.items()
            for draft in together
        ]
        with self._silence():
            self._write_points(entries)
            self._write_shapes(entries)
            several = len(entries) > 1
            for layer in (self.points, self.shapes):
                if layer.text.visible != several:
                    layer.text.visible = several

    def _write_points(self, entries: list[tuple[Plane, Draft, bool]]) -> None:
        places: list[Place] = []
        owners: list[int] = []
        polarities: list[bool] = []
        opacities: list[float] = []
        for plane, draft, active in entries:
            drawn = draft.drawn.points
            places.extend((plane, ((point.row, point.col),)) for point in drawn)
            owners.extend([draft.label_id] * len(drawn))
            polarities.extend(p.positive for p in drawn)
            opacities.extend([1.0 if active else _DIM] * len(drawn))
        data = np.array(self._of_points.write(places)).reshape(-1, self.points.ndim)
        self.points.selected_data = set()
        if len(data) != len(self.points.data) or not np.array_equal(data, self.points.data):
            self.points.data = data
        self._of_points.written(places, [row[np.newaxis] for row in self.points.data])
        self._set_features(np.array(polarities, dtype=bool), owners)
        faces = np.array([_rgba(OBJECT_COLOR if one else BACKGROUND_COLOR) for one in polarities])
        self._set_colors(faces, self._colors(owners), opacities)

    def _write_shapes(self, entries: list[tuple[Plane, Draft, bool]]) -> None:
        drawn = [(plane, shape) for plane, draft, _ in entries for shape in draft.drawn.shapes]
        places = [(plane, shape.vertices) for plane, shape in drawn]
        kinds = [shape.kind for _, shape in drawn]
        shapes = list(zip(self._of_shapes.write(places), kinds, strict=True))
        owners = [draft.label_id for _, draft, _ in entries for _ in draft.drawn.shapes]
        alphas = [1.0 if on else _DIM for _, draft, on in entries for _ in draft.drawn.shapes]
        kept = 0
        gone = set()
        for index, present in enumerate(zip(self.shapes.data, self.shapes.shape_type, strict=True)):
            if kept < len(shapes) and _same_shape(present, shapes[kept]):
                kept += 1
            else:
                gone.add(index)
        if gone:
            self.shapes.selected_data = gone
            self.shapes.remove_selected()
        if len(shapes) > kept:
            self.shapes.add([s[0] for s in shapes[kept:]], shape_type=[s[1] for s in shapes[kept:]])
        if gone or len(shapes) > kept:
            self.shapes.selected_data = set()
        if not np.array_equal(_objects(self.shapes), owners):
            _set_features(self.shapes, {_OBJECT: owners})
        colors = self._colors(owners)
        colors[:, 3] = alphas
        if len(colors) and not np.allclose(self.shapes.edge_color, colors):
            self.shapes.edge_color = colors
        self._known_shapes = len(shapes)
        self._of_shapes.written(places, self.shapes.data)

    def _colors(self, label_ids: list[int]) -> NDArray[np.float64]:
        known = {label_id: self._color_of(label_id) for label_id in set(label_ids)}
        return np.array([known[label_id] for label_id in label_ids], dtype=float).reshape(-1, 4)

    def _polarities(self) -> Any:
        if _POLARITY not in self.points.features:
            return np.ones(len(self.points.data), dtype=bool)
        return np.array(_fitting(self.points)[_POLARITY] != _NEGATIVE, dtype=bool)

    def _set_features(self, positive: Any, owners: ArrayLike) -> None:
        # Setting any of them costs a redraw of all points, so only what differs.
        symbols = [_SYMBOLS[bool(value)] for value in positive]
        with self._silence():
            known = np.array_equal(positive, self._polarities())
            if not known or not np.array_equal(owners, _objects(self.points)):
                polarities = np.where(positive, _POSITIVE, _NEGATIVE)
                _set_features(self.points, {_POLARITY: polarities, _OBJECT: owners})
            if symbols != [str(symbol) for symbol in self.points.symbol]:
                self.points.symbol = symbols
                self.points.border_width = [_BORDER[bool(value)] for value in positive]
        self._told = self._features()

    def _features(self) -> tuple[list[bool], list[int]]:
        return self._polarities().tolist(), _objects(self.points).tolist()

    def _set_colors(self, faces: Any, borders: Any, opacities: list[float]) -> None:
        if not opacities:
            return
        faces[:, 3] = borders[:, 3] = opacities
        if not np.allclose(self.points.face_color, faces):
            self.points.face_color = faces
        if not np.allclose(self.points.border_color, borders):
            self.points.border_color = borders

    def _note_modifier(self, _layer: Any, event: Any) -> None:
        self._flipped = "Shift" in event.modifiers

    def _points_changed(self, event: Any) -> None:
        if self._silent or _action(event) not in _DONE:
            return
        if _action(event) == "added":
            positive, owners = self._polarities(), _objects(self.points)
            new = [int(index) for index in event.data_indices]
            positive[new] = self.positive != self._flipped
            owners[new] = 0  # napari gave it the object of the point that was selected last
            self._flipped = False
            self._set_features(positive, owners)
            self._added = self.points.mode == "add"
        self._told = self._features()
        self._on_change()

    def _features_changed(self, _event: Any) -> None:
        if self._silent:
            return
        if self._added:  # napari selects new points now, and then paints over their colour
            self._added = False
            self.points.selected_data = set()
        if self._told != self._features():
            self._told = self._features()
            self._on_change()

    def _shapes_changed(self, event: Any) -> None:
        if self._silent or _action(event) not in _DONE:
            return
        if _action(event) == "added" and len(self.shapes.data):
            owners = _objects(self.shapes)
            if owners[self._known_shapes :].any():  # napari gave them that of a selected shape
                owners[self._known_shapes :] = 0
                with self._silence():
                    _set_features(self.shapes, {_OBJECT: owners})
        self._on_change()

    @contextmanager
    def _silence(self) -> Iterator[None]:
        before, self._silent = self._silent, True
        try:
            yield
        finally:
            self._silent = before


def _objects(layer: Any) -> NDArray[np.int64]:
    """Tell which object each point or shape belongs to; 0 for none."""
    if _OBJECT not in layer.features:
        return np.zeros(len(layer.data), dtype=np.int64)
    return np.array(_fitting(layer)[_OBJECT].fillna(0), dtype=np.int64)


def _fitting(layer: Any) -> Any:
    """Get features with a row for each datum: napari keeps rows of shapes when all are taken."""
    features, count = layer.features, len(layer.data)
    return features if len(features) == count else features.reindex(range(count))


def _set_features(layer: Any, columns: dict[str, Any]) -> None:
    layer.features = _fitting(layer).assign(
        **{
            name: np.array(values, dtype=np.int64) if name == _OBJECT else values
            for name, values in columns.items()
        }
    )


def _readable_shape(kind: str, vertices_rc: NDArray[np.float64]) -> DrawnShape | None:
    """Take over a shape from a layer; None, with a warning, where it has no usable vertex."""
    finite = np.isfinite(vertices_rc).all(axis=1)
    if not finite.all():
        warnings.warn(
            f"{np.sum(~finite)} vertices of a {kind} left out: NaN or infinite.",
            SamHQWarning,
            stacklevel=2,
        )
    vertices = tuple((float(row), float(col)) for row, col in vertices_rc[finite])
    return DrawnShape(kind, vertices) if len(vertices) > 1 else None


def _same_shape(one: tuple[Any, str], other: tuple[Any, str]) -> bool:
    return one[1] == other[1] and np.array_equal(one[0], other[0])


def _rgba(color: str) -> tuple[float, ...]:
    return (*(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)), 1.0)


def _action(event: Any) -> str:
    return str(getattr(event, "action", "changed"))


def _point_size(image: Image) -> float:
    return float(np.clip(max(layer_shape(image)[-2:]) / 60, 2, 200))
