"""Commands with a stand-in for the model, and small files to run them on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_samhq.cli import viewer
from support.commands import loaded_fake
from support.fakes import FakePredictor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def predictor(monkeypatch: pytest.MonkeyPatch) -> FakePredictor:
    """Let the commands use a predictor that fills boxes and draws discs, in place of a model."""
    fake = FakePredictor()
    for module in ("segment_image", "demo"):
        monkeypatch.setattr(f"napari_samhq.cli.{module}.load", lambda *_: loaded_fake())
    monkeypatch.setattr("napari_samhq.inference.predictor.Predictor", lambda _: fake)
    monkeypatch.setattr(viewer, "has_display", lambda: False)
    return fake


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A picture of 40 x 60 pixels with some contrast."""
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    return tmp_path / "image.png"


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    path = tmp_path / "boxes.csv"
    path.write_text("min_row,min_col,max_row,max_col\n2,3,9,12\n20,30,29,49\n")
    return path
