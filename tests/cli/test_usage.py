"""Wrong usage, failures, missing packages: the right exit status and one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_samhq.io.images import read_image
from support.commands import run, run_process

if TYPE_CHECKING:
    from napari_samhq.model import SamHQModel
    from support.fakes import FakePredictor

# ------------------------------------------------------------------------------ usage and failures


def arguments_of(text: str, image: Path, boxes: Path, folder: Path) -> list[str]:
    """Put paths where a line of arguments has words in capitals."""
    names = {"IMAGE": image, "B": boxes, "P": boxes}
    words = (names.get(word, word) for word in text.split())
    return [
        str(folder / word) if str(word).startswith(("OUT", "NONE")) else str(word) for word in words
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param("segment", "Missing argument", id="FM-54-nothing-given"),
        pytest.param("segment IMAGE", "Missing option", id="FM-54-no-output"),
        pytest.param("segment IMAGE -o OUT.tif", "given are none", id="FM-54-no-prompts"),
        pytest.param("segment IMAGE -o OUT.tif --points P --boxes B",
                     "--points and --boxes", id="FM-54-both-prompts"),
        pytest.param("segment IMAGE -o OUT.jpg --boxes B", "one of .tif", id="FM-54-output"),
        pytest.param("segment IMAGE -o IMAGE --boxes B", "image itself", id="FM-54-onto-itself"),
        pytest.param("segment IMAGE -o OUT.tif --boxes B --plane a", "0,12", id="FM-54-plane"),
        pytest.param("segment IMAGE -o OUT.tif --boxes B --precision int4",
                     "float32", id="FM-54-choice"),
        pytest.param("segment IMAGE -o OUT.tif --boxes B --wrong", "--wrong", id="FM-54-option"),
        pytest.param("segment IMAGE -o OUT.samhq.json --boxes B", "session", id="FM-54-session"),
        pytest.param("segment IMAGE -o OUT.tif.run.json --boxes B", "records", id="FM-54-record"),
        pytest.param("no-such-command", "no-such-command", id="FM-54-command"),
        pytest.param("models info", "Missing argument", id="FM-54-models-without-name"),
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_status_2_and_touches_nothing(
    arguments: str, told: str, image: Path, boxes: Path, tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    done = run_process(*arguments_of(arguments, image, boxes, tmp_path))
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stdout + done.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param("NONE.tif -o OUT.tif --boxes B", "There is no image", id="no-image"),
        pytest.param("IMAGE -o OUT.tif --boxes NONE.csv", "There is no file", id="no-prompts"),
        pytest.param("IMAGE -o NONE/OUT.tif --boxes B", "does not exist. Create", id="no-folder"),
        pytest.param("IMAGE -o OUT.tif --boxes IMAGE", "is not a CSV file", id="no-csv"),
        pytest.param("IMAGE -o OUT.tif --prompts IMAGE", "no file of prompts", id="no-file-of-any"),
        pytest.param("IMAGE -o OUT.tif --boxes B --model nano", "no model 'nano'", id="no-model"),
    ],
)
def test_a_failure_ends_with_status_1_and_one_line(
    arguments: str, message: str, image: Path, boxes: Path, tmp_path: Path
) -> None:
    done = run_process("segment", *arguments_of(arguments, image, boxes, tmp_path))
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
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


# -------------------------------------------------------------------------------------------- paths


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("Zellen 2 \u00b5m, \u7d30\u80de \U0001f52c", id="FM-54-unicode"),
        pytest.param(" with  blanks [1]", id="FM-54-blanks-and-brackets"),
        pytest.param("x" * 200, id="FM-54-long-name"),
        pytest.param("/".join(["folder of fifty characters, which is long as names" for _ in "1234"]
                              + ["x"]), id="FM-54-long-path"),
        pytest.param("-o", id="FM-54-like-an-option"),
    ],
)  # fmt: skip
def test_names_of_all_kinds_work(
    predictor: FakePredictor, name: str, boxes: Path, tmp_path: Path
) -> None:
    image = tmp_path / "in" / f"{name}.npy"
    image.parent.mkdir(parents=True)
    np.save(image, np.eye(40))
    for output in (tmp_path / "out" / f"{name}.tif", tmp_path / "out" / f"{name}.zarr"):
        output.parent.mkdir(parents=True, exist_ok=True)
        result = run("segment", "--boxes", boxes, f"--output={output}", "--", image)
        assert result.exit_code == 0, result.output
        assert read_image(output).max() == 2
    result = run("segment", "--everything", f"--output={tmp_path / 'all'}", "--", image.parent)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "all" / Path(name).with_suffix(".tif").name).is_file()


@pytest.mark.parametrize(
    "name", ["CON.tif", "aux.labels.tif", "com1.zarr", "LPT9.npy", "nul.json", "two\nlines.tif"]
)
@pytest.mark.parametrize((), [pytest.param(id="FM-54-reserved")])
def test_names_that_windows_keeps_are_wrong_usage(
    predictor: FakePredictor, name: str, image: Path, boxes: Path, tmp_path: Path
) -> None:
    result = run("segment", image, "-o", tmp_path / name, "--boxes", boxes)
    assert result.exit_code == 2
    assert "Choose another name" in " ".join(result.stderr.split())
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize((), [pytest.param(id="FM-54-too-long")])
def test_a_name_too_long_for_the_system_is_told_before_work(
    predictor: FakePredictor, image: Path, boxes: Path, tmp_path: Path
) -> None:
    for name in ("x" * 300 + ".tif", "x" * 245 + ".tif"):  # the second has no room for its record
        result = run("segment", image, "-o", tmp_path / name, "--boxes", boxes)
        assert result.exit_code == 1
        assert "name too long" in result.stderr.lower()
        assert result.stderr.count("\n") == 1
    assert not predictor.calls
    assert sorted(tmp_path.iterdir()) == sorted([image, boxes])


@pytest.mark.skipif(os.name == "nt", reason="names are text there, always")
@pytest.mark.parametrize((), [pytest.param(id="FM-54-not-text")])
def test_a_name_that_is_no_text_is_told_in_one_line_on_a_plain_terminal(tmp_path: Path) -> None:
    plain = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    name = os.fsdecode(b"caf\xe9 \xc2\xb5.tif")
    done = run_process("segment", name, "-o", "o.tif", "--everything", env=plain, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("Error: There is no image")
    assert done.stderr.count("\n") == 1


# ------------------------------------------------------------------------- what need not be there


def test_help_of_every_command_needs_no_torch_and_no_time() -> None:
    code = """
import sys
import time
from typer.main import get_command
from typer.testing import CliRunner
from napari_samhq.cli import app

def commands(group, words):
    for name, command in getattr(group, "commands", {}).items():
        yield [*words, name]
        yield from commands(command, [*words, name])

found = [[], *commands(get_command(app), [])]
for words in found:
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0, words
    assert "Usage:" in result.stdout, words
assert CliRunner().invoke(app, ["models", "list"]).exit_code == 0
heavy = {"torch", "napari", "qtpy", "skimage", "scipy", "pandas", "zarr", "dask"} & set(sys.modules)
assert not heavy, heavy
words = " ".join("-".join(words) for words in found)
sys.stdout.write(f"{words} {time.process_time()}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *found, seconds = done.stdout.split()
    assert {"segment", "evaluate", "replay", "embed", "demo", "convert", "models-info"} <= set(
        found
    )
    # All of them together, in time of the processor, which others at work beside do not change.
    assert float(seconds) < 2


_NO_WINDOWS = ("napari", "qtpy", "PyQt6", "PySide6", "superqt", "vispy", "magicgui")


@pytest.mark.parametrize((), [pytest.param(id="FM-55-no-napari-no-qt-no-dask")])
def test_the_command_line_works_without_napari_qt_and_dask(
    tiny_network: SamHQModel, image: Path, boxes: Path, tmp_path: Path
) -> None:
    tiny_network.save_pretrained(tmp_path / "tiny")
    done = run_process(
        "segment", image, "-o", tmp_path / "l.tif", "--boxes", boxes, "--model", "tiny",
        without=(*_NO_WINDOWS, "dask", "distributed"), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "l.tif").is_file()


@pytest.mark.parametrize(
    ("arguments", "without", "told"),
    [
        pytest.param("segment IMAGE -o OUT.zarr --everything --scheduler tcp://here:1",
                     ("dask", "distributed"), "'napari-samhq[distributed]'", id="FM-55-no-dask"),
        pytest.param("demo -o OUT --view",
                     _NO_WINDOWS, "'napari-samhq[all]'", id="FM-55-no-napari"),
    ],
)  # fmt: skip
def test_what_is_missing_is_told_with_the_extra_that_brings_it(
    arguments: str, without: tuple[str, ...], told: str, image: Path, boxes: Path, tmp_path: Path
) -> None:
    done = run_process(*arguments_of(arguments, image, boxes, tmp_path), without=without)
    assert done.returncode == 1
    assert f"pip install {told}" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "OUT.zarr").exists()


@pytest.mark.parametrize((), [pytest.param(id="FM-55-import")])
def test_a_package_missed_in_the_middle_of_work_is_told_with_its_extra(
    predictor: FakePredictor, image: Path, boxes: Path, tmp_path: Path
) -> None:
    predictor.error = ModuleNotFoundError("No module named 'napari.layers'", name="napari.layers")
    result = run("segment", image, "-o", tmp_path / "l.tif", "--boxes", boxes)
    assert result.exit_code == 1
    assert result.stderr.endswith("Run: pip install 'napari-samhq[all]'\n")


def test_the_installed_script_answers() -> None:
    script = Path(sys.executable).with_name("napari-samhq")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("napari-samhq ")
