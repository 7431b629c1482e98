"""Which label image belongs to which image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_samhq.cli.pairs import pairs_in
from napari_samhq.errors import FileError
from support.plates import write_plate

if TYPE_CHECKING:
    from pathlib import Path


def _write(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        pixels = np.zeros((8, 8), np.uint8)
        if name.endswith((".tif", ".tiff")):
            tifffile.imwrite(folder / name, pixels)
        elif name.endswith(".npy"):
            np.save(folder / name, pixels)
        elif name.endswith(".png"):
            Image.fromarray(pixels).save(folder / name)
        else:
            (folder / name).write_text("no image")
    return folder


def _named(pairs) -> list[tuple[str, str]]:
    return [(image.place.name, label.name) for image, label in pairs]


def test_names_pair_whatever_their_extension(tmp_path: Path) -> None:
    images = _write(tmp_path / "images", "a.tif", "plate1.A01.png", "plate1.A02.png", "n.txt")
    labels = _write(
        tmp_path / "labels", "a.labels.tif", "plate1.A01.npy", "plate1.A02.ome.tif", "more.png"
    )
    assert _named(pairs_in(images, labels)) == [
        ("a.tif", "a.labels.tif"),
        ("plate1.A01.png", "plate1.A01.npy"),
        ("plate1.A02.png", "plate1.A02.ome.tif"),
    ]
    assert _named(pairs_in(images / "a.tif", labels)) == [("a.tif", "a.labels.tif")]
    assert _named(pairs_in(images / "a.tif", labels / "more.png")) == [("a.tif", "more.png")]


@pytest.mark.parametrize("where", ["images", "labels"])
@pytest.mark.parametrize("other", ["a.png", "a.ome.tif", "a.npy", "a.labels.tif"])
@pytest.mark.parametrize((), [pytest.param(id="FM-107")])
def test_one_name_for_two_files_is_told_with_both(tmp_path: Path, where: str, other: str) -> None:
    images = _write(tmp_path / "images", "a.tif", "b.tif")
    labels = _write(tmp_path / "labels", "a.tif", "b.tif")
    _write(tmp_path / where, other)
    with pytest.raises(FileError) as told:
        pairs_in(images, labels)
    assert str(tmp_path / where / "a.tif") in str(told.value)
    assert str(tmp_path / where / other) in str(told.value)


@pytest.mark.parametrize((), [pytest.param(id="FM-107-missing")])
def test_what_is_missing_is_named(tmp_path: Path) -> None:
    images = _write(tmp_path / "images", "a.tif", "b.tif", "c.tif")
    labels = _write(tmp_path / "labels", "b.tif")
    with pytest.raises(FileError, match=r"2 of 3 images in .*: a, c\."):
        pairs_in(images, labels)
    with pytest.raises(FileError, match="1 of 1 images"):
        pairs_in(images / "c.tif", labels)
    with pytest.raises(FileError, match="two files or two folders"):
        pairs_in(images, labels / "b.tif")
    with pytest.raises(FileError, match="does not exist"):
        pairs_in(images, tmp_path / "gone")


@pytest.mark.parametrize("kind", ["folder", "plate"])
@pytest.mark.parametrize((), [pytest.param(id="FM-98-pairs")])
def test_fields_of_a_plate_have_labels_of_their_own(tmp_path: Path, kind: str) -> None:
    plate = write_plate(tmp_path / "plate.zarr")
    if kind == "plate":
        labels = write_plate(tmp_path / "labels.zarr", wells=("A/1", "B/03", "C/1"))
        at = [str(label.relative_to(labels)) for _, label in pairs_in(plate, labels)]
        assert at == ["A/1/0", "A/1/1", "B/03/0", "B/03/1"]
        with pytest.raises(FileError, match="2 of 6 images"):
            pairs_in(labels, plate)
        return
    labels = _write(tmp_path / "labels", "plate_B03_0.tif", "plate_A1_0.png")
    chosen = _named(pairs_in(plate, labels, field="0"))
    assert sorted(label for _, label in chosen) == ["plate_A1_0.png", "plate_B03_0.tif"]
    [(image, _)] = pairs_in(plate, labels, well="b3", field="0")
    assert image.path == plate / "B" / "03" / "0"
    with pytest.raises(FileError, match="2 of 4 images"):
        pairs_in(plate, labels)
    with pytest.raises(FileError, match="one image. --well"):
        pairs_in(labels / "plate_A1_0.png", labels, well="A1")
