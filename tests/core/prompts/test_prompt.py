"""What is said about an object is made usable, or refused with advice."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_samhq.core.prompts.prompt import Prompt, clean_box, usable_points
from napari_samhq.errors import PromptError, SamHQWarning

SHAPE = (20, 30)


def clean(shape=SHAPE, **prompt) -> Prompt:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Prompt(**prompt).cleaned(shape)


# --------------------------------------------------------------------------------------- the form


def test_labels_left_out_are_all_positive():
    assert Prompt(points=[[1, 2], [3, 4]]).point_labels.tolist() == [1, 1]


def test_what_is_kept_is_a_read_only_copy():
    points = np.array([[1.0, 2.0]])
    prompt = Prompt(points=points)
    points[:] = 9
    assert prompt.points.tolist() == [[1, 2]]
    with pytest.raises(ValueError, match="read-only"):
        prompt.points[0, 0] = 3


def test_a_clean_prompt_stays_as_it_is():
    mask = np.eye(20, 30, dtype=bool)
    given_prompt = {"points": [[1, 2], [3.25, 4]], "point_labels": [0, 1], "box": [1, 2, 8, 9]}
    prompt = clean(**given_prompt, mask=mask)
    assert prompt.points.tolist() == given_prompt["points"]
    assert prompt.point_labels.tolist() == given_prompt["point_labels"]
    assert prompt.box.tolist() == given_prompt["box"]
    assert np.array_equal(prompt.mask.within(mask.shape), mask)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ({"points": [1, 2]}, r"\[\[row, column\]\]"),
        ({"points": [[1, 2, 3]]}, r"\(N, 2\)"),
        ({"points": [[1, 2], [3]]}, "ragged"),
        ({"points": [["a", "b"]]}, "real numbers"),
        ({"points": [[1j, 2]]}, "real numbers"),
        ({"points": [[1, 2]], "point_labels": [1, 0]}, "1 points"),
        ({"points": [[1, 2]], "point_labels": [2]}, "only 1"),
        ({"points": [[1, 2]], "point_labels": [-1]}, "only 1"),
        ({"points": [[1, 2]], "point_labels": [np.nan]}, "only 1"),
        ({"point_labels": [1]}, "0 points"),
        ({"box": [1, 2, 3]}, "min_row, min_col, max_row, max_col"),
        ({"box": [[1, 2, 3, 4]]}, "predict_many"),
        ({"box": [None] * 4}, "real numbers"),
        ({"mask": np.zeros((2, 3, 4), bool)}, "mask"),
        ({"mask": np.array([[0, 1], [2, 2]])}, "2 different labels"),
        ({"mask": np.ones((2, 2), complex)}, "complex"),
    ],
)
def test_a_wrong_form_is_refused_at_once(prompt, words):
    with pytest.raises(PromptError, match=words):
        Prompt(**prompt)


def test_integer_masks_and_single_logits_are_masks():
    assert Prompt(mask=np.array([[0, 5], [5, 0]])).mask.dtype == bool
    assert Prompt(mask=np.zeros((1, 64, 64))).mask.shape == (64, 64)
    assert Prompt(mask=np.zeros((64, 64), np.float16)).mask.dtype == np.float32


# --------------------------------------------------------------------- fault matrix, rows 13 to 18


@pytest.mark.parametrize(
    ("point", "inside"),
    [
        pytest.param((0, 0), True, id="FM-13-first-pixel"),
        pytest.param((19, 29), True, id="FM-13-last-pixel"),
        pytest.param((-0.5, -0.5), True, id="FM-13-upper-left-edge"),
        pytest.param((19.5, 3), False, id="FM-13-lower-edge"),
        pytest.param((3, 29.5), False, id="FM-13-right-edge"),
        pytest.param((np.nextafter(19.5, 0), 3), True, id="FM-13-just-inside"),
        pytest.param((np.nextafter(-0.5, -1), 3), False, id="FM-13-just-outside"),
        pytest.param((1e300, -1e300), False, id="FM-13-far-away"),
    ],
)
def test_the_border_is_half_open(point, inside):
    if inside:
        assert clean(points=[point]).points.tolist() == [list(point)]
        return
    with pytest.warns(SamHQWarning, match="1 of 2 points dropped"):
        assert Prompt([[5, 5], point]).cleaned(SHAPE).points.tolist() == [[5, 5]]
    with pytest.warns(SamHQWarning), pytest.raises(PromptError, match="None of the 1"):
        Prompt([point]).cleaned(SHAPE)


def test_points_outside_leave_the_box_alone():
    with pytest.warns(SamHQWarning, match="2 of 2 points"):
        prompt = Prompt([[-5, 5], [5, 50]], box=[1, 1, 9, 9]).cleaned(SHAPE)
    assert prompt.points is None
    assert prompt.point_labels is None
    assert prompt.box.tolist() == [1, 1, 9, 9]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(np.nan, id="FM-14-nan"),
        pytest.param(np.inf, id="FM-14-inf"),
        pytest.param(-np.inf, id="FM-14-minus-inf"),
    ],
)
def test_points_that_are_not_finite_are_dropped(bad):
    with pytest.warns(SamHQWarning, match="1 of 2 points dropped.*NaN or infinite"):
        prompt = Prompt([[bad, 3], [5, 6]], [0, 1]).cleaned(SHAPE)
    assert prompt.points.tolist() == [[5, 6]]
    assert prompt.point_labels.tolist() == [1]
    with pytest.warns(SamHQWarning), pytest.raises(PromptError):
        Prompt([[bad, bad]]).cleaned(SHAPE)
    with pytest.raises(PromptError, match="box.*NaN or infinite"):
        Prompt(box=[bad, 1, 2, 3]).cleaned(SHAPE)
    with pytest.raises(PromptError, match="logits.*NaN or infinite"):
        Prompt(mask=np.full((64, 64), bad)).cleaned(SHAPE)


@pytest.mark.parametrize(
    "prompt",
    [
        pytest.param({}, id="FM-15-nothing"),
        pytest.param({"points": []}, id="FM-15-empty-points"),
        pytest.param({"points": np.empty((0, 2)), "point_labels": []}, id="FM-15-empty-arrays"),
        pytest.param({"points": [[3, 4]], "point_labels": [0]}, id="FM-15-only-negative"),
    ],
)
def test_without_a_positive_word_the_advice_is_to_add_one(prompt):
    with pytest.raises(PromptError, match=r"positive point.*or a box"):
        clean(**prompt)


def test_when_only_negative_points_are_left_the_prompt_is_refused():
    with pytest.warns(SamHQWarning), pytest.raises(PromptError, match="only negative"):
        Prompt([[3, 4], [99, 99]], [0, 1]).cleaned(SHAPE)


def test_negative_points_go_with_a_box_or_a_mask():
    assert clean(points=[[3, 4]], point_labels=[0], box=[1, 1, 9, 9]).point_labels.tolist() == [0]
    assert clean(points=[[3, 4]], point_labels=[0], mask=np.zeros((64, 64))).mask is not None


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        pytest.param((9, 8, 2, 1), (2, 1, 9, 8), id="FM-16-flipped"),
        pytest.param((2, 8, 9, 1), (2, 1, 9, 8), id="FM-16-flipped-columns"),
        pytest.param((-0.5, -0.5, 19.5, 29.5), (-0.5, -0.5, 19.5, 29.5), id="FM-16-whole-image"),
        pytest.param((0, 0, 20, 30), (0, 0, 19.5, 29.5), id="FM-16-bounding-box-of-the-image"),
    ],
)
def test_boxes_are_ordered_without_a_word(box, expected):
    assert clean(box=box).box.tolist() == list(expected)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        pytest.param((-5, -5, 8, 9), (-0.5, -0.5, 8, 9), id="FM-16-partly-outside"),
        pytest.param((-1e9, -1e9, 1e9, 1e9), (-0.5, -0.5, 19.5, 29.5), id="FM-16-huge"),
    ],
)
def test_boxes_are_clipped_to_the_image_with_a_warning(box, expected):
    with pytest.warns(SamHQWarning, match="clipped"):
        assert Prompt(box=box).cleaned(SHAPE).box.tolist() == list(expected)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        pytest.param((3, 4, 3, 9), "no area", id="FM-16-flat"),
        pytest.param((3, 4, 3, 4), "no area", id="FM-16-a-point"),
        pytest.param((25, 4, 40, 9), "outside", id="FM-16-below"),
        pytest.param((3, -9, 9, -2), "outside", id="FM-16-left"),
        pytest.param((19.5, 4, 40, 9), "outside", id="FM-16-touching-from-outside"),
    ],
)
def test_boxes_without_area_in_the_image_are_refused(box, words):
    with pytest.raises(PromptError, match=words):
        clean(box=box)


def test_masks_must_fit_the_image():
    with pytest.raises(PromptError, match="30 x 20 pixels, the image 20 x 30"):
        clean(mask=np.ones((30, 20), bool))
    with pytest.raises(PromptError, match="no pixel"):
        clean(mask=np.zeros(SHAPE, bool))


@pytest.mark.parametrize(
    ("points", "labels", "kept", "kept_labels"),
    [
        pytest.param(
            [[3, 4], [5, 6], [3, 4]], [1, 1, 1], [[3, 4], [5, 6]], [1, 1], id="FM-18-repeated"
        ),
        pytest.param(
            [[3, 4], [5, 6], [3, 4]], [1, 1, 0], [[5, 6], [3, 4]], [1, 0], id="FM-18-later-negative"
        ),
        pytest.param([[3, 4], [3.3, 3.8]], [0, 1], [[3.3, 3.8]], [1], id="FM-18-later-positive"),
        pytest.param(
            [[3, 4], [3, 4], [3, 4]], [1, 0, 1], [[3, 4]], [1], id="FM-18-mind-changed-twice"
        ),
    ],
)
def test_repetitions_and_contradictions(points, labels, kept, kept_labels):
    with pytest.warns(SamHQWarning, match="points dropped"):
        prompt = Prompt(points, labels).cleaned(SHAPE)
    assert prompt.points.tolist() == kept
    assert prompt.point_labels.tolist() == kept_labels


def test_points_on_one_pixel_that_agree_are_all_kept():
    assert len(clean(points=[[3, 4], [3.2, 4.1]]).points) == 2


# -------------------------------------------------------------------------------------- properties

coordinates = st.floats(-40, 60) | st.sampled_from([np.nan, np.inf, -0.5, 19.5, 29.5, 5.0])


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(float, st.tuples(st.integers(0, 8), st.just(2)), elements=coordinates),
    st.data(),
)
def test_cleaning_keeps_what_is_usable_and_changes_no_value(points, drawn):
    labels = drawn.draw(hnp.arrays(int, len(points), elements=st.integers(0, 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamHQWarning)
        try:
            prompt = Prompt(points, labels).cleaned(SHAPE)
        except PromptError:
            usable = usable_points(points, SHAPE) & (labels == 1)
            pixels = np.floor(points[usable] + 0.5)
            # Refused only if each usable positive point was taken back later.
            for index, pixel in zip(np.flatnonzero(usable), pixels, strict=True):
                later = np.all(np.floor(points[index + 1 :] + 0.5) == pixel, axis=1)
                assert (labels[index + 1 :][later] == 0).any()
            return
        again = prompt.cleaned(SHAPE)
    given_rows = {(*p, label) for p, label in zip(points.tolist(), labels.tolist(), strict=True)}
    kept = list(zip(prompt.points.tolist(), prompt.point_labels.tolist(), strict=True))
    assert {(*p, label) for p, label in kept} <= given_rows
    assert len({(*p, label) for p, label in kept}) == len(kept)
    assert usable_points(prompt.points, SHAPE).all()
    assert np.array_equal(again.points, prompt.points)
    assert (prompt.point_labels == 1).any()


@settings(max_examples=200, deadline=None)
@given(hnp.arrays(float, 4, elements=st.floats(-100, 100)))
def test_a_clean_box_lies_in_the_image_and_the_corners_may_be_given_in_any_order(box):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamHQWarning)
        try:
            cleaned = clean_box(box, SHAPE)
        except PromptError:
            with pytest.raises(PromptError):
                clean_box(box[[2, 3, 0, 1]], SHAPE)
            return
        assert np.array_equal(clean_box(box[[2, 3, 0, 1]], SHAPE), cleaned)
        assert np.array_equal(clean_box(box[[0, 3, 2, 1]], SHAPE), cleaned)
        assert np.array_equal(clean_box(cleaned, SHAPE), cleaned)
    assert (cleaned[:2] < cleaned[2:]).all()
    assert (cleaned[:2] >= -0.5).all()
    assert (cleaned[2:] <= np.array(SHAPE) - 0.5).all()
