"""Masks of the objects being made: asked for, kept while they are fresh, and shown as preview."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.masks.cropped import bounds_of
from napari_samhq.engine.answers import Answers, wish_of
from napari_samhq.engine.questions import Question
from napari_samhq.engine.scheduler import Scheduler
from napari_samhq.errors import LayerError, PromptError, SamHQError
from napari_samhq.session.layers.current_plane import visible_region
from napari_samhq.session.layers.image_view import view_plane
from napari_samhq.session.layers.preview import Outline

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.drafts import Draft, Step
    from napari_samhq.engine.answers import Shown
    from napari_samhq.engine.engine import Engine
    from napari_samhq.engine.jobs import Runner
    from napari_samhq.engine.plane_view import Channels, PlaneView
    from napari_samhq.engine.scheduler import Difference
    from napari_samhq.inference.prediction import Prediction
    from napari_samhq.session.drafts import UnfinishedObjects
    from napari_samhq.session.layers.preview import Preview

__all__ = ["Masks"]


class Masks:
    """Asks the model for the masks of objects being made, and shows them.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
        Says what is on the screen.
    image : napari.layers.Image
        The image.
    unfinished : UnfinishedObjects
        The objects.
    preview : Preview
        Where masks are shown before they are accepted.
    color_of : callable
        Tells the colour of a label id.
    engine, runner, model, may_fetch, changed
        How masks are asked for, see :class:`~napari_samhq.engine.scheduler.Scheduler`.

    Attributes
    ----------
    scheduler : Scheduler
        Gets the masks.
    refine : bool
        Whether the mask that is seen goes to the model along with points that are added.
    generation : int
        How often the image got other data.
    channels : Channels or None
        What the model sees instead of the plane.
    channel_axis : int or None
        Where somebody named it.
    shows_difference : bool
        Whether the preview shows what HQ changes.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        unfinished: UnfinishedObjects,
        preview: Preview,
        color_of: Callable[[int], Sequence[float]],
        *,
        engine: Engine,
        runner: Runner,
        model: str,
        may_fetch: bool,
        changed: Callable[[], None],
    ) -> None:
        self.preview, self.refine, self.generation = preview, True, 0
        self.channels: Channels | None = None
        self.channel_axis: int | None = None
        self.shows_difference = False
        self._difference: tuple[Hashable, Difference] | None = None  # and what it was asked for
        self._compared: Hashable = None  # what was asked for last
        self._viewer, self._image, self._unfinished = viewer, image, unfinished
        self._color_of = color_of
        self._answers = Answers()
        unfinished.gone.connect(self._answers.forget)
        self.scheduler = Scheduler(
            engine, runner, model, may_fetch=may_fetch, take=self._take, changed=changed
        )

    def view(self, plane: Plane) -> PlaneView:
        """Describe the pixels of a plane, for the engine to read."""
        return view_plane(self._image, plane, self.generation, self.channels)

    def look_at(self, channels: Channels | None) -> None:
        """Have the model see these channels instead of the plane; None: the plane."""
        if channels != self.channels:
            self.channels = channels
            self.forget()

    def forget_image(self) -> None:
        """Note that the image got other data, so that no answer counts any more."""
        self.generation += 1
        self.forget()

    def fresh(self, plane: Plane, draft: Draft | None) -> Shown | None:
        """Get the answer for an object if it answers what is drawn and chosen now."""
        return self._answers.fresh(plane, draft) if draft is not None else None

    def recalled(self, plane: Plane, draft: Draft) -> Shown | None:
        """Get the answer for an object that may have been given up, if it is still known."""
        return self._answers.recalled(plane, draft)

    def latest(self, plane: Plane, draft: Draft) -> Shown | None:
        """Get the last answer for an object, be it to earlier prompts."""
        return self._answers.latest(plane, draft.label_id)

    def seen_steps(self, plane: Plane, draft: Draft) -> tuple[Step, ...]:
        """Tell how the mask that is seen of an object came about, where it is to be refined."""
        shown = self.fresh(plane, draft) if self.refine else None
        return shown.steps if shown is not None else ()

    def predict(self, plane: Plane, draft: Draft) -> Prediction:
        """Ask the model about one object, and wait for its answer."""
        found: list[Prediction] = []
        self._wait_for(plane, [draft], lambda _, answer: found.append(answer))
        return found[0]

    def predict_all(self, plane: Plane, drafts: Iterable[Draft]) -> dict[int, Prediction]:
        """Ask the model about objects in one go, wait, and return small answers by label id."""
        found: dict[int, Prediction] = {}

        def keep(label_id: int, answer: Prediction) -> None:
            found[label_id] = _cropped(answer)

        self._wait_for(plane, drafts, keep)
        return found

    def answer(self, plane: Plane, drafts: Sequence[Draft]) -> tuple[list[Shown], list[SamHQError]]:
        """Get the answers for objects, asking for those that are missing; and why there is none."""
        view = self.view(plane)
        questions: list[Question] = []
        refused: list[SamHQError] = []
        for draft in drafts:
            if self.fresh(plane, draft) is None:
                try:
                    questions.append(self._question(view, draft))
                except PromptError as error:
                    refused.append(error)
        if questions:
            self.scheduler.ask_and_wait(plane, view, questions, lambda *_: None)
        answers = [self.fresh(plane, draft) for draft in drafts]
        return [shown for shown in answers if shown is not None], refused

    def ask(self) -> None:
        """Ask for what is drawn in the present plane and not answered yet, the active one first."""
        try:
            plane = self._unfinished.plane()
            drafts = self._unfinished.drafts(plane)
            view = self.view(plane)
            missing = [
                draft
                for draft in sorted(drafts, key=lambda draft: draft.label_id != drafts.active)
                if draft.drawn.says_where and self.fresh(plane, draft) is None
            ]
            for draft in drafts:
                if not draft.drawn.says_where:
                    self._answers.forget(plane, draft.label_id)
            questions = []
            failures: list[Exception] = []
            for draft in missing:
                try:
                    questions.append(self._question(view, draft))
                except PromptError as error:
                    failures.append(error)
            self.scheduler.ask(plane, view, questions)
            self.scheduler.fail(failures[0] if failures else self.scheduler.failure)
        except SamHQError as error:  # nobody waits for an answer: it becomes the status
            self.scheduler.fail(error)
        self.show()

    def prepare(self) -> None:
        """Have the model look at the present plane, so that the first prompt is fast."""
        try:
            plane = self._unfinished.plane()
            view = self.view(plane)
        except LayerError:
            return  # the status says why
        self.scheduler.prepare(view, visible_region(self._viewer, self._image, plane))

    def forget(self, model: str | None = None) -> None:
        """Drop all answers, for another model or for other pixels."""
        self._answers.clear()
        self._difference = self._compared = None
        if model is None:
            self.scheduler.forget()
        else:
            self.scheduler.use_model(model)

    def show(self) -> None:
        """Bring the preview up to date."""
        try:
            plane = self._unfinished.plane()
        except LayerError:
            self.preview.hide()
            return
        drafts = self._unfinished.drafts(plane)
        outlines, waiting = [], False
        for draft in drafts:
            shown = self.fresh(plane, draft)
            active = draft.label_id == drafts.active
            waiting |= active and shown is None
            shown = shown or self._answers.latest(plane, draft.label_id)
            if shown is not None:
                outlines.append(Outline(shown.mask, self._color(draft.label_id), active))
        difference = self._known_difference(plane) if self.shows_difference else None
        self.preview.show(plane, outlines, difference, waiting=waiting)

    def compare(self, plane: Plane, *, wait: bool = False) -> Difference | None:
        """Find out, for the active object, what HQ changes; None while it is being worked out."""
        draft = self._unfinished.active(plane)
        asked = (plane, wish_of(draft), draft.choice)
        known = self._known_difference(plane)
        if known is None and (wait or self._compared != asked):

            def take(difference: Difference) -> None:
                self._difference = (asked, difference)
                self.show()

            self._compared = asked
            view = self.view(plane)
            self.scheduler.compare(view, self._question(view, draft), take, wait=wait)
            known = self._known_difference(plane)
        return known

    def _wait_for(
        self, plane: Plane, drafts: Iterable[Draft], each: Callable[[int, Prediction], None]
    ) -> None:
        view = self.view(plane)
        questions = [self._question(view, draft) for draft in drafts]
        self.scheduler.ask_and_wait(plane, view, questions, each)
        self.show()

    def _known_difference(self, plane: Plane) -> Difference | None:
        draft = self._unfinished.active(plane)
        asked = (plane, wish_of(draft), draft.choice)
        return self._difference[1] if self._difference and self._difference[0] == asked else None

    def _question(self, view: PlaneView, draft: Draft) -> Question:
        drawn = draft.drawn
        if not drawn.says_where:
            came = "only negative points" if drawn else "no prompt"
            raise PromptError(
                f"There is {came} in this plane, so nothing says which object is meant. Add a "
                "positive point on the object, or a box around it."
            )
        return Question(draft, drawn.to_small_prompt(view.shape))

    def _take(self, plane: Plane, shown: Shown) -> None:
        """Keep an answer if it is still wanted."""
        draft = self._unfinished.drafts(plane).get(shown.draft.label_id)
        if draft is not None and wish_of(draft) == wish_of(shown.draft):
            self._answers.put(plane, shown)

    def _color(self, label_id: int) -> tuple[float, ...]:
        return tuple(float(part) for part in self._color_of(label_id))


def _cropped(answer: Prediction) -> Prediction:
    """Cut an answer down to the pixels around its masks, without logits."""
    rows, cols = bounds_of(np.logical_or.reduce(answer.masks, axis=0))
    top, left = answer.region[0].start or 0, answer.region[1].start or 0
    return replace(
        answer,
        masks=answer.masks[:, rows, cols].copy(),
        low_res_logits=answer.low_res_logits[:, :0, :0],
        region=(
            slice(top + rows.start, top + rows.stop),
            slice(left + cols.start, left + cols.stop),
        ),
    )
