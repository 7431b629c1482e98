"""The network computes what the published implementations compute (tests/data/parity/README.md)."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_samhq.model import ImageFeatures, SamHQProcessor
from napari_samhq.model.image_processor import pixel_values, upscale_logits
from support.parity import FOLDER, THREADS, Reference, chosen, stand_in_model, table

if TYPE_CHECKING:
    from collections.abc import Iterator

TOLERANCE = 1e-3
TOLERANCE_FLOAT16 = 2e-2  # of the files that keep logits in float16
MASK_TOLERANCE = 1e-4  # fraction of the pixels
ROUNDINGS = 8  # by which two roundings of the same sums may differ


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

    def exact():
        precise = in_float64(model)
        values = pixel_values(reference.values[f"{image}/image"], 256)
        return precise, (
            precise.encode_image(values[None].double())
            if whole
            else ImageFeatures(*(part.double() for part in features))
        )

    _compare(reference, image, prompt, decoded, cases, TOLERANCE, exact)


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

        def exact():
            precise = in_float64(model)
            return precise, precise.encode_image(values.double())

        _compare(reference, image, prompt, decoded, cases, TOLERANCE_FLOAT16, exact)


def _fused(model, embedding, intermediate):
    """Features from what is computed already: a second pass through ViT-B takes ten seconds."""

    return ImageFeatures(embedding, model.mask_decoder.hq_features(embedding, intermediate[0]))


def in_float64(model):
    return copy.deepcopy(model).double()


def _compare(reference, image, prompt, decoded, cases, tolerance, exact):
    """Compare with the reference; where the processor rounds otherwise, as far as rounding goes.

    Stand-in weights magnify rounding ten thousandfold at some places, and how sums are rounded
    depends on the processor. Where a logit differs by more than the tolerance, the mean difference
    must be small, and the largest explained by what rounding does to our own result.
    """
    shape, input_shape = reference.shapes(image)
    rounding = None
    for multimask, hq_only in cases:
        key = reference.key(image, prompt, multimask, hq_only)
        logits, score = chosen(decoded, multimask=multimask, hq_only=hq_only)
        expected = reference.values[f"{key}/low_res_logits"].astype(np.float32)
        difference = np.abs(logits.numpy() - expected)
        off = abs(float(score) - float(reference.values[f"{key}/score"]))
        uncertain = 0.0
        if difference.max() >= tolerance or off >= TOLERANCE:
            if rounding is None:
                precise = _decoded_exactly(reference, image, prompt, exact)
                rounding = _largest_rounding(decoded, precise, cases)
            uncertain = ROUNDINGS * rounding[0] + tolerance
            assert difference.mean() < ROUNDINGS * tolerance, key
        assert difference.max() < max(tolerance, uncertain), key
        assert off < TOLERANCE + (0 if rounding is None else ROUNDINGS * rounding[1]), key
        if (packed := reference.values.get(f"{key}/mask")) is not None:
            full = upscale_logits(logits[None], input_shape, shape, reference.size)[0]
            expected = np.unpackbits(packed)[: full.numel()].reshape(shape).astype(bool)
            differs = ((full > 0).numpy() != expected) & (full.abs() > uncertain).numpy()
            assert differs.mean() <= MASK_TOLERANCE, key


def _largest_rounding(decoded, precise, cases):
    """Largest effect of rounding on logits and scores."""
    effects = []
    for multimask, hq_only in cases:
        (logits, score), (best, best_score) = (
            chosen(one, multimask=multimask, hq_only=hq_only) for one in (decoded, precise)
        )
        effects.append((float((logits - best).abs().max()), abs(float(score - best_score))))
    return np.max(effects, axis=0)


def _decoded_exactly(reference, image, prompt, exact):
    with torch.inference_mode():
        model, features = exact()
        given = {
            name: value.double() if value.is_floating_point() else value
            for name, value in reference.prompt(image, prompt).items()
        }
        return model.decode(features, **given)


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
    precisely = {k: v.double() if v.is_floating_point() else v for k, v in given.items()}
    for multimask in (False, True):
        for hq_only in (False, True):
            key = f"{case}/multi{int(multimask)}.hq{int(hq_only)}"
            with torch.inference_mode():
                output = model(**given, multimask_output=multimask, hq_token_only=hq_only)
            magnified = False
            for name in ("pred_masks", "iou_scores"):
                value = expected[f"{key}/{name}"]
                assert output[name].shape == value.shape
                difference = np.abs(output[name].numpy() - value)
                if difference.max() >= TOLERANCE:  # as in _compare
                    magnified = True
                    with torch.inference_mode():
                        best = in_float64(model)(
                            **precisely, multimask_output=multimask, hq_token_only=hq_only
                        )
                    rounding = float((output[name] - best[name]).abs().max())
                    assert difference.mean() < ROUNDINGS * TOLERANCE, (key, name)
                    assert difference.max() < ROUNDINGS * rounding + TOLERANCE, (key, name)
            if multimask and not hq_only:
                (masks,) = processor.post_process_masks(
                    output.pred_masks, inputs.original_sizes, inputs.reshaped_input_sizes
                )
                differing = masks.numpy() != expected[f"{case}/masks"]
                assert differing.mean() <= MASK_TOLERANCE * (ROUNDINGS if magnified else 1)
