"""The command `propagate`, on small stacks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_samhq.io.calibration import read_calibration
from napari_samhq.io.labels import read_labels
from support.commands import loaded_fake, run
from support.fakes import FakePredictor


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """A tube in planes 1 to 5 of a stack with voxel sizes, outlined in plane 3."""
    monkeypatch.setattr("napari_samhq.cli.propagate.load", lambda *_: loaded_fake())
    monkeypatch.setattr("napari_samhq.inference.predictor.Predictor", lambda _: FakePredictor())
    rows, cols = np.mgrid[:40, :50]
    tube = np.hypot(rows - 20, cols - 25) < 9
    volume = np.random.default_rng(0).normal(60, 5, (7, 40, 50))
    volume[1:6] += 90 * tube
    labels = np.zeros(volume.shape, dtype=np.uint16)
    labels[3][tube] = 4
    metadata = {"axes": "ZYX", "spacing": 0.5, "unit": "um"}
    options = {"imagej": True, "resolution": (5, 5), "metadata": metadata}
    tifffile.imwrite(tmp_path / "image.tif", volume.astype(np.uint8), **options)
    tifffile.imwrite(tmp_path / "labels.tif", labels, **options)
    return tmp_path


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".zarr"])
def test_labels_and_doubt_are_written(stack, suffix):
    out, doubt = stack / f"out{suffix}", stack / "doubt.csv"
    done = run(
        "propagate",
        stack / "image.tif",
        stack / "labels.tif",
        "-o",
        out,
        "--doubt",
        doubt,
        "--json",
    )
    assert done.exit_code == 0, done.output
    labels = np.asarray(read_labels(out).labels[:])
    assert [plane.any() for plane in labels] == [False, *[True] * 5, False]
    np.testing.assert_array_equal(labels[3], tifffile.imread(stack / "labels.tif")[3])
    table = pd.read_csv(doubt)
    assert table["plane"].tolist() == [1, 2, 4, 5]
    summary = json.loads(done.stdout)
    assert (summary["objects"], summary["outlines"]) == (1, 4)
    assert summary["worst"]["doubt"] == table["doubt"].max()
    if suffix != ".npy":
        assert read_calibration(out).pixel_size == pytest.approx((0.5, 0.2, 0.2))
    assert {path.name for path in stack.iterdir()} == {
        "image.tif",
        "labels.tif",
        out.name,
        "doubt.csv",
    }


def test_a_range_and_a_direction(stack):
    out = stack / "out.npy"
    options = ["--planes", "2,4", "--direction", "forward"]
    done = run("propagate", stack / "image.tif", stack / "labels.tif", "-o", out, *options)
    assert done.exit_code == 0, done.output
    assert np.flatnonzero(np.load(out).any(axis=(1, 2))).tolist() == [3, 4]
    assert "1 outline of 1 object found" in done.stdout


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--planes", "2"], 2, "is not 2 numbers"),
        (["--planes", "5,99"], 1, "between 0 and 6"),
        (["--direction", "up"], 1, "both, forward, backward"),
        (["--spacing", "1,2"], 2, "is not 3 numbers"),
    ],
)
def test_wrong_use_is_told_before_the_model_is_loaded(stack, options, code, told, monkeypatch):
    monkeypatch.setattr("napari_samhq.cli.propagate.load", None)
    out = stack / "out.tif"
    done = run("propagate", stack / "image.tif", stack / "labels.tif", "-o", out, *options)
    assert done.exit_code == code
    assert told in " ".join(done.output.split())
    assert not out.exists()


def test_pictures_are_no_stacks(stack):
    done = run("propagate", stack / "image.tif", stack / "labels.tif", "-o", stack / "out.png")
    assert done.exit_code == 2
    assert ".tif, .npy or .zarr" in " ".join(done.output.replace("│", " ").split())


def test_FM_116_killed_in_mid_run_leaves_no_half_written_file(stack):
    paths = stack / "image.tif", stack / "labels.tif", "-o", stack / "out.tif"
    arguments = ["propagate", *map(str, paths)]
    slow = f"""
import sys
sys.path[:0] = {sys.path!r}
from support.commands import loaded_fake
from support.fakes import FakePredictor
import napari_samhq.cli.propagate as command
import napari_samhq.inference.predictor as predictor
command.load = lambda *_: loaded_fake()
predictor.Predictor = lambda _: FakePredictor(delay=0.3)
print("ready", flush=True)
from napari_samhq.cli import app
app({arguments!r})
"""
    with subprocess.Popen(
        [sys.executable, "-c", slow], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        process.stdout.readline()
        while process.poll() is None and not list(stack.glob(".napari-samhq-*/labels/c/*")):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert not (stack / "out.tif").exists()
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    assert tifffile.imread(stack / "out.tif")[1:6].any(axis=(1, 2)).all()
