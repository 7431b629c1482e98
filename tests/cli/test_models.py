"""Models: listed, described, fetched, converted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_samhq import checkpoints
from support.commands import run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from napari_samhq.model import SamHQModel


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


def test_the_state_of_a_missing_bundled_model_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    micro = replace(checkpoints.model_info("micro"), cached=False)
    monkeypatch.setattr(checkpoints, "list_models", lambda: [micro])
    assert "missing" in run("models", "list").stdout


def test_several_models_are_downloaded_once_all_names_are_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fetched: list[str] = []

    def fetch(name: str, *, progress) -> Path:
        fetched.append(name)
        return tmp_path / name

    monkeypatch.setattr(checkpoints, "fetch", fetch)
    wrong = run("models", "download", "vit_tiny", "nano")
    assert wrong.exit_code == 1
    assert "There is no model 'nano'" in wrong.stderr
    assert fetched == []
    result = run("models", "download", "vit_tiny", "vit_b", "--json")
    assert json.loads(result.stdout) == {n: str(tmp_path / n) for n in ("vit_tiny", "vit_b")}


def test_weights_in_a_folder_are_described(tiny_network: SamHQModel, tmp_path: Path) -> None:
    tiny_network.save_pretrained(tmp_path / "tiny")
    described = json.loads(run("models", "info", tmp_path / "tiny", "--json").stdout)
    assert (described["name"], described["encoder"], described["input_size"]) == (
        "tiny",
        "conv",
        64,
    )
    assert described["parameters"] == sum(one.numel() for one in tiny_network.parameters())
    assert len(described["sha256"]) == 64
