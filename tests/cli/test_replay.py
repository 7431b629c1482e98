"""Sessions made again from the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_samhq.io.images import read_image
from support.commands import loaded_fake, run
from support.fakes import FakePredictor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A session on a stack of two planes beside it, with an object in the second."""
    from napari.components import ViewerModel

    from napari_samhq.engine.engine import Engine
    from napari_samhq.engine.models import ModelSource
    from napari_samhq.session.session import Session

    fake = FakePredictor(name="micro")
    loaded = loaded_fake("micro")
    monkeypatch.setattr("napari_samhq.cli.replay.load", lambda *_: loaded)
    monkeypatch.setattr("napari_samhq.inference.Predictor", lambda _: fake)
    stack = np.random.default_rng(0).integers(0, 255, (2, 40, 60), dtype=np.uint8)
    np.save(tmp_path / "stack.npy", stack)
    view = ViewerModel()
    view.add_image(stack)
    view.dims.set_point(0, 1)
    work = Session(
        view, view.layers[0], engine=Engine(ModelSource(load=lambda *_: fake, list=list))
    )
    work.add_points([[20, 30]])
    work.commit()
    np.save(tmp_path / "expected.npy", work.labels.data)
    path = work.save(tmp_path / "work.samhq.json")
    work.close()
    return path


@pytest.mark.parametrize("name", ["labels.npy", "labels.tif", "labels.zarr"])
def test_replay_makes_the_labels_again(session: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    result = run("replay", session, "--image", tmp_path / "stack.npy", "-o", out, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["objects"] == [1]
    record = json.loads((tmp_path / f"{name}.run.json").read_text())
    assert record["recipe"].keys() == {"napari-samhq", "model", "image", "session"}
    assert record["objects"] == 1
    expected = np.load(tmp_path / "expected.npy")
    for plane in range(2):
        np.testing.assert_array_equal(read_image(out, plane=[plane]), expected[plane])


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--image", "stack.npy", "-o", "labels.jpg"], 2, "--output"),
        (["--image", "gone.npy", "-o", "labels.npy"], 1, "There is no image"),
        (["-o", "labels.npy"], 1, "is not beside the session"),
        (["--image", "stack.npy", "-o", "expected.npy"], 1, "exists already"),
        (["--image", "stack.npy", "-o", "labels.png"], 1, "2-D array"),
    ],
)
def test_replay_says_what_is_wrong(
    session: Path, tmp_path: Path, arguments: list[str], status: int, message: str
) -> None:
    given = [str(tmp_path / one) if "." in one else one for one in arguments]
    result = run("replay", session, *given)
    assert result.exit_code == status
    assert message in result.stderr
    assert "Traceback" not in result.output
