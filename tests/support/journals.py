"""Random work: journals with events of every kind, and the labels that they lead to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.journal.drafts import Choice, Draft, Drafts, Step
from napari_samhq.core.journal.events import (
    ChoiceChanged,
    Classified,
    Commit,
    Committed,
    Deleted,
    Journal,
    LabelsEdit,
    ObjectRecord,
    Painted,
    PromptsChanged,
    Rejected,
    Reopened,
)
from napari_samhq.core.journal.shapes_drawn import Drawn, DrawnPoint, DrawnShape
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.measure.uncertainty import Doubt


class RandomWork:
    """Does one random thing after the other to a journal and to the labels."""

    def __init__(self, rng: np.random.Generator, base: np.ndarray) -> None:
        self.rng, self.labels = rng, base.copy()
        self.journal = Journal()
        self.records: dict[int, ObjectRecord] = {}
        self.categories: dict[int, str] = {}
        self.drafts: dict[Plane, Drafts] = {}
        self._highest = int(base.max())

    def step(self) -> tuple[str, Any]:
        """Do something; returns ("append", event), ("undo", event) or ("redo", event)."""
        if self.rng.random() < 0.2 and self.journal.can_undo:
            event = self.journal.step_back()
            self._apply(event, back=True)
            return "undo", event
        if self.rng.random() < 0.3 and self.journal.can_redo:
            event = self.journal.step_forward()
            self._apply(event)
            return "redo", event
        plane = self._plane()
        doing = [self._prompt, self._prompt, self._commit, self._delete, self._paint]
        doing += [self._reject, self._reopen, self._choose, self._classify]
        event = self.rng.choice(np.array(doing, dtype=object))(plane)
        self.journal.append(event)
        self._apply(event)
        return "append", event

    def _apply(self, event, *, back=False) -> None:
        edits = []
        if isinstance(event, Committed):
            edits = [commit.edit for commit in event.commits]
            for commit in event.commits:
                self._set(commit.record.label_id, commit.replaced if back else commit.record)
        elif isinstance(event, Deleted):
            edits = [event.edit]
            self._set(event.label_id, event.record if back else None)
            self._name(event.label_id, event.category if back else "")
        elif isinstance(event, Classified):
            self._name(event.label_id, event.old if back else event.new)
        elif isinstance(event, Painted):
            edits = list(event.edits)
        for edit in edits[::-1] if back else edits:
            part = self.labels[edit.plane.index(edit.region)]
            if edit.plane.axes[0] > edit.plane.axes[1]:
                part = part.T
            assert (part[edit.changed] == (edit.new if back else edit.old)).all()
            part[edit.changed] = edit.old if back else edit.new
        self.drafts[event.plane] = event.before if back else event.after

    def _set(self, label_id, record) -> None:
        self.records.pop(label_id, None)
        if record is not None:
            self.records[label_id] = record

    def _name(self, label_id, category) -> None:
        self.categories.pop(label_id, None)
        if category:
            self.categories[label_id] = category

    def _plane(self) -> Plane:
        ndim = self.labels.ndim
        rows, cols = sorted(self.rng.choice(ndim, 2, replace=False))
        if self.rng.random() < 0.7:
            rows, cols = ndim - 2, ndim - 1
        others = [n for axis, n in enumerate(self.labels.shape) if axis not in (rows, cols)]
        return Plane((int(rows), int(cols)), tuple(int(self.rng.integers(n)) for n in others))

    def _drawn(self, plane: Plane) -> Drawn:
        height, width = (self.labels.shape[axis] for axis in plane.axes)
        points = tuple(
            DrawnPoint(float(row), float(col), bool(self.rng.random() < 0.6))
            for row, col in self.rng.random((self.rng.integers(3), 2)) * (height, width)
        )
        kind = str(self.rng.choice(["rectangle", "path"]))
        box = DrawnShape(kind, ((0.1, 1 / 3), (0.1, 2.5), (2.0, 2.5), (2.0, 1 / 3)))
        mask = CroppedMask.of(self.rng.random((4, 5)) < 0.5, (1, 2))
        return Drawn(
            points,
            (box,) if self.rng.random() < 0.5 else (),
            mask if self.rng.random() < 0.2 else None,
        )

    def _steps(self, plane: Plane) -> tuple[Step, ...]:
        return tuple(
            Step(self._drawn(plane), int(self.rng.integers(3)), together=bool(number % 2))
            for number in range(self.rng.integers(1, 4))
        )

    def _here(self, plane: Plane) -> Drafts:
        return self.drafts.get(plane, Drafts())

    def _prompt(self, plane: Plane):
        before = self._here(plane)
        draft = before.active_draft
        if draft is None or self.rng.random() < 0.3:
            self._highest += 1
            draft = Draft(self._highest)
        draft = replace(draft, drawn=self._drawn(plane), earlier=self._steps(plane)[1:])
        return PromptsChanged(plane, before, before.put(draft))

    def _choose(self, plane: Plane):
        before = self._here(plane)
        draft = before.active_draft
        if draft is None:
            return self._prompt(plane)
        output = str(self.rng.choice(["sam", "sam+hq", "hq"]))
        choice = Choice(int(self.rng.integers(3)), output, float(self.rng.normal()))
        return ChoiceChanged(plane, before, before.put(replace(draft, choice=choice)))

    def _reject(self, plane: Plane):
        before = self._here(plane)
        after = Drafts() if before.active is None else before.without(before.active)
        return Rejected(plane, before, after)

    def _reopen(self, plane: Plane):
        here = [record for record in self.records.values() if record.plane == plane]
        if not here:
            return self._prompt(plane)
        record, before = here[0], self._here(plane)
        draft = Draft(record.label_id, record.drawn, record.choice, reopened=True)
        return Reopened(plane, before, before.put(draft))

    def _commit(self, plane: Plane):
        before = self._here(plane)
        if not before:
            return self._prompt(plane)
        drafts = list(before) if self.rng.random() < 0.5 else [next(iter(before))]
        commits, after = [], before
        taken = self._cut(plane).copy()
        for draft in drafts:
            edit = self._edit(plane, draft.label_id, taken)
            steps = self._steps(plane)
            record = ObjectRecord(
                draft.label_id,
                plane,
                steps,
                float(np.float32(self.rng.random())),
                "micro",
                0.25,
                rules=(("fill_holes", True), ("smallest_area", 12)),
                fingerprint="ab12",
                seen=(("contrast_limits", (0.0, 255.0)),),
                mask=CroppedMask.of(self.rng.random((5, 4)) < 0.5, (1, 2)),
                doubt=Doubt(*self.rng.random(2).tolist()) if self.rng.random() < 0.8 else None,
            )
            commits.append(Commit(record, self.records.get(draft.label_id), edit))
            after = after.without(draft.label_id)
        return Committed(plane, before, after, tuple(commits))

    def _delete(self, plane: Plane):
        here = self._cut(plane)
        present = [int(i) for i in np.unique(here) if i]
        if not present:
            return self._paint(plane)
        label_id = int(self.rng.choice(present))
        wanted = np.where(here == label_id, 0, here)
        before = self._here(plane)
        edit = _edit_between(plane, here, wanted)
        category = self.categories.get(label_id, "")
        return Deleted(plane, before, before, label_id, self.records.get(label_id), edit, category)

    def _classify(self, plane: Plane):
        present = [int(i) for i in np.unique(self._cut(plane)) if i]
        if not present:
            return self._paint(plane)
        label_id, before = int(self.rng.choice(present)), self._here(plane)
        new = str(self.rng.choice(["", "nucleus", "Zellkörper ☂"]))
        return Classified(plane, before, before, label_id, self.categories.get(label_id, ""), new)

    def _paint(self, plane: Plane):
        before = self._here(plane)
        taken = self._cut(plane).copy()
        edits = [
            self._edit(plane, int(self.rng.integers(0, 9)), taken)
            for _ in range(self.rng.integers(1, 3))
        ]
        return Painted(plane, before, before, tuple(edits))

    def _cut(self, plane: Plane) -> np.ndarray:
        return self.labels[plane.index()]

    def _edit(self, plane: Plane, label_id: int, taken: np.ndarray) -> LabelsEdit:
        """Draw a blob into `taken`, and tell what that changed."""
        rows, cols = np.ogrid[: taken.shape[0], : taken.shape[1]]
        row, col = self.rng.random(2) * taken.shape
        blob = np.hypot(rows - row, cols - col) < self.rng.integers(1, 9)
        before = taken.copy()
        taken[blob] = label_id
        return _edit_between(plane, before, taken)


def _edit_between(plane: Plane, old: np.ndarray, new: np.ndarray) -> LabelsEdit:
    changed = old != new
    rows, cols = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    region = (slice(0, 0), slice(0, 0))
    if rows.size:
        region = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)
    inside = changed[region]
    return LabelsEdit(plane, region, inside, old[region][inside], new[region][inside])


def random_journal(rng, shape, steps=25, dtype=np.int32):
    """Work at random; returns the journal, the labels before, and the labels after."""
    base = np.zeros(shape, dtype=dtype)
    if rng.random() < 0.5:
        base[..., :5, :6] = 3
    work = RandomWork(rng, base)
    for _ in range(steps):
        work.step()
    return work.journal, base, work.labels
