"""What a session promises to a script, with a viewer that has no window."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from napari.components import ViewerModel

from napari_samhq.errors import LayerError, PromptError, SamHQWarning
from napari_samhq.session import State, annotate
from napari_samhq.session.layers.prompt_layers import BACKGROUND_COLOR, OBJECT_COLOR


def disc(shape, center, radius):
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(rows - center[0], cols - center[1]) <= radius


def test_a_click_becomes_a_label(session):
    session.add_points([[20, 30]])
    prediction = session.predict()
    assert len(prediction.masks) == 3  # one click may mean several things
    label_id = session.commit()
    assert label_id == 1
    np.testing.assert_array_equal(session.labels.data == 1, disc((48, 64), (20, 30), 5))
    assert len(session.points.data) == 0
    assert not session.candidates


def test_commit_predicts_by_itself_and_counts_up(session, predictor):
    for row in (8, 24, 40):
        session.add_points([[row, 30]])
        session.commit()
    assert sorted(np.unique(session.labels.data)) == [0, 1, 2, 3]
    assert [call for call, _ in predictor.calls] == ["embed", "predict", "predict", "predict"]


def test_the_objects_table(session):
    session.add_points([[20, 30]])
    session.add_points([[0, 0]], positive=False)
    session.add_box([10, 20, 30, 40])
    session.commit()
    (row,) = session.objects.to_dict("records")
    assert row["label_id"] == 1
    assert row["prompts"] == "1 point +, 1 point −, 1 box"
    assert row["plane"] == ()
    assert row["model"] == "micro"
    assert row["area"] == np.count_nonzero(session.labels.data == 1) > 0
    assert row["score"] == pytest.approx(0.9)
    assert (row["disagreement"], row["uncertainty_px"]) == (0.0, 1.5)


def test_objects_is_empty_before_the_first(session):
    assert session.objects.empty
    known = ["label_id", "score", "area", "prompts", "plane", "model"]
    assert list(session.objects) == [*known, "disagreement", "uncertainty_px", "category"]


def test_points_differ_in_colour_and_symbol(session):
    from napari.utils.colormaps.standardize_color import transform_color

    session.add_points([[20, 30]])
    session.add_points([[2, 3], [4, 5]], positive=False)
    assert [str(symbol) for symbol in session.points.symbol] == ["disc", "cross", "cross"]
    expected = np.concatenate(
        [transform_color(c) for c in (OBJECT_COLOR, BACKGROUND_COLOR, BACKGROUND_COLOR)]
    )
    np.testing.assert_allclose(session.points.face_color, expected)
    assert session.points.features["polarity"].tolist() == ["object", "background", "background"]


def test_a_new_point_shows_its_colour_not_that_of_a_selection(session):
    session.points.mode = "add"
    for positive in (True, False):
        session.prompts.positive = positive
        session.points.add([[20, 20 + positive]])
        assert not session.points.selected_data
    session.points.mode = "select"
    session.points.add([[30, 30]])
    session.points.selected_data = {0, 1}  # whoever selects points may still do so
    assert session.points.selected_data == {0, 1}


def test_choosing_a_candidate_changes_preview_and_commit(session):
    session.add_points([[20, 30]])
    session.predict()
    assert [candidate.chosen for candidate in session.candidates] == [True, False, False]
    session.choose(2)
    session.commit()
    np.testing.assert_array_equal(session.labels.data == 1, disc((48, 64), (20, 30), 10))


def test_choosing_what_is_not_there_says_how_many_there_are(session):
    with pytest.raises(PromptError, match="There is no candidate 0: at present there are 0"):
        session.choose(0)


def test_drawing_in_the_layers_is_prompting(session):
    session.points.add([20, 30])  # what a click does
    assert len(session.candidates) == 3
    session.shapes.add_rectangles([[10, 20], [30, 40]])
    assert len(session.candidates) == 1
    assert session.current.drawn.points[0].row == 20
    assert session.commit() == 1


def test_a_second_box_begins_another_object(session):
    session.shapes.add_rectangles([[10, 20], [30, 40]])
    session.shapes.add_rectangles([[1, 2], [9, 12]])
    assert [draft.label_id for draft in session.drafts] == [1, 2]
    assert session.shapes.features["object"].tolist() == [1, 2]
    assert session.commit() == 2
    assert session.labels.data[5, 5] == 2
    assert session.labels.data[20, 30] == 0
    session.undo()
    session.undo()
    np.testing.assert_array_equal(session.shapes.data[0].min(axis=0), [10, 20])
    assert len(session.shapes.data) == 1


def test_a_click_without_a_drag_in_the_box_tool_leaves_nothing(session):
    session.shapes.add_rectangles([[10, 20], [10.2, 20.2]])
    assert len(session.shapes.data) == 0
    assert not session.undo()


def test_moving_and_deleting_a_point_asks_again(session, predictor):
    session.points.add([20, 30])
    session.points.add([21, 31])
    session.points.data = np.array([[20, 30], [40, 50]])
    session.points.selected_data = {0}
    session.points.remove_selected()
    assert [call for call, _ in predictor.calls].count("predict") == 4
    assert [(p.row, p.col) for p in session.current.drawn.points] == [(40, 50)]


def test_polarity_of_drawn_points_follows_the_switch_and_the_modifier(session):
    session.points.add([20, 30])
    session.prompts.positive = False
    session.points.add([2, 3])
    session.points.add([4, 3])
    session.prompts.positive = True
    session.points.add([21, 30])
    assert [p.positive for p in session.current.drawn.points] == [True, False, False, True]


def test_clear_and_reject(session):
    session.add_points([[20, 30]])
    session.add_box([10, 20, 30, 40])
    session.predict()
    session.clear()
    assert len(session.points.data) == len(session.shapes.data) == 0
    assert not session.labels.data.any()
    session.undo()
    assert len(session.points.data) == 1
    session.reject()
    assert not session.current.drawn
    session.undo()
    assert len(session.shapes.data) == 1


def test_next_object_commits_what_has_a_mask_and_drops_what_has_none(session):
    session.add_points([[20, 30]])
    session.predict()
    assert session.next_object() == 1
    session.add_points([[20, 30]], positive=False)
    assert session.next_object() is None
    assert not session.current.drawn


def test_undo_and_redo_over_everything(session):
    session.add_points([[20, 30]])
    session.commit()
    session.add_points([[40, 10]])
    session.commit()
    session.delete(1)
    final = session.labels.data.copy()
    steps = 0
    while session.undo():
        steps += 1
    assert steps == 5
    assert not session.labels.data.any()
    assert session.objects.empty
    assert len(session.points.data) == 0
    while session.redo():
        pass
    np.testing.assert_array_equal(session.labels.data, final)
    assert session.objects["label_id"].tolist() == [2]


def test_undo_of_a_commit_brings_the_prompts_back(session):
    session.add_points([[20, 30]])
    session.commit()
    session.undo()
    np.testing.assert_array_equal(session.points.data, [[20, 30]])
    assert session.commit() == 1  # an object has its id from the first prompt on


def test_reopening_replaces_the_object_under_its_id(session):
    session.add_points([[20, 30]])
    session.commit()
    session.add_points([[40, 10]])
    session.commit()
    session.reopen(1)
    assert session.current.reopened
    assert session.status.state is State.EDITING
    np.testing.assert_array_equal(session.points.data, [[20, 30]])
    session.clear()
    session.add_points([[10, 50]])
    assert session.commit() == 1
    np.testing.assert_array_equal(session.labels.data == 1, disc((48, 64), (10, 50), 5))
    session.undo()
    np.testing.assert_array_equal(session.labels.data == 1, disc((48, 64), (20, 30), 5))
    session.reject()
    np.testing.assert_array_equal(session.labels.data == 1, disc((48, 64), (20, 30), 5))


def test_reopening_refuses_the_unknown(session):
    with pytest.raises(LayerError, match="Object 7 has no prompts"):
        session.reopen(7)


def test_reopening_lets_an_unfinished_object_wait(session):
    session.add_points([[20, 30]])
    session.commit()
    session.add_points([[40, 10]])
    session.reopen(1)
    assert session.current.label_id == 1
    assert session.current.waiting == 1
    assert session.commit() == 1
    with pytest.raises(PromptError, match=r"None .* is active, but 2 wait"):
        session.commit()
    session.activate(2)
    assert session.commit() == 2


def test_deleting_refuses_what_is_not_there(session):
    with pytest.raises(LayerError, match="no object 3 in this plane"):
        session.delete(3)


def test_labels_lie_exactly_over_the_image(annotate):
    viewer = ViewerModel()
    image = viewer.add_image(
        np.zeros((4, 40, 60)),
        scale=(2, 0.5, -0.25),
        translate=(1, 2, 3),
        rotate=30,
        shear=(0.1, 0.2, 0.3),
        affine=np.diag([1, 2, 3, 1]) + np.eye(4, k=1) * [[0, 0, 0, 0]] * 4,
        units=("um", "um", "um"),
        axis_labels=("z", "y", "x"),
    )
    session = annotate(viewer)
    corners = np.array([[0, 0, 0], [3, 39, 59], [1, 7, 50]])
    for layer in (session.labels, session.points, session.shapes):
        for corner in corners:
            np.testing.assert_allclose(layer.data_to_world(corner), image.data_to_world(corner))
        assert layer.units == image.units
        assert layer.axis_labels == image.axis_labels
    assert session.labels.data.shape == (4, 40, 60)


def test_layers_follow_the_image_when_it_is_calibrated_later(session):
    session.add_points([[20, 30]])
    session.image.scale = (0.5, 0.25)
    session.image.units = ("um", "um")
    assert session.points.data_to_world([20, 30]) == (10, 7.5)
    assert session.commit() == 1
    assert session.labels.data[20, 30] == 1


def test_a_rgb_image(annotate):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((40, 60, 3), dtype=np.uint8), rgb=True)
    session = annotate(viewer)
    session.add_points([[20, 30]])
    session.commit()
    assert session.labels.data.shape == (40, 60)


def test_contrast_limits_reach_the_model_and_changing_them_looks_again(session, predictor):
    session.image.contrast_limits = (10, 90)
    session.add_points([[20, 30]])
    session.predict()
    session.image.contrast_limits = (10, 60)
    session.predict()
    assert [call for call, _ in predictor.calls].count("embed") == 2


@pytest.mark.parametrize("how", ["in place", "replaced"])
def test_an_edited_image_is_looked_at_again(session, predictor, how):
    session.add_points([[20, 30]])
    session.predict()
    if how == "in place":
        session.image.data[:10] = 7
    else:
        session.image.data = session.image.data[::-1].copy()
    session.predict()
    assert [call for call, _ in predictor.calls].count("embed") == 2


def test_world_coordinates(annotate):
    viewer = ViewerModel()
    viewer.add_image(np.zeros((40, 60)), scale=(0.5, 0.25), translate=(100, 200))
    session = annotate(viewer)
    session.add_points([[110, 207.5]], world=True)
    session.add_box([105, 205, 115, 210], world=True)
    drawn = session.current.drawn
    assert (drawn.points[0].row, drawn.points[0].col) == (20, 30)
    prompt = drawn.to_prompt((40, 60))
    np.testing.assert_allclose(prompt.box, [10, 20, 30, 40])


@pytest.mark.parametrize(
    "id_type", [pytest.param(np.uint8, id="FM-41-uint8"), pytest.param(np.int8, id="FM-41-int8")]
)
def test_a_label_beyond_the_type_is_refused_before_writing(viewer, annotate, id_type):
    data = np.zeros((48, 64), dtype=id_type)
    limit = int(np.iinfo(id_type).max)
    data.reshape(-1)[:limit] = np.arange(1, limit + 1)
    labels = viewer.add_labels(data.copy())
    session = annotate(viewer, labels=labels)
    session.add_points([[20, 30]])
    with pytest.raises(LayerError, match=r"does not fit\. Convert the labels"):
        session.commit()
    np.testing.assert_array_equal(labels.data, data)
    assert len(session.points.data) == 1


def test_a_labels_layer_elsewhere_is_refused(viewer, annotate):
    with pytest.raises(LayerError, match="has the shape"):
        annotate(viewer, labels=viewer.add_labels(np.zeros((4, 4), dtype=int)))
    moved = viewer.add_labels(np.zeros((48, 64), dtype=int), translate=(1, 0))
    with pytest.raises(LayerError, match="lies elsewhere"):
        annotate(viewer, labels=moved)


def test_other_objects_keep_their_pixels_while_preserve_labels_is_on(session):
    session.add_points([[20, 30]])
    session.commit()
    before = session.labels.data == 1
    session.add_box([15, 25, 25, 45])
    session.commit()
    np.testing.assert_array_equal(session.labels.data == 1, before)
    session.undo()
    session.labels.preserve_labels = False
    session.commit()
    assert not (session.labels.data == 1).any()
    session.undo()
    np.testing.assert_array_equal(session.labels.data == 1, before)


def test_a_mask_that_others_own_wholly_is_refused(session):
    session.add_box([0, 0, 40, 60])
    session.commit()
    session.add_points([[20, 30]])
    with pytest.raises(LayerError, match="own every pixel"):
        session.commit()


def test_hand_painted_labels_are_counted_and_undone_in_their_turn(session):
    session.add_points([[20, 30]])
    session.commit()
    committed = session.labels.data.copy()
    session.labels.selected_label = 9
    session.labels.brush_size = 3
    session.labels.mode = "paint"
    session.labels.paint((5, 5), 9)
    session.labels.preserve_labels = False
    session.labels.paint((20, 30), 9)
    painted = session.labels.data.copy()
    session.add_points([[40, 10]])
    assert session.commit() == 10
    assert session.objects["label_id"].tolist() == [1, 9, 10]
    session.undo()
    session.undo()
    np.testing.assert_array_equal(session.labels.data, painted)
    session.undo()
    session.undo()
    np.testing.assert_array_equal(session.labels.data, committed)
    session.redo()
    session.redo()
    np.testing.assert_array_equal(session.labels.data, painted)


def test_napari_undo_takes_back_one_commit(session):
    session.add_points([[20, 30]])
    session.commit()
    session.labels.undo()
    assert not session.labels.data.any()
    session.labels.redo()
    assert session.labels.data.any()


@pytest.mark.parametrize(
    ("points", "positive"),
    [
        pytest.param(None, True, id="FM-15-no-prompts"),
        pytest.param([[20, 30], [2, 3]], False, id="FM-15-only-negative"),
    ],
)
def test_without_a_positive_prompt_nothing_is_asked_or_changed(
    session, predictor, points, positive
):
    if points is not None:
        session.add_points(points, positive)
        assert session.status.state is State.NEEDS_POSITIVE
        assert "Add a point on the object" in session.status.sentence
    session.shapes.data = []
    for method in (session.predict, session.commit):
        with pytest.raises(PromptError, match="nothing says which object"):
            method()
    assert predictor.calls == []
    assert not session.labels.data.any()


@pytest.mark.parametrize(
    "name", [pytest.param("points", id="FM-13-points"), pytest.param("box", id="FM-16-box")]
)
def test_a_prompt_outside_of_the_image_is_told(session, name):
    if name == "points":
        session.add_points([[20, 300]])
        with (
            pytest.warns(SamHQWarning, match="outside"),
            pytest.raises(PromptError, match="lies in the image"),
        ):
            session.predict()
    else:
        with pytest.raises(PromptError, match="outside of the image"):
            session.add_box([100, 100, 120, 120])
        assert not session.current.drawn


@pytest.mark.parametrize("add", [pytest.param("add_points", id="FM-14-not-finite")])
def test_coordinates_that_are_not_finite_never_reach_napari(session, add):
    with pytest.warns(SamHQWarning, match="1 of 2 points left out"):
        getattr(session, add)([[np.nan, 3], [20, 30]])
    assert len(session.points.data) == 1
    with pytest.raises(PromptError, match="NaN or infinite"):
        session.add_points([[np.inf, 3]])
    with pytest.raises(PromptError):
        session.add_box([np.nan, 0, 5, 5])


_SHAPES = {
    "ellipse": ([[10, 20], [10, 40], [30, 40], [30, 20]], (20, 30), (5, 5)),
    "polygon": ([[10, 20], [10, 40], [30, 30]], (20, 30), (5, 5)),
    "rectangle": ([[20, 20], [10, 30], [20, 40], [30, 30]], (20, 30), (5, 5)),
    "path": ([[10, 20], [12, 30], [14, 40]], (11, 25), (30, 30)),
    "line": ([[10, 20], [10, 40]], (10, 30), (30, 30)),
}


@pytest.mark.parametrize("kind", [pytest.param(kind, id=f"FM-17-{kind}") for kind in _SHAPES])
def test_every_kind_of_shape_is_a_prompt(session, kind):
    vertices, inside, outside = _SHAPES[kind]
    masks = []
    for order in (1, -1):
        session.shapes.add([np.array(vertices[::order], dtype=float)], shape_type=kind)
        session.commit()
        masks.append(session.labels.data > 0)
        session.undo()
        session.reject()
    np.testing.assert_array_equal(*masks)
    assert masks[0][inside]
    assert not masks[0][outside]


def test_an_error_of_the_model_changes_nothing(session, predictor):
    session.add_points([[20, 30]])
    predictor.error = PromptError("no")
    with pytest.raises(PromptError, match="no"):
        session.commit()
    assert not session.labels.data.any()
    assert session.commit() == 1


def test_removing_the_image_ends_the_session(viewer, session):
    viewer.layers.remove(session.image)
    assert session.status.state is State.CLOSED
    with pytest.raises(LayerError, match="This session is over"):
        session.add_points([[20, 30]])
    assert [layer.name for layer in viewer.layers] == ["cells objects"]


def test_removing_a_prompt_layer_only_clears_it(viewer, session):
    session.add_points([[20, 30]])
    session.add_box([10, 20, 30, 40])
    viewer.layers.remove(session.points)
    assert not session.current.drawn.points
    assert session.undo()
    assert session.points in viewer.layers
    np.testing.assert_array_equal(session.points.data, [[20, 30]])


def test_clearing_the_viewer_is_no_drama(viewer, session):
    session.add_points([[20, 30]])
    viewer.layers.clear()
    assert len(viewer.layers) == 0
    assert session.status.state is State.CLOSED


def test_closing_leaves_the_objects_and_nothing_else(viewer, session):
    session.add_points([[20, 30]])
    session.commit()
    session.close()
    session.close()
    assert [layer.name for layer in viewer.layers] == ["cells", "cells objects"]
    viewer.dims.ndisplay = 3
    session.points.add([2, 2])  # nobody listens any more
    viewer.layers[1].scale = (3, 3)


@pytest.mark.parametrize("what", [pytest.param("names", id="FM-21-names-and-order")])
def test_names_mean_nothing(viewer, session, what):
    session.points.name, session.labels.name = "x", "y"
    viewer.add_points(np.zeros((1, 2)), name="cells points")
    viewer.layers.reverse()
    session.points.add([20, 30])
    session.commit()
    assert session.labels.data.any()


@pytest.mark.parametrize(
    "kind", [pytest.param(k, id=f"FM-21-swapped-{k}") for k in ("names", "places")]
)
def test_layers_that_swap_their_names_or_places_stay_what_they_are(
    viewer, session, predictor, kind
):
    image, labels = session.image, session.labels
    other = viewer.add_image(np.zeros((48, 64), np.uint8), name="other")
    theirs = viewer.add_labels(np.zeros((48, 64), np.int32), name="theirs")
    session.add_points([[20, 30]])
    if kind == "names":
        image.name, labels.name = "x", "y"
        other.name, theirs.name = "cells", "cells objects"
    else:
        for one, another in ((image, other), (labels, theirs)):
            here, there = viewer.layers.index(one), viewer.layers.index(another)
            viewer.layers.move(here, there)
            viewer.layers.move(viewer.layers.index(another), here)
    session.commit()
    assert (labels.data[20, 30], theirs.data.any()) == (1, False)
    session.add_points([[40, 50]])
    viewer.layers.remove(other)  # with the name that the image had
    viewer.layers.remove(theirs)
    session.commit()
    assert labels.data[40, 50] == 2
    (looked_at,) = {pixels.tobytes() for call, pixels in predictor.calls if call == "embed"}
    assert looked_at == np.asarray(image.data).tobytes()
    session.undo()
    assert labels.data[40, 50] == 0


def test_annotate_finds_the_image_by_layer_by_name_or_by_itself(viewer):
    for image in (viewer.layers["cells"], "cells", None):
        session = annotate(viewer, image)
        assert session.image.name == "cells"
        session.close()
    with pytest.raises(LayerError, match="no image of the name 'cell'.*'cells'"):
        annotate(viewer, "cell")
    with pytest.raises(LayerError, match="has no image"):
        annotate(ViewerModel())


def test_wrong_forms_are_told(session):
    for points in ([20, 30], [[1, 2, 3]], []):
        with pytest.raises(PromptError, match="needed is"):
            session.add_points(points)
    with pytest.raises(PromptError, match="needed is"):
        session.add_box([1, 2, 3])


def test_a_multiscale_image_is_taken_at_full_resolution(annotate):
    viewer = ViewerModel()
    full = np.random.default_rng(0).random((64, 96))
    viewer.add_image([full, full[::2, ::2]], multiscale=True, scale=(0.5, 0.5))
    session = annotate(viewer)
    session.add_points([[40, 60]])
    session.commit()
    np.testing.assert_array_equal(session.labels.data == 1, disc((64, 96), (40, 60), 5))


def test_a_pyramid_upside_down_is_refused(annotate):
    viewer = ViewerModel()
    full = np.random.default_rng(0).random((64, 96))
    viewer.add_image([full[::2, ::2], full], multiscale=True)
    with pytest.raises(LayerError, match="from large to small"):
        annotate(viewer)


def test_arrays_on_disk_for_image_and_labels(annotate, tmp_path):
    zarr = pytest.importorskip("zarr")
    image = zarr.create_array(
        tmp_path / "i.zarr", shape=(3, 64, 96), chunks=(1, 32, 32), dtype="u2"
    )
    image[:] = np.random.default_rng(0).integers(0, 999, (3, 64, 96))
    data = zarr.create_array(tmp_path / "l.zarr", shape=(3, 64, 96), chunks=(1, 32, 32), dtype="i4")
    viewer = ViewerModel()
    viewer.add_image(image, contrast_limits=(0, 999))
    session = annotate(viewer, labels=viewer.add_labels(data))
    viewer.dims.set_current_step(0, 2)
    session.add_points([[40, 60]])
    session.commit()
    np.testing.assert_array_equal(data[2] == 1, disc((64, 96), (40, 60), 5))
    session.undo()
    assert not data[:].any()


def test_on_a_large_plane_prompts_are_answered_in_windows(annotate, predictor):
    # As large as a slide, and in memory only where it was looked at.
    levels = [np.broadcast_to(np.arange(n, dtype=np.uint8), (n, n)) for n in (12_000, 3_000)]
    viewer = ViewerModel()
    viewer.add_image(levels, multiscale=True, contrast_limits=(0, 255), name="slide")
    labels = viewer.add_labels(zarr.zeros((12_000, 12_000), chunks=(512, 512), dtype="u1"))
    predictor.radius, predictor.input_size = 40.0, 512
    session = annotate(viewer, labels=labels)
    session.add_points([[9_000, 7_000]])
    prediction = session.predict()
    assert prediction.masks.shape[1:] == (512, 512)
    session.commit()
    rows, cols = np.ogrid[8_900:9_100, 6_900:7_100]
    expected = np.hypot(rows - 9_000, cols - 7_000) <= 40
    np.testing.assert_array_equal(labels.data[8_900:9_100, 6_900:7_100] == 1, expected)
    shapes = {call.shape for what, call in predictor.calls if what == "embed"}
    assert shapes == {(512, 512, 3)}
