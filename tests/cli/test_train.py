"""Fine-tuning from the command line: a small model, small pictures, real files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

import napari_samhq as samhq
from support.commands import run
from support.small_tuning import discs, write_small_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUICK = ["--steps", "30", "--minutes", "0", "--set", "check_every=10", "--set", "views=1"]
QUICK += ["--set", "learning_rate=0.01"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for kind, arrays in zip(("images", "labels"), discs(), strict=True):
        (folder / kind).mkdir()
        for number, array in enumerate(arrays):
            path = folder / kind / f"{number}.png"
            Image.fromarray(array.astype(np.uint8)).save(path)
    return folder


def train(data: Path, base: Path, out: Path, *more: object):
    return run("train", data / "images", data / "labels", "-o", out, "--model", base, *QUICK, *more)


def test_a_folder_becomes_a_head_that_segment_can_use(
    data: Path, base: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine.safetensors"
    result = train(data, base, out)
    assert result.exit_code == 0, result.output
    assert "learned from 9 objects in 30 steps" in result.stdout
    assert "box boundary" in result.stdout
    assert result.stdout.endswith(f"Wrote {out}\n")
    assert "9 objects; 3 held out, on images of their own" in result.stderr
    assert list(tmp_path.iterdir()) == [out]
    (tmp_path / "boxes.csv").write_text("5,5,30,30\n")
    used = run(
        "segment", data / "images" / "0.png", "-o", tmp_path / "labels.tif",
        "--boxes", tmp_path / "boxes.csv", "--model", out,
    )  # fmt: skip
    assert used.exit_code == 0, used.output
    assert "with mine on" in used.stdout


def test_the_record_comes_as_json(data: Path, base: Path, tmp_path: Path) -> None:
    result = train(data, base, tmp_path / "mine.safetensors", "--json", "--prompts", "boxes")
    told = json.loads(result.stdout)
    assert told["settings"]["prompts"] == "boxes"
    assert set(told["after"]) == {"box", "box boundary"}
    assert told["images"] == ["0.png", "1.png", "2.png", "3.png"]


@pytest.mark.parametrize("how", ["--complete", "--finished"])
def test_where_all_is_labelled_it_learns_to_find_all(data: Path, tmp_path: Path, how: str) -> None:
    base = write_small_model(tmp_path / "dense", dense=True)
    out = tmp_path / "mine.safetensors"
    options: list[object] = [how]
    if how == "--finished":
        (tmp_path / "masks").mkdir()
        for number in range(4):
            mask = np.full((64, 64), 255 * (number < 3), np.uint8)
            Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
        options.append(tmp_path / "masks")
    result = train(data, base, out, *options)
    assert result.exit_code == 0, result.output
    assert "found without prompts:\n  everything" in result.stdout
    assert samhq.load_model(out).network.dense_head is not None


def test_an_existing_file_stays_unless_asked(data: Path, base: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    out.write_bytes(b"precious")
    refused = train(data, base, out)
    assert refused.exit_code == 1
    assert "exists already" in refused.stderr
    assert out.read_bytes() == b"precious"
    assert train(data, base, out, "--overwrite").exit_code == 0
    assert samhq.load_model(out).info.name == "mine"


def test_resume_begins_where_there_is_nothing_to_go_on_from(
    data: Path, base: Path, tmp_path: Path
) -> None:
    result = train(data, base, tmp_path / "mine.safetensors", "--resume")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["--steps", "0"], "'steps' is 0", id="FM-54-steps"),
        pytest.param(["--prompts", "words"], "'prompts' is 'words'", id="FM-54-prompts"),
        pytest.param(["--set", "epochs=3"], "is none of parts, prompts", id="FM-54-setting"),
        pytest.param(["--set", "views=many"], "is no int for views", id="FM-54-value"),
        pytest.param(["--complete", "--finished", "."], "says it of all", id="FM-54-complete"),
    ],
)
def test_wrong_usage_ends_with_2(
    data: Path, base: Path, tmp_path: Path, arguments: list[str], told: str
) -> None:
    result = train(data, base, tmp_path / "mine.safetensors", *arguments)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.replace("│", " ").split())
    assert not any(tmp_path.iterdir())


def test_another_extension_is_wrong_usage(data: Path, base: Path, tmp_path: Path) -> None:
    result = train(data, base, tmp_path / "mine.pth")
    assert result.exit_code == 2
    assert ".safetensors" in result.stderr


def test_what_is_wrong_with_the_data_is_told_in_one_line(
    data: Path, base: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine.safetensors"
    (tmp_path / "labels").mkdir()
    for name, words in (("gone", "does not exist"), ("labels", "have no label image")):
        result = run("train", data / "images", tmp_path / name, "-o", out, "--model", base)
        assert result.exit_code == 1
        assert words in result.stderr
    for number in range(4):
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "labels" / f"{number}.png")
    result = run("train", data / "images", tmp_path / "labels", "-o", out, "--model", base)
    assert result.exit_code == 1
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("Error"))
    assert "There are no objects" in line
    assert not out.exists()


def test_nothing_learned_is_a_failure(data: Path, base: Path, tmp_path: Path) -> None:
    result = train(data, base, tmp_path / "mine.safetensors", "--set", "learning_rate=0")
    assert result.exit_code == 1
    assert "Nothing was learned" in result.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize((), [pytest.param(id="FM-86-train")])
def test_masks_in_place_of_labels_are_told_before_the_model(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (80, 80), dtype=np.uint8)
    mask = np.kron([[1, 0], [0, 1]], np.ones((40, 40), bool)).astype(bool)
    mask[38:42] = False
    np.save(tmp_path / "image.npy", pixels)
    np.save(tmp_path / "mask.npy", mask)
    arguments = ("train", tmp_path / "image.npy", tmp_path / "mask.npy", "-o",
                 tmp_path / "mine.safetensors", "--steps", "1")  # fmt: skip
    refused = run(*arguments)
    assert refused.exit_code == 1
    assert "--connected" in refused.stderr
    np.save(tmp_path / "mask.npy", mask.astype(np.uint8) * 255)
    assert "object (255) is in 2 pieces" in run(*arguments, "--model", "none").stderr
    apart = run(*arguments, "--model", "none", "--connected").stderr
    assert "pieces" not in apart
    assert "none" in apart  # the model, which comes after the labels
