import numpy as np
import pytest

from napari_samhq.training.dense_targets import dense_targets, innermost
from napari_samhq.training.micro.synthetic import synthetic_image


def test_two_that_touch_have_a_border_and_a_middle_each():
    labels = np.zeros((32, 64), np.int32)
    labels[4:28, 8:32], labels[4:28, 32:56] = 1, 2
    border, middle, down, right, weight = dense_targets(labels).astype(float)
    assert border[8, 9] > 0.8
    assert border[8, 22] > 0.8
    assert border[8, 15] < 0.2  # between them
    assert border[8, 16] < 0.2
    assert middle[8, 9] > 0.8 > middle[8, 15]
    assert right[8, 5] > 0.9  # from the left towards the middle
    assert right[8, 14] < -0.9
    assert down[3, 10] > 0.5
    assert (weight == 1).all()
    assert border[0, 0] == middle[0, 0] == 0


def test_what_the_crop_cuts_counts_for_less():
    labels = np.zeros((32, 32), np.int32)
    labels[0:12, 4:16], labels[18:28, 18:28] = 1, 2
    weight = dense_targets(labels)[4]
    assert weight[2, 4] < 0.5
    assert weight[11, 11] == 1
    assert weight[15, 0] == 1


@pytest.mark.parametrize("seed", range(4))
def test_each_object_has_one_innermost_place_and_directions_lead_there(seed):
    labels = synthetic_image(seed, size=128).labels
    border, middle, down, right, _ = dense_targets(labels).astype(float)
    small = labels[::2, ::2]
    depth = np.where(small > 0, border, 0)
    places, deepest = innermost(small, depth)
    for label in np.unique(small[small > 0]):
        row, col = places[label]
        assert small[row, col] == label
        assert deepest[label] == pytest.approx(1, abs=1e-3)
        assert middle[row, col] == pytest.approx(1, abs=1e-3)
    rows, cols = np.nonzero(small)
    towards = places[small[rows, cols]] - np.column_stack([rows, cols])
    along = towards[:, 0] * down[rows, cols] + towards[:, 1] * right[rows, cols]
    assert np.allclose(along, np.hypot(*towards.T), atol=0.5 + 2e-3 * along.max())


def test_an_empty_crop_is_background():
    targets = dense_targets(np.zeros((16, 16), np.int32))
    assert not targets[:4].any()
    assert (targets[4] == 1).all()
