"""The command line: results in files, words on the right stream, the right exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from fakes import FakePredictor
from napari_samhq import checkpoints, errors
from napari_samhq.cli import app, viewer
from napari_samhq.core.images import to_rgb8
from napari_samhq.io.images import read_image

if TYPE_CHECKING:
    from napari_samhq.model import SamHQModel

SAMPLE = Path(checkpoints.__file__).parents[1] / "data"


@pytest.fixture
def predictor(monkeypatch: pytest.MonkeyPatch) -> FakePredictor:
    """Let the commands use a predictor that fills boxes and draws discs, in place of a model."""
    fake = FakePredictor()
    loaded = SimpleNamespace(info=SimpleNamespace(name="fake"), device="cpu")
    monkeypatch.setattr("napari_samhq.cli.segment.load", lambda *_: loaded)
    monkeypatch.setattr("napari_samhq.cli.demo.load", lambda *_: loaded)
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


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


# ------------------------------------------------------------------------------------- segment


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
    assert "1 objects got no pixel: 2." in run(*arguments).stdout
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
    assert read_image(tmp_path / "labels.tif").shape == (40, 60)


# -------------------------------------------------------------------------- errors and exit status


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param("segment", id="FM-54-nothing-given"),
        pytest.param("segment IMAGE", id="FM-54-no-output"),
        pytest.param("segment IMAGE -o OUT.tif", id="FM-54-no-prompts"),
        pytest.param("segment IMAGE -o OUT.tif --points P --boxes B", id="FM-54-both-prompts"),
        pytest.param("segment IMAGE -o OUT.jpg --boxes B", id="FM-54-unknown-output"),
        pytest.param("segment IMAGE -o IMAGE --boxes B", id="FM-54-output-is-input"),
        pytest.param("segment IMAGE -o OUT.tif --boxes B --plane a", id="FM-54-plane"),
        pytest.param("segment IMAGE -o OUT.tif --boxes B --precision int4", id="FM-54-choice"),
        pytest.param("segment IMAGE -o OUT.tif --boxes B --no-such-option", id="FM-54-option"),
        pytest.param("no-such-command", id="FM-54-command"),
        pytest.param("models info", id="FM-54-models-without-name"),
    ],
)
def test_wrong_usage_ends_with_status_2_and_touches_nothing(
    arguments: str, image: Path, boxes: Path, tmp_path: Path
) -> None:
    names = {"IMAGE": image, "B": boxes, "P": boxes}
    before = sorted(tmp_path.iterdir())
    words = [names.get(word, word) for word in arguments.split()]
    result = run(*(tmp_path / w if str(w).startswith("OUT") else w for w in words))
    assert result.exit_code == 2
    assert result.stderr
    assert "Traceback" not in result.output
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param("NONE.tif -o OUT.tif --boxes B", "There is no image", id="no-image"),
        pytest.param("IMAGE -o OUT.tif --boxes NONE.csv", "There is no file", id="no-prompts"),
        pytest.param("IMAGE -o NONE/OUT.tif --boxes B", "does not exist. Create", id="no-folder"),
        pytest.param("IMAGE -o OUT.tif --boxes IMAGE", "is not a CSV file", id="no-csv"),
        pytest.param("IMAGE -o OUT.tif --boxes B --model nano", "no model 'nano'", id="no-model"),
    ],
)
def test_a_failure_ends_with_status_1_and_one_line(
    arguments: str, message: str, image: Path, boxes: Path, tmp_path: Path
) -> None:
    names = {"IMAGE": image, "B": boxes}
    words = [names.get(word, word) for word in arguments.split()]
    paths = (tmp_path / w if str(w).startswith(("OUT", "NONE")) else w for w in words)
    result = run("segment", *paths)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert not (tmp_path / "OUT.tif").exists()


def test_an_error_that_nobody_foresaw_is_one_line_too_unless_debugging(
    predictor: FakePredictor, image: Path, boxes: Path, tmp_path: Path
) -> None:
    arguments = ("segment", image, "-o", tmp_path / "l.tif", "--boxes", boxes)
    predictor.error = ZeroDivisionError("division by zero")
    result = run(*arguments)
    assert result.exit_code == 1
    assert "ZeroDivisionError: division by zero. This is not an error" in result.stderr
    assert "--debug" in result.stderr
    predictor.error = ZeroDivisionError("division by zero")
    assert isinstance(run(*arguments, "--debug").exception, ZeroDivisionError)


# ----------------------------------------------------------------------------------------- demo


def test_the_demo_writes_labels_picture_and_table(predictor: FakePredictor, tmp_path: Path) -> None:
    result = run("demo", "-o", tmp_path / "new" / "folder")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "new" / "folder"
    labels = read_image(folder / "nuclei_labels.tif")
    table = pd.read_csv(folder / "nuclei_objects.csv")
    picture = read_image(folder / "nuclei_overlay.png")
    assert labels.shape == picture.shape[:2] == (520, 696)
    assert table["label"].tolist() == np.unique(labels)[1:].tolist()
    assert table["area_px"].sum() == (labels > 0).sum()
    assert {"score", "iou", "row", "col"} <= set(table.columns)
    assert "97 nuclei" in result.stdout
    # Filled boxes around ellipses: the IoU that is printed is the one that follows from the files.
    expected = read_image(SAMPLE / "nuclei_labels.png")
    ious = [((labels == i) & (expected == i)).sum() / ((labels == i) | (expected == i)).sum()
            for i in range(1, 98)]  # fmt: skip
    assert f"{np.mean(ious):.3f} mean IoU" in result.stdout


def test_the_demo_keeps_what_is_there_unless_asked(
    predictor: FakePredictor, tmp_path: Path
) -> None:
    assert run("demo", "-o", tmp_path).exit_code == 0
    assert run("demo", "-o", tmp_path).exit_code == 1
    assert run("demo", "-o", tmp_path, "--overwrite").exit_code == 0


def test_the_demo_shows_a_viewer_only_where_there_is_a_display(
    predictor: FakePredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = []

    def record(command: list[str], check: bool) -> SimpleNamespace:
        commands.append(command)
        return SimpleNamespace(returncode=134)

    monkeypatch.setattr(subprocess, "run", record)
    assert run("demo", "-o", tmp_path).exit_code == 0
    assert not commands
    monkeypatch.setattr(viewer, "has_display", lambda: True)
    assert run("demo", "-o", tmp_path, "--overwrite", "--no-view").exit_code == 0
    assert not commands
    # A display that does not answer makes Qt abort; the results are not lost by it.
    result = run("demo", "-o", tmp_path, "--overwrite")
    assert result.exit_code == 0
    assert "the viewer did not run" in result.stderr
    assert commands[0][1:3] == ["-m", "napari_samhq.cli.viewer"]


def test_asking_for_a_viewer_without_napari_names_the_extra(
    predictor: FakePredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run("demo", "-o", tmp_path).exit_code == 0
    result = run("demo", "-o", tmp_path, "--overwrite", "--view")
    assert result.exit_code == 1
    assert "pip install 'napari-samhq[all]'" in result.stderr


@pytest.mark.gui
def test_the_viewer_of_the_demo_shows_image_labels_and_dock(make_napari_viewer_proxy, monkeypatch):
    import napari

    window = make_napari_viewer_proxy()
    monkeypatch.setattr(napari, "Viewer", lambda **_: window)
    monkeypatch.setattr(napari, "run", lambda: None)
    viewer.show(SAMPLE, SAMPLE / "nuclei_labels.png")
    assert [layer.name for layer in window.layers][:3] == ["nuclei", "nuclei labels", "boxes"]
    assert len(window.layers["boxes"].data) == 97
    assert any("SAM-HQ" in name for name in window.window.dock_widgets)


def test_the_demo_with_the_bundled_model_finds_the_nuclei(tmp_path: Path) -> None:
    result = run("demo", "-o", tmp_path, "--no-view", "--device", "cpu")
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "nuclei_objects.csv")
    assert len(table) >= 95
    # The bundled weights gave 0.757 when they were made; less means that something broke.
    assert table["iou"].mean() > 0.74


# ------------------------------------------------------------------------------ models and convert


def test_models_are_listed_with_their_state() -> None:
    result = run("models", "list")
    assert result.exit_code == 0
    names = [line.split()[0] for line in result.stdout.splitlines()]
    assert names == ["NAME", *(info.name for info in checkpoints.list_models())]
    listed = json.loads(run("models", "list", "--json").stdout)
    assert [info["name"] for info in listed] == names[1:]


def test_a_model_is_described() -> None:
    assert "lkeab/hq-sam" in run("models", "info", "vit_b").stdout
    assert json.loads(run("models", "info", "vit_b", "--json").stdout)["input_size"] == 1024
    unknown = run("models", "info", "nano")
    assert unknown.exit_code == 1
    assert "There is no model 'nano'" in unknown.stderr


def test_a_download_shows_progress_on_stderr_and_the_path_on_stdout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fetch(name: str, *, progress) -> Path:
        progress(10, 100)
        progress(100, 100)
        return tmp_path / name

    monkeypatch.setattr(checkpoints, "fetch", fetch)
    result = run("models", "download", "vit_tiny")
    assert result.stdout == f"{tmp_path / 'vit_tiny'}\n"
    assert "Fetching vit_tiny" in result.stderr
    assert "100%" in result.stderr


def test_convert_keeps_an_existing_model_unless_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = []
    monkeypatch.setattr(checkpoints, "convert", lambda *a: calls.append(a) or a[1])
    output = tmp_path / "model"
    assert run("convert", "a.pth", "-o", output).stdout == f"{output}\n"
    output.mkdir()
    (output / "config.json").touch()
    refused = run("convert", "a.pth", "-o", output)
    assert refused.exit_code == 1
    assert "config.json already" in refused.stderr
    assert run("convert", "a.pth", "-o", output, "--overwrite").exit_code == 0
    assert calls == [("a.pth", output)] * 2


def test_convert_of_something_else_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    result = run("convert", tmp_path / "page.pth", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------------------------ the process


@pytest.mark.parametrize(
    "arguments", ["--help", "segment --help", "demo --help", "models list", "convert --help"]
)
def test_help_and_lists_need_no_torch(arguments: str) -> None:
    code = (
        "import sys; from napari_samhq.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'napari', 'qtpy', 'skimage', 'scipy', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments.split()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize((), [pytest.param(id="FM-55")])
def test_the_command_line_works_without_napari_and_qt(
    tiny_network: SamHQModel, image: Path, boxes: Path, tmp_path: Path
) -> None:
    tiny_network.save_pretrained(tmp_path / "tiny")
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['napari', 'qtpy', 'PyQt6', 'PySide6', 'superqt']))\n"
        "from napari_samhq.cli import main; main()"
    )
    words = ["segment", image, "-o", tmp_path / "l.tif", "--boxes", boxes, "--model", "tiny"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "l.tif").is_file()


def test_the_installed_script_answers() -> None:
    script = Path(sys.executable).with_name("napari-samhq")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("napari-samhq ")


def test_the_state_of_a_missing_bundled_model_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    micro = replace(checkpoints.model_info("micro"), cached=False)
    monkeypatch.setattr(checkpoints, "list_models", lambda: [micro])
    assert "missing" in run("models", "list").stdout


# ------------------------------------------------------------------------------------- everything


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
    again = run(*arguments)
    if suffix in (".zarr", ".tif"):  # done already: the same command has nothing to do
        assert again.exit_code == 0
        assert f"{labels.max()} objects" in again.stdout
    else:
        assert again.exit_code == 1
        assert "exists" in again.stderr


@pytest.mark.parametrize((), [pytest.param(id="FM-54")])
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["--preset", "trees"], "nuclei"),
        (["--set", "size=3"], "spacing_px"),
        (["--set", "min_score=high"], "float"),
        (["--set", "min_score=7"], "at most 1"),
        (["--tile", "3"], "at least 16"),
        (["--points", "points.csv"], "two of them"),
    ],
)
def test_wrong_wishes_for_everything_are_wrong_usage(image, tmp_path, predictor, wrong, told):
    result = run("segment", image, "-o", tmp_path / "labels.tif", "--everything", *wrong)
    assert result.exit_code == 2
    assert told in result.stderr
    assert not predictor.calls


# -------------------------------------------------------------------------------------- replay


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A session on a stack of two planes beside it, with an object in the second."""
    from napari.components import ViewerModel

    from napari_samhq.session.engine import Engine, ModelSource
    from napari_samhq.session.session import Session

    fake = FakePredictor(name="micro")
    loaded = SimpleNamespace(info=SimpleNamespace(name="micro"), device="cpu")
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
