"""The objects of a session: what is in the labels layer, what made it, and how it came about."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.journal.drafts import Draft, Drafts
from napari_samhq.core.journal.events import (
    ChoiceChanged,
    Classified,
    Commit,
    Committed,
    Deleted,
    Event,
    Journal,
    ObjectRecord,
    Painted,
    Reopened,
)
from napari_samhq.core.journal.state import Standing
from napari_samhq.core.labels.edits import reverse, same_edits
from napari_samhq.core.labels.label_writer import object_mask
from napari_samhq.core.labels.sparse_labels import edits_of
from napari_samhq.core.measure.uncertainty import Doubt
from napari_samhq.errors import LayerError, PromptError, SamHQError
from napari_samhq.session.labels.tracked_labels import TrackedLabels
from napari_samhq.settings import CommitRules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    import pandas as pd
    from napari.layers import Labels

    from napari_samhq.core.journal.events import LabelsEdit
    from napari_samhq.engine.answers import Shown

__all__ = ["History"]


class History:
    """Writes objects into a labels layer, keeps what made them, and can take all of it back.

    Parameters
    ----------
    labels : napari.layers.Labels
        Where the objects are.
    look_at : callable
        Tells the plane that is looked at; None for no plane.
    unfinished : callable
        Tells the objects being made in all planes that have some.

    Attributes
    ----------
    journal : Journal
        What happened.
    tracked : TrackedLabels
        The labels layer, and all that is known of it.
    rules : CommitRules
        How masks become objects.
    journal_changed : psygnal.Signal
        Emitted after each change of the journal with what it was, "append", "undo" or "redo", and
        the event: whoever keeps up with these has the journal.
    journal_cut : psygnal.Signal
        Emitted after all events were forgotten: the layer got other data, which is the beginning
        of a new journal.
    painted : psygnal.Signal
        Emitted after somebody edited the labels by hand.
    moved : psygnal.Signal
        Emitted with a plane and its objects in the making after napari's own undo or redo in the
        layer turned out to be a step of the journal, back to or on to that.
    """

    journal_changed = Signal(str, Event)
    journal_cut = Signal()
    painted = Signal()
    moved = Signal(Plane, Drafts)

    def __init__(
        self,
        labels: Labels,
        look_at: Callable[[], Plane | None],
        unfinished: Callable[[], Mapping[Plane, Drafts]],
    ) -> None:
        self.journal = Journal()
        self._standing = Standing(categories=_categories_in(labels))
        self.rules = CommitRules()
        self.tracked = TrackedLabels(
            labels,
            on_paint=self._take_paint,
            on_history=self._take_history,
            on_replaced=self._cut,
        )
        self._look_at, self._unfinished = look_at, unfinished

    @property
    def records(self) -> dict[int, ObjectRecord]:
        """What made the objects that are there now, by label id."""
        return self._standing.records

    @property
    def categories(self) -> dict[int, str]:
        """The classes of objects that have one, by label id."""
        return self._standing.categories

    def close(self) -> None:
        """Leave the labels layer alone from now on."""
        self.tracked.close()

    def take_up(
        self, journal: Journal, records: dict[int, ObjectRecord], categories: Mapping[int, str]
    ) -> None:
        """Go on where another session ended; the layer has its labels already."""
        self.journal, self._standing = journal, Standing({}, records, dict(categories))
        for label_id in records:
            self.tracked.use(label_id)

    def taken_in(self, plane: Plane) -> set[int]:
        """Collect the label ids that no new object of a plane may get."""
        return self.tracked.ids_in(plane) | self.records.keys() | self._drafted()

    def free_ids(self, also: Iterable[int] = ()) -> Iterator[int]:
        """List label ids for new objects: no other has them, be it in the layer or being made."""
        return self.tracked.free_ids(self._drafted().union(also))

    def append(self, event: Event) -> None:
        """Keep what happened; choices for one object that follow each other make one event."""
        last = self.journal.last()
        if (
            isinstance(event, ChoiceChanged)
            and isinstance(last, ChoiceChanged)
            and (last.plane, last.after) == (event.plane, event.before)
            and not self.journal.can_redo
            and _kinds_of_choice(last) == _kinds_of_choice(event)
        ):
            self.journal_changed.emit("undo", self.journal.step_back())
            event = ChoiceChanged(event.plane, last.before, event.after)
        self.journal.append(event)
        self.journal_changed.emit("append", event)

    def commit(
        self,
        plane: Plane,
        before: Drafts,
        accepted: Sequence[Shown],
        *,
        rules: CommitRules | None = None,
        **seen: Any,
    ) -> tuple[Committed, list[SamHQError]]:
        """Write chosen masks as objects, each new or in place of the one that was reopened.

        Parameters
        ----------
        plane : Plane
            The plane.
        before : Drafts
            The objects being made in it.
        accepted : sequence of Shown
            The answers for those that are done.
        rules : CommitRules, optional
            How masks become objects, if not by :attr:`rules`.
        **seen
            How the pixels were shown to the model.

        Returns
        -------
        event : Committed
            What was written.
        refused : list of SamHQError
            Why others were not: their masks are empty, or other objects own all of their pixels.
            They are still being made.

        Raises
        ------
        PromptError, LayerError
            If none could be written. Nothing is changed then.
        """
        commits: list[Commit] = []
        refused: list[SamHQError] = []
        after = before
        with self.tracked.one_step():
            for shown in accepted:
                try:
                    commit = self._prepared(plane, shown, rules or self.rules, seen)
                except (LayerError, PromptError) as error:
                    refused.append(error)
                    continue
                self.tracked.write([commit.edit])
                self.tracked.use(commit.record.label_id)
                self.records[commit.record.label_id] = commit.record
                commits.append(commit)
                after = after.without(shown.draft.label_id)
        if refused and not commits:
            raise refused[0]
        event = Committed(plane, before, after, tuple(commits))
        self.append(event)
        return event, refused

    def delete(self, label_id: int, plane: Plane, before: Drafts) -> Event:
        """Take an object out of the labels layer; `before` is what is being made in its plane."""
        record = self.records.get(label_id)
        edit = self.tracked.edit_to_delete(plane, label_id, record, self.records.values())
        category = self.categories.get(label_id, "")
        event = Deleted(plane, before, before.without(label_id), label_id, record, edit, category)
        self._apply(event)
        self.append(event)
        return event

    def classify(self, label_id: int, category: str, plane: Plane, before: Drafts) -> None:
        """Give an object a class; `before` is what is being made in its plane.

        Raises
        ------
        LayerError
            If there is no such object.
        """
        if not self.tracked.area(label_id, self.records.get(label_id)):
            raise LayerError(f"There is no object {label_id} in {self.tracked.layer.name!r}.")
        old, new = self.categories.get(label_id, ""), " ".join(category.split())
        if new != old:
            event = Classified(plane, before, before, label_id, old, new)
            self._standing.apply_to_objects(event)
            self.append(event)

    def reopen(self, label_id: int, before: Drafts) -> Event:
        """Take a committed object up again, with its prompts.

        Raises
        ------
        LayerError
            If nothing is known of it.
        """
        record = self.records.get(label_id)
        if record is None:
            known = ", ".join(map(str, sorted(self.records))) or "none"
            raise LayerError(
                f"Object {label_id} has no prompts to come back to: it was not made in this "
                f"session. Objects with prompts: {known}."
            )
        draft = before.get(label_id)
        if draft is None:
            earlier = record.steps[:-1]
            draft = Draft(label_id, record.drawn, record.choice, reopened=True, earlier=earlier)
        event = Reopened(record.plane, before, before.put(draft))
        self.append(event)
        return event

    def undo(self) -> Event | None:
        """Take back the last event, in the labels layer too, and return it."""
        self.tracked.settle()
        event = self.journal.last()
        if event is not None:
            self._write(event, back=True)
            self._step_back()
        return event

    def redo(self) -> Event | None:
        """Do the event again that was taken back last, and return it."""
        self.tracked.settle()
        event = self.journal.next()
        if event is not None:
            self._write(event)
            self._step_forward()
        return event

    def table(self) -> pd.DataFrame:
        """List the objects in the labels layer, be they made here, painted, or there before."""
        import pandas as pd

        unknown = Doubt(float("nan"), float("nan"))
        rows: list[tuple[Any, ...]] = []
        for i, one in self.records.items():
            if area := self.tracked.area(i, one):
                doubt = astuple(one.doubt or unknown)
                known = (i, one.score, area, str(one.drawn), one.plane.position, one.model)
                rows.append((*known, *doubt, self.categories.get(i, "")))
        for i in self.tracked.ids_without(self.records.values()):
            known = (i, float("nan"), self.tracked.area(i), "", self.tracked.position(i), "")
            rows.append((*known, *astuple(unknown), self.categories.get(i, "")))
        columns = ["label_id", "score", "area", "prompts", "plane", "model"]
        columns += ["disagreement", "uncertainty_px", "category"]
        return pd.DataFrame(sorted(rows, key=lambda row: row[0]), columns=columns)

    # ---------------------------------------------------------------------------------------- parts

    def _prepared(
        self, plane: Plane, shown: Shown, rules: CommitRules, seen: dict[str, Any]
    ) -> Commit:
        """Work out how a mask becomes an object; nothing is written yet."""
        overwrites = rules.overwrites(preserve_labels=self.tracked.layer.preserve_labels)
        rules = replace(rules, overlap="overwrite" if overwrites else "keep")
        mask = object_mask(shown.mask, rules, shown.draft.drawn)
        label_id = shown.draft.label_id
        if not shown.draft.reopened and self.tracked.is_taken(label_id, plane):
            label_id = next(self.free_ids())  # somebody painted with it since it was begun
        replaced = self.records.get(label_id)
        edit = self.tracked.edit_to_commit(
            plane, mask, label_id, rules, record=replaced, others=self.records.values()
        )
        record = ObjectRecord(
            label_id,
            plane,
            shown.steps,
            shown.score,
            shown.model,
            threshold=shown.draft.choice.threshold,
            rules=rules.pairs(),
            fingerprint=shown.fingerprint,
            seen=tuple(seen.items()),
            mask=mask if rules.mode == "semantic" else None,
            doubt=shown.doubt,
        )
        return Commit(record, replaced, edit)

    def _drafted(self) -> set[int]:
        """Collect the label ids of the objects being made, in all planes."""
        return {draft.label_id for drafts in self._unfinished().values() for draft in drafts}

    def _apply(self, event: Event) -> None:
        self._write(event)
        self._standing.apply_to_objects(event)

    def _write(self, event: Event, *, back: bool = False) -> None:
        """Write into the labels what an event changed in them, or what it was before."""
        edits = edits_of(event)
        if edits:
            (self.tracked.take_back if back else self.tracked.do_again)(edits)

    def _step_back(self) -> None:
        event = self.journal.step_back()
        self._standing.apply_to_objects(event, back=True)
        self.journal_changed.emit("undo", event)

    def _step_forward(self) -> None:
        event = self.journal.step_forward()
        self._standing.apply_to_objects(event)
        self.journal_changed.emit("redo", event)

    # --------------------------------------------------------------- what others do with the labels

    def _take_paint(self, edits: tuple[LabelsEdit, ...]) -> None:
        seen = self._look_at()  # none in 3-D
        plane = edits[0].plane if seen is None else seen
        drafts = self._unfinished().get(plane, Drafts())
        self.append(Painted(plane, drafts, drafts, edits))
        self.painted.emit()

    def _take_history(self, change: tuple[LabelsEdit, ...]) -> None:
        """Follow napari's own undo or redo; what is no step of the journal is an edit by hand."""
        last, following = self.journal.last(), self.journal.next()
        if last is not None and same_edits(reverse(edits_of(last)), change):
            self._step_back()
            self.moved.emit(last.plane, last.before)
        elif following is not None and same_edits(edits_of(following), change):
            self._step_forward()
            self.moved.emit(following.plane, following.after)
        else:
            self._take_paint(change)

    def _cut(self) -> None:
        """Begin a new journal on other data; objects stay known where their pixels are still."""
        self.journal.clear()
        there = {i: one for i, one in self.records.items() if self.tracked.is_there(one)}
        self._standing.records = there
        self.journal_cut.emit()


def _categories_in(labels: Labels) -> dict[int, str]:
    """Read classes out of the features of a layer, as files of objects bring them."""
    features = labels.features
    if not {"index", "category"} <= set(features.columns):
        return {}
    pairs = zip(features["index"], features["category"], strict=True)
    return {int(i): name for i, name in pairs if isinstance(name, str) and name}


def _kinds_of_choice(event: ChoiceChanged) -> set[tuple[int, str]]:
    """Tell of which objects an event changed which parts of the choice."""
    kinds = set()
    for draft in event.after:
        before = event.before.get(draft.label_id)
        if before is not None:
            kinds |= {
                (draft.label_id, name)
                for name in ("candidate", "output", "threshold")
                if getattr(draft.choice, name) != getattr(before.choice, name)
            }
    return kinds
