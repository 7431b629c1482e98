"""The network computes what the published implementations compute (tests/data/parity/README.md)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_samhq.model import SamHQProcessor
from napari_samhq.model.image_processor import pixel_values, upscale_logits
from parity import FOLDER, THREADS, Reference, chosen, stand_in_model, table

if TYPE_CHECKING:
    from collections.abc import Iterator

TOLERANCE = 1e-3
TOLERANCE_FLOAT16 = 2e-2  # of the files that keep logits in float16
MASK_TOLERANCE = 1e-4  # fraction of the pixels


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def vit_small():  # type: ignore[no-untyped-def]
    return stand_in_model(table("vit_small"), original=True), Reference.read("vit_small", 256)


@pytest.mark.parametrize("image", ["square", "landscape", "portrait"])
def test_embedding_and_early_features(vit_small, image):
    model, reference = vit_small
    values = pixel_values(reference.values[f"{image}/image"], 256)
    with torch.inference_mode():
        embedding, intermediate = model.get_image_embeddings(values[None])
    expected = reference.values[f"{image}/image_embedding"]
    assert np.abs(embedding[0].numpy() - expected).max() < TOLERANCE
    expected = reference.values[f"{image}/early_features"]
    assert np.abs(intermediate[0][0].numpy() - expected).max() < TOLERANCE


@pytest.mark.parametrize("prompt", ["point", "points", "box", "box_points", "mask_points"])
@pytest.mark.parametrize("image", ["square", "landscape", "portrait"])
@pytest.mark.parametrize("whole", [True, False], ids=["from-image", "from-embedding"])
def test_masks_of_the_small_model(vit_small, image, prompt, whole):
    model, reference = vit_small
    with torch.inference_mode():
        if whole:
            values = pixel_values(reference.values[f"{image}/image"], 256)
            features = model.encode_image(values[None])
        else:
            features = reference.features(model, image)
        decoded = model.decode(features, **reference.prompt(image, prompt))
    cases = reference.outputs(image, prompt)
    assert len(cases) == 4
    _compare(reference, image, prompt, decoded, cases, TOLERANCE)


@pytest.mark.parametrize("name", ["vit_tiny", "vit_b"])
def test_full_size_models(name):
    model, reference = stand_in_model(table(name), original=True), Reference.read(name, 1024)
    (image,) = reference.images()
    with torch.inference_mode():
        values = pixel_values(reference.values[f"{image}/image"], 1024)[None]
        embedding, intermediate = model.get_image_embeddings(values)
        features = (
            model.encode_image(values)
            if name == "vit_tiny"
            else _fused(model, embedding, intermediate)
        )
    sampled = embedding[0, ::8, ::4, ::4].numpy()
    assert np.abs(sampled - reference.values[f"{image}/image_embedding"]).max() < TOLERANCE
    sampled = intermediate[0][0, ::4, ::4, ::8].numpy()
    assert np.abs(sampled - reference.values[f"{image}/early_features"]).max() < TOLERANCE
    assert len(reference.prompts(image)) == 3
    for prompt in reference.prompts(image):
        with torch.inference_mode():
            decoded = model.decode(features, **reference.prompt(image, prompt))
        cases = reference.outputs(image, prompt)
        assert len(cases) == 3
        _compare(reference, image, prompt, decoded, cases, TOLERANCE_FLOAT16)


def _fused(model, embedding, intermediate):
    """Features from what is computed already: a second pass through ViT-B takes ten seconds."""
    from napari_samhq.model import ImageFeatures

    return ImageFeatures(embedding, model.mask_decoder.hq_features(embedding, intermediate[0]))


def _compare(reference, image, prompt, decoded, cases, tolerance):
    shape, input_shape = reference.shapes(image)
    for multimask, hq_only in cases:
        key = reference.key(image, prompt, multimask, hq_only)
        logits, score = chosen(decoded, multimask=multimask, hq_only=hq_only)
        expected = reference.values[f"{key}/low_res_logits"].astype(np.float32)
        assert np.abs(logits.numpy() - expected).max() < tolerance, key
        assert abs(float(score) - float(reference.values[f"{key}/score"])) < TOLERANCE, key
        if (packed := reference.values.get(f"{key}/mask")) is not None:
            mask = upscale_logits(logits[None], input_shape, shape, reference.size)[0] > 0
            expected = np.unpackbits(packed)[: mask.numel()].reshape(shape).astype(bool)
            assert (mask.numpy() != expected).mean() <= MASK_TOLERANCE, key


@pytest.fixture(scope="module")
def hugging_face():  # type: ignore[no-untyped-def]
    names = json.loads((FOLDER / "transformers_small" / "model.keys.json").read_text())
    with np.load(FOLDER / "transformers_small" / "expected.npz") as file:
        expected = {key: file[key] for key in file.files}
    processor = SamHQProcessor.from_pretrained(FOLDER / "transformers_small")
    return stand_in_model(names, original=False), processor, expected


@pytest.mark.parametrize("case", ["points", "points_labels", "boxes"])
def test_processor_and_model_of_hugging_face(hugging_face, case):
    model, processor, expected = hugging_face
    wanted = {
        key.rsplit("/", 1)[1]: value
        for key, value in expected.items()
        if key.startswith(f"{case}/inputs/")
    }
    to_image = 400 / 256  # the expected prompts are in model pixels already
    prompts = {
        name: (wanted[name] * (1 if name == "input_labels" else to_image)).tolist()
        for name in ("input_points", "input_labels", "input_boxes")
        if name in wanted
    }
    inputs = processor(expected["image"], **prompts, return_tensors="pt")
    assert set(inputs) == set(wanted)
    for name, value in wanted.items():
        assert inputs[name].shape == value.shape
        np.testing.assert_allclose(inputs[name].numpy(), value, atol=1e-6)

    given = {k: v for k, v in inputs.items() if not k.endswith("_sizes")}
    for multimask in (False, True):
        for hq_only in (False, True):
            key = f"{case}/multi{int(multimask)}.hq{int(hq_only)}"
            with torch.inference_mode():
                output = model(**given, multimask_output=multimask, hq_token_only=hq_only)
            for name in ("pred_masks", "iou_scores"):
                value = expected[f"{key}/{name}"]
                assert output[name].shape == value.shape
                assert np.abs(output[name].numpy() - value).max() < TOLERANCE, (key, name)
            if multimask and not hq_only:
                (masks,) = processor.post_process_masks(
                    output.pred_masks, inputs.original_sizes, inputs.reshaped_input_sizes
                )
                differing = masks.numpy() != expected[f"{case}/masks"]
                assert differing.mean() <= MASK_TOLERANCE
