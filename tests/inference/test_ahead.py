"""What was looked at ahead of time is not looked at again."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
import zarr
from typer.testing import CliRunner

from napari_samhq.cli import app
from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.inference.ahead import look_ahead
from napari_samhq.inference.predictor import Predictor
from napari_samhq.inference.source import ImageSource
from napari_samhq.inference.store import EmbeddingStore
from napari_samhq.inference.windowed import WindowedPredictor
from support.fakes import FakePredictor
from support.large import Counting


def over(shape, predictor, store) -> WindowedPredictor:
    source = ImageSource.of(Counting(shape), contrast_limits=(0, 255))
    return WindowedPredictor(predictor, source, store=store)


def embedded(predictor: FakePredictor) -> int:
    return sum(what == "embed" for what, _ in predictor.calls)


def test_prompts_find_what_was_looked_at() -> None:
    predictor, region = FakePredictor(8, input_size=64), (slice(200, 400), slice(300, 420))
    windowed = over((1000, 1200), predictor, EmbeddingStore())
    events = list(look_ahead(windowed, region))
    assert [event.done for event in events] == list(range(1, len(events) + 1))
    assert {event.total for event in events} == {len(events)}
    assert embedded(predictor) == len(events)
    for row, col in np.random.default_rng(0).uniform((200, 300), (399, 419), (40, 2)):
        windowed.predict(Prompt([[row, col]]))
    assert embedded(predictor) == len(events)


def test_a_job_that_was_stopped_goes_on_where_it_was(tmp_path, tiny_network) -> None:
    predictor = Predictor(tiny_network)
    first = look_ahead(over((300, 300), predictor, EmbeddingStore(tmp_path)))
    assert all(event.is_new for event in itertools.islice(first, 7))
    first.close()
    again = list(look_ahead(over((300, 300), predictor, EmbeddingStore(tmp_path))))
    assert [event.is_new for event in again] == [False] * 7 + [True] * (len(again) - 7)


def test_empty_background_is_looked_at_once() -> None:
    predictor = FakePredictor(input_size=64)
    image = zarr.zeros((640, 640), chunks=(64, 64), dtype="u1", store={})
    source = ImageSource.of(image, contrast_limits=(0, 255))
    events = list(look_ahead(WindowedPredictor(predictor, source), batch=5))
    assert len(events) == 19 * 19
    assert sum(event.is_new for event in events) == embedded(predictor) == 1


@pytest.mark.parametrize("fits", [pytest.param(n, id=f"FM-27-{n}-fit") for n in (1, 2, 8)])
def test_batches_are_halved_where_memory_runs_out(tiny_network, monkeypatch, fits) -> None:
    predictor = Predictor(tiny_network)
    alone = {e.window: None for e in look_ahead(over((200, 200), predictor, EmbeddingStore()))}
    encode, lengths = Predictor._encode, []

    def limited(self, pictures):
        lengths.append(len(pictures))
        if len(pictures) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(self, pictures)

    monkeypatch.setattr(Predictor, "_encode", limited)
    store = EmbeddingStore()
    windowed = over((200, 200), predictor, store)
    events = list(look_ahead(windowed, batch=8))
    assert [event.window for event in events] == list(alone)
    assert max(lengths) == 8
    assert sum(n for n in lengths if n <= fits) == len(events)
    picture = windowed.picture(events[3].window)
    expected = predictor.embed(picture)
    found = store.get(next(key for n, key in enumerate(store._seen) if n == 3))
    torch.testing.assert_close(found.hq_features, expected.hq_features, atol=1e-4, rtol=1e-4)


def test_the_command_fills_a_store_and_goes_on(tmp_path) -> None:
    image = Counting((1300, 700))[:, :]
    zarr.create_array(store=tmp_path / "image.zarr", data=image, chunks=(256, 256))
    arguments = ["embed", str(tmp_path / "image.zarr"), "-o", str(tmp_path / "store"), "--json"]
    arguments += ["--region", "0,0,600,700"]
    told = []
    for _ in range(2):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        told.append(json.loads(done.stdout))
    assert told[0]["new"] == told[0]["windows"] > 1
    assert (told[1]["new"], told[1]["windows"]) == (0, told[0]["windows"])


@pytest.mark.parametrize(
    "wrong",
    [
        ["--scale", "3"],
        ["--region", "0,0,5"],
        ["--region", "0,0,900,10"],
        ["--contrast-limits", "a,b"],
        ["--plane", "x"],
    ],
)
def test_wrong_usage_is_told_before_the_model_is_loaded(tmp_path, wrong) -> None:
    np.save(tmp_path / "image.npy", np.zeros((20, 30)))
    arguments = ["embed", str(tmp_path / "image.npy"), "-o", str(tmp_path / "store"), *wrong]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert wrong[0] in done.output


def test_a_store_that_cannot_be_made_is_told_in_one_line(tmp_path) -> None:
    np.save(tmp_path / "image.npy", np.zeros((20, 30)))
    (tmp_path / "file").write_text("no folder")
    store = tmp_path / "file" / "store"
    done = CliRunner().invoke(app, ["embed", str(tmp_path / "image.npy"), "-o", str(store)])
    assert done.exit_code == 1
    assert "Cannot make the folder" in done.output
