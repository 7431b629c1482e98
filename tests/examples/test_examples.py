"""The examples run, by the library and by a session, and both ways lead to the same objects."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_samhq.core.measure.metrics import iou
from napari_samhq.io.images import read_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TASKS = sorted(path.stem for path in (EXAMPLES / "plugin").glob("*.py"))


def both_ways(task: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[NDArray[Any]]:
    """Run an example by the plugin, then by the library, where both may leave files."""
    monkeypatch.chdir(folder)
    paths = [EXAMPLES / kind / f"{task}.py" for kind in ("plugin", "library")]
    return [np.asarray(runpy.run_path(str(path))["labels"]) for path in paths]


def test_every_example_is_there_twice() -> None:
    assert TASKS
    assert sorted(path.stem for path in (EXAMPLES / "library").glob("*.py")) == TASKS


@pytest.mark.parametrize("task", TASKS)
def test_examples_are_short(task: str) -> None:
    for kind in ("plugin", "library"):
        lines = (EXAMPLES / kind / f"{task}.py").read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 45, kind


@pytest.mark.parametrize("task", TASKS)
def test_both_ways_find_the_same_pixels(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin, library = both_ways(task, tmp_path, monkeypatch)
    assert plugin.shape == library.shape
    assert plugin.any()
    if task == "save_and_replay":
        np.testing.assert_array_equal(plugin, library)
    elif task == "everything":
        assert len(np.unique(plugin)) == len(np.unique(library)) - 1  # one was deleted
        assert (library[plugin > 0] > 0).all()
    else:
        # Black and white are measured a little differently, and shared pixels go to others.
        assert iou(plugin > 0, library > 0) > 0.95
        assert len(np.unique(plugin[-1])) == len(np.unique(library[-1]))


@pytest.mark.parametrize("kind", ["plugin", "library"])
def test_the_nuclei_in_the_boxes_are_found(kind: str) -> None:
    labels = np.asarray(runpy.run_path(str(EXAMPLES / kind / "nuclei_from_boxes.py"))["labels"])
    expected = read_image(ROOT / "src" / "napari_samhq" / "data" / "nuclei_labels.png")
    assert labels.shape == expected.shape
    found = [i for i in np.unique(labels) if i]
    assert len(found) >= 10
    # The bundled weights give 0.92.
    assert np.mean([iou(labels == i, expected == i) for i in found]) > 0.9
