"""The objects being made, plane by plane: prompts, answers and preview together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.journal.assign import shared_out
from napari_samhq.core.journal.drafts import Choice, Draft, Drafts
from napari_samhq.core.journal.events import ChoiceChanged
from napari_samhq.core.masks.cropped import bounds_of
from napari_samhq.engine.answers import Answers, wish_of
from napari_samhq.engine.engine import Question
from napari_samhq.engine.scheduler import Asker
from napari_samhq.errors import LayerError, PromptError, SamHQError
from napari_samhq.session.layers.current_plane import current_plane, visible_region
from napari_samhq.session.layers.image_view import view_plane
from napari_samhq.session.layers.lookup import within
from napari_samhq.session.layers.preview import Outline

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.drafts import Step
    from napari_samhq.core.journal.events import Event
    from napari_samhq.engine.answers import Shown
    from napari_samhq.engine.engine import Engine
    from napari_samhq.engine.jobs import Runner
    from napari_samhq.engine.plane_view import Channels, PlaneView
    from napari_samhq.engine.scheduler import Difference
    from napari_samhq.inference.prediction import Prediction
    from napari_samhq.session.layers.preview import Preview
    from napari_samhq.session.layers.prompt_layers import PromptLayers

__all__ = ["Making"]


class Making:
    """Keeps, for each plane, the objects being made there.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
        Says which plane is looked at.
    image : napari.layers.Image
        The image.
    prompts : PromptLayers
        Where the user draws.
    preview : Preview
        Where masks are shown before they are accepted.
    free_ids : callable
        Lists label ids for new objects, without those that it is given.
    color_of : callable
        Tells the colour of a label id.

    Attributes
    ----------
    asker : Asker
        Gets the masks.
    refine : bool
        Whether the mask that is seen goes to the model along with points that are added.
    habit : Choice
        The output and threshold that new objects begin with: those chosen last.
    remark : str
        On what was done last.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        prompts: PromptLayers,
        preview: Preview,
        free_ids: Callable[[Iterable[int]], Iterator[int]],
        color_of: Callable[[int], Sequence[float]],
    ) -> None:
        self.prompts, self.preview = prompts, preview
        self.asker: Asker
        self.refine = True
        self.habit = Choice()
        self.remark = ""
        self.generation = 0  # of the image's data
        self.channels: Channels | None = None  # that the model sees instead of the plane
        self.channel_axis: int | None = None  # where somebody named it
        self.shows_difference = False
        self._difference: tuple[Hashable, Difference] | None = None  # and what it was asked for
        self._compared: Hashable = None  # what was asked for last
        self._viewer, self._image = viewer, image
        self._free_ids, self._color_of = free_ids, color_of
        self._drafts: dict[Plane, Drafts] = {}
        self._answers = Answers()

    def connect(
        self,
        engine: Engine,
        runner: Runner,
        model: str,
        *,
        may_fetch: bool,
        changed: Callable[[], None],
    ) -> None:
        """Begin to ask a model, see :class:`Asker`."""
        self.asker = Asker(
            engine, runner, model, may_fetch=may_fetch, take=self._take, changed=changed
        )

    # ---------------------------------------------------------------------------------- the objects

    def plane(self) -> Plane:
        """Find the plane that is looked at; a LayerError says why there is none."""
        return current_plane(self._viewer, self._image)

    @property
    def unfinished(self) -> dict[Plane, Drafts]:
        """The objects being made in all planes that have some."""
        return dict(self._drafts)

    def drafts(self, plane: Plane) -> Drafts:
        """Get the objects being made in a plane."""
        return self._drafts.get(plane, Drafts())

    def new_draft(self, drafts: Drafts) -> Draft:
        """Begin an object: with a label id that none has, here or in another plane."""
        return next(self.new_drafts(drafts))

    def new_drafts(self, drafts: Drafts) -> Iterator[Draft]:
        """Begin as many objects as are taken, beside those that are being made."""
        for label_id in self._free_ids(draft.label_id for draft in drafts):
            yield Draft(label_id, choice=self.habit)

    def follow_choice(self, event: Event, drafts: Drafts) -> None:
        """Begin new objects as is chosen now, after a choice was taken back or made again."""
        draft = drafts.active_draft
        if isinstance(event, ChoiceChanged) and draft is not None:
            self.habit = replace(draft.choice, candidate=None)

    def active(self, plane: Plane) -> Draft:
        """Get the object that the next point belongs to; a new one if there is none."""
        drafts = self.drafts(plane)
        return drafts.active_draft or self.new_draft(drafts)

    def color(self, plane: Plane) -> tuple[float, ...]:
        """Tell the colour of the active object: red, green, blue, alpha, from 0 to 1."""
        return self._color(self.active(plane).label_id)

    def put(self, plane: Plane, drafts: Drafts) -> None:
        """Replace the objects being made in a plane, in the layers too."""
        self.remark = ""
        self._set(plane, drafts)
        self.write_layers()

    def write_layers(self) -> None:
        """Show in the prompt layers what was drawn in the planes parallel to the present one."""
        try:
            axes = self.plane().axes
        except LayerError:
            return
        self.prompts.write({p: drafts for p, drafts in self._drafts.items() if p.axes == axes})

    def read_layers(self) -> list[tuple[Plane, Drafts, Drafts]]:
        """Take over what the user drew.

        Returns
        -------
        list of (Plane, Drafts, Drafts)
            Each plane in which something changed, with its objects before and after.
        """
        here = self.plane()
        marks = within(self._image, self.prompts.read(here))
        parallel = [plane for plane in self._drafts if plane.axes == here.axes]
        changes = []
        self.remark = ""
        for plane in dict.fromkeys([*parallel, *marks]):
            before = self.drafts(plane)

            def seen(draft: Draft, plane: Plane = plane) -> tuple[Step, ...]:
                return self.seen_steps(plane, draft)

            after = shared_out(before, marks.get(plane, ()), self.new_draft, seen)
            if after != before:
                self._set(plane, after)
                changes.append((plane, before, after))
        self.write_layers()  # takes back what could not be used, such as a box of no size
        return changes

    # ---------------------------------------------------------------------------------- the answers

    def view(self, plane: Plane) -> PlaneView:
        """Describe the pixels of a plane, for the engine to read."""
        return view_plane(self._image, plane, self.generation, self.channels)

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

    def _wait_for(
        self, plane: Plane, drafts: Iterable[Draft], each: Callable[[int, Prediction], None]
    ) -> None:
        view = self.view(plane)
        questions = [self._question(view, draft) for draft in drafts]
        self.asker.ask_and_wait(plane, view, questions, each)
        self.show()

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
            self.asker.ask_and_wait(plane, view, questions, lambda *_: None)
        answers = [self.fresh(plane, draft) for draft in drafts]
        return [shown for shown in answers if shown is not None], refused

    def ask(self) -> None:
        """Ask for what is drawn in the present plane and not answered yet, the active one first."""
        try:
            plane = self.plane()
            drafts = self.drafts(plane)
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
            self.asker.ask(plane, view, questions)
            self.asker.failure = failures[0] if failures else self.asker.failure
        except SamHQError as error:  # nobody waits for an answer: it becomes the status
            self.asker.failure = error
        self.show()

    def prepare(self) -> None:
        """Have the model look at the present plane, so that the first prompt is fast."""
        try:
            plane = self.plane()
            view = self.view(plane)
        except LayerError:
            return  # the status says why
        self.asker.prepare(view, visible_region(self._viewer, self._image, plane))

    def forget(self, model: str | None = None) -> None:
        """Drop all answers, for another model or for other pixels."""
        self._answers.clear()
        self._difference = self._compared = None
        if model is None:
            self.asker.forget()
        else:
            self.asker.use_model(model)

    def show(self) -> None:
        """Bring the preview up to date."""
        try:
            plane = self.plane()
        except LayerError:
            self.preview.hide()
            return
        drafts = self.drafts(plane)
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
        draft = self.active(plane)
        asked = (plane, wish_of(draft), draft.choice)
        known = self._known_difference(plane)
        if known is None and (wait or self._compared != asked):

            def take(difference: Difference) -> None:
                self._difference = (asked, difference)
                self.show()

            self._compared = asked
            view = self.view(plane)
            self.asker.compare(view, self._question(view, draft), take, wait=wait)
            known = self._known_difference(plane)
        return known

    def _known_difference(self, plane: Plane) -> Difference | None:
        draft = self.active(plane)
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
        draft = self.drafts(plane).get(shown.draft.label_id)
        if draft is not None and wish_of(draft) == wish_of(shown.draft):
            self._answers.put(plane, shown)

    def _color(self, label_id: int) -> tuple[float, ...]:
        return tuple(float(part) for part in self._color_of(label_id))

    def _set(self, plane: Plane, drafts: Drafts) -> None:
        gone = {draft.label_id for draft in self.drafts(plane)}
        for label_id in gone - {draft.label_id for draft in drafts}:
            self._answers.forget(plane, label_id)
        if drafts:
            self._drafts[plane] = drafts
        else:
            self._drafts.pop(plane, None)


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
