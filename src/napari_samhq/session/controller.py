"""Connect viewer events, layers of prompts, model and journal of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_samhq.core.journal.events import PromptsChanged
from napari_samhq.errors import LayerError, SamHQError
from napari_samhq.session.drafts import UnfinishedObjects
from napari_samhq.session.history import History
from napari_samhq.session.layers.current_plane import show_plane
from napari_samhq.session.layers.line_width import LineWidth
from napari_samhq.session.layers.preview import Preview
from napari_samhq.session.layers.prompt_layers import PromptLayers, new_points, new_shapes
from napari_samhq.session.layers.viewer_events import Watch, ensure_in, follow, is_in
from napari_samhq.session.masks import Masks

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.drafts import Draft, Drafts
    from napari_samhq.core.journal.events import Event
    from napari_samhq.core.tiles.grid import Region
    from napari_samhq.engine.engine import Engine
    from napari_samhq.engine.jobs import Runner

__all__ = ["SessionController"]


class SessionController:
    """Holds the layers of a session together, and keeps them in step with each other.

    Parameters
    ----------
    viewer, image, labels
        The viewer, the image that is prompted, and the layer for objects.
    engine, runner, model, may_fetch
        As in :class:`~napari_samhq.session.Session`.

    Attributes
    ----------
    changed : psygnal.Signal
        Emitted after anything changed.
    closed : bool
        Whether the session is over.
    history, prompts, preview, unfinished, masks
        The parts. `history.journal_changed` tells each change of the journal.
    finished : dict of Plane to list of regions
        Areas in which all objects are marked.
    """

    changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        labels: Labels,
        *,
        engine: Engine,
        runner: Runner,
        model: str,
        may_fetch: bool,
    ) -> None:
        self.viewer, self.image, self.labels = viewer, image, labels
        self.closed = False
        self.runner = runner
        self.history = History(labels, self._look, lambda: self.unfinished.planes)
        points, shapes, color_of = new_points(image), new_shapes(image), labels.get_color
        self.prompts = PromptLayers(image, points, shapes, self._take_drawn, color_of)
        self.preview = Preview(image)
        self.unfinished = UnfinishedObjects(viewer, image, self.prompts, self.history.free_ids)
        self.masks = Masks(
            viewer,
            image,
            self.unfinished,
            self.preview,
            color_of,
            engine=engine,
            runner=runner,
            model=model,
            may_fetch=may_fetch,
            changed=self.show,
        )
        self.finished: dict[Plane, list[Region]] = {}
        self._paused = False
        self._temporary: tuple[Layer, ...] = (self.preview.layer, shapes, points)
        self.ensure_layers()
        self.history.painted.connect(self.changed.emit)
        self.history.moved.connect(self.turn_to)
        self.history.journal_cut.connect(self._begin_anew)
        self._line_width = LineWidth(viewer, shapes)
        self._watch = Watch(
            viewer,
            image,
            moved=self.turn,
            image_changed=self._forget_image,
            placed=self._follow_image,
            removed=self._answer_removal,
        )
        if not runner.inline:
            self._look_through_labels()

    @property
    def paused(self) -> bool:
        """Whether the layers for prompts are hidden, and nothing is answered to."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._paused = paused
        for layer in self._temporary:
            layer.visible = not paused
        if not paused:
            self.turn()

    def plane(self) -> Plane:
        """Find the plane that is prompted; a LayerError says why there is none."""
        self.ensure_layers()
        return self.unfinished.plane()

    def ensure_layers(self) -> None:
        """Put layers that are not in the viewer (any more) into it."""
        if self.closed:
            raise LayerError(
                "This session is over: it was closed, or its image or labels layer was removed. "
                "Begin a new one."
            )
        for layer in (self.labels, *self._temporary):
            ensure_in(self.viewer, layer)

    def name_layers(self) -> None:
        """Give the layers for prompts their plain names, once others that had them are gone."""
        for layer, what in zip(self._temporary, ("preview", "boxes", "points"), strict=True):
            layer.name = f"{self.image.name} {what}"

    def note(self, event: Event) -> None:
        """Keep in the journal what changed prompts only, and bring everything up to date."""
        self.history.append(event)
        self.turn_to(event.plane, event.after)

    def turn_to(self, plane: Plane, drafts: Drafts) -> None:
        """Show a plane with these objects in the making."""
        self.ensure_layers()
        show_plane(self.viewer, self.image, plane)
        self.unfinished.put(plane, drafts)
        self.refresh()

    def refresh(self) -> None:
        """Bring the preview up to date; behind the dock this asks the model, scripts ask it."""
        self.masks.scheduler.fail(None)
        if self.runner.inline:
            self.show()
        else:
            self.masks.ask()
            self.changed.emit()

    def turn(self) -> None:
        """Go with the viewer to another plane."""
        if self._paused:
            return
        self.unfinished.write_layers()
        self.refresh()
        if not self.runner.inline:
            self.masks.prepare()

    def draw(self, plane: Plane, *drafts: Draft) -> None:
        """Put new or changed objects into a plane, as one step; the last one becomes active."""
        before = after = self.unfinished.drafts(plane)
        for draft in drafts:
            kept = draft.drawn or draft.reopened
            after = after.put(draft) if kept else after.without(draft.label_id)
        self.note(PromptsChanged(plane, before, after))

    def fetch(self) -> None:
        """Download the model, where that waits for a yes; prompts are answered afterwards."""
        self.masks.scheduler.fetch(then=self.turn)

    def close(self) -> None:
        """Let go of everything, and take the layers for prompts out of the viewer."""
        if self.closed:
            return
        self.closed = True
        self._watch.close()
        self._line_width.close()
        self.prompts.disconnect()
        self.history.close()
        self.masks.forget()
        for layer in self._temporary:
            if is_in(self.viewer, layer):
                self.viewer.layers.remove(layer)
        self.changed.emit()

    def show(self) -> None:
        """Bring the preview up to date with what is known."""
        if not self.closed:
            self.masks.show()
            if self.masks.shows_difference:
                self.compare()
        self.changed.emit()

    def compare(self) -> None:
        """Show what HQ changed of the active object, as soon as it is known."""
        try:
            plane = self.unfinished.plane()
            if self.masks.fresh(plane, self.unfinished.drafts(plane).active_draft) is not None:
                self.masks.compare(plane)
        except SamHQError as error:
            self.masks.scheduler.fail(error)

    def _take_drawn(self) -> None:
        """Take over what the user drew, and ask for its masks."""
        try:
            changes = self.unfinished.read_layers(self.masks.seen_steps)
        except LayerError as error:
            self.masks.scheduler.fail(error)
            self.changed.emit()
            return
        for plane, before, after in changes:
            self.history.append(PromptsChanged(plane, before, after))
        if changes:
            self.masks.ask()
        self.changed.emit()

    def _look_through_labels(self) -> None:
        """Find out which objects there are, bit by bit, so that no click has to wait for it."""
        if not self.closed and self.history.tracked.look():
            self.runner.later(self._look_through_labels)

    def _look(self) -> Plane | None:
        """Tell the plane that is looked at."""
        try:
            return self.unfinished.plane()
        except LayerError:  # the status says why
            return None

    def _begin_anew(self) -> None:
        self.finished.clear()
        self.unfinished.say(
            "The labels layer got other data, so earlier steps cannot be undone any more. Go on as "
            "before."
        )
        self.changed.emit()

    def _forget_image(self) -> None:
        self.masks.forget_image()
        self.turn()

    def _follow_image(self) -> None:
        try:
            follow(self.image, [self.labels, *self._temporary])
        except LayerError:  # the image lies nowhere: the status says so until it is put right
            self.changed.emit()
            return
        self.unfinished.write_layers()
        self.show()

    def _answer_removal(self, layer: Layer) -> None:
        if layer.unique_id in (self.image.unique_id, self.labels.unique_id):
            # Not at once: the viewer may be in the middle of removing several layers.
            self.runner.later(self.close)
        elif layer.unique_id == self.prompts.points.unique_id:
            self.prompts.points.data = self.prompts.points.data[:0]
        elif layer.unique_id == self.prompts.shapes.unique_id:
            self.prompts.shapes.data = []
