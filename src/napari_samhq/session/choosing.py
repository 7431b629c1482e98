"""Get masks for the objects being made, and choose among what the model offers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.journal.events import ChoiceChanged
from napari_samhq.errors import LayerError, PromptError
from napari_samhq.session.parts import Part
from napari_samhq.session.state import candidates_of, unfinished_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.drafts import Output
    from napari_samhq.engine.plane_view import PlaneView
    from napari_samhq.inference.prediction import Prediction
    from napari_samhq.session.state import Candidate, Unfinished
    from napari_samhq.settings import CommitRules

__all__ = ["Choosing"]


class Choosing(Part):
    """Asks the model about the objects being made, and keeps what was chosen of its answers."""

    @property
    def view(self) -> PlaneView:
        """The pixels of the plane on the screen as the model is shown them, not read yet."""
        return self._masks.view(self.plane)

    @property
    def refine(self) -> bool:
        """Whether the model gets the mask that is seen along with the next points."""
        return self._masks.refine

    @refine.setter
    def refine(self, refine: bool) -> None:
        self._masks.refine = bool(refine)

    @property
    def rules(self) -> CommitRules:
        """How masks become objects: who gets shared pixels, smallest area, holes, one piece."""
        return self._history.rules

    @rules.setter
    def rules(self, rules: CommitRules) -> None:
        self._history.rules = rules

    @property
    def drafts(self) -> tuple[Unfinished, ...]:
        """The objects being made in the present plane, in the order in which they were begun."""
        return unfinished_of(self.controller, self.plane)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The model's masks for the active object, best first; empty before a prediction."""
        return candidates_of(self.controller, self.plane)

    def activate(self, label_id: int | None) -> None:
        """Let the next point belong to another object being made; None: let it begin a new one.

        Raises
        ------
        LayerError
            If no object of that id is being made in the present plane.
        """
        plane = self.controller.plane()
        drafts = self._unfinished.drafts(plane)
        if label_id is not None and drafts.get(label_id) is None:
            known = ", ".join(str(draft.label_id) for draft in drafts) or "none"
            raise LayerError(
                f"Object {label_id} is not being made in this plane; those that are: {known}. "
                "Call reopen() for one that was committed."
            )
        self.controller.turn_to(plane, drafts.activate(label_id))

    def predict(self) -> Prediction:
        """Ask the model for the active object, wait, and show its mask as preview.

        Returns
        -------
        Prediction
            Three candidates after a single click, best first; otherwise one.

        Raises
        ------
        PromptError
            If nothing says which object is meant.
        SamHQError
            If the image or the model cannot be used.
        """
        plane = self.controller.plane()
        found = self._masks.predict(plane, self._unfinished.active(plane))
        self.changed.emit()
        return found

    def predict_all(self) -> dict[int, Prediction]:
        """Ask the model for all objects being made in the present plane, in one go, and wait.

        Returns
        -------
        dict of int to Prediction
            By label id. So that many objects take little memory, masks cover no more than the
            `region` around them, and there are no low-res logits.

        Raises
        ------
        PromptError
            If nothing says which object is meant, for one of them.
        SamHQError
            If the image or the model cannot be used.
        """
        plane = self.controller.plane()
        found = self._masks.predict_all(plane, self._unfinished.drafts(plane))
        self.changed.emit()
        return found

    def choose(self, index: int) -> None:
        """Take another of the :attr:`candidates`, counted from 0."""
        count = len(self.candidates)
        if not 0 <= index < count:
            raise PromptError(
                f"There is no candidate {index}: at present there are {count}, counted from 0. "
                "Call predict() after adding prompts."
            )
        self._choose(candidate=int(index))

    def choose_output(self, output: Output) -> None:
        """Choose which logits make the mask of the active object, and of those begun from now on.

        Parameters
        ----------
        output : {"sam+hq", "sam", "hq"}
            SAM's together with those of the HQ token, as published; SAM's own; or the latter's.
        """
        if output not in ("sam+hq", "sam", "hq"):
            raise PromptError(f"output={output!r} is not known. Choose 'sam+hq', 'sam' or 'hq'.")
        self._choose(output=output)

    def choose_threshold(self, threshold: float) -> None:
        """Choose which logits are object: 0 is the model's border, higher makes masks smaller.

        It holds for the active object, and for those begun from now on.
        """
        if not np.isfinite(threshold):
            raise PromptError(f"threshold={threshold} is no finite number; 0 is the model's own.")
        self._choose(threshold=float(threshold))

    def difference(self) -> NDArray[np.int8]:
        """Find out where the HQ token changes SAM's mask of the active object, and wait for it.

        Returns
        -------
        ndarray of shape (H, W), int8
            Over the present plane: 1 where it adds to the mask, -1 where it takes from it.

        Raises
        ------
        PromptError
            If nothing says which object is meant.
        """
        plane = self.controller.plane()
        change = np.zeros(self._masks.view(plane).shape, dtype=np.int8)
        found = self._masks.compare(plane, wait=True)
        for mask, value in zip(found or (), (1, -1), strict=False):
            change[mask.region][mask.array()] = value
        return change

    @property
    def shows_difference(self) -> bool:
        """Whether the preview shows where the HQ token changes SAM's mask."""
        return self._masks.shows_difference

    @shows_difference.setter
    def shows_difference(self, shows: bool) -> None:
        self._masks.shows_difference = bool(shows)
        self.controller.show()

    def _choose(self, **change: Any) -> None:
        plane = self.controller.plane()
        self._unfinished.begin_with(replace(self._unfinished.habit, **change))
        before = self._unfinished.drafts(plane)
        draft = before.active_draft
        if draft is None or replace(draft.choice, **change) == draft.choice:
            self.changed.emit()
            return
        after = before.put(replace(draft, choice=replace(draft.choice, **change)))
        self.controller.note(ChoiceChanged(plane, before, after))
        if self.controller.runner.inline and self._masks.fresh(plane, after.active_draft) is None:
            self._predict_if_seen(plane)

    def _predict_if_seen(self, plane: Plane) -> None:
        """Show the mask for another output or threshold where one was shown before, as the dock."""
        draft = self._unfinished.active(plane)
        if self._masks.latest(plane, draft) is not None:
            self._masks.predict(plane, draft)
            self.changed.emit()
