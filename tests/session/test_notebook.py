"""A session shows itself in notebooks: the plane, the objects, the state; and touches nothing."""

from __future__ import annotations

import dask.array as da
import numpy as np

from support.notebook_cards import Card
from support.session_work import new_viewer, work


def test_objects_state_and_picture_are_shown(annotate) -> None:
    image = np.tile(np.arange(64, dtype=np.uint8), (48, 1))
    session = annotate(new_viewer(image))
    assert "Ready" in Card(session._repr_html_()).text
    session.add_box([10, 10, 20, 30])
    session.commit()
    shown = Card(session._repr_html_())
    (picture,) = shown.pictures
    assert picture.shape[1] >= 64
    assert (picture == (230, 159, 0)).all(axis=-1).any(), "the object is drawn in"
    assert "cells objects" in shown.text
    assert "table" in shown.tags
    assert "0.90" in shown.text


def test_showing_changes_nothing_and_asks_nothing(annotate, predictor) -> None:
    session = annotate(new_viewer(np.zeros((48, 64))))
    work(session)
    before = np.asarray(session.labels.data).copy(), session.current, len(predictor.calls)
    layers = list(session.viewer.layers)
    session._repr_html_()
    after = np.asarray(session.labels.data), session.current, len(predictor.calls)
    np.testing.assert_array_equal(before[0], after[0])
    assert before[1:] == after[1:]
    assert list(session.viewer.layers) == layers


def test_the_outline_being_made_is_shown(annotate) -> None:
    session = annotate(new_viewer(np.zeros((48, 64))))
    (nothing,) = Card(session._repr_html_()).pictures
    session.add_points([[20, 20]])
    session.predict()
    (something,) = Card(session._repr_html_()).pictures
    assert (nothing != something).any()


def test_names_of_layers_are_escaped(annotate) -> None:
    viewer = new_viewer(np.zeros((48, 64)))
    viewer.layers[0].name = "<script>x</script>"
    session = annotate(viewer)
    shown = Card(session._repr_html_())
    assert "script" not in shown.tags
    assert "<script>x</script>" in shown.text


def test_a_session_that_is_over_says_so(annotate) -> None:
    session = annotate(new_viewer(np.zeros((48, 64))))
    session.close()
    shown = Card(session._repr_html_())
    assert "over" in shown.text
    assert not shown.pictures


def test_a_plane_that_is_too_large_is_not_read(annotate) -> None:
    def refuse(block: np.ndarray) -> np.ndarray:
        raise AssertionError("the pixels were read")

    full = da.zeros((8000, 8000), dtype=np.uint8, chunks=1000).map_blocks(
        refuse, dtype=np.uint8, meta=np.zeros((0, 0), np.uint8)
    )
    viewer = new_viewer([full, np.zeros((80, 80), np.uint8)], multiscale=True)
    shown = Card(annotate(viewer)._repr_html_())
    assert "too large" in shown.text
    assert not shown.pictures
