from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_samhq.errors import ImageError, TrainingError
from napari_samhq.session.training_examples import lessons_of


@pytest.fixture
def session_of_stack(annotate):
    viewer = ViewerModel()
    rows, cols = np.mgrid[:48, :64]
    viewer.add_image(np.stack([(rows * 2 + cols).astype(np.uint8)] * 3), name="stack")
    viewer.dims.set_current_step(0, 0)
    return annotate(viewer)


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


def test_a_finished_area_tells_what_is_background_and_takes_in_what_was_found(session):
    ids = session.segment_everything(spacing_px=16, smallest_px=1)
    session.finish((slice(0, 30), slice(0, 64)))
    found = lessons_of(session)
    (lesson,) = found.lessons
    drawn = session.labels.data
    inside = [i for i in ids if not (drawn[30:] == i).any()]
    assert found.count == len(inside) >= 2
    assert set(np.unique(lesson.labels)) - {0} == set(inside)
    assert lesson.complete[:30][drawn[:30] == 0].all()
    assert not lesson.complete[30:].any()
    # Of an object that goes on beyond the area nothing is known.
    beyond = [i for i in ids if i not in inside and (drawn[:30] == i).any()]
    assert not lesson.complete[np.isin(drawn, beyond)].any()


def test_what_was_deleted_is_background_unless_something_was_marked_there_since(session):
    commit(session, 12, 12)
    commit(session, 30, 40)
    wrong = commit(session, 12, 50)
    where = session.labels.data == wrong
    session.delete(wrong)
    (lesson,) = lessons_of(session).lessons
    assert (lesson.complete == where).all()
    session.undo()
    (lesson,) = lessons_of(session).lessons
    assert not lesson.complete.any()
    session.redo()
    commit(session, 12, 50)
    (lesson,) = lessons_of(session).lessons
    assert not lesson.complete.any()


def test_what_was_rejected_is_background(session):
    commit(session, 12, 12)
    commit(session, 30, 40)
    session.add_points([[12, 50]])
    session.predict()
    shown = session.candidates[0]
    session.reject()
    (lesson,) = lessons_of(session).lessons
    assert lesson.complete[shown.region][shown.mask].all()
    assert lesson.complete.sum() == np.count_nonzero(shown.mask)


def test_a_plane_without_objects_can_be_finished(session_of_stack):
    session = session_of_stack
    commit(session, 12, 12)
    commit(session, 30, 40)
    session.viewer.dims.set_current_step(0, 1)
    session.finish()
    first, second = lessons_of(session).lessons
    assert first.labels.any()
    assert not first.complete.any()
    assert not second.labels.any()
    assert second.complete.all()
    assert second.plane.position == (1,)


def test_finished_areas_are_taken_back_and_checked(session):
    session.finish((slice(0, 30), slice(0, 64)))
    session.finish((slice(0, 30), slice(0, 64)))
    session.finish()
    assert session.finished_here == (
        (slice(0, 30), slice(0, 64)),
        (slice(0, 48), slice(0, 64)),
    )
    session.unfinish()
    assert session.finished == {}
    with pytest.raises(ImageError, match="no pixel"):
        session.finish((slice(60, 70), slice(0, 5)))
    assert session.finished == {}
