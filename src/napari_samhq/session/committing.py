"""Turn objects being made into labels, take them up again, and undo and redo all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_samhq.core.journal.drafts import Drafts
from napari_samhq.core.journal.events import Rejected
from napari_samhq.core.journal.shapes_drawn import Drawn
from napari_samhq.errors import LayerError, PromptError
from napari_samhq.session.parts import Part

if TYPE_CHECKING:
    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.drafts import Draft

__all__ = ["Committing"]


class Committing(Part):
    """Writes objects into the labels layer, and knows what made them."""

    def commit(self, label_id: int | None = None) -> int:
        """Write the active object, or another one being made, into the labels layer.

        Parameters
        ----------
        label_id : int, optional
            Which of the objects being made in the present plane; the active one when left out.

        Returns
        -------
        int
            Its label id: the one that it had from its first prompt on, unless somebody painted
            with that since; then a new one.

        Raises
        ------
        PromptError
            If there is nothing to commit.
        LayerError
            If the labels layer cannot take it. Nothing is changed then.
        """
        plane = self.controller.plane()
        drafts = self._unfinished.drafts(plane)
        if label_id is not None:
            draft = drafts.get(label_id)
            if draft is None:
                raise LayerError(f"Object {label_id} is not being made in this plane.")
            return self._commit(plane, [draft])[0]
        if drafts and drafts.active_draft is None:
            waiting = ", ".join(str(draft.label_id) for draft in drafts)
            raise PromptError(
                f"None of the objects being made is active, but {waiting} wait. Commit them by "
                "commit_all(), or choose one by activate(label_id)."
            )
        return self._commit(plane, [self._unfinished.active(plane)])[0]

    def commit_all(self) -> list[int]:
        """Write all objects of the present plane into the labels layer, as one step.

        Returns
        -------
        list of int
            Their label ids. Objects that cannot be written still wait: their prompts say nothing,
            their masks are empty, or other objects own all of their pixels.

        Raises
        ------
        PromptError, LayerError
            If none can be written. Nothing is changed then.
        """
        plane = self.controller.plane()
        return self._commit(plane, list(self._unfinished.drafts(plane)))

    def reject(self) -> None:
        """Give up the active object; one that was reopened stays as it was committed."""
        plane = self.controller.plane()
        drafts = self._unfinished.drafts(plane)
        if drafts.active is not None:
            self.controller.note(Rejected(plane, drafts, drafts.without(drafts.active)))

    def reject_all(self) -> None:
        """Give up all objects being made in the present plane."""
        plane = self.controller.plane()
        drafts = self._unfinished.drafts(plane)
        if drafts:
            self.controller.note(Rejected(plane, drafts, Drafts()))

    def clear(self) -> None:
        """Remove all prompts of the active object."""
        plane = self.controller.plane()
        draft = self._unfinished.drafts(plane).active_draft
        if draft is not None and draft.drawn:
            self.controller.draw(plane, draft.redrawn(Drawn()))

    def next_object(self) -> int | None:
        """Go on to the next object: commit the active one if it has a mask, else reject it."""
        plane = self.controller.plane()
        if self._masks.fresh(plane, self._unfinished.drafts(plane).active_draft) is not None:
            return self.commit()
        self.reject()
        return None

    def undo(self) -> bool:
        """Take back the last thing that was done; False if there is nothing left."""
        self.controller.plane()
        event = self._history.undo()
        if event is not None:
            self._unfinished.follow_choice(event, event.before)
            self.controller.turn_to(event.plane, event.before)
        return event is not None

    def redo(self) -> bool:
        """Do again what was taken back last; False if there is nothing left."""
        self.controller.plane()
        event = self._history.redo()
        if event is not None:
            self._unfinished.follow_choice(event, event.after)
            self.controller.turn_to(event.plane, event.after)
        return event is not None

    def reopen(self, label_id: int) -> None:
        """Take a committed object up again: its prompts come back and can be changed.

        Raises
        ------
        LayerError
                If it was not made in this session.
        """
        plane = self._plane_of(label_id)
        event = self._history.reopen(label_id, self._unfinished.drafts(plane))
        self.controller.turn_to(event.plane, event.after)

    def delete(self, label_id: int) -> None:
        """Take an object out of the labels layer: its plane, or the present one if painted by hand.

        Raises
        ------
        LayerError
            If there is no such object.
        """
        plane = self._plane_of(label_id)
        event = self._history.delete(label_id, plane, self._unfinished.drafts(plane))
        self.controller.turn_to(event.plane, event.after)

    def classify(self, label_id: int, category: str) -> None:
        """Say of which class an object is, such as "nucleus"; an empty text takes the class away.

        Classes are in the table of objects, go along into COCO, GeoJSON and CSV files, and can be
        taken back by :meth:`undo`.

        Raises
        ------
        LayerError
            If there is no such object.
        """
        plane = self._plane_of(label_id)
        self._history.classify(label_id, category, plane, self._unfinished.drafts(plane))
        self.changed.emit()

    def _plane_of(self, label_id: int) -> Plane:
        """Find the plane of an object: the present one, if nobody knows what made it."""
        record = self._history.records.get(label_id)
        return record.plane if record is not None else self.controller.plane()

    def _commit(self, plane: Plane, drafts: list[Draft]) -> list[int]:
        if not drafts:
            raise PromptError(
                "There is no prompt in this plane, so nothing says which object is meant. Add a "
                "positive point on the object, or a box around it."
            )
        answers, refused = self._masks.answer(plane, drafts)
        if not answers and refused:
            raise refused[0]
        seen = dict(self._masks.view(plane).seen)
        drafted = self._unfinished.drafts(plane)
        event, unwritten = self._history.commit(plane, drafted, answers, **seen)
        self.controller.turn_to(plane, event.after)
        refused += unwritten
        if refused:
            self._unfinished.say(f"{len(refused)} of {len(drafts)} still wait. {refused[0]}")
            self.changed.emit()
        return [commit.record.label_id for commit in event.commits]
