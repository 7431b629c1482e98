"""The objects being made, at most one in each plane: prompts, answers and preview together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_samhq.errors import LayerError, PromptError, SamHQError
from napari_samhq.session.journal import Draft
from napari_samhq.session.plane import Plane, current_plane
from napari_samhq.session.prompting import Drawn
from napari_samhq.session.targets import within
from napari_samhq.session.views import view_plane

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_samhq.session.asking import Asker, Shown
    from napari_samhq.session.binding import PromptLayers
    from napari_samhq.session.preview import Preview
    from napari_samhq.session.views import PlaneView

__all__ = ["Making"]


class Making:
    """Keeps, for each plane, the object being made there.

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
    asker : Asker
        Gets the masks.
    new_label_id : callable
        Tells the label id that a new object would get.
    color_of : callable
        Tells the colour of a label id.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        prompts: PromptLayers,
        preview: Preview,
        asker: Asker,
        new_label_id: Callable[[], int],
        color_of: Callable[[int], Any],
    ) -> None:
        self.prompts, self.preview, self.asker = prompts, preview, asker
        self.generation = 0  # of the image's data
        self.remark = ""  # on what was drawn last
        self._viewer, self._image = viewer, image
        self._new_label_id, self._color_of = new_label_id, color_of
        self._drafts: dict[Plane, Draft] = {}

    def plane(self) -> Plane:
        """Find the plane that is looked at; a LayerError says why there is none."""
        return current_plane(self._viewer, self._image)

    def draft(self, plane: Plane) -> Draft:
        """Get the object being made in a plane; an empty one where there is none."""
        return self._drafts.get(plane, Draft())

    def label_id(self, plane: Plane) -> int:
        """Tell the label id that the object being made has, or will get."""
        return self.draft(plane).label_id or self._new_label_id()

    def color(self, plane: Plane) -> tuple[float, ...]:
        """Tell the colour of the object being made: red, green, blue, alpha, from 0 to 1."""
        return tuple(float(part) for part in self._color_of(self.label_id(plane)))

    def put(self, plane: Plane, draft: Draft) -> None:
        """Replace the object being made in a plane, in the layers too."""
        self.remark = ""
        self._set(plane, draft)
        self.write_layers()

    def write_layers(self) -> None:
        """Show in the prompt layers what was drawn in the planes parallel to the present one."""
        try:
            axes = self.plane().axes
        except LayerError:
            return
        drawn = {plane: one.drawn for plane, one in self._drafts.items() if plane.axes == axes}
        self.prompts.write(drawn)

    def read_layers(self) -> list[tuple[Plane, Draft, Draft]]:
        """Take over what the user drew.

        Returns
        -------
        list of (Plane, Draft, Draft)
            Each plane in which something changed, with its object before and after.
        """
        here = self.plane()
        drawn = within(self._image, self.prompts.read(here))
        parallel = [plane for plane in self._drafts if plane.axes == here.axes]
        changes = []
        self.remark = ""
        for plane in dict.fromkeys([*parallel, *drawn]):
            before, present = self.draft(plane), drawn.get(plane, Drawn())
            after = replace(before, drawn=present.with_one_area())
            if after.drawn != present:
                self.remark = "The new box took the place of the earlier one; Undo brings it back."
            if after != before:
                self._set(plane, after)
                changes.append((plane, before, after))
        self.write_layers()  # takes back what could not be used, such as a box of no size
        return changes

    def view(self, plane: Plane) -> PlaneView:
        """Describe the pixels of a plane, for the engine to read."""
        return view_plane(self._image, plane, self.generation)

    def fresh(self, plane: Plane) -> Shown | None:
        """Get the answer for a plane if it answers what is drawn there now."""
        shown = self.asker.shown(plane)
        current = shown is not None and shown.drawn == self.draft(plane).drawn
        return shown if current else None

    def predict(self, plane: Plane) -> Shown:
        """Ask the model and wait for its answer."""
        drawn = self.draft(plane).drawn
        if not drawn.says_where:
            came = "only negative points" if drawn else "no prompt"
            raise PromptError(
                f"There is {came} in this plane, so nothing says which object is meant. Add a "
                "positive point on the object, or a box around it."
            )
        shown = self.asker.ask_and_wait(plane, self.view(plane), drawn)
        self.show()
        return shown

    def ask(self) -> None:
        """Ask for what is drawn in the present plane, unless the answer is there already."""
        try:
            plane = self.plane()
            drawn = self.draft(plane).drawn
            if not drawn.says_where:
                self.asker.forget(plane)
            elif self.fresh(plane) is not None:
                self.asker.drop()
            else:
                self.asker.ask(plane, self.view(plane), drawn)
        except SamHQError as error:  # nobody waits for an answer: it becomes the status
            self.asker.failure = str(error)
        self.show()

    def prepare(self) -> None:
        """Have the model look at the present plane, so that the first prompt is fast."""
        try:
            view = self.view(self.plane())
        except LayerError:
            return  # the status says why
        self.asker.prepare(view)

    def show(self) -> None:
        """Bring the preview up to date."""
        try:
            plane = self.plane()
        except LayerError:
            self.preview.hide()
            return
        shown = self.asker.shown(plane)
        if shown is None:
            self.preview.hide()
            return
        self.preview.show(plane, shown.mask, shown.prediction.region, self.color(plane))
        if self.fresh(plane) is None:
            self.preview.dim()

    def _set(self, plane: Plane, draft: Draft) -> None:
        if draft:
            self._drafts[plane] = draft
        else:
            self._drafts.pop(plane, None)
