"""Wrong usage, failures, missing packages: the right exit status and one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from commands import run
from fakes import FakePredictor

if TYPE_CHECKING:
    from napari_samhq.model import SamHQModel


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
