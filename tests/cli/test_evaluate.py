"""Segmentations compared with true labels: numbers, files, a picture."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_samhq.cli.derived_prompts import Derived
from napari_samhq.io.images import read_image
from support.commands import SAMPLE, run

if TYPE_CHECKING:
    from pathlib import Path

    from support.fakes import FakePredictor


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two crops of a real image with the outlines that experts drew, and predictions."""
    image = read_image(SAMPLE / "nuclei.png")
    labels = read_image(SAMPLE / "nuclei_labels.png")
    for name in ("images", "labels", "predictions"):
        (tmp_path / name).mkdir()
    for name, where in {"left": np.s_[:150, :150], "right": np.s_[200:360, 300:500]}.items():
        Image.fromarray(image[where]).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(labels[where]).save(tmp_path / "labels" / f"{name}_masks.png")
        shifted = np.roll(labels[where], 2, axis=0)
        np.save(tmp_path / "predictions" / f"{name}.npy", shifted.astype(np.int32))
    return tmp_path


def test_predictions_are_compared_image_by_image_and_overall(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("evaluate", data / "images", data / "labels", "--predictions",
                 data / "predictions", "-o", out)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == [
        "objects.csv", "quality.csv", "quality.json", "worst.png"
    ]  # fmt: skip
    table = pd.read_csv(out / "quality.csv", index_col="image")
    objects = pd.read_csv(out / "objects.csv")
    assert list(table.index) == ["left.png", "right.png", "overall"]
    assert table.loc["overall", "objects"] == len(objects)
    assert table.loc["overall", "mean_iou"] == pytest.approx(objects["iou"].mean(), abs=1e-5)
    found = (objects["iou"] > 0.5).sum()
    total = len(objects) + table.loc["overall", "predicted"] - found
    assert table.loc["overall", "ap_50"] == pytest.approx(found / total, abs=1e-5)
    report = json.loads((out / "quality.json").read_text())
    assert [one["image"] for one in report["images"]] == [
        str(data / "images" / name) for name in ("left.png", "right.png")
    ]
    assert report["overall"]["ap"] == pytest.approx(table.loc["overall", "ap"], abs=1e-5)
    for column in ("AP50", "PQ", "boundary IoU", "overall", f"{report['overall']['ap']:.3f}"):
        assert column in result.stdout
    assert read_image(out / "worst.png").shape[-1] == 3


def test_images_are_segmented_from_prompts_of_the_true_objects(
    predictor: FakePredictor, data: Path, tmp_path: Path
) -> None:
    result = run("evaluate", data / "images" / "left.png", data / "labels" / "left_masks.png",
                 "-o", tmp_path / "out", "--json", "--save-labels", "--worst", 0)  # fmt: skip
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["how"]["prompts"] == "boxes"
    assert report["how"]["model"]["name"] == "fake"
    # The stand-in fills the box of each object, which its outline touches on all sides.
    true = read_image(data / "labels" / "left_masks.png")
    labels = read_image(tmp_path / "out" / "labels" / "left.tif")
    for label_id in np.unique(true[true > 0]):
        rows, cols = np.nonzero(true == label_id)
        box = labels[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1]
        assert label_id in box
    assert 0.5 < report["overall"]["mean_iou"] < 0.9
    assert not (tmp_path / "out" / "worst.png").exists()


def test_corrections_go_where_most_is_wrong(
    predictor: FakePredictor, data: Path, tmp_path: Path
) -> None:
    image, labels = data / "images" / "left.png", data / "labels" / "left_masks.png"

    def mean_iou(prompts: str) -> float:
        result = run("evaluate", image, labels, "-o", tmp_path / prompts, "--prompts", prompts,
                     "--json")  # fmt: skip
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)["overall"]["mean_iou"]

    # The stand-in draws a disc of 5 px around each point, so that more points cover more.
    assert mean_iou("points") < mean_iou("points+2") < mean_iou("points+5")
    first, second, third = predictor.calls[-3][1], predictor.calls[-2][1], predictor.calls[-1][1]
    assert [len(one.points) for one in (first, second, third)] == [4, 5, 6]
    assert third.mask is not None


def test_everything_is_evaluated_without_a_look_at_the_labels(
    predictor: FakePredictor, data: Path, tmp_path: Path
) -> None:
    result = run("evaluate", data / "images", data / "labels", "-o", tmp_path / "out",
                 "--everything", "--set", "spacing_px=40", "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["how"]["prompts"] == "everything"
    assert report["how"]["settings"]["spacing_px"] == 40
    assert report["overall"]["predicted"] > 0


def test_an_image_that_cannot_be_compared_does_not_stop_the_others(
    data: Path, tmp_path: Path
) -> None:
    (data / "labels" / "right_masks.png").unlink()
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(data / "images" / "third.png")
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(data / "labels" / "third.png")
    result = run("evaluate", data / "images", data / "labels", "--predictions",
                 data / "predictions", "-o", tmp_path / "out")  # fmt: skip
    assert result.exit_code == 1
    assert "has no file for right.png. It would be named right.tif" in result.stderr
    assert "9 x 8 pixels and the image 9 x 9" in result.stderr
    assert "2 of 3 could not be done" in result.stderr
    assert pd.read_csv(tmp_path / "out" / "quality.csv")["image"].tolist() == [
        "left.png", "overall"
    ]  # fmt: skip


def test_outlines_serve_as_labels_too(data: Path, tmp_path: Path) -> None:
    from napari_samhq.io.results import write_labels_as

    (tmp_path / "outlines").mkdir()
    true = read_image(data / "labels" / "left_masks.png")
    write_labels_as(tmp_path / "outlines" / "left.geojson", true)
    result = run("evaluate", data / "images" / "left.png", tmp_path / "outlines", "--predictions",
                 data / "labels", "-o", tmp_path / "out", "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["overall"]["ap"] == 1


def test_what_is_there_is_kept_unless_asked(data: Path, tmp_path: Path) -> None:
    arguments = ("evaluate", data / "images", data / "labels", "--predictions",
                 data / "predictions", "-o", tmp_path / "out")  # fmt: skip
    assert run(*arguments).exit_code == 0
    refused = run(*arguments)
    assert refused.exit_code == 1
    assert "--overwrite" in refused.stderr
    assert run(*arguments, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        pytest.param("images labels --prompts lines", 2, "points+N", id="FM-54-kind"),
        pytest.param("images labels --prompts points+x", 2, "points+N", id="FM-54-corrections"),
        pytest.param("images labels --prompts boxes --everything", 2, "one of", id="FM-54-both"),
        pytest.param("images labels --everything --preset trees", 2, "nuclei", id="FM-54-preset"),
        pytest.param("images", 2, "LABELS", id="FM-54-no-labels"),
        pytest.param("images gone", 1, "There are no labels", id="FM-54-labels-gone"),
        pytest.param("images labels/left_masks.png", 1, "is one file", id="FM-54-one-for-many"),
        pytest.param("gone labels", 1, "gone", id="FM-54-images-gone"),
    ],
)
def test_wrong_wishes_are_told(
    predictor: FakePredictor, data: Path, tmp_path: Path, arguments: str, status: int, told: str
) -> None:
    words = arguments.split()
    paths = [str(data / word) if word[0] in "ilg" else word for word in words[:2]]
    result = run("evaluate", *paths, *words[2:], "-o", tmp_path / "out")
    assert result.exit_code == status, result.output
    assert told in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("text", ["boxes", "points", "boxes+1", "points+12"])
def test_prompts_are_named_as_they_are_given(text: str) -> None:
    assert str(Derived.of(text)) == text


@pytest.fixture
def tiles(tmp_path: Path) -> np.ndarray:
    """An image, four objects in it as labels and as a mask of 0 and 255."""
    labels = np.kron([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 4, 0]], np.ones((20, 20), np.uint16))
    noise = np.random.default_rng(0).integers(0, 200, labels.shape)
    Image.fromarray((noise + 40 * (labels > 0)).astype(np.uint8)).save(tmp_path / "im.png")
    Image.fromarray(np.where(labels, 255, 0).astype(np.uint8)).save(tmp_path / "mask.png")
    np.save(tmp_path / "labels.npy", labels)
    return labels


@pytest.mark.parametrize("side", ["true", "predicted"])
@pytest.mark.parametrize((), [pytest.param(id="FM-86-evaluate")])
def test_a_mask_in_place_of_labels_is_told_and_taken_apart(
    tiles: np.ndarray, tmp_path: Path, side: str
) -> None:
    files = [tmp_path / "mask.png", tmp_path / "labels.npy"]
    true, predicted = files if side == "true" else files[::-1]
    command = ["evaluate", tmp_path / "im.png", true, "--predictions", predicted, "-o",
               tmp_path / "out", "--json", "--worst", 0, "--overwrite"]  # fmt: skip
    told = run(*command)
    assert told.exit_code == 0, told.output
    assert "mask.png: its only object (255) is in 4 pieces" in told.stderr
    assert "--connected" in told.stderr
    apart = run(*command, "--connected")
    assert "Warning" not in apart.stderr
    assert json.loads(apart.stdout)["overall"]["found"] == 4


@pytest.mark.parametrize((), [pytest.param(id="FM-87-evaluate")])
def test_label_ids_of_any_size_are_compared(
    predictor: FakePredictor, tiles: np.ndarray, tmp_path: Path
) -> None:
    large = tiles.astype(np.int64) * 2**40
    np.save(tmp_path / "labels.npy", large)
    result = run("evaluate", tmp_path / "im.png", tmp_path / "labels.npy", "-o", tmp_path / "out",
                 "--json", "--worst", 2)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["overall"]["found"] == 4
    np.save(tmp_path / "labels.npy", tiles.astype(np.int32) - 1)
    refused = run("evaluate", tmp_path / "im.png", tmp_path / "labels.npy", "-o", tmp_path / "o2")
    assert refused.exit_code == 1
    assert "negative values, down to -1" in refused.stderr


@pytest.mark.parametrize((), [pytest.param(id="FM-84-evaluate")])
def test_labels_in_place_of_the_image_are_told(
    predictor: FakePredictor, tiles: np.ndarray, tmp_path: Path
) -> None:
    result = run("evaluate", tmp_path / "labels.npy", tmp_path / "labels.npy", "-o",
                 tmp_path / "out", "--worst", 0)  # fmt: skip
    assert "labels.npy looks like a label image" in result.stderr
    assert "--predictions" in result.stderr
    right = run("evaluate", tmp_path / "im.png", tmp_path / "labels.npy", "-o", tmp_path / "o2")
    assert "looks like" not in right.stderr


@pytest.mark.parametrize((), [pytest.param(id="FM-90-evaluate")])
def test_strict_refuses_what_else_is_left_out(tiles: np.ndarray, tmp_path: Path) -> None:
    def feature(ring: list) -> dict:
        geometry = {"type": "Polygon", "coordinates": [ring]}
        return {"type": "Feature", "geometry": geometry, "properties": {}}

    features = [feature([[20, 0], [40, 0], [40, 20], [20, 20], [20, 0]]), feature([])]
    path = tmp_path / "true.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    command = ["evaluate", tmp_path / "im.png", path, "--predictions", tmp_path / "labels.npy",
               "-o", tmp_path / "out", "--worst", 0, "--overwrite"]  # fmt: skip
    told = run(*command)
    assert told.exit_code == 0, told.output
    assert "1 of 2 features left out: feature 2" in told.stderr
    refused = run(*command, "--strict")
    assert refused.exit_code == 1
    assert "feature 2" in refused.stderr
