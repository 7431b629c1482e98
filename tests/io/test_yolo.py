"""YOLO labels: boxes and polygons, read back to the pixel."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_samhq.errors import FileError, SamHQWarning
from napari_samhq.io.layer_data import is_readable, read_layer_data
from napari_samhq.io.objects import FileObject, labels_of, objects_of
from napari_samhq.io.prompt_files import read_prompts
from napari_samhq.io.results import read_objects, write_labels_as
from napari_samhq.io.yolo import read_yolo, read_yolo_prompts, write_yolo

SHAPE = (60, 80)


@pytest.mark.parametrize("shape", [SHAPE, (61, 83), (57, 90)])
@pytest.mark.parametrize("seed", range(3))
def test_FM_93_any_labels_come_back_to_the_pixel(seed, shape, tmp_path):
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, 6, (7, 10)), np.ones((10, 10), int))[: shape[0], : shape[1]]
    labels[rng.random(labels.shape) < 0.05] = 0  # holes, pieces, corners that touch
    path = tmp_path / "a.txt"
    write_labels_as(path, labels)
    found = read_objects(path, labels.shape)
    assert [one.mask for one in found] == [one.mask for one in objects_of(labels)]
    write_labels_as(path, labels, file_format="yolo-boxes", overwrite=True)
    boxes = read_yolo_prompts(path, labels.shape)
    for one, drawn in zip(objects_of(labels), boxes.values(), strict=True):
        assert drawn.shapes[0].kind == "rectangle"
        (top, left), bottom_right = drawn.shapes[0].vertices[0], drawn.shapes[0].vertices[2]
        np.testing.assert_allclose(
            [top, left], [one.mask.top - 0.5, one.mask.left - 0.5], atol=1e-6
        )
        end = [one.mask.top + one.mask.height - 0.5, one.mask.left + one.mask.width - 0.5]
        np.testing.assert_allclose(bottom_right, end, atol=1e-6)


def test_FM_93_lines_of_all_kinds(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(
        "0 0.5 0.5 0.25 0.5\n"  # a box
        "\n"
        "1 0.5 0.5 0.25 0.5 0.87\n"  # with a score
        "2 0.1 0.1 0.3 0.1 0.3 0.4\n"  # a polygon
        "2 0.1 0.1 0.3 0.1 0.3 0.4 0.5\n"  # with a score
    )
    (tmp_path / "data.yaml").write_text("names: {0: nucleus, 1: cell}\nnc: 2\n")
    first, second, third, fourth = read_yolo(path, SHAPE)
    assert (first.mask.top, first.mask.left, first.mask.height, first.mask.width) == (
        15,
        30,
        30,
        20,
    )
    assert [one.category for one in (first, second, third)] == ["nucleus", "cell", "2"]
    assert (first.score, second.score, fourth.score) == (None, 0.87, 0.5)
    assert third.mask == fourth.mask
    prompts = read_prompts(path, shape=SHAPE)
    assert prompts[1].box.tolist() == [14.5, 29.5, 44.5, 49.5]
    assert prompts[3].mask is not None


@pytest.mark.parametrize(
    "line",
    [
        "0 0.5 0.5",
        "x 0.1 0.1 0.2 0.2",
        "0 10 20 30 40",
        "-1 0.1 0.1 0.2 0.2",
        "0 nan 0.1 0.2 0.2",
        "0 0.5 0.5 0 0.1",
        "0 1.5 1.5 0.1 0.1",
    ],
)
def test_FM_93_one_bad_line_is_left_out(line, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(f"0 0.5 0.5 0.25 0.5\n{line}\n")
    with pytest.warns(SamHQWarning, match="1 of 2 lines left out: line 2"):
        assert len(read_yolo(path, SHAPE)) == 1
    with pytest.raises(FileError, match=r"a\.txt: line 2"):
        read_yolo(path, SHAPE, strict=True)


def test_FM_93_the_size_of_the_image_is_asked_for(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("0 0.5 0.5 0.25 0.5\n")
    for read in (read_prompts, read_objects):
        with pytest.raises(FileError, match="how large the image is"):
            read(path)


def test_FM_93_classes_are_numbered_by_their_list(tmp_path):
    labels = np.zeros(SHAPE, int)
    labels[2:5, 2:5], labels[10:15, 10:15] = 1, 2
    masks = [one.mask for one in objects_of(labels)]
    objects = [FileObject(1, masks[0], category="cell"), FileObject(2, masks[1], category="apex")]
    path = write_yolo(tmp_path / "a.txt", objects, SHAPE)
    assert (tmp_path / "classes.txt").read_text() == "apex\ncell\n"
    assert [one.category for one in read_yolo(path, SHAPE)] == ["cell", "apex"]
    (tmp_path / "classes.txt").write_text("cell\nnucleus\napex\n")
    write_yolo(path, objects, SHAPE, overwrite=True)
    assert [line.split()[0] for line in path.read_text().splitlines()] == ["0", "2"]
    (tmp_path / "classes.txt").write_text("cell\n")
    with pytest.raises(FileError, match="no class apex"):
        write_yolo(path, objects, SHAPE, overwrite=True)


def test_FM_93_in_napari_labels_are_read_beside_their_image(tmp_path):
    labels = np.zeros(SHAPE, int)
    labels[2:5, 2:5] = 1
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    path = write_labels_as(tmp_path / "labels" / "a.txt", labels)
    assert not is_readable(path)
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(tmp_path / "images" / "a.png")
    assert is_readable(path)
    [(data, _, kind)] = read_layer_data(path)
    assert kind == "labels"
    np.testing.assert_array_equal(data, labels)
    (tmp_path / "notes.txt").write_text("some words\n")
    assert not is_readable(tmp_path / "notes.txt")


def test_labels_of_yolo_are_painted_in_their_order(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("0 0.5 0.5 1 1\n0 0.25 0.25 0.5 0.5\n")
    assert set(np.unique(labels_of(read_yolo(path, SHAPE), SHAPE))) == {1, 2}
