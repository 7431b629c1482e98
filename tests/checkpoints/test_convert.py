from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from napari_samhq.checkpoints import convert, load_model
from napari_samhq.errors import CheckpointError, FileError
from napari_samhq.model import SamHQModel, SamHQProcessor
from napari_samhq.model.serialization import read_tensors

from .models import small_tensors

NAMES = ["config.json", "model.safetensors", "preprocessor_config.json"]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "sam.pth"
    torch.save(small_tensors("vit", original=True), path)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("encoder", ["vit", "tiny_vit"])
def test_the_folder_holds_the_model_in_the_published_layout(tmp_path, encoder):
    source = tmp_path / "sam.pth"
    torch.save(small_tensors(encoder, original=True), source)
    out = convert(source, tmp_path / "out")
    assert sorted(contents(out)) == NAMES
    written, expected = read_tensors(out / "model.safetensors"), small_tensors(encoder)
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[name], expected[name]) for name in expected)
    first = load_model(source, "cpu").network
    again = SamHQModel.from_pretrained(out)
    assert again.config == first.config
    pixels = torch.rand(1, 3, 128, 128)
    with torch.inference_mode():
        assert torch.equal(first.encode_image(pixels)[0], again.encode_image(pixels)[0])
    side = first.config.vision_config.image_size
    assert SamHQProcessor.from_pretrained(out).image_processor.longest == side


def test_converting_a_conversion_changes_nothing(source, tmp_path):
    first = convert(source, tmp_path / "first")
    again = convert(first, tmp_path / "again")
    assert contents(first) == contents(again)


def test_other_files_in_the_folder_stay_and_old_ones_are_replaced(source, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "README.md").write_text("mine")
    (out / "config.json").write_text("old")
    convert(source, out)
    assert sorted(contents(out)) == sorted([*NAMES, "README.md"])
    assert (out / "README.md").read_text() == "mine"
    assert json.loads((out / "config.json").read_text())["model_type"] == "sam_hq"


@pytest.mark.parametrize("failing", NAMES)
def test_a_failure_leaves_the_old_folder_as_it_was(source, tmp_path, monkeypatch, failing):
    out = convert(source, tmp_path / "out")
    (out / "preprocessor_config.json").unlink()
    before = contents(out)
    replace = Path.replace

    def stumble(self, target):
        if Path(target) == out / failing and self.parent.name != "replaced":
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stumble)
    with pytest.raises(FileError, match="unchanged"):
        convert(source, out)
    assert contents(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "sam.pth"]


@pytest.mark.parametrize("bad", [pytest.param(b"", id="FM-33-empty-source")])
def test_a_bad_source_makes_no_folder(tmp_path, bad):
    source = tmp_path / "sam.pth"
    source.write_bytes(bad)
    with pytest.raises(CheckpointError):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [pytest.param("sam.pth", id="FM-32-output-is-a-file")])
def test_a_file_in_place_of_the_folder_is_an_error(source, tmp_path, name):
    before = source.read_bytes()
    with pytest.raises(FileError, match="is a file"):
        convert(source, tmp_path / name)
    assert source.read_bytes() == before


@pytest.mark.parametrize("out", [pytest.param("sam.pth/out", id="FM-32-output-below-a-file")])
def test_a_place_that_cannot_be_written_is_an_error(source, tmp_path, out):
    with pytest.raises(FileError, match="Could not write"):
        convert(source, tmp_path / out)
