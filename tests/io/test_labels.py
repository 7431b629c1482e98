"""Labels written in any format are the same labels when they are read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_samhq.errors import FileError, ImageError
from napari_samhq.io.images import read_image
from napari_samhq.io.labels import LABEL_SUFFIXES, write_labels

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def labels() -> np.ndarray:
    labels = np.zeros((7, 1030), dtype=np.int32)
    labels[1:4, 2:9] = 3
    labels[5:, 1020:] = 300
    return labels


@pytest.mark.parametrize("suffix", LABEL_SUFFIXES)
def test_every_format_gives_the_ids_back(tmp_path: Path, labels: np.ndarray, suffix: str) -> None:
    path = write_labels(tmp_path / f"labels{suffix}", labels)
    np.testing.assert_array_equal(read_image(path), labels)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".zarr"])
def test_many_objects_fit(tmp_path: Path, labels: np.ndarray, suffix: str) -> None:
    labels[0, 0] = 2**20
    path = write_labels(tmp_path / f"labels{suffix}", labels)
    assert read_image(path)[0, 0] == 2**20


def test_ids_that_do_not_fit_are_refused_instead_of_wrapped(
    tmp_path: Path, labels: np.ndarray
) -> None:
    labels[0, 0] = 65536
    with pytest.raises(FileError, match=r"65536.*16 bits"):
        write_labels(tmp_path / "labels.png", labels)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", LABEL_SUFFIXES)
def test_an_existing_file_is_kept_unless_asked(
    tmp_path: Path, labels: np.ndarray, suffix: str
) -> None:
    path = write_labels(tmp_path / f"labels{suffix}", labels)
    with pytest.raises(FileError, match="--overwrite"):
        write_labels(path, labels * 0)
    np.testing.assert_array_equal(read_image(path), labels)
    write_labels(path, labels[:, :50], overwrite=True)
    np.testing.assert_array_equal(read_image(path), labels[:, :50])


def test_an_unknown_extension_is_refused(tmp_path: Path, labels: np.ndarray) -> None:
    with pytest.raises(FileError, match=r"'\.jpg'.*\.tif"):
        write_labels(tmp_path / "labels.jpg", labels)


@pytest.mark.parametrize("bad", [np.zeros(4, int), np.zeros((3, 3)), -np.ones((3, 3), int)])
def test_what_is_no_label_image_is_refused(tmp_path: Path, bad: np.ndarray) -> None:
    with pytest.raises(ImageError, match="2-D array of integers"):
        write_labels(tmp_path / "labels.tif", bad)


def test_zarr_labels_say_that_they_are_labels(tmp_path: Path, labels: np.ndarray) -> None:
    import zarr

    attributes = zarr.open_group(write_labels(tmp_path / "l.zarr", labels), mode="r").attrs["ome"]
    assert attributes["version"] == "0.5"
    assert "image-label" in attributes


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".zarr"])
def test_stacks_of_labels_are_written_whole(tmp_path: Path, suffix: str) -> None:
    width = 5 if suffix == ".npy" else 3  # no colours, but only the others can say so
    labels = np.arange(2 * 4 * width, dtype=np.int32).reshape(2, 4, width)
    write_labels(tmp_path / f"a{suffix}", labels)
    for plane in range(2):
        found = read_image(tmp_path / f"a{suffix}", plane=[plane])
        np.testing.assert_array_equal(found, labels[plane])


def test_a_picture_holds_no_stack(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="2-D array of integers from 0 on; this"):
        write_labels(tmp_path / "a.png", np.zeros((2, 3, 4), int))


@pytest.mark.parametrize("kind", ["dask", "zarr"])
def test_large_labels_go_into_zarr_piece_by_piece(
    tmp_path: Path, labels: np.ndarray, kind: str
) -> None:
    import dask.array
    import zarr

    stack = np.stack([labels, labels[::-1]])
    lazy = dask.array.from_array(stack) if kind == "dask" else zarr.array(stack)
    path = write_labels(tmp_path / "l.zarr", lazy)
    group = zarr.open_group(path, mode="r")
    np.testing.assert_array_equal(group["0"][:], stack)
    np.testing.assert_array_equal(group["1"][:], stack[:, ::2, ::2])
    assert sorted(group.array_keys()) == ["0", "1", "2", "3"]  # 1030 to 129 pixels
    with pytest.raises(ImageError, match="value -300"):
        write_labels(path, -lazy if kind == "dask" else zarr.array(-stack), overwrite=True)
    np.testing.assert_array_equal(zarr.open_group(path, mode="r")["0"][:], stack)
