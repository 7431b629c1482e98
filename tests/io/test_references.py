"""Real labels written here and read by the programs that others use, with pixel sizes and all."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_samhq.io.images import read_image
from napari_samhq.io.results import write_labels_as

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    """Cut nuclei out of the sample, and pierce one."""
    path = files("napari_samhq") / "data" / "nuclei_labels.png"
    labels = np.array(read_image(path)[100:260, 200:420], dtype=np.int32)
    rows, cols = np.nonzero(labels)
    middle = len(rows) // 2
    labels[rows[middle], cols[middle]] = 0
    return labels


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif", "a.png"])
def test_scikit_image_reads_label_images(labels, tmp_path: Path, name: str) -> None:
    from skimage import io

    path = write_labels_as(tmp_path / name, labels, pixel_size=0.25, unit="um")
    np.testing.assert_array_equal(io.imread(path), labels)


def test_tifffile_and_so_imagej_know_the_pixel_size(labels, tmp_path: Path) -> None:
    import tifffile

    path = write_labels_as(tmp_path / "a.tif", labels, pixel_size=(0.5, 0.25), unit="um")
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_imagej
        assert tiff.imagej_metadata["unit"] == "um"
        tags = tiff.pages[0].tags
        assert [tags[f"{axis}Resolution"].value for axis in "XY"] == [(4, 1), (2, 1)]
        np.testing.assert_array_equal(tiff.asarray(), labels)


@pytest.mark.parametrize("name", ["a.ome.tif", "a.tif"])
def test_ome_xml_says_the_pixel_size(labels, tmp_path: Path, name: str) -> None:
    import tifffile

    many = labels + 2**17 * (labels == labels.max())  # 32 bits, which ImageJ's format has not
    path = write_labels_as(tmp_path / name, many, pixel_size=(0.5, 0.25), unit="um")
    with tifffile.TiffFile(path) as tiff:
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
        np.testing.assert_array_equal(tiff.asarray(), many)
    assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeXUnit"]) == (0.25, "µm")
    assert (pixels["PhysicalSizeY"], pixels["PhysicalSizeYUnit"]) == (0.5, "µm")
    assert (pixels["SizeX"], pixels["SizeY"]) == labels.shape[::-1]


def test_labels_that_imagej_calibrated_are_read(labels, tmp_path: Path) -> None:
    import tifffile

    from napari_samhq.io.labels import read_labels

    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        labels.astype(np.uint16),
        imagej=True,
        resolution=(4, 2),
        metadata={"unit": "micron", "axes": "YX"},
    )
    found = read_labels(path)
    assert found.calibration.pixel_size == (0.5, 0.25)
    assert found.calibration.units == ("um", "um")
    # Dots per inch say how large it is on paper.
    tifffile.imwrite(path, labels.astype(np.uint16), resolution=(300, 300), resolutionunit="INCH")
    assert read_labels(path).calibration is None


def test_roifile_fills_to_the_same_pixels(labels, tmp_path: Path) -> None:
    import roifile
    import shapely

    path = write_labels_as(tmp_path / "a.zip", labels)
    found = np.zeros_like(labels)
    ids = [label_id for label_id in np.unique(labels) if label_id]
    rows, cols = np.mgrid[: labels.shape[0], : labels.shape[1]] + 0.5
    for label_id, roi in zip(ids, roifile.roiread(path), strict=True):
        assert roi.name == f"Object {label_id}"
        rings = roi.coordinates(multi=True)
        inside = np.zeros(labels.shape, dtype=bool)
        for ring in rings if isinstance(rings, list) else [rings]:
            inside ^= shapely.contains_xy(shapely.Polygon(ring), cols, rows)
        found[inside] = label_id
    np.testing.assert_array_equal(found, labels)


def test_zarr_levels_lie_on_each_other(labels, tmp_path: Path) -> None:
    import zarr

    big = np.kron(labels, np.ones((4, 4), dtype=np.int32))
    path = write_labels_as(tmp_path / "a.ome.zarr", big, pixel_size=(0.5, 0.25), unit="um")
    group = zarr.open_group(path, mode="r")
    (multiscale,) = group.attrs["ome"]["multiscales"]
    assert multiscale["axes"] == [
        {"name": name, "type": "space", "unit": "micrometer"} for name in "yx"
    ]
    for number, dataset in enumerate(multiscale["datasets"]):
        (step,) = dataset["coordinateTransformations"]
        assert step == {"type": "scale", "scale": [0.5 * 2**number, 0.25 * 2**number]}
        # The centre of each pixel has the label that it has at full resolution.
        level = group[dataset["path"]]
        np.testing.assert_array_equal(level[:, :], big[:: 2**number, :: 2**number])
    assert len(multiscale["datasets"]) == 3
    assert max(level.shape) <= 256


def test_geojson_is_as_qupath_writes_it(labels, tmp_path: Path) -> None:
    import shapely

    content = json.loads(write_labels_as(tmp_path / "a.geojson", labels).read_text())
    assert content["type"] == "FeatureCollection"
    for feature in content["features"]:
        label_id = feature["properties"]["measurements"]["label_id"]
        geometry = shapely.geometry.shape(feature["geometry"])
        assert geometry.is_valid
        assert geometry.area == (labels == label_id).sum()
        assert feature["properties"]["objectType"] == "annotation"
    assert sum(len(f["geometry"]["coordinates"]) > 1 for f in content["features"]) == 1  # the hole
