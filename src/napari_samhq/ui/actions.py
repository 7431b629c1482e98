"""Actions of the dock's buttons and keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_samhq.core.journal.drafts import Drafts
from napari_samhq.errors import LayerError
from napari_samhq.session import State
from napari_samhq.session.labels.create import new_labels
from napari_samhq.ui.objects import go_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Labels

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.drafts import Output
    from napari_samhq.inference.settings import Search
    from napari_samhq.session import Session
    from napari_samhq.session.everything import Region
    from napari_samhq.ui.controller import Controller

__all__ = ["Actions"]

_OUTPUTS: tuple[Output, ...] = ("sam", "sam+hq", "hq")


class Actions:
    """The actions behind buttons and keys, by the names in the table of keys.

    Parameters
    ----------
    controller : Controller
        Knows the session.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._accepted_early: list[tuple[Session, Plane, int]] = []
        controller.changed.connect(self._accept_what_came)

    def act(self, action: str) -> None:
        """Do what a button or key stands for; where that does not work, the status says why."""
        self._do(lambda session: self._table(session)[action]())

    def choose(self, index: int) -> None:
        """Take another of the masks."""
        self._do(lambda session: session.choose(index))

    def choose_output(self, output: Output) -> None:
        """Have the mask made by SAM, by HQ, or by both."""
        self._do(lambda session: session.choose_output(output))

    def choose_threshold(self, threshold: float) -> None:
        """Move the border of the mask."""
        self._do(lambda session: session.choose_threshold(threshold))

    def show_difference(self, shows: bool) -> None:
        """Show where HQ changes the mask of SAM, or stop showing it."""
        self._do(lambda session: self._show_difference(session, shows))

    def step(self, by: int) -> bool:
        """Go to the next object of those that wait; False where there is no other."""
        session = self._controller.session
        if session is None or not self._controller.others_wait:
            return False
        drafts = session.drafts
        places = [place for place, draft in enumerate(drafts) if draft.active]
        place = places[0] if places else (-1 if by > 0 else 0)
        self._do(lambda session: session.activate(drafts[(place + by) % len(drafts)].label_id))
        return True

    def refine(self, labels: Labels) -> None:
        """Take the objects of a labels layer as rough masks, and find better outlines."""
        self._do(lambda session: session.add_labels(labels))

    def segment_everything(self, search: Search, find: str | None, region: Region) -> None:
        """Find all objects of the plane on the screen, or of a part of it.

        Pressed again with other settings, it changes what it found before.
        """
        self._do(lambda session: session.begin_everything(search, region, find=find))

    def can_choose_anew(self) -> bool:
        """Tell whether other thresholds change what was found, and ask no model."""
        controller = self._controller
        session = controller.session
        if session is None or controller.status.busy:
            return False
        return session.everything_is_latest

    def use_labels(self, labels: Labels | None) -> None:
        """Have objects go into another labels layer; None for a new one."""

        def use(session: Session) -> None:
            layer = new_labels(session.image, fresh=True) if labels is None else labels
            if layer.unique_id != session.labels.unique_id:
                self._controller.use_image(session.image, layer)

        self._do(use)

    def visit(self, label_id: int) -> None:
        """Go to an object."""
        self._do(lambda session: go_to(self._controller.viewer, session, label_id))

    def reopen(self, label_id: int | None) -> None:
        """Take an object up again; None where none was chosen."""
        if label_id is None:
            self._controller.say("Choose an object in the table first.")
            return

        def reopen(session: Session) -> None:
            session.reopen(label_id)
            self._controller.use_tool("point")

        self._do(reopen)

    def delete(self, label_id: int) -> None:
        """Take an object out of the labels."""
        self._do(lambda session: session.delete(label_id))

    def classify(self, label_id: int, category: str) -> None:
        """Give an object a class."""
        self._do(lambda session: session.classify(label_id, category))

    def _do(self, action: Callable[[Session], Any]) -> None:
        session, controller = self._controller.session, self._controller
        with controller.one_change():
            if session is not None:
                controller.attempt(lambda: action(session))
            controller.changed.emit()

    def _table(self, session: Session) -> dict[str, Callable[[], Any]]:
        controller = self._controller
        tools = {
            f"use_{name}": lambda name=name: controller.use_tool(name)
            for name in ("point", "box", "polygon", "scribble")
        }
        return tools | {
            "accept": self._accept,
            "accept_all": lambda: self._accept_all(session),
            "reject": self._finish(session.reject),
            "reject_all": self._finish(session.reject_all),
            "next_object": self._finish(session.next_object),
            "undo": session.undo,
            "redo": session.redo,
            "flip_polarity": lambda: controller.use_polarity(not controller.positive),
            "next_candidate": lambda: self._step_candidate(1),
            "previous_candidate": lambda: self._step_candidate(-1),
            "next_output": lambda: self._step_output(session),
            "show_difference": lambda: self._show_difference(session, not session.shows_difference),
            "fetch": session.fetch,
            "cancel": controller.runner.cancel,
        }

    def _accept(self) -> None:
        controller = self._controller
        session, current = controller.session, controller.current
        if session is None or current is None:
            return
        if current.predicted:
            self._finish(session.commit)()
        elif controller.status.state is State.PREDICTING and current.drawn.says_where:
            # A click that follows at once belongs to the next object; nobody waits for the mask.
            self._accepted_early.append((session, session.plane, current.label_id))
            self._finish(lambda: session.activate(None))()
        elif not current.drawn and current.waiting:
            self.step(1)  # accept what is seen, and not before it is
        elif current.drawn.says_where:
            controller.say("The mask is not there yet. Accept it when you see it.")
        else:
            controller.say("Nothing to accept yet. Click an object, or draw a box around it.")

    def _accept_what_came(self) -> None:
        """Accept masks that were accepted before they were there."""
        waiting, self._accepted_early = self._accepted_early, []
        for session, plane, label_id in waiting:
            if session.closed:
                continue
            draft = session.unfinished.get(plane, Drafts()).get(label_id)
            if draft is None:  # rejected or undone since
                continue
            here = session is self._controller.session and _plane_of(session) == plane
            masks = (
                {one.label_id for one in session.drafts if one.score is not None} if here else ()
            )
            if label_id in masks:
                self._controller.attempt(lambda: session.commit(label_id))  # noqa: B023  # at once
            else:
                self._accepted_early.append((session, plane, label_id))

    def _accept_all(self, session: Session) -> None:
        missing = [one for one in session.drafts if one.score is None and one.drawn.says_where]
        if missing:  # never wait for them here: there may be thousands
            session.ask_again()
            self._controller.say(f"{len(missing)} masks are not there yet. Accept them soon.")
        else:
            self._finish(session.commit_all)()

    def _finish(self, action: Callable[[], Any]) -> Callable[[], None]:
        """Let the next object begin with a point on it, whatever the last point was."""

        def finish() -> None:
            action()
            self._controller.use_polarity(True)

        return finish

    def _step_output(self, session: Session) -> None:
        here = _OUTPUTS.index(session.current.choice.output)
        session.choose_output(_OUTPUTS[(here + 1) % len(_OUTPUTS)])

    def _show_difference(self, session: Session, shows: bool) -> None:
        session.shows_difference = shows

    def _step_candidate(self, step: int) -> None:
        session = self._controller.session
        chosen = [candidate.chosen for candidate in self._controller.candidates]
        if session is not None and any(chosen):
            session.choose((chosen.index(True) + step) % len(chosen))


def _plane_of(session: Session) -> Plane | None:
    """Tell the plane that is looked at; None where there is none, as in a 3-D display."""
    try:
        return session.plane
    except LayerError:
        return None
