"""Labels of any size behave like an array, keep only what is in them, and survive being killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_samhq.core.tiles.blocks import pooled
from napari_samhq.errors import FileError
from napari_samhq.io import label_store
from napari_samhq.io.label_store import LabelStore


@pytest.fixture
def small_blocks(monkeypatch) -> None:
    monkeypatch.setattr(label_store, "BLOCK_PX", 16)
    monkeypatch.setattr(label_store, "_COARSEST_PX", 8)
    monkeypatch.setattr(label_store, "_MOST_LEVELS", 5)
    monkeypatch.setattr(label_store, "_MOST_WAITING", 3)
    monkeypatch.setattr(label_store, "_REMEMBERED", 2)


def levels_of(array: np.ndarray, count: int) -> list[np.ndarray]:
    levels = [array]
    while len(levels) < count:
        levels.append(pooled(levels[-1]))
    return levels


def whole(store: LabelStore, number: int = 0) -> np.ndarray:
    shape = store.level_shapes[number]
    return store.read_level(number, tuple(slice(0, n) for n in shape))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_it_is_indexed_like_numpy_and_levels_follow(tmp_path_factory, ndim, kind):
    @settings(max_examples=20 if kind == "memory" else 6, deadline=None)
    @given(st.data())
    def check(data) -> None:
        shape = tuple(data.draw(st.integers(1, 60 if n >= ndim - 2 else 3)) for n in range(ndim))
        path = tmp_path_factory.mktemp("s") / "labels.zarr" if kind == "disk" else None
        store, array = LabelStore(shape, path=path), np.zeros(shape, np.int32)
        for _ in range(data.draw(st.integers(1, 4))):
            value = data.draw(st.integers(0, 9))
            if data.draw(st.booleans()):
                key = tuple(
                    data.draw(st.integers(0, n - 1))
                    if data.draw(st.integers(0, 4)) == 0
                    else slice(*sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2))))
                    for n in shape
                )
            else:
                count = data.draw(st.integers(0, 9))
                rng = np.random.default_rng(count)
                key = tuple(rng.integers(0, n, count) for n in shape)
            store[key] = value
            array[key] = value
            np.testing.assert_array_equal(store[key], array[key])
        np.testing.assert_array_equal(store[...], array)
        for number, level in enumerate(levels_of(array, len(store.level_shapes))):
            assert store.level_shapes[number] == level.shape
            np.testing.assert_array_equal(whole(store, number), level)
        for place in np.argwhere(array):
            assert not store.is_empty(tuple(slice(int(n), int(n) + 1) for n in place))
        store.close()
        if path is not None and path.exists():
            again = LabelStore.open(path)
            np.testing.assert_array_equal(again[...], array)
            assert again.filled_px == store.filled_px
            again.close()

    check()


def test_nothing_is_written_before_the_first_object_and_little_after(tmp_path):
    path = tmp_path / "labels.zarr"
    store = LabelStore((100_000, 100_000), path=path, about={"image": "abc"})
    assert not store[99_000:100_000, 5:900].any()
    store[5:8, 7:9] = 0
    assert not path.exists()
    store[99_990:, 99_980:] = 4
    written = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert written < 2**17
    assert store.filled_px == 512**2
    store.close()
    assert LabelStore.open(path).about == {"image": "abc"}
    group = zarr.open_group(path, mode="r")
    (multiscale,) = group.attrs["ome"]["multiscales"]
    for number, dataset in enumerate(multiscale["datasets"]):
        level = group[dataset["path"]]
        assert level[-1, -1] == 4
        assert dataset["coordinateTransformations"][0]["scale"] == [2.0**number] * 2
    assert max(level.shape) <= 1024


@pytest.mark.usefixtures("small_blocks")
def test_writes_put_together_touch_each_block_once(tmp_path, monkeypatch):
    monkeypatch.setattr(label_store, "_MOST_WAITING", 100)
    store, written = LabelStore((64, 64), path=tmp_path / "labels.zarr"), []
    write = label_store._Pyramid.write
    monkeypatch.setattr(
        label_store._Pyramid, "write", lambda self, b: (written.extend(b), write(self, b))
    )
    with store.together():
        for number in range(1, 30):
            store[number, 3:7] = number
            assert store[number, 4] == number
    assert sorted(written) == [(0, 0), (1, 0)]


@pytest.mark.parametrize((), [pytest.param(id="FM-53-labels")])
def test_one_program_writes_at_a_time(tmp_path):
    path = tmp_path / "labels.zarr"
    store = LabelStore((40, 40), path=path)
    store[3, 3] = 1
    with pytest.raises(FileError, match="Another program writes"):
        LabelStore.open(path)
    with pytest.raises(FileError, match="exists already"):
        LabelStore((40, 40), path=path)
    store.close()
    LabelStore.open(path).close()


def test_other_files_are_refused_and_left_alone(tmp_path):
    zarr.create_group(store=tmp_path / "image.zarr")
    with pytest.raises(FileError, match="no store of objects"):
        LabelStore.open(tmp_path / "image.zarr")
    with pytest.raises(FileError, match=r"Cannot read|no store"):
        LabelStore.open(tmp_path / "nothing.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["image.zarr"]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
@pytest.mark.parametrize((), [pytest.param(id="FM-31-labels")])
def test_a_full_disk_is_told_and_what_was_there_stays(tmp_path):
    import resource

    path = tmp_path / "labels.zarr"
    store = LabelStore((3000, 3000), path=path)
    store[5:9, 5:9] = 3
    noise = np.random.default_rng(0).integers(0, 2**30, (400, 400))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(FileError, match=r"Cannot write .*labels\.zarr.*Free some space"):
            store[1000:1400, 1000:1400] = noise
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert (store[5:9, 5:9] == 3).all()
    np.testing.assert_array_equal(store[1000:1400, 1000:1400], noise)  # it waits
    store.close()
    again = LabelStore.open(path)
    np.testing.assert_array_equal(again[1000:1400, 1000:1400], noise)
    again.close()


CHILD = """
import sys
import numpy as np
from napari_samhq.io import label_store
label_store.BLOCK_PX, label_store._COARSEST_PX = 64, 32
store = label_store.LabelStore((400, 400), path=sys.argv[1])
for number in range(1, 100_000):
    row, col = number * 37 % 300, number * 91 % 300
    store[row : row + 90, col : col + 90] = number
    if number == 1:
        print("ready", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("seed", [pytest.param(n, id=f"FM-30-labels-{n}") for n in range(3)])
def test_killed_while_writing_blocks_are_whole_and_levels_are_mended(tmp_path, monkeypatch, seed):
    path = tmp_path / "labels.zarr"
    child = subprocess.Popen([sys.executable, "-c", CHILD, path], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(random.Random(seed).uniform(0.0, 0.5))
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    monkeypatch.setattr(label_store, "BLOCK_PX", 64)
    monkeypatch.setattr(label_store, "_COARSEST_PX", 32)
    store = LabelStore.open(path)
    array = store[...]
    assert array.any()
    for number, level in enumerate(levels_of(array, len(store.level_shapes))):
        np.testing.assert_array_equal(whole(store, number), level)
    store.close()
    assert os.listdir(Path(path)).count(".unfinished") == 0
