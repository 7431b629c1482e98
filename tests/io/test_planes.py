"""Objects in the planes of a stack: only those of the plane that is asked for count."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.errors import FileError, ImageError
from napari_samhq.io.geojson import read_geojson, write_geojson
from napari_samhq.io.imagej import read_imagej_rois, write_imagej_rois
from napari_samhq.io.layer_data import read_layer_data
from napari_samhq.io.objects import FileObject, labels_of
from napari_samhq.io.planes import Position, in_plane, leading_axes
from napari_samhq.io.prompt_files import read_prompts
from napari_samhq.io.results import read_objects

if TYPE_CHECKING:
    from pathlib import Path

AXES = {"t": 3, "z": 4}
indices = st.tuples(st.none() | st.integers(0, 2), st.none() | st.integers(0, 3))


def _square(label_id: int, left: int, position: Position) -> FileObject:
    mask = CroppedMask.of(np.ones((10, 10), dtype=bool), (10, left))
    return FileObject(label_id, mask, position=position)


@given(st.lists(indices, max_size=8), st.integers(0, 2), st.integers(0, 3))
def test_of_two_axes_both_count(placed, t: int, z: int) -> None:
    positions = [Position(t=a, z=b) for a, b in placed]
    expected = [a in (None, t) and b in (None, z) for a, b in placed]
    assert in_plane(positions, [t, z], AXES, "f") == expected
    assert in_plane(positions, [t - 3, z - 4], AXES, "f") == expected


@given(st.integers(2, 5), st.integers(2, 5), st.integers(1, 4), st.data())
def test_imagej_counts_channels_first_then_slices(t: int, z: int, c: int, data) -> None:
    axes = {"t": t, "z": z, "c": c}
    stack = np.arange(t * z * c).reshape(t, z, c)  # the number that ImageJ gives, less one
    index = [data.draw(st.integers(0, n - 1)) for n in stack.shape]
    positions = [Position(stack=n) for n in range(stack.size)]
    kept = in_plane(positions, index, axes, "f")
    assert np.flatnonzero(kept).tolist() == [stack[tuple(index)]]


@pytest.mark.parametrize("name", ["z", "t"])
def test_a_single_axis_is_the_one_along_which_objects_differ(name: str) -> None:
    positions = [Position(**{"t": 0, "z": 0, name: n}) for n in range(3)]
    for axes in (None, {"axis-0": 3}, {"z": 3}, {"t": 3}):
        assert in_plane(positions, [1], axes, "f") == [False, True, False]
    with pytest.raises(FileError, match=rf"3 planes, {name} 0, 1, 2.*--plane"):
        in_plane(positions, None, None, "f")
    assert in_plane(positions[1:2], None, None, "f") == [True]


def test_a_time_series_of_slices_needs_both() -> None:
    positions = [Position(t=0, z=1), Position(t=1, z=1)]
    with pytest.raises(FileError, match="2 planes, t 0, 1"):
        in_plane(positions, None, None, "f")


STACK = [
    _square(4, 10, Position(z=0)),
    _square(5, 30, Position(z=1)),
    _square(5, 50, Position(z=2)),
]


@pytest.fixture(params=["geojson", "zip"])
def stack(request, tmp_path: Path) -> Path:
    path = tmp_path / f"stack.{request.param}"
    write = write_geojson if request.param == "geojson" else write_imagej_rois
    return write(path, STACK)


@pytest.mark.parametrize((), [pytest.param(id="FM-83-objects")])
def test_objects_of_a_stack_come_from_one_plane(stack: Path) -> None:
    for z, left in enumerate((10, 30, 50)):
        (one,) = read_objects(stack, (60, 80), plane=[z])
        assert one.mask.left == left
    assert read_objects(stack, plane=[7]) == []
    with pytest.raises(FileError, match="3 planes"):
        read_objects(stack)


@pytest.mark.parametrize((), [pytest.param(id="FM-83-label-image")])
def test_objects_of_several_planes_make_no_label_image(stack: Path) -> None:
    everything = (read_geojson if stack.suffix == ".geojson" else read_imagej_rois)(stack)
    assert [one.position.z for one in everything] == [0, 1, 2]
    with pytest.raises(ImageError, match="3 planes"):
        labels_of(everything)
    assert labels_of([replace(one, position=Position()) for one in everything]).any()


@pytest.mark.parametrize((), [pytest.param(id="FM-83-napari")])
def test_napari_shows_each_object_in_its_plane(stack: Path) -> None:
    ((labels, options, _),) = read_layer_data(stack)
    assert labels.shape == (3, 20, 60)
    assert [int(np.flatnonzero(plane.any(axis=0))[0]) for plane in labels] == [10, 30, 50]
    ids = [int(one) for one in np.unique(labels) if one]
    assert options["features"]["index"].tolist() == ids


@pytest.mark.parametrize((), [pytest.param(id="FM-83-prompts")])
def test_prompts_of_a_stack_come_from_one_plane(tmp_path: Path) -> None:
    def feature(z: int | None, x: int, name: str = "") -> dict:
        plane = {} if z is None else {"plane": {"c": -1, "z": z, "t": 0}}
        geometry = {"type": "Point", "coordinates": [x + 0.5, 10.5], **plane}
        return {"type": "Feature", "geometry": geometry, "properties": {"name": name}}

    path = tmp_path / "p.geojson"
    # QuPath leaves out the first plane.
    listed = [feature(None, 5, "a"), feature(1, 7, "a"), feature(1, 9)]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": listed}))
    assert [p.points.tolist() for p in read_prompts(path, plane=[0]).values()] == [[[10, 5]]]
    found = read_prompts(path, plane=[1])
    assert [p.points.tolist() for p in found.values()] == [[[10, 7]], [[10, 9]]]
    with pytest.raises(FileError, match="2 planes, z 0, 1"):
        read_prompts(path)
    ((points, options, kind),) = read_layer_data(path)
    assert kind == "points"
    assert points.tolist() == [[0, 10, 5], [1, 10, 7], [1, 10, 9]]
    assert len(set(options["features"]["object"])) == 3


@pytest.mark.parametrize("axes", ["ZYX", "TZCYX", "CYX", "QYX", "ZYXS"])
def test_axes_are_named_by_the_image(tmp_path: Path, axes: str) -> None:
    import tifffile

    shape = tuple({"S": 3}.get(name, 16 if name in "YX" else 2) for name in axes)
    rgb = {"photometric": "rgb"} if "S" in axes else {"photometric": "minisblack"}
    pixels = np.zeros(shape, np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, metadata={"axes": axes}, **rgb)
    names = list(leading_axes(tmp_path / "a.tif"))
    leading = axes.removesuffix("S")[:-2].lower()
    assert names == [name if name in "tzc" else f"axis-{i}" for i, name in enumerate(leading)]


@pytest.mark.parametrize("version", [2, 3])
def test_arrays_of_zarr_name_their_axes(tmp_path: Path, version: int) -> None:
    import zarr

    path, names = tmp_path / "a.zarr", ("t", "z", "y", "x")
    options = {"dimension_names": names} if version == 3 else {}
    array = zarr.create_array(path, shape=(2, 3, 8, 8), dtype="u1", zarr_format=version, **options)
    if version == 2:
        array.attrs["_ARRAY_DIMENSIONS"] = list(names)
    assert leading_axes(path) == {"t": 2, "z": 3}
