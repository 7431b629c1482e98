"""Which object a drawn thing belongs to: rules that hold for anything that may be drawn."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from napari_samhq.core.journal.assign import Mark, shared_out
from napari_samhq.core.journal.drafts import Choice, Draft, Drafts, Step
from napari_samhq.core.journal.shapes_drawn import Drawn, DrawnPoint, DrawnShape

BOX = DrawnShape("rectangle", ((0, 0), (0, 9), (9, 9), (9, 0)))
PATH = DrawnShape("path", ((0, 0), (5, 9), (9, 9)))


def begin(drafts: Drafts) -> Draft:
    return Draft(max((draft.label_id for draft in drafts), default=0) + 1)


def point(row: float) -> DrawnPoint:
    return DrawnPoint(row, 0.0)


drawn_things = st.one_of(st.floats(0, 99).map(point), st.sampled_from([BOX, PATH]))


@given(st.lists(drawn_things, max_size=12))
@settings(max_examples=80, deadline=None)
def test_everything_finds_an_object_and_no_object_has_two_outlines(things):
    drafts = shared_out(Drafts(), [Mark(thing) for thing in things], begin)
    owned = [one for draft in drafts for one in (*draft.drawn.points, *draft.drawn.shapes)]
    assert sorted(map(str, owned)) == sorted(map(str, things))
    for draft in drafts:
        assert draft.drawn
        assert sum(shape.closed for shape in draft.drawn.shapes) <= 1
    outlines = sum(thing == BOX for thing in things)
    assert len(drafts.drafts) == max(outlines, bool(things))
    assert (drafts.active_draft is None) == (not things)


@given(st.lists(drawn_things, max_size=12))
@settings(max_examples=40, deadline=None)
def test_what_is_drawn_twice_the_same_changes_nothing(things):
    drafts = shared_out(Drafts(), [Mark(thing) for thing in things], begin)
    marks = [
        Mark(one, draft.label_id)
        for draft in drafts
        for one in (*draft.drawn.points, *draft.drawn.shapes)
    ]
    assert shared_out(drafts, marks, begin) == drafts


def test_a_changed_object_becomes_active_and_an_emptied_one_goes():
    drafts = shared_out(Drafts(), [Mark(BOX), Mark(BOX)], begin)
    wider = DrawnShape("rectangle", ((0, 0), (0, 12), (9, 12), (9, 0)))
    moved = shared_out(drafts, [Mark(wider, 1), Mark(BOX, 2)], begin)
    assert moved.active == 1
    emptied = shared_out(moved, [Mark(BOX, 2)], begin)
    assert [draft.label_id for draft in emptied] == [2]
    assert emptied.active is None


def test_a_reopened_object_outlives_its_prompts():
    drafts = Drafts().put(Draft(4, Drawn((point(1),)), reopened=True))
    assert [draft.label_id for draft in shared_out(drafts, [], begin)] == [4]


def test_marks_of_unknown_objects_are_taken_as_new():
    drafts = shared_out(Drafts(), [Mark(point(3), 99)], begin)
    assert [draft.label_id for draft in drafts] == [1]


def test_the_model_goes_on_from_what_is_seen_only_where_points_were_added():
    seen = (Step(Drawn((point(1),))),)
    drafts = Drafts().put(Draft(1, Drawn((point(1),)), Choice(candidate=2)))
    more = shared_out(drafts, [Mark(point(1), 1), Mark(point(2), 1)], begin, lambda _: seen)
    (draft,) = more
    assert draft.earlier == seen
    assert draft.choice.candidate is None
    (moved,) = shared_out(more, [Mark(point(1), 1), Mark(point(7), 1)], begin, lambda _: seen)
    assert moved.earlier == ()
