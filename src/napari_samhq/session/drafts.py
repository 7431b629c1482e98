"""Objects being made, plane by plane, in step with the layers of prompts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_samhq.core.journal.assign import shared_out
from napari_samhq.core.journal.drafts import Choice, Draft, Drafts
from napari_samhq.core.journal.events import ChoiceChanged
from napari_samhq.errors import LayerError
from napari_samhq.session.layers.current_plane import current_plane
from napari_samhq.session.layers.lookup import within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.drafts import Step
    from napari_samhq.core.journal.events import Event
    from napari_samhq.session.layers.prompt_layers import PromptLayers

__all__ = ["UnfinishedObjects"]


class UnfinishedObjects:
    """Keeps, for each plane, the objects being made there.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
        Says which plane is looked at.
    image : napari.layers.Image
        The image.
    prompts : PromptLayers
        Where the user draws.
    free_ids : callable
        Lists label ids for new objects, without those that it is given.

    Attributes
    ----------
    habit : Choice
        The output and threshold that new objects begin with: those chosen last.
    remark : str
        On what was done last.
    gone : psygnal.Signal
        Emitted with the plane and the label id of an object that is not being made any more.
    """

    gone = Signal(object, int)

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        prompts: PromptLayers,
        free_ids: Callable[[Iterable[int]], Iterator[int]],
    ) -> None:
        self.prompts = prompts
        self.habit = Choice()
        self.remark = ""
        self._viewer, self._image, self._free_ids = viewer, image, free_ids
        self._drafts: dict[Plane, Drafts] = {}

    def plane(self) -> Plane:
        """Find the plane that is looked at; a LayerError says why there is none."""
        return current_plane(self._viewer, self._image)

    @property
    def planes(self) -> dict[Plane, Drafts]:
        """The objects being made in all planes that have some."""
        return dict(self._drafts)

    def drafts(self, plane: Plane) -> Drafts:
        """Get the objects being made in a plane."""
        return self._drafts.get(plane, Drafts())

    def active(self, plane: Plane) -> Draft:
        """Get the object that the next point belongs to; a new one if there is none."""
        drafts = self.drafts(plane)
        return drafts.active_draft or self.new_draft(drafts)

    def new_draft(self, drafts: Drafts) -> Draft:
        """Begin an object: with a label id that none has, here or in another plane."""
        return next(self.new_drafts(drafts))

    def new_drafts(self, drafts: Drafts) -> Iterator[Draft]:
        """Begin as many objects as are taken, beside those that are being made."""
        for label_id in self._free_ids(draft.label_id for draft in drafts):
            yield Draft(label_id, choice=self.habit)

    def begin_with(self, habit: Choice) -> None:
        """Begin new objects with this output and threshold."""
        self.habit = replace(habit, candidate=None)

    def follow_choice(self, event: Event, drafts: Drafts) -> None:
        """Begin new objects as is chosen now, after a choice was taken back or made again."""
        draft = drafts.active_draft
        if isinstance(event, ChoiceChanged) and draft is not None:
            self.begin_with(draft.choice)

    def say(self, remark: str) -> None:
        """Add a remark on what was done to the status, until the next change."""
        self.remark = remark

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

    def read_layers(
        self, seen_steps: Callable[[Plane, Draft], tuple[Step, ...]]
    ) -> list[tuple[Plane, Drafts, Drafts]]:
        """Take over what the user drew.

        Parameters
        ----------
        seen_steps : callable
            Tells how the mask came about that is seen of an object, and that points refine.

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
                return seen_steps(plane, draft)

            after = shared_out(before, marks.get(plane, ()), self.new_draft, seen)
            if after != before:
                self._set(plane, after)
                changes.append((plane, before, after))
        self.write_layers()  # takes back what could not be used, such as a box of no size
        return changes

    def _set(self, plane: Plane, drafts: Drafts) -> None:
        gone = {draft.label_id for draft in self.drafts(plane)}
        for label_id in gone - {draft.label_id for draft in drafts}:
            self.gone.emit(plane, label_id)
        if drafts:
            self._drafts[plane] = drafts
        else:
            self._drafts.pop(plane, None)
