from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import subprocess
import sys

import pytest
import torch

from napari_samhq.checkpoints import LoadedModel, cache, devices, load, load_model
from napari_samhq.checkpoints.keys import to_original
from napari_samhq.errors import CheckpointError, DownloadError, ModelError, OutOfMemoryError
from napari_samhq.model import SamHQModel
from napari_samhq.model.serialization import load_strict, write_tensors

from .models import small_config, small_tensors


def reference(encoder: str) -> dict[str, torch.Tensor]:
    """Return the tensors of a model that was filled directly."""
    model = SamHQModel(small_config(encoder))
    load_strict(model, small_tensors(encoder), "test")
    return model.state_dict()


def same(network: SamHQModel, expected: dict[str, torch.Tensor]) -> bool:
    state = network.state_dict()
    return state.keys() == expected.keys() and all(
        torch.equal(state[name].float(), tensor.float()) for name, tensor in expected.items()
    )


def original_pth(folder, encoder):
    path = folder / f"{encoder}.pth"
    torch.save(small_tensors(encoder, original=True), path)
    return path


def original_safetensors(folder, encoder):
    path = folder / f"{encoder}.safetensors"
    write_tensors(path, small_tensors(encoder, original=True))
    return path


def huggingface_safetensors(folder, encoder):
    path = folder / f"{encoder}-hf.safetensors"
    write_tensors(path, small_tensors(encoder))
    return path


def one_positional_table(folder, encoder):
    path = folder / f"{encoder}-one.safetensors"
    tensors = small_tensors(encoder)
    del tensors["prompt_encoder.shared_embedding.positional_embedding"]
    write_tensors(path, tensors)
    return path


def folder_with_config(folder, encoder):
    model = SamHQModel(small_config(encoder))
    load_strict(model, small_tensors(encoder), "test")
    model.save_pretrained(folder / encoder)
    return folder / encoder


def folder_without_config(folder, encoder):
    path = folder_with_config(folder, encoder)
    (path / "config.json").unlink()
    return path


@pytest.mark.parametrize("encoder", ["vit", "tiny_vit"])
@pytest.mark.parametrize(
    "write",
    [
        original_pth,
        original_safetensors,
        huggingface_safetensors,
        one_positional_table,
        folder_with_config,
        folder_without_config,
    ],
)
def test_every_form_on_disk_gives_the_same_network(tmp_path, encoder, write):
    path = write(tmp_path, encoder)
    model = load_model(path, device="cpu")
    assert same(model.network, reference(encoder))
    assert model.info.encoder == encoder
    assert model.info.input_size == small_config(encoder).vision_config.image_size
    assert model.info.path == path
    assert not model.network.training
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    assert not any(
        tensor.is_meta for tensor in (*model.network.parameters(), *model.network.buffers())
    )


def test_the_published_file_with_its_classifier_is_read(tmp_path):
    tensors = small_tensors("tiny_vit", original=True)
    tensors["image_encoder.norm_head.weight"] = torch.ones(64)
    tensors["image_encoder.norm_head.bias"] = torch.ones(64)
    tensors["image_encoder.head.weight"] = torch.ones(10, 64)
    tensors["image_encoder.head.bias"] = torch.ones(10)
    path = tmp_path / "sam_hq_vit_tiny.pth"
    torch.save(tensors, path)
    assert same(load_model(path, device="cpu").network, reference("tiny_vit"))


def test_the_compact_encoder_needs_its_configuration(tmp_path):
    folder = folder_with_config(tmp_path, "conv")
    assert same(load_model(folder, device="cpu").network, reference("conv"))
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_model(folder, device="cpu")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_in_half_precision_are_read_into_float32(tmp_path, dtype, suffix):
    tensors = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in small_tensors("tiny_vit", original=True).items()
    }
    path = tmp_path / f"half{suffix}"
    torch.save(tensors, path) if suffix == ".pth" else write_tensors(path, tensors)
    model = load_model(path, device="cpu")
    assert {parameter.dtype for parameter in model.network.parameters()} == {torch.float32}
    assert torch.equal(
        model.network.mask_decoder.hq_token.weight,
        tensors["mask_decoder.hf_token.weight"].float(),
    )


def test_the_network_predicts(tmp_path):
    model = load_model(original_pth(tmp_path, "vit"), device="cpu")
    with torch.inference_mode():
        features = model.network.encode_image(torch.zeros(1, 3, 128, 128))
        masks = model.network.decode(features, boxes_xy=torch.tensor([[10.0, 10, 90, 90]]))
    assert torch.isfinite(masks.hq_logits).all()


def test_the_fingerprint_is_the_checksum_of_the_file(tmp_path):
    path = original_pth(tmp_path, "vit")
    model = load_model(path, device="cpu")
    assert model.fingerprint == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.fingerprint = "x"


# Precision and device ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("auto", torch.float32), ("float32", torch.float32), ("bfloat16", torch.bfloat16)],
)
def test_precision_concerns_the_image_encoder_only(tmp_path, precision, dtype):
    model = load_model(original_pth(tmp_path, "vit"), "cpu", precision)
    assert isinstance(model, LoadedModel)
    assert model.encoder_dtype == dtype
    assert {p.dtype for p in model.network.vision_encoder.parameters()} == {dtype}
    for part in (model.network.prompt_encoder, model.network.mask_decoder):
        assert {p.dtype for p in part.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("device", "precision", "words"),
    [
        ("cpu", "float16", "float16 is not offered on the CPU"),
        ("cpu", "int8", "'int8' is no precision"),
        ("tpu7", "auto", "'tpu7' is no device"),
        ("meta", "auto", "only cpu, cuda and mps"),
        ("", "auto", "is no device"),
    ],
)
def test_impossible_requests_are_refused_before_anything_is_read(device, precision, words):
    with pytest.raises(ModelError, match=words):
        load_model("vit_h", device, precision)


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "mps"])
def test_devices_that_are_not_here_are_refused(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ModelError, match=f"'{device}' cannot be used"):
        devices.choose_device(device)


def test_a_gpu_beyond_the_last_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices.choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ModelError, match="there are 2 GPUs"):
        devices.choose_device("cuda:2")


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, False, "cuda"), (True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_the_quickest_device_that_is_here(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert devices.choose_device("auto") == torch.device(expected)


@pytest.mark.parametrize(
    ("capability", "precision", "expected"),
    [
        ((8, 0), "auto", torch.bfloat16),
        ((7, 5), "auto", torch.float32),
        ((7, 5), "float16", torch.float16),
        ((9, 0), "float32", torch.float32),
    ],
)
def test_precision_on_gpus(monkeypatch, capability, precision, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert devices.choose_precision(precision, torch.device("cuda")) == expected


def test_a_gpu_that_does_not_compute_in_bfloat16_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Turing")
    with pytest.raises(ModelError, match="Turing does not compute in bfloat16"):
        devices.choose_precision("bfloat16", torch.device("cuda"))


def test_too_little_memory_is_an_error_with_a_way_out(monkeypatch, tmp_path):
    def full(*_args, **_settings):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(SamHQModel, "to", full)
    with pytest.raises(OutOfMemoryError, match="smaller model"):
        load_model(original_pth(tmp_path, "vit"), "cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_real_gpu_gets_the_network(tmp_path):
    model = load_model(original_pth(tmp_path, "vit"), "cuda")
    assert {parameter.device.type for parameter in model.network.parameters()} == {"cuda"}
    assert model.encoder_dtype in {torch.bfloat16, torch.float32}


# What cannot be loaded -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("vit_x", "There is no model 'vit_x'.*micro", id="FM-32-unknown-name"),
        pytest.param("weights/sam.pth", "There is no file weights/sam.pth", id="FM-32-no-file"),
        pytest.param("sam.safetensors", "There is no file", id="FM-32-no-file-here"),
    ],
)
def test_what_is_not_there_is_a_model_error(name, words):
    with pytest.raises(ModelError, match=words):
        load_model(name, "cpu")


@pytest.mark.parametrize("content", [pytest.param("notes.txt", id="FM-32-folder-without-weights")])
def test_a_folder_without_weights_says_what_it_holds(tmp_path, content):
    (tmp_path / content).touch()
    with pytest.raises(CheckpointError, match=f"no model.safetensors .it holds {content}"):
        load_model(tmp_path, "cpu")


def change(tensors, encoder="vit"):
    original = small_tensors(encoder, original=True)
    original.update(tensors)
    return {name: tensor for name, tensor in original.items() if tensor is not None}


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        pytest.param(
            {"image_encoder.blocks.1.attn.proj.bias": None},
            r"1 missing \(vision_encoder\.layers\.1\.attn\.proj\.bias\)",
            id="FM-35-missing",
        ),
        pytest.param(
            {"image_encoder.adapter.weight": torch.ones(1)},
            r"1 unexpected \(vision_encoder\.adapter\.weight\)",
            id="FM-35-extra",
        ),
        pytest.param(
            {"mask_decoder.compress_vit_feat.0.weight": torch.ones(160, 32, 2, 2)},
            r"misshapen \(mask_decoder\.compress_vit_conv1\.weight: \(160, 32, 2, 2\) instead",
            id="FM-35-decoder-of-another-size",
        ),
        pytest.param(
            {"mask_decoder.hf_token.weight": torch.full((1, 32), float("nan"))},
            r"NaN or infinite values in mask_decoder\.hq_token\.weight",
            id="FM-35-nan",
        ),
        pytest.param(
            {"mask_decoder.hf_token.weight": None}, "SAM without its HQ part", id="FM-35-plain-sam"
        ),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, tensors, words):
    path = tmp_path / "file.pth"
    torch.save(change(tensors), path)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_model(path, "cpu")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("width", [pytest.param(64, id="FM-35-config-of-another-model")])
def test_a_configuration_of_another_model_says_what_the_file_holds(tmp_path, width):
    folder = folder_with_config(tmp_path, "vit")
    values = json.loads((folder / "config.json").read_text())
    values["vision_config"]["mlp_dim"] = width
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=r"misshapen.*The file holds a SAM-HQ in the"):
        load_model(folder, "cpu")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="FM-35-config-cut"),
        pytest.param("[]", id="FM-35-config-no-object"),
        pytest.param('{"model_type": "sam"}', id="FM-35-config-of-sam"),
    ],
)
def test_a_bad_configuration_is_an_error_that_names_it(tmp_path, text):
    folder = folder_with_config(tmp_path, "vit")
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=re.escape(str(folder / "config.json"))):
        load_model(folder, "cpu")


@pytest.mark.parametrize("place", [pytest.param(3000, id="FM-33-flipped-after-recording")])
def test_a_recorded_checksum_beside_any_file_is_checked_before_reading(
    tmp_path, monkeypatch, place
):
    path = original_pth(tmp_path, "vit")
    cache.record_checksum(path, cache.checksum(path))
    load_model(path, "cpu")
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    monkeypatch.setattr(load, "build", lambda *_: pytest.fail("the file was read"))
    with pytest.raises(CheckpointError, match="SHA-256"):
        load_model(path, "cpu")


# By name -------------------------------------------------------------------------------------


def test_a_named_model_is_fetched_verified_and_loaded(hub, tmp_path):
    from napari_samhq.checkpoints import model_info

    path = original_pth(tmp_path, "tiny_vit")
    info = model_info("vit_tiny")
    hub.files[info.repository, info.revision, info.filename] = path.read_bytes()
    calls = []
    model = load_model("vit_tiny", "cpu", progress=lambda *call: calls.append(call))
    assert same(model.network, reference("tiny_vit"))
    assert model.info.name == "vit_tiny"
    assert model.info.cached
    assert model.fingerprint == cache.checksum(path)
    assert calls[-1][0] == calls[-1][1] == path.stat().st_size


def test_a_named_model_without_network_gives_the_manual_steps(hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="By hand"):
        load_model("vit_b", "cpu")


def test_missing_bundled_weights_say_that_the_installation_is_incomplete(monkeypatch, tmp_path):
    from napari_samhq.checkpoints import registry

    bundled = dataclasses.replace(registry._MODELS[0], path=tmp_path / "micro")
    monkeypatch.setattr(registry, "_MODELS", (bundled, *registry._MODELS[1:]))
    with pytest.raises(CheckpointError, match="installation is incomplete"):
        load_model("micro", "cpu")
    model = SamHQModel(small_config("conv"))
    load_strict(model, small_tensors("conv"), "test")
    model.save_pretrained(bundled.path)
    assert load_model("micro", "cpu").info.megabytes > 0


def test_to_original_of_what_was_loaded_is_what_was_in_the_file(tmp_path):
    path = original_pth(tmp_path, "vit")
    written = to_original(load_model(path, "cpu").network.state_dict())
    expected = small_tensors("vit", original=True)
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[name], expected[name]) for name in expected)


def test_loading_leaves_the_compiler_of_torch_alone(tmp_path):
    # It exchanges Python's way to evaluate functions for all threads, and a window that is drawn
    # while a model is loaded in another thread would crash.
    for encoder in ("vit", "tiny_vit", "conv"):
        folder = tmp_path / encoder
        SamHQModel(small_config(encoder)).save_pretrained(folder)
    code = (
        "import sys; from napari_samhq import load_model\n"
        "for path in sys.argv[1:]: load_model(path)\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    folders = [str(tmp_path / encoder) for encoder in ("vit", "tiny_vit", "conv")]
    done = subprocess.run(
        [sys.executable, "-c", code, *folders], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
