"""What the dock does: one session per image, tools, and the actions behind buttons and keys.

It makes no widgets; the dock listens to its signals and calls its actions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_samhq.errors import LayerError, SamHQError
from napari_samhq.session import Session, State, Status
from napari_samhq.session.engine import Engine
from napari_samhq.session.status import sentence
from napari_samhq.session.targets import find_image, find_labels, images_of
from napari_samhq.ui.worker import ThreadRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_samhq.session import Candidate, Current

__all__ = ["Controller"]


_NO_TOOL = "Ready. Press Point or Box above, then click or drag in the image."


class Controller:
    """Keeps the sessions of one viewer, one for each image that was worked on.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
        The viewer.
    engine : Engine, optional
        What does the work, in the controller's thread.
    model : str, optional
        The model to begin with.

    Attributes
    ----------
    changed : psygnal.Signal
        Emitted after anything about the present session changed.
    images_changed : psygnal.Signal
        Emitted after an image came, went, or got another name.
    session : Session or None
        The session of the image that is worked on.
    tool : {"point", "box"}
        The tool that was chosen last.
    """

    changed = Signal()
    images_changed = Signal()

    def __init__(
        self, viewer: ViewerModel, engine: Engine | None = None, model: str = "micro"
    ) -> None:
        self.viewer = viewer
        self.engine = engine or Engine()
        self.runner = ThreadRunner()
        self.session: Session | None = None
        self.model = model
        self.tool = "point"
        self._sessions: dict[Hashable, Session] = {}
        self._problem: str | None = None
        self._last: Current | None = None
        self._connections = [
            (viewer.layers.events.inserted, self._on_inserted),
            (viewer.layers.events.removed, self._on_listed),
            (viewer.layers.events.renamed, self._on_listed),
            (viewer.layers.selection.events.active, self._on_hand),
        ]
        for event, callback in self._connections:
            event.connect(callback)
        self.use_any_image()

    # ------------------------------------------------------------------------------- what there is

    @property
    def status(self) -> Status:
        """The state and the next step; what just did not work comes first."""
        if self._problem is not None:
            return Status(State.FAILED, self._problem)
        if self.session is None:
            return Status(State.NO_IMAGE, sentence(State.NO_IMAGE))
        status = self.session.status
        if status.state is State.READY and self.tool_in_hand is None:
            return replace(status, sentence=_NO_TOOL)
        return status

    @property
    def tool_in_hand(self) -> str | None:
        """What a click in the image would do now; None where napari does something else."""
        if self.session is None:
            return None
        active = self.viewer.layers.selection.active
        for tool, layer, mode in self._tools(self.session):
            if active is not None and active.unique_id == layer.unique_id and layer.mode == mode:
                return tool
        return None

    @property
    def current(self) -> Current | None:
        """The object being made."""
        return self.session.current if self.session is not None else None

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The masks to choose from."""
        if self.session is None:
            return ()
        try:
            return self.session.candidates
        except LayerError:  # no plane: the status says why
            return ()

    # ------------------------------------------------------------------------------------- choices

    def use_any_image(self) -> None:
        """Work on the selected image, else the uppermost one, else on none."""
        self.use_image(find_image(self.viewer) if images_of(self.viewer) else None)

    def use_image(self, image: Image | None) -> None:
        """Work on an image; objects that were made on it before are still there."""
        if self.session is not None:
            if image is not None and self.session.image.unique_id == image.unique_id:
                return
            self.session.desk.paused = True
        self._problem = None
        self.session = None
        if image is not None:
            self.attempt(lambda: self._begin(image))
        self.changed.emit()

    def use_model(self, model: str) -> None:
        """Use another model from now on."""
        self.model = model
        if self.session is not None:
            session = self.session
            self.attempt(lambda: setattr(session, "model", model))
        self.changed.emit()

    def use_tool(self, tool: str) -> None:
        """Make the next click a point, or the next drag a box: right layer, right mode."""
        self.tool = tool
        session = self.session
        if session is not None:

            def take() -> None:
                session.desk.ensure_layers()
                layer, mode = next(rest for one, *rest in self._tools(session) if one == tool)
                layer.visible = True
                self.viewer.layers.selection.active = layer
                layer.mode = mode

            self.attempt(take)
        self.changed.emit()

    def use_polarity(self, positive: bool) -> None:
        """Let the next points lie on the object, or beside it."""
        if self.session is not None:
            self.session.prompts.positive = positive
            if not positive:
                self.use_tool("point")  # boxes have no polarity
        self.changed.emit()

    @property
    def positive(self) -> bool:
        """Whether the next point lies on the object."""
        return self.session is None or self.session.prompts.positive

    # ------------------------------------------------------------------------------------- actions

    def act(self, action: str) -> None:
        """Do what a button or key stands for, by the names in the table of keys."""
        session = self.session
        if session is None:
            return
        actions: dict[str, Callable[[], Any]] = {
            "accept": self._accept,
            "reject": self._finish(session.reject),
            "clear": session.clear,
            "next_object": self._finish(session.next_object),
            "undo": session.undo,
            "redo": session.redo,
            "use_point": lambda: self.use_tool("point"),
            "use_box": lambda: self.use_tool("box"),
            "flip_polarity": lambda: self.use_polarity(not self.positive),
            "next_candidate": lambda: self._step_candidate(1),
            "previous_candidate": lambda: self._step_candidate(-1),
            "fetch": session.desk.fetch,
            "cancel": self.runner.cancel,
        }
        self.attempt(actions[action])
        self.changed.emit()

    def attempt(self, action: Callable[[], Any]) -> None:
        """Do something; if it does not work, the status says why."""
        self._problem = None
        try:
            action()
        except SamHQError as error:
            self._problem = str(error)

    def close(self) -> None:
        """End the thread and all sessions, and stop listening."""
        for event, callback in self._connections:
            event.disconnect(callback)
        self._connections.clear()
        self.runner.close()
        for session in self._sessions.values():
            session.changed.disconnect(self._on_session)
            session.close()
        self._sessions.clear()
        self.session = None

    def _accept(self) -> None:
        session, current = self.session, self.current
        if session is None or current is None:
            return
        # Where only the outline is missing, waiting for it is shorter than a blink, and a click
        # that follows at once belongs to the next object.
        if current.predicted or session.status.state is State.PREDICTING:
            self._finish(session.commit)()
        elif current.drawn.says_where:
            self._problem = "The mask is not there yet. Accept it when you see it."
        else:
            self._problem = "Nothing to accept yet. Click an object, or draw a box around it."

    def _finish(self, action: Callable[[], Any]) -> Callable[[], None]:
        """Let the next object begin with a point on it, whatever the last point was."""

        def finish() -> None:
            action()
            self.use_polarity(True)

        return finish

    def _step_candidate(self, step: int) -> None:
        chosen = [candidate.chosen for candidate in self.candidates]
        if self.session is not None and any(chosen):
            self.session.choose((chosen.index(True) + step) % len(chosen))

    def _tools(self, session: Session) -> tuple[tuple[str, Any, str], ...]:
        return (("point", session.points, "add"), ("box", session.shapes, "add_rectangle"))

    def _begin(self, image: Image) -> None:
        session = self._sessions.get(image.unique_id)
        if session is None:
            session = Session(
                self.viewer,
                image,
                labels=find_labels(self.viewer, image),
                model=self.model,
                engine=self.engine,
                runner=self.runner,
                may_fetch=False,
            )
            self._sessions[image.unique_id] = session
            session.changed.connect(self._on_session)
            for layer in (session.points, session.shapes):
                layer.events.mode.connect(self._on_hand)
        self.session = session
        if session.model != self.model:
            session.model = self.model
        session.desk.paused = False
        self.use_tool(self.tool)

    def _on_session(self) -> None:
        self._sessions = {k: one for k, one in self._sessions.items() if not one.desk.closed}
        if self.session is not None and self.session.desk.closed:
            self.session = None
            self.use_any_image()
        if self.current != self._last:  # something was done: what did not work before is over
            self._problem, self._last = None, self.current
        self.changed.emit()

    def _on_inserted(self, _event: Any) -> None:
        # Not at once: we are told before the viewer itself has taken the layer in.
        self.runner.later(self._welcome_images)

    def _welcome_images(self) -> None:
        if self._connections:
            self.images_changed.emit()
            if self.session is None and images_of(self.viewer):
                self.use_any_image()

    def _on_hand(self, _event: Any) -> None:
        self.changed.emit()

    def _on_listed(self, _event: Any) -> None:
        self.images_changed.emit()
