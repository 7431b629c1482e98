"""One image in, labels out: results in files, words on the right stream."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_samhq import errors
from napari_samhq.core.images.rgb8 import to_rgb8
from napari_samhq.io.images import read_image
from support.commands import loaded_fake, run
from support.fakes import FakePredictor
from support.fakes_of_objects import MapsPredictor, blobs, pictured

if TYPE_CHECKING:
    from pathlib import Path

    from napari_samhq.model import SamHQModel


def test_boxes_become_labels(
    predictor: FakePredictor, image: Path, boxes: Path, tmp_path: Path
) -> None:
    result = run("segment", image, "-o", tmp_path / "labels.tif", "--boxes", boxes)
    assert result.exit_code == 0, result.output
    labels = read_image(tmp_path / "labels.tif")
    assert labels.shape == (40, 60)
    assert np.bincount(labels.ravel())[1:].tolist() == [8 * 10, 10 * 20]
    assert "2 objects" in result.stdout
    assert "mean score 0.90" in result.stdout


def test_points_that_share_an_object_are_one_prompt(
    predictor: FakePredictor, image: Path, tmp_path: Path
) -> None:
    points = tmp_path / "points.csv"
    points.write_text("row,col,object,label\n10,10,7,1\n10,14,7,0\n30,40,2,1\n")
    result = run("segment", image, "-o", tmp_path / "labels.npy", "--points", points)
    assert result.exit_code == 0, result.output
    labels = read_image(tmp_path / "labels.npy")
    assert (labels[10, 8], labels[10, 14], labels[30, 40]) == (7, 0, 2)


def test_the_result_as_json_stands_alone_on_stdout(
    predictor: FakePredictor, image: Path, boxes: Path, tmp_path: Path
) -> None:
    result = run("segment", image, "-o", tmp_path / "l.png", "--boxes", boxes, "--json")
    summary = json.loads(result.stdout)
    assert [row["label"] for row in summary["objects"]] == [1, 2]
    assert summary["objects"][0]["min_row"] == 2
    assert summary["shape"] == [40, 60]
    assert set(summary["seconds"]) == {"embed", "predict"}


def test_an_object_without_a_pixel_is_told(
    predictor: FakePredictor, image: Path, tmp_path: Path
) -> None:
    (tmp_path / "boxes.csv").write_text("2,3,9,12\n2,3,9,12\n")
    arguments = ("segment", image, "-o", tmp_path / "l.png", "--boxes", tmp_path / "boxes.csv")
    assert "1 object got no pixel: 2." in run(*arguments).stdout
    assert json.loads(run(*arguments, "--overwrite", "--json").stdout)["without_pixels"] == [2]


def test_objects_outside_of_the_image_are_left_out_with_a_warning(
    predictor: FakePredictor, image: Path, tmp_path: Path
) -> None:
    points = tmp_path / "points.csv"
    points.write_text("10,10\n1000,10\n")
    result = run("segment", image, "-o", tmp_path / "l.png", "--points", points)
    assert result.exit_code == 0, result.output
    assert "Warning: 1 of 2 objects have no point on them inside of the image" in result.stderr
    points.write_text("1000,10\n")
    result = run("segment", image, "-o", tmp_path / "m.png", "--points", points)
    assert result.exit_code == 1
    assert not (tmp_path / "m.png").exists()


def test_a_plane_of_a_stack_is_segmented(
    predictor: FakePredictor, boxes: Path, tmp_path: Path
) -> None:
    stack = np.random.default_rng(0).random((3, 40, 60))
    np.save(tmp_path / "stack.npy", stack)
    output = tmp_path / "labels.npy"
    arguments = ("segment", tmp_path / "stack.npy", "-o", output, "--boxes", boxes)
    refused = run(*arguments)
    assert refused.exit_code == 1
    assert "--plane 0" in refused.stderr
    assert run(*arguments, "--plane", "2").exit_code == 0
    np.testing.assert_array_equal(predictor.calls[0][1], to_rgb8(stack[2]))


def test_values_that_are_black_and_white_can_be_given(
    predictor: FakePredictor, boxes: Path, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 4000, (40, 60), dtype=np.uint16)
    np.save(tmp_path / "dim.npy", pixels)
    arguments = ("segment", tmp_path / "dim.npy", "-o", tmp_path / "l.npy", "--boxes", boxes)
    for limits in ("7", "5,x", "9,9"):
        refused = run(*arguments, "--contrast-limits", limits)
        assert refused.exit_code == 2
        assert "0,4095" in refused.stderr
    assert run(*arguments, "--contrast-limits", "100,1000").exit_code == 0
    seen = to_rgb8(pixels, contrast_limits=(100, 1000))
    np.testing.assert_array_equal(predictor.calls[0][1], seen)
    record = json.loads((tmp_path / "l.npy.run.json").read_text())
    assert record["recipe"]["contrast_limits"] == [100, 1000]
    other = run(*arguments, "--contrast-limits", "100,2000", "--resume")
    assert "its record differs in contrast_limits" in other.stderr


def test_what_was_seen_ahead_of_time_is_not_seen_again(
    tiny_network: SamHQModel, image: Path, boxes: Path, tmp_path: Path
) -> None:
    tiny_network.save_pretrained(tmp_path / "tiny")
    options = ("--model", tmp_path / "tiny", "--device", "cpu")
    store = tmp_path / "store"
    assert run("embed", image, "-o", store, *options).exit_code == 0

    def entries() -> dict[str, int]:
        return {str(path): path.stat().st_ino for path in store.rglob("*.safetensors")}

    seen = entries()
    assert seen
    result = run("segment", image, "-o", tmp_path / "labels.tif", "--boxes", boxes,
                 "--store", store, *options)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert entries() == seen


def test_a_failure_after_an_earlier_success_keeps_the_earlier_file(
    predictor: FakePredictor, image: Path, boxes: Path, tmp_path: Path
) -> None:
    output = tmp_path / "labels.tif"
    arguments = ("segment", image, "-o", output, "--boxes", boxes)
    assert run(*arguments).exit_code == 0
    before = output.read_bytes()
    again = run(*arguments)
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr
    predictor.error = errors.OutOfMemoryError("The device is full. Use --device cpu.")
    failed = run(*arguments, "--overwrite")
    assert failed.exit_code == 1
    assert failed.stderr.endswith("Error: The device is full. Use --device cpu.\n")
    assert output.read_bytes() == before
    assert run(*arguments, "--overwrite").exit_code == 0


def test_a_model_in_a_folder_is_used(
    tiny_network: SamHQModel, image: Path, boxes: Path, tmp_path: Path
) -> None:
    tiny_network.save_pretrained(tmp_path / "tiny")
    result = run("segment", image, "-o", tmp_path / "labels.tif", "--boxes", boxes,
                 "--model", tmp_path / "tiny", "--device", "cpu", "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert (summary["model"], summary["device"]) == ("tiny", "cpu")
    assert {"score", "disagreement", "uncertainty_px"} <= summary["objects"][0].keys()
    assert read_image(tmp_path / "labels.tif").shape == (40, 60)


@pytest.mark.parametrize("suffix", [".zarr", ".tif", ".png", ".npy"])
def test_everything_is_segmented_into_a_file(image, tmp_path, predictor, suffix):
    out = tmp_path / f"labels{suffix}"
    arguments = [
        "segment",
        image,
        "-o",
        out,
        "--everything",
        "--spacing",
        12,
        "--set",
        "overlap=0.4",
    ]
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    labels = read_image(out)
    assert labels.shape == (40, 60)
    summary = json.loads(result.stdout)
    assert summary["count"] == labels.max() > 5
    asked = len(predictor.calls)
    again = run(*arguments)  # done already: the same command has nothing to do
    assert again.exit_code == 0, again.output
    assert f"{labels.max()} objects" in again.stdout
    assert "done already" in again.stdout
    assert len(predictor.calls) == asked


@pytest.mark.parametrize((), [pytest.param(id="FM-54")])
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["--preset", "trees"], "nuclei"),
        (["--set", "size=3"], "spacing_px"),
        (["--set", "min_score=high"], "float"),
        (["--set", "min_score=7"], "at most 1"),
        (["--tile", "3"], "at least 16"),
        (["--points", "points.csv"], "--points and --everything"),
    ],
)
def test_wrong_wishes_for_everything_are_wrong_usage(image, tmp_path, predictor, wrong, told):
    result = run("segment", image, "-o", tmp_path / "labels.tif", "--everything", *wrong)
    assert result.exit_code == 2
    assert told in result.stderr
    assert not predictor.calls


@pytest.mark.parametrize((), [pytest.param(id="FM-90-segment")])
def test_strict_refuses_what_else_is_left_out(
    predictor: FakePredictor, image: Path, tmp_path: Path
) -> None:
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("min_row;min_col;max_row;max_col\n2;3;9,5;12\n2;x;9;12\n200;30;290;49\n")
    arguments = ("segment", image, "-o", tmp_path / "l.png", "--boxes", boxes)
    told = run(*arguments)
    assert told.exit_code == 0, told.output
    assert "1 of 3 lines left out: line 3: min_col is 'x'" in told.stderr
    assert "1 of 2 objects have no point or box inside of the image" in told.stderr
    refused = run(*arguments, "--overwrite", "--strict")
    assert refused.exit_code == 1
    assert "line 3" in refused.stderr
    boxes.write_text("min_row;min_col;max_row;max_col\n2;3;9,5;12\n200;30;290;49\n")
    assert run(*arguments, "--overwrite", "--strict").exit_code == 1


@pytest.mark.parametrize("number", [2**31, 2**63, 10**30], ids=lambda n: f"FM-87-{n}")
def test_label_ids_are_looked_at_before_the_model(image: Path, tmp_path: Path, number: int) -> None:
    boxes = tmp_path / "boxes.csv"
    boxes.write_text(f"min_row,min_col,max_row,max_col,object\n2,3,9,12,{number}\n")
    refused = run("segment", image, "-o", tmp_path / "l.npy", "--boxes", boxes)
    assert refused.exit_code == 1
    assert "label ids go up to 2147483647" in refused.stderr


@pytest.mark.parametrize((), [pytest.param(id="FM-87-largest")])
def test_the_largest_label_id_takes_no_more_memory(
    predictor: FakePredictor, image: Path, tmp_path: Path
) -> None:
    boxes = tmp_path / "boxes.csv"
    boxes.write_text(f"min_row,min_col,max_row,max_col,object\n2,3,9,12,{2**31 - 1}\n")
    result = run("segment", image, "-o", tmp_path / "l.npy", "--boxes", boxes)
    assert result.exit_code == 0, result.output
    assert np.load(tmp_path / "l.npy").max() == 2**31 - 1


@pytest.mark.parametrize((), [pytest.param(id="FM-86-segment")])
def test_a_mask_as_prompts_is_told_and_taken_apart(
    predictor: FakePredictor, image: Path, tmp_path: Path
) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[2:9, 3:12] = mask[20:30, 30:50] = 255
    np.save(tmp_path / "mask.npy", mask)
    arguments = ("segment", image, "-o", tmp_path / "l.npy", "--prompts", tmp_path / "mask.npy")
    told = run(*arguments)
    assert "its only object (255) is in 2 pieces" in told.stderr
    apart = run(*arguments, "--connected", "--overwrite")
    assert apart.exit_code == 0, apart.output
    assert "Warning" not in apart.stderr
    assert np.unique(np.load(tmp_path / "l.npy")).tolist() == [0, 1, 2]


def test_everything_by_the_dense_head(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    finder, outliner = MapsPredictor(name="finder"), FakePredictor(name="outliner")
    known = {"finder": finder, "outliner": outliner}
    monkeypatch.setattr("napari_samhq.cli.segment_image.load", lambda name, *_: loaded_fake(name))
    monkeypatch.setattr(
        "napari_samhq.inference.predictor.Predictor", lambda loaded: known[loaded.fingerprint]
    )
    image = tmp_path / "cells.png"
    Image.fromarray(pictured(blobs((70, 100), seed=3))).save(image)
    out = tmp_path / "labels.npy"
    options = ["--everything", "--set", "smallest_px=12", "--diameter", "90"]
    result = run("segment", image, "-o", out, *options, "--model", "finder", "--method", "dense")
    assert result.exit_code == 0, result.output
    found = np.load(out)
    assert found.max() > 3
    recipe = json.loads((tmp_path / "labels.npy.run.json").read_text())["recipe"]
    assert (recipe["settings"]["method"], recipe["settings"]["diameter"]) == ("dense", "90")
    assert "finder" not in recipe
    out = tmp_path / "outlined.npy"
    result = run("segment", image, "-o", out, *options, "--find", "finder", "--model", "outliner")
    assert result.exit_code == 0, result.output
    assert any(what == "predict" for what, _ in outliner.calls)
    recipe = json.loads((tmp_path / "outlined.npy.run.json").read_text())["recipe"]
    assert recipe["finder"]["name"] == "finder"
    assert recipe["model"]["name"] == "outliner"
    wrong = run("segment", image, "-o", out, "--everything", "--method", "magic")
    assert wrong.exit_code == 2
    assert "points" in wrong.output
