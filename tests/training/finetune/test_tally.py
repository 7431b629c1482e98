import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_samhq.training.finetune.tally import Tally, tally

LABELS = arrays.arrays(np.int32, (6, 7), elements=st.integers(0, 4))
MASKS = arrays.arrays(bool, (6, 7))


@given(LABELS, MASKS)
def test_the_truth_finds_all_of_itself(truth, known):
    found = tally(truth, truth, known)
    count = len(np.unique(truth[truth > 0]))
    assert (found.found, found.missed, found.extra) == (count, 0, 0)
    assert found.ap == found.iou == (1.0 if count else 0.0)


@given(LABELS, LABELS, MASKS)
def test_what_is_not_known_excuses_and_never_accuses(truth, found, known):
    strict = tally(truth, found, np.ones_like(known))
    lenient = tally(truth, found, known | (truth > 0))
    assert (lenient.found, lenient.missed) == (strict.found, strict.missed)
    assert lenient.extra <= strict.extra
    assert 0 <= lenient.ap <= 1
    assert 0 <= lenient.iou <= 1


def test_where_nothing_is_known_nothing_is_too_much():
    truth = np.array([[1, 1, 0, 0, 0, 0]])
    found = np.array([[3, 3, 0, 9, 9, 9]])
    nowhere = np.zeros(truth.shape, bool)
    assert tally(truth, found, nowhere) == Tally(1, 0, 0, 1.0)
    assert tally(truth, found, ~nowhere) == Tally(1, 0, 1, 1.0)
