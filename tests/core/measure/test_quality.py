from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_samhq.core.display.worst_objects import WorstCases, picture_of_cases
from napari_samhq.core.measure.metrics import boundary_iou, iou
from napari_samhq.core.measure.quality import AP_THRESHOLDS, Quality, compare_labels
from napari_samhq.errors import ImageError

label_pairs = st.integers(2, 10).flatmap(
    lambda n: st.tuples(*[arrays(np.int32, (n, n), elements=st.integers(0, 4))] * 2)
)


def by_brute_force(true: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """The published definitions, word for word, object by object."""
    a, b = (np.unique(labels[labels > 0]) for labels in (true, predicted))
    ious = {(i, j): iou(true == i, predicted == j) for i in a for j in b}
    numbers: dict[str, float] = {}
    for threshold in AP_THRESHOLDS:
        found = [pair for pair, value in ious.items() if value > threshold]
        total = len(a) + len(b) - len(found)
        numbers[f"ap_{round(100 * threshold)}"] = len(found) / total if total else math.nan
    numbers["ap"] = float(np.mean([numbers[f"ap_{round(100 * t)}"] for t in AP_THRESHOLDS]))
    matched = [value for value in ious.values() if value > 0.5]
    extra, missed = len(b) - len(matched), len(a) - len(matched)
    whole = len(matched) + extra / 2 + missed / 2
    numbers["panoptic_quality"] = sum(matched) / whole if whole else math.nan
    return numbers


@given(label_pairs)
@settings(max_examples=60, deadline=None)
def test_numbers_are_what_the_definitions_say(pair):
    quality = compare_labels(*pair)
    numbers = quality.numbers()
    for name, value in by_brute_force(*pair).items():
        assert numbers[name] == pytest.approx(value, nan_ok=True), name
    if numbers["found"]:
        product = numbers["segmentation_quality"] * numbers["recognition_quality"]
        assert numbers["panoptic_quality"] == pytest.approx(product)


@given(label_pairs)
@settings(max_examples=40, deadline=None)
def test_each_object_has_one_partner_and_their_ious(pair):
    true, predicted = pair
    quality = compare_labels(true, predicted, border_px=1)
    assert [one.label_id for one in quality.objects] == np.unique(true[true > 0]).tolist()
    partners = [one.predicted_id for one in quality.objects if one.predicted_id]
    assert len(partners) == len(set(partners))
    for one in quality.objects:
        mask = true == one.label_id
        assert one.area_px == mask.sum()
        rows, cols = np.nonzero(mask)
        assert one.box == (rows.min(), cols.min(), rows.max(), cols.max())
        if one.predicted_id:
            partner = predicted == one.predicted_id
            assert one.iou == pytest.approx(iou(mask, partner))
            # One pixel is what a share of next to nothing becomes in the plain function.
            expected = boundary_iou(mask, partner, dilation=1e-9)
            assert one.boundary_iou == pytest.approx(expected)
        else:
            assert one.iou == one.boundary_iou == 0


def test_perfect_empty_and_wrong_segmentations():
    labels = np.zeros((30, 30), int)
    labels[2:12, 3:9], labels[15:29, 4:28] = 5, 70_000
    perfect = compare_labels(labels, labels)
    assert (perfect.mean_iou, perfect.mean_boundary_iou, perfect.ap) == (1, 1, 1)
    assert perfect.panoptic_quality == 1
    nothing = compare_labels(labels, np.zeros_like(labels))
    assert (nothing.mean_iou, nothing.ap, nothing.panoptic_quality) == (0, 0, 0)
    assert math.isnan(nothing.precision())
    vain = compare_labels(np.zeros_like(labels), labels)
    assert (vain.ap, vain.panoptic_quality, vain.predicted) == (0, 0, 2)
    assert math.isnan(vain.mean_iou)
    assert math.isnan(compare_labels(np.zeros((3, 3), int), np.zeros((3, 3), int)).ap)


def test_the_border_follows_the_size_of_the_object():
    def discs(radius: int, shift: int) -> tuple[np.ndarray, np.ndarray]:
        rows, cols = np.mgrid[:400, :400]
        return tuple(
            (np.hypot(rows - 200 - s, cols - 200) <= radius).astype(int) for s in (0, shift)
        )

    # The same error relative to the size is judged alike: that of a cell and of a colony.
    small, large = (compare_labels(*discs(r, r // 10)).mean_boundary_iou for r in (20, 160))
    assert small == pytest.approx(large, abs=0.08)
    assert small < 0.5 < compare_labels(*discs(20, 2)).mean_iou
    narrow, wide = (compare_labels(*discs(60, 3), border_px=n).mean_boundary_iou for n in (1, 30))
    assert narrow < 0.3 < 0.85 < wide


def test_images_are_pooled_so_that_each_object_counts_the_same():
    one = np.zeros((8, 8), int)
    one[1:4, 1:4] = 1
    many = np.kron(np.arange(1, 10).reshape(3, 3), np.pad(np.ones((3, 3), int), 1))
    good, bad = compare_labels(many, many), compare_labels(one, 0 * one)
    pooled = Quality.pooled([good, bad])
    assert pooled.mean_iou == pytest.approx(0.9)
    assert pooled.counts() == (9, 0, 1)
    assert pooled.ap == pytest.approx(0.9)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((3, 4), int), np.zeros((3, 3)), np.full((3, 3), -1), np.zeros((3, 3, 3), int)],
)
def test_what_is_no_label_image_of_the_same_size_is_refused(wrong):
    with pytest.raises(ImageError):
        compare_labels(np.ones((3, 3), int), wrong)


def test_the_worst_objects_are_kept_the_larger_ones_first():
    true = np.zeros((60, 60), int)
    true[2:8, 2:8], true[20:40, 20:40], true[50:58, 50:58] = 1, 2, 3
    predicted = np.where(true == 3, 9, 0)
    worst = WorstCases(2)
    image = np.zeros((60, 60, 3), np.uint8)
    for name in ("a", "b"):
        worst.look_at(name, image, true, predicted, compare_labels(true, predicted))
    assert [(case.name, case.quality.label_id) for case in worst.cases] == [("a", 2), ("b", 2)]
    assert worst.cases[0].true.shape == (44, 44)  # the object's 20 and 12 on each side


def test_the_picture_has_three_panels_with_the_outlines_in_their_colours():
    rows, cols = np.mgrid[:100, :120]
    image = np.repeat((rows + cols).astype(np.uint8)[..., None], 3, axis=2)
    true = (np.hypot(rows - 50, cols - 60) < 20).astype(int)
    predicted = 4 * (np.hypot(rows - 53, cols - 60) < 18).astype(int)
    worst = WorstCases(5)
    worst.look_at("x" * 300, image, true, predicted, compare_labels(true, predicted))
    picture = picture_of_cases(worst.cases)
    blue, orange = (picture == (86, 180, 233)).all(-1), (picture == (230, 159, 0)).all(-1)
    plain, second, third = np.array_split(np.arange(picture.shape[1]), 3)
    assert blue[:, second].sum() > 500 < orange[:, third].sum()
    assert not blue[:, plain].any()
    assert not orange[:, plain].any()
