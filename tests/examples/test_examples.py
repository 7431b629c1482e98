"""The examples run, and what they make are the nuclei."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from napari_samhq.core.metrics import iou
from napari_samhq.io.images import read_image

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))


def test_every_example_is_there_twice() -> None:
    library, plugin = (
        {path.name for path in EXAMPLES if path.parent.name == kind}
        for kind in ("library", "plugin")
    )
    assert library == plugin
    assert library


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_the_example_finds_the_nuclei(path: Path) -> None:
    labels = np.asarray(runpy.run_path(str(path))["labels"])
    expected = read_image(ROOT / "src" / "napari_samhq" / "data" / "nuclei_labels.png")
    assert labels.shape == expected.shape
    found = [i for i in np.unique(labels) if i]
    assert len(found) >= 10
    # The bundled weights give 0.76 for all of them and 0.69 for the first ten.
    assert np.mean([iou(labels == i, expected == i) for i in found]) > 0.67
