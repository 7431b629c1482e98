"""The command `track`: what comes in, what goes out, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest

from napari_samhq.io.ctc import read_ctc, write_ctc
from napari_samhq.io.labels import read_labels, write_labels
from napari_samhq.io.track_files import read_tracks_csv
from support.commands import run
from support.films import disc, dividing_film, forgotten


@pytest.fixture
def film(tmp_path):
    labels = forgotten(dividing_film()[0])
    return write_labels(tmp_path / "film.tif", labels, pixel_size=0.5, unit="um", axes="tyx")


def test_every_kind_of_result_holds_the_same_tracks(film, tmp_path):
    outputs = [tmp_path / name for name in ("a.tif", "RES", "a.csv", "a.xml")]
    for output in outputs:
        done = run("track", film, "-o", output, "--json")
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout)
        assert (told["tracks"], told["divisions"]) == (5, 1)
    labels = np.asarray(read_labels(outputs[0]).labels[:])
    lineage = pd.read_csv(tmp_path / "a.lineage.csv")
    assert np.array_equal(read_ctc(outputs[1])[0], labels)
    pd.testing.assert_frame_equal(read_ctc(outputs[1])[1], lineage)
    assert len(read_tracks_csv(outputs[2])[1]) == 2
    assert run("track", outputs[1], "-o", tmp_path / "b.tif").exit_code == 0
    again = run("track", film, "-o", outputs[0])
    assert again.exit_code == 1
    assert "exists already" in again.output


def test_wrong_usage_is_told(film, tmp_path):
    assert run("track", film, "-o", tmp_path / "a.docx").exit_code == 2
    assert run("track", film, "-o", tmp_path / "a.tif", "--axes", "yxt").exit_code == 2


def test_a_stack_is_segmented_from_the_shell(tmp_path):
    image = np.zeros((3, 96, 96), dtype=np.uint8)
    for row, col in ((30, 28), (64, 66)):
        image[:, disc(image.shape[1:], (row, col), 12)] = 200
    np.save(tmp_path / "stack.npy", image)
    options = ("--everything", "--axes", "zyx", "--json")
    done = run("segment", tmp_path / "stack.npy", "-o", tmp_path / "a.zarr", *options)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["shape"] == [3, 96, 96]
    labels = np.asarray(read_labels(tmp_path / "a.zarr").labels[:])
    assert len(set(labels[:, 30, 28])) == len(set(labels[:, 64, 66])) == 1
    assert 0 < labels[0, 30, 28] != labels[0, 64, 66] > 0
    wrong = run("segment", tmp_path / "stack.npy", "-o", tmp_path / "a.json", *options)
    assert wrong.exit_code == 2


def test_tracks_and_stacks_are_compared(film, tmp_path):
    true, lineage = dividing_film()
    write_ctc(tmp_path / "TRA", true, lineage)
    assert run("track", film, "-o", tmp_path / "a.tif").exit_code == 0
    options = (tmp_path / "TRA", "--predictions", tmp_path / "a.tif", "--axes", "tyx", "--json")
    done = run("evaluate", film, *options, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["LNK"], told["CT"], told["BC(0)"], told["divisions_found"]) == (1, 1, 1, 1)
    assert json.loads((tmp_path / "out" / "quality.json").read_text()) == told
    stack = run(
        "evaluate", film, film, "--predictions", film, "--axes", "zyx", "-o", tmp_path / "b"
    )
    assert stack.exit_code == 0, stack.output
    assert "ap_50" in stack.output
    wrong = run("evaluate", film, film, "--axes", "zyx", "-o", tmp_path / "c")
    assert wrong.exit_code == 2
