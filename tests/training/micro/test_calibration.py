import numpy as np
import pytest

from napari_samhq.training.micro.calibration import calibration, choice, report


def test_true_scores_have_no_error():
    ious = np.linspace(0, 1, 101)
    found = calibration(ious, ious)
    assert found.error == pytest.approx(0)
    assert found.bias == pytest.approx(0)
    assert found.rank == pytest.approx(1)
    assert sum(one.count for one in found.bins) == 101


@pytest.mark.parametrize("shift", [-0.25, 0.25])
def test_a_constant_error_is_error_and_bias(shift):
    ious = np.linspace(0.3, 0.7, 40)
    found = calibration(ious + shift, ious)
    assert found.error == pytest.approx(abs(shift))
    assert found.bias == pytest.approx(shift)
    assert found.rank == pytest.approx(1)


def test_errors_that_cancel_within_a_bin_do_not_count_but_others_do():
    """One of two masks in a bin is better than its score, the other as much worse."""
    assert calibration([0.55, 0.55], [0.45, 0.65]).error == pytest.approx(0)
    assert calibration([0.25, 0.75], [0.15, 0.85]).error == pytest.approx(0.1)


def test_order_alone_makes_the_rank():
    rng = np.random.default_rng(0)
    ious = rng.random(50)
    assert calibration(ious**3, ious).rank == pytest.approx(1)
    assert calibration(1 - ious, ious).rank == pytest.approx(-1)
    assert np.isnan(calibration([0.5, 0.5], [0.1, 0.9]).rank)


def test_scores_at_both_ends_fall_into_bins():
    found = calibration([0.0, 1.0, 1.02, -0.01], [0.0, 1.0, 1.0, 0.0])
    assert [one.count for one in found.bins] == [2, 2]


def test_the_choice_is_right_where_scores_order_candidates():
    rng = np.random.default_rng(1)
    ious = rng.random((30, 3))
    right, wrong = choice(ious, ious), choice(-ious, ious)
    assert right.right == 1
    assert right.chosen == right.best
    assert wrong.chosen < wrong.mean < right.chosen
    assert wrong.best == right.best


def test_a_report_of_nothing_is_empty_of_numbers():
    assert report([], []).count("\n") == 1
