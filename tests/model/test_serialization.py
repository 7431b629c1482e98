from __future__ import annotations

import os
import pickle
import re
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

import napari_samhq
from napari_samhq.errors import CheckpointError, FileError
from napari_samhq.model.serialization import (
    check_finite,
    load_strict,
    read_tensors,
    without_random_weights,
    write_tensors,
)

TENSORS = {
    "layer.weight": torch.arange(6.0).reshape(2, 3),
    "layer.bias": torch.tensor([0.5, -0.5], dtype=torch.float16),
    "count": torch.tensor(3),
}


def equal(first, second):
    return first.keys() == second.keys() and all(
        first[name].dtype == second[name].dtype and torch.equal(first[name], second[name])
        for name in first
    )


@pytest.fixture
def files(tmp_path):
    """Write the same tensors in every form that is read."""
    paths = {
        "safetensors": tmp_path / "model.safetensors",
        "zip": tmp_path / "model.pth",
        "legacy": tmp_path / "old.pth",
        "wrapped": tmp_path / "wrapped.pt",
        "parallel": tmp_path / "parallel.pth",
    }
    write_tensors(paths["safetensors"], TENSORS)
    torch.save(TENSORS, paths["zip"])
    torch.save(TENSORS, paths["legacy"], _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "model": TENSORS}, paths["wrapped"])
    torch.save({f"module.{name}": value for name, value in TENSORS.items()}, paths["parallel"])
    return paths


@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy", "wrapped", "parallel"])
def test_every_form_gives_identical_tensors(files, form):
    assert equal(read_tensors(files[form]), TENSORS)


def test_the_content_decides_and_not_the_name(files, tmp_path):
    for form in ("safetensors", "zip"):
        renamed = tmp_path / f"{form}.bin"
        renamed.write_bytes(files[form].read_bytes())
        assert equal(read_tensors(renamed), TENSORS)


# Damaged files --------------------------------------------------------------------------------


def truncated(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def empty(data: bytes) -> bytes:
    return b""


def web_page(data: bytes) -> bytes:
    return b"\n<!DOCTYPE html><html><body>Sign in</body></html>"


def pointer(data: bytes) -> bytes:
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"


def huge_header(data: bytes) -> bytes:
    return (1 << 62).to_bytes(8, "little") + data[8:]


def noise(data: bytes) -> bytes:
    return bytes(reversed(range(256))) * 8


@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(truncated, id="FM-33-truncated"),
        pytest.param(empty, id="FM-33-empty"),
        pytest.param(web_page, id="FM-33-html"),
        pytest.param(pointer, id="FM-33-lfs-pointer"),
        pytest.param(huge_header, id="FM-33-huge-header"),
        pytest.param(noise, id="FM-33-noise"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(files, form, damage):
    path = files[form]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        read_tensors(path)


@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
def test_any_flipped_byte_is_an_error_or_another_number_but_never_a_crash(files, form, tmp_path):
    data = files[form].read_bytes()
    path = tmp_path / "flipped"
    for place in range(0, len(data), max(len(data) // 150, 1)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x24]) + data[place + 1 :])
        try:
            read_tensors(path)
        except CheckpointError:
            continue


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: None, id="FM-32-missing"),
        pytest.param(lambda path: path.mkdir(), id="FM-32-folder"),
    ],
)
def test_a_path_that_cannot_be_read_is_a_file_error(tmp_path, make):
    path = tmp_path / "model.pth"
    make(path)
    with pytest.raises(FileError, match=re.escape(str(path))):
        read_tensors(path)


# Malicious files ------------------------------------------------------------------------------


class Canary:
    """Unpickling this would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (os.fspath(self.path), "w"))


class Command:
    """Unpickling this would run a command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


def plain_pickle(path, evil):
    path.write_bytes(pickle.dumps(evil, protocol=2))


def pickle_protocol_0(path, evil):
    path.write_bytes(pickle.dumps(evil, protocol=0))


def pickle_protocol_5(path, evil):
    path.write_bytes(pickle.dumps({"w": evil}, protocol=5))


def torch_zip(path, evil):
    torch.save({"weight": torch.ones(2), "extra": evil}, path)


def torch_legacy(path, evil):
    torch.save({"weight": torch.ones(2), "x": evil}, path, _use_new_zipfile_serialization=False)


def wrapped(path, evil):
    torch.save({"state_dict": {"weight": torch.ones(2)}, "optimizer": evil}, path)


@pytest.mark.parametrize("weapon", [Canary, Command])
@pytest.mark.parametrize(
    "write",
    [
        pytest.param(plain_pickle, id="FM-34-pickle"),
        pytest.param(pickle_protocol_0, id="FM-34-pickle-protocol-0"),
        pytest.param(pickle_protocol_5, id="FM-34-pickle-protocol-5"),
        pytest.param(torch_zip, id="FM-34-torch-zip"),
        pytest.param(torch_legacy, id="FM-34-torch-legacy"),
        pytest.param(wrapped, id="FM-34-beside-the-tensors"),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_malicious_file_is_never_executed(tmp_path, write, weapon, suffix):
    canary, path = tmp_path / "canary", tmp_path / f"model{suffix}"
    write(path, weapon(canary))
    with pytest.raises(CheckpointError, match="safetensors|weights file"):
        read_tensors(path)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("entry", "compression"),
    [
        pytest.param("archive/code/__torch__.py", zipfile.ZIP_STORED, id="FM-34-code"),
        pytest.param("archive/constants.pkl", zipfile.ZIP_STORED, id="FM-34-torchscript"),
        pytest.param("../../evil.py", zipfile.ZIP_STORED, id="FM-34-path-outside"),
        pytest.param("archive/data/99", zipfile.ZIP_DEFLATED, id="FM-34-compressed"),
    ],
)
def test_an_archive_with_anything_else_in_it_is_refused(files, entry, compression):
    with zipfile.ZipFile(files["zip"], "a") as archive:
        archive.writestr(entry, b"0" * 100_000, compress_type=compression)
    with pytest.raises(CheckpointError, match="archive"):
        read_tensors(files["zip"])


@pytest.mark.parametrize("word", [pytest.param("weights_only=False", id="FM-34-grep")])
def test_the_source_never_unpickles_freely(word):
    folder = Path(napari_samhq.__file__).parent
    sources = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*.py")}
    assert len(sources) > 10
    loads = re.compile(r"torch\.load\((?!.*weights_only=True)")
    unpickles = re.compile(r"pickle\.(load|loads|Unpickler)\b")
    # Cellpose's files are pickles: its reader refuses every name but those of arrays.
    cellpose = folder / "io" / "cellpose.py"
    assert unpickles.findall(sources[cellpose]) == ["Unpickler"]
    assert "def find_class(" in sources[cellpose]
    for path, text in sources.items():
        assert word not in text.replace(" ", ""), path
        assert "strict=False)" not in text.replace(" ", "") or "load_state_dict" not in text, path
        assert not loads.search(text), path
        assert path == cellpose or not unpickles.search(text), path


@pytest.mark.parametrize("version", [pytest.param("2.9.1+cpu", id="FM-34-old-torch")])
def test_an_old_torch_reads_safetensors_only(files, monkeypatch, version):
    monkeypatch.setattr(torch, "__version__", version)
    with pytest.raises(CheckpointError, match=r"torch 2\.9\.1.*CVE"):
        read_tensors(files["zip"])
    assert equal(read_tensors(files["safetensors"]), TENSORS)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param([torch.ones(2)], id="FM-35-a-list"),
        pytest.param({"a": torch.ones(2), "epoch": 3}, id="FM-35-a-number"),
        pytest.param({3: torch.ones(2)}, id="FM-35-a-key-that-is-no-name"),
        pytest.param({"a": torch.ones(2).to_sparse()}, id="FM-35-sparse"),
        pytest.param({"a": torch.ones(2, dtype=torch.complex64)}, id="FM-35-complex"),
        pytest.param({}, id="FM-35-nothing"),
    ],
)
def test_anything_but_tensors_by_name_is_refused(tmp_path, content):
    path = tmp_path / "model.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        read_tensors(path)


# Strict loading ------------------------------------------------------------------------------


class Tied(nn.Module):
    """Two parts that share a parameter and a buffer, and a buffer of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm1d(2)
        self.again = self.first
        self.layer = nn.Linear(2, 3)


def tied_tensors():
    module = Tied()
    return {
        name: torch.full_like(tensor, index + 1)
        for index, (name, tensor) in enumerate(module.state_dict().items())
        if not name.startswith("again")
    }


@pytest.mark.parametrize("meta", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_all_values_arrive_in_the_number_format_of_the_module(meta, dtype):
    tensors = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in tied_tensors().items()
    }
    with torch.device("meta" if meta else "cpu"):
        module = Tied()
    load_strict(module, tensors, "test")
    state = module.state_dict()
    for name, tensor in tensors.items():
        assert state[name].dtype == (torch.float32 if tensor.is_floating_point() else torch.int64)
        assert torch.equal(state[name], tensor.to(state[name].dtype))
    assert module.again.weight is module.first.weight
    assert isinstance(module.layer.weight, nn.Parameter)
    assert module.layer.weight.requires_grad


def test_memory_of_a_file_is_copied(tmp_path):
    path = tmp_path / "layer.safetensors"
    write_tensors(path, {"weight": torch.ones(2, 2), "bias": torch.ones(2)})
    with torch.device("meta"), without_random_weights():
        layer = nn.Linear(2, 2)
    load_strict(layer, read_tensors(path), "test")
    path.write_bytes(b"\xff" * path.stat().st_size)
    assert torch.equal(layer.weight, torch.ones(2, 2))


@pytest.mark.parametrize("meta", [True, False])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"layer.bias": None}, r"1 missing \(layer\.bias\)", id="FM-35-missing"),
        pytest.param({"extra": torch.ones(1)}, r"1 unexpected \(extra\)", id="FM-35-unexpected"),
        pytest.param(
            {"layer.weight": torch.ones(3, 4)},
            r"misshapen \(layer\.weight: \(3, 4\) instead of \(3, 2\)\)",
            id="FM-35-misshapen",
        ),
        pytest.param(
            {"layer.bias": torch.ones(3, dtype=torch.int64)},
            "layer.bias: torch.int64 instead of torch.float32",
            id="FM-35-integers",
        ),
        pytest.param(
            {"layer.bias": torch.tensor([1.0, float("nan"), 1.0])},
            "NaN or infinite values in layer.bias",
            id="FM-35-nan",
        ),
        pytest.param(
            {"first.running_var": torch.tensor([1.0, float("inf")], dtype=torch.float16)},
            "NaN or infinite values in first.running_var",
            id="FM-35-inf",
        ),
        pytest.param(
            {"again.weight": torch.full((2,), 9.0)},
            "first.weight and again.weight are one tensor",
            id="FM-35-two-copies-differ",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_the_module_stays_as_it_was(change, words, meta):
    tensors = {**tied_tensors(), **change}
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    with torch.device("meta" if meta else "cpu"):
        module = Tied()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(CheckpointError, match=f"^the file.*{words}"):
        load_strict(module, tensors, "the file")
    after = module.state_dict()
    if not meta:
        assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("count", [pytest.param(50, id="FM-35-many-names")])
def test_many_names_are_counted_and_the_first_ones_shown(count):
    tensors = {f"extra.{index}": torch.ones(1) for index in range(count)}
    with pytest.raises(CheckpointError) as caught:
        load_strict(nn.Linear(2, 2), tensors, "file")
    assert f"{count} unexpected (extra.0, extra.1, extra.2 and {count - 3} more)" in str(
        caught.value
    )
    assert len(str(caught.value)) < 400


def test_finite_values_pass():
    check_finite({"a": torch.tensor([3e38, -3e38]), "n": torch.tensor(1), "e": torch.ones(0)}, "x")


# Writing -------------------------------------------------------------------------------------


def test_shared_and_strided_memory_is_written_out_whole(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {"base": base, "again": base, "turned": base.T, "part": base[1:], "half": base[::2]}
    path = tmp_path / "x.safetensors"
    write_tensors(path, tensors, metadata={"title": "test"})
    assert equal(read_tensors(path), tensors)
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata() == {"title": "test", "format": "pt"}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(files, tmp_path, monkeypatch):
    import napari_samhq.model.serialization as serialization

    path = files["safetensors"]
    before = path.read_bytes()
    names = sorted(entry.name for entry in tmp_path.iterdir())

    def full(_tensors, target, metadata):
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(serialization, "save_file", full)
    with pytest.raises(FileError, match="No space left"):
        write_tensors(path, {"a": torch.zeros(3)})
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == names


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda folder: folder / "missing" / "x.safetensors", id="FM-32-no-folder"),
        pytest.param(lambda folder: folder, id="FM-32-is-a-folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_a_file_error(tmp_path, make):
    with pytest.raises(FileError, match="Could not write"):
        write_tensors(make(tmp_path), {"a": torch.zeros(3)})
    assert list(tmp_path.iterdir()) == []
