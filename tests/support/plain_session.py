"""What a session should hold after each step, kept in the plainest way: arrays, tuples, a list."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import ndimage

RADIUS = 5.0  # of the discs that the fake predictor draws
USUAL = (None, "sam+hq", 0.0)  # candidate, output, threshold


@dataclass(frozen=True)
class Thing:
    """An object being made: `points` are (row, col, positive), an outline is a kind and corners."""

    label_id: int
    points: tuple = ()
    outline: Any = None
    choice: tuple = USUAL
    reopened: bool = False

    @property
    def candidates(self) -> int:
        return 3 if self.outline is None and len(self.points) == 1 else 1

    @property
    def chosen(self) -> int:
        return min(self.choice[0] or 0, self.candidates - 1)

    @property
    def says_where(self) -> bool:
        return self.outline is not None or any(positive for *_, positive in self.points)

    def redrawn(self, **change) -> Thing:
        return replace(self, **change, choice=(None, *self.choice[1:]))

    def mask(self, shape) -> np.ndarray:
        """What the fake predictor answers."""
        _, output, threshold = self.choice
        radius = RADIUS - threshold + {"sam+hq": 0, "sam": 1, "hq": -1}[output]
        radius *= (1, 0.5, 2)[self.chosen]
        rows, cols = np.ogrid[: shape[0], : shape[1]]
        mask = np.zeros(shape, dtype=bool)
        if self.outline is not None:
            low, high = np.min(self.outline[1], axis=0), np.max(self.outline[1], axis=0)
            mask = (rows >= low[0]) & (rows <= high[0]) & (cols >= low[1]) & (cols <= high[1])
        for sign in (True, False):
            for row, col, positive in self.points:
                if positive == sign:
                    mask[np.hypot(rows - row, cols - col) <= radius] = sign
        return mask


@dataclass(frozen=True)
class Step:
    """Something that happened: pairs of what was before and after."""

    plane: Any
    things: tuple
    where: tuple  # of the labels that changed
    values: tuple
    objects: tuple
    classes: tuple
    chosen: Any = None  # of a choice: which part of it was changed, and for which object


@dataclass
class PlainSession:
    """All that counts of a session. `things` has (objects being made, id of the active one)."""

    labels: np.ndarray
    plane: Any
    things: dict = field(default_factory=dict)
    objects: dict = field(default_factory=dict)  # label id: (plane, thing)
    classes: dict = field(default_factory=dict)
    steps: list = field(default_factory=list)
    count: int = 0
    habit: tuple = USUAL

    def here(self, plane=None) -> tuple:
        return self.things.get(plane or self.plane, ((), None))

    def active(self, plane=None) -> Thing | None:
        things, active = self.here(plane)
        return next((one for one in things if one.label_id == active), None)

    def find(self, label_id) -> tuple | None:
        """Find an object being made: its plane, and what it is."""
        for plane, (things, _) in self.things.items():
            for one in things:
                if one.label_id == label_id:
                    return plane, one
        return None

    def is_free(self, label_id) -> bool:
        taken = (self.labels == label_id).any() or label_id in self.objects
        return not taken and self.find(label_id) is None

    def with_thing(self, thing, plane=None) -> tuple:
        """The objects of a plane with one put in, or in the place of the one of its id."""
        things, _ = self.here(plane)
        if thing.label_id in [one.label_id for one in things]:
            swapped = tuple(thing if one.label_id == thing.label_id else one for one in things)
            return swapped, thing.label_id
        return (*things, thing), thing.label_id

    def without(self, *label_ids, plane=None) -> tuple:
        things, active = self.here(plane)
        kept = tuple(one for one in things if one.label_id not in label_ids)
        return kept, None if active in label_ids else active

    # ------------------------------------------------------------------------------- what happens

    def happen(self, after, plane=None, *, labels=None, objects=None, classes=None, chosen=None):
        """Let a step happen that leaves these objects being made in a plane."""
        plane, labels = plane or self.plane, self.labels if labels is None else labels
        where = np.nonzero(labels != self.labels)
        step = Step(
            plane,
            (self.here(plane), after),
            where,
            (self.labels[where], labels[where]),
            (self.objects, self.objects if objects is None else objects),
            (self.classes, self.classes if classes is None else classes),
            chosen,
        )
        self.steps[self.count :] = [step]
        self.count += 1
        self._take(step, 0, 1)

    def undo(self) -> bool:
        return self.count > 0 and self._go(-1)

    def redo(self) -> bool:
        return self.count < len(self.steps) and self._go(1)

    def _go(self, by) -> bool:
        step = self.steps[self.count - (by < 0)]
        self.count += by
        self.plane = step.plane
        self._take(step, *((0, 1) if by > 0 else (1, 0)))
        if step.chosen is not None and (thing := self.active()):
            self.habit = (None, *thing.choice[1:])
        return True

    def _take(self, step, old, new) -> None:
        still = self.labels[step.where] == step.values[old]
        self.labels[tuple(axis[still] for axis in step.where)] = step.values[new][still]
        self.objects, self.classes = step.objects[new], step.classes[new]
        self.set(step.plane, step.things[new])

    def set(self, plane, things) -> None:
        self.things.pop(plane, None) if not things[0] else self.things.update({plane: things})

    def choose(self, thing, part, value) -> None:
        """Another candidate (part 0), output (1) or threshold (2); a row of them is one step."""
        self.habit = (None, *(value if n == part else self.habit[n] for n in (1, 2)))
        if thing is None:
            return
        choice = tuple(value if n == part else thing.choice[n] for n in range(3))
        if choice == thing.choice:
            return
        chosen, last = {(thing.label_id, part)}, self.steps[self.count - 1] if self.count else None
        after = self.with_thing(replace(thing, choice=choice))
        if (
            last
            and self.count == len(self.steps)
            and (last.plane, last.things[1], last.chosen) == (self.plane, self.here(), chosen)
        ):
            self.count -= 1
            self.set(self.plane, last.things[0])
            chosen = set() if after == self.here() else chosen
        self.happen(after, chosen=chosen)

    def commit(self, things, *, rules, preserve) -> tuple:
        """Write things; returns what the labels are then, and those that could be written."""
        labels, written = self.labels.copy(), []
        part = labels[self.plane.index()]
        keep = rules.overlap == "keep" or (rules.overlap == "follow layer" and preserve)
        for thing in things:
            mask = thing.mask(part.shape)
            if rules.fill_holes:
                mask = ndimage.binary_fill_holes(mask)
            if not thing.says_where or np.count_nonzero(mask) < rules.smallest_area:
                continue
            own = part == thing.label_id
            if not thing.reopened and (labels == thing.label_id).any():
                own = np.zeros_like(own)  # somebody painted with its id: it gets another
            if keep:
                mask &= (part == 0) | own
            if np.count_nonzero(mask) < max(rules.smallest_area, 1):
                continue
            part[own] = 0
            part[mask] = -len(written) - 1
            written.append(thing)
        return labels, written

    def committed(self, labels, written, given) -> None:
        """Let things have been written, under the ids that were given to them."""
        objects = dict(self.objects)
        for number, (thing, label_id) in enumerate(zip(written, given, strict=True), start=1):
            labels[labels == -number] = label_id
            choice = (thing.chosen, *thing.choice[1:])
            done = replace(thing, label_id=label_id, choice=choice, reopened=True)
            objects[label_id] = (self.plane, done)
        after = self.without(*(one.label_id for one in written))
        self.happen(after, labels=labels, objects=objects)
