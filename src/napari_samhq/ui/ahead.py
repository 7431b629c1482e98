"""Looking at what is on the screen before it is prompted, once the user has stopped moving."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

from napari_samhq.session.layers.transforms import layer_shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_samhq.session import Session

__all__ = ["LookAhead"]

_STILL_MS = 400
_LARGE_PX = 1024  # smaller images are looked at as a whole, once


class LookAhead:
    """Has the model look at the middle of the screen when a large image comes to rest there.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Its camera is followed.
    session : callable
        Gives the present session, or None.
    """

    def __init__(self, viewer: ViewerModel, session: Callable[[], Session | None]) -> None:
        self._session = session
        self._moves = 0
        camera = viewer.scene.camera.events
        self._events: tuple[Any, ...] = (camera.center, camera.zoom)
        for event in self._events:
            event.connect(self._moved)

    def close(self) -> None:
        """Follow no more."""
        for event in self._events:
            event.disconnect(self._moved)
        self._events = ()

    def _moved(self, _event: object = None) -> None:
        self._moves += 1
        moves = self._moves
        # Not a timer of its own: that might be gone before the window is closed.
        QTimer.singleShot(_STILL_MS, lambda: self._look(moves))

    def _look(self, moves: int) -> None:
        session = self._session()
        if not self._events or moves != self._moves or session is None:
            return
        if session.closed or session.paused:
            return
        if max(layer_shape(session.image)[-2:]) > _LARGE_PX:
            session.prepare()
