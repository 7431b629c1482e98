"""Linking: what is one object stays one, whoever holds the labels and however they are numbered."""

import warnings

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_samhq as samhq
from napari_samhq.errors import ImageError, SamHQWarning, SettingsError
from napari_samhq.tracking.pairing import best_pairs
from napari_samhq.tracking.planes import objects_of, overlaps
from support.films import disc, dividing_film, forgotten, same_partition


def rows_of(linked):
    return linked.lineage[["start", "end", "parent"]].to_numpy().tolist()


def test_a_film_with_a_division_is_followed():
    film, _ = dividing_film()
    linked = samhq.link(forgotten(film), axes="tyx")
    assert same_partition(linked.labels, film)
    assert linked.labels.dtype == np.int32
    mother = int(linked.labels[0][film[0] == 2][0])
    assert linked.lineage["track"].tolist() == [1, 2, 3, 4, 5]
    assert sorted(rows_of(linked)) == sorted(
        [[0, 5, 0], [0, 5, 0], [0, 2, 0], [3, 5, mother], [3, 5, mother]]
    )


@pytest.mark.parametrize("wrap", [da.from_array, zarr.array, np.asarray])
def test_lazy_labels_give_the_same(wrap):
    labels = forgotten(dividing_film()[0])
    linked = samhq.link(wrap(labels), axes="tyx")
    assert np.array_equal(linked.labels, samhq.link(labels, axes="tyx").labels)


def test_what_is_missing_in_one_frame_is_the_same_when_it_is_back():
    film, _ = dividing_film()
    given = forgotten(film)
    given[2][film[2] == 1] = 0
    linked = samhq.link(given, axes="tyx")
    assert same_partition(linked.labels, np.where(given > 0, film, 0))
    track = linked.lineage.set_index("track").loc[int(linked.labels[0][film[0] == 1][0])]
    assert (track.start, track.end) == (0, 5)
    apart = samhq.link(given, axes="tyx", gap=0)
    assert len(apart.lineage) == len(linked.lineage) + 1


def test_links_by_hand_are_kept():
    film, _ = dividing_film()
    given = forgotten(film)
    one, other = (int(given[0][film[0] == track][0]) for track in (1, 3))
    after = [int(given[1][film[1] == track][0]) for track in (1, 3)]
    swapped = samhq.link(
        given, axes="tyx", joined=[((0, one), (1, after[1])), ((0, other), (1, after[0]))]
    ).labels
    assert swapped[0][film[0] == 1][0] == swapped[1][film[1] == 3][0]
    assert swapped[0][film[0] == 3][0] == swapped[1][film[1] == 1][0]
    cut = samhq.link(given, axes="tyx", apart=[((0, one), (1, after[0]))]).labels
    assert cut[0][film[0] == 1][0] != cut[1][film[1] == 1][0]


def test_volumes_in_time_are_followed():
    series = np.zeros((3, 12, 24, 40), dtype=int)
    for frame in range(3):
        series[frame][disc(series.shape[1:], (5, 8, 8 + frame), 4)] = 1 + frame
        series[frame][disc(series.shape[1:], (6, 14, 28 + frame), 5)] = 7 - frame
    linked = samhq.link(series, axes="tzyx")
    assert [sorted(np.unique(frame)) for frame in linked.labels] == [[0, 1, 2]] * 3
    data, graph = linked.to_tracks()
    assert data.shape == (6, 5)
    assert graph == {}


def test_branches_and_pieces_of_a_stack_are_one_object():
    stack = np.zeros((6, 40, 60), dtype=int)
    stack[0:3, 10:30, 10:50] = 1
    stack[3:6, 10:30, 10:26] = 1  # two branches
    stack[3:6, 10:30, 34:50] = 2
    stack[:, 33:39, 3:9] = 3
    assert samhq.link(stack).labels.max() == 2
    stack[5, 10:30, 34:50] = 0
    assert samhq.link(stack).labels.max() == 2


def test_neighbours_that_touch_stay_apart():
    stack = np.zeros((8, 20, 40), dtype=int)
    for plane in range(8):  # a wall that leans
        stack[plane, :, : 12 + 2 * plane] = 1
        stack[plane, :, 12 + 2 * plane :] = 2
    linked = samhq.link(forgotten(stack))
    assert same_partition(linked.labels, stack)


def test_ids_count_from_the_top_down():
    stack = np.zeros((5, 30, 30), dtype=int)
    stack[3:, 2:8, 2:8] = 1
    stack[0:2, 20:26, 20:26] = 2
    linked = samhq.link(stack)
    assert linked.labels[0, 22, 22] == 1
    assert linked.labels[4, 4, 4] == 2
    assert linked.lineage.to_numpy().tolist() == [[1, 0, 1, 0], [2, 3, 4, 0]]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_linking_does_not_depend_on_the_ids_of_planes(seed):
    film, _ = dividing_film()
    assert same_partition(samhq.link(forgotten(film, seed), axes="tyx").labels, film)
    first = samhq.link(film).labels
    assert same_partition(samhq.link(forgotten(film, seed)).labels, first)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.floats(0.01, 1)), max_size=20))
def test_pairs_are_those_of_the_whole_matrix(triples):
    from scipy.optimize import linear_sum_assignment

    unique = {(i, j): gain for i, j, gain in triples}
    table = np.zeros((6, 6))
    for (i, j), gain in unique.items():
        table[i, j] = gain
    places = np.array(list(unique) or np.empty((0, 2)), dtype=np.int64).reshape(-1, 2)
    gains = np.array(list(unique.values()), dtype=float)
    chosen = best_pairs(places[:, 0], places[:, 1], gains)
    assert np.isclose(gains[chosen].sum(), table[linear_sum_assignment(table, True)].sum())
    assert len(set(places[chosen, 0])) == len(set(places[chosen, 1])) == len(chosen)


def test_overlaps_are_those_of_moved_masks():
    random = np.random.default_rng(3)
    one, two = random.integers(0, 4, (2, 20, 20)) * (random.random((2, 20, 20)) < 0.5)
    first, second = objects_of(one), objects_of(two)
    moved = np.array([[1, -2], [0, 3], [-4, 0]], dtype=float)
    pairs = overlaps(first, second, moved)
    for i, j, shared in zip(pairs.before, pairs.after, pairs.shared, strict=True):
        mask = np.zeros((20, 20), dtype=bool)
        for row, col in np.argwhere(one == first.ids[i]) + moved[i].astype(int):
            if 0 <= row < 20 and 0 <= col < 20:
                mask[row, col] = True
        assert shared == np.count_nonzero(mask & (two == second.ids[j]))


@pytest.mark.parametrize(
    ("labels", "axes", "told"),
    [
        pytest.param(np.zeros((3, 8, 8, 3), int), "zyx", "colour", id="FM-130 RGB stack"),
        pytest.param(np.zeros((8, 8), int), "zyx", "3 axes", id="FM-131 one plane only"),
        pytest.param(np.zeros((3, 8, 8)), "tyx", "whole numbers", id="FM-132 no label ids"),
        pytest.param(np.full((2, 8, 8), -1), "tyx", "-1", id="FM-133 negative ids"),
        pytest.param(np.full((2, 8, 8), 2**40), "tyx", "anew", id="FM-134 ids beyond 32 bits"),
        pytest.param(np.zeros((0, 8, 8), int), "tyx", "nothing", id="FM-135 no planes"),
    ],
)
def test_labels_that_cannot_be_linked_are_refused(labels, axes, told):
    with pytest.raises(ImageError, match=told):
        samhq.link(labels, axes=axes)


def test_the_last_axis_as_time_is_told():  # FM-136
    with pytest.warns(SamHQWarning, match="moveaxis"):
        samhq.link(np.zeros((64, 48, 5), dtype=int), axes="tyx")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samhq.link(np.zeros((5, 64, 48), dtype=int), axes="tyx")


@pytest.mark.parametrize("axes", ["zyx", "tyx"])
def test_empty_planes_are_crossed(axes):  # FM-137
    stack = np.zeros((7, 30, 30), dtype=int)
    for plane in (1, 2, 4, 5):
        stack[plane, 8:20, 8:20] = plane
    linked = samhq.link(stack, axes=axes)
    assert linked.lineage.to_numpy().tolist() == [[1, 1, 5, 0]]
    empty = samhq.link(np.zeros((3, 8, 8), dtype=int), axes=axes)
    assert not empty.labels.any()
    assert empty.lineage.columns.tolist() == ["track", "start", "end", "parent"]
    assert len(empty.lineage) == 0
    assert len(empty.to_tracks()[0]) == 0


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ({"axes": "yxt"}, "yxt"),
        ({"axes": "tyx", "gap": -1}, "gap"),
        ({"axes": "tyx", "joined": [((0, 99), (1, 1))]}, "99"),
        ({"axes": "tyx", "joined": [((0, 1), (40, 1))]}, "40"),
        ({"axes": "tyx", "apart": [((0, 1), (3, 1))]}, "planes 0 and 3"),
        ({"axes": "tyx", "apart": [((1, 1), (1, 2))]}, "within plane"),
    ],
)
def test_settings_that_make_no_sense_are_refused(call, told):
    with pytest.raises(SettingsError, match=told):
        samhq.link(dividing_film()[0], **call)


def test_an_image_of_another_shape_is_refused():  # FM-138
    with pytest.raises(ImageError, match="equal"):
        samhq.link(dividing_film()[0], np.zeros((5, 64, 96)), axes="tyx")
