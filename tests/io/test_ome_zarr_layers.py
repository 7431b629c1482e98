"""Images, plates and series of OME-Zarr as layers."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_samhq import _plugin
from napari_samhq.errors import FileError, SamHQWarning
from napari_samhq.io.labels import write_labels
from napari_samhq.io.layer_data import read_layer_data
from napari_samhq.io.ome_zarr_layers import read_image_layers
from support.plates import SHAPE, pixels, write_plate, write_series

PLATES = Path(__file__).parents[1] / "data" / "plates"


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize((), [pytest.param(id="FM-106")])
def test_the_images_of_a_plate_are_a_stack(tmp_path: Path, version: str) -> None:
    plate = write_plate(tmp_path / "plate.zarr", version)
    [(data, options, kind)] = read_layer_data(plate)
    assert (kind, data.shape, options["channel_axis"]) == ("image", (4, 2, *SHAPE), 1)
    assert options["metadata"]["images"] == ["A1_0", "A1_1", "B03_0", "B03_1"]
    assert options["name"] == ["plate 0", "plate 1"]
    for number in range(4):
        np.testing.assert_array_equal(data[number], pixels(number + 1, (2, *SHAPE)))
    [(well, options, _)] = read_layer_data(plate / "B" / "03")
    assert (well.shape, options["metadata"]["images"]) == ((2, 2, *SHAPE), ["B03_0", "B03_1"])
    [(image, options, _)] = read_layer_data(plate / "B" / "03" / "1")
    assert (image.shape, options["channel_axis"]) == ((2, *SHAPE), 0)
    [(chosen, _, _)] = read_image_layers(plate, well="b3", field="1")
    np.testing.assert_array_equal(chosen, image)


@pytest.mark.parametrize("name", ["plate_04", "plate_05"])
@pytest.mark.parametrize((), [pytest.param(id="FM-106-by-ome-zarr")])
def test_a_plate_by_ome_zarr_is_a_stack(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(PLATES / f"{name}.zip") as archive:
        archive.extractall(tmp_path)
    [(data, options, _)] = read_layer_data(tmp_path / f"{name}.zarr")
    assert options["metadata"]["images"] == ["A1_0", "B3_0"]
    finest = data[0] if options.get("multiscale") else data
    axis = options["channel_axis"]
    np.testing.assert_array_equal(
        np.take(np.asarray(finest[1]), 1, axis - 1), np.tile(200 + np.arange(20), (16, 1))
    )


@pytest.mark.parametrize((), [pytest.param(id="FM-106-series")])
def test_series_of_several_sizes_are_layers_of_their_own(tmp_path: Path) -> None:
    path = write_series(tmp_path / "three.zarr", 3)
    other = zarr.open_group(path / "1", mode="r+")
    del other["0"]
    other.create_array("0", data=pixels(7, (1, 1, 1, 20, 30)))
    layers = {options["name"][0]: data for data, options, _ in read_layer_data(path)}
    assert {name: data.shape for name, data in layers.items()} == {
        "three 0": (2, 1, 1, 1, *SHAPE),
        "three 1": (1, 1, 1, 20, 30),
    }


@pytest.mark.parametrize((), [pytest.param(id="FM-106-one-bad")])
def test_one_damaged_image_leaves_the_others(tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate.zarr")
    shutil.rmtree(plate / "A" / "1" / "1" / "0")
    with pytest.warns(SamHQWarning, match=r"1 of 4 images were left out: A1_1"):
        [(data, options, _)] = read_layer_data(plate)
    assert (data.shape[0], len(options["metadata"]["images"])) == (3, 3)
    for one in plate.glob("*/*/*/0"):
        shutil.rmtree(one)
    with pytest.raises(FileError, match="No image of"):
        read_layer_data(plate)


def _image(path: Path, omero: object, axes: str = "czyx") -> Path:
    group = zarr.create_group(path)
    data = pixels(0, (2, 3, 40, 60)[-len(axes) :] if axes[-1] != "c" else (40, 60, 3))
    group.create_array("0", data=data)
    group.create_array("1", data=data[..., ::2, ::2] if axes[-1] != "c" else data[::2, ::2])
    scale = [{"type": "scale", "scale": [{"z": 2.0, "c": 1.0}.get(a, 0.5) for a in axes]}]
    units = {"c": {"type": "channel"}}
    named = [{"name": a} | units.get(a, {"type": "space", "unit": "micrometer"}) for a in axes]
    levels = [{"path": n, "coordinateTransformations": scale} for n in "01"]
    about = {"version": "0.5", "multiscales": [{"axes": named, "datasets": levels}]}
    group.attrs["ome"] = about | ({"omero": omero} if omero is not None else {})
    return path


@pytest.mark.parametrize((), [pytest.param(id="FM-106-channels")])
def test_channels_have_their_names_colours_and_limits(tmp_path: Path) -> None:
    channels = [
        {"label": "DAPI", "color": "0000FF", "window": {"start": 10, "end": 900}},
        {"label": "GFP", "color": "00ff00", "window": {"start": 0, "end": 40}, "active": False},
    ]
    path = _image(tmp_path / "a.ome.zarr", {"channels": channels})
    [(levels, options, _)] = read_layer_data(path)
    assert [level.shape for level in levels] == [(2, 3, 40, 60), (2, 3, 20, 30)]
    assert options == {
        "name": ["a DAPI", "a GFP"],
        "rgb": False,
        "scale": (2.0, 0.5, 0.5),
        "units": ("um", "um", "um"),
        "axis_labels": ("z", "y", "x"),
        "channel_axis": 0,
        "colormap": ["#0000ff", "#00ff00"],
        "contrast_limits": [(10.0, 900.0), (0.0, 40.0)],
        "visible": [True, False],
        "multiscale": True,
    }


@pytest.mark.parametrize(
    "omero",
    [
        None,
        [],
        {"channels": "two"},
        {"channels": [1, None]},
        {"channels": [{"color": "blue", "window": {"start": 5, "end": 5}}, {}]},
        {"channels": [{"label": "one", "window": {"start": "nan", "end": 3}}] * 3},
    ],
)
@pytest.mark.parametrize((), [pytest.param(id="FM-106-senseless")])
def test_what_makes_no_sense_about_channels_is_passed_over(tmp_path: Path, omero: object) -> None:
    [(_, options, _)] = read_layer_data(_image(tmp_path / "a.ome.zarr", omero))
    assert not {"colormap", "contrast_limits"} & set(options)
    assert len(options["name"]) == 2


@pytest.mark.parametrize((), [pytest.param(id="FM-106-labels")])
def test_labels_within_an_image_come_along(tmp_path: Path) -> None:
    path = _image(tmp_path / "a.ome.zarr", None, "yx")
    group = zarr.open_group(path, mode="r+").create_group("labels")
    labels = np.zeros(SHAPE, np.int32)
    labels[3:9, 4:12] = 5
    write_labels(path / "labels" / "cells.zarr", labels)
    group.attrs["ome"] = {"labels": ["cells.zarr", "gone", "../../elsewhere", 3]}
    (_, options, kind), (found, about, other) = read_layer_data(path)
    assert (kind, other, about["name"]) == ("image", "labels", "cells")
    assert "channel_axis" not in options
    np.testing.assert_array_equal(found, labels)


@pytest.mark.parametrize((), [pytest.param(id="FM-106-colour")])
def test_a_last_axis_of_colours_is_shown_as_colours(tmp_path: Path) -> None:
    [(_, options, _)] = read_layer_data(_image(tmp_path / "a.ome.zarr", None, "yxc"))
    assert options["rgb"]
    assert "channel_axis" not in options


@pytest.mark.parametrize((), [pytest.param(id="FM-106-arrays")])
def test_plain_arrays_open_too_and_other_folders_are_left_to_others(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "plain.zarr", data=pixels())
    assert _plugin.get_zarr_reader(str(tmp_path)) is None
    assert _plugin.get_zarr_reader(str(tmp_path / "missing.zarr")) is None
    read = _plugin.get_zarr_reader([str(tmp_path / "plain.zarr")])
    assert read is not None
    [(data, options, kind)] = read(str(tmp_path / "plain.zarr"))
    assert (kind, options["name"]) == ("image", "plain")
    np.testing.assert_array_equal(data, pixels())


@pytest.mark.parametrize((), [pytest.param(id="FM-106-layers")])
def test_napari_makes_layers_of_all_of_it(tmp_path: Path) -> None:
    from napari.components import ViewerModel

    viewer = ViewerModel()
    plate = write_plate(tmp_path / "plate.zarr", "0.5")
    image = _image(
        tmp_path / "a.ome.zarr",
        {"channels": [{"color": "FF0000", "window": {"start": 0, "end": 9}}] * 2},
    )
    for data, options, _ in [*read_layer_data(plate), *read_layer_data(image)]:
        viewer.add_image(data, **options)
    assert [layer.ndim for layer in viewer.layers] == [3, 3, 3, 3]
    assert viewer.layers[0].metadata["images"][3] == "B03_1"
    np.testing.assert_array_equal(viewer.layers[1].data[2], pixels(3, (2, *SHAPE))[1])
    assert viewer.layers[2].contrast_limits == [0, 9]
    np.testing.assert_allclose(viewer.layers[2].scale, [2, 0.5, 0.5])
