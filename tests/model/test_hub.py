"""``from_pretrained`` with the id of a model, against a hub on this machine."""

from __future__ import annotations

import pytest
import torch
from huggingface_hub import constants

from napari_samhq.errors import CheckpointError, DownloadError
from napari_samhq.model import SamHQConfig, SamHQModel, SamHQProcessor, SamHQVisionConfig
from support.fake_hub import FakeHub

NAME, COMMIT = "syscv-community/sam-hq-vit-base", "c" * 40


@pytest.fixture
def saved(tmp_path):
    vision = SamHQVisionConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        output_channels=16,
        global_attn_indexes=[0],
        num_pos_feats=8,
    )
    decoder = {"hidden_size": 16, "mlp_dim": 8, "vit_dim": 16, "iou_head_hidden_dim": 8}
    torch.manual_seed(0)
    model = SamHQModel(SamHQConfig(vision, {"hidden_size": 16, "image_size": 32}, decoder))
    folder = tmp_path / "saved"
    model.save_pretrained(folder)
    SamHQProcessor().save_pretrained(folder)
    return model, {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def hub(saved, tmp_path, monkeypatch):
    _, files = saved
    with FakeHub({(NAME, COMMIT, name): body for name, body in files.items()}) as fake:
        monkeypatch.setenv("HF_ENDPOINT", fake.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield fake


def test_model_and_processor_by_hub_id(hub, saved):
    fetched = SamHQModel.from_pretrained(NAME, revision=COMMIT)
    for name, tensor in saved[0].state_dict().items():
        assert torch.equal(fetched.state_dict()[name], tensor)
    assert SamHQProcessor.from_pretrained(NAME, revision=COMMIT).image_processor.longest == 1024


def test_a_damaged_file_in_the_cache_is_not_loaded(hub, tmp_path):
    SamHQModel.from_pretrained(NAME, revision=COMMIT)
    (weights,) = (tmp_path / "cache").rglob("model.safetensors")
    with weights.resolve().open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(CheckpointError, match="Delete the file"):
        SamHQModel.from_pretrained(NAME, revision=COMMIT)


def test_a_model_that_the_hub_does_not_have(hub):
    with pytest.raises(DownloadError, match="pass the folder's path"):
        SamHQModel.from_pretrained("somebody/else", revision=COMMIT)


def test_a_hub_that_refuses(hub):
    hub.faults.refuse["HEAD"] = (403, 100)
    with pytest.raises(DownloadError, match="Without a network"):
        SamHQModel.from_pretrained(NAME, revision=COMMIT)
