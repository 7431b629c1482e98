"""Files of tracks: what is written is read again, and what is wrong with others is told."""

import numpy as np
import pandas as pd
import pytest
import tifffile

import napari_samhq as samhq
from napari_samhq.errors import FileError, ImageError
from napari_samhq.io.ctc import is_ctc, read_ctc, write_ctc
from napari_samhq.io.track_files import read_tracks_csv, write_tracks_csv
from support.films import COLUMNS, dividing_film


@pytest.fixture
def linked():
    return samhq.link(dividing_film()[0], axes="tyx")


def test_a_folder_of_ctc_is_read_as_it_was_written(linked, tmp_path):
    folder = linked.to_ctc(tmp_path / "01_RES")
    assert sorted(path.name for path in folder.iterdir())[:2] == ["mask000.tif", "mask001.tif"]
    assert tifffile.imread(folder / "mask000.tif").dtype == np.uint16
    labels, lineage = read_ctc(folder)
    assert np.array_equal(labels, linked.labels)
    pd.testing.assert_frame_equal(lineage, linked.lineage)
    assert is_ctc(folder)
    assert not is_ctc(tmp_path)
    with pytest.raises(FileError, match="exists already"):
        linked.to_ctc(folder)


def test_a_track_with_a_gap_is_two_tied_by_the_parent(tmp_path):
    film = np.zeros((5, 9, 9), dtype=int)
    film[[0, 1, 3, 4], 2:5, 2:5] = 1
    rows = pd.DataFrame([(1, 0, 4, 0)], columns=COLUMNS)
    folder = write_ctc(tmp_path / "out", film, rows)
    assert (folder / "res_track.txt").read_text() == "1 0 1 0\n2 3 4 1\n"
    labels, lineage = read_ctc(folder)
    assert np.array_equal(labels, film)
    pd.testing.assert_frame_equal(lineage, rows)


def test_ctc_has_16_bits(tmp_path):  # FM-139
    film = np.full((1, 4, 4), 70_000)
    rows = pd.DataFrame([(70_000, 0, 0, 0)], columns=COLUMNS)
    with pytest.raises(FileError, match="70000"):
        write_ctc(tmp_path / "out", film, rows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        pytest.param(lambda f: (f / "mask002.tif").unlink(), "mask002", id="FM-140 frame missing"),
        pytest.param(
            lambda f: tifffile.imwrite(f / "mask002.tif", np.zeros((3, 3), np.uint16)),
            "one size",
            id="FM-141 frame of another size",
        ),
        pytest.param(
            lambda f: (f / "mask002.tif").write_bytes(b"II*"), "mask002", id="FM-142 damaged frame"
        ),
        pytest.param(
            lambda f: (f / "res_track.txt").write_text("1 0 x 0\n"), "line 1", id="FM-143 no number"
        ),
        pytest.param(
            lambda f: (f / "res_track.txt").write_text("1 0 1 9\n"), "parent 9", id="FM-144 orphan"
        ),
        pytest.param(lambda f: (f / "res_track.txt").unlink(), "res_track", id="FM-145 no table"),
    ],
)
def test_folders_with_faults_are_refused(linked, tmp_path, spoil, told):
    folder = linked.to_ctc(tmp_path / "out")
    spoil(folder)
    with pytest.raises(FileError, match=told):
        read_ctc(folder)


def test_tracks_are_read_from_csv_as_they_were_written(linked, tmp_path):
    data, graph = linked.to_tracks()
    assert graph == {4: [2], 5: [2]}
    path = write_tracks_csv(tmp_path / "tracks.csv", data, graph)
    again, same = read_tracks_csv(path)
    assert np.array_equal(again, data)
    assert same == graph
    plain = path.read_text().split("\n", 1)[1].replace("ID,T,Y,X", "track_id,t,y,x")
    path.write_text(plain)
    assert np.array_equal(read_tracks_csv(path)[0], data)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(FileError, match="ID, T, Y"):
        read_tracks_csv(path)
    path.write_text("ID,T,Y,X\n1,2,,4\n")
    with pytest.raises(FileError, match="empty cells"):
        read_tracks_csv(path)


def test_napari_takes_the_tracks(linked):
    from napari.layers import Tracks

    data, graph = linked.to_tracks()
    layer = Tracks(data, graph=graph)
    assert np.array_equal(layer.data, data)
    assert layer.graph == graph


def test_trackmate_gets_spots_and_edges(linked, tmp_path):
    from xml.etree import ElementTree

    root = ElementTree.parse(linked.to_trackmate(tmp_path / "a.xml", pixel_size=0.5)).getroot()
    spots = {spot.get("ID"): spot for spot in root.iter("Spot")}
    data, graph = linked.to_tracks()
    assert len(spots) == len(data) == int(root.find(".//AllSpots").get("nspots"))
    assert float(spots["0"].get("POSITION_Y")) == pytest.approx(data[0, 2] / 2, rel=1e-4)
    edges = [(e.get("SPOT_SOURCE_ID"), e.get("SPOT_TARGET_ID")) for e in root.iter("Edge")]
    tracks = len(np.unique(data[:, 0]))
    assert len(edges) == len(data) - tracks + len(graph)
    for source, target in edges:
        assert int(spots[source].get("FRAME")) < int(spots[target].get("FRAME"))
    assert len(list(root.iter("Track"))) == len(list(root.iter("TrackID"))) == 3


def test_stacks_are_no_films(tmp_path):
    linked = samhq.link(dividing_film()[0], axes="zyx")
    with pytest.raises(ImageError, match="films"):
        linked.to_ctc(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
