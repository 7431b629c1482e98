"""ROIs, overlays and label images as prompts."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import roifile
import tifffile

from napari_samhq.errors import FileError, ImageError, SamHQWarning
from napari_samhq.io.imagej_prompts import has_overlay, read_imagej_prompts
from napari_samhq.io.labels import write_labels
from napari_samhq.io.objects import objects_of
from napari_samhq.io.prompt_files import read_drawn, read_prompts

SHAPE = (60, 80)
KIND = roifile.ROI_TYPE


def roi(points, kind, name="r"):
    made = roifile.ImagejRoi.frompoints(np.array(points), name=name)
    made.roitype = kind
    return made


def frame(kind, left, top, right, bottom):
    made = roifile.ImagejRoi()
    made.roitype, made.version, made.name = kind, 228, "frame"
    made.left, made.top, made.right, made.bottom = left, top, right, bottom
    return made


def some_rois():
    return [
        roi([[2, 3], [9, 3], [9, 9], [2, 9]], KIND.POLYGON),
        frame(KIND.RECT, 30, 20, 40, 35),
        frame(KIND.OVAL, 50, 20, 60, 30),
        roi([[5, 50], [7, 52]], KIND.POINT),
        roi([[10, 40], [30, 40]], KIND.POLYLINE),
    ]


def zipped(path, rois):
    with zipfile.ZipFile(path, "w") as archive:
        for number, one in enumerate(rois):
            archive.writestr(f"{number}.roi", one.tobytes())
    return path


def check_prompts(prompts):
    assert list(prompts) == [1, 2, 3, 4, 5, 6]
    assert prompts[1].mask.region == (slice(3, 9), slice(2, 9))
    assert prompts[1].mask.area == 42
    assert prompts[2].box.tolist() == [19.5, 29.5, 34.5, 39.5]
    assert prompts[2].mask is None
    assert prompts[3].mask.area == pytest.approx(np.pi * 25, rel=0.06)
    assert prompts[4].points.tolist() == [[50, 5]]
    assert prompts[5].points.tolist() == [[52, 7]]
    assert len(prompts[6].points) == 2


def test_FM_95_rois_of_any_kind_are_prompts(tmp_path):
    check_prompts(read_prompts(zipped(tmp_path / "a.zip", some_rois()), shape=SHAPE))


def test_FM_95_the_overlay_of_a_tiff_is_read(tmp_path):
    pixels = np.zeros(SHAPE, np.uint8)
    path = tmp_path / "a.tif"
    overlays = [one.tobytes() for one in some_rois()]
    tifffile.imwrite(path, pixels, imagej=True, metadata={"Overlays": overlays})
    assert has_overlay(path)
    check_prompts(read_prompts(path, shape=SHAPE))
    tifffile.imwrite(path, pixels, imagej=True, metadata={"ROI": overlays[1]})
    assert read_prompts(path, shape=SHAPE)[1].box.tolist() == [19.5, 29.5, 34.5, 39.5]


def test_FM_95_composites_are_rough_masks(tmp_path):
    from napari_samhq.io.imagej import write_imagej_rois

    labels = np.zeros(SHAPE, int)
    labels[10:30, 10:30] = 1
    labels[15:20, 15:20] = 0
    path = write_imagej_rois(tmp_path / "a.zip", objects_of(labels))
    [drawn] = read_imagej_prompts(path, SHAPE).values()
    np.testing.assert_array_equal(drawn.mask.within(SHAPE), labels > 0)


def test_FM_95_a_roi_that_says_nothing_is_left_out(tmp_path):
    angle = roi([[1, 1], [5, 5], [9, 1]], KIND.ANGLE)
    path = zipped(tmp_path / "a.zip", [angle, *some_rois()])
    with pytest.warns(SamHQWarning, match="1 of 6 ROIs left out"):
        assert len(read_drawn(path, shape=SHAPE)) == 6
    with pytest.raises(FileError, match="ANGLE"):
        read_drawn(path, shape=SHAPE, strict=True)


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.npy", "a.ome.zarr"])
def test_FM_95_labels_are_rough_masks(name, tmp_path):
    labels = np.zeros(SHAPE, np.int32)
    labels[10:30, 10:30], labels[40:44, 60:70] = 3, 9
    path = write_labels(tmp_path / name, labels)
    prompts = read_prompts(path, shape=SHAPE)
    assert list(prompts) == [3, 9]
    np.testing.assert_array_equal(prompts[3].mask.within(labels.shape), labels == 3)
    assert prompts[9].box.tolist() == [39.5, 59.5, 43.5, 69.5]
    with pytest.raises(FileError, match="60 x 80"):
        read_prompts(path, shape=(30, 30))


def test_FM_95_a_stack_of_labels_has_planes(tmp_path):
    labels = np.zeros((3, *SHAPE), np.int32)
    labels[1, 2:9, 2:9] = 5
    path = write_labels(tmp_path / "a.tif", labels)
    assert list(read_prompts(path, shape=SHAPE, plane=[1])) == [5]
    with pytest.raises(ImageError, match="one index each"):
        read_prompts(path, shape=SHAPE)


def test_FM_95_pictures_are_no_labels(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full(SHAPE, 0.5, np.float32))
    with pytest.raises(ImageError, match="a.tif"):
        read_prompts(path, shape=SHAPE)
