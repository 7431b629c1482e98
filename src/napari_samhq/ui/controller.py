"""Sessions of one viewer, one per image, with the model, the tool, and what went wrong last.

It makes no widgets; the dock listens to its signals, reads `state`, and calls it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_samhq.errors import SamHQError, SettingsError
from napari_samhq.session import Session, State, Status
from napari_samhq.session.labels.create import MADE_FOR
from napari_samhq.session.layers.lookup import find_image, find_labels, images_of
from napari_samhq.session.layers.viewer_events import is_in
from napari_samhq.session.state import sentence
from napari_samhq.settings import CommitRules, SessionSettings
from napari_samhq.ui.ahead import LookAhead
from napari_samhq.ui.hand import AcceptOnClick, take_tool, tool_in_hand
from napari_samhq.ui.preferences import Preferences
from napari_samhq.ui.worker import ThreadRunner
from napari_samhq.ui.workshop import enter, leave

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from contextlib import AbstractContextManager

    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_samhq.engine.engine import Engine
    from napari_samhq.session import Candidate, Current, SessionState
    from napari_samhq.settings import Settings

__all__ = ["Controller"]

_NO_TOOL = "Ready. Press Point or Box above, then click or drag in the image."


class Controller:
    """Keeps the sessions of one viewer, one for each image that was worked on.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
        The viewer.
    engine : Engine, optional
        What does the work; the one that all docks of this process share when left out.
    preferences : Preferences, optional
        What the user prefers; as napari keeps it when left out.

    Attributes
    ----------
    changed : psygnal.Signal
        Emitted after anything about the present session changed.
    layers_changed : psygnal.Signal
        Emitted after an image or labels layer came, went, or got another name.
    session : Session or None
        The session of the image that is worked on.
    state : SessionState or None
        Its state after the last change, which all parts of the dock show.
    tool : str
        The tool that was chosen last.
    """

    changed = Signal()
    layers_changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        engine: Engine | None = None,
        preferences: Preferences | None = None,
    ) -> None:
        self.viewer = viewer
        self.workshop = enter(engine)
        self.runner = ThreadRunner(self.workshop.worker)
        self.preferences = preferences or Preferences()
        self.session: Session | None = None
        self.state: SessionState | None = None
        self.changed.connect(self._resolve)  # before anyone else hears of it
        self.tool = "point"
        self._sessions: dict[Hashable, tuple[Session, AcceptOnClick]] = {}
        self._problem: str | None = None
        self._last: Current | None = None
        self.model = self.settings(SessionSettings, "session").model
        self._connections = [
            (viewer.layers.events.inserted, self._on_inserted),
            (viewer.layers.events.removed, self._on_listed),
            (viewer.layers.events.renamed, self._on_listed),
            (viewer.layers.selection.events.active, self._on_hand),
        ]
        for event, callback in self._connections:
            event.connect(callback)
        self._ahead = LookAhead(viewer, lambda: self.session)
        for group in ("session", "rules"):
            self.preferences.listen(group, self._on_preferences)
        self.use_any_image()

    # ------------------------------------------------------------------------------- what there is

    @property
    def status(self) -> Status:
        """The state and the next step; what just did not work comes first."""
        if self._problem is not None:
            return Status(State.FAILED, self._problem)
        if self.state is None:
            return Status(State.NO_IMAGE, sentence(State.NO_IMAGE))
        status = self.state.status
        if status.state is State.READY and self.tool_in_hand is None:
            words = status.sentence.replace(sentence(State.READY), _NO_TOOL)
            return replace(status, sentence=words)
        return status

    @property
    def tool_in_hand(self) -> str | None:
        """What a click in the image would do now; None where napari does something else."""
        return None if self.session is None else tool_in_hand(self.viewer, self.session)

    @property
    def current(self) -> Current | None:
        """The object being made."""
        return None if self.state is None else self.state.current

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The masks to choose from."""
        return () if self.state is None else self.state.candidates

    @property
    def waiting(self) -> int:
        """How many objects of the present plane are being made."""
        current = self.current
        if current is None:
            return 0
        return current.waiting + bool(current.drawn or current.reopened)

    @property
    def others_wait(self) -> bool:
        """Whether an object of the present plane is being made that is not the active one."""
        return self.current is not None and self.current.waiting > 0

    @property
    def positive(self) -> bool:
        """Whether the next point lies on the object."""
        return self.session is None or self.session.prompts.positive

    def color_of(self, label_id: int) -> Any:
        """Tell the colour of a label id; None where there are no labels."""
        return None if self.session is None else self.session.labels.get_color(label_id)

    def settings(self, kind: type[Settings], group: str) -> Any:
        """Get settings as the user prefers them; the default of one that cannot be used."""
        values = {}
        for one in kind.described():
            value = self.preferences.get(group, one.name, one.default)
            try:
                values[one.name] = getattr(kind.of([(one.name, value)]), one.name)
            except SettingsError as error:
                self._problem = f"{error} The default {one.default!r} is used."
                values[one.name] = one.default
        return kind.of(values.items())

    # ------------------------------------------------------------------------------------- choices

    def use_any_image(self) -> None:
        """Work on the selected image, else the uppermost one, else on none."""
        self.use_image(find_image(self.viewer) if images_of(self.viewer) else None)

    def use_image(self, image: Image | None, labels: Labels | None = None) -> None:
        """Work on an image; objects that were made on it before are still there.

        With `labels`, objects go there from now on, in a session of its own.
        """
        if self.session is not None:
            same = image is not None and self.session.image.unique_id == image.unique_id
            if same and labels is None:
                return
            self.session.paused = True
        self._problem = None
        self.session = None
        if image is not None:
            if labels is not None:
                self._leave(image)
            self.attempt(lambda: self._begin(image, labels))
        self.changed.emit()

    def session_options(self) -> dict[str, Any]:
        """Tell how sessions of this dock are begun."""
        return {
            "engine": self.workshop.engine,
            "runner": self.runner,
            "may_fetch": False,
            "autosave": self.settings(SessionSettings, "session").autosave,
        }

    def adopt(self, session: Session) -> None:
        """Go on with a session that was opened, in place of another one on its image."""
        if self.session is not None:
            self.session.paused = True
        self._leave(session.image)
        self._sessions[session.image.unique_id] = (session, self._watch(session))
        session.name_layers()
        if session.opened is not None:
            session.labels.name = session.opened.labels.name
        self.model = session.model
        self.attempt(lambda: self._begin(session.image, None))
        self.layers_changed.emit()

    def use_model(self, model: str) -> None:
        """Use another model from now on."""
        self.model = model
        self.preferences.put("session", "model", model)
        if self.session is not None:
            session = self.session
            self.attempt(lambda: setattr(session, "model", model))
        self.changed.emit()

    def use_tool(self, tool: str) -> None:
        """Make the next click or drag prompt with a tool: right layer, right mode."""
        self.tool = tool
        session = self.session
        if session is not None:
            self.attempt(lambda: take_tool(self.viewer, session, tool))
        self.changed.emit()

    def use_polarity(self, positive: bool) -> None:
        """Let the next points lie on the object, or beside it."""
        if self.session is not None:
            self.session.prompts.positive = positive
            if not positive:
                self.use_tool("point")  # boxes have no polarity
        self.changed.emit()

    def attempt(self, action: Callable[[], Any]) -> None:
        """Do something as one change; if it does not work, the status says why."""
        self._problem = None
        with self.one_change():
            try:
                action()
            except SamHQError as error:
                self._problem = str(error)

    def one_change(self) -> AbstractContextManager[None]:
        """Tell of all that changes meanwhile once, afterwards."""
        return self.changed.paused(lambda *_: ())

    def say(self, problem: str) -> None:
        """Have the status say why something cannot be done."""
        self._problem = problem
        self.changed.emit()

    def close(self) -> None:
        """End all sessions and what runs for them, and stop listening."""
        for event, callback in self._connections:
            event.disconnect(callback)
        self._connections.clear()
        self.preferences.close()
        self.runner.close()
        for session, clicks in self._sessions.values():
            session.changed.disconnect(self._on_session)
            clicks.close()
            session.close()
        self._sessions.clear()
        self.session = None
        self._ahead.close()
        leave(self.workshop)

    # ---------------------------------------------------------------------------------- underneath

    def _begin(self, image: Image, labels: Labels | None) -> None:
        if image.unique_id not in self._sessions:
            labels = labels or find_labels(self.viewer, image)
            session = Session(
                self.viewer, image, labels=labels, model=self.model, **self.session_options()
            )
            self._sessions[image.unique_id] = (session, self._watch(session))
        self.session, _ = self._sessions[image.unique_id]
        if self.session.model != self.model:
            self.session.model = self.model
        self.session.paused = False
        self.use_tool(self.tool)
        self._follow_preferences()

    def _watch(self, session: Session) -> AcceptOnClick:
        session.changed.connect(self._on_session)
        for layer in (session.points, session.shapes):
            layer.events.mode.connect(self._on_hand)

        def wanted() -> bool:
            return bool(self.settings(SessionSettings, "session").accept_on_next_click)

        return AcceptOnClick(session, wanted, lambda: self.attempt(session.commit))

    def _leave(self, image: Image) -> None:
        """End the session of an image, for another one on it."""
        if image.unique_id in self._sessions:
            session, clicks = self._sessions.pop(image.unique_id)
            session.changed.disconnect(self._on_session)
            clicks.close()
            session.close()
            if _is_untouched(session):  # nobody needs two layers for objects, one of them empty
                self.viewer.layers.remove(session.labels)

    def _follow_preferences(self) -> None:
        wanted, engine = self.settings(SessionSettings, "session"), self.workshop.engine
        moves = (engine.source.device, engine.source.precision) != (wanted.device, wanted.precision)
        if moves:
            engine.use_device(wanted.device, wanted.precision)
        session = self.session
        if session is not None:
            session.rules = self.settings(CommitRules, "rules")
            session.refine = wanted.refine
            if moves:  # answers from elsewhere may differ in the last bits
                session.model = self.model
        folder = wanted.embeddings.strip()
        engine.keep_embeddings(Path(folder).expanduser() if folder else None)

    def _resolve(self) -> None:
        """Work out once what all parts of the dock show."""
        self.state = None if self.session is None else self.session.state

    def _on_preferences(self) -> None:
        self.attempt(self._follow_preferences)
        self.changed.emit()

    def _on_session(self) -> None:
        self._sessions = {k: one for k, one in self._sessions.items() if not one[0].closed}
        if self.session is not None and self.session.closed:
            self.session = None
            self.use_any_image()
        current = None if self.session is None else self.session.current
        if current != self._last:  # something was done: what did not work before is over
            self._problem, self._last = None, current
        self.changed.emit()

    def _on_inserted(self, _event: Any) -> None:
        # Not at once: we are told before the viewer itself has taken the layer in.
        self.runner.later(self._welcome_layers)

    def _welcome_layers(self) -> None:
        if self._connections:
            self.layers_changed.emit()
            if self.session is None and images_of(self.viewer):
                self.use_any_image()

    def _on_hand(self, _event: Any) -> None:
        self.changed.emit()

    def _on_listed(self, _event: Any) -> None:
        self.layers_changed.emit()


def _is_untouched(session: Session) -> bool:
    """Whether nothing was ever done in a session, and its labels layer was made for it."""
    journal, layer = session.journal, session.labels
    made_here = layer.metadata.get(MADE_FOR) == session.image.unique_id
    nothing = made_here and not (journal.can_undo or journal.can_redo)
    return nothing and is_in(session.viewer, layer) and not len(session.objects)
