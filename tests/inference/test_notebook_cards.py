"""Embeddings, predictions and models show themselves in notebooks."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from napari_samhq.checkpoints.registry import list_models
from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.inference import Predictor
from napari_samhq.inference.prediction import Prediction
from napari_samhq.inference.windowed import WindowedPredictor
from support.notebook_cards import Card


@pytest.fixture(scope="module")
def predictor(tiny_network) -> Predictor:
    return Predictor(tiny_network)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4000, (90, 120)).astype(np.uint16)


def test_an_embedding_shows_its_image_and_sizes(predictor, image) -> None:
    embedding = predictor.embed(image, contrast_limits=(100, 3000))
    shown = Card(embedding._repr_html_())
    (picture,) = shown.pictures
    assert picture.shape[:2] == (90, 120)
    assert picture.std() > 30, "the image itself, not an empty picture"
    assert "90 x 120 px" in shown.text
    assert "100 and 3000" in shown.text


def test_the_thumbnail_takes_little_and_is_no_view_of_the_image(predictor) -> None:
    image = np.random.default_rng(0).integers(0, 255, (1500, 700, 3), dtype=np.uint8)
    embedding = predictor.embed(image)
    assert embedding.thumbnail.shape == (512, 239, 3)
    assert not np.shares_memory(predictor.embed(image[:64, :64]).thumbnail, image)
    assert "thumbnail" not in repr(embedding)


@pytest.mark.parametrize("multimask", [False, True])
def test_a_prediction_shows_each_candidate_with_its_score(predictor, image, multimask) -> None:
    embedding = predictor.embed(image)
    prediction = predictor.predict(embedding, points=[[40, 60]], multimask=multimask)
    shown = Card(prediction._repr_html_())
    assert len(shown.pictures) == len(prediction.masks)
    for score, mask in zip(prediction.scores, prediction.masks, strict=True):
        assert f"score {score:.2f}" in shown.text
        assert f"{np.count_nonzero(mask):,} px" in shown.text
    assert shown.text.count("best") == (1 if multimask else 0)


def test_a_prediction_in_a_window_shows_the_image_there(predictor) -> None:
    image = np.zeros((600, 600), dtype=np.uint8)
    image[300:, :] = 200  # a border that runs through the window
    windowed = WindowedPredictor(predictor, image)
    prediction = windowed.predict(Prompt(box=[280, 280, 320, 320]))
    assert prediction.region[0].start > 0
    thumbnail, (rows, _) = prediction.seen_in
    assert rows.start <= 280
    assert rows.stop > 320
    above = round((300 - rows.start) * thumbnail.shape[0] / (rows.stop - rows.start))
    assert thumbnail[: above - 2].max() == 0
    assert thumbnail[above + 2 :].min() > 0


def test_a_prediction_of_unknown_origin_shows_its_outline_over_nothing() -> None:
    mask = np.zeros((1, 40, 40), dtype=bool)
    mask[0, 10:20, 10:20] = True
    prediction = Prediction(
        mask, np.array([0.5]), np.zeros((1, 4, 4), np.float32), 0, (slice(0, 40), slice(0, 40))
    )
    (picture,) = Card(prediction._repr_html_()).pictures
    assert (picture == (230, 159, 0)).all(axis=-1).any()


def test_models_tell_what_they_learned_from() -> None:
    for info in list_models():
        shown = Card(info._repr_html_())
        for fact in (info.name, info.title, info.trained_on, info.license):
            assert fact in shown.text
        assert ("in the package" in shown.text) == info.bundled


def test_a_loaded_model_tells_device_and_size() -> None:
    import napari_samhq

    shown = Card(napari_samhq.load_model("micro", device="cpu")._repr_html_())
    assert "cpu, encoder in float32" in shown.text
    assert "9.1 million" in shown.text


def test_what_is_known_of_models_is_shown_without_torch() -> None:
    code = (
        "import sys, napari_samhq as s\n"
        "assert s.list_models()[0]._repr_html_()\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
