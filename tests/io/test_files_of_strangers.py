"""Files that strangers wrote are read, or refused with one of our errors; nothing else happens."""

from __future__ import annotations

import contextlib
import copy
import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_samhq.errors import FileError, SamHQError
from napari_samhq.io.coco import read_coco, read_coco_boxes
from napari_samhq.io.geojson import read_geojson
from napari_samhq.io.geojson_prompts import read_geojson_prompts
from napari_samhq.io.labels import read_labels, write_labels
from napari_samhq.io.layer_data import is_readable, read_layer_data
from napari_samhq.io.prompt_files import read_prompts
from napari_samhq.io.results import read_objects, write_labels_as

if TYPE_CHECKING:
    from pathlib import Path

LABELS = np.zeros((12, 14), dtype=np.int32)
LABELS[2:6, 3:9] = 4
LABELS[8:10, 1:4] = 9

# What JSON can hold, with the values that most often break programs.
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([10**400, -(10**400), 2**63, 1e308, float("1e999"), -1e308, 5e-324]),
    st.floats(-500, 500),
    st.text(max_size=4),
    st.sampled_from([[], {}, [[]], [1], {"a": 1}, [[1, 2]], [[[1, 2], [3, 4], [5, 6]]]]),
)


def _places(value: Any, place: tuple = ()) -> list[tuple]:
    children = value.items() if isinstance(value, dict) else []
    if isinstance(value, list):
        children = enumerate(value)
    return [place, *(found for key, one in children for found in _places(one, (*place, key)))]


def _damaged(data: st.DataObject, valid: Any) -> Any:
    """Replace, or leave out, up to three values anywhere in a document."""
    document = [copy.deepcopy(valid)]
    for _ in range(data.draw(st.integers(1, 3))):
        place = (0, *data.draw(st.sampled_from(_places(document[0]))))
        inner: Any = document
        for key in place[:-1]:
            inner = inner[key]
        if data.draw(st.booleans()) and len(place) > 1:
            del inner[place[-1]]
        else:
            inner[place[-1]] = copy.deepcopy(data.draw(odd))
    return document[0]


def _read_or_refuse(read, *arguments) -> None:
    with contextlib.suppress(SamHQError):
        read(*arguments)


@pytest.fixture(scope="module")
def valid(tmp_path_factory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("valid")
    files = {
        name: write_labels_as(folder / f"a{name}", LABELS, pixel_size=0.5, unit="um")
        for name in (".json", ".geojson")
    }
    documents = {name: json.loads(path.read_text()) for name, path in files.items()}
    del documents[".json"]["annotations"][1]["segmentation"]
    points = {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}
    line = {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}
    documents[".geojson"]["features"] += [
        {
            "type": "Feature",
            "geometry": one,
            "properties": {
                "name": "a",
                "classification": {"name": "Tumor", "names": ["Tumor", "x"]},
                "measurements": [{"name": "label_id", "value": 3}],
            },
        }
        for one in (points, line)
    ]
    return documents


READERS = {
    ".json": [
        read_coco,
        read_coco_boxes,
        read_layer_data,
        read_prompts,
        lambda path: read_coco(path, boxes_alone=True),
    ],
    ".geojson": [read_geojson, read_geojson_prompts, read_layer_data, read_prompts],
}


@pytest.mark.filterwarnings("ignore::napari_samhq.SamHQWarning")  # overlapping objects, and such
@pytest.mark.parametrize(
    "kind",
    [pytest.param(".json", id="FM-38-39-coco"), pytest.param(".geojson", id="FM-38-40-geojson")],
)
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_damaged_documents_are_read_or_refused(tmp_path: Path, valid, kind: str, data) -> None:
    path = tmp_path / f"a{kind}"
    path.write_text(json.dumps(_damaged(data, valid[kind])))
    for read in READERS[kind]:
        _read_or_refuse(read, path)
    is_readable(path)


# Images, TIFF among them, have tests of their own: test_decoding.py.
# With a line break for a blank numpy takes a file for one of Python 2, reads it, and says so.
@pytest.mark.filterwarnings("ignore::napari_samhq.SamHQWarning")  # overlapping polygons, and such
@pytest.mark.filterwarnings("ignore:Reading `.npy` or `.npz` file required additional header")
@pytest.mark.filterwarnings("ignore::napari_samhq.SamHQWarning")  # entries left out, overlaps
@pytest.mark.parametrize("kind", [".zip", ".png", ".npy", ".geojson", ".json", ".csv"])
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused(tmp_path: Path, kind: str, data) -> None:
    path = tmp_path / f"a{kind}"
    write_labels_as(path, LABELS, pixel_size=0.5, unit="um", overwrite=True)
    content = bytearray(path.read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    count = data.draw(st.integers(0, 8))
    content[start : start + count] = data.draw(st.binary(max_size=8))
    path.write_bytes(content)
    reader = {".csv": read_prompts, ".png": read_labels, ".npy": read_labels}
    _read_or_refuse(reader.get(kind, read_layer_data), path)


def test_an_archive_is_no_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", LABELS)
    archive = (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    cut = tmp_path / "cut.npy"
    cut.write_bytes(b"PK\x03\x04" + bytes(80))
    for path in (archive, cut):
        with pytest.raises(FileError, match=r"is not an array.*numpy\.save"):
            read_labels(path)


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param("../../outside.roi", id="FM-37-parent"),
        pytest.param("/tmp/outside.roi", id="FM-37-absolute"),
        pytest.param("C:\\outside.roi", id="FM-37-drive"),
    ],
)
def test_archives_write_nothing(tmp_path: Path, entry: str) -> None:
    good = write_labels_as(tmp_path / "good.zip", LABELS)
    with zipfile.ZipFile(good) as archive:
        roi = archive.read(archive.namelist()[0])
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "bad.zip", "w") as archive:
        archive.writestr(entry, roi)
    before = sorted(tmp_path.rglob("*"))
    assert len(read_objects(folder / "bad.zip")) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("../../secret", id="FM-37-zarr-parent"),
        pytest.param("/etc", id="FM-37-zarr-absolute"),
    ],
)
def test_levels_of_a_zarr_lie_within_it(tmp_path: Path, path: str) -> None:
    write_labels(tmp_path / "secret.zarr", LABELS)
    folder = tmp_path / "a"
    folder.mkdir()
    bad = write_labels(folder / "bad.zarr", LABELS)
    described = json.loads((bad / "zarr.json").read_text())
    datasets = described["attributes"]["ome"]["multiscales"][0]["datasets"]
    datasets[0]["path"] = path.replace("secret", "secret.zarr/0")
    (bad / "zarr.json").write_text(json.dumps(described))
    with pytest.raises(FileError):
        read_labels(bad)


@pytest.mark.parametrize((), [pytest.param(id="FM-37-zip-bomb")])
def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.roi", bytes(300 * 2**20))
    with pytest.raises(FileError, match="unpacks to"):
        read_objects(path)
