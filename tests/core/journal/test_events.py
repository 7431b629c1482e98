from __future__ import annotations

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.journal.drafts import Draft, Drafts
from napari_samhq.core.journal.events import Journal, Rejected
from napari_samhq.core.journal.shapes_drawn import Drawn, DrawnPoint


def _event(row: int) -> Rejected:
    return Rejected(Plane((0, 1)), Drafts((Draft(1, Drawn((DrawnPoint(row, 0),))),), 1), Drafts())


def test_going_back_and_forth():
    journal = Journal()
    events = [_event(row) for row in range(3)]
    for event in events:
        journal.append(event)
    assert [journal.step_back() for _ in range(3)] == events[::-1]
    assert not journal.can_undo
    assert journal.last() is None
    assert [journal.step_forward() for _ in range(3)] == events
    assert not journal.can_redo
    assert journal.next() is None
    assert list(journal) == events


def test_what_was_taken_back_is_forgotten_once_something_else_happens():
    journal = Journal()
    for row in range(3):
        journal.append(_event(row))
    journal.step_back()
    journal.step_back()
    journal.append(_event(9))
    assert not journal.can_redo
    assert list(journal) == [_event(0), _event(9)]
    assert len(journal) == 2
