"""The predictor: frames, choices, batches, determinism and bad input, on a tiny network."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.errors import (
    ImageError,
    ModelError,
    OutOfMemoryError,
    PromptError,
    SamHQWarning,
)
from napari_samhq.inference import _batches, _decoding
from napari_samhq.inference.prediction import SupportsPrediction
from napari_samhq.inference.predictor import Predictor
from napari_samhq.model import SamHQModel
from napari_samhq.model.image_processor import pixel_values, upscale_logits


@pytest.fixture(scope="module")
def predictor(tiny_network) -> Predictor:
    return Predictor(tiny_network)


@pytest.fixture(scope="module")
def embedding(predictor, grey_image):
    return predictor.embed(grey_image)


MASK = np.zeros((200, 250), bool)
MASK[40:90, 60:140] = True
PROMPTS = [
    Prompt([[30, 40]]),
    Prompt(box=[10, 20, 90, 120]),
    Prompt([[30, 40], [100, 100]], [1, 0]),
    Prompt([[31, 44]]),
    Prompt(mask=MASK),
    Prompt([[50, 60]], box=[10, 20, 90, 120]),
    Prompt(mask=~MASK),
    Prompt([[50, 60]], [0], box=[12, 20, 91, 120], mask=MASK),
    Prompt(box=[100, 120, 190, 220]),
    Prompt([[150, 200]]),
]


# ----------------------------------------------------------------------------------------- embed


def test_an_embedding_says_what_it_was_made_from(predictor, embedding):
    assert embedding.image_shape == (200, 250)
    assert embedding.input_shape == (51, 64)
    assert embedding.input_size == 64
    assert embedding.image_embedding.shape == (32, 8, 8)
    assert embedding.hq_features.shape == (4, 32, 32)
    assert embedding.image_embedding.dtype == torch.float32
    assert embedding.nbytes == 4 * (32 * 64 + 4 * 32 * 32) + embedding.thumbnail.nbytes
    assert embedding.contrast_limits is not None
    assert embedding.model_fingerprint == predictor.fingerprint
    assert "200 x 250" in repr(embedding)


def test_the_encoder_sees_what_the_published_processor_gives(predictor, tiny_network, colour_image):
    embedding = predictor.embed(colour_image)
    with torch.inference_mode():
        features = tiny_network.encode_image(pixel_values(colour_image, 64)[None])
    assert torch.equal(embedding.image_embedding, features.image_embedding[0])
    assert torch.equal(embedding.hq_features, features.hq_features[0])


def test_contrast_limits_reach_the_image(predictor, grey_image):
    limits = (0.0, 255.0)
    embedding = predictor.embed(grey_image.astype(float), contrast_limits=limits)
    rgb = np.repeat(grey_image[..., None], 3, axis=2)
    assert torch.equal(embedding.image_embedding, predictor.embed(rgb).image_embedding)
    assert embedding.contrast_limits == limits


def test_it_is_a_predictor_in_the_sense_of_the_protocol(predictor):
    assert isinstance(predictor, SupportsPrediction)


# --------------------------------------------------------------------------------------- predict


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("multimask", [False, True])
def test_shapes_types_and_order_of_a_prediction(predictor, embedding, prompt, multimask):
    prediction = _predict(predictor, embedding, prompt, multimask=multimask)
    count = 3 if multimask else 1
    assert prediction.masks.shape == (count, 200, 250)
    assert prediction.masks.dtype == bool
    assert prediction.scores.shape == (count,)
    assert prediction.low_res_logits.shape == (count, 32, 32)
    assert prediction.low_res_logits.dtype == np.float32
    assert prediction.best == 0
    assert prediction.score == prediction.scores.max()
    assert (np.diff(prediction.scores) <= 0).all()
    assert prediction.region == (slice(0, 200), slice(0, 250))
    assert np.array_equal(prediction.mask, prediction.masks[0])


def test_masks_are_the_enlarged_logits(predictor, embedding):
    prediction = predictor.predict(embedding, [[30, 40]], multimask=True)
    logits = torch.from_numpy(prediction.low_res_logits)
    expected = upscale_logits(logits, (51, 64), (200, 250), 64) > 0
    assert np.array_equal(prediction.masks, expected.numpy())
    assert 0 < prediction.mask.mean() < 1


def test_several_masks_are_sams_other_three_by_score(predictor, tiny_network, embedding):
    prediction = predictor.predict(embedding, [[30, 40]], multimask=True)
    single = predictor.predict(embedding, [[30, 40]])
    hq = predictor.predict(embedding, [[30, 40]], hq_only=True)
    with torch.inference_mode():
        decoded = _decoding.decode(tiny_network, embedding, [PROMPTS[0].cleaned((200, 250))], 32)
    order = decoded.scores[0, 1:].argsort(descending=True)
    sam = (decoded.sam_logits[0, 1:][order] + decoded.hq_logits[0]).detach().numpy()
    assert np.allclose(prediction.low_res_logits, sam, atol=1e-5)
    first = (decoded.sam_logits[0, :1] + decoded.hq_logits[0]).detach().numpy()
    assert np.allclose(single.low_res_logits, first, atol=1e-5)
    assert np.allclose(hq.low_res_logits, decoded.hq_logits[0].detach().numpy(), atol=1e-5)


def test_the_hq_mask_alone_comes_with_all_three_scores(predictor, embedding):
    both = predictor.predict(embedding, [[30, 40]], multimask=True)
    alone = predictor.predict(embedding, [[30, 40]], multimask=True, hq_only=True)
    assert np.array_equal(alone.scores, both.scores)
    assert (alone.low_res_logits == alone.low_res_logits[0]).all()
    assert alone.masks.shape == both.masks.shape
    assert not np.array_equal(alone.low_res_logits, both.low_res_logits)


def test_logits_of_a_prediction_are_a_prompt(predictor, embedding):
    first = predictor.predict(embedding, [[30, 40]])
    second = predictor.predict(embedding, [[30, 40]], mask=first.low_res_logits)
    again = predictor.predict(embedding, [[30, 40]], mask=first.low_res_logits[0])
    assert not np.array_equal(second.low_res_logits, first.low_res_logits)
    assert np.array_equal(second.low_res_logits, again.low_res_logits)


@pytest.fixture
def one_core():
    """Batches in this thread, one after the other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_same_call_gives_the_same_bytes(predictor, tiny_network, grey_image):
    answers = []
    for maker in (predictor, predictor, Predictor(tiny_network)):
        embedding = maker.embed(grey_image)
        predictions = maker.predict_many(embedding, PROMPTS, multimask=True)
        answers += [p.low_res_logits.tobytes() + p.masks.tobytes() for p in predictions]
    assert answers[:10] == answers[10:20] == answers[20:]


def test_a_prediction_keeps_nothing_of_the_gradient(predictor, embedding):
    assert not embedding.image_embedding.requires_grad
    assert isinstance(predictor.predict(embedding, [[3, 4]]).masks, np.ndarray)


@pytest.mark.parametrize(("length", "multimask"), [(1, False), (2, True), (64, False)])
def test_many_prompts_at_once_answer_like_one_by_one(
    predictor, embedding, multimask, length, monkeypatch
):
    monkeypatch.setattr(_batches, "_LONGEST_CHUNK", length)
    prompts = PROMPTS + PROMPTS[:3]
    together = predictor.predict_many(embedding, prompts, multimask=multimask)
    assert len(together) == len(prompts)
    for prompt, prediction in zip(prompts, together, strict=True):
        alone = _predict(predictor, embedding, prompt, multimask=multimask)
        assert np.abs(prediction.low_res_logits - alone.low_res_logits).max() < 1e-4
        assert np.abs(prediction.scores - alone.scores).max() < 1e-4
        assert np.mean(prediction.masks != alone.masks) < 1e-3


def test_answers_come_one_by_one_and_can_be_left(predictor, embedding, one_core, monkeypatch):
    monkeypatch.setattr(_batches, "_LONGEST_CHUNK", 2)
    decoded = []
    original = _decoding.decode
    monkeypatch.setattr(
        "napari_samhq.inference._batches.decode",
        lambda *args: decoded.append(len(args[2])) or original(*args),
    )
    answers = predictor.iter_predict(embedding, [Prompt([[i, i]]) for i in range(9)])
    index, prediction = next(answers)
    assert (index, prediction.masks.shape) == (0, (1, 200, 250))
    answers.close()
    assert decoded == [2]


def test_unpromising_masks_are_spared(predictor, embedding):
    def ask(**options):
        parts = list(predictor.iter_logits(embedding, PROMPTS[:1] * 3 + PROMPTS, **options))
        order = np.argsort(np.concatenate([indices for indices, _, _ in parts]))
        return (np.concatenate(column)[order] for column in list(zip(*parts, strict=True))[1:])

    logits, scores = ask(multimask=True)
    best = scores.max(axis=1)
    for least in (best.min() - 1, np.median(best), best.max() + 1):
        some, same_scores = ask(multimask=True, least_score=float(least))
        good = best >= np.float32(least)
        assert np.array_equal(scores, same_scores)
        assert np.abs(some[good] - logits[good]).max(initial=0) < 1e-4
        assert np.isnan(some[~good]).all()


def test_no_prompts_no_answers(predictor, embedding):
    assert predictor.predict_many(embedding, []) == []


def test_chunks_keep_to_the_memory_set_aside():
    for nbytes, length in ((2**40, 1), (6 * 2**20, 1), (2**10, 64)):
        embedding = SimpleNamespace(nbytes=nbytes)
        assert _batches.chunk_length(embedding, torch.device("cpu")) == length


# ----------------------------------------------------------------------------------- mask prompts


def test_a_drawn_mask_lands_where_it_was_drawn(embedding):
    logits = _decoding.low_res_mask_logits(MASK, embedding, 32).numpy()
    assert logits.shape == (32, 32)
    scale = 32 / 250  # low-res pixels per image pixel
    rows, cols = np.nonzero(logits > 0)
    assert rows.min() == pytest.approx(40 * scale, abs=1)
    assert rows.max() == pytest.approx(90 * scale - 1, abs=1)
    assert cols.min() == pytest.approx(60 * scale, abs=1)
    assert cols.max() == pytest.approx(140 * scale - 1, abs=1)
    assert logits.max() == 10
    assert (logits[26:] == -10).all()  # the padding below the image


@settings(max_examples=50, deadline=None)
@given(st.tuples(st.integers(1, 300), st.integers(1, 300)), st.floats(0, 1))
def test_a_drawn_mask_keeps_its_share_of_the_image(shape, share):
    mask = np.zeros(shape, bool)
    mask[: max(1, round(share * shape[0]))] = True
    height, width = (max(1, int(n * 64 / max(shape) + 0.5)) for n in shape)
    embedding = SimpleNamespace(input_shape=(height, width), input_size=64)
    logits = _decoding.low_res_mask_logits(mask, embedding, 32)
    covered = ((logits + 10) / 20).sum().item() * 4  # in model pixels
    assert covered / width == pytest.approx(mask.mean() * height, abs=0.51)  # rows


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros((64, 64), np.float32), "32 x 32"),
        (np.zeros((200, 250), np.float32), "pass bool"),
        (np.zeros((3, 32, 32), np.float32), "one mask"),
        (np.ones((32, 32), bool), "200 x 250"),
    ],
)
def test_masks_of_another_size_are_refused(predictor, embedding, mask, words):
    with pytest.raises(PromptError, match=words):
        predictor.predict(embedding, [[3, 4]], mask=mask)


# -------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((1, 1), id="FM-04-1x1"),
        pytest.param((1, 7), id="FM-04-1x7"),
        pytest.param((900, 1), id="FM-04-900x1"),
        pytest.param((2, 2), id="FM-04-2x2"),
    ],
)
def test_tiny_images_get_masks_of_their_shape(predictor, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamHQWarning)
        embedding = predictor.embed(np.arange(np.prod(shape)).reshape(shape))
    for prompt in (Prompt([[0, 0]]), Prompt(box=[-0.5, -0.5, 0.5, 0.5])):
        prediction = _predict(predictor, embedding, prompt, multimask=True)
        assert prediction.masks.shape == (3, *shape)
        assert np.isfinite(prediction.low_res_logits).all()


@pytest.mark.parametrize(
    ("image", "count"),
    [
        pytest.param(np.where(np.eye(40) > 0, np.nan, np.arange(40)), 1, id="FM-01-nan"),
        pytest.param(np.zeros((40, 50)), 1, id="FM-03-constant"),
        pytest.param(np.eye(40, dtype=">f4"), 0, id="FM-06-big-endian"),
        pytest.param(np.eye(40, dtype=bool), 0, id="FM-06-bool"),
    ],
)
def test_odd_images_give_finite_answers(predictor, image, count):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        embedding = predictor.embed(image)
    assert [w.category for w in caught] == [SamHQWarning] * count
    prediction = predictor.predict(embedding, [[20, 20]])
    assert np.isfinite(prediction.low_res_logits).all()


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.full((9, 9), np.nan), id="FM-02-all-nan"),
        pytest.param(np.zeros((0, 9)), id="FM-05-empty"),
        pytest.param(np.ones((9, 9), complex), id="FM-07-complex"),
        pytest.param(np.ones((3, 90, 90)), id="FM-08-channels-first"),
    ],
)
def test_images_are_refused_before_the_encoder_runs(predictor, image, monkeypatch):
    monkeypatch.setattr(Predictor, "_encode", lambda *_: pytest.fail("the encoder ran"))
    with pytest.raises(ImageError):
        predictor.embed(image)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({}, id="FM-15-nothing"),
        pytest.param({"points": []}, id="FM-15-empty"),
        pytest.param({"points": [[3, 4]], "point_labels": [0]}, id="FM-15-only-negative"),
        pytest.param({"box": [3, 3, 3, 9]}, id="FM-16-flat-box"),
    ],
)
def test_prompts_are_refused_before_the_decoder_runs(predictor, embedding, arguments, monkeypatch):
    monkeypatch.setattr(_batches, "decode", lambda *_: pytest.fail("the decoder ran"))
    with pytest.raises(PromptError):
        predictor.predict(embedding, **arguments)


def test_points_outside_change_nothing_but_warn(predictor, embedding):
    expected = predictor.predict(embedding, [[30, 40]])
    with pytest.warns(SamHQWarning, match="1 of 2 points"):
        prediction = predictor.predict(embedding, [[30, 40], [200, 40]])
    assert np.array_equal(prediction.low_res_logits, expected.low_res_logits)


def test_one_bad_prompt_among_many_is_named_before_work_begins(predictor, embedding, monkeypatch):
    monkeypatch.setattr(_batches, "decode", lambda *_: pytest.fail("the decoder ran"))
    with pytest.raises(PromptError, match="Prompt 1 of 3 .*no area"):
        predictor.iter_predict(embedding, [PROMPTS[0], Prompt(box=[1, 1, 1, 5]), PROMPTS[1]])
    with pytest.raises(PromptError, match="Prompt 0 of 1 .*is a dict"):
        predictor.iter_predict(embedding, [{"points": [[1, 2]]}])


def test_an_embedding_of_another_model_is_refused(predictor, embedding, tiny_network):
    other = SamHQModel(tiny_network.config)
    other.load_state_dict(tiny_network.state_dict())
    same = Predictor(other)
    assert same.fingerprint == predictor.fingerprint
    same.predict(embedding, [[3, 4]])
    with torch.no_grad():
        other.mask_decoder.hq_token.weight += 1
    changed = Predictor(other)
    assert changed.fingerprint != predictor.fingerprint
    with pytest.raises(ModelError, match="Embed the image again"):
        changed.predict(embedding, [[3, 4]])
    with pytest.raises(ModelError, match="Embed the image again"):
        changed.iter_predict(embedding, [])


@pytest.mark.parametrize("model", ["micro", None, torch.nn.Linear(1, 1)])
def test_only_models_make_predictors(model):
    with pytest.raises(ModelError, match="load_model"):
        Predictor(model)


def test_a_loaded_model_gives_name_and_fingerprint(tiny_network):
    loaded = SimpleNamespace(
        network=tiny_network,
        info=SimpleNamespace(name="some-model"),
        device=torch.device("cpu"),
        encoder_dtype=torch.float32,
        fingerprint="abc",
    )
    predictor = Predictor(loaded)
    assert (predictor.name, predictor.fingerprint) == ("some-model", "abc")
    assert "some-model" in repr(predictor)


# ------------------------------------------------------------------------- precision and memory


def _copy(network: SamHQModel) -> SamHQModel:
    copy = SamHQModel(network.config)
    copy.load_state_dict(network.state_dict())
    return copy.eval()


def test_an_encoder_in_bfloat16_feeds_a_decoder_in_float32(tiny_network, grey_image, embedding):
    network = _copy(tiny_network)
    network.vision_encoder.to(torch.bfloat16)
    predictor = Predictor(network)
    coarse = predictor.embed(grey_image)
    assert coarse.image_embedding.dtype == coarse.hq_features.dtype == torch.float32
    difference = coarse.image_embedding - embedding.image_embedding
    assert 0 < difference.abs().mean() < 0.02 * embedding.image_embedding.abs().max()
    assert predictor.predict(coarse, [[30, 40]]).masks.shape == (1, 200, 250)


def test_an_encoder_that_overflows_is_told(tiny_network, grey_image):
    network = _copy(tiny_network)
    with torch.no_grad():
        next(network.vision_encoder.parameters()).fill_(torch.inf)
    with pytest.raises(ModelError, match="precision='float32'"):
        Predictor(network).embed(grey_image)


def _failing(times: int, error: Exception, work):
    """Fail the first calls, then do the work."""
    left = [times]

    def call(*args, **kwargs):
        if left[0]:
            left[0] -= 1
            raise error
        return work(*args, **kwargs)

    return call


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("MPS backend out of memory"),
    MemoryError("Unable to allocate 8. GiB for an array"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_when_memory_runs_out_the_batch_is_halved_once(
    predictor, embedding, one_core, error, monkeypatch
):
    prompts = [p for p in PROMPTS if p.points is not None and p.box is None]
    expected = predictor.predict_many(embedding, prompts)
    lengths = []
    work = _decoding.decode

    def decode(network, embedding, prompts, size, least_score):
        lengths.append(len(prompts))
        return work(network, embedding, prompts, size, least_score)

    where = "napari_samhq.inference._batches.decode"
    monkeypatch.setattr(where, _failing(1, error, decode))
    answers = predictor.predict_many(embedding, prompts)
    assert lengths[:2] == [2, 1]  # the three prompts of one point come first
    for answer, prediction in zip(answers, expected, strict=True):
        assert np.abs(answer.low_res_logits - prediction.low_res_logits).max() < 1e-4
    monkeypatch.setattr(where, _failing(2, error, decode))
    with pytest.raises(OutOfMemoryError, match="smaller model") as caught:
        predictor.predict_many(embedding, prompts)
    assert caught.value.__cause__ is error
    assert len(predictor.predict_many(embedding, prompts)) == len(prompts)  # the next call works


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_when_memory_runs_out_for_one_prompt_or_an_image(
    predictor, embedding, grey_image, error, monkeypatch
):
    monkeypatch.setattr("napari_samhq.inference._batches.decode", _failing(1, error, None))
    with pytest.raises(OutOfMemoryError, match="answering a prompt"):
        predictor.predict(embedding, [[3, 4]])
    monkeypatch.undo()
    monkeypatch.setattr(_decoding.Enlarger, "draw", _failing(1, error, None))
    with pytest.raises(OutOfMemoryError, match="enlarging a mask"):
        predictor.predict(embedding, [[3, 4]])
    monkeypatch.setattr(Predictor, "_encode", _failing(1, error, None))
    with pytest.raises(OutOfMemoryError, match="looking at the image"):
        predictor.embed(grey_image)


def test_other_errors_of_torch_pass_unchanged(predictor, embedding, monkeypatch):
    error = RuntimeError("shapes do not match")
    monkeypatch.setattr("napari_samhq.inference._batches.decode", _failing(1, error, None))
    with pytest.raises(RuntimeError, match="shapes do not match") as caught:
        predictor.predict(embedding, [[3, 4]])
    assert caught.value is error


@pytest.mark.gpu
def test_the_gpu_agrees_with_the_processor(tiny_network, grey_image, predictor, embedding):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    on_gpu = Predictor(_copy(tiny_network).cuda())
    there = on_gpu.embed(grey_image)
    assert there.image_embedding.device.type == "cuda"
    for prompt in PROMPTS:
        here = _predict(predictor, embedding, prompt)
        answer = _predict(on_gpu, there, prompt)
        again = _predict(on_gpu, there, prompt)
        assert np.abs(answer.low_res_logits - here.low_res_logits).max() < 1e-2
        assert np.array_equal(again.low_res_logits, answer.low_res_logits)


def _predict(predictor, embedding, prompt: Prompt, **options):
    return predictor.predict(
        embedding, prompt.points, prompt.point_labels, prompt.box, prompt.mask, **options
    )


def test_outputs_are_parts_of_the_published_sum(predictor, embedding):
    """SAM's and the HQ token's logits add up to what is published."""
    parts = {
        output: predictor.predict(embedding, points=[[20, 20]], output=output).low_res_logits
        for output in ("sam", "hq", "sam+hq")
    }
    np.testing.assert_allclose(parts["sam"] + parts["hq"], parts["sam+hq"], atol=1e-4)
    alone = predictor.predict(embedding, points=[[20, 20]], hq_only=True).low_res_logits
    np.testing.assert_array_equal(alone, parts["hq"])


def test_a_higher_threshold_never_adds_a_pixel(predictor, embedding):
    masks = [
        predictor.predict(embedding, points=[[20, 20]], threshold=value).masks
        for value in (-3.0, 0.0, 3.0)
    ]
    assert (masks[0] >= masks[1]).all()
    assert (masks[1] >= masks[2]).all()


@pytest.mark.parametrize("wanted", [{"output": "best"}, {"threshold": float("nan")}])
def test_unknown_wishes_are_refused(predictor, embedding, wanted):
    with pytest.raises(PromptError, match=r"output='best'|threshold=nan"):
        predictor.predict(embedding, points=[[20, 20]], **wanted)


@pytest.mark.parametrize("multimask", [False, True])
def test_doubts_tell_what_hq_changes(predictor, embedding, multimask: bool) -> None:
    options = {"points": [[60, 100]], "multimask": multimask, "threshold": 0.1}
    answers = [
        predictor.predict(embedding, output=one, **options) for one in ("sam", "sam+hq", "hq")
    ]
    sam, both = answers[:2]
    side = sam.low_res_logits.shape[-1]
    height, width = (-(-n * side // embedding.input_size) for n in embedding.input_shape)
    for index, doubt in enumerate(both.doubts):
        before, after = (
            one.low_res_logits[index, :height, :width] > np.float32(0.1) for one in (sam, both)
        )
        union = max((before | after).sum(), 1)
        assert doubt.disagreement == pytest.approx(1 - (before & after).sum() / union, abs=1e-5)
        assert doubt.uncertainty_px >= 0
    # Whichever is shown, HQ changes the same.
    found = {tuple(doubt.disagreement for doubt in one.doubts) for one in answers}
    assert len(found) == 1
    assert len(found.pop()) == len(both.masks)
