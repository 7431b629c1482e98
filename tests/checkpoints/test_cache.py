from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import pytest

from napari_samhq.checkpoints import cache, fetch, model_info
from napari_samhq.errors import CheckpointError, FileError, SamHQWarning

from .conftest import CONTENT

as_root = pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere"
)


def read_only(folder: Path) -> Path:
    folder.mkdir()
    folder.chmod(0o500)
    return folder / "cache"


def below_a_file(folder: Path) -> Path:
    folder.write_text("a file")
    return folder / "cache"


def a_file(folder: Path) -> Path:
    folder.write_text("a file")
    return folder


def kernel(_folder: Path) -> Path:
    return Path("/proc/napari-samhq")


UNUSABLE = [
    pytest.param(
        kernel,
        marks=pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here"),
        id="FM-32-nobody-may-write",
    ),
    pytest.param(read_only, marks=as_root, id="FM-32-read-only"),
    pytest.param(below_a_file, id="FM-32-below-a-file"),
    pytest.param(a_file, id="FM-32-is-a-file"),
]


@pytest.mark.parametrize("make", UNUSABLE)
def test_a_chosen_folder_that_cannot_be_used_is_an_error(hub, monkeypatch, tmp_path, make):
    folder = make(tmp_path / "place")
    monkeypatch.setenv(cache.VARIABLE, str(folder))
    with pytest.raises(FileError, match=cache.VARIABLE) as caught:
        fetch("vit_tiny")
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("make", UNUSABLE)
def test_an_argument_that_cannot_be_used_is_an_error(hub, tmp_path, make):
    folder = make(tmp_path / "place")
    with pytest.raises(FileError, match="cache_dir"):
        fetch("vit_tiny", cache_dir=folder)


@pytest.mark.parametrize("depth", [pytest.param("a/b/c", id="FM-32-missing-dir")])
def test_a_missing_folder_is_made(hub, tmp_path, depth):
    path = fetch("vit_tiny", cache_dir=tmp_path / depth)
    assert path.is_relative_to(tmp_path / depth)


@pytest.mark.parametrize("make", UNUSABLE)
def test_without_a_usable_home_a_private_temporary_folder_takes_over(
    hub, monkeypatch, tmp_path, make
):
    home = make(tmp_path / "place")
    spare(monkeypatch, tmp_path, home)
    with pytest.warns(SamHQWarning, match="takes its place"):
        path = fetch("vit_tiny")
    assert path.is_relative_to(tmp_path / "tmp")
    assert path.read_bytes() == CONTENT
    assert cache._spare_path().stat().st_mode & 0o077 == 0
    assert model_info("vit_tiny").cached
    assert fetch("vit_tiny") == path  # found there without a further word


def spare(monkeypatch, tmp_path, user_cache):
    (tmp_path / "tmp").mkdir()
    monkeypatch.delenv(cache.VARIABLE)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(user_cache))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


@pytest.mark.parametrize("user_cache", [pytest.param("~/.cache/x", id="FM-32-no-home")])
def test_no_home_makes_no_folder_called_tilde(hub, monkeypatch, tmp_path, user_cache):
    spare(monkeypatch, tmp_path, user_cache)
    monkeypatch.chdir(tmp_path)
    with pytest.warns(SamHQWarning, match="not an absolute path"):
        fetch("vit_tiny")
    assert not (tmp_path / "~").exists()


def test_a_temporary_folder_that_others_can_write_to_is_not_used(hub, monkeypatch, tmp_path):
    spare(monkeypatch, tmp_path, "relative")
    cache._spare_path().mkdir()
    cache._spare_path().chmod(0o777)
    with pytest.raises(FileError, match="somebody else"):
        fetch("vit_tiny")
    assert cache.find_weights(model_info("vit_tiny")) is None


def test_a_symbolic_link_in_place_of_the_temporary_folder_is_not_used(hub, monkeypatch, tmp_path):
    spare(monkeypatch, tmp_path, "relative")
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    cache._spare_path().symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileError, match="somebody else"):
        fetch("vit_tiny")


@as_root
def test_a_read_only_folder_shared_by_many_serves_its_files(hub):
    path = fetch("vit_tiny")
    path.parent.chmod(0o500)
    try:
        assert fetch("vit_tiny") == path
    finally:
        path.parent.chmod(0o700)


def test_a_record_that_cannot_be_written_is_a_warning_only(hub, monkeypatch):
    path = cache.weights_path(model_info("vit_b"))
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT[:-1])

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cache, "record_checksum", refuse)
    with pytest.warns(SamHQWarning, match="could not be recorded"):
        assert fetch("vit_b") == path


def test_the_record_is_what_sha256sum_writes(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(b"abc")
    digest = hashlib.sha256(b"abc").hexdigest()
    cache.record_checksum(path, digest)
    assert (tmp_path / "x.pth.sha256").read_text() == f"{digest}  x.pth\n"
    assert cache.recorded_checksum(path) == cache.verified_checksum(path) == digest


def test_a_file_that_differs_from_its_record_is_an_error_and_stays(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(b"abc")
    cache.record_checksum(path, "0" * 64)
    with pytest.raises(CheckpointError, match="damaged or was replaced"):
        cache.verified_checksum(path)
    assert path.read_bytes() == b"abc"


def test_an_unreadable_record_is_an_error(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(b"abc")
    (tmp_path / "x.pth.sha256").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match="checksum file"):
        cache.verified_checksum(path)
