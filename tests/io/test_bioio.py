"""CZI, ND2 and LIF by bioio: its API in a stand-in, since the readers are an extra."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import dask.array
import numpy as np
import pytest

from napari_samhq.errors import FileError, ImageError, MissingExtraError
from napari_samhq.io.bioio_images import scenes_in
from napari_samhq.io.calibration import read_calibration
from napari_samhq.io.images import open_image, read_image
from napari_samhq.io.planes import leading_axes

PIXELS = np.arange(2 * 1 * 2 * 3 * 30 * 40, dtype=np.uint16).reshape(2, 1, 2, 3, 30, 40)


class StandIn:
    """What is used of bioio.BioImage: axes are always T, C, Z, Y, X."""

    channel_names = ("DAPI", "GFP")
    physical_pixel_sizes = SimpleNamespace(Z=1.0, Y=0.25, X=0.25)

    def __init__(self, path):
        if path.read_bytes() == b"damaged":
            raise RuntimeError("no such thing")
        self.scenes = ("first", "second")[: 2 if "two" in path.name else 1]
        self._scene = 0

    def set_scene(self, number):
        self._scene = number

    @property
    def xarray_dask_data(self):
        array = dask.array.from_array(PIXELS[self._scene], chunks=(1, 1, 1, 30, 40))
        return SimpleNamespace(dims=("T", "C", "Z", "Y", "X"), shape=array.shape, data=array)


@pytest.fixture
def bioio(monkeypatch):
    module = ModuleType("bioio")
    module.BioImage = StandIn
    monkeypatch.setitem(sys.modules, "bioio", module)


@pytest.fixture
def czi(tmp_path):
    (tmp_path / "a.czi").write_bytes(b"pixels")
    return tmp_path / "a.czi"


def test_FM_99_a_plane_and_a_channel_of_it(bioio, czi):
    assert leading_axes(czi) == {"c": 2, "z": 3}
    np.testing.assert_array_equal(read_image(czi, plane=[1, 2]), PIXELS[0, 0, 1, 2])
    by_name = read_image(czi, plane=[2], channels=["gfp"])
    np.testing.assert_array_equal(by_name, PIXELS[0, 0, 1, 2])
    window = slice(3, 5), slice(6, 9)
    np.testing.assert_array_equal(
        open_image(czi, plane=[0, 1]).read(window), PIXELS[0, 0, 0, 1][window]
    )
    assert read_calibration(czi).pixel_size[-3:] == (1.0, 0.25, 0.25)
    with pytest.raises(ImageError, match="one index each"):
        read_image(czi)


def test_FM_99_scenes_are_named_as_in_a_folder(bioio, tmp_path):
    path = tmp_path / "two.lif"
    path.write_bytes(b"pixels")
    assert scenes_in(path) == [path / "0", path / "1"]
    np.testing.assert_array_equal(read_image(path / "1", plane=[0, 0]), PIXELS[1, 0, 0, 0])
    with pytest.raises(FileError, match="holds 2 scenes"):
        read_image(path)
    with pytest.raises(FileError, match="no scene 5"):
        read_image(path / "5")


def test_FM_99_what_is_missing_is_named(monkeypatch, czi, bioio, tmp_path):
    czi.write_bytes(b"damaged")
    with pytest.raises(FileError, match=r"a\.czi.*no such thing"):
        read_image(czi)
    with pytest.raises(FileError, match="There is no image"):
        read_image(tmp_path / "b.nd2")

    class UnsupportedFileFormatError(Exception):
        pass

    def refuse(_path):
        raise UnsupportedFileFormatError("no reader")

    monkeypatch.setattr(sys.modules["bioio"], "BioImage", refuse)
    monkeypatch.setattr("napari_samhq.io.bioio_images._is_installed", lambda _: False)
    with pytest.raises(MissingExtraError, match="pip install bioio-czi"):
        read_image(czi)
    monkeypatch.setitem(sys.modules, "bioio", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'napari-samhq\[bioio\]'"):
        read_image(czi)
