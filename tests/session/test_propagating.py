"""Objects of a stack followed through its planes, in a session."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_samhq.errors import Cancelled, LayerError

SHAPE, MIDDLE = (9, 48, 64), 4


def pictures() -> np.ndarray:
    """A disc in planes 1 to 7, in noise."""
    rows, cols = np.mgrid[: SHAPE[1], : SHAPE[2]]
    disc = np.hypot(rows - 24, cols - 30) < 9
    volume = np.random.default_rng(0).normal(60, 5, SHAPE)
    volume[1:8] += 90 * disc
    return volume.astype(np.uint8)


@pytest.fixture
def stack(annotate):
    """A session on the stack, with the disc outlined in the middle plane, as object 1."""
    viewer = ViewerModel()
    viewer.add_image(pictures(), name="stack")
    viewer.dims.set_point(0, MIDDLE)
    session = annotate(viewer)
    session.add_box([15, 21, 33, 39])
    assert session.commit() == 1
    return session


def planes_of(session, label_id: int) -> list[int]:
    return np.flatnonzero((session.labels.data == label_id).any(axis=(1, 2))).tolist()


def test_one_step_of_undo(stack):
    before = stack.labels.data.copy()
    assert stack.propagate([1]) == [1]
    after = stack.labels.data.copy()
    assert planes_of(stack, 1) == [1, 2, 3, 4, 5, 6, 7]
    np.testing.assert_array_equal(after[MIDDLE], before[MIDDLE])
    assert sorted(stack.doubt["plane"]) == [1, 2, 3, 5, 6, 7]
    assert stack.undo()
    np.testing.assert_array_equal(stack.labels.data, before)
    assert len(stack.doubt) == 0
    assert stack.redo()
    np.testing.assert_array_equal(stack.labels.data, after)


def test_a_corrected_plane_is_an_anchor(stack):
    stack.propagate(planes=(2, 7))
    assert planes_of(stack, 1) == [2, 3, 4, 5, 6, 7]
    rows, cols = np.mgrid[20:26, 26:34].reshape(2, -1)
    stack.labels.data_setitem((np.full(rows.size, 6), rows, cols), 0)  # a hole by hand
    corrected = stack.labels.data[6].copy()
    below = stack.labels.data[:MIDDLE].copy()
    assert 6 not in set(stack.doubt["plane"])
    stack.propagate(planes=(2, 7))
    np.testing.assert_array_equal(stack.labels.data[6], corrected)
    np.testing.assert_array_equal(stack.labels.data[:MIDDLE], below)
    assert sorted(stack.doubt["plane"]) == [2, 3, 5, 7]


def test_locked_planes_and_other_objects_stay(stack):
    stack.labels.data_setitem((np.array([5, 5]), np.array([24, 24]), np.array([30, 31])), 8)
    stack.propagate([1], planes=(2, 6))
    assert (stack.labels.data[5, 24, 30:32] == 8).all()
    assert planes_of(stack, 8) == [5]
    stack.lock(3)
    locked = stack.labels.data[3].copy()
    stack.propagate([1], planes=(2, 6))
    np.testing.assert_array_equal(stack.labels.data[3], locked)
    stack.unlock(3)
    assert not stack._propagating.propagator.locked


def test_a_cancelled_run_changes_nothing(stack):
    before = stack.labels.data.copy()

    def stop(progress):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        stack.propagate(progress=stop)
    np.testing.assert_array_equal(stack.labels.data, before)


def test_it_is_saved_and_comes_back(stack, tmp_path):
    import napari_samhq as samhq

    stack.propagate([1])
    path = stack.save(tmp_path / "stack.samhq.json")
    again = samhq.replay(
        path, stack.image.data, model=stack.controller.masks.scheduler.engine.load("micro", print)
    )
    np.testing.assert_array_equal(again, stack.labels.data)


def test_a_series_of_stacks(annotate):
    viewer = ViewerModel()
    viewer.add_image(np.stack([np.zeros_like(pictures()), pictures()]), name="series")
    viewer.dims.set_point(0, 1)
    viewer.dims.set_point(1, MIDDLE)
    session = annotate(viewer)
    session.add_box([15, 21, 33, 39])
    session.commit()
    session.propagate()
    assert not session.labels.data[0].any()
    assert np.flatnonzero(session.labels.data[1].any(axis=(1, 2))).tolist() == [1, 2, 3, 4, 5, 6, 7]
    with pytest.raises(LayerError, match="along one of"):
        session.propagate(axis=3)


def test_what_cannot_be_is_told(stack, session):
    with pytest.raises(LayerError, match="no object 12"):
        stack.propagate([12])
    with pytest.raises(LayerError, match="one plane"):
        session.propagate()
