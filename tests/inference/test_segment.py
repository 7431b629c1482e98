"""From an image and prompts to labels in one call."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from napari_samhq.errors import ImageError, ModelError, PromptError, SamHQWarning
from napari_samhq.inference.prediction import Prediction, SupportsPrediction
from napari_samhq.inference.segment import LabelPainter, segment
from support.fakes import FakePredictor

IMAGE = np.arange(40 * 60).reshape(40, 60)


def test_each_box_is_an_object(fake_predictor):
    labels = segment(IMAGE, boxes=[[2, 3, 8, 9], [20, 30, 31, 44]], model=fake_predictor)
    assert labels.dtype == np.int32
    assert labels.shape == IMAGE.shape
    assert (labels[2:9, 3:10] == 1).all()
    assert (labels[20:32, 30:45] == 2).all()
    assert np.count_nonzero(labels) == 49 + 12 * 15


def test_each_point_is_an_object(fake_predictor):
    labels = segment(IMAGE, points=[[10, 10], [30, 50]], model=fake_predictor)
    assert labels[10, 10] == 1
    assert labels[30, 50] == 2
    assert set(np.unique(labels)) == {0, 1, 2}
    assert [what for what, _ in fake_predictor.calls] == ["embed", "predict", "predict"]


def test_a_network_segments(tiny_network, grey_image):
    model = SimpleNamespace(
        network=tiny_network, info=SimpleNamespace(name="tiny"), fingerprint="tiny"
    )
    labels = segment(grey_image, boxes=[[10, 10, 90, 90]], model=model)
    assert labels.shape == grey_image.shape
    assert set(np.unique(labels)) <= {0, 1}


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        pytest.param({}, "neither points nor boxes", id="FM-15-nothing"),
        pytest.param({"points": []}, "points is empty", id="FM-15-no-points"),
        pytest.param({"boxes": np.empty((0, 4))}, "boxes is empty", id="FM-15-no-boxes"),
        pytest.param({"points": [[1, 2]], "boxes": [[1, 2, 3, 4]]}, "both", id="both"),
        pytest.param({"points": [1, 2]}, r"\(N, 2\)", id="one-point-bare"),
        pytest.param({"boxes": [1, 2, 3, 4]}, r"\(N, 4\)", id="one-box-bare"),
        pytest.param({"boxes": [[1, 2, 3], [4]]}, "ragged", id="ragged"),
        pytest.param({"points": [["a", "b"]]}, "real numbers", id="text"),
        pytest.param({"boxes": [[1, 2, 1, 9]]}, "no area", id="FM-16-flat"),
        pytest.param({"boxes": [[1, 2, 9, 9], [50, 2, 60, 9]]}, "outside", id="FM-16-outside"),
    ],
)
def test_prompts_that_say_nothing_are_refused(fake_predictor, prompts, words):
    with pytest.raises(PromptError, match=words):
        segment(IMAGE, **prompts, model=fake_predictor)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param((40, 5), id="FM-13-below"),
        pytest.param((-3, 5), id="FM-13-above"),
        pytest.param((np.nan, 5), id="FM-14-nan"),
    ],
)
def test_points_that_cannot_be_used_are_left_out_and_the_others_keep_their_ids(fake_predictor, bad):
    with pytest.warns(SamHQWarning, match="1 of 3 points dropped"):
        labels = segment(IMAGE, points=[[10, 10], bad, [30, 50]], model=fake_predictor)
    assert labels[10, 10] == 1
    assert labels[30, 50] == 3
    assert set(np.unique(labels)) == {0, 1, 3}
    with pytest.warns(SamHQWarning), pytest.raises(PromptError, match="None of the 1 points"):
        segment(IMAGE, points=[bad], model=fake_predictor)


def test_objects_without_a_pixel_are_told(fake_predictor):
    with pytest.warns(SamHQWarning, match=r"1 of 2 objects have no pixel.*label 2"):
        segment(IMAGE, boxes=[[2, 2, 30, 30], [5, 5, 9, 9]], model=fake_predictor)


def test_bad_images_and_models_are_refused(fake_predictor):
    with pytest.raises(ImageError):
        segment(np.zeros((0, 5)), points=[[1, 2]], model=fake_predictor)
    with pytest.raises(ModelError):
        segment(IMAGE, points=[[1, 2]], model=object())


def _prediction(mask: np.ndarray, score: float) -> Prediction:
    return Prediction(
        masks=mask[None],
        scores=np.array([score], np.float32),
        low_res_logits=np.zeros((1, 2, 2), np.float32),
        best=0,
        region=(slice(0, mask.shape[0]), slice(0, mask.shape[1])),
    )


def test_the_higher_score_owns_a_pixel_whatever_the_order():
    random = np.random.default_rng(0)
    objects = [
        (i + 1, _prediction(random.random((6, 7)) > 0.4, score))
        for i, score in enumerate([0.5, 0.9, 0.5, 0.2])
    ]
    results = []
    for order in itertools.permutations(objects):
        painter = LabelPainter((6, 7))
        for label_id, prediction in order:
            painter.add(label_id, prediction)
        results.append(painter.labels)
    masks = np.stack([prediction.mask for _, prediction in objects])
    expected = np.select([masks[1], masks[0], masks[2], masks[3]], [2, 1, 3, 4])
    assert all(np.array_equal(result, expected) for result in results)


def test_a_window_is_painted_where_it_lies():
    painter = LabelPainter((20, 30))
    window = Prediction(
        masks=np.ones((1, 4, 5), bool),
        scores=np.ones(1, np.float32),
        low_res_logits=np.zeros((1, 2, 2), np.float32),
        best=0,
        region=(slice(10, 14), slice(20, 25)),
    )
    painter.add(7, window)
    assert (painter.labels[10:14, 20:25] == 7).all()
    assert np.count_nonzero(painter.labels) == 20


def test_the_fake_is_a_predictor(fake_predictor):
    assert isinstance(fake_predictor, SupportsPrediction)
    embedding = fake_predictor.embed(IMAGE)
    three = fake_predictor.predict(embedding, [[20, 20]], multimask=True)
    assert three.masks.sum(axis=(1, 2)).tolist() == [81, 21, 317]
    assert FakePredictor(radius=2).predict(embedding, [[20, 20]]).mask.sum() == 13
    fake_predictor.error = MemoryError()
    with pytest.raises(MemoryError):
        fake_predictor.embed(IMAGE)
    fake_predictor.embed(IMAGE)
