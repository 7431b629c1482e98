"""Channels, plates, outlines to stay inside of, and formats of others on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely
import tifffile
import zarr
from PIL import Image

from napari_samhq.io.geojson import read_geojson, write_features
from napari_samhq.io.imagej import read_imagej_rois
from napari_samhq.io.images import read_image
from napari_samhq.io.labels import write_labels
from napari_samhq.io.objects import objects_of
from napari_samhq.io.results import read_objects, write_labels_as
from support.commands import run
from support.plates import SHAPE, pixels, write_plate, write_series


def two_objects():
    labels = np.zeros(SHAPE, np.int32)
    labels[2:10, 3:13], labels[20:30, 30:50] = 1, 2
    return labels


def ok(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize(
    ("asked", "wanted"), [("1", [1]), ("gfp", [1]), ("2,0", [2, 0]), ("RFP,1,0", [2, 1, 0])]
)
def test_FM_97_channels_by_number_and_name(asked, wanted, predictor, boxes, tmp_path):
    image = tmp_path / "a.ome.tif"
    stack = pixels(0, (3, *SHAPE))
    names = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP", "RFP"]}}
    tifffile.imwrite(image, stack, metadata=names)
    output = tmp_path / "l.tif"
    ok("segment", image, "-o", output, "--boxes", boxes, "--channels", asked)
    [shown] = [value for name, value in predictor.calls if name == "embed"]
    for place, channel in enumerate(wanted):
        assert np.corrcoef(shown[..., place].ravel(), stack[channel].ravel())[0, 1] > 0.99
    record = json.loads((tmp_path / "l.tif.run.json").read_text())
    assert [str(one) for one in record["recipe"]["image"]["channels"]] == asked.split(",")


def test_FM_97_channels_that_are_the_last_axis(predictor, boxes, tmp_path):
    stack = pixels(0, (*SHAPE, 5))
    np.save(tmp_path / "a.npy", stack)
    image, output = tmp_path / "a.npy", tmp_path / "l.tif"
    ok("segment", image, "-o", output, "--boxes", boxes, "--channels", "4")
    [shown] = [value for name, value in predictor.calls if name == "embed"]
    assert np.corrcoef(shown[..., 0].ravel(), stack[..., 4].ravel())[0, 1] > 0.99


def test_FM_97_wrong_channels_are_told(predictor, boxes, tmp_path):
    image = tmp_path / "a.ome.tif"
    tifffile.imwrite(image, pixels(0, (2, *SHAPE)), metadata={"axes": "CYX"})
    bad = ["segment", image, "-o", tmp_path / "l.tif", "--boxes", boxes, "--channels"]
    for asked, code, words in (("5", 1, "2 that there are"), ("x", 1, "no channel 'x'")):
        result = run(
            "segment", image, "-o", tmp_path / "l.tif", "--boxes", boxes, "--channels", asked
        )
        assert (result.exit_code, words in result.output) == (code, True)
    result = run(*bad, "0,,1")
    assert result.exit_code == 2


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_FM_98_all_wells_and_fields_of_a_plate(version, predictor, boxes, tmp_path):
    plate = write_plate(tmp_path / "plate.zarr", version)
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    for name in ("A1_0", "A1_1", "B03_0", "B03_1"):
        (prompts / f"plate_{name}.csv").write_text(boxes.read_text())
    folder, common = tmp_path / "out", ["--channels", "1", "--prompts", prompts]
    ok("segment", plate, "-o", folder, *common)
    made = sorted(one.name for one in folder.glob("*.tif"))
    assert made == [f"plate_{name}.tif" for name in ("A1_0", "A1_1", "B03_0", "B03_1")]
    few = tmp_path / "few"
    ok("segment", plate, "-o", few, "--well", "b3", *common)
    assert sorted(one.name for one in few.glob("*.tif")) == ["plate_B03_0.tif", "plate_B03_1.tif"]
    one = ["--well", "B03", "--field", "1", "--channels", "1", "--boxes", boxes]
    ok("segment", plate, "-o", tmp_path / "one.tif", *one)
    shown = [value for name, value in predictor.calls if name == "embed"][-1]
    assert np.corrcoef(shown[..., 0].ravel(), pixels(4, (2, *SHAPE))[1].ravel())[0, 1] > 0.99
    result = run("segment", plate, "-o", few, "--well", "C1", *common)
    assert result.exit_code == 1
    assert "no image of well C1" in result.output
    result = run("segment", plate, "-o", tmp_path / "x.tif", *common)
    assert result.exit_code == 2


def test_FM_98_series_of_bioformats2raw(predictor, boxes, tmp_path):
    one = write_series(tmp_path / "one.zarr", 1)
    np.testing.assert_array_equal(read_image(one), pixels(0, (1, 1, 1, *SHAPE))[0, 0, 0])
    ok("segment", one, "-o", tmp_path / "one.tif", "--boxes", boxes)
    images = tmp_path / "images"
    images.mkdir()
    write_series(images / "two.zarr", 2)
    tifffile.imwrite(images / "plain.tif", pixels(9))
    ok("segment", images, "-o", tmp_path / "out", "--everything", "--spacing", "20")
    made = sorted(one.name for one in (tmp_path / "out").glob("*.tif"))
    assert made == ["plain.tif", "two_0.tif", "two_1.tif"]
    with pytest.raises(OSError, match="holds 2 images: 0, 1"):
        read_image(images / "two.zarr")


def test_FM_98_a_plate_that_leads_out_of_itself_is_refused(tmp_path):
    root = zarr.open_group(tmp_path / "p.zarr", mode="w", zarr_format=2)
    root.attrs["plate"] = {"wells": [{"path": "../../elsewhere"}]}
    with pytest.raises(OSError, match="outside of it"):
        read_image(tmp_path / "p.zarr")


def outlines(tmp_path, kind):
    """Give a file that holds the first of two objects whole, and cuts the second."""
    area = shapely.box(0, 0, 40, 40)
    path = tmp_path / f"roi.{kind}"
    if kind == "geojson":
        feature = {"type": "Feature", "geometry": shapely.geometry.mapping(area), "properties": {}}
        return write_features(path, [feature], {})
    mask = np.zeros(SHAPE, np.uint8)
    mask[:40, :40] = 255
    if kind in ("tif", "png"):
        Image.fromarray(mask).save(path)
        return path
    if kind == "npy":
        np.save(path, mask > 0)
        return path
    return write_labels_as(path, (mask > 0).astype(int), image_name="image.png")


@pytest.mark.parametrize("kind", ["geojson", "tif", "png", "npy", "zip", "labelme.json"])
def test_FM_96_within_prompts_and_everything(kind, predictor, image, boxes, tmp_path):
    within = outlines(tmp_path, kind)
    output = tmp_path / "l.npy"
    result = ok("segment", image, "-o", output, "--boxes", boxes, "--within", within)
    labels = read_image(output)
    np.testing.assert_array_equal(labels, np.where(two_objects() == 1, 1, 0))
    assert "1 of 2 objects lie outside" in result.output
    assert "within" in json.loads((tmp_path / "l.npy.run.json").read_text())["recipe"]
    every = tmp_path / "e.tif"
    ok("segment", image, "-o", every, "--everything", "--spacing", "12", "--within", within)
    found = read_image(every)
    assert found.any()
    assert not found[:, 40:].any()


def test_FM_96_an_outline_of_another_image_is_refused(predictor, image, boxes, tmp_path):
    np.save(tmp_path / "m.npy", np.ones((4, 4), bool))
    within = tmp_path / "m.npy"
    result = run("segment", image, "-o", tmp_path / "l.tif", "--boxes", boxes, "--within", within)
    assert result.exit_code == 1
    assert "4 x 4" in result.output
    assert not (tmp_path / "l.tif").exists()


@pytest.mark.parametrize("name", ["p.zip", "p.labelme.json", "p.txt", "p.tif", "p_seg.npy"])
def test_prompts_of_other_programs(name, predictor, image, tmp_path):
    labels = two_objects()
    path = tmp_path / name
    if name.endswith("_seg.npy"):
        np.save(path, {"masks": labels.astype(np.uint16)}, allow_pickle=True)
    elif name.endswith(".tif"):
        write_labels(path, labels)
    else:
        write_labels_as(path, labels)
    ok("segment", image, "-o", tmp_path / "out.npy", "--prompts", path)
    np.testing.assert_array_equal(read_image(tmp_path / "out.npy") > 0, labels > 0)


@pytest.mark.parametrize(
    ("name", "kind"), [("o.json", "labelme"), ("o.txt", "yolo"), ("o.txt", "yolo-boxes")]
)
def test_results_for_other_programs(name, kind, predictor, image, boxes, tmp_path):
    output = tmp_path / name
    ok("segment", image, "-o", output, "--boxes", boxes, "--format", kind)
    assert [one.mask for one in read_objects(output, SHAPE)] == [
        one.mask for one in objects_of(two_objects())
    ]
    folder = tmp_path / "out"
    folder.mkdir()
    ok("segment", image, "-o", folder, "--boxes", boxes, "--format", kind)
    assert (folder / f"image{output.suffix}").exists()
    result = run("segment", image, "-o", tmp_path / "o.tif", "--boxes", boxes, "--format", kind)
    assert result.exit_code == 2


@pytest.mark.parametrize("name", ["image.txt", "image_seg.npy", "image.json", "image_masks.tif"])
def test_truth_of_other_programs(name, predictor, image, tmp_path):
    truth = tmp_path / "truth"
    truth.mkdir()
    path, labels = truth / name, two_objects()
    if name.endswith("_seg.npy"):
        np.save(path, {"masks": labels}, allow_pickle=True)
    elif name.endswith(".tif"):
        write_labels(path, labels)
    else:
        write_labels_as(path, labels, file_format="labelme" if ".json" in name else None)
    out = tmp_path / "quality"
    ok("evaluate", image, truth, "-o", out, "--worst", "0")
    overall = json.loads((out / "quality.json").read_text())
    assert json.dumps(overall).count('"mean_iou": 1.0') >= 1


# ------------------------------------------------------------------------------------------ planes


@pytest.mark.parametrize("axes", ["ZYX", "TYX", "TZYX", "ZCYX", ""])
@pytest.mark.parametrize("kind", ["geojson", "zip", "csv"])
def test_FM_105_results_say_the_plane_they_are_of(kind, axes, predictor, boxes, tmp_path):
    count = len(axes) - 2 if axes else 1
    lengths, plane = (5, 4)[:count], (3, 1)[:count]
    stack, options = pixels(shape=(*lengths, *SHAPE)), {"metadata": {"axes": axes}} if axes else {}
    tifffile.imwrite(
        tmp_path / "stack.ome.tif" if axes else tmp_path / "stack.tif", stack, **options
    )
    path = next(tmp_path.glob("stack*"))
    chosen = ("--plane", ",".join(map(str, plane)))
    out = tmp_path / f"cells.{kind}"
    ok("segment", path, "--boxes", boxes, *chosen, "-o", out)
    again = tmp_path / "again.npy"
    way = "--boxes" if kind == "csv" else "--prompts"
    ok("segment", path, way, out, *chosen, "-o", again)
    assert np.load(again).max() == 2
    if axes != "ZCYX" or kind != "csv":  # where channels come in, a table says no plane
        other = ("--plane", ",".join(map(str, (2, *plane[1:]))))
        assert run("segment", path, way, out, *other, "-o", tmp_path / "b.npy").exit_code == 1
    if kind == "csv":
        return
    assert len(read_objects(out)) == 2
    names = {"": {"z": 3}, "ZYX": {"z": 3}, "TYX": {"t": 3}, "TZYX": {"t": 3, "z": 1}}
    wanted = names.get(axes, {"z": 3})
    read = read_geojson if kind == "geojson" else read_imagej_rois
    for found in read(out):
        said = {n: getattr(found.position, n) for n in "tzc"}
        assert {n: i for n, i in said.items() if i} == wanted
