"""An embedding that is found is the one that was kept; whatever else is there is made anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_samhq.errors import FileError, SamHQWarning
from napari_samhq.inference import store as store_module
from napari_samhq.inference.store import EmbeddingStore, embedding_key
from support.embedding_writer import embedding, key
from support.fakes import FakePredictor

ONE_ENTRY = 2 * (2**16 + 2**18)  # bytes in float16, without the header


def same(one, other) -> bool:
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if not (torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b):
            return False
    return True


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


# ---------------------------------------------------------------------------------------- keeping


def test_without_a_folder_it_is_the_same_object(tmp_path) -> None:
    store = EmbeddingStore()
    kept = embedding(1)
    assert store.put(key(1), kept) is kept
    assert store.get(key(1)) is kept
    assert key(1) in store
    assert key(2) not in store
    assert store.get(key(2)) is None


def test_from_disk_it_is_what_put_returned(tmp_path) -> None:
    given = embedding(3)
    given = replace(given, hq_features=given.hq_features / 7)
    kept = EmbeddingStore(tmp_path / "new" / "folder").put(key(3), given)
    found = EmbeddingStore(tmp_path / "new" / "folder").get(key(3))
    assert same(found, kept)
    assert found.image_embedding.dtype == torch.float32
    torch.testing.assert_close(found.hq_features, given.hq_features, rtol=1e-3, atol=0)
    assert not same(found, given)


def test_limits_may_be_none(tmp_path) -> None:
    EmbeddingStore(tmp_path).put(key(1), replace(embedding(1), contrast_limits=None))
    assert EmbeddingStore(tmp_path).get(key(1)).contrast_limits is None


def test_values_too_large_for_float16_stay_in_memory(tmp_path) -> None:
    store = EmbeddingStore(tmp_path)
    large = replace(embedding(1), hq_features=torch.full((1, 8, 8), 1e5))
    assert store.put(key(1), large) is large
    assert files(tmp_path) == []


def test_the_memory_has_a_limit_and_what_was_used_last_stays() -> None:
    store = EmbeddingStore(memory_bytes=3 * embedding(0).nbytes)
    for number in range(3):
        store.put(key(number), embedding(number))
    store.get(key(0))
    store.put(key(3), embedding(3))
    assert [number for number in range(4) if key(number) in store] == [0, 2, 3]
    assert store.nbytes <= store.memory_bytes
    tiny = EmbeddingStore(memory_bytes=1)
    tiny.put(key(1), embedding(1))
    assert tiny.get(key(1)) is not None  # the last one always stays


# ------------------------------------------------------------------------------------------- keys


PICTURE = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        pytest.param("fingerprint", "other", id="FM-49-weights"),
        pytest.param("precision", "bfloat16", id="FM-49-precision"),
        pytest.param("input_size", 512, id="FM-49-input-size"),
    ],
)
def test_another_model_has_other_keys(attribute, value) -> None:
    predictor = FakePredictor()
    before = embedding_key(predictor, PICTURE)
    assert before == embedding_key(FakePredictor(), PICTURE.copy())
    setattr(predictor, attribute, value)
    assert embedding_key(predictor, PICTURE) != before


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(PICTURE + np.uint8(1), id="FM-23-content"),
        pytest.param(PICTURE.reshape(5, 4, 3), id="FM-49-shape"),
        pytest.param(PICTURE[:, ::-1], id="FM-23-order"),
    ],
)
def test_another_picture_has_another_key(picture) -> None:
    assert embedding_key(FakePredictor(), picture) != embedding_key(FakePredictor(), PICTURE)


def test_another_version_of_the_format_has_other_keys(monkeypatch) -> None:
    before = embedding_key(FakePredictor(), PICTURE)
    monkeypatch.setattr(store_module, "_SCHEMA", -1)
    assert embedding_key(FakePredictor(), PICTURE) != before


# ----------------------------------------------------------------------------------------- damage


def flip(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda c: c[: len(c) // 2], id="FM-29-truncated"),
        pytest.param(lambda c: b"", id="FM-29-empty"),
        pytest.param(lambda c: b"<html>quota exceeded</html>", id="FM-29-page"),
        pytest.param(lambda c: flip(c, len(c) - 1000), id="FM-29-value"),
        pytest.param(lambda c: flip(c, c.index(b"[100, ") + 2), id="FM-29-size"),
        pytest.param(lambda c: flip(c, 9), id="FM-29-header"),
        pytest.param(lambda c: b"\xff" * 8 + c[8:], id="FM-29-length"),
    ],
)
def test_a_damaged_entry_is_removed_and_made_anew(tmp_path, damage) -> None:
    EmbeddingStore(tmp_path).put(key(5), embedding(5))
    (path,) = files(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    store = EmbeddingStore(tmp_path)
    with pytest.warns(SamHQWarning, match="damaged"):
        assert store.get(key(5)) is None
    assert files(tmp_path) == []
    store.put(key(5), embedding(5))
    assert same(EmbeddingStore(tmp_path).get(key(5)), embedding(5))


@pytest.mark.parametrize((), [pytest.param(id="FM-29-kill-9")])
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, to be quick")
def test_what_was_complete_survives_kill_9(tmp_path) -> None:
    kills, count = 20, 80
    script = Path(__file__).parents[1] / "support" / "embedding_writer.py"
    done = subprocess.run(
        [sys.executable, script, tmp_path / "store", str(kills), str(count)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rounds = json.loads(done.stdout)
    begun = [number for one in rounds for number in one]
    assert set(begun) == set(range(count))
    # Killed rounds lose the one entry that they were at, and nothing that was complete.
    assert len(begun) <= count + kills
    assert all(one == sorted(one) for one in rounds)
    store = EmbeddingStore(tmp_path / "store")
    for number in range(0, count, 7):
        assert same(store.get(key(number)), embedding(number))
    assert len([p for p in files(tmp_path / "store") if p.suffix == ".safetensors"]) == count


def test_what_killed_writers_left_is_swept(tmp_path) -> None:
    EmbeddingStore(tmp_path).put(key(1), embedding(1))
    (entry,) = files(tmp_path)
    old, new = (entry.with_name(f".{n}.partial") for n in ("old", "new"))
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (0, 0))
    EmbeddingStore(tmp_path)
    assert files(tmp_path) == sorted([entry, new])  # the new one may still be written


# ------------------------------------------------------------------------------------ full, shared


@pytest.mark.parametrize((), [pytest.param(id="FM-31-embeddings")])
@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_a_full_disk_is_told_and_leaves_nothing_half(tmp_path) -> None:
    import resource
    import signal

    store = EmbeddingStore(tmp_path)
    store.put(key(1), embedding(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ONE_ENTRY // 2, hard))
    try:
        with pytest.raises(FileError, match=r"Cannot write .* bytes are needed"):
            store.put(key(2), embedding(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert len(files(tmp_path)) == 1
    assert same(store.get(key(2)), embedding(2))  # from memory
    assert same(EmbeddingStore(tmp_path).get(key(1)), embedding(1))


def test_a_folder_that_cannot_be_is_told(tmp_path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(FileError, match="Choose another"):
        EmbeddingStore(tmp_path / "file" / "store")


def test_the_folder_has_a_limit_and_what_was_used_last_stays(tmp_path) -> None:
    store = EmbeddingStore(tmp_path, disk_bytes=5 * ONE_ENTRY)
    for number in range(12):
        store.put(key(number), embedding(number))
        (path,) = (p for p in files(tmp_path) if p.stem == key(number))
        os.utime(path, (number, number))
        assert sum(p.stat().st_size for p in files(tmp_path)) <= 5 * ONE_ENTRY
    left = [int(path.stem, 16) for path in files(tmp_path)]
    assert left[-1] == 11
    assert left == list(range(left[0], 12))


@pytest.mark.parametrize("evicted", [pytest.param(True, id="FM-48-evicted-before-read")])
def test_an_entry_evicted_by_another_process_is_made_anew(tmp_path, evicted) -> None:
    store = EmbeddingStore(tmp_path, memory_bytes=1)
    store.put(key(1), embedding(1))
    store.put(key(2), embedding(2))
    assert key(1) in store
    for path in files(tmp_path):
        path.unlink()
    assert store.get(key(1)) is None
    assert same(store.put(key(1), embedding(1)), embedding(1))
    assert same(store.get(key(2)) or embedding(2), embedding(2))


SHARING = """
import sys
import numpy as np
from support.embedding_writer import embedding, key
from napari_samhq.inference.store import EmbeddingStore
store = EmbeddingStore(sys.argv[1], memory_bytes=1)
for number in np.random.default_rng(int(sys.argv[2])).permutation(12):
    if key(number) not in store:
        store.put(key(number), embedding(int(number)))
    found = store.get(key(number))
    assert found is not None and found.image_shape == (100, 200 + number), number
"""


@pytest.mark.parametrize("processes", [pytest.param(8, id="FM-47-embeddings")])
def test_several_processes_fill_one_store(tmp_path, processes) -> None:
    # There are no locks to be fooled by: entries are put in place whole, and are all alike.
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SHARING, tmp_path, str(seed)],
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(processes)
    ]
    told = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0] * processes, told
    assert len(files(tmp_path)) == 12
    store = EmbeddingStore(tmp_path)
    assert all(same(store.get(key(number)), embedding(number)) for number in range(12))


@pytest.mark.parametrize((), [pytest.param(id="FM-48-evicted-while-read")])
def test_readers_never_see_half_of_what_writers_and_evictions_do(tmp_path) -> None:
    # Threads stand for processes here: a store of their own each, in the same folder.
    stop, problems = threading.Event(), []

    def write(seed: int) -> None:
        store = EmbeddingStore(tmp_path, memory_bytes=1, disk_bytes=4 * ONE_ENTRY)
        rng = np.random.default_rng(seed)
        for number in rng.integers(0, 8, 60):
            store.put(key(number), embedding(int(number)))

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        while not stop.is_set():
            number = int(rng.integers(0, 8))
            try:
                found = EmbeddingStore(tmp_path).get(key(number))
            except Exception as error:  # noqa: BLE001
                problems.append(error)
            else:
                if found is not None and not same(found, embedding(number)):
                    problems.append(number)

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(2)]
    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert problems == []
    assert not [path for path in files(tmp_path) if path.suffix == ".partial"]
