"""Files that other programs wrote: plates by ome-zarr 0.18, shapes by labelme 6.3.1."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from napari_samhq.errors import FileError
from napari_samhq.io.images import read_image
from napari_samhq.io.labelme import read_labelme_prompts
from napari_samhq.io.ome_zarr_plates import images_inside, is_collection

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize("name", ["plate_04", "plate_05"])
def test_FM_98_a_plate_by_ome_zarr(name, tmp_path):
    with zipfile.ZipFile(DATA / "plates" / f"{name}.zip") as archive:
        archive.extractall(tmp_path)
    plate = tmp_path / f"{name}.zarr"
    assert is_collection(plate)
    assert [one.name for one in images_inside(plate)] == ["A1_0", "B3_0"]
    [image] = images_inside(plate, well="b03")
    assert not is_collection(image.path)
    pixels = read_image(image.path, channels=[1])
    np.testing.assert_array_equal(pixels, np.tile(200 + np.arange(20), (16, 1)))
    with pytest.raises(FileError, match="holds 2 images: A1_0, B3_0"):
        read_image(plate)
    with pytest.raises(FileError, match="no image of well C1"):
        images_inside(plate, well="C1")


def test_FM_92_shapes_by_labelme():
    prompts = read_labelme_prompts(DATA / "by_labelme.json", (60, 80))
    assert {label_id: str(one) for label_id, one in prompts.items()} == {
        4: "1 shape",
        1: "1 box",
        2: "1 shape",
        3: "1 point +",
    }
