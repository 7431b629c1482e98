"""A session on layers that lie anywhere, in stacks of any order: prompts stay in place."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.engine.engine import Engine
from napari_samhq.engine.models import ModelSource
from napari_samhq.errors import LayerError, SamHQWarning
from napari_samhq.session import Session, State
from napari_samhq.session.layers.current_plane import current_plane, show_plane
from support.fakes import FakePredictor
from support.places import PER_UM, placements

few = settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
pixels = st.tuples(st.floats(0, 39), st.floats(0, 59))
two_pixels = st.lists(pixels, min_size=2, max_size=2, unique_by=lambda at: np.rint(at).tobytes())


def begin(viewer: ViewerModel) -> Session:
    source = ModelSource(load=lambda name, report: FakePredictor(), list=list)
    return Session(viewer, viewer.layers[0], engine=Engine(source))


def put(layer, place) -> None:
    for field, value in place.items():
        setattr(layer, field, value)


def there(session: Session, layer, position):
    """Where a position of the image lies in another layer's data, by napari's own transforms."""
    image = session.image
    world_um = np.array(image.data_to_world(position)) / per_um(image)
    return np.array(layer.world_to_data(world_um * per_um(layer)))


def per_um(layer):
    return [PER_UM[str(unit)] for unit in layer.units]


def drawn_points(session: Session) -> list[tuple[float, float]]:
    return [(point.row, point.col) for point in session.current.drawn.points]


# ------------------------------------------------------------------------ layers that lie anywhere


@few
@given(placements(3), placements(3), placements(3), two_pixels)
@pytest.mark.parametrize("here", [pytest.param(1, id="FM-10-and-FM-12-any-two-layers")])
def test_prompts_go_through_layers_of_any_place_unchanged(
    here, image_place, points_place, shapes_place, positions
):
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((3, 40, 60)), **image_place)
    session = begin(viewer)
    try:
        put(session.points, points_place)
        put(session.shapes, shapes_place)  # and the sliders then count in other units
        show_plane(viewer, image, Plane((1, 2), (2,)))
        box = [3.1, 4.2, 20.3, 30.4]
        session.add_box(box)
        session.add_points(positions[:1])
        waiting = session.current.drawn

        show_plane(viewer, image, Plane((1, 2), (here,)))
        session.add_points(positions[:1])
        session.points.add(there(session, session.points, (here, *positions[1])))
        first, second = drawn_points(session)
        assert first == positions[0]  # not even rounded
        np.testing.assert_allclose(second, positions[1], rtol=0, atol=1e-6)
        for point, position in zip(session.points.data[-2:], positions, strict=True):
            expected = there(session, session.points, (here, *position))
            reach_px = np.abs(expected).max()
            np.testing.assert_allclose(point, expected, rtol=0, atol=1e-9 * max(1, reach_px))

        session.undo()  # one step for one click, although a shape waits in another plane
        assert drawn_points(session) == [positions[0]]
        session.undo()
        assert session.undo()
        assert current_plane(viewer, image) == Plane((1, 2), (2,))
        session.redo()
        assert session.current.drawn == waiting
    finally:
        session.close()


@few
@given(placements(), placements(), st.lists(pixels, min_size=3, max_size=3))
@pytest.mark.parametrize("kind", [pytest.param("polygon", id="FM-10-shapes")])
def test_drawn_shapes_mean_the_same_pixels_wherever_their_layer_lies(
    kind, image_place, shapes_place, corners
):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((40, 60)), **image_place)
    session = begin(viewer)
    try:
        put(session.shapes, shapes_place)
        vertices = np.array([there(session, session.shapes, corner) for corner in corners])
        with suppress(LayerError):  # three corners on one line enclose nothing
            session.shapes.add([vertices], shape_type=kind)
        for shape in session.current.drawn.shapes:
            # napari keeps vertices in single precision, which is all that is lost here.
            size = np.abs(vertices).max(axis=0)
            ends = [there(session, session.shapes, c) for c in ((0, 0), (1, 0), (0, 1))]
            per_px = np.abs(np.array(ends[1:]) - ends[0]).T
            lost = np.abs(np.linalg.inv((np.array(ends[1:]) - ends[0]).T)) @ (size * 2.0**-23)
            assert (np.abs(np.array(shape.vertices) - corners) <= lost + 1e-6).all(), per_px
    finally:
        session.close()


@pytest.mark.parametrize("shape", [(40, 60), (3, 40, 60)])
def test_a_click_that_makes_the_world_larger_is_not_lost(annotate, shape):
    viewer = ViewerModel()
    viewer.add_image(np.zeros(shape))
    session = annotate(viewer)
    session.points.scale = (0.01,) * len(shape)  # so that sliders have other steps
    session.add_points([[20, 30]])
    here = current_plane(viewer, session.image)
    outside = here.lift([[-70, 200]])[0]
    with pytest.warns(SamHQWarning, match="outside"):
        session.points.add(there(session, session.points, outside))
    np.testing.assert_allclose(drawn_points(session), [(20, 30), (-70, 200)], rtol=0, atol=1e-6)


@pytest.mark.parametrize("place", [pytest.param({"scale": (-0.3, 0.7)}, id="FM-10-precision")])
def test_what_is_written_is_read_back_to_the_last_bit(annotate, place):
    viewer = ViewerModel()
    rows, cols = np.ogrid[:5000, :6000]
    viewer.add_image((rows + cols).astype(np.uint8), contrast_limits=(0, 255), **place)
    session = annotate(viewer)
    session.points.scale = session.shapes.scale = (0.11, -0.13)
    session.add_box([1000.1, 2000.2, 3000.3, 4000.4])
    before = session.current.drawn.shapes
    session.points.add(there(session, session.points, (1500.7, 2500.9)))
    assert session.current.drawn.shapes == before
    session.commit()
    session.undo()
    assert session.current.drawn.shapes == before
    np.testing.assert_allclose(drawn_points(session), [(1500.7, 2500.9)], rtol=0, atol=1e-6)


@few
@given(placements(3))
@pytest.mark.parametrize("shape", [pytest.param((3, 40, 60), id="FM-10-labels-lie-exactly-over")])
def test_labels_and_preview_lie_exactly_over_the_image(shape, image_place):
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros(shape), **image_place)
    session = begin(viewer)
    try:
        show_plane(viewer, image, Plane((1, 2), (1,)))
        session.add_box([10, 20, 15, 30])
        session.predict()
        preview = next(layer for layer in viewer.layers if layer.name.endswith("preview"))
        outline = np.argwhere(preview.data)
        ends = [outline.min(axis=0), outline.max(axis=0)]
        world = [preview.data_to_world(end) for end in ends]
        session.commit()
        labelled = np.argwhere(session.labels.data == 1)
        assert labelled.min(axis=0).tolist() == [1, 10, 20]
        assert labelled.max(axis=0).tolist() == [1, 15, 30]
        for layer in (session.labels, session.image):
            assert layer.units == preview.units
            for there, end in zip(world, [(1, 10, 20), (1, 15, 30)], strict=True):
                np.testing.assert_allclose(layer.world_to_data(there), end, rtol=0, atol=1e-6)
    finally:
        session.close()


# ------------------------------------------------------------------- transforms that are no use


_SINGULAR = np.array([[1, 2, 0], [2, 4, 0], [0, 0, 1.0]])


@pytest.mark.parametrize(
    "place",
    [
        pytest.param({"translate": (np.nan, 0)}, id="FM-11-translate-nan"),
        pytest.param({"affine": _SINGULAR}, id="FM-11-singular-affine"),
        pytest.param({"scale": (0, 1)}, id="FM-11-scale-0"),
        pytest.param({"scale": (1, np.nan)}, id="FM-11-scale-nan"),
    ],
)
def test_an_image_that_lies_nowhere_is_refused_before_a_layer_is_added(viewer, annotate, place):
    viewer.add_image(np.zeros((40, 60)), name="nowhere")
    with suppress(ValueError):  # napari itself cannot measure such a layer, but takes it
        put(viewer.layers["nowhere"], place)
    before = list(viewer.layers)
    with pytest.raises(LayerError, match=r"transform (has NaN|cannot be inverted)"):
        annotate(viewer, "nowhere")
    assert list(viewer.layers) == before
    viewer.layers.remove("nowhere")
    session = annotate(viewer, "cells")
    session.add_points([[20, 30]])
    assert session.commit() == 1


@pytest.mark.parametrize(
    "place",
    [
        pytest.param({"translate": (np.nan, 0)}, id="FM-11-translate-nan-later"),
        pytest.param({"affine": _SINGULAR}, id="FM-11-singular-affine-later"),
    ],
)
def test_a_session_waits_while_its_image_lies_nowhere(viewer, session, place):
    session.add_points([[20, 30]])
    good = {field: np.array(getattr(session.image, field)) for field in place}
    put(session.image, place)
    assert session.status.state is State.CANNOT
    assert "transform" in session.status.sentence
    for call in (session.commit, session.predict, lambda: session.add_points([[1, 2]])):
        with pytest.raises(LayerError, match="transform"):
            call()
    assert not session.labels.data.any()
    put(session.image, good | {"scale": (2, 3)})
    assert drawn_points(session) == [(20, 30)]
    assert session.commit() == 1
    assert session.labels.scale.tolist() == session.points.scale.tolist() == [2, 3]


# ------------------------------------------------------------------------------------------ units


@pytest.mark.parametrize(
    ("units", "scale"),
    [
        pytest.param(("nm", "nm"), (1, 1), id="FM-12-nm-over-um"),
        pytest.param(("mm", "um"), (1e-6, 1e-3), id="FM-12-two-units"),
    ],
)
def test_prompts_are_converted_between_units(annotate, units, scale):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((40, 60)), scale=(0.5, 0.25), units=("um", "um"))
    session = annotate(viewer)
    put(session.points, {"units": units, "scale": scale})
    session.points.add([10_000, 5_000])
    np.testing.assert_allclose(drawn_points(session), [(20, 20)], rtol=0, atol=1e-6)


@pytest.mark.parametrize("units", [pytest.param(("pixel",) * 2, id="FM-12-pixel-over-um")])
def test_numbers_are_taken_as_they_are_where_one_layer_counts_in_pixels(annotate, units):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((40, 60)), scale=(0.5, 0.25), units=("um", "um"))
    session = annotate(viewer)
    session.points.units = units
    with pytest.warns(SamHQWarning, match="mix pixels with physical units"):
        session.points.add([20, 30])
    np.testing.assert_allclose(drawn_points(session), [(20, 30)], rtol=0, atol=1e-6)


@pytest.mark.parametrize("units", [pytest.param(("s", "s"), id="FM-12-seconds-over-um")])
def test_units_of_another_kind_are_refused_and_nothing_is_lost(annotate, units):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((40, 60)), units=("um", "um"))
    session = annotate(viewer)
    session.add_points([[20, 30]])
    session.points.units = units
    session.points.add([3, 4])
    assert "measure different things" in session.status.sentence
    with pytest.raises(LayerError, match="measure different things"):
        session.add_points([[5, 6]])
    session.points.units = ("um", "um")
    assert (20, 30) in drawn_points(session)
    assert session.commit() == 1


# ----------------------------------------------------------------------------------------- stacks


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.permutations(range(5)), st.permutations(range(5)), st.data())
@pytest.mark.parametrize(
    "shape", [pytest.param((2, 7, 3, 24, 32), id="FM-09-5-D-any-displayed-axes")]
)
def test_objects_go_where_they_are_seen_and_wait_while_axes_are_rolled(shape, order, other, data):
    viewer = ViewerModel()
    image = viewer.add_image(
        np.zeros(shape, dtype=np.uint8), scale=(1, 2, 1, 0.5, 0.25), translate=(0, 9, 0, 1, 2)
    )
    session = begin(viewer)
    try:
        viewer.dims.order = tuple(order)
        axes = tuple(sorted(order[3:]))
        hidden = [axis for axis in range(5) if axis not in axes]
        place = tuple(data.draw(st.integers(0, shape[axis] - 1)) for axis in hidden)
        for axis, step in zip(hidden, place, strict=True):
            viewer.dims.set_current_step(axis, step)
        plane = Plane(axes, place)
        assert current_plane(viewer, image) == plane
        row, col = (shape[axis] // 2 for axis in axes)
        session.add_points([[row, col]])

        viewer.dims.order = tuple(other)  # looks elsewhere, and makes another object there
        if set(other[3:]) != set(axes):
            assert not session.current.drawn
        viewer.dims.order = tuple(order)
        assert drawn_points(session) == [(row, col)]
        label_id = session.commit()
        labelled = np.argwhere(session.labels.data == label_id)
        assert len(labelled)
        assert {tuple(index[hidden]) for index in labelled} == {place}
        assert session.labels.data[tuple(plane.lift([[row, col]])[0].astype(int))] == label_id
    finally:
        session.close()
