"""Files of objects: read back pixel by pixel, by us and by the tools that the formats come from."""

from __future__ import annotations

import contextlib
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.errors import FileError
from napari_samhq.io.coco import CocoImage, read_coco, write_coco
from napari_samhq.io.geojson import read_geojson, write_geojson
from napari_samhq.io.imagej import read_imagej_rois, write_imagej_rois
from napari_samhq.io.objects import FileObject, labels_of, objects_of

SHAPE = (60, 80)


def some_labels() -> np.ndarray:
    """Objects that touch, a ring with something in its hole, corners only, the image's border."""
    labels = np.zeros(SHAPE, np.int32)
    rows, cols = np.ogrid[: SHAPE[0], : SHAPE[1]]
    labels[:10, :12] = 3
    labels[:10, 12:20] = 4
    distance = np.hypot(rows - 35, cols - 30)
    labels[(distance < 14) & (distance > 7)] = 70_000
    labels[distance < 4] = 9
    labels[50, 60] = labels[51, 61] = 12  # one object in two pieces that touch at a corner
    labels[40:, 70:] = 5
    return labels


@pytest.fixture
def labels() -> np.ndarray:
    return some_labels()


@pytest.fixture
def objects(labels) -> list[FileObject]:
    return list(objects_of(labels))


def test_labels_taken_apart_and_painted_again_are_the_same(labels, objects):
    np.testing.assert_array_equal(labels_of(objects, SHAPE), labels)
    assert [one.label_id for one in objects] == [3, 4, 5, 9, 12, 70_000]


def test_objects_without_a_number_get_the_next_free_one():
    pixel = CroppedMask.of([[True]])
    two = [FileObject(4, pixel), FileObject(0, CroppedMask.of([[True]], (0, 1)))]
    assert labels_of(two).tolist() == [[4, 5]]


@pytest.mark.parametrize(
    ("write", "read", "name"),
    [
        pytest.param(write_geojson, read_geojson, "a.geojson", id="geojson"),
        pytest.param(write_imagej_rois, read_imagej_rois, "a.zip", id="imagej"),
    ],
)
def test_outlines_give_the_same_masks_again(write, read, name, objects, tmp_path):
    again = read(write(tmp_path / name, objects))
    assert [one.mask for one in again] == [one.mask for one in objects]


def test_coco_gives_the_same_objects_again(objects, tmp_path):
    named = [
        FileObject(o.label_id, o.mask, category=c, score=0.5)
        for o, c in zip(objects, "ababab", strict=True)
    ]
    images = [CocoImage("first.tif", SHAPE, tuple(named)), CocoImage("empty.tif", (5, 5), ())]
    again = read_coco(write_coco(tmp_path / "a.json", images))
    assert again == images


# pycocotools asks numpy for arrays in a way that numpy 2 calls old.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
class TestReferenceReaders:
    """What we write, read by the tools that the formats come from."""

    def test_pycocotools_reads_our_file(self, labels, objects, tmp_path, capsys):
        from pycocotools.coco import COCO

        path = write_coco(tmp_path / "a.json", [CocoImage("a.tif", SHAPE, tuple(objects))])
        theirs = COCO(str(path))
        for annotation in theirs.loadAnns(theirs.getAnnIds()):
            mask = theirs.annToMask(annotation).astype(bool)
            np.testing.assert_array_equal(mask, labels == annotation["label_id"])
            assert annotation["area"] == mask.sum()
            rows, cols = np.nonzero(mask)
            left, top, width, height = annotation["bbox"]
            assert (left, top) == (cols.min(), rows.min())
            assert (width, height) == (np.ptp(cols) + 1, np.ptp(rows) + 1)

    def test_pycocotools_fills_our_polygons(self, labels, objects, tmp_path):
        from pycocotools.coco import COCO

        solid = tuple(one for one in objects if one.label_id != 70_000)
        path = write_coco(tmp_path / "a.json", [CocoImage("a.tif", SHAPE, solid)], polygons=True)
        theirs = COCO(str(path))
        for annotation in theirs.loadAnns(theirs.getAnnIds()):
            mask = theirs.annToMask(annotation).astype(bool)
            np.testing.assert_array_equal(mask, labels == annotation["label_id"])

    def test_we_read_what_pycocotools_encodes(self, labels, tmp_path):
        from pycocotools import mask as coco

        encoded = coco.encode(np.asfortranarray((labels == 70_000).astype(np.uint8)))
        content = _coco_of({"size": encoded["size"], "counts": encoded["counts"].decode()})
        (image,) = read_coco(_written(tmp_path, content))
        np.testing.assert_array_equal(image.objects[0].mask.within(SHAPE), labels == 70_000)

    def test_shapely_reads_our_geojson(self, labels, objects, tmp_path):
        import shapely

        path = write_geojson(tmp_path / "a.geojson", objects)
        collection = shapely.from_geojson(path.read_text())
        areas = [geometry.area for geometry in collection.geoms]
        assert areas == [(labels == one.label_id).sum() for one in objects]

    def test_roifile_reads_our_zip(self, labels, objects, tmp_path):
        import roifile

        rois = roifile.roiread(write_imagej_rois(tmp_path / "a.zip", objects))
        assert [roi.name for roi in rois] == [f"Object {one.label_id}" for one in objects]
        left, top, right, bottom = (
            getattr(rois[0], side) for side in ("left", "top", "right", "bottom")
        )
        assert (left, top) == (0, 0)
        assert right >= 12
        assert bottom >= 10


def test_qupath_finds_its_own_words(objects, tmp_path):
    named = [FileObject(7, objects[0].mask, "my cell", "Tumor", 0.25, {"isLocked": True})]
    (feature,) = json.loads(write_geojson(tmp_path / "a.geojson", named).read_text())["features"]
    assert feature["properties"]["objectType"] == "annotation"
    assert feature["properties"]["classification"]["name"] == "Tumor"
    assert read_geojson(tmp_path / "a.geojson") == named
    assert read_geojson(tmp_path / "a.geojson")[0].extra == {"isLocked": True}


def test_polygons_of_coco_refuse_holes_and_write_nothing(objects, tmp_path):
    with pytest.raises(FileError, match="hole"):
        write_coco(tmp_path / "a.json", [CocoImage("a.tif", SHAPE, tuple(objects))], polygons=True)
    assert not list(tmp_path.iterdir())


def _coco_of(segmentation, **annotation):
    return {
        "images": [{"id": 1, "file_name": "a", "height": SHAPE[0], "width": SHAPE[1]}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": segmentation, **annotation}
        ],
    }


def _written(folder, content):
    path = folder / "in.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


SIZE = list(SHAPE)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(_coco_of({"size": SIZE, "counts": [5]}), id="FM-39-sum-too-small"),
        pytest.param(_coco_of({"size": SIZE, "counts": [-1, 4801]}), id="FM-39-negative"),
        pytest.param(_coco_of({"size": SIZE, "counts": "0" * 5}), id="FM-39-zeros"),
        pytest.param(_coco_of({"size": SIZE, "counts": "P" * 40}), id="FM-39-overlong"),
        pytest.param(_coco_of({"size": [10**5, 10**5], "counts": ""}), id="FM-39-size-bomb"),
        pytest.param(_coco_of({"size": [1, 1], "counts": [1]}), id="FM-39-other-size"),
        pytest.param(_coco_of([[1, 2, 3]]), id="FM-40-too-few-corners"),
        pytest.param(_coco_of("mask"), id="FM-38-segmentation-is-text"),
        pytest.param(_coco_of([[1, 2, 3, "4", 5, 6]]), id="FM-38-coordinate-is-text"),
        pytest.param(_coco_of([[1, 2, 3, 4, 5, 6]], image_id=3), id="FM-38-unknown-image"),
        pytest.param('{"images": [], "images": []}', id="FM-38-key-twice"),
        pytest.param('{"images": NaN}', id="FM-38-nan"),
        pytest.param("[" * 100_000, id="FM-38-deep"),
        pytest.param("[]", id="FM-38-list"),
        pytest.param("", id="FM-38-empty"),
    ],
)
def test_coco_that_makes_no_sense_is_refused_in_words(content, tmp_path):
    with pytest.raises(FileError):
        read_coco(_written(tmp_path, content))


@settings(deadline=None, max_examples=60)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["images", "annotations", "id", "size", "counts", "segmentation"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "in.json"
    path.write_text(json.dumps(content, allow_nan=True))
    with contextlib.suppress(FileError):
        read_coco(path)


OUTSIDE = [[20, 20], [22, 20], [22, 22], [20, 20]]
SQUARE = [[0, 0], [6, 0], [6, 6], [0, 6], [0, 0]]


def _feature(geometry):
    return {"type": "Feature", "geometry": geometry, "properties": {}}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(_feature({"type": "Point", "coordinates": [1, 2]}), id="FM-40-point"),
        pytest.param(
            _feature({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}), id="FM-40-two-corners"
        ),
        pytest.param(
            _feature({"type": "Disc", "coordinates": [1, 2]}), id="FM-40-unknown-geometry"
        ),
        pytest.param(_feature(None), id="FM-40-no-geometry"),
        pytest.param(_feature({"type": "Polygon", "coordinates": []}), id="FM-40-empty"),
        pytest.param(
            _feature({"type": "Polygon", "coordinates": [[["a", 0], [1, 1], [2, 0], ["a", 0]]]}),
            id="FM-40-text",
        ),
        pytest.param({"type": "Topology"}, id="FM-40-other-type"),
    ],
)
def test_geojson_that_makes_no_sense_is_refused_in_words(content, tmp_path):
    with pytest.raises(FileError):
        read_geojson(_written(tmp_path, content))


@pytest.mark.parametrize(
    ("coordinates", "area"),
    [
        pytest.param([[[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]], 50, id="FM-40-bow-tie"),
        pytest.param([SQUARE, OUTSIDE], 36, id="FM-40-hole-outside"),
        pytest.param([[[0, 0, 5], [6, 0, 5], [6, 6, 5], [0, 6, 5], [0, 0, 5]]], 36, id="FM-40-3-D"),
    ],
)
def test_odd_polygons_keep_their_area(coordinates, area, tmp_path):
    path = _written(tmp_path, _feature({"type": "Polygon", "coordinates": coordinates}))
    (one,) = read_geojson(path)
    assert one.mask.array().sum() == pytest.approx(area, abs=10 if area == 50 else 1)


@pytest.mark.parametrize(
    "corners",
    [
        pytest.param(100_000, id="FM-40-100000-corners"),
        pytest.param(1_000_000, id="FM-40-1000000-corners", marks=pytest.mark.slow),
    ],
)
def test_outlines_of_very_many_corners_are_read(corners, tmp_path):
    angle = np.linspace(0, 2 * np.pi, corners)
    ring = np.column_stack([500 + 400 * np.cos(angle), 500 + 400 * np.sin(angle)])
    ring[-1] = ring[0]
    path = _written(tmp_path, _feature({"type": "Polygon", "coordinates": [ring.tolist()]}))
    (one,) = read_geojson(path)
    assert one.mask.array().sum() == pytest.approx(np.pi * 400**2, rel=1e-3)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="FM-37-empty"),
        pytest.param(b"PK\x03\x04 nothing", id="FM-37-no-archive"),
    ],
)
def test_damaged_archives_are_refused_in_words(content, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with pytest.raises(FileError):
        read_imagej_rois(path)


def test_names_in_an_archive_lead_nowhere(objects, tmp_path):
    """FM-37: entries are read in memory; a name such as ../../x writes no file."""
    path = write_imagej_rois(tmp_path / "a.zip", objects[:1])
    evil = tmp_path / "evil.zip"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(evil, "w") as target:
        target.writestr("../../outside.roi", source.read(source.namelist()[0]))
    before = set(tmp_path.parent.rglob("*"))
    assert len(read_imagej_rois(evil)) == 1
    assert set(tmp_path.parent.rglob("*")) == before


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(5):
            archive.writestr(f"{index}.roi", bytes(2**26))
    with pytest.raises(FileError, match="unpacks to"):
        read_imagej_rois(path)


def test_small_objects_in_a_slide_take_little(tmp_path):
    shape = (40_000, 45_000)
    mask = CroppedMask.of(np.eye(30, dtype=bool), (39_960, 44_960))
    path = write_coco(tmp_path / "slide.json", [CocoImage("slide", shape, (FileObject(3, mask),))])
    assert path.stat().st_size < 2000
    (image,) = read_coco(path)
    assert image.objects[0].mask == mask
