import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_samhq.core.measure.metrics import boundary, boundary_iou, iou, iou_matrix, match
from napari_samhq.errors import ImageError

masks = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def test_iou_of_hand_made_masks():
    a = np.zeros((4, 4), bool)
    b = a.copy()
    assert iou(a, b) == 1.0
    a[0] = True
    assert iou(a, b) == 0.0
    b[:, 0] = True
    assert iou(a, b) == pytest.approx(1 / 7)


@given(masks, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_boundary_is_what_brute_force_says(mask, width):
    padded = np.pad(mask, width)
    expected = np.zeros_like(mask)
    for row, col in np.argwhere(mask):
        around = padded[row : row + 2 * width + 1, col : col + 2 * width + 1]
        expected[row, col] = not around.all()
    assert np.array_equal(boundary(mask, width), expected)


def test_boundary_iou_judges_the_outline_and_not_the_inside():
    rows, cols = np.mgrid[:200, :200]
    big = np.hypot(rows - 100, cols - 100) < 80
    smaller = np.hypot(rows - 100, cols - 100) < 76
    assert iou(big, smaller) > 0.88
    assert boundary_iou(big, smaller) < 0.6
    assert boundary_iou(big, big) == 1.0


def test_thin_objects_have_nothing_but_a_border():
    a = np.zeros((50, 50), bool)
    b = a.copy()
    a[20:22, 5:40] = True
    b[21:23, 5:40] = True
    assert boundary_iou(a, b) == pytest.approx(iou(a, b))


label_pairs = st.integers(1, 9).flatmap(
    lambda n: st.tuples(*[arrays(np.int32, (n, n), elements=st.integers(0, 4))] * 2)
)


@given(label_pairs)
@settings(max_examples=60, deadline=None)
def test_matrix_and_match_are_what_brute_force_says(pair):
    true, predicted = pair
    ious, rows, cols = iou_matrix(true, predicted)
    for i, a in enumerate(rows):
        for j, b in enumerate(cols):
            assert ious[i, j] == pytest.approx(iou(true == a, predicted == b))
    found = match(true, predicted)
    expected = {
        (a, b)
        for i, a in enumerate(rows.tolist())
        for j, b in enumerate(cols.tolist())
        if ious[i, j] > 0.5
    }
    assert {tuple(p) for p in found.pairs.tolist()} == expected
    assert len(found.missed) == len(rows) - len(expected)
    assert len(found.extra) == len(cols) - len(expected)
    assert 0 <= found.f1 <= 1


def test_each_object_has_one_partner_at_low_thresholds_too():
    true = np.array([[1, 1, 1, 1]])
    predicted = np.array([[5, 5, 6, 6]])
    found = match(true, predicted, threshold=0.1)
    assert found.pairs.tolist() == [[1, 5]]
    assert found.extra.tolist() == [6]
    assert (found.precision, found.recall) == (0.5, 1.0)


@pytest.mark.parametrize("compare", [iou, boundary_iou, iou_matrix, match])
def test_shapes_that_differ_are_refused(compare):
    with pytest.raises(ImageError, match="same shape"):
        compare(np.zeros((3, 3), int), np.zeros((3, 4), int))
