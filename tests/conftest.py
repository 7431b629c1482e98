"""Fixtures that several folders of tests share."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.fakes import FakePredictor

if TYPE_CHECKING:
    import numpy as np

    from napari_samhq.model import SamHQModel


@pytest.fixture
def fake_predictor() -> FakePredictor:
    """Answer prompts with discs and boxes, without a network."""
    return FakePredictor()


@pytest.fixture(scope="session")
def tiny_network() -> SamHQModel:
    """SAM-HQ of 100,000 random weights at 64 px, always the same. Do not change it."""
    import torch

    from napari_samhq.model import (
        ConvEncoderConfig,
        SamHQConfig,
        SamHQMaskDecoderConfig,
        SamHQModel,
        SamHQPromptEncoderConfig,
    )

    config = SamHQConfig(
        ConvEncoderConfig(
            image_size=64,
            output_channels=32,
            widths=[8, 8, 16, 32],
            depths=[1, 1, 1],
            attention_depth=1,
            attention_heads=2,
            num_pos_feats=16,
        ),
        SamHQPromptEncoderConfig(
            hidden_size=32, image_size=64, patch_size=8, mask_input_channels=4
        ),
        SamHQMaskDecoderConfig(
            hidden_size=32, mlp_dim=64, num_attention_heads=2, iou_head_hidden_dim=32, vit_dim=32
        ),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SamHQModel(config).eval()


class _NoCompiler:
    """Fails whoever imports torch's compiler, which ends processes that draw by Mesa's GL."""

    def find_spec(self, name, path=None, target=None):
        kept_out = name.partition(".")[0] == "triton" or name == "torch._dynamo"
        return ModuleSpec(name, self) if kept_out else None

    def create_module(self, spec):
        """Not when it is looked for, which torch does: when it is imported."""
        raise AssertionError(f"{spec.name} must stay out of the window's process: test_compiler.py")

    def exec_module(self, module):
        """Never reached; there must be one beside `create_module`."""


@pytest.fixture(autouse=True, scope="session")
def no_compiler():
    """Keep torch's compiler out of the process of the tests, some of which draw."""
    guard = _NoCompiler()
    sys.meta_path.insert(0, guard)
    yield
    sys.meta_path.remove(guard)


@pytest.fixture(autouse=True)
def no_models_of_ones_own(monkeypatch):
    """Keep the models of whoever runs the tests out of all lists."""
    monkeypatch.setenv("NAPARI_SAMHQ_MODELS", str(Path(__file__).parent / "no-such-folder"))


@pytest.fixture(scope="session")
def grey_image() -> np.ndarray:
    """A real microscopy image, (200, 250), 8 bit."""
    from skimage import data

    image: np.ndarray = data.cell()[200:400, 150:400]
    return image


@pytest.fixture(scope="session")
def colour_image() -> np.ndarray:
    """A real microscopy image in colour, (160, 200, 3), 8 bit."""
    from skimage import data

    image: np.ndarray = data.immunohistochemistry()[:160, :200]
    return image
