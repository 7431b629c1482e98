"""Mouse tool of the image: its mode, and the label of the points it adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.ui.panels import TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.components import ViewerModel

    from napari_samhq.session import Session

__all__ = ["AcceptOnClick", "take_tool", "tool_in_hand"]

_DRAG_PX = 5  # napari's own border between a click and a drag


def tool_in_hand(viewer: ViewerModel, session: Session) -> str | None:
    """Tell what a click in the image would do now; None where napari does something else."""
    active = viewer.layers.selection.active
    for tool in TOOLS:
        layer = getattr(session, tool.layer)
        if active is not None and active.unique_id == layer.unique_id and layer.mode == tool.mode:
            return tool.name
    return None


def take_tool(viewer: ViewerModel, session: Session, name: str) -> None:
    """Make the next click or drag prompt with a tool: right layer, right mode, seen."""
    session.show_layers()
    tool = next(tool for tool in TOOLS if tool.name == name)
    layer = getattr(session, tool.layer)
    layer.visible = True
    viewer.layers.selection.active = layer
    layer.mode = tool.mode


class AcceptOnClick:
    """Accepts the mask that is shown when the next object is clicked, where the user wants that.

    Parameters
    ----------
    session : Session
        The session.
    wanted : callable
        Tells whether the user wants it.
    accept : callable
        Accepts the object being made.
    """

    def __init__(
        self, session: Session, wanted: Callable[[], bool], accept: Callable[[], None]
    ) -> None:
        self._session, self._wanted, self._accept = session, wanted, accept
        # First of all callbacks: the point itself is added by napari when the button is let go.
        session.points.mouse_drag_callbacks.insert(0, self._clicked)

    def close(self) -> None:
        """Leave the layer alone."""
        callbacks = self._session.points.mouse_drag_callbacks
        if self._clicked in callbacks:
            callbacks.remove(self._clicked)

    def _clicked(self, layer: Any, event: Any) -> Iterator[None]:
        start = np.array(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        clicked = np.linalg.norm(np.array(event.pos) - start) < _DRAG_PX
        positive = self._session.prompts.positive and "Shift" not in event.modifiers
        if clicked and positive and layer.mode == "add" and self._wanted():
            position = layer.world_to_data(event.position)
            if not self._in_mask(np.asarray(position)):
                self._accept()

    def _in_mask(self, position: np.ndarray[Any, Any]) -> bool:
        """Whether a position of the points layer lies in the mask; true where there is none."""
        from napari_samhq.session.layers.transforms import to_layer

        session = self._session
        chosen = [one for one in session.candidates if one.chosen]
        if not chosen:
            return True
        in_image = to_layer(position[np.newaxis], session.points, session.image)
        row, col = np.round(session.plane.flatten(in_image)[0]).astype(int)
        return bool(chosen[0].cropped.within((1, 1), (int(row), int(col)))[0, 0])
