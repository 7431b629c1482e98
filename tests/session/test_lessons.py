from __future__ import annotations

import numpy as np
import pytest

from napari_samhq.errors import TrainingError
from napari_samhq.session.lessons import lessons_of


def commit(session, row, col):
    session.add_points([[row, col]])
    return session.commit()


def test_committed_and_painted_objects_are_lessons(session):
    first = commit(session, 12, 12)
    session.labels.data[30:36, 40:50] = 9  # by hand
    session.labels.data = session.labels.data
    second = commit(session, 12, 40) if first in session.labels.data else first
    found = lessons_of(session)
    (lesson,) = found.lessons
    assert set(np.unique(lesson.labels)) - {0} == set(session.objects["label_id"])
    assert found.count == len(session.objects) >= 2
    assert second in lesson.labels
    assert lesson.read().shape == (48, 64, 3)
    assert lesson.labels.shape == (48, 64)


def test_lessons_are_copies(session):
    commit(session, 12, 12)
    commit(session, 30, 40)
    (lesson,) = lessons_of(session).lessons
    before = lesson.labels.copy()
    session.undo()
    assert (lesson.labels == before).all()


def test_what_was_found_with_all_others_counts_once_it_was_touched(session):
    ids = session.segment_everything(spacing_px=16, smallest_px=1)
    assert len(ids) > 2
    with pytest.raises(TrainingError, match="found by 'Everything' and not touched"):
        lessons_of(session)
    for label_id in ids[:2]:
        session.reopen(label_id)
        session.commit()
    found = lessons_of(session)
    assert (found.count, found.left_out) == (2, len(ids) - 2)


def test_one_object_is_too_little(session):
    commit(session, 12, 12)
    with pytest.raises(TrainingError, match="one object that you made"):
        lessons_of(session)
