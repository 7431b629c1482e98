"""Prompts from GeoJSON, COCO and session files: the same prompts that somebody drew."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.images.identity import ImageIdentity
from napari_samhq.core.journal.drafts import Draft, Drafts
from napari_samhq.core.journal.shapes_drawn import Drawn, DrawnPoint, DrawnShape
from napari_samhq.core.labels.sparse_labels import SparseLabels
from napari_samhq.errors import FileError, PromptError, SamHQWarning
from napari_samhq.io.coco import chosen_image
from napari_samhq.io.geojson_prompts import read_geojson_prompts, write_geojson_prompts
from napari_samhq.io.prompt_files import read_prompts
from napari_samhq.io.session_document import SavedLabels, SavedSession
from napari_samhq.io.session_files import write_session

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (60, 80)


def _feature(kind: str, coordinates, name: str = "", **properties) -> dict:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {"name": name or None, **properties},
    }


@pytest.fixture
def geojson(tmp_path: Path):
    def write(*features: dict, **more) -> Path:
        path = tmp_path / "prompts.geojson"
        path.write_text(
            json.dumps({"type": "FeatureCollection", "features": list(features), **more})
        )
        return path

    return write


def test_points_of_qupath_lie_on_the_pixels_under_them(geojson) -> None:
    path = geojson(_feature("Point", [20.5, 10.5]), _feature("MultiPoint", [[1, 2], [3, 4]]))
    prompts = read_prompts(path)
    assert prompts[1].points.tolist() == [[10, 20]]
    assert prompts[2].points.tolist() == [[1.5, 0.5], [3.5, 2.5]]
    assert prompts[2].point_labels.tolist() == [1, 1]


def test_features_of_one_name_are_one_object_and_classes_say_what_is_beside(geojson) -> None:
    path = geojson(
        _feature("Point", [20.5, 10.5], "a"),
        _feature("Point", [5.5, 5.5], "b"),
        _feature("Point", [30.5, 11.5], "a", classification={"name": "Ignore*"}),
    )
    prompts = read_prompts(path)
    assert prompts[1].points.tolist() == [[10, 20], [11, 30]]
    assert prompts[1].point_labels.tolist() == [1, 0]
    assert prompts[2].points.tolist() == [[5, 5]]


def test_label_ids_are_kept_and_the_others_get_free_ones(geojson) -> None:
    numbered = {"measurements": {"label_id": 2}}
    path = geojson(
        _feature("Point", [1, 1]), _feature("Point", [2, 2], **numbered), _feature("Point", [3, 3])
    )
    assert {n: p.points[0, 0] for n, p in read_prompts(path).items()} == {1: 0.5, 2: 1.5, 3: 2.5}


def test_areas_become_boxes_and_with_the_image_known_masks(geojson) -> None:
    box = [[[10, 5], [30, 5], [30, 25], [10, 25], [10, 5]]]
    triangle = [[[10, 5], [30, 5], [30, 25], [10, 5]]]
    line = [[4.5, 8.5], [44.5, 8.5]]
    path = geojson(
        _feature("Polygon", box), _feature("Polygon", triangle), _feature("LineString", line)
    )
    for prompts in (read_prompts(path), read_prompts(path, shape=SHAPE)):
        assert prompts[1].box.tolist() == prompts[2].box.tolist() == [4.5, 9.5, 24.5, 29.5]
        assert prompts[1].mask is None
        assert prompts[3].points[:, 0].tolist() == [8] * 5
    assert prompts[2].mask.region == (slice(5, 25), slice(10, 30))
    assert 180 < prompts[2].mask.area < 220


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (_feature("Point", [1, 1], classification={"name": "Background"}), "says which"),
        (
            _feature("LineString", [[1, 1], [5, 5]], classification={"name": "Negative"}),
            "only points",
        ),
    ],
)
def test_what_lies_beside_needs_an_object(geojson, feature: dict, message: str) -> None:
    with pytest.raises(FileError, match=message):
        read_prompts(geojson(feature))


@pytest.mark.parametrize((), [pytest.param(id="FM-40-crs")])
def test_places_on_a_map_are_no_pixels(geojson) -> None:
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}
    with pytest.raises(FileError, match="coordinate reference system"):
        read_prompts(geojson(_feature("Point", [8.4, 49.0]), crs=crs))
    # What holds where nothing is said, and some libraries write in any case.
    crs["properties"]["name"] = "urn:ogc:def:crs:OGC:1.3:CRS84"
    assert list(read_prompts(geojson(_feature("Point", [8.4, 49.0]), crs=crs))) == [1]


def test_an_empty_file_has_no_prompt(geojson) -> None:
    with pytest.raises(FileError, match="no prompt in it"):
        read_prompts(geojson())


def test_prompts_are_the_same_after_a_round_trip(tmp_path: Path) -> None:
    square = ((4.5, 9.5), (4.5, 29.5), (24.5, 29.5), (24.5, 9.5))
    prompts = {
        3: Drawn((DrawnPoint(10.25, 20), DrawnPoint(3, 4, positive=False))),
        7: Drawn(shapes=(DrawnShape("rectangle", square),)),
        9: Drawn(shapes=(DrawnShape("path", ((1.0, 2.0), (5.0, 6.5), (7.0, 2.0))),)),
    }
    path = write_geojson_prompts(tmp_path / "p.geojson", prompts)
    again = read_geojson_prompts(path)
    assert again[3] == prompts[3]
    assert again[9] == prompts[9]
    assert set(again[7].shapes[0].vertices) == set(square)
    assert again[7].shapes[0].kind == "rectangle"
    with pytest.raises(FileError, match="exists already"):
        write_geojson_prompts(path, {})


def _coco(tmp_path: Path, *boxes, images: int = 1, **more) -> Path:
    path = tmp_path / "boxes.json"
    annotations = [
        {"id": 5 + n, "image_id": 1 + n % images, "category_id": 1, "bbox": box, **more}
        for n, box in enumerate(boxes)
    ]
    listed = [
        {"id": n, "file_name": f"run/{n}.tif", "height": 60, "width": 80}
        for n in range(1, images + 1)
    ]
    content = {
        "images": listed,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "x"}],
    }
    path.write_text(json.dumps(content))
    return path


def test_boxes_of_coco_reach_to_the_edges_of_pixels(tmp_path: Path) -> None:
    prompts = read_prompts(_coco(tmp_path, [20, 10, 5, 4], [0, 0, 1, 1]))
    assert prompts[1].box.tolist() == [9.5, 19.5, 13.5, 24.5]
    assert prompts[2].box.tolist() == [-0.5, -0.5, 0.5, 0.5]


def test_of_several_images_one_is_named(tmp_path: Path) -> None:
    path = _coco(tmp_path, [20, 10, 5, 4], [30, 10, 5, 4], images=2)
    with pytest.raises(FileError, match=r"2 images \(run/1.tif, run/2.tif\)"):
        read_prompts(path)
    assert read_prompts(path, "2.tif")[1].box[1] == 29.5
    with pytest.raises(FileError, match=r"no image '3\.tif'"):
        read_prompts(path, "3.tif")


@pytest.mark.parametrize(
    "wanted", ["a/x.tif", "/somewhere/a/../x.tif", "C:\\data\\x.tif", "x.png", "x"]
)
def test_images_are_found_wherever_they_are_now(wanted: str) -> None:
    assert chosen_image(["b/y.tif", "a/x.tif"], wanted, "f.json") == 1


def test_the_same_name_in_two_folders_is_not_guessed() -> None:
    with pytest.raises(FileError, match="or several"):
        chosen_image(["a/x.tif", "b/x.tif"], "x.tif", "f.json")
    assert chosen_image(["a/x.tif", "b/x.tif"], "b/x.tif", "f.json") == 1


@pytest.mark.parametrize(
    "box",
    [
        pytest.param([1, 2, 3], id="FM-38-three-numbers"),
        pytest.param([1, 2, 0, 4], id="FM-38-no-width"),
        pytest.param([1, 2, -3, 4], id="FM-38-negative"),
        pytest.param("box", id="FM-38-text"),
        pytest.param(None, id="FM-38-missing"),
    ],
)
def test_a_box_that_is_none_is_refused(tmp_path: Path, box) -> None:
    with pytest.raises(FileError, match="annotation 5"):
        read_prompts(_coco(tmp_path, box))


def _session(tmp_path: Path, *planes: Plane) -> Path:
    shape = (60, 80) if planes[0].ndim == 2 else (4, 60, 80)
    labels = SavedLabels("cells", SparseLabels(shape, np.dtype(np.int32)))
    drafts = {
        plane: Drafts((Draft(number, Drawn((DrawnPoint(10.0, 20.0 + number),))),), None)
        for number, plane in enumerate(planes, start=1)
    }
    image = ImageIdentity("cells", shape, "uint8", "0")
    saved = SavedSession(image, labels, "micro", drafts=drafts)
    return write_session(tmp_path / "cells.samhq.json", saved)


def test_prompts_of_a_session_come_from_its_file(tmp_path: Path) -> None:
    prompts = read_prompts(_session(tmp_path, Plane((0, 1))), shape=SHAPE)
    assert {n: p.points.tolist() for n, p in prompts.items()} == {1: [[10, 21]]}


def test_a_session_of_a_stack_needs_a_plane(tmp_path: Path) -> None:
    path = _session(tmp_path, Plane((1, 2), (0,)), Plane((1, 2), (3,)))
    with pytest.raises(FileError, match=r"2 planes, at \(0,\), \(3,\)"):
        read_prompts(path)
    assert list(read_prompts(path, plane=[3])) == [2]
    with pytest.raises(FileError, match="no prompt"):
        read_prompts(path, plane=[1])


def test_csv_says_by_its_columns_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("min_row,min_col,max_row,max_col,object\n1,2,3,4,9\n")
    assert read_prompts(path)[9].box.tolist() == [1, 2, 3, 4]
    path.write_text("row,col\n1,2\n")
    assert read_prompts(path)[1].points.tolist() == [[1, 2]]
    path.write_text("1,2,3,4\n")
    with pytest.raises(FileError, match="could be boxes, or points"):
        read_prompts(path)
    path.write_text("row,col\n100,2\n")
    with (
        pytest.warns(SamHQWarning, match="dropped"),
        pytest.raises(PromptError, match="None of the 1 point"),
    ):
        read_prompts(path, shape=SHAPE)


def test_other_files_hold_no_prompts(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"\.geojson"):
        read_prompts(tmp_path / "a.doc")
