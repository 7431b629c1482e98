from importlib.resources import files

import numpy as np
import pytest
from skimage.io import imread

from napari_samhq.core.measure.clicks import deepest_point, next_click
from napari_samhq.core.measure.metrics import iou
from napari_samhq.training.micro.measures import evaluate_image, otsu_in_box, targets_of, window_of
from napari_samhq.training.micro.model_card import scores_report, summary, table
from support.fakes import FakePredictor


def _discs():
    rows, cols = np.mgrid[:80, :100]
    labels = np.zeros((80, 100), np.int32)
    labels[np.hypot(rows - 20, cols - 20) < 12] = 1
    labels[np.hypot(rows - 50, cols - 70) < 18] = 2
    labels[0, 99] = 3  # too small to be asked for
    return labels


def test_small_specks_are_left_out_and_masks_are_exact():
    labels = _discs()
    targets = targets_of(labels, 10)
    assert [t.label for t in targets] == [1, 2]
    for target in targets:
        assert np.array_equal(target.full(labels.shape), labels == target.label)


def test_the_deepest_point_is_the_middle_of_a_disc():
    assert deepest_point(_discs() == 2) == (50, 70)


def test_the_next_click_goes_to_the_largest_error():
    truth = _discs() == 2
    assert next_click(truth, truth) is None
    place, label = next_click(np.zeros_like(truth), truth)
    assert (place, label) == ((50, 70), 1)
    too_much = truth.copy()
    too_much[:10, :40] = True
    place, label = next_click(too_much, truth)
    assert label == 0
    assert too_much[place]
    assert not truth[place]


@pytest.mark.parametrize("polarity", [1, -1])
def test_otsu_is_told_the_polarity(polarity):
    labels = _discs()
    grey = polarity * (labels == 1) * 50.0
    assert otsu_in_box(grey, targets_of(labels, 9)[0]) == 1.0


def test_windows_hold_the_object_and_stay_inside():
    labels = _discs()
    for target in targets_of(labels, 9):
        rows, cols = window_of(target, labels.shape)
        assert 0 <= rows.start <= target.rows.start
        assert target.rows.stop <= rows.stop <= 80
        assert 0 <= cols.start <= target.cols.start
        assert target.cols.stop <= cols.stop <= 100


@pytest.mark.parametrize("share", [0.4, 0.25])
def test_an_object_spans_its_share_of_the_window(share):
    labels = np.zeros((400, 500), np.int32)
    labels[200:220, 200:240] = 1
    rows, cols = window_of(targets_of(labels, 1)[0], labels.shape, share)
    assert rows.stop - rows.start == cols.stop - cols.start == round(40 / share)


def test_a_fake_that_fills_boxes_gets_the_numbers_of_filled_boxes():
    labels = _discs()
    image = (labels > 0).astype(np.uint8) * 200 + 20
    results = list(evaluate_image(FakePredictor(), image, labels, corrections=1, source="discs"))
    means = summary(results)["discs"]
    box = labels[9:32, 9:32] == 1
    assert results[0].values["box"] == pytest.approx(iou(np.ones_like(box), box), abs=0.05)
    assert means["otsu"] == 1.0
    assert means["objects"] == 2
    assert "| discs | 2 |" in table({"discs": means})


def test_scores_are_kept_beside_what_they_foretell():
    labels = _discs()
    image = (labels > 0).astype(np.uint8) * 200 + 20
    results = list(evaluate_image(FakePredictor(), image, labels, corrections=1, source="discs"))
    for result in results:
        assert result.scored.keys() == {"box", "click", "corrected"}
        assert all(found == result.values[kind] for kind, (_, found) in result.scored.items())
        assert max(found for _, found in result.candidates) == result.values["click, best of 3"]
    told = scores_report(results)
    assert "| box | 2 |" in told
    assert "| all | 6 |" in told
    assert "candidates of 2 clicks" in told


def test_the_bundled_weights_find_nuclei_they_never_saw():
    from napari_samhq.inference.predictor import Predictor
    from napari_samhq.model.sam_hq import SamHQModel

    weights = files("napari_samhq") / "checkpoints" / "weights" / "micro"
    image, labels = (
        imread(str(files("napari_samhq") / "data" / name))[:256, :256]
        for name in ("nuclei.png", "nuclei_labels.png")
    )
    predictor = Predictor(SamHQModel.from_pretrained(str(weights)))
    results = list(evaluate_image(predictor, image, labels, most=8, corrections=0))
    assert summary(results)[""]["box"] > 0.86
    assert summary(results)[""]["click"] > 0.8
