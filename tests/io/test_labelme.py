"""labelme: read back pixel by pixel, shapes of all kinds as objects and as prompts."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from skimage import data

from napari_samhq.errors import FileError, SamHQWarning
from napari_samhq.io.labelme import read_labelme, read_labelme_layers, read_labelme_prompts
from napari_samhq.io.labelme_writing import write_labelme
from napari_samhq.io.objects import FileObject, labels_of, objects_of
from napari_samhq.io.prompt_files import read_prompts
from napari_samhq.io.results import read_objects, write_labels_as

SHAPE = (60, 80)


def saved(path, shapes, **more):
    content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": "a.png"}
    content |= {"imageData": None, "imageHeight": SHAPE[0], "imageWidth": SHAPE[1], **more}
    path.write_text(json.dumps(content))
    return path


def a_shape(kind, points, label="cell", group=None, **more):
    known = {"label": label, "points": points, "group_id": group, "shape_type": kind}
    return {**known, "flags": {}, "description": "", **more}


def png(mask):
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize("seed", range(5))
def test_FM_92_any_labels_come_back_to_the_pixel(seed, tmp_path):
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, 6, (6, 8)), np.ones((10, 10), int))
    labels[rng.random(SHAPE) < 0.05] = 0  # holes, pieces, corners that touch
    path = tmp_path / "a.labelme.json"
    write_labels_as(path, labels, image_name="a.png")
    objects = read_objects(path, SHAPE)
    np.testing.assert_array_equal(labels_of(objects, SHAPE), labels)


def test_FM_92_names_classes_and_scores_are_kept(tmp_path):
    objects = [
        FileObject(7, one.mask, name=f"n{one.label_id}", category="nucleus", score=0.5)
        for one in objects_of(data.binary_blobs(60, rng=1).astype(int))
    ]
    path = write_labelme(tmp_path / "a.json", objects, (60, 60), image_name="a.png")
    assert read_labelme(path, (60, 60)) == objects
    content = json.loads(path.read_text())
    assert content["imagePath"] == "a.png"
    assert (content["imageHeight"], content["imageWidth"]) == (60, 60)


def test_FM_92_each_kind_of_shape_has_its_pixels(tmp_path):
    mask = np.zeros((3, 4), bool)
    mask[1, 1:3] = True
    shapes = [
        a_shape("polygon", [[0, 0], [10, 0], [10, 5], [0, 5]], group=5),
        a_shape("polygon", [[20, 0], [22, 0], [22, 2], [20, 2]], group=5),
        a_shape("rectangle", [[40, 30], [30, 20]], label="box", description="the box"),
        a_shape("circle", [[60.5, 40.5], [60.5, 44.9]]),
        a_shape("mask", [[2, 50], [5, 52]], mask=png(mask)),
    ]
    path = saved(tmp_path / "a.json", shapes)
    objects = read_labelme(path, SHAPE)
    assert [one.label_id for one in objects] == [5, 1, 2, 3]
    areas = [int(one.mask.array().sum()) for one in objects]
    assert areas[:2] == [54, 100]
    assert areas[2] == pytest.approx(np.pi * 4.4**2, rel=0.1)
    assert (areas[3], objects[3].mask.top, objects[3].mask.left) == (2, 51, 3)
    assert (objects[1].category, objects[1].name) == ("box", "the box")


def test_FM_92_points_and_lines_are_prompts_and_no_objects(tmp_path):
    shapes = [
        a_shape("point", [[10.5, 20.5]], group=3),
        a_shape("point", [[14.5, 20.5]], label="background", group=3),
        a_shape("linestrip", [[1, 1], [30, 1]]),
        a_shape("rectangle", [[40, 30], [30, 20]]),
    ]
    path = saved(tmp_path / "a.json", shapes)
    prompts = read_prompts(path, shape=SHAPE)
    assert prompts[3].points.tolist() == [[20, 10], [20, 14]]
    assert prompts[3].point_labels.tolist() == [1, 0]
    assert len(prompts[1].points) == 3
    assert prompts[2].box.tolist() == [19.5, 29.5, 29.5, 39.5]
    with pytest.warns(SamHQWarning, match="3 of 4 shapes left out"):
        assert [one.category for one in read_labelme(path, SHAPE)] == ["cell"]
    objects, others, shape = read_labelme_layers(path)
    assert (len(objects), len(others), shape) == (1, 2, SHAPE)


BAD = {
    "two corners": a_shape("polygon", [[0, 0], [1, 1]]),
    "no points": a_shape("polygon", []),
    "of an unknown type": a_shape("spline", [[0, 0], [1, 1], [2, 0]]),
    "a point of three numbers": a_shape("point", [[0, 0, 0]]),
    "a mask without pixels": a_shape("mask", [[0, 0], [3, 3]]),
    "a mask that is no picture": a_shape("mask", [[0, 0], [3, 3]], mask="AAAA"),
    "a mask of another size": a_shape("mask", [[0, 0], [9, 9]], mask=png(np.ones((3, 3), bool))),
    "a group that is no number": a_shape("point", [[1, 1]], group="x"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=[f"FM-92 {name}" for name in BAD])
def test_one_bad_shape_is_left_out(bad, tmp_path):
    good = a_shape("rectangle", [[40, 30], [30, 20]])
    path = saved(tmp_path / "a.json", [bad, good])
    with pytest.warns(SamHQWarning, match="1 of 2 shapes left out"):
        assert len(read_labelme(path, SHAPE)) == 1
    with pytest.warns(SamHQWarning, match="1 of 2 shapes left out"):
        assert list(read_labelme_prompts(path, SHAPE)) == [1]
    with pytest.raises(FileError, match=r"a\.json.*shape 1"):
        read_labelme(path, SHAPE, strict=True)


def test_FM_92_a_file_of_another_image_or_format_is_refused(tmp_path):
    path = saved(tmp_path / "a.json", [a_shape("rectangle", [[4, 3], [3, 2]])])
    with pytest.raises(FileError, match=r"60 x 80 pixels, and this one has 30 x 40"):
        read_prompts(path, shape=(30, 40))
    path.write_text(json.dumps({"shapez": []}))
    with pytest.raises(FileError, match=r"a\.json"):
        read_labelme(path)
