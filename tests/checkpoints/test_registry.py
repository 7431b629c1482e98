from __future__ import annotations

import dataclasses
import math
import re
import subprocess
import sys

import pytest

from napari_samhq.checkpoints import ModelInfo, list_models, model_info
from napari_samhq.errors import ModelError

NAMES = ["micro", "vit_tiny", "vit_b", "vit_l", "vit_h"]


def test_the_contract_names_are_there_and_the_bundled_model_comes_first():
    assert [model.name for model in list_models()] == NAMES
    assert [model.bundled for model in list_models()] == [True, False, False, False, False]


@pytest.mark.parametrize("name", NAMES[1:])
def test_published_models_are_pinned_and_say_what_they_were_trained_on(name):
    model = model_info(name)
    assert re.fullmatch("[0-9a-f]{40}", model.revision)
    assert model.repository == "lkeab/hq-sam"
    assert model.filename == f"sam_hq_{name}.pth"
    assert model.md5 is None or re.fullmatch("[0-9a-f]{32}", model.md5)
    assert "natural" in model.title
    assert "photographs" in model.trained_on
    assert model.license == "Apache-2.0"
    assert model.input_size == 1024


def test_published_sizes_agree_with_the_parameters_of_the_models():
    from .models import published_tables

    for name, table in published_tables()["original"].items():
        count = sum(math.prod(shape) for shape in table.values())
        assert model_info(name).megabytes == pytest.approx(4 * count / 1e6, rel=0.01)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ModelError, match=r"'vit_x'.*micro, vit_tiny, vit_b, vit_l, vit_h"):
        model_info("vit_x")


def test_what_is_known_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        model_info("vit_b").title = "better"
    assert isinstance(model_info("vit_b"), ModelInfo)


def test_cached_is_looked_up_each_time(monkeypatch, tmp_path):
    from napari_samhq.checkpoints import cache

    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    assert not model_info("vit_b").cached
    path = cache.weights_path(model_info("vit_b"))
    path.parent.mkdir(parents=True)
    path.touch()
    assert model_info("vit_b").cached


def test_listing_models_loads_neither_torch_nor_the_hub_library():
    script = (
        "import sys, napari_samhq.checkpoints as c; c.list_models();"
        "print([m for m in ('torch', 'huggingface_hub', 'numpy', 'safetensors')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
