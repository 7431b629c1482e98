"""Runs that write files: interrupted, repeated, damaged, shared; the result is always the same."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import zarr

import napari_samhq as samhq
from napari_samhq.batch import workers
from napari_samhq.batch.everything import segment_everything
from napari_samhq.batch.plan import Plan
from napari_samhq.batch.publish import run_of
from napari_samhq.batch.results import FolderResults, answer_from_bytes, answer_to_bytes
from napari_samhq.batch.run import RunFolder
from napari_samhq.core.util.lru import Lru
from napari_samhq.io.labels import write_labels
from support.fakes_of_objects import ObjectPredictor, blobs

SETTINGS = {"tile_px": 48, "halo_px": 12, "spacing_px": 8, "smallest_px": 1, "largest_px": 0}
SHAPE = (130, 150)


@pytest.fixture
def image() -> np.ndarray:
    return blobs(SHAPE, 7, 4)


@pytest.fixture
def expected(image) -> np.ndarray:
    return segment_everything(image, ObjectPredictor(), **SETTINGS)


def embedded(predictor: ObjectPredictor) -> int:
    return sum(call[0] == "embed" for call in predictor.calls)


def stop_after(count: float):
    def stop(step) -> None:
        if step.stage == "segment" and step.done >= count:
            raise samhq.Cancelled("Stopped.")

    return stop


@pytest.mark.parametrize("suffix", [".zarr", ".tif"])
def test_a_file_holds_what_an_array_would(tmp_path, image, expected, suffix):
    out = tmp_path / f"labels{suffix}"
    labels = segment_everything(image, ObjectPredictor(), out=out, **SETTINGS)
    if suffix == ".tif":
        assert labels == out
        labels = tifffile.imread(labels)
    else:
        assert isinstance(labels, zarr.Array)
    assert np.array_equal(labels[:], expected)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_an_ome_tiff_says_what_it_is_and_is_known_again(tmp_path, image, expected):
    out = tmp_path / "labels.ome.tif"
    size = {"pixel_size": (0.5, 0.25), "unit": "um"}
    predictor = ObjectPredictor()
    segment_everything(image, predictor, out=out, **size, **SETTINGS)
    with tifffile.TiffFile(out) as tiff:
        assert tiff.is_ome
        assert np.array_equal(tiff.asarray(), expected)
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
    assert (pixels["PhysicalSizeY"], pixels["PhysicalSizeX"]) == (0.5, 0.25)
    asked = len(predictor.calls)
    segment_everything(image, predictor, out=out, **size, **SETTINGS)
    assert len(predictor.calls) == asked


@pytest.mark.parametrize((), [pytest.param(id="FM-51")])
def test_tiles_need_not_fit_chunks_and_a_zarr_says_where_it_lies(tmp_path):
    image = np.zeros((1500, 2300), dtype=np.uint8)
    image[700:800, 1500:1700] = 90
    out = tmp_path / "labels.zarr"
    area = (slice(300, 1500), slice(0, 2300))
    segment_everything(
        image, ObjectPredictor(), out=out, region=area, spacing_px=50, tile_px=1024, halo_px=128
    )
    group = zarr.open_group(out, mode="r")
    ome = group.attrs["ome"]
    (multiscale,) = ome["multiscales"]
    shapes = [group[d["path"]].shape for d in multiscale["datasets"]]
    assert shapes == [(1200, 2300), (600, 1150), (300, 575)]
    for number, dataset in enumerate(multiscale["datasets"]):
        scale, translation = dataset["coordinateTransformations"]
        assert scale["scale"] == [2**number] * 2
        assert translation["translation"] == [300, 0]
        assert np.array_equal(
            group[dataset["path"]][:], (image[area] // 90)[:: 2**number, :: 2**number]
        )
    assert "image-label" in ome


@pytest.mark.parametrize((), [pytest.param(id="FM-28")])
def test_a_cancelled_run_goes_on_where_it_was(tmp_path, image, expected):
    out = tmp_path / "labels.zarr"
    uninterrupted = ObjectPredictor()
    segment_everything(image, uninterrupted, out=tmp_path / "other.zarr", **SETTINGS)
    first, second = ObjectPredictor(), ObjectPredictor()
    with pytest.raises(samhq.Cancelled):
        segment_everything(image, first, out=out, progress=stop_after(7), **SETTINGS)
    assert not out.exists()
    labels = segment_everything(image, second, out=out, **SETTINGS)
    assert np.array_equal(labels[:], expected)
    # No tile is asked twice, but for the one that was under way.
    assert 0 <= embedded(first) + embedded(second) - embedded(uninterrupted) <= 1


def test_a_finished_run_is_not_done_again(tmp_path, image, expected):
    out = tmp_path / "labels.zarr"
    segment_everything(image, ObjectPredictor(), out=out, **SETTINGS)
    again = ObjectPredictor()
    labels = segment_everything(image, again, out=out, **SETTINGS)
    assert embedded(again) == 0
    assert np.array_equal(labels[:], expected)
    with pytest.raises(samhq.FileError, match="exists"):
        segment_everything(image, again, out=out, **{**SETTINGS, "spacing_px": 7})
    with pytest.raises(samhq.FileError, match="exists"):
        segment_everything(image, again, out=out, resume=False, **SETTINGS)
    segment_everything(image, again, out=out, overwrite=True, resume=False, **SETTINGS)
    assert embedded(again) > 0


def test_other_settings_do_not_mix_with_parts_of_a_run(tmp_path, image):
    out = tmp_path / "labels.zarr"
    with pytest.raises(samhq.Cancelled):
        segment_everything(image, ObjectPredictor(), out=out, progress=stop_after(5), **SETTINGS)
    other = {**SETTINGS, "spacing_px": 9}
    with pytest.raises(samhq.FileError, match="other settings"):
        segment_everything(image, ObjectPredictor(), out=out, **other)
    with pytest.raises(samhq.FileError, match="other image"):
        segment_everything(image[::-1].copy(), ObjectPredictor(), out=out, **SETTINGS)
    labels = segment_everything(image, ObjectPredictor(), out=out, resume=False, **other)
    assert np.array_equal(labels[:], segment_everything(image, ObjectPredictor(), **other))


@pytest.mark.parametrize((), [pytest.param(id="FM-50")])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "note"])
def test_a_damaged_part_is_done_again(tmp_path, image, expected, damage):
    out = tmp_path / "labels.zarr"
    with pytest.raises(samhq.Cancelled):
        segment_everything(image, ObjectPredictor(), out=out, progress=stop_after(9), **SETTINGS)
    parts = sorted(RunFolder(out).tiles.rglob("*.npz"))
    victim = parts[len(parts) // 2]
    data = bytearray(victim.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 1
        victim.write_bytes(data)
    elif damage == "cut":
        victim.write_bytes(data[:-7])
    elif damage == "gone":
        victim.unlink()
    else:
        victim.with_name(victim.stem + ".done.json").write_text("{")
    assert np.array_equal(
        segment_everything(image, ObjectPredictor(), out=out, **SETTINGS), expected
    )


@pytest.mark.parametrize((), [pytest.param(id="FM-50")])
def test_doing_a_tile_twice_makes_no_difference(tmp_path, image, expected):
    out = tmp_path / "labels.zarr"
    with pytest.raises(samhq.Cancelled):
        segment_everything(image, ObjectPredictor(), out=out, progress=stop_after(9), **SETTINGS)
    for note in list(RunFolder(out).tiles.rglob("*.done.json"))[::2]:
        before = note.with_name(note.name.replace(".done.json", ".npz"))
        content = before.read_bytes()
        key = int(note.parts[-3]), int(note.name.split(".")[0])
        results = FolderResults(RunFolder(out).tiles)
        results.put(key, results.get(key))
        assert before.read_bytes() == content
        note.unlink()
    labels = segment_everything(image, ObjectPredictor(), out=out, **SETTINGS)
    assert np.array_equal(labels[:], expected)


class FailingZarr:
    """An image of which a part cannot be read until it is mended."""

    def __init__(self, image: np.ndarray) -> None:
        self.image, self.is_broken = image, True
        self.shape, self.dtype, self.ndim = image.shape, image.dtype, image.ndim

    def __getitem__(self, where):
        rows, cols = where[:2]
        if self.is_broken and rows.start > 50 and cols.start < 20:
            raise OSError("chunk 3.0 is damaged")
        return self.image[where]


@pytest.mark.parametrize((), [pytest.param(id="FM-52")])
def test_failed_tiles_are_listed_and_done_alone(tmp_path, image, expected):
    out, broken = tmp_path / "labels.zarr", FailingZarr(image)
    settings = {**SETTINGS, "contrast_limits": (0, 255)}
    first, second = ObjectPredictor(), ObjectPredictor()
    broken.is_broken = False
    segment_everything(broken, first, out=tmp_path / "other.zarr", **settings)
    total = embedded(first)
    broken.is_broken = True
    first.calls.clear()
    with pytest.raises(samhq.TilesFailedError, match=r"tiles failed .*chunk 3\.0") as caught:
        segment_everything(broken, first, out=out, **settings)
    assert 0 < len(caught.value.tiles) < 5
    assert not out.exists()
    broken.is_broken = False
    labels = segment_everything(broken, second, out=out, **settings)
    assert np.array_equal(labels[:], expected)
    assert embedded(first) + embedded(second) == total


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read anything")
@pytest.mark.parametrize("damage", [pytest.param("no right to read", id="FM-52-rights")])
def test_a_chunk_that_may_not_be_read_is_a_failed_tile(tmp_path, image, expected, damage):
    _check_damaged_chunk(tmp_path, image, expected, damage)


@pytest.mark.parametrize("damage", [pytest.param(d, id=f"FM-52-{d}") for d in ("cut", "rubbish")])
def test_a_damaged_chunk_is_a_failed_tile(tmp_path, image, expected, damage):
    _check_damaged_chunk(tmp_path, image, expected, damage)


def _check_damaged_chunk(tmp_path, image, expected, damage) -> None:
    source, out = tmp_path / "image.zarr", tmp_path / "labels.zarr"
    zarr.create_array(source, data=image, chunks=(50, 50))
    chunk = source / "c" / "2" / "0"
    whole = chunk.read_bytes()
    if damage == "no right to read":
        chunk.chmod(0)
    else:
        chunk.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"rubbish" * 9)
    settings = {**SETTINGS, "contrast_limits": (0, 255)}
    first, second = ObjectPredictor(), ObjectPredictor()
    with pytest.raises(samhq.TilesFailedError, match="Cannot read"):
        segment_everything(source, first, out=out, **settings)
    assert embedded(first) > 0
    assert not out.exists()
    chunk.chmod(0o644)
    chunk.write_bytes(whole)
    labels = segment_everything(source, second, out=out, **settings)
    assert np.array_equal(labels[:], expected)
    clean = ObjectPredictor()
    segment_everything(source, clean, **settings)
    assert embedded(second) > 0
    assert embedded(first) + embedded(second) == embedded(clean)


@pytest.mark.parametrize((), [pytest.param(id="FM-53")])
def test_a_second_run_on_the_same_output_is_refused(tmp_path, image):
    out = tmp_path / "labels.zarr"

    def second(step) -> None:
        with pytest.raises(samhq.FileError, match=f"Another run .process {os.getpid()} on"):
            segment_everything(image, ObjectPredictor(), out=out, **SETTINGS)
        raise samhq.Cancelled("Seen.")

    with pytest.raises(samhq.Cancelled, match="Seen"):
        segment_everything(image, ObjectPredictor(), out=out, progress=second, **SETTINGS)


@pytest.mark.parametrize((), [pytest.param(id="FM-32")])
def test_places_that_cannot_be_written_are_refused_first(tmp_path, image):
    predictor = ObjectPredictor()
    (tmp_path / "file").write_text("x")
    for wrong in ("labels.png", "missing/labels.zarr", "file/labels.zarr"):
        with pytest.raises(samhq.FileError):
            segment_everything(image, predictor, out=tmp_path / wrong, **SETTINGS)
    write_labels(tmp_path / "mine.tif", np.ones((4, 4), dtype=np.int32))
    assert run_of(tmp_path / "mine.tif") is None
    with pytest.raises(samhq.FileError, match="exists"):
        segment_everything(image, predictor, out=tmp_path / "mine.tif", **SETTINGS)
    assert embedded(predictor) == 0


def test_plans_go_to_json_and_back_and_name_what_the_result_depends_on(tmp_path, image):
    out = tmp_path / "labels.zarr"
    segment_everything(image, ObjectPredictor(), out=out, **SETTINGS)
    stored = zarr.open_group(out, mode="r").attrs["napari-samhq"]
    plan = Plan.from_json(json.dumps(stored["plan"]))
    assert plan.run_id == stored["run_id"] == run_of(out)
    newer = {**stored["plan"], "task_version": 999}
    with pytest.raises(samhq.FileError, match="999"):
        Plan.from_json(json.dumps(newer))


def test_answers_survive_being_written(tmp_path, image):
    out = tmp_path / "labels.zarr"
    with pytest.raises(samhq.Cancelled):
        segment_everything(image, ObjectPredictor(), out=out, progress=stop_after(9), **SETTINGS)
    for path in RunFolder(out).tiles.rglob("*.npz"):
        answer = answer_from_bytes(path.read_bytes(), path)
        assert answer_to_bytes(answer) == path.read_bytes()
    with pytest.raises(samhq.FileError, match="damaged"):
        answer_from_bytes(b"PK\x03\x04 something else", path)


# ----------------------------------------------------------------------------- killed processes

CHILD = """
import sys
import numpy as np
from support.fakes_of_objects import ObjectPredictor
from napari_samhq.batch.everything import segment_everything

image, out, note = sys.argv[1:4]
predictor = ObjectPredictor(delay=0.002)
embed = predictor.embed
def noted(image, **options):
    with open(note, "a") as file:
        file.write(".")
    return embed(image, **options)
predictor.embed = noted
print("ready", flush=True)
segment_everything(np.load(image), predictor, out=out, **eval(sys.argv[4]))
"""


@pytest.mark.parametrize((), [pytest.param(id="FM-30")])
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.timeout(1200)
def test_killed_at_any_moment_it_goes_on(tmp_path, image, expected, seed):
    rng = random.Random(seed)
    np.save(tmp_path / "image.npy", image)
    out, note = tmp_path / "labels.zarr", tmp_path / "embedded"
    command = [sys.executable, "-c", CHILD, tmp_path / "image.npy", out, note, repr(SETTINGS)]
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    kills = 0
    for _ in range(200):
        process = subprocess.Popen(
            list(map(str, command)),
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert process.stdout is not None
        process.stdout.readline()
        done = None
        if kills < 4:
            time.sleep(rng.uniform(0.02, 1.0))
            done = process.poll()
            process.send_signal(signal.SIGKILL)
            kills += done is None
        process.wait()
        process.stdout.close()
        if process.returncode == 0 or done == 0:
            break
        assert not out.exists() or run_of(out) is not None
    assert np.array_equal(zarr.open_group(out, mode="r")["0"][:], expected)
    whole = ObjectPredictor()
    segment_everything(image, whole, out=tmp_path / "other.zarr", **SETTINGS)
    assert len(note.read_text()) - embedded(whole) <= kills


@pytest.mark.parametrize((), [pytest.param(id="FM-31")])
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit on file sizes")
def test_a_full_disk_keeps_what_is_there(tmp_path, image, expected):
    np.save(tmp_path / "image.npy", image)
    out = tmp_path / "labels.zarr"
    limit = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
    )
    command = [sys.executable, "-c", limit + CHILD, tmp_path / "image.npy", out, "/dev/null"]
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    done = subprocess.run(
        [*map(str, command), repr(SETTINGS)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "bytes)" in done.stderr
    assert "FileError" in done.stderr or "TilesFailedError" in done.stderr
    assert not out.exists()
    assert not list(tmp_path.rglob("*.partial"))
    labels = segment_everything(image, ObjectPredictor(), out=out, **SETTINGS)
    assert np.array_equal(labels[:], expected)


# ------------------------------------------------------------------------------------- a cluster


@pytest.mark.parametrize((), [pytest.param(id="FM-50-FM-56")])
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_cluster_gives_the_same_bytes(tmp_path, image, expected, monkeypatch):
    distributed = pytest.importorskip("distributed")
    dask = pytest.importorskip("dask")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[1]), *sys.path]))
    # Forked workers would take torch's threads and locks along.
    assert dask.config.get("distributed.worker.multiprocessing-method") == "spawn"
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1"
    ) as cluster:
        out = tmp_path / "labels.zarr"
        labels = segment_everything(
            image, ObjectPredictor, out=out, scheduler=cluster.scheduler_address, **SETTINGS
        )
        assert np.array_equal(labels[:], expected)

        killed = []

        def kill(step) -> None:  # a worker, now and then; a nanny starts another one
            if step.stage == "segment" and step.done in (6, 14):
                worker = next(iter(cluster.workers.values()))
                os.kill(worker.pid, signal.SIGKILL)
                killed.append(worker.pid)

        labels = segment_everything(
            image,
            ObjectPredictor,
            out=tmp_path / "killed.zarr",
            scheduler=cluster.scheduler_address,
            progress=kill,
            **SETTINGS,
        )
        assert killed
        assert np.array_equal(labels[:], expected)


def test_a_worker_of_a_cluster_keeps_no_model_of_a_finished_run(tmp_path, image, expected):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, processes=False, dashboard_address=":0", protocol="tcp"
    ) as cluster:
        for number in range(2):
            labels = segment_everything(
                image,
                ObjectPredictor,
                out=tmp_path / f"{number}.zarr",
                scheduler=cluster.scheduler_address,
                **SETTINGS,
            )
            assert np.array_equal(labels[:], expected)
            assert len(workers._there) == 0


def test_a_worker_keeps_few_models_though_nobody_ends_the_runs(monkeypatch):
    monkeypatch.setattr(workers, "_there", Lru(2))
    for folder in ("one", "two", "three"):
        site = SimpleNamespace(plan=SimpleNamespace(to_json=lambda: "{}"), segment=lambda _: ())
        address = SimpleNamespace(plan="{}", folder=folder, open=lambda opened=site: opened)
        assert workers._segment_there(address, (0, 0)) is None
    assert [folder in workers._there for folder in ("one", "two", "three")] == [False, True, True]


def test_a_cluster_needs_an_output_and_a_model_by_name(tmp_path, image):
    with pytest.raises(samhq.FileError, match="out="):
        segment_everything(image, scheduler="tcp://127.0.0.1:1")
    with pytest.raises(samhq.ModelError, match="name or a path"):
        segment_everything(
            image, ObjectPredictor(), scheduler="tcp://127.0.0.1:1", out=tmp_path / "labels.zarr"
        )


def _segment_in_child(image, out, settings) -> None:
    segment_everything(image, ObjectPredictor, out=out, **settings)


@pytest.mark.parametrize((), [pytest.param(id="FM-56-spawned")])
def test_a_spawned_process_gives_the_same_and_nothing_here_forks(tmp_path, image, expected):
    # With the model in use here, as in a notebook that starts processes of its own.
    assert np.array_equal(segment_everything(image, ObjectPredictor(), **SETTINGS), expected)
    context, out = multiprocessing.get_context("spawn"), tmp_path / "labels.zarr"
    child = context.Process(target=_segment_in_child, args=(image, out, SETTINGS))
    child.start()
    child.join(120)
    assert child.exitcode == 0
    assert np.array_equal(zarr.open_group(out, mode="r")["0"][:], expected)
    for path in Path(samhq.__file__).parent.rglob("*.py"):
        code = path.read_text(encoding="utf-8")
        assert "os.fork" not in code, path
        assert "multiprocessing" not in code or "spawn" in code, path


@pytest.mark.parametrize((), [pytest.param(id="FM-55")])
def test_without_dask_the_message_names_the_extra(tmp_path, image, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(samhq.MissingExtraError, match="distributed"):
        segment_everything(
            image,
            ObjectPredictor,
            scheduler="tcp://127.0.0.1:1",
            out=tmp_path / "labels.zarr",
            **SETTINGS,
        )
