"""Everything in stacks and films: linked, exact at seams, resumed where it was stopped."""

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_samhq.batch.everything import segment_everything
from napari_samhq.errors import Cancelled, FileError, ImageError, SettingsError
from support.fakes_of_objects import MapsPredictor, blobs

SETTINGS = {"smallest_px": 1, "min_score": 0.1, "method": "dense", "contrast_limits": (0, 255)}


def stack(planes=4, side=120):
    """The same objects in each plane, a little further on."""
    first = blobs((side, side), 3)
    return np.stack([np.roll(first, number, axis=1) for number in range(planes)])


def test_ids_are_the_same_through_the_planes():
    volume = stack()
    labels = segment_everything(volume, MapsPredictor(), axes="zyx", **SETTINGS)
    assert labels.shape == volume.shape
    assert labels.dtype == np.int32
    inner = np.unique(labels[0, :, 8:-8])[1:]
    same = [one for one in inner if all((plane == one).any() for plane in labels)]
    assert len(same) >= 0.9 * len(inner)
    assert np.unique(labels[0])[1:].tolist() == list(range(1, labels[0].max() + 1))


def test_tiles_leave_no_trace():
    volume = stack(3, 160)
    one = segment_everything(volume, MapsPredictor(), axes="zyx", **SETTINGS)
    many = segment_everything(volume, MapsPredictor(), axes="zyx", tile=64, halo=32, **SETTINGS)
    assert np.array_equal(one, many)


@pytest.mark.parametrize("axes", ["zyx", "tyx"])
def test_lazy_images_and_files_give_the_same(axes, tmp_path):
    volume = stack(3)
    expected = segment_everything(volume, MapsPredictor(), axes=axes, **SETTINGS)
    lazy = da.from_array(volume, chunks=(1, 60, 60))
    found = segment_everything(
        lazy,
        MapsPredictor(),
        axes=axes,
        out=tmp_path / "a.zarr",
        pixel_size=0.5,
        unit="um",
        **SETTINGS,
    )
    assert isinstance(found, zarr.Array)
    assert np.array_equal(found[:], expected)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]
    with pytest.raises(FileError, match="exists already"):
        segment_everything(lazy, MapsPredictor(), axes=axes, out=tmp_path / "a.zarr", **SETTINGS)


def test_what_was_stopped_goes_on_where_it_was(tmp_path):
    volume = stack(4)
    expected = segment_everything(volume, MapsPredictor(), axes="zyx", **SETTINGS)

    def stop(step):
        if step.stage == "segment" and step.done > 2:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        segment_everything(
            volume, MapsPredictor(), axes="zyx", out=tmp_path / "a.zarr", progress=stop, **SETTINGS
        )
    assert not (tmp_path / "a.zarr").exists()
    predictor = MapsPredictor()
    found = segment_everything(volume, predictor, axes="zyx", out=tmp_path / "a.zarr", **SETTINGS)
    assert np.array_equal(found[:], expected)
    fresh = MapsPredictor()
    segment_everything(volume, fresh, axes="zyx", **SETTINGS)
    assert len(predictor.calls) < len(fresh.calls)


def test_volumes_in_time():
    volume = np.stack([stack(2, 80), stack(2, 80)])
    labels = segment_everything(volume, MapsPredictor(), axes="tzyx", **SETTINGS)
    assert labels.shape == volume.shape
    assert np.array_equal(labels[0], labels[1])


@pytest.mark.parametrize(
    ("shape", "axes", "error"),
    [
        pytest.param((8, 64), "zyx", ImageError, id="FM-146 one plane for a stack"),
        pytest.param((2, 3, 64, 64), "zyx", ImageError, id="FM-147 one axis too many"),
        pytest.param((4, 64, 64), "xyz", SettingsError, id="FM-148 no such axes"),
        pytest.param((0, 64, 64), "zyx", ImageError, id="FM-149 a stack without planes"),
    ],
)
def test_stacks_that_are_none_are_refused(shape, axes, error):
    with pytest.raises(error):
        segment_everything(np.zeros(shape, np.uint8), MapsPredictor(), axes=axes, **SETTINGS)


def test_planes_without_anything_are_empty_planes():  # FM-150
    volume = stack(3).astype(float)
    volume[1] = 0
    labels = segment_everything(volume, MapsPredictor(), axes="zyx", **SETTINGS)
    assert labels[0].any()
    assert not labels[1].any()
