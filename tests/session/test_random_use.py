"""Random use: whatever is done in whatever order, a session holds what a plain one would."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.session.storage.autosave import recover, recoverable
from napari_samhq.session.storage.open import open_session
from support.plain_session import Thing
from support.random_prompts import RandomPrompts, numbers, picks

values = st.integers(0, 9)


class RandomUse(RandomPrompts):
    """Does the same to a session in a viewer and to a plain one, and compares them."""

    # ------------------------------------------------------------------------------------ objects

    @rule(pick=st.none() | picks)
    def commit(self, pick):
        session, plain = self.session, self.plain
        thing = plain.active()
        if pick is not None and self.here():
            thing = self.here()[pick % len(self.here())]
        label_id = None if pick is None or thing is None else thing.label_id
        wanted = [] if self.blocked or thing is None else [thing]
        return self.write(wanted, lambda: [session.commit(label_id)])

    @rule()
    def commit_all(self):
        self.write([] if self.blocked else self.here(), self.session.commit_all)

    def write(self, things, act):
        labels, written = self.plain.commit(things, rules=self.rules, preserve=self.preserve)
        if not written:
            return self.refused(act)
        given = act()
        for thing, label_id in zip(written, given, strict=True):
            others = self.plain.labels == thing.label_id
            assert label_id == thing.label_id or (others.any() and self.plain.is_free(label_id))
            assert label_id <= np.iinfo(self.session.labels.data.dtype).max
        return self.plain.committed(labels, written, given)

    @rule(pick=picks)
    def reopen(self, pick):
        plain = self.plain
        if not plain.objects:
            return self.refused(self.session.reopen, 1)
        label_id = sorted(plain.objects)[pick % len(plain.objects)]
        self.session.reopen(label_id)
        plane, thing = plain.objects[label_id]
        things, _ = plain.here(plane)
        thing = next((one for one in things if one.label_id == label_id), thing)
        plain.plane = plane
        return plain.happen(plain.with_thing(thing))

    def some_object(self, pick):
        """Choose a label id, and find its plane and its pixels there."""
        plain = self.plain
        ids = sorted({*np.unique(plain.labels).tolist(), *plain.objects} - {0}) or [5]
        label_id = ids[pick % len(ids)]
        plane = plain.objects[label_id][0] if label_id in plain.objects else plain.plane
        return label_id, plane, plain.labels[plane.index()] == label_id

    @rule(pick=picks)
    def delete(self, pick):
        plain = self.plain
        label_id, plane, pixels = self.some_object(pick)
        if not pixels.any() or (self.blocked and label_id not in plain.objects):
            return self.refused(self.session.delete, label_id)
        self.session.delete(label_id)
        plain.plane, labels = plane, plain.labels.copy()
        labels[plane.index()][pixels] = 0
        objects = {i: one for i, one in plain.objects.items() if i != label_id}
        classes = {i: one for i, one in plain.classes.items() if i != label_id}
        after = plain.without(label_id)
        return plain.happen(after, labels=labels, objects=objects, classes=classes)

    @rule(pick=picks, category=st.sampled_from(["", "nucleus", "cell"]))
    def classify(self, pick, category):
        plain = self.plain
        label_id, plane, _ = self.some_object(pick)
        there = (plain.labels == label_id).any()
        if not there or (self.blocked and label_id not in plain.objects):
            return self.refused(self.session.classify, label_id, category)
        self.session.classify(label_id, category)
        if plain.classes.get(label_id, "") == category:
            return None
        classes = {**plain.classes, label_id: category}
        classes = {i: one for i, one in classes.items() if one}
        return plain.happen(plain.here(plane), plane, classes=classes)

    @rule(times=st.integers(1, 4))
    def undo(self, times):
        for _ in range(times):
            if self.blocked:
                return self.refused(self.session.undo)
            assert self.session.undo() == self.plain.undo()
        return None

    @rule(times=st.integers(1, 4))
    def redo(self, times):
        for _ in range(times):
            if self.blocked:
                return self.refused(self.session.redo)
            assert self.session.redo() == self.plain.redo()
        return None

    # ----------------------------------------------------------------------- by hand in the labels

    @rule(strokes=st.lists(st.tuples(numbers, numbers, numbers, values), min_size=1, max_size=3))
    def paint(self, strokes):
        layer = self.session.labels
        with layer.block_history():
            for *place, value in strokes:
                layer.paint(self.voxel(place), value)
        self.painted()

    @rule(place=st.tuples(numbers, numbers, numbers), value=values)
    def fill(self, place, value):
        self.session.labels.fill(self.voxel(place), value)
        self.painted()

    @rule(back=st.booleans())
    def undo_in_napari(self, back):
        layer, plain = self.session.labels, self.plain
        (layer.undo if back else layer.redo)()
        now = self.labels()
        if (now == plain.labels).all():
            return
        step = plain.count - back
        if 0 <= step < len(plain.steps):
            where, (old, new) = plain.steps[step].where, plain.steps[step].values
            like = plain.labels.copy()
            like[where] = old if back else new
            if len(where[0]) and (like == now).all():
                (plain.undo if back else plain.redo)()
                return
        self.painted()

    def painted(self) -> None:
        """Let the labels have been changed by hand to what they are now."""
        now, plain = self.labels(), self.plain
        if (now != plain.labels).any():
            plane = self.session.journal.last().plane if self.blocked else plain.plane
            plain.happen(plain.here(plane), plane, labels=now.astype(np.int64))

    # --------------------------------------------------------------------------- what is looked at

    @rule(place=numbers, roll=st.booleans())
    def look(self, place, roll):
        if self.image.ndim == 3:
            self.viewer.dims.order = (1, 0, 2) if roll else (0, 1, 2)
            axes = (0, 2) if roll else (1, 2)
            axis = 1 if roll else 0
            place %= self.image.shape[axis]
            self.viewer.dims.set_current_step(axis, place)
            self.plain.plane = Plane(axes, (place,))

    @rule(flat=st.booleans())
    def turn_display(self, flat):
        self.viewer.dims.ndisplay = 2 if flat else 3
        if not self.blocked:  # napari moves sliders that stand at an end
            self.plain.plane = self.session.plane

    @rule(low=st.integers(0, 100), width=st.integers(1, 150))
    def set_contrast_limits(self, low, width):
        self.session.image.contrast_limits = (low, low + width)

    @rule()
    def replace_pixels(self):
        self.image = np.roll(self.image, 3, axis=-1)
        self.session.image.data = self.image.copy()

    @rule(
        what=st.sampled_from(["scale", "translate", "rotate"]),
        by=st.sampled_from([-3.0, 0.01, 0.5, 1.0, 40.0]),
    )
    def place_image(self, what, by):
        image = self.session.image
        if what == "rotate":
            angle = 0.0 if by == 1.0 else by
            turn = np.eye(image.ndim)
            turn[-2:, -2:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
            image.rotate = turn
            self.tilted = by != 1.0
        else:
            setattr(image, what, np.full(image.ndim, by) * np.arange(1, image.ndim + 1))
        for axis in self.plain.plane.other_axes:
            place = self.plain.plane.position[0]
            self.viewer.dims.set_point(axis, image.data_to_world([place] * image.ndim)[axis])

    @rule(which=st.sampled_from(["points", "shapes", "preview"]))
    def remove_layer(self, which):
        """Throw one of the session's layers away; it comes back when it is needed, and empty."""
        session, plain = self.session, self.plain
        layer = session.preview if which == "preview" else getattr(session, which)
        if layer not in self.viewer.layers:
            return
        self.viewer.layers.remove(layer)
        if which == "preview" or self.blocked:
            return
        for plane in [one for one in plain.things if one.axes == plain.plane.axes]:
            things, active = plain.here(plane)
            last, kept = active, []
            for one in things:
                gone = {"points": ()} if which == "points" else {"outline": None}
                drawn = one.outline is not None and one.outline[0] != "mask"
                changes = one.points if which == "points" else drawn
                thing = one.redrawn(**gone) if changes else one
                if thing.points or thing.outline is not None or thing.reopened or not changes:
                    kept.append(thing)
                    last = thing.label_id if changes else last
            after = tuple(kept)
            last = last if last in [one.label_id for one in kept] else None
            if (after, last) != (things, active):
                plain.happen((after, last), plane)

    @rule()
    def replace_labels(self):
        """Give the labels layer other data: earlier steps are gone."""
        plain, data = self.plain, self.labels()
        self.session.labels.data = data
        self.base = data.copy()
        plain.steps, plain.count = [], 0
        there = {i for i, (plane, _) in plain.objects.items() if (data[plane.index()] == i).any()}
        plain.objects = {i: one for i, one in plain.objects.items() if i in there}

    # ------------------------------------------------------------------------------- on the disk

    def go_on(self, session) -> None:
        """Take up another session in place of the one that was."""
        self.session, self.tilted = session, False
        self.plain.plane = session.plane
        order = list(session.unfinished)  # of planes, which nobody sees
        things = self.plain.things
        self.plain.things = {plane: things[plane] for plane in sorted(things, key=order.index)}

    @rule()
    def save_and_open(self):
        path = Path(self.folder.name) / "cells.samhq.json"
        self.session.save(path, overwrite=True)
        preserve = self.preserve
        self.session.close()
        viewer = self.new_viewer()
        self.go_on(open_session(path, viewer, engine=self.engine, autosave=True))
        habit = self.session.controller.unfinished.habit
        assert (habit.candidate, habit.output, habit.threshold) == self.plain.habit
        assert (self.preserve, self.session.rules) == (preserve, self.rules)

    @rule()
    def die_and_recover(self):
        """End as if the program had died, and bring the work back."""
        old, plain = self.session, self.plain
        is_work = plain.things or plain.objects or (plain.labels != self.base).any()
        if not old.autosave.file.writing or not is_work:
            return
        old.autosave.file._let_go()
        old.controller.history.journal_changed.disconnect(old.autosave._note)
        viewer = self.new_viewer()
        layer = None
        if old.labels.name == "mine":
            layer = viewer.add_labels(self.base.copy(), name="mine")
        session = self.new_session(viewer, labels=layer)
        (found,) = recoverable(viewer.layers["cells"])
        recover(session, found)
        self.go_on(session)
        # Whom the next point belongs to is no step; and settings are those of the beginning.
        for plane, drafts in session.unfinished.items():
            plain.set(plane, (plain.here(plane)[0], drafts.active))
        habit, self.rules = session.controller.unfinished.habit, session.rules
        plain.habit = (habit.candidate, habit.output, habit.threshold)

    # ------------------------------------------------------------------------------- what must be

    @invariant()
    def is_what_a_plain_one_would_be(self):
        session, plain = self.session, self.plain
        if session is None:
            return
        np.testing.assert_array_equal(self.labels(), plain.labels)
        assert {i: one.plane for i, one in session.records.items()} == {
            i: plane for i, (plane, _) in plain.objects.items()
        }
        assert session.controller.history.categories == plain.classes
        found = {
            plane: (tuple(map(plain_of, drafts)), drafts.active)
            for plane, drafts in session.unfinished.items()
        }
        assert found == {plane: plain_things(*one) for plane, one in plain.things.items()}
        steps = session.journal
        assert (len(steps), len(steps.undone)) == (plain.count, len(plain.steps) - plain.count)
        if not self.blocked:
            assert session.plane == plain.plane
        ids, areas = np.unique(plain.labels[plain.labels > 0], return_counts=True)
        table = session.objects
        assert table["label_id"].tolist() == ids.tolist()
        assert table["area"].tolist() == areas.tolist()


def plain_things(things, active):
    outlined = [
        replace(one, outline=one.outline and (one.outline[0] == "mask", extent(one.outline[1])))
        for one in things
    ]
    return tuple(outlined), active


def plain_of(draft) -> Thing:
    """Tell of a session's object what a plain one knows."""
    drawn, choice, outline = draft.drawn, draft.choice, None
    if drawn.mask:
        rows, cols = drawn.mask.region
        outline = True, ((rows.start, cols.start), (rows.stop - 1, cols.stop - 1))
    for shape in drawn.shapes:
        assert outline is None
        outline = False, extent(shape.vertices)
    return Thing(
        draft.label_id,
        tuple((point.row, point.col, point.positive) for point in drawn.points),
        outline,
        (choice.candidate, choice.output, choice.threshold),
        draft.reopened,
    )


def extent(vertices):
    low, high = np.min(vertices, axis=0), np.max(vertices, axis=0)
    return tuple(map(tuple, (low.tolist(), high.tolist())))


@pytest.mark.parametrize(
    ("examples", "steps"),
    [
        pytest.param(6, 50, id="FM-100-some-hundred-steps"),
        pytest.param(60, 80, id="FM-100-some-thousand-steps", marks=pytest.mark.slow),
    ],
)
@pytest.mark.filterwarnings("ignore::napari_samhq.errors.SamHQWarning")
@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing:UserWarning")  # napari's, of axes rolled
@pytest.mark.timeout(1800)
def test_random_use_leaves_what_a_plain_session_would_hold(examples, steps):
    limits = settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    run_state_machine_as_test(RandomUse, settings=limits)
