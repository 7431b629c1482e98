"""Show the state of the session in the widgets of the dock."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from napari_samhq.errors import LayerError
from napari_samhq.session import State
from napari_samhq.session.layers.lookup import images_of
from napari_samhq.settings import CommitRules, SessionSettings
from napari_samhq.ui.object_panel import CANDIDATE_SIZE
from napari_samhq.ui.objects import labels_of, object_rows, pixel_area, targets_of
from napari_samhq.ui.thumbnails import names_by_size, thumbnails

if TYPE_CHECKING:
    from napari_samhq.session import Candidate, Current
    from napari_samhq.ui.controller import Controller
    from napari_samhq.ui.everything_panel import EverythingPanel
    from napari_samhq.ui.object_panel import ObjectPanel
    from napari_samhq.ui.panels import SourcePanel, StatusPanel, ToolPanel
    from napari_samhq.ui.parts import Section
    from napari_samhq.ui.side_panels import FilePanel, RefinePanel, SettingsPanel
    from napari_samhq.ui.table import ObjectsPanel

__all__ = ["Showing"]

_STOPPED_EVERYTHING = "Stopped. Nothing was changed. Press Segment to go on where it stopped."
_STOPPED_FETCHING = "Stopped. Nothing was changed. Fetch the model to go on."
_LEGEND = "Blue: HQ adds it. Orange: HQ takes it away."
_WORKABLE = frozenset(State) - {State.NO_IMAGE, State.CANNOT, State.CLOSED}


class Panels(Protocol):
    """The widgets of a dock that show something of a session."""

    controller: Controller
    source: SourcePanel
    tools: ToolPanel
    object: ObjectPanel
    status: StatusPanel
    objects: ObjectsPanel
    refine: RefinePanel
    everything: EverythingPanel
    settings: SettingsPanel
    files: FilePanel
    sections: dict[str, Section]


class Showing:
    """Shows the state of a controller in the widgets of a dock.

    Parameters
    ----------
    dock : Panels
        Has the controller and the widgets.
    """

    def __init__(self, dock: Panels) -> None:
        self._dock, self._controller = dock, dock.controller
        self._pictured: tuple[Any, ...] = ()
        self._listed: Any = None
        self._state = State.NO_IMAGE
        self._goes_on = False  # a run over everything was stopped

    def all(self) -> None:
        """Show everything but the lists of layers, models and objects."""
        dock, controller = self._dock, self._controller
        status, current = controller.status, controller.current
        candidates = controller.candidates
        if self._state is State.FETCHING and status.state is not State.FETCHING:
            self.models()  # one more of them is here now
        is_stopped = status.state is State.STOPPED
        self._goes_on = is_stopped and (self._goes_on or self._state is State.EVERYTHING)
        if self._goes_on:
            status = replace(status, sentence=_STOPPED_EVERYTHING)
        self._state = status.state
        if controller.state is not None and controller.state.shows_difference and candidates:
            status = replace(status, sentence=f"{_LEGEND} {status.sentence}")
        fetch = "" if status.busy else self._fetch_text()
        if fetch and status.state is State.STOPPED:
            status = replace(status, sentence=_STOPPED_FETCHING)
        dock.status.show_status(status, fetch)
        dock.source.show_model(controller.model)
        dock.source.show_caption(self._caption(status.state))
        workable = controller.session is not None and status.state in _WORKABLE
        dock.tools.show_choice(controller.tool_in_hand, controller.positive)
        dock.tools.setEnabled(workable)
        missing = bool(self._fetch_text())
        dock.everything.segment.setEnabled(
            workable and not missing and status.state is not State.EVERYTHING
        )
        dock.files.save.setEnabled(controller.session is not None)
        if dock.sections["settings"].open:
            dock.settings.rules.show_values(controller.settings(CommitRules, "rules"))
            dock.settings.session.show_values(controller.settings(SessionSettings, "session"))
        self._object(current)
        self._candidates(candidates)
        drawn = current is not None and bool(current.drawn)
        self._outline(current)
        dock.object.show_waiting(controller.waiting, others=controller.others_wait)
        dock.object.allow(
            {
                "accept": bool(candidates)
                or status.state is State.PREDICTING
                or (not drawn and controller.others_wait),
                "reject": drawn or (current is not None and current.reopened),
                "next_object": drawn,
                "accept_all": workable,
                "reject_all": workable,
                "undo": current is not None and current.can_undo and workable,
                "redo": current is not None and current.can_redo and workable,
            }
        )

    def layers(self) -> None:
        """List the images and labels layers."""
        images = images_of(self._controller.viewer)
        session = self._controller.session
        ids = [image.unique_id for image in images]
        here = session.image.unique_id if session is not None else None
        current = ids.index(here) if here in ids else -1
        self._dock.source.show_images([image.name for image in images], current)
        viewer, dock = self._controller.viewer, self._dock
        dock.refine.show_layers([layer.name for layer in labels_of(viewer, session)])
        targets = targets_of(viewer, session)
        ids = [layer.unique_id for layer in targets]
        here = session.labels.unique_id if session is not None else None
        names = [layer.name for layer in targets]
        dock.settings.show_targets(names, ids.index(here) if here in ids else len(ids))

    def models(self) -> None:
        """List the models."""
        controller = self._controller
        infos = controller.workshop.engine.source.list()
        self._dock.source.show_models(infos, controller.model)

    def objects(self) -> None:
        """List the objects, where that is seen and anything about them changed."""
        dock, session = self._dock, self._controller.session
        records = {} if session is None else session.records
        dock.sections["objects"].set_title(f"Objects ({len(records)})" if records else "Objects")
        if session is None:
            dock.objects.show_rows([])
            return
        if not dock.sections["objects"].open:
            return
        try:
            axes = session.plane.axes
        except LayerError:
            return  # the status says why; the list stays as it was
        rows = object_rows(session)
        dock.objects.show_rows(rows, *pixel_area(session.image, axes))
        dock.sections["objects"].set_title(f"Objects ({len(rows)})" if rows else "Objects")

    def preview(self) -> None:
        """Show the image as the model gets it, or hide it."""
        panel, session = self._dock.settings, self._controller.session
        if session is None or panel.picture.isVisible():
            panel.show_picture(None)
            return

        self._controller.attempt(lambda: panel.show_picture(session.seen_by_model()))
        self._controller.changed.emit()

    def _caption(self, state: State) -> str:
        """Say in a few words where the model runs, and whether it is ready."""
        words = {
            State.MUST_FETCH: "not on this computer yet",
            State.FETCHING: "on its way",
            State.LOADING: "being loaded",
            State.PREPARING: "looks at the image",
        }
        controller = self._controller
        device = controller.workshop.engine.device(controller.model)
        if state in words:
            return f"On {device}: {words[state]}" if device else words[state].capitalize()
        return f"On {device}: ready" if device else ""

    def _fetch_text(self) -> str:
        """Offer to fetch the model where it is not here; also after that was stopped or failed."""
        state = self._controller.state
        if state is None or not state.must_fetch:
            return ""
        info = self._controller.workshop.engine.source.info(self._controller.model)
        return "" if info is None else f"Fetch {info.name} ({info.megabytes:.0f} MB)"

    def _object(self, current: Current | None) -> None:
        panel, session = self._dock.object, self._controller.session
        if current is None or session is None or not current.label_id:
            panel.show_object("No object yet", None)
            return
        what = "editing" if current.reopened else "new"
        color = session.labels.get_color(current.label_id)
        panel.show_object(f"Object {current.label_id}, {what}", color)

    def _outline(self, current: Current | None) -> None:
        state, panel = self._controller.state, self._dock.object.outline
        panel.setEnabled(current is not None)
        if current is not None and state is not None:
            choice = current.choice
            panel.show_choice(choice.output, choice.threshold, difference=state.shows_difference)

    def _candidates(self, candidates: tuple[Candidate, ...]) -> None:
        panel, session = self._dock.object.candidates, self._controller.session
        # Pictures take a moment to draw, so not again for each tick of a progress bar.
        pictured = tuple((one.cropped, one.chosen) for one in candidates)
        if pictured == self._pictured:
            return
        self._pictured = pictured
        if not candidates or session is None:
            panel.show_candidates([], [], [], -1)
            return
        color = tuple(float(part) for part in session.labels.get_color(session.current.label_id))
        pictures = thumbnails(session.view, candidates, color, CANDIDATE_SIZE)
        chosen = [candidate.chosen for candidate in candidates].index(True)
        scores = [candidate.score for candidate in candidates]
        panel.show_candidates(pictures, names_by_size(candidates), scores, chosen)
