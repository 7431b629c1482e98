"""The dock widget "SAM-HQ": shows what the controller knows, and passes on what the user wants."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from napari_samhq.session import State
from napari_samhq.session.targets import images_of
from napari_samhq.ui.controller import Controller
from napari_samhq.ui.keys import KEYS, bind_keys, unbind_keys
from napari_samhq.ui.panels import (
    CANDIDATE_SIZE,
    ObjectPanel,
    SourcePanel,
    StatusPanel,
    ToolPanel,
)
from napari_samhq.ui.thumbnails import names_by_size, thumbnails

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_samhq.session import Candidate, Current
    from napari_samhq.session.engine import Engine

__all__ = ["SamHQDock"]

_WORKABLE = frozenset(State) - {State.NO_IMAGE, State.CANNOT, State.CLOSED}


class SamHQDock(QWidget):
    """Segment the objects of an image by clicks and boxes.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer that the widget is docked in.
    engine : Engine, optional
        What does the work; the real models by default.
    """

    def __init__(self, napari_viewer: ViewerModel, engine: Engine | None = None) -> None:
        super().__init__()
        self.controller = Controller(napari_viewer, engine)
        self.source, self.tools = SourcePanel(), ToolPanel()
        self.object, self.status = ObjectPanel(), StatusPanel()
        self._shown: tuple[Any, ...] = ()
        self._was_docked = False
        self._state = State.NO_IMAGE
        self._lay_out()
        self._connect()
        actions = {key.action: self._action(key.action) for key in KEYS}
        self._keys = bind_keys(napari_viewer, actions)
        #: Ends all that runs. Happens by itself when the widget or the viewer is closed.
        self.shut_down = partial(_shut_down, self.controller, self._keys)
        self.destroyed.connect(self.shut_down)  # holds no reference to this widget
        self._show_images()
        self._show_models()
        self._show()

    def event(self, event: QEvent | None) -> bool:
        """Notice when napari takes the widget out of its dock, which it does on closing."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._was_docked = True
            elif self._was_docked:
                self.shut_down()
        return super().event(event)

    def _lay_out(self) -> None:
        column = QVBoxLayout()
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(16)
        for panel in (self.source, self.tools, self.object, self.status):
            column.addWidget(panel, 1 if panel is self.status else 0)
        inside = QWidget()
        inside.setLayout(column)
        scroll = QScrollArea()  # small windows and large fonts
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        outside = QVBoxLayout(self)
        outside.setContentsMargins(0, 0, 0, 0)
        outside.addWidget(scroll)
        self.setMinimumWidth(300)

    def _connect(self) -> None:
        controller = self.controller
        controller.changed.connect(self._show)
        controller.images_changed.connect(self._show_images)
        self.source.image_chosen.connect(
            lambda index: controller.use_image(images_of(controller.viewer)[index])
        )
        self.source.model_chosen.connect(controller.use_model)
        self.tools.tool_chosen.connect(controller.use_tool)
        self.tools.polarity_chosen.connect(controller.use_polarity)
        self.object.wanted.connect(controller.act)
        self.object.candidates.chosen.connect(self._choose)
        self.status.fetch_wanted.connect(self._action("fetch"))
        self.status.cancel_wanted.connect(self._action("cancel"))

    def _action(self, name: str) -> Any:
        return lambda: self.controller.act(name)

    def _choose(self, index: int) -> None:
        session = self.controller.session
        if session is not None:
            self.controller.attempt(lambda: session.choose(index))
            self._show()

    def _show_images(self) -> None:
        images = images_of(self.controller.viewer)
        session = self.controller.session
        ids = [image.unique_id for image in images]
        here = session.image.unique_id if session is not None else None
        current = ids.index(here) if here in ids else -1
        self.source.show_images([image.name for image in images], current)

    def _show_models(self) -> None:
        controller = self.controller
        infos = controller.engine.source.list()
        self.source.show_models(infos, controller.model)

    def _show(self) -> None:
        """Bring everything up to date."""
        controller = self.controller
        status, current = controller.status, controller.current
        if self._state is State.FETCHING and status.state is not State.FETCHING:
            self._show_models()  # one more of them is here now
        self._state = status.state
        candidates = controller.candidates
        fetch = self._fetch_text() if status.state is State.MUST_FETCH else ""
        self.status.show_status(status, fetch)
        self.source.show_model(controller.model)
        self.tools.show_choice(controller.tool_in_hand, controller.positive)
        workable = controller.session is not None and status.state in _WORKABLE
        self.tools.setEnabled(workable)
        self._show_object(current)
        self._show_candidates(candidates)
        drawn = current is not None and bool(current.drawn)
        self.object.allow(
            {
                "accept": bool(candidates) or status.state is State.PREDICTING,
                "reject": drawn or (current is not None and current.reopened),
                "clear": drawn,
                "next_object": drawn,
                "undo": current is not None and current.can_undo and workable,
                "redo": current is not None and current.can_redo and workable,
            }
        )

    def _fetch_text(self) -> str:
        controller = self.controller
        info = controller.engine.source.info(controller.model)
        return "" if info is None else f"Fetch {info.name} ({info.megabytes:.0f} MB)"

    def _show_object(self, current: Current | None) -> None:
        session = self.controller.session
        if current is None or session is None or not current.label_id:
            self.object.show_object("No object yet", None)
            return
        what = "editing" if current.reopened else "new"
        color = session.labels.get_color(current.label_id)
        self.object.show_object(f"Object {current.label_id}, {what}", color)

    def _show_candidates(self, candidates: tuple[Candidate, ...]) -> None:
        panel, session = self.object.candidates, self.controller.session
        # Pictures take a moment to draw, so not again for each tick of a progress bar.
        shown = tuple((id(one.mask), one.chosen) for one in candidates)
        if shown == self._shown:
            return
        self._shown = shown
        if not candidates or session is None:
            panel.show_candidates([], [], [], -1)
            return
        making = session.desk.making
        plane = making.plane()
        pictures = thumbnails(making.view(plane), candidates, making.color(plane), CANDIDATE_SIZE)
        chosen = [candidate.chosen for candidate in candidates].index(True)
        scores = [candidate.score for candidate in candidates]
        panel.show_candidates(pictures, names_by_size(candidates), scores, chosen)


def _shut_down(controller: Controller, keys: list[str], *_: object) -> None:
    controller.changed.disconnect()
    controller.images_changed.disconnect()
    unbind_keys(controller.viewer, keys)
    controller.close()
