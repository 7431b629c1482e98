"""Files opened and saved through napari itself, as its dialogs and drag and drop do it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel
from npe2 import PluginManager, PluginManifest

import napari_samhq
from napari_samhq import _plugin
from napari_samhq.errors import FileError, SamHQWarning
from napari_samhq.io.calibration import read_calibration
from napari_samhq.io.coco import read_coco
from napari_samhq.io.images import open_array
from napari_samhq.io.labels import write_labels
from support.session_work import new_viewer, work

MANIFEST = Path(napari_samhq.__path__[0]) / "napari.yaml"
NAME = "napari-samhq"


@pytest.fixture
def viewer(npe2pm) -> ViewerModel:
    npe2pm.register(PluginManifest.from_file(MANIFEST))
    return ViewerModel()


@pytest.fixture
def labels() -> np.ndarray:
    labels = np.zeros((40, 60), dtype=np.int32)
    labels[3:20, 2:30] = 3
    labels[8:12, 8:15] = 0
    labels[30:35, 50:55] = 300
    return labels


def _layer(viewer: ViewerModel, labels, **options):
    features = pd.DataFrame({"index": [3, 300], "category": ["tumor", ""], "score": [0.5, np.nan]})
    options = {"scale": (0.5, 0.25), "units": ("um", "um"), "features": features} | options
    return viewer.add_labels(labels, name="cells", **options)


@pytest.mark.parametrize(
    "name", ["a.geojson", "a.json", "a.labels.ome.tif", "a.labels.tif", "a.labels.png"]
)
def test_labels_saved_are_the_labels_opened(viewer, labels, tmp_path, name: str) -> None:
    layer = _layer(viewer, labels)
    path = str(tmp_path / name)
    assert viewer.layers.save(path) == [path]
    (again,) = viewer.open(path, plugin=NAME)
    assert type(again) is type(layer)
    np.testing.assert_array_equal(again.data, labels)
    if "png" not in name and name != "a.json":  # which have no place for it
        np.testing.assert_allclose(again.scale, (0.5, 0.25))
        assert {str(unit) for unit in again.units} == {"micrometer"}
    if name in ("a.geojson", "a.json"):
        assert again.features.set_index("index").loc[3, ["category", "score"]].tolist() == [
            "tumor",
            0.5,
        ]


@pytest.mark.parametrize("name", ["a.zip", "a.csv", "a.npy", "a.ome.zarr", "a.ome.tif"])
def test_other_formats_are_written_from_napari(viewer, labels, tmp_path, name: str) -> None:
    _layer(viewer, labels)
    path = tmp_path / name
    assert viewer.layers.save(str(path)) == [str(path)]
    if name in ("a.npy", "a.ome.zarr", "a.ome.tif"):
        np.testing.assert_array_equal(open_array(path)[:, :], labels)
    if name in ("a.ome.zarr", "a.ome.tif"):
        assert read_calibration(path).pixel_size == (0.5, 0.25)
    if name == "a.csv":
        assert pd.read_csv(path)["area_um2"].tolist() == [(17 * 28 - 28) / 8, 25 / 8]
    if name == "a.zip":
        (again,) = viewer.open(str(path), plugin=NAME)
        np.testing.assert_array_equal(again.data > 0, (labels > 0)[:35, :55])


def test_zarr_labels_open_by_the_function_where_they_lie(labels, tmp_path) -> None:
    path = write_labels(tmp_path / "a.labels.zarr", labels, pixel_size=0.5, unit="um")
    ((data, options, kind),) = _plugin.get_labels_reader(str(path))(str(path))
    assert kind == "labels"
    assert options["scale"] == (0.5, 0.5)
    assert type(data).__module__.startswith("zarr")
    np.testing.assert_array_equal(np.asarray(data), labels)


def test_a_name_without_extension_gets_one_and_replaces_nothing(labels, tmp_path) -> None:
    path = str(tmp_path / "cells")
    assert _plugin.write_geojson(path, labels, {}) == [f"{path}.geojson"]
    with pytest.raises(FileError, match="exists already"):
        _plugin.write_geojson(path, labels, {})
    # The dialog asked about this one.
    assert _plugin.write_geojson(f"{path}.geojson", labels[:5], {}) == [f"{path}.geojson"]


def test_smoothed_outlines_have_fewer_corners_and_move_little(tmp_path) -> None:
    rows, cols = np.ogrid[:80, :80]
    disc = (np.hypot(rows - 40, cols - 38) < 30).astype(np.int32)
    exact = json.loads(Path(_plugin.write_geojson(f"{tmp_path}/a", disc, {})[0]).read_text())
    (path,) = _plugin.write_smooth_geojson(str(tmp_path / "b"), disc, {})
    smooth = json.loads(Path(path).read_text())
    corners = [len(one["features"][0]["geometry"]["coordinates"][0]) for one in (exact, smooth)]
    assert corners[1] < corners[0] / 3
    ((again, _, _),) = _plugin.get_objects_reader(path)(path)
    assert (again & disc).sum() / (again | disc).sum() > 0.95


def test_what_the_session_knows_of_objects_goes_into_the_file(annotate, tmp_path) -> None:
    rows, cols = np.mgrid[:48, :64]
    session = annotate(new_viewer((rows * 2 + cols).astype(np.uint8)))
    work(session)
    scores = session.objects.dropna(subset="score").set_index("label_id")["score"]
    (path,) = _plugin.write_coco(str(tmp_path / "a"), *session.labels.as_layer_data_tuple()[:2])
    (image,) = read_coco(path)
    assert image.shape == (48, 64)
    found = {one.label_id: one.score for one in image.objects if one.score is not None}
    assert found == pytest.approx(scores.to_dict())
    assert found


def test_stacks_go_where_there_is_place_for_them(viewer, labels, tmp_path) -> None:
    stack = np.stack([labels, labels * 0])
    _layer(viewer, stack, scale=(2, 1, 1), units=("um",) * 3, features=None)
    with pytest.raises(Exception, match=r"one plane.*\.tif or \.zarr"):
        viewer.layers.save(str(tmp_path / "a.geojson"))
    path = tmp_path / "a.ome.tif"
    viewer.layers.save(str(path))
    assert read_calibration(path).pixel_size == (2, 1, 1)
    # An axis of length 1 is no stack.
    viewer.layers[0].data = stack[:1]
    viewer.layers.save(str(tmp_path / "a.geojson"))
    (again,) = viewer.open(str(tmp_path / "a.geojson"), plugin=NAME)
    np.testing.assert_array_equal(again.data, labels)


def test_prompts_come_back_as_points_and_shapes(viewer, tmp_path) -> None:
    features = {"object": [1, 2, 2], "polarity": ["object", "object", "background"]}
    viewer.add_points([[1, 2], [3, 4], [5, 6.5]], features=features)
    shapes = [[[0, 0], [10, 20]], [[1, 1], [9, 9], [1, 9]], [[2, 2], [7, 7], [2, 9]]]
    kinds = ["rectangle", "path", "polygon"]
    viewer.add_shapes(shapes, shape_type=kinds, features={"object": [3, 4, 5]})
    path = str(tmp_path / "prompts.geojson")
    assert viewer.layers.save(path) == [path]
    points, drawn = viewer.open(path, plugin=NAME)
    np.testing.assert_allclose(points.data, [[1, 2], [3, 4], [5, 6.5]])
    assert points.features.to_dict("list") == features
    assert list(drawn.shape_type) == kinds
    assert drawn.features["object"].tolist() == [3, 4, 5]
    for found, vertices in zip(drawn.data[1:], shapes[1:], strict=True):
        np.testing.assert_allclose(found, vertices)
    np.testing.assert_allclose(drawn.data[0].min(axis=0), [0, 0])
    np.testing.assert_allclose(drawn.data[0].max(axis=0), [10, 20])


def test_prompts_of_several_planes_do_not_fit(viewer, tmp_path) -> None:
    viewer.add_points([[0, 1, 2], [3, 3, 4]])
    with pytest.raises(Exception, match="2 planes"):
        viewer.layers.save(str(tmp_path / "prompts.geojson"))
    assert not list(tmp_path.iterdir())


def test_a_file_of_both_gives_labels_and_points(viewer, labels, tmp_path) -> None:
    path = Path(_plugin.write_geojson(str(tmp_path / "a"), labels, {})[0])
    content = json.loads(path.read_text())
    point = {"type": "Point", "coordinates": [4.5, 2.5]}
    content["features"].append({"type": "Feature", "geometry": point, "properties": {}})
    path.write_text(json.dumps(content))
    kinds = {layer._type_string: layer for layer in viewer.open(str(path), plugin=NAME)}
    np.testing.assert_array_equal(kinds["labels"].data, labels)
    np.testing.assert_allclose(kinds["points"].data, [[2, 4]])


def test_every_image_of_coco_is_a_layer_and_boxes_are_shapes(viewer, tmp_path) -> None:
    images = [{"id": n, "file_name": f"d/{n}.tif", "height": 9, "width": 8} for n in (4, 5)]
    mask = {"size": [9, 8], "counts": [9, 1, 62]}
    path = tmp_path / "a.json"
    annotations = [
        {"id": 1, "image_id": 4, "category_id": 1, "segmentation": mask},
        {"id": 2, "image_id": 5, "category_id": 1, "bbox": [1, 2, 3, 4]},
    ]
    categories = [{"id": 1, "name": "cell"}]
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    first, second = viewer.open(str(path), plugin=NAME)
    assert (first.name, first.data.shape) == ("4", (9, 8))
    assert np.argwhere(first.data).tolist() == [[0, 1]]
    assert second.shape_type == ["rectangle"]
    np.testing.assert_allclose(second.data[0][0], [1.5, 0.5])


@pytest.mark.parametrize(
    "content",
    ["{}", "[]", '{"images": []}', '[{"images": 1, "annotations": 2}]', "", "{", '{"a": 1}'],
)
def test_json_of_others_is_left_to_them(tmp_path, content: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    assert _plugin.get_objects_reader(str(path)) is None
    assert _plugin.get_objects_reader(str(tmp_path / "missing.json")) is None
    assert _plugin.get_objects_reader(str(tmp_path / "a.samhq.json")) is None


def test_archives_of_others_are_left_to_them(tmp_path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"nothing")
    assert _plugin.get_objects_reader(str(path)) is None
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert _plugin.get_objects_reader([str(path)]) is None


def test_folders_of_others_are_left_to_them(tmp_path) -> None:
    (tmp_path / "a.zarr").mkdir()
    assert _plugin.get_labels_reader(str(tmp_path / "a.zarr")) is None


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("a.geojson", True),
        ("A.GeoJSON", True),
        ("a.samhq.json", True),
        ("a.labels.tif", True),
        ("a.roi", True),
        ("a.tif", False),
        ("a_labels.tif", False),
        ("a.ome.tif", False),
        ("a.png", False),
        ("a.csv", False),
        ("folder", True),  # npe2 asks readers of folders, here of OME-Zarr, about all of them
    ],
)
def test_names_that_are_not_ours_are_not_asked_about(tmp_path, name: str, ours: bool) -> None:
    manager = PluginManager()
    manager.register(PluginManifest.from_file(MANIFEST))
    if name == "folder":
        (tmp_path / name).mkdir()
    found = list(manager.iter_compatible_readers(str(tmp_path / name)))
    assert bool(found) == ours


@pytest.mark.parametrize(("kinds", "count"), [(["labels"], 12), (["points"], 1), (["image"], 0)])
def test_the_dialog_offers_each_format_once(kinds: list[str], count: int) -> None:
    manager = PluginManager()
    manager.register(PluginManifest.from_file(MANIFEST))
    writers = list(manager.iter_compatible_writers(kinds))
    assert len({one.display_name for one in writers}) == len(writers) == count


def test_objects_that_overlap_are_told(tmp_path) -> None:
    square = [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": square},
        "properties": {},
    }
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps([feature, feature]))
    with pytest.warns(SamHQWarning, match="16 pixels belong to several"):
        ((data, _, _),) = _plugin.get_objects_reader(str(path))(str(path))
    assert (data == 2).all()
