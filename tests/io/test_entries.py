"""One bad entry does not refuse the other ninety-nine: left out, counted, named; or strict."""

from __future__ import annotations

import json
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.errors import FileError, SamHQError, SamHQWarning
from napari_samhq.io.coco import chosen_image, read_coco, read_coco_boxes
from napari_samhq.io.geojson import read_geojson
from napari_samhq.io.geojson_prompts import read_geojson_prompts
from napari_samhq.io.imagej import read_imagej_rois, write_imagej_rois
from napari_samhq.io.json_files import read_json, write_json
from napari_samhq.io.layer_data import read_layer_data
from napari_samhq.io.objects import FileObject
from napari_samhq.io.prompt_files import read_prompts
from napari_samhq.io.results import read_objects

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (100, 1200)
NAN = float("nan")


def _square(index: int) -> list[list[float]]:
    x = 12 * (index % 99)
    return [[x, 10], [x + 10, 10], [x + 10, 20], [x, 20], [x, 10]]


def _feature(ring: Any, **more) -> dict[str, Any]:
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "geometry": geometry, "properties": {}} | more


def _geojson(folder: Path, *bad: Any, note: dict | None = None) -> Path:
    features = [_feature(_square(n)) for n in range(99)]
    features[50:50] = bad
    content = {"type": "FeatureCollection", "features": features, "napari_samhq": note or {}}
    (folder / "a.geojson").write_text(json.dumps(content))
    return folder / "a.geojson"


def _coco(folder: Path, *bad: Any, images: list | None = None) -> Path:
    annotations: list[Any] = [
        {
            "id": n,
            "image_id": 1,
            "category_id": 1,
            "bbox": [12 * n, 10, 10, 10],
            "segmentation": [[v for corner in _square(n) for v in corner]],
        }
        for n in range(99)
    ]
    annotations[50:50] = bad
    listed = images or [{"id": 1, "file_name": "a.tif", "height": 100, "width": 1200}]
    content = {"images": listed, "annotations": annotations, "categories": []}
    (folder / "a.json").write_text(json.dumps(content))
    return folder / "a.json"


def _one(**changes) -> dict[str, Any]:
    good = {"id": 777, "image_id": 1, "category_id": 1, "bbox": [5, 5, 5, 5]}
    return {**good, "segmentation": [[5, 5, 9, 5, 9, 9, 5, 9]], **changes}


BAD_FEATURES = [
    pytest.param(None, id="FM-90-null"),
    pytest.param(_feature([]), id="FM-90-empty"),
    pytest.param(_feature([[1, 1], [5, 5]]), id="FM-90-two-points"),
    pytest.param(_feature([[1, 1], [5, 1], [9, 1], [1, 1]]), id="FM-90-no-area"),
    pytest.param(_feature(_square(0), geometry=None), id="FM-90-no-geometry"),
    pytest.param(_feature([["a", 1], [5, 5], [9, 9]]), id="FM-90-text"),
    pytest.param(_feature([[NAN, 1], [5, 5], [9, 1], [NAN, 1]]), id="FM-82-nan-coordinate"),
    pytest.param(
        _feature([[-50, -50], [-10, -50], [-10, -10], [-50, -10], [-50, -50]]),
        id="FM-91-negative",
    ),
    pytest.param(_feature(_square(1), properties=[3]), id="FM-90-properties"),
]


@pytest.mark.parametrize("bad", BAD_FEATURES)
def test_one_bad_feature_is_left_out(tmp_path: Path, bad: Any) -> None:
    path = _geojson(tmp_path, bad)
    with pytest.warns(SamHQWarning, match=r"1 of 100 features left out: feature 51") as told:
        objects = read_geojson(path)
    assert (len(objects), len(told)) == (99, 1)
    with pytest.warns(SamHQWarning, match="left out"):
        ((labels, options, _),) = read_layer_data(path)
    assert len(options["features"]) == 99
    assert len(np.unique(labels)) == 100
    for read in (read_geojson, read_objects, read_layer_data):
        with pytest.raises(FileError, match="feature 51"):
            read(path, strict=True)


BAD_ANNOTATIONS = [
    pytest.param(None, id="FM-90-null"),
    pytest.param(_one(segmentation=[[]]), id="FM-90-empty-polygon"),
    pytest.param(_one(segmentation=[]), id="FM-90-no-polygon"),
    pytest.param(_one(segmentation=[[5, 5, 6, 6]]), id="FM-90-two-points"),
    pytest.param(_one(segmentation=[5, 5, 9, 5, 9, 9, 5, 9]), id="FM-90-flat-list"),
    pytest.param(_one(segmentation={"size": [1, 1], "counts": "x"}), id="FM-90-other-size"),
    pytest.param(_one(image_id=9), id="FM-90-no-image"),
    pytest.param(_one(image_id=[1]), id="FM-90-image-list"),
    pytest.param(_one(segmentation=[[-9, -9, -5, -9, -5, -5, -9, -5]]), id="FM-91-negative"),
]


@pytest.mark.parametrize("bad", BAD_ANNOTATIONS)
def test_one_bad_annotation_is_left_out(tmp_path: Path, bad: Any) -> None:
    path = _coco(tmp_path, bad)
    with pytest.warns(SamHQWarning, match=r"1 of 100 annotations left out: annotation") as told:
        ((image),) = read_coco(path)
    assert (len(image.objects), len(told)) == (99, 1)
    with pytest.raises(FileError, match="annotation"):
        read_coco(path, strict=True)


def test_the_good_part_of_an_annotation_stays(tmp_path: Path) -> None:
    two = _one(segmentation=[[5, 50, 9, 50, 9, 54, 5, 54], [5, 5, 6, 6]])
    path = _coco(tmp_path, two)
    with pytest.warns(SamHQWarning, match="1 of 100 annotations left out in part"):
        objects = read_objects(path)
    assert len(objects) == 100
    assert objects[50].mask.array().sum() == 16
    with pytest.raises(FileError, match="annotation 777"):
        read_objects(path, strict=True)


@pytest.mark.parametrize(
    "box", [[1, 2, 0, 4], [1, 2, 3], None, [NAN, 1, 2, 3]], ids=["flat", "three", "none", "nan"]
)
def test_one_bad_box_is_left_out(tmp_path: Path, box: Any) -> None:
    path = _coco(tmp_path, _one(bbox=box))
    with pytest.warns(SamHQWarning, match="1 of 100 annotations left out: annotation 777"):
        assert len(read_coco_boxes(path)) == 99
    with pytest.raises(FileError, match="annotation 777"):
        read_prompts(path, strict=True)


def test_what_is_wrong_with_another_image_does_not_matter(tmp_path: Path) -> None:
    listed = [{"id": n, "file_name": f"{n}.tif", "height": 100, "width": 1200} for n in (1, 2)]
    path = _coco(tmp_path, _one(image_id=2, bbox=None, segmentation=[[]]), images=listed)
    assert len(read_objects(path, image_name="1.tif", strict=True)) == 99
    assert len(read_prompts(path, "1.tif", strict=True)) == 99
    for read in (read_objects, read_prompts):
        with pytest.raises(FileError, match="annotation 777"):
            read(path, image_name="2.tif")


def test_one_bad_image_is_left_out_with_what_belongs_to_it(tmp_path: Path) -> None:
    images = [
        {"id": 1, "file_name": "a.tif", "height": 100, "width": 1200},
        {"id": 2, "file_name": "b.tif", "height": None, "width": None},
    ]
    path = _coco(tmp_path, _one(image_id=2), images=images)
    with pytest.warns(SamHQWarning) as told:
        (image,) = read_coco(path)
    assert len(image.objects) == 99
    assert [("image 2" in str(one.message)) for one in told] == [True, True]


@pytest.fixture
def rois(tmp_path: Path) -> Path:
    mask = CroppedMask.of(np.ones((10, 10), dtype=bool), (10, 20))
    objects = [FileObject(n, mask, name=f"cell {n}") for n in range(1, 100)]
    return write_imagej_rois(tmp_path / "rois.zip", objects)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("__MACOSX/RoiSet/._0001.roi", b"\0\5\26\7" + b"\0" * 80, id="FM-89-macosx"),
        pytest.param("._0001.roi", b"\0\5\26\7" + b"\0" * 80, id="FM-89-apple-double"),
        pytest.param("empty.roi", b"", id="FM-90-empty"),
        pytest.param("cut.roi", None, id="FM-90-cut"),
        pytest.param("line.roi", "LINE", id="FM-90-line"),
    ],
)
def test_one_bad_roi_is_left_out(rois: Path, name: str, content: bytes | str | None) -> None:
    import roifile

    if isinstance(content, str):
        roi = roifile.ImagejRoi.frompoints(np.array([[1, 1], [5, 5]]))
        roi.roitype = roifile.ROI_TYPE[content]
        content = roi.tobytes()
    with zipfile.ZipFile(rois, "a") as archive:
        if content is None:
            content = archive.read(archive.namelist()[0])[:70]
        archive.writestr(name, content)
    with pytest.warns(SamHQWarning, match=rf"1 of 100 ROIs left out: {name}") as told:
        assert len(read_imagej_rois(rois)) == 99
    assert len(told) == 1
    with pytest.raises(FileError, match=name):
        read_imagej_rois(rois, strict=True)


def test_a_file_without_a_good_entry_says_why(tmp_path: Path) -> None:
    content = {"type": "FeatureCollection", "features": [_feature([]), _feature([[1, 1], [2, 2]])]}
    (tmp_path / "b.geojson").write_text(json.dumps(content))
    with pytest.raises(FileError, match="none of its 2 features can be used"):
        read_geojson(tmp_path / "b.geojson")


def test_prompts_that_lie_outside_are_left_out(tmp_path: Path) -> None:
    path = _geojson(tmp_path, _feature([[2000, 5], [2010, 5], [2010, 9], [2000, 5]]))
    with pytest.warns(SamHQWarning, match="1 of 100 objects left out: object 51"):
        assert len(read_prompts(path, shape=SHAPE)) == 99
    with pytest.raises(SamHQError, match="object 51"):
        read_prompts(path, shape=SHAPE, strict=True)


# ------------------------------------------------------------------------------- sizes, names, NaN


@pytest.mark.parametrize("kind", [pytest.param("json", id="FM-81-coco"),
                                  pytest.param("geojson", id="FM-81-geojson")])  # fmt: skip
def test_files_of_another_image_size_are_refused(tmp_path: Path, kind: str) -> None:
    note = {"image_shape": list(SHAPE)}
    path = _coco(tmp_path) if kind == "json" else _geojson(tmp_path, note=note)
    assert len(read_objects(path, SHAPE)) == len(read_prompts(path, shape=SHAPE)) == 99
    for shape in ((200, 2400), (1200, 100)):
        told = rf"100 x 1200 pixels, and this one has {shape[0]} x {shape[1]}"
        with pytest.raises(FileError, match=told):
            read_objects(path, shape)
        with pytest.raises(FileError, match=told):
            read_prompts(path, shape=shape)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        pytest.param("plate1.A01.tif", 0, id="FM-80-other-extension"),
        pytest.param("plate1.A01", 0, id="FM-80-no-extension"),
        pytest.param("C:\\x\\plate1.A02.ome.tif", 1, id="FM-80-ome"),
        pytest.param("plate1.tif", None, id="FM-80-shorter"),
        pytest.param("plate1.A03.tif", None, id="FM-80-other-field"),
    ],
)
def test_dots_belong_to_names(wanted: str, index: int | None) -> None:
    names = ["run/plate1.A01.png", "run/plate1.A02.png", "plate2.A01.png"]
    if index is None:
        with pytest.raises(FileError, match="no image"):
            chosen_image(names, wanted, "f.json")
    else:
        assert chosen_image(names, wanted, "f.json") == index


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_nobody_reads_may_be_none(tmp_path: Path, number: str) -> None:
    measured = f'{{"Nucleus: Min caliper": {number}, "Cell: Area": 400.0, "score": {number}}}'
    ring = json.dumps(_square(1))
    (tmp_path / "q.geojson").write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type": '
        f'"Polygon", "coordinates": [{ring}]}}, "properties": {{"measurements": {measured}}}}}]}}'
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (one,) = read_objects(tmp_path / "q.geojson")
    assert one.mask.array().sum() == 100
    assert one.score is None
    assert one.extra["measurements"] == {"Cell: Area": 400.0}
    content = json.dumps({"x": [1.0, {"y": 5.0}]}).replace("5.0", number)
    (tmp_path / "a.json").write_text(content)
    written = write_json(tmp_path / "b.json", read_json(tmp_path / "a.json"))
    assert json.loads(written.read_text()) == {"x": [1.0, {"y": None}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param({"_via_img_metadata": {}}, "VGG Image Annotator", id="FM-88-via-project"),
        pytest.param({"a.png12": {"filename": "a.png", "regions": []}}, "VIA", id="FM-88-via"),
        pytest.param({"categories": {}, "items": []}, "Datumaro", id="FM-88-cvat"),
        pytest.param([{"id": 1, "data": {}, "annotations": []}], "Label Studio", id="FM-88-studio"),
        pytest.param([{"image_id": 1, "category_id": 1, "bbox": []}], "loadRes", id="FM-88-list"),
        pytest.param({"type": "FeatureCollection", "features": []}, r"\.geojson", id="FM-88-geo"),
        pytest.param({"format": "napari-samhq session"}, r"\.samhq\.json", id="FM-88-session"),
        pytest.param({"a": 1, "b": 2}, "a, b in it", id="FM-88-unknown"),
        pytest.param([], "an empty list", id="FM-88-empty-list"),
    ],
)  # fmt: skip
def test_other_json_is_called_by_its_name(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "im.json"
    path.write_text(json.dumps(content))
    for read in (read_prompts, read_objects, read_coco):
        with pytest.raises(FileError, match=rf"im\.json is .*{message}"):
            read(path)
    if "geojson" not in message and content != []:
        with pytest.raises(FileError, match=r"a\.geojson is "):
            read_geojson_prompts(path.rename(tmp_path / "a.geojson"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
def test_json_of_any_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.json").write_bytes(json.dumps({"Größe": "µm"}).encode(encoding))
    assert read_json(tmp_path / "a.json") == {"Größe": "µm"}
