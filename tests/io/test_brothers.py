"""Values that other programs write in other ways: classes, ids, thousands, palettes, labels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_samhq.errors import FileError, ImageError
from napari_samhq.io.images import open_image, read_image
from napari_samhq.io.labels import read_labels
from napari_samhq.io.layer_data import read_layer_data
from napari_samhq.io.prompt_files import read_points_csv, read_prompts
from napari_samhq.io.results import read_objects

if TYPE_CHECKING:
    from pathlib import Path

SQUARE = [[2, 2], [8, 2], [8, 8], [2, 8], [2, 2]]


def _geojson(path: Path, geometry: Any, **properties: Any) -> Path:
    feature = {"type": "Feature", "geometry": geometry, "properties": properties}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


@pytest.mark.parametrize("value", [None, float("nan"), 0, -3])
@pytest.mark.parametrize((), [pytest.param(id="FM-82-no-id")])
def test_an_id_that_says_nothing_is_none(tmp_path: Path, value: object) -> None:
    area = {"type": "Polygon", "coordinates": [SQUARE]}
    path = _geojson(tmp_path / "a.geojson", area, measurements={"label_id": value, "score": None})
    assert [one.label_id for one in read_objects(path)] == [1]
    assert list(read_prompts(path, shape=(20, 20))) == [1]
    annotation = {"id": 1, "image_id": 1, "segmentation": [[2, 2, 8, 2, 8, 8, 2, 8]]}
    image = {"id": 1, "file_name": "a.png", "height": 20, "width": 20}
    content = {"images": [image], "annotations": [annotation | {"label_id": value}]}
    if value != value:  # COCO has no such habit
        return
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert [one.label_id for one in read_objects(tmp_path / "a.json")] == [1]


@pytest.mark.parametrize("name", ["Background", "negative", "Ignore*"])
@pytest.mark.parametrize((), [pytest.param(id="FM-78-class-as-text")])
def test_a_class_may_be_a_text_of_its_own(tmp_path: Path, name: str) -> None:
    area = {"type": "Polygon", "coordinates": [SQUARE]}
    [one] = read_objects(_geojson(tmp_path / "a.geojson", area, classification="Tumor"))
    assert one.category == "Tumor"
    points = {"type": "MultiPoint", "coordinates": [[4, 4]]}
    beside = _geojson(tmp_path / "b.geojson", points, classification=name, name="cell")
    content = json.loads(beside.read_text())
    content["features"].append(
        {
            "type": "Feature",
            "geometry": points | {"coordinates": [[9, 9]]},
            "properties": {"name": "cell"},
        }
    )
    beside.write_text(json.dumps(content))
    [prompt] = read_prompts(beside, shape=(20, 20)).values()
    assert prompt.point_labels is not None
    assert sorted(prompt.point_labels.tolist()) == [0, 1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('row,col\n"1,234","2,345"\n', "thousands"),
        ("row;col\n12,34;5\n1.55;3\n", "comma"),
        ("row;col\n1.234,5;2\n3;4\n", None),
        ('row,col\n"1,5","2,25"\n', None),
        ("row;col\n1,234;2,345\n", None),
        ("row\tcol\n0,125\t12,75\n", None),
    ],
)
@pytest.mark.parametrize((), [pytest.param(id="FM-79-thousands")])
def test_commas_that_may_separate_thousands_are_refused(
    tmp_path: Path, text: str, reason: str | None
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    if reason is not None:
        with pytest.raises(FileError, match=reason):
            read_points_csv(path)
    elif "1.234,5" in text:
        with pytest.warns(UserWarning, match="1 of 2 lines left out"):
            assert len(read_points_csv(path)) == 1
    else:
        [prompt] = read_points_csv(path).values()
        assert prompt.points is not None
        number = float(
            text.split("\n")[1]
            .split('","')[0]
            .split(";")[0]
            .split("\t")[0]
            .strip('"')
            .replace(",", ".")
        )
        assert prompt.points[0, 0] == number


@pytest.mark.parametrize((), [pytest.param(id="FM-64-alpha")])
def test_a_palette_with_alpha_gives_colours(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (24, 30), dtype=np.uint8)
    picture = Image.fromarray(grey).convert("LA").convert("PA")
    picture.save(tmp_path / "a.tif")
    colours = np.asarray(picture.convert("RGB")) * np.uint16(256)  # as Pillow writes palettes
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), colours)
    part = open_image(tmp_path / "a.tif").read((slice(2, 9), slice(3, 5)))
    np.testing.assert_array_equal(part, colours[2:9, 3:5])


@pytest.mark.parametrize("kind", ["f2", ">f4", "f8", ">u2", "i8"])
@pytest.mark.parametrize("name", ["a.labels.tif", "a.labels.npy"])
@pytest.mark.parametrize((), [pytest.param(id="FM-87-read")])
def test_labels_of_any_type_that_holds_label_ids_are_read(
    tmp_path: Path, name: str, kind: str
) -> None:
    labels = np.zeros((12, 14), kind)
    labels[2:5, 3:9], labels[7:9, 1:4] = 3, 700
    path = tmp_path / name
    (np.save if name.endswith("npy") else tifffile.imwrite)(path, labels)
    found = np.asarray(read_labels(path).labels[...])
    assert found.dtype.kind in "iu"
    np.testing.assert_array_equal(found, labels.astype(int))
    [(shown, _, _)] = read_layer_data(path)
    np.testing.assert_array_equal(shown, found)


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, -1.0])
@pytest.mark.parametrize("kind", ["f4", "i2"])
@pytest.mark.parametrize((), [pytest.param(id="FM-87-refused")])
def test_what_is_no_label_id_is_refused(tmp_path: Path, value: float, kind: str) -> None:
    labels = np.ones((12, 14), kind)
    if kind == "i2" and value != -1:
        return
    labels[3, 3] = value
    np.save(tmp_path / "a.labels.npy", labels)
    with pytest.raises(ImageError, match="not whole|negative"):
        read_layer_data(tmp_path / "a.labels.npy")
    np.save(tmp_path / "b.labels.npy", labels > 0)
    with pytest.raises(ImageError, match="--connected"):
        read_labels(tmp_path / "b.labels.npy")
