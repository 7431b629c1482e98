"""Objects followed through the planes of a volume."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr

import napari_samhq as samhq
from napari_samhq.errors import Cancelled, ImageError, SettingsError
from napari_samhq.inference.propagate import job_for
from napari_samhq.inference.propagation.run import iter_propagate
from support.fakes import FakePredictor

SHAPE = (11, 60, 80)
MIDDLE, FIRST, LAST = 5, 2, 8


def balls() -> tuple[np.ndarray, np.ndarray]:
    """A moving ball (7) and a still one (3) in noise, in planes 2 to 8, and their labels."""
    labels = np.zeros(SHAPE, dtype=np.int32)
    rows, cols = np.mgrid[: SHAPE[1], : SHAPE[2]]
    for plane in range(FIRST, LAST + 1):
        radius = 10 * np.sqrt(1 - ((plane - MIDDLE) / 4) ** 2)
        labels[plane][np.hypot(rows - 30, cols - 24 - 2 * (plane - MIDDLE)) < radius] = 7
        labels[plane][np.hypot(rows - 30, cols - 60) < radius + 1] = 3
    noise = np.random.default_rng(0).normal(0, 6, SHAPE)
    volume = (60 + 100 * (labels > 0) + noise).clip(0, 255).astype(np.uint8)
    return volume, labels


VOLUME, TRUE = balls()


def only(*planes: int, label_ids: tuple[int, ...] = (3, 7)) -> np.ndarray:
    """The true outlines of some planes and objects."""
    labels = np.zeros_like(TRUE)
    for plane in planes:
        labels[plane] = np.where(np.isin(TRUE[plane], label_ids), TRUE[plane], 0)
    return labels


def follow(labels: np.ndarray, volume=VOLUME, **options) -> samhq.Propagation:
    return samhq.propagate(volume, labels, FakePredictor(), **options)


def agreement(labels: np.ndarray, label_id: int) -> float:
    one, other = labels == label_id, label_id == TRUE
    return float(np.count_nonzero(one & other) / np.count_nonzero(one | other))


@pytest.mark.parametrize("planes", [None, (FIRST, LAST), {3: (2, 8), 7: (2, 8)}])
def test_objects_are_followed_to_their_ends(planes):
    result = follow(only(MIDDLE), planes=planes)
    assert result.is_whole
    assert result.labels.dtype == np.int32
    assert agreement(result.labels, 3) > 0.95
    assert agreement(result.labels, 7) > 0.95
    assert set(result.doubt.columns) == {"label_id", "plane", "doubt", "reason"}
    assert result.doubt["doubt"].between(0, 1).all()
    found = {(row.label_id, row.plane) for row in result.doubt.itertuples()}
    drawn = {(i, z) for z in range(SHAPE[0]) for i in (3, 7) if (result.labels[z] == i).any()}
    assert found == drawn - {(3, MIDDLE), (7, MIDDLE)}


def test_given_planes_stay_to_the_pixel_and_planes_between_are_computed():
    begun = only(3, 7)
    begun[3][begun[3] == 7] = 0
    begun[3, 20:22, 5:9] = 7  # wrong, but given
    result = follow(begun, planes=(3, 7))
    for plane in (3, 7):
        np.testing.assert_array_equal(result.labels[plane], begun[plane])
    assert sorted(set(result.doubt["plane"])) == [4, 5, 6]
    assert not result.labels[[0, 1, 2, 8, 9, 10]].any()


@pytest.mark.parametrize(
    ("direction", "expected"), [("forward", [6, 7, 8]), ("backward", [2, 3, 4])]
)
def test_direction(direction, expected):
    result = follow(only(MIDDLE), direction=direction)
    assert sorted(set(result.doubt["plane"])) == expected


def test_ids_are_names_only():
    begun = only(MIDDLE)
    other = np.select([begun == 3, begun == 7], [900_000, 1], 0)
    first, second = follow(begun), follow(other)
    np.testing.assert_array_equal(first.labels == 3, second.labels == 900_000)
    np.testing.assert_array_equal(first.labels == 7, second.labels == 1)


@pytest.mark.parametrize("lazy", [da.from_array, zarr.array])
def test_lazy_arrays_give_what_numpy_gives(lazy):
    expected = follow(only(MIDDLE))
    out = zarr.create_array({}, shape=SHAPE, chunks=(1, 60, 80), dtype="int32")
    result = follow(lazy(only(MIDDLE)), lazy(VOLUME), out=out)
    assert result.labels is out
    np.testing.assert_array_equal(out[:], expected.labels)
    assert result.doubt.equals(expected.doubt)


@pytest.mark.parametrize("axis", [1, 2])
def test_any_axis(axis):
    volume, begun = np.moveaxis(VOLUME, 0, axis), np.moveaxis(only(MIDDLE), 0, axis)
    result = samhq.propagate(volume, begun, FakePredictor(), axis=axis)
    np.testing.assert_array_equal(np.moveaxis(result.labels, axis, 0), follow(only(MIDDLE)).labels)


def test_a_cancelled_run_keeps_whole_planes_and_nothing_else():
    expected = follow(only(MIDDLE)).labels

    def stop(step):
        if step.done == 4:
            raise Cancelled("enough")

    result = follow(only(MIDDLE), progress=stop)
    assert not result.is_whole
    done = sorted(set(result.doubt["plane"]))
    assert done == [6, 7, 8]
    for plane in range(SHAPE[0]):
        wanted = expected if plane in (MIDDLE, *done) else np.zeros_like(expected)
        np.testing.assert_array_equal(result.labels[plane], wanted[plane])


def test_objects_share_no_pixel_and_collisions_are_told():
    begun = np.zeros_like(TRUE)
    begun[MIDDLE, 20:40, 20:31] = 1
    begun[MIDDLE, 20:40, 31:42] = 2
    result = follow(
        begun, np.zeros_like(VOLUME) + 100 + np.arange(80, dtype=np.uint8), planes=(4, 6)
    )
    for plane in (4, 6):
        assert set(np.unique(result.labels[plane])) == {0, 1, 2}


def test_events_come_plane_by_plane_and_two_planes_are_read_at_a_time():
    job = job_for(VOLUME, only(3, 7))
    steps = list(iter_propagate(job, FakePredictor()))
    assert [step.done for step in steps] == list(range(1, len(steps) + 1))
    assert steps[-1].done == steps[-1].total
    whole = [step.plane for step in steps if step.labels is not None]
    assert len(whole) == len(set(whole))
    between = [step for step in steps if step.plane in (4, 5, 6)]
    assert [step.labels is None for step in between] == [True] * 3 + [False] * 3


def test_the_model_looks_once_at_a_plane():
    predictor = FakePredictor()
    samhq.propagate(VOLUME, only(3, 7), predictor, planes=(2, 8))
    looks = [argument for what, argument in predictor.calls if what == "embed"]
    assert len(looks) == 7


def test_voxel_sizes_matter_in_the_plane_only():
    plain = follow(only(MIDDLE)).labels
    np.testing.assert_array_equal(follow(only(MIDDLE), spacing=(5, 0.1, 0.1)).labels, plain)
    stretched = VOLUME.repeat(2, axis=2)
    result = follow(only(MIDDLE).repeat(2, axis=2), stretched, spacing=(1, 1, 0.5))
    both = (result.labels > 0) & (TRUE.repeat(2, axis=2) > 0)
    assert both.sum() > 0.9 * (TRUE.repeat(2, axis=2) > 0).sum()


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"labels": np.zeros_like(TRUE)}, ImageError, "No object is outlined"),
        ({"labels": TRUE[:5]}, ImageError, "labels of the volume's shape"),
        ({"labels": TRUE.astype(float)}, ImageError, "needed are integers"),
        ({"labels": -TRUE}, ImageError, "label ids lie between 1"),
        ({"planes": (3, 99)}, SettingsError, "between 0 and 10"),
        ({"planes": (8, 2)}, SettingsError, "first up to last"),
        ({"planes": 4}, SettingsError, "needed are two planes"),
        ({"planes": {12: (1, 2)}}, SettingsError, "outlined nowhere"),
        ({"direction": "up"}, SettingsError, "both, forward, backward"),
        ({"axis": 3}, ImageError, "needed is 0, 1 or 2"),
        ({"spacing": (1, 0, 1)}, SettingsError, "three sizes above 0"),
        ({"out": np.zeros((1, 2, 3), int)}, ImageError, "out has the shape"),
    ],
)
def test_wrong_input_is_told(change, error, told):
    options = {"labels": only(MIDDLE), **change}
    predictor = FakePredictor()
    with pytest.raises(error, match=told):
        samhq.propagate(VOLUME, options.pop("labels"), predictor, **options)
    assert not predictor.calls


@pytest.mark.parametrize("fill", [0, 255])
def test_FM_110_an_empty_plane_is_bridged(fill):
    volume = VOLUME.copy()
    volume[6] = fill
    result = follow(only(MIDDLE), volume)
    row = result.doubt.query("plane == 6 and label_id == 3")
    assert row["reason"].tolist() == ["empty plane"]
    assert row["doubt"].tolist() == [1.0]
    assert agreement(result.labels, 3) > 0.85


def test_FM_110_planes_without_an_end_in_sight_end_in_empty_ones():
    volume = VOLUME.copy()
    volume[6:] = 0
    result = follow(only(MIDDLE), volume)
    assert not result.labels[8:].any()


def test_FM_111_a_plane_that_cannot_be_read_is_named():
    class Broken:
        shape, dtype, ndim = VOLUME.shape, VOLUME.dtype, 3

        def __getitem__(self, index):
            if index[0] == 7:
                raise OSError("bad chunk")
            return VOLUME[index]

    with pytest.raises(samhq.FileError, match=r"Plane 7 of the volume.*bad chunk"):
        follow(only(MIDDLE), Broken())


def test_FM_112_values_that_are_not_finite():
    volume = VOLUME.astype(np.float32)
    volume[6] = np.nan
    volume[4, :10] = np.inf
    result = follow(only(MIDDLE), volume)
    assert agreement(result.labels, 3) > 0.85


def test_FM_113_one_plane_only():
    result = samhq.propagate(VOLUME[5:6], TRUE[5:6], FakePredictor())
    np.testing.assert_array_equal(result.labels, TRUE[5:6])
    assert len(result.doubt) == 0


@pytest.mark.parametrize("shape", [(60, 80), (2, 11, 60, 80), (11, 3, 60, 80), (1, 2, 3, 4, 5)])
def test_FM_114_axes_mistaken(shape):
    with pytest.raises(ImageError, match=r"needed is \(Z, H, W\)"):
        follow(only(MIDDLE), np.zeros(shape, dtype=np.uint8))


def test_FM_114_a_time_axis_that_is_last_is_told_by_the_shape():
    with pytest.raises(ImageError, match="labels of the volume's shape"):
        follow(only(MIDDLE), np.moveaxis(VOLUME, 0, -1))


@pytest.mark.parametrize("channels", [1, 3])
def test_FM_115_colour_stacks(channels):
    volume = np.repeat(VOLUME[..., np.newaxis], channels, axis=-1)
    assert agreement(follow(only(MIDDLE), volume).labels, 7) > 0.9
