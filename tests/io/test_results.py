"""Labels written in any format, and read back by others who know the format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from napari_samhq.errors import FileError, ImageError, SettingsError
from napari_samhq.io.calibration import Calibration, read_calibration
from napari_samhq.io.labels import read_labels, write_labels
from napari_samhq.io.objects import labels_of
from napari_samhq.io.prompt_files import read_prompts
from napari_samhq.io.results import (
    OBJECT_SUFFIXES,
    RESULT_SUFFIXES,
    check_result_suffix,
    read_objects,
    write_labels_as,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def labels() -> np.ndarray:
    labels = np.zeros((40, 300), dtype=np.int32)
    labels[3:20, 2:30] = 3
    labels[8:12, 8:15] = 0  # a hole
    labels[30:, 290:] = 300
    labels[0, 50] = labels[1, 51] = 7  # two pieces that touch at a corner
    return labels


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": [3, 300],
            "name": ["left", None],
            "category": ["tumor", "stroma"],
            "score": [0.5, np.nan],
            "review": ["a", "b"],
        }
    )


@pytest.mark.parametrize("suffix", [*RESULT_SUFFIXES, ".ome.tif", ".ome.zarr"])
def test_every_format_is_whole_and_kept_unless_asked(
    tmp_path: Path, labels, table, suffix: str
) -> None:
    path = write_labels_as(tmp_path / f"cells{suffix}", labels, table=table)
    beside = {"classes.txt"} if suffix == ".txt" else set()  # the names of the classes
    assert {one.name for one in tmp_path.iterdir()} == {path.name} | beside
    with pytest.raises(FileError, match="exists already"):
        write_labels_as(path, labels)
    write_labels_as(path, labels, overwrite=True)


# YOLO, which keeps neither ids nor scores, has tests of its own.
@pytest.mark.parametrize("suffix", [one for one in OBJECT_SUFFIXES if one != ".txt"])
def test_files_of_objects_give_the_pixels_and_what_was_said_of_them(
    tmp_path: Path, labels, table, suffix: str
) -> None:
    path = write_labels_as(tmp_path / f"cells{suffix}", labels, table=table, image_name="a.tif")
    objects = read_objects(path, labels.shape)
    found = labels_of(objects, labels.shape)
    if suffix == ".zip":  # ROIs have no place for label ids
        found = np.array([0, 3, 7, 300])[found]
    np.testing.assert_array_equal(found, labels)
    if suffix != ".zip":
        assert [one.category for one in objects] == ["tumor", "", "stroma"]
        assert [one.score for one in objects] == [0.5, None, None]
    if suffix != ".json":
        assert objects[0].name == "left"


def test_the_table_has_units_and_all_that_is_known(tmp_path: Path, labels, table) -> None:
    path = write_labels_as(
        tmp_path / "cells.csv", labels, table=table, pixel_size=(0.5, 0.25), unit="micrometer"
    )
    found = pd.read_csv(path, index_col="label")
    assert found.index.tolist() == [3, 7, 300]
    assert found["area_px"].tolist() == [17 * 28 - 28, 2, 100]
    np.testing.assert_allclose(found["area_um2"], found["area_px"] / 8)
    assert found["name"].tolist()[0] == "left"
    assert found["review"].isna().tolist() == [False, True, False]
    assert found.loc[300, ["min_row", "max_col"]].tolist() == [30, 299]
    assert read_prompts(path)[7].box.tolist() == [0, 50, 1, 51]


@pytest.mark.parametrize(
    ("name", "unit", "size"),
    [
        ("l.tif", "um", (0.65, 0.325)),
        ("l.tif", "nm", (65.0, 65.0)),
        ("l.ome.tif", "um", (0.65, 0.325)),
        ("l.ome.tif", "mm", (0.001, 0.002)),
        ("l.ome.zarr", "um", (0.65, 0.325)),
        ("l.zarr", "angstrom", (5.0, 5.0)),
    ],
)
@pytest.mark.parametrize("highest", [9, 2**20])
def test_pixel_sizes_come_back(tmp_path: Path, name, unit, size, highest: int) -> None:
    labels = np.full((6, 8), highest, dtype=np.int64)
    path = write_labels_as(tmp_path / name, labels, pixel_size=size, unit=unit)
    found = read_labels(path)
    assert found.calibration is not None
    np.testing.assert_allclose(found.calibration.pixel_size, size, rtol=1e-8)
    assert found.calibration.units == (unit, unit)
    np.testing.assert_array_equal(found.labels[:, :], labels)


@pytest.mark.parametrize("name", ["l.tif", "l.ome.tif", "l.zarr"])
def test_stacks_keep_the_sizes_of_all_axes(tmp_path: Path, name: str) -> None:
    labels = np.ones((2, 3, 4, 5), np.uint16)
    sizes, units = (30.0, 2.0, 0.5, 0.5), ("s", "um", "um", "um")
    path = write_labels(
        tmp_path / name, labels, pixel_size=sizes, unit=units, axes=("t", "z", "y", "x")
    )
    found = read_labels(path)
    assert found.calibration == Calibration(sizes, units, ("t", "z", "y", "x"))
    assert found.labels.shape == labels.shape


@pytest.mark.parametrize("name", ["l.tif", "l.zarr", "l.png", "l.npy"])
def test_pixels_without_a_size_stay_without(tmp_path: Path, name: str) -> None:
    path = write_labels(tmp_path / name, np.ones((6, 8), int))
    assert read_calibration(path) is None


def test_zarr_keeps_what_is_known_of_objects(tmp_path: Path, labels, table) -> None:
    path = write_labels_as(tmp_path / "l.ome.zarr", labels, table=table)
    found = read_labels(path).properties
    assert found[3] == {"name": "left", "category": "tumor", "score": 0.5, "review": "a"}
    assert found[300]["score"] is None


@pytest.mark.parametrize("name", ["cells.samhq.json", "cells.jpg", "cells"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(FileError, match=r"\.json|session"):
        check_result_suffix(name)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"pixel_size": 0}, SettingsError),
        ({"pixel_size": float("nan")}, SettingsError),
        ({"pixel_size": (1, 1, 1)}, SettingsError),
        ({"table": pd.DataFrame({"a": [1]})}, SettingsError),
        ({"table": pd.DataFrame({"label": [1, 1]})}, SettingsError),
    ],
)
def test_a_failed_call_writes_nothing(tmp_path: Path, labels, options, error) -> None:
    with pytest.raises(error):
        write_labels_as(tmp_path / "cells.csv", labels, **options)
    with pytest.raises(ImageError, match="one plane"):
        write_labels_as(tmp_path / "cells.geojson", labels[None])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".geojson", ".zip", ".csv", ".zarr"])
@pytest.mark.parametrize("piece_px", [16, 50])
def test_labels_on_the_disk_are_written_in_pieces(
    tmp_path: Path, labels, table, suffix: str, piece_px: int, monkeypatch
) -> None:
    import zarr

    whole = write_labels_as(tmp_path / f"a{suffix}", labels, table=table, pixel_size=0.5, unit="um")
    monkeypatch.setattr("napari_samhq.io.objects._PIECE_PX", piece_px)
    monkeypatch.setattr("napari_samhq.io.ome_zarr._CHUNK_PX", piece_px)
    stored = zarr.array(labels)
    other = write_labels_as(tmp_path / f"b{suffix}", stored, table=table, pixel_size=0.5, unit="um")
    if suffix == ".zarr":
        np.testing.assert_array_equal(read_labels(other).labels[:], read_labels(whole).labels[:])
    elif suffix == ".zip":  # has the time in it
        pairs = zip(read_objects(other), read_objects(whole), strict=True)
        assert all(one == another for one, another in pairs)
    else:
        assert other.read_bytes() == whole.read_bytes()
