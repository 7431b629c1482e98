from __future__ import annotations

import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import napari_samhq as samhq
from napari_samhq.checkpoints.heads import list_heads, read_head
from napari_samhq.errors import (
    CheckpointError,
    FileError,
    SamHQWarning,
    SettingsError,
    TrainingError,
)
from napari_samhq.model import (
    SamHQConfig,
    SamHQMaskDecoderConfig,
    SamHQModel,
    SamHQPromptEncoderConfig,
    SamHQVisionConfig,
)
from napari_samhq.training.finetune.api import base_precision, finetune, iter_finetune
from napari_samhq.training.finetune.events import (
    Begun,
    Checked,
    CheckedFinding,
    FineTuned,
    Learned,
    Looked,
)
from napari_samhq.training.finetune.examples import checked_examples
from napari_samhq.training.finetune.measuring import measured
from napari_samhq.training.finetune.run import state_path
from napari_samhq.training.finetune.tuner import HQ_PARTS
from support.small_tuning import QUICK, discs, write_small_model

IMAGES, LABELS = discs()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_small_model(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory):
    """One fine-tuning, with all that it told."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("heads") / "discs.safetensors"
    return list(iter_finetune(IMAGES, LABELS, base, out=out, learning_rate=1e-2, **QUICK))


def same(first, second) -> bool:
    one, other = load_file(first), load_file(second)
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def until_step(events, step):
    for event in events:
        if isinstance(event, Learned) and event.step == step:
            return


# ------------------------------------------------------------------------------ what comes of it


def test_it_learns_and_says_how_well(tuned):
    done = tuned[-1]
    assert isinstance(done, FineTuned)
    assert done.after["box"] > done.before["box"] + 0.1
    assert done.after["box boundary"] > done.before["box boundary"]
    assert done.record["best_step"] > 0
    best = max(done.curve, key=lambda check: check.score)
    assert best.step == done.record["best_step"]
    assert best.score > done.curve[0].score


def test_events_come_in_order_and_count(tuned):
    kinds = [type(event) for event in tuned]
    assert kinds[0] is Begun
    assert (tuned[0].learned, tuned[0].held_out, tuned[0].by_image) == (9, 3, True)
    assert kinds.index(Looked) < kinds.index(Checked) < kinds.index(Learned)
    steps = [event.step for event in tuned if isinstance(event, Learned)]
    assert steps == list(range(1, steps[-1] + 1))
    assert all(0 < event.share <= 1 for event in tuned if isinstance(event, Learned))


def test_only_what_sam_hq_adds_is_changed(tuned, base):
    own = load_file(base / "model.safetensors")
    head = load_file(tuned[-1].path)
    assert head.keys() < own.keys()
    assert {name.split(".")[0] for name in head} == {"mask_decoder"}
    assert all(name.split(".")[1].startswith(HQ_PARTS) for name in head)
    assert all(not torch.equal(head[name], own[name]) for name in ("mask_decoder.hq_token.weight",))
    assert tuned[-1].path.stat().st_size < 0.5 * (base / "model.safetensors").stat().st_size


def test_the_head_is_loaded_like_a_model(tuned, base):
    model = samhq.load_model(tuned[-1].path)
    plain = samhq.load_model(base)
    assert model.fingerprint != plain.fingerprint
    assert model.info.name == "discs"
    own, head = plain.network.state_dict(), load_file(tuned[-1].path)
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, head.get(name, own[name]))
    assert not any(p.requires_grad for p in model.network.parameters())
    labels = samhq.segment(IMAGES[0], boxes=[[5, 5, 30, 30]], model=model)
    assert labels.shape == IMAGES[0].shape


def test_the_record_says_what_it_was_made_from(tuned, base):
    head = read_head(tuned[-1].path)
    assert head.base == str(base)
    assert head.base_sha256 == samhq.load_model(base).fingerprint
    assert head.record["settings"]["steps"] == QUICK["steps"]
    assert len(head.record["data_sha256"]) == 64
    assert head.record["objects_learned_from"] == 9
    with safe_open(tuned[-1].path, framework="pt") as file:
        assert set(file.metadata()) == {"kind", "base", "base_sha256", "record", "format"}


def test_the_same_seed_gives_the_same_head(tuned, base, tmp_path):
    out = tmp_path / "again.safetensors"
    again = finetune(IMAGES, LABELS, base, out=out, learning_rate=1e-2, **QUICK)
    assert same(again.path, tuned[-1].path)


def test_a_model_that_was_passed_in_stays_as_it_is(base, tmp_path):
    model = samhq.load_model(base)
    before = {name: t.clone() for name, t in model.network.state_dict().items()}
    finetune(IMAGES, LABELS, model, out=tmp_path / "a.safetensors", **QUICK | {"steps": 10})
    after = model.network.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any(p.requires_grad for p in model.network.parameters())


@pytest.mark.parametrize("prompts", ["boxes", "clicks"])
def test_one_kind_of_prompt_and_the_whole_decoder(base, tmp_path, prompts):
    done = finetune(
        IMAGES, LABELS, base, out=tmp_path / "all.safetensors",
        prompts=prompts, parts="decoder", learning_rate=1e-2, **QUICK,
    )  # fmt: skip
    assert set(done.after) == {prompts[:3], f"{prompts[:3]} boundary"} or set(done.after) == {
        "click",
        "click boundary",
    }
    assert "mask_decoder.transformer.layers.0.self_attn.q_proj.weight" in load_file(done.path)


def test_one_image_is_divided_by_objects(base, tmp_path):
    images, labels = discs(1, each=5)
    events = iter_finetune(images[0], labels[0], base, out=tmp_path / "a.safetensors", **QUICK)
    begun = next(events)
    assert (begun.learned, begun.held_out, begun.by_image) == (4, 1, False)
    events.close()


ENCODER = QUICK | {"parts": "encoder", "rank": 2, "learning_rate": 1e-2}


@pytest.fixture(scope="module")
def with_encoder(base, tmp_path_factory):
    """One fine-tuning in which the encoder learned too."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("heads") / "encoder.safetensors"
    return finetune(IMAGES, LABELS, base, out=out, **ENCODER)


def test_the_encoder_learns_by_low_rank_additions(with_encoder, base):
    assert with_encoder.after["box"] > with_encoder.before["box"] + 0.1
    own = load_file(base / "model.safetensors")
    head = load_file(with_encoder.path)
    added = {name for name in head if name.startswith("vision_encoder.")}
    assert {name.rpartition(".")[2] for name in added} == {"lora_up", "lora_down"}
    assert all(min(head[name].shape) == 2 for name in added)
    # What it makes of the base is what a user gets, and nothing but linear layers changed.
    loaded = samhq.load_model(with_encoder.path)
    for name, tensor in loaded.network.state_dict().items():
        if not name.startswith("vision_encoder."):
            continue
        if f"{name}.lora_up" in head:
            change = head[f"{name}.lora_up"] @ head[f"{name}.lora_down"]
            assert torch.linalg.matrix_rank(change) <= 2
            assert float(change.abs().max()) > 1e-4
            torch.testing.assert_close(tensor, own[name] + change)
        else:
            assert torch.equal(tensor, own[name])


def test_what_was_measured_is_what_the_written_file_does(with_encoder):
    examples, items = checked_examples(IMAGES, LABELS, smallest_px=16)
    held_out = [
        item
        for item in items
        if [item.example, item.label] in with_encoder.record["held_out_objects"]
    ]
    rows = [
        row
        for rows in measured(samhq.load_model(with_encoder.path), examples, held_out, "both")
        for row in rows
    ]
    for name, value in with_encoder.after.items():
        assert np.mean([row[name] for row in rows]) == pytest.approx(value, abs=0.02)


def test_an_encoder_that_was_passed_in_stays_as_it_is_and_runs_repeat(with_encoder, base, tmp_path):
    model = samhq.load_model(base)
    before = {name: t.clone() for name, t in model.network.state_dict().items()}
    out = tmp_path / "again.safetensors"
    events = iter_finetune(IMAGES, LABELS, model, out=out, resume=True, **ENCODER)
    until_step(events, 15)
    events.close()
    assert state_path(out).is_file()
    done = finetune(IMAGES, LABELS, base, out=out, resume=True, **ENCODER)
    assert same(done.path, with_encoder.path)
    assert all(torch.equal(t, before[n]) for n, t in model.network.state_dict().items())
    assert not any(p.requires_grad for p in model.network.parameters())


def test_an_encoder_in_half_precision_is_no_base(base, tmp_path):
    model = samhq.load_model(base, precision="bfloat16")
    with pytest.raises(TrainingError, match="precision='float32'"):
        finetune(IMAGES, LABELS, model, out=tmp_path / "a.safetensors", **ENCODER)


@pytest.mark.parametrize(
    ("parts", "precision", "needed"),
    [
        ("encoder", "auto", "float32"),
        ("encoder", "bfloat16", "bfloat16"),  # refused later, by name
        ("hq", "auto", "auto"),
        ("decoder", "float16", "float16"),
    ],
)
def test_an_encoder_that_learns_is_loaded_with_all_digits(parts, precision, needed):
    assert base_precision(parts, precision) == needed


def test_half_of_an_addition_is_refused(with_encoder, tmp_path):
    with safe_open(with_encoder.path, framework="pt") as file:
        known = dict(file.metadata())
    tensors = load_file(with_encoder.path)
    tensors.pop(next(name for name in tensors if name.endswith("lora_up")))
    save_file(tensors, tmp_path / "half.safetensors", metadata=known)
    with pytest.raises(CheckpointError, match="low-rank additions that do not fit"):
        samhq.load_model(tmp_path / "half.safetensors")


# ------------------------------------------------------------------------ what cannot be learned


def with_nan():
    image = IMAGES[0].astype(float)
    image[3, 4] = np.nan
    return image


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        pytest.param(IMAGES[:2], LABELS[:1], "2 images and 1 label", id="counts"),
        pytest.param(IMAGES[:1], [LABELS[0][:-1]], "must be the same", id="shapes"),
        pytest.param(IMAGES[:1], [LABELS[0] > 0], "True and False", id="bool"),
        pytest.param(IMAGES[:1], [LABELS[0] * 0.5], "float64", id="floats"),
        pytest.param(IMAGES[:1], [-LABELS[0]], "go from -3", id="negative"),
        pytest.param([with_nan()], LABELS[:1], "1 values that are NaN", id="NaN"),
        pytest.param(IMAGES[:1], [LABELS[0] * 0], "are no objects", id="empty"),
        pytest.param(IMAGES[:1], [LABELS[0] == 1], "True and False", id="one-mask"),
        pytest.param(
            IMAGES[:1], [(LABELS[0] == 1).astype(int)], "There is one object", id="one-object"
        ),
        pytest.param([], [], "no images", id="nothing"),
        pytest.param([IMAGES[0] * 1j], LABELS[:1], "cannot be used", id="complex"),
        pytest.param(IMAGES[:1], [np.stack([LABELS[0]] * 2)], "(H, W)", id="stack"),
    ],
)
def test_bad_examples_are_refused_with_a_reason(base, tmp_path, images, labels, words):
    out = tmp_path / "head.safetensors"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamHQWarning)
        with pytest.raises(TrainingError) as caught:
            iter_finetune(images, labels, base, out=out, **QUICK)
    assert words in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_images_without_objects_are_left_out_with_a_warning(base, tmp_path):
    labels = [*LABELS[:2], LABELS[2] * 0]
    with pytest.warns(SamHQWarning, match="1 images have no object"):
        events = iter_finetune(IMAGES[:3], labels, base, out=tmp_path / "a.safetensors", **QUICK)
    assert next(events).learned == 3
    events.close()


def test_wrong_settings_and_names_are_refused(base, tmp_path):
    with pytest.raises(SettingsError, match="no setting 'epochs'"):
        finetune(IMAGES, LABELS, base, out=tmp_path / "a.safetensors", epochs=3)
    with pytest.raises(SettingsError, match="'parts' is 'all'"):
        finetune(IMAGES, LABELS, base, out=tmp_path / "a.safetensors", parts="all")
    with pytest.raises(FileError, match="a.safetensors"):
        finetune(IMAGES, LABELS, base, out=tmp_path / "a.pth")


def test_what_learned_nothing_is_not_written(base, tmp_path):
    out = tmp_path / "head.safetensors"
    with pytest.raises(TrainingError, match="Nothing was learned.*Nothing was written"):
        finetune(IMAGES, LABELS, base, out=out, learning_rate=0.0, **QUICK | {"steps": 10})
    assert not any(tmp_path.iterdir())


def test_weights_that_go_astray_end_it(base, tmp_path):
    model = samhq.load_model(base)
    with torch.no_grad():
        model.network.mask_decoder.hq_token.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="went astray"):
        finetune(IMAGES, LABELS, model, out=tmp_path / "a.safetensors", **QUICK)


# ------------------------------------------------------------------------------- heads that misfit


def changed(path, target, **metadata):
    with safe_open(path, framework="pt") as file:
        known = dict(file.metadata())
    save_file(load_file(path), target, metadata=known | metadata)
    return target


def test_a_head_fits_its_own_base_only(tuned, tmp_path):
    other = write_small_model(tmp_path / "other", seed=1)
    head = changed(tuned[-1].path, tmp_path / "moved.safetensors", base=str(other))
    with pytest.raises(CheckpointError, match="fits one file of weights"):
        samhq.load_model(head)


def test_a_head_whose_base_is_gone_says_where_to_put_it(tuned, tmp_path):
    head = changed(tuned[-1].path, tmp_path / "lost.safetensors", base="/nowhere/small")
    with pytest.raises(CheckpointError, match="neither there nor beside it"):
        samhq.load_model(head)


def test_a_base_beside_the_head_is_found(tuned, base, tmp_path):
    (tmp_path / "small").symlink_to(base)
    head = changed(tuned[-1].path, tmp_path / "near.safetensors", base="/nowhere/small")
    assert samhq.load_model(head).info.name == "near"


def test_a_head_of_a_later_kind_is_refused(tuned, tmp_path):
    head = changed(tuned[-1].path, tmp_path / "new.safetensors", kind="napari-samhq-head-9")
    with pytest.raises(CheckpointError, match="napari-samhq-head-9"):
        samhq.load_model(head)


def test_a_strange_or_damaged_tensor_is_refused(tuned, tmp_path):
    with safe_open(tuned[-1].path, framework="pt") as file:
        known = dict(file.metadata())
    tensors = load_file(tuned[-1].path)
    save_file(tensors | {"extra": torch.ones(1)}, tmp_path / "a.safetensors", metadata=known)
    with pytest.raises(CheckpointError, match="holds extra"):
        samhq.load_model(tmp_path / "a.safetensors")
    tensors["mask_decoder.hq_token.weight"] = torch.full((1, 16), float("inf"))
    save_file(tensors, tmp_path / "b.safetensors", metadata=known)
    with pytest.raises(CheckpointError, match="NaN or infinite"):
        samhq.load_model(tmp_path / "b.safetensors")


def test_heads_in_the_folder_have_names(tuned, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SAMHQ_MODELS", str(tmp_path))
    assert list_heads() == []
    (tmp_path / "mine.safetensors").write_bytes(tuned[-1].path.read_bytes())
    (tmp_path / "broken.safetensors").write_bytes(b"nothing of use")
    (info,) = list_heads()
    assert (info.name, info.cached) == ("mine", True)
    assert "9 objects" in info.title
    listing = "import sys; from napari_samhq.checkpoints import list_heads; "
    listing += "assert len(list_heads()) == 1; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", listing], check=True)
    assert samhq.load_model("mine").info.path == info.path


# ------------------------------------------------------------------------- interrupted and resumed


def test_a_cancelled_training_leaves_a_good_file_alone(tuned, base, tmp_path):
    out = tmp_path / "head.safetensors"
    good = tuned[-1].path.read_bytes()
    out.write_bytes(good)
    with pytest.raises(FileError, match="exists already"):
        iter_finetune(IMAGES, LABELS, base, out=out, **QUICK)
    events = iter_finetune(IMAGES, LABELS, base, out=out, overwrite=True, **QUICK)
    until_step(events, 15)
    events.close()
    assert out.read_bytes() == good


def test_resumed_equals_uninterrupted(tuned, base, tmp_path):
    out = tmp_path / "head.safetensors"
    options = {"out": out, "learning_rate": 1e-2, "resume": True, **QUICK}
    events = iter_finetune(IMAGES, LABELS, base, **options)
    until_step(events, 15)  # the state is that after step 10
    events.close()
    assert state_path(out).is_file()
    assert not out.exists()
    again = list(iter_finetune(IMAGES, LABELS, base, **options))
    assert next(e for e in again if isinstance(e, Learned)).step == 11
    assert same(out, tuned[-1].path)
    assert again[-1].curve == tuned[-1].curve
    assert not state_path(out).exists()


def test_the_state_of_another_training_is_refused(base, tmp_path):
    out = tmp_path / "head.safetensors"
    events = iter_finetune(IMAGES, LABELS, base, out=out, **QUICK)
    until_step(events, 11)
    events.close()
    with pytest.raises(CheckpointError, match="another training"):
        finetune(IMAGES, LABELS, base, out=out, resume=True, **QUICK | {"seed": 1})


def test_a_killed_training_leaves_a_good_file_and_can_be_resumed(tuned, base, tmp_path):
    out = tmp_path / "head.safetensors"
    good = tuned[-1].path.read_bytes()
    out.write_bytes(good)
    np.savez(tmp_path / "data.npz", images=IMAGES, labels=LABELS)
    code = (
        "import sys, numpy as np, torch; torch.set_num_threads(1)\n"
        "from napari_samhq.training.finetune.api import finetune\n"
        "base, out, data = sys.argv[1:]\n"
        "data = np.load(data)\n"
        "finetune(list(data['images']), list(data['labels']), base, out=out, overwrite=True,\n"
        "         steps=100000, check_every=5, patience=10000, minutes=0.0, views=1, batch=4)\n"
    )
    arguments = [str(base), str(out), str(tmp_path / "data.npz")]
    child = subprocess.Popen([sys.executable, "-c", code, *arguments])
    try:
        deadline = time.monotonic() + 120
        while not state_path(out).exists():
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        child.kill()  # signal 9: nothing can be tidied up
        child.wait()
    assert out.read_bytes() == good
    assert samhq.load_model(out).info.name == "head"
    events = iter_finetune(
        IMAGES, LABELS, base, out=out, overwrite=True, resume=True,
        steps=100000, check_every=5, patience=10000, minutes=0.0, views=1, batch=4,
    )  # fmt: skip
    learned = next(event for event in events if isinstance(event, Learned))
    assert learned.step > 5
    events.close()


def test_what_progress_raises_ends_it_and_nothing_is_written(base, tmp_path):
    def progress(event):
        if isinstance(event, Learned):
            raise samhq.Cancelled("enough")

    with pytest.raises(samhq.Cancelled, match="enough"):
        finetune(IMAGES, LABELS, base, out=tmp_path / "a.safetensors", progress=progress, **QUICK)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("parts", ["hq", "encoder"])
def test_published_kinds_of_models_learn_too(tmp_path, parts):
    # Their encoder is a ViT, prompts are not drawn, and a low-res pixel spans four model pixels.
    vision = SamHQVisionConfig(
        hidden_size=24, output_channels=16, num_hidden_layers=2, num_attention_heads=2,
        image_size=64, patch_size=16, window_size=2, global_attn_indexes=[1], num_pos_feats=8,
        mlp_ratio=2.0,
    )  # fmt: skip
    torch.manual_seed(0)
    network = SamHQModel(
        SamHQConfig(
            vision,
            SamHQPromptEncoderConfig(
                hidden_size=16, image_size=64, patch_size=16, mask_input_channels=4
            ),
            SamHQMaskDecoderConfig(
                hidden_size=16, mlp_dim=16, num_attention_heads=2, iou_head_hidden_dim=16,
                vit_dim=24,
            ),
        )
    )  # fmt: skip
    network.save_pretrained(tmp_path / "vit")
    done = finetune(
        IMAGES, LABELS, tmp_path / "vit", out=tmp_path / "head.safetensors",
        learning_rate=1e-2, parts=parts, **QUICK | {"steps": 60, "patience": 60},
    )  # fmt: skip
    assert done.after["box"] > done.before["box"]
    assert "mask_decoder.join_hq.weight" not in load_file(done.path)


# ---------------------------------------------------------------------------- finding all objects

FINDING = QUICK | {"steps": 60, "check_every": 20, "learning_rate": 1e-2, "complete": True}


@pytest.fixture(scope="module")
def dense_base(tmp_path_factory):
    return write_small_model(tmp_path_factory.mktemp("models") / "dense", dense=True)


@pytest.fixture(scope="module")
def found(dense_base, tmp_path_factory):
    """One fine-tuning of a model with a dense head, with all that it told."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("heads") / "found.safetensors"
    return list(iter_finetune(IMAGES, LABELS, dense_base, out=out, **FINDING))


def test_a_dense_head_learns_along(found, dense_base):
    done = found[-1]
    assert done.after["everything"] >= done.before["everything"]
    assert done.after["box"] > done.before["box"]
    steps = [event.finding for event in found if isinstance(event, Learned)]
    assert steps == sorted(steps)  # first prompts, then finding
    assert any(isinstance(event, CheckedFinding) for event in found)
    assert done.record["finding_best_step"] > 0
    head = load_file(done.path)
    assert {name.split(".")[0] for name in head} == {"mask_decoder", "dense_head"}
    own = samhq.load_model(dense_base).network.state_dict()
    for name, tensor in samhq.load_model(done.path).network.state_dict().items():
        assert torch.equal(tensor, head.get(name, own[name]))


def test_finding_is_gone_on_with_after_a_break(found, dense_base, tmp_path):
    out = tmp_path / "head.safetensors"
    events = iter_finetune(IMAGES, LABELS, dense_base, out=out, resume=True, **FINDING)
    for event in events:
        if isinstance(event, Learned) and event.finding and event.step == 25:
            break
    events.close()
    again = list(iter_finetune(IMAGES, LABELS, dense_base, out=out, resume=True, **FINDING))
    first = next(event for event in again if isinstance(event, Learned))
    assert (first.finding, first.step) == (True, 21)
    assert same(out, found[-1].path)


def test_an_encoder_learns_and_finding_with_it(dense_base, tmp_path):
    done = finetune(
        IMAGES, LABELS, dense_base, out=tmp_path / "a.safetensors", **FINDING, parts="encoder"
    )
    assert done.record["finding_best_step"] > 0
    assert {name.split(".")[0] for name in load_file(done.path)} == {
        "mask_decoder", "dense_head", "vision_encoder",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("complete", "words"),
    [
        pytest.param([True], "tells of 1 images, and there are 4", id="FM-54-count"),
        pytest.param(
            [np.ones((3, 3), bool)] * 4, r"has the shape \(3, 3\); needed", id="FM-54-shape"
        ),
        pytest.param([np.ones((64, 64))] * 4, "of the type float64", id="FM-54-type"),
    ],
)
def test_where_all_is_labelled_must_fit_the_images(complete, words):
    with pytest.raises(TrainingError, match=words):
        checked_examples(IMAGES, LABELS, 4, complete=complete)


def test_images_that_are_known_to_be_empty_are_learned_from():
    empty = np.zeros_like(LABELS[0])
    images, labels = [*IMAGES, IMAGES[0]], [*LABELS, empty]
    with pytest.warns(SamHQWarning, match="no object to learn from"):
        examples, _ = checked_examples(images, labels, 4)
    assert len(examples) == 4
    examples, _ = checked_examples(images, labels, 4, complete=[False] * 4 + [True])
    assert len(examples) == 5
    assert examples[4].complete.all()
