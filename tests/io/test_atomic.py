"""A file is there complete, or not at all; what was there before survives every failure."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from napari_samhq.errors import FileError
from napari_samhq.io.atomic import check_target, replacing


def write(path: Path, text: str, **options: bool) -> None:
    with replacing(path, **options) as temporary:
        temporary.write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_the_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert names(tmp_path) == ["labels.txt"]


def test_nothing_is_overwritten_without_being_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    write(path, "old")
    with pytest.raises(FileError, match=r"exists already.*--overwrite"):
        write(path, "new")
    assert path.read_text() == "old"
    write(path, "new", overwrite=True)
    assert path.read_text() == "new"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_failure_leaves_the_old_one_and_no_litter(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "labels"
    if kind == "file":
        path.write_text("old")
    else:
        path.mkdir()
        (path / "chunk").write_text("old")

    def write_and_fail() -> None:
        with replacing(path, overwrite=True) as temporary:
            if kind == "file":
                temporary.write_text("half")
            else:
                temporary.mkdir()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert (path if kind == "file" else path / "chunk").read_text() == "old"
    assert names(tmp_path) == ["labels"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "labels.zarr"
    path.mkdir()
    (path / "old").touch()
    with replacing(path, overwrite=True) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert names(path) == ["new"]
    assert names(tmp_path) == ["labels.zarr"]


def test_a_folder_that_cannot_be_put_in_place_gives_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "labels.zarr"
    path.mkdir()
    (path / "old").touch()
    rename = Path.rename

    def failing_rename(self: Path, target: Path) -> Path:
        if self.name == "labels.zarr" and Path(target) == path:
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing_rename)
    with (
        pytest.raises(FileError, match="No space left on device"),
        replacing(path, overwrite=True) as temporary,
    ):
        temporary.mkdir()
    assert names(path) == ["old"]


def test_a_file_never_replaces_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "labels.tif"
    path.mkdir()
    (path / "precious").touch()
    with pytest.raises(FileError, match="Cannot write"):
        write(path, "new", overwrite=True)
    assert names(path) == ["precious"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        pytest.param("missing/labels.tif", "does not exist. Create it", id="FM-32-missing-folder"),
        pytest.param("file/labels.tif", "is a file, not a folder", id="FM-32-path-is-a-file"),
        pytest.param("full/labels.tif", "no permission to write", id="FM-32-read-only-folder"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, message: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    # The tests may run as root, whom permissions do not stop: so ask in its stead.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "full")
    with pytest.raises(FileError, match=message):
        check_target(tmp_path / target)
