"""The predictor returns what the original repository returns, from the image on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_samhq.core.geometry.frames import xy_to_rc
from napari_samhq.inference.predictor import Predictor
from napari_samhq.model import ImageFeatures, SamHQModel
from support.parity import THREADS, Reference, chosen, stand_in_model, table

if TYPE_CHECKING:
    from collections.abc import Iterator

TOLERANCE = 1e-3
MASK_TOLERANCE = 1e-4  # fraction of the pixels


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference.read("vit_small", 256)


@pytest.fixture(scope="module")
def network() -> SamHQModel:
    return stand_in_model(table("vit_small"), original=True)


@pytest.fixture(scope="module")
def predictor(network) -> Predictor:
    return Predictor(network)


@pytest.mark.parametrize("hq_only", [False, True], ids=["hq0", "hq1"])
@pytest.mark.parametrize("multimask", [False, True], ids=["multi0", "multi1"])
@pytest.mark.parametrize("image", ["square", "landscape", "portrait"])
def test_every_case_of_the_small_model(predictor, network, reference, image, multimask, hq_only):
    values = reference.values
    embedding = predictor.embed(values[f"{image}/image"])
    expected = values[f"{image}/image_embedding"]
    assert np.abs(embedding.image_embedding.numpy() - expected).max() < TOLERANCE
    assert reference.prompts(image) == ["box", "box_points", "mask_points", "point", "points"]
    for prompt in reference.prompts(image):
        arguments = _arguments(values, f"{image}/{prompt}")
        answer = predictor.predict(embedding, **arguments, multimask=multimask, hq_only=hq_only)
        key = reference.key(image, prompt, multimask, hq_only)
        difference = answer.low_res_logits[0] - values[f"{key}/low_res_logits"]
        if np.abs(difference).max() >= TOLERANCE:
            # Another processor rounds otherwise, and the weights magnify it: then the predictor
            # must say what the network says, which tests/model/test_parity.py compares.
            features = ImageFeatures(embedding.image_embedding[None], embedding.hq_features[None])
            with torch.inference_mode():
                decoded = network.decode(features, **reference.prompt(image, prompt))
            logits, score = chosen(decoded, multimask=multimask, hq_only=hq_only)
            assert np.abs(answer.low_res_logits[0] - logits.numpy()).max() < TOLERANCE
            assert abs(answer.scores[0] - float(score)) < TOLERANCE
            assert np.abs(difference).mean() < 8 * TOLERANCE
            continue
        assert abs(answer.scores[0] - values[f"{key}/score"]) < TOLERANCE
        if (packed := values.get(f"{key}/mask")) is not None:
            mask = np.unpackbits(packed, count=answer.mask.size).reshape(answer.mask.shape)
            assert np.mean(answer.mask != mask) <= MASK_TOLERANCE


def _arguments(values: dict[str, np.ndarray], key: str) -> dict[str, np.ndarray]:
    """Turn the prompt as the original takes it (x, y) into what the predictor takes."""
    given = {}
    for theirs, ours in (("point_coords", "points"), ("box", "box")):
        if (array := values.get(f"{key}/{theirs}")) is not None:
            given[ours] = xy_to_rc(array)
    for theirs, ours in (("point_labels", "point_labels"), ("mask_input", "mask")):
        if (array := values.get(f"{key}/{theirs}")) is not None:
            given[ours] = array
    return given
