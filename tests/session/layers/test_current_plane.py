"""Stacks: which plane is prompted, and that prompts and objects stay in theirs."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.errors import LayerError, SamHQWarning
from napari_samhq.session import State
from napari_samhq.session.layers.current_plane import current_plane, show_plane, visible_region


@pytest.fixture
def stack() -> ViewerModel:
    """A time series of volumes, T Z Y X, with a calibration that differs between the axes."""
    viewer = ViewerModel()
    data = np.arange(2 * 5 * 24 * 32, dtype=np.uint16).reshape(2, 5, 24, 32)
    viewer.add_image(data, scale=(1, 2, 0.5, 0.5), translate=(0, 10, 1, 2), name="stack")
    return viewer


def test_the_plane_follows_the_sliders(stack):
    stack.dims.set_current_step(0, 1)
    stack.dims.set_current_step(1, 3)
    assert current_plane(stack, stack.layers["stack"]) == Plane((2, 3), (1, 3))


def test_any_displayed_axes_and_any_order(stack):
    image = stack.layers["stack"]
    stack.dims.set_current_step(0, 1)
    stack.dims.order = (0, 2, 1, 3)
    stack.dims.set_current_step(2, 7)
    assert current_plane(stack, image) == Plane((1, 3), (1, 7))
    stack.dims.order = (0, 2, 3, 1)  # transposed: the same plane
    assert current_plane(stack, image) == Plane((1, 3), (1, 7))


def test_sliders_are_read_where_another_layer_has_a_finer_step(stack):
    stack.add_image(np.zeros((2, 50, 24, 32)), scale=(1, 0.2, 0.5, 0.5), translate=(0, 10, 1, 2))
    stack.dims.set_point(1, 14.2)
    assert current_plane(stack, stack.layers["stack"]).position[1] == 2


def test_an_image_with_fewer_axes_than_the_viewer(stack):
    flat = stack.add_image(np.zeros((24, 32)))
    assert current_plane(stack, flat) == Plane((0, 1))
    stack.dims.order = (0, 2, 1, 3)
    with pytest.raises(LayerError, match="does not have"):
        current_plane(stack, flat)


def test_outside_of_the_image_is_told(stack):
    stack.add_image(np.zeros((2, 50, 24, 32)))
    stack.dims.set_point(1, 40)
    with pytest.raises(LayerError, match="outside of the image 'stack'"):
        current_plane(stack, stack.layers["stack"])


@pytest.mark.parametrize("ndisplay", [pytest.param(3, id="FM-09-3D-display")])
def test_a_3d_display_is_refused_and_nothing_breaks(stack, annotate, ndisplay):
    session = annotate(stack)
    stack.dims.ndisplay = ndisplay
    assert session.status.state is State.CANNOT
    assert "Switch to 2-D" in session.status.sentence
    with pytest.raises(LayerError, match="3-D"):
        session.add_points([[3, 4]])
    session.points.add([0, 0, 3, 4])
    assert not session.labels.data.any()
    stack.dims.ndisplay = 2
    session.reject()
    session.add_points([[3, 4]])
    assert session.commit() == 1


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
def test_a_tilted_image_is_refused(annotate):
    viewer = ViewerModel()
    tilt = np.eye(4)
    tilt[:3, :3] = [[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]
    viewer.add_image(np.zeros((5, 24, 32)), affine=tilt, name="tilted")
    session = annotate(viewer)
    with pytest.raises(LayerError, match="tilted against the displayed plane"):
        session.add_points([[3, 4]])


def test_an_image_turned_within_its_plane_is_not_tilted():
    viewer = ViewerModel()
    turn = np.eye(4)
    turn[1:3, 1:3] = [[0.8, -0.6], [0.6, 0.8]]
    image = viewer.add_image(np.zeros((5, 24, 32)), affine=turn)
    viewer.dims.set_current_step(0, 3)
    assert current_plane(viewer, image).position == (3,)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 1, 3), (1, 3, 0, 2)])
@pytest.mark.parametrize("position", [(0, 0), (1, 2), (1, 4)])
def test_showing_a_plane_shows_it(stack, order, position):
    image = stack.layers["stack"]
    stack.dims.order = (3, 2, 1, 0)
    plane = Plane(tuple(sorted(order[2:])), position)
    show_plane(stack, image, plane)
    assert current_plane(stack, image) == plane


@pytest.mark.parametrize(
    ("order", "center", "expected"),
    [
        ((0, 1, 2, 3), (10, 20), (1, 3, 10, 20)),
        ((0, 2, 1, 3), (2, 20), (1, 2, 12, 20)),
        ((0, 2, 3, 1), (2, 20), (1, 2, 12, 20)),
    ],
)
def test_objects_go_into_the_plane_that_is_shown(stack, annotate, order, center, expected):
    session = annotate(stack)
    stack.dims.order = order
    stack.dims.set_current_step(0, 1)
    stack.dims.set_current_step(order[1], {1: 3, 2: 12}[order[1]])
    session.add_points([center])
    session.commit()
    labelled = np.argwhere(session.labels.data)
    assert session.labels.data[expected] == 1
    for axis in order[:2]:
        assert set(labelled[:, axis]) == {expected[axis]}


def test_the_preview_lies_where_the_object_will_be(stack, annotate):
    session = annotate(stack)
    stack.dims.set_current_step(0, 1)
    stack.dims.set_current_step(1, 3)
    session.add_points([[10, 20]])
    session.predict()
    preview = stack.layers["stack preview"]
    shown = {
        tuple(np.rint(session.labels.world_to_data(preview.data_to_world(index))).astype(int))
        for index in np.argwhere(preview.data)
    }
    session.commit()
    labelled = {tuple(index) for index in np.argwhere(session.labels.data)}
    assert shown < labelled  # an outline
    assert np.ptp(list(shown), axis=0).tolist() == np.ptp(list(labelled), axis=0).tolist()
    assert not preview.data.any()


def test_an_unfinished_object_waits_in_its_plane(stack, annotate):
    session = annotate(stack)
    stack.dims.set_current_step(1, 3)
    session.add_points([[10, 20]])
    stack.dims.set_current_step(1, 1)
    assert not session.current.drawn
    session.add_points([[5, 6]])
    session.commit()
    stack.dims.set_current_step(1, 3)
    assert len(session.current.drawn.points) == 1
    session.commit()
    assert sorted(session.objects["plane"]) == [(0, 1), (0, 3)]


def test_a_point_drawn_in_another_plane_belongs_there(stack, annotate):
    session = annotate(stack)
    session.points.add([1, 4, 10, 20])
    assert not session.current.drawn
    show_plane(stack, session.image, Plane((2, 3), (1, 4)))
    assert len(session.current.drawn.points) == 1


def test_a_point_drawn_in_no_plane_of_the_image_is_taken_away(stack, annotate):
    session = annotate(stack)
    with pytest.warns(SamHQWarning, match="no plane of the image 'stack'"):
        session.points.add([0, 99, 10, 20])
    assert len(session.points.data) == 0
    assert not session.undo()


def test_undo_goes_to_the_plane_where_something_changes(stack, annotate):
    session = annotate(stack)
    stack.dims.set_current_step(1, 3)
    session.add_points([[10, 20]])
    session.commit()
    stack.dims.set_current_step(1, 0)
    session.undo()
    assert stack.dims.current_step[1] == 3


def test_drafts_of_other_axes_are_kept_but_not_shown(stack, annotate):
    session = annotate(stack)
    session.add_points([[10, 20]])
    stack.dims.order = (0, 2, 1, 3)
    assert len(session.points.data) == 0
    session.add_points([[2, 2]])
    stack.dims.order = (0, 1, 2, 3)
    assert len(session.points.data) == 1
    assert session.commit() == 1


# --------------------------------------------------------------------------- what is on the screen


def _on_the_screen(viewer, image, plane):
    """Which pixels' centres the canvas shows, found one by one: (H, W) bool."""
    shape = (image.data[0] if image.multiscale else image.data).shape
    rows, cols = np.mgrid[: shape[plane.axes[0]], : shape[plane.axes[1]]]
    data = plane.lift(np.column_stack([rows.ravel(), cols.ravel()]))
    world = np.array([image.data_to_world(one) for one in data])
    shown = world[:, [axis - viewer.dims.ndim for axis in viewer.dims.displayed]]
    camera, size = viewer.scene.camera, np.array(viewer.canvas.size)
    pixels = (shown - camera.center[-2:]) * camera.zoom + size / 2
    return np.all((pixels >= 0) & (pixels <= size), axis=1).reshape(rows.shape)


TURNED = {"scale": (1, 1, 0.5, 2), "translate": (0, 10, 1, 2), "rotate": np.eye(4)}
TURNED["rotate"][2:, 2:] = [[0.8, -0.6], [0.6, 0.8]]


@pytest.mark.parametrize("levels", [1, 3], ids=["one-resolution", "pyramid"])
@pytest.mark.parametrize(
    ("order", "placed"),
    [
        pytest.param((0, 1, 2, 3), {}, id="as-it-is"),
        pytest.param((0, 1, 3, 2), {"scale": (1, 2, 0.5, 3)}, id="transposed"),
        pytest.param((0, 2, 1, 3), {"translate": (0, 10, 1, 2)}, id="another-plane"),
        pytest.param((0, 1, 2, 3), TURNED, id="turned"),
    ],
)
def test_the_visible_region_is_what_the_camera_shows(order, placed, levels):
    viewer = ViewerModel()
    data = np.zeros((2, 16, 40, 48), np.uint8)
    pyramid = [data[..., :: 2**n, :: 2**n] for n in range(levels)]
    image = viewer.add_image(pyramid if levels > 1 else data, multiscale=levels > 1, **placed)
    viewer.add_image(np.zeros((2, 1, 1, 1, 1)))  # the viewer may have more axes than the image
    viewer.dims.order = (0, *(axis + 1 for axis in order))
    viewer.dims.set_point(order[1] + 1, float(image.data_to_world((0, 5, 5, 5))[order[1]]))
    viewer.canvas.size = 60, 80
    plane = current_plane(viewer, image)
    middle = np.array(image.data_to_world((0, 5, 17, 23)))
    for zoom in (2.0, 3.7, 9.0):
        viewer.scene.camera.zoom = zoom
        viewer.scene.camera.center = (0, *middle[[axis - 4 for axis in order[2:]]])
        seen = _on_the_screen(viewer, image, plane)
        rows, cols = visible_region(viewer, image, plane)
        for part, along in ((rows, seen.any(axis=1)), (cols, seen.any(axis=0))):
            first, last = np.flatnonzero(along)[[0, -1]]
            # Pixels are on the screen in part before their centres are, more so at sharp corners.
            most = 3 if "rotate" in placed else 1
            assert 0 <= first - part.start <= most
            assert 0 <= part.stop - 1 - last <= most
    viewer.scene.camera.center = (0, 1e4, 1e4)
    rows, cols = visible_region(viewer, image, plane)
    assert rows.start == rows.stop or cols.start == cols.stop
