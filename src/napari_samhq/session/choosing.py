"""Getting masks for the objects being made, and choosing among what the model offers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.journal.events import ChoiceChanged
from napari_samhq.errors import LayerError, PromptError
from napari_samhq.session.drawing import Drawing
from napari_samhq.session.state import Candidate, Unfinished

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from psygnal import SignalInstance

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.drafts import Choice, Output
    from napari_samhq.inference.prediction import Prediction
    from napari_samhq.settings import CommitRules

__all__ = ["Choosing"]


class Choosing(Drawing):
    """Asks the model about the objects being made, and keeps what was chosen of its answers."""

    changed: SignalInstance

    @property
    def refine(self) -> bool:
        """Whether the model gets the mask that is seen along with the next points."""
        return self.desk.making.refine

    @refine.setter
    def refine(self, refine: bool) -> None:
        self.desk.making.refine = bool(refine)

    @property
    def rules(self) -> CommitRules:
        """How masks become objects: who gets shared pixels, smallest area, holes, one piece."""
        return self.desk.ledger.rules

    @rules.setter
    def rules(self, rules: CommitRules) -> None:
        self.desk.ledger.rules = rules

    @property
    def device(self) -> str:
        """Where the model computes, such as "cpu" or "cuda:0"; empty before it was used."""
        asker = self.desk.making.asker
        return asker.engine.device(asker.model)

    def use_device(self, device: str, precision: str = "auto") -> None:
        """Compute elsewhere, or otherwise, see :func:`napari_samhq.load_model`.

        It holds for all sessions that share the engine. Masks that are seen stay.
        """
        self.desk.making.asker.engine.use_device(device, precision)
        self.desk.turn()

    def keep_embeddings(self, folder: str | Path | None) -> None:
        """Keep what the model sees of images in a folder, so that it is there tomorrow.

        What is there already, such as ``napari-samhq embed`` wrote, is found if the model, its
        precision and the contrast limits are the same. It holds for all sessions that share the
        engine. Masks that are seen stay.

        Parameters
        ----------
        folder : str or Path, or None
            Made if it does not exist. Each picture takes 3 MiB there for ``micro`` and 6 for the
            published models, and nothing is ever removed. None keeps it in memory only.

        Raises
        ------
        FileError
            If the folder cannot be made.
        """
        self.desk.making.asker.engine.keep_embeddings(folder)
        self.desk.turn()

    @property
    def drafts(self) -> tuple[Unfinished, ...]:
        """The objects being made in the present plane, in the order in which they were begun."""
        making = self.desk.making
        plane = making.plane()  # looking must not bring removed layers back
        drafts = making.drafts(plane)
        answers = [(draft, making.fresh(plane, draft)) for draft in drafts]
        return tuple(
            Unfinished(
                draft.label_id,
                draft.drawn,
                draft.choice,
                draft.reopened,
                draft.label_id == drafts.active,
                None if shown is None else shown.score,
            )
            for draft, shown in answers
        )

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The model's masks for the active object, best first; empty before a prediction."""
        making = self.desk.making
        plane = making.plane()
        shown = making.fresh(plane, making.drafts(plane).active_draft)
        if shown is None:
            return ()
        return tuple(
            Candidate(mask, shown.region, score, index == shown.chosen)
            for index, (mask, score) in enumerate(zip(shown.masks, shown.scores, strict=True))
        )

    def activate(self, label_id: int | None) -> None:
        """Let the next point belong to another object being made; None: let it begin a new one.

        Raises
        ------
        LayerError
            If no object of that id is being made in the present plane.
        """
        making, plane = self.desk.making, self.desk.plane()
        drafts = making.drafts(plane)
        if label_id is not None and drafts.get(label_id) is None:
            known = ", ".join(str(draft.label_id) for draft in drafts) or "none"
            raise LayerError(
                f"Object {label_id} is not being made in this plane; those that are: {known}. "
                "Call reopen() for one that was committed."
            )
        self.desk.turn_to(plane, drafts.activate(label_id))

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
        plane = self.desk.plane()
        found = self.desk.making.predict(plane, self.desk.making.active(plane))
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
        plane = self.desk.plane()
        found = self.desk.making.predict_all(plane, self.desk.making.drafts(plane))
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
        making, plane = self.desk.making, self.desk.plane()
        change = np.zeros(making.view(plane).shape, dtype=np.int8)
        found = making.compare(plane, wait=True)
        for mask, value in zip(found or (), (1, -1), strict=False):
            change[mask.region][mask.array()] = value
        return change

    @property
    def shows_difference(self) -> bool:
        """Whether the preview shows where the HQ token changes SAM's mask."""
        return self.desk.making.shows_difference

    @shows_difference.setter
    def shows_difference(self, shows: bool) -> None:
        self.desk.making.shows_difference = bool(shows)
        self.desk.show()

    def _choose(self, **change: Any) -> None:
        making, plane = self.desk.making, self.desk.plane()
        making.habit = _without_candidate(replace(making.habit, **change))
        before = making.drafts(plane)
        draft = before.active_draft
        if draft is None or replace(draft.choice, **change) == draft.choice:
            self.changed.emit()
            return
        after = before.put(replace(draft, choice=replace(draft.choice, **change)))
        self.desk.note(ChoiceChanged(plane, before, after))
        if self.desk.runner.inline and making.fresh(plane, after.active_draft) is None:
            self._predict_if_seen(plane)

    def _predict_if_seen(self, plane: Plane) -> None:
        """Show the mask for another output or threshold where one was shown before, as the dock."""
        making = self.desk.making
        draft = making.active(plane)
        if making.latest(plane, draft) is not None:
            making.predict(plane, draft)
            self.changed.emit()


def _without_candidate(choice: Choice) -> Choice:
    return replace(choice, candidate=None)
