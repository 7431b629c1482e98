"""Measures of tracks: those of py-ctcmetrics, and counted plainly from pairs of spots."""

import contextlib
import io

import numpy as np
import pandas as pd
import pytest
from ctc_metrics.scripts.evaluate import calculate_metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_samhq.errors import ImageError
from napari_samhq.tracking.measures import compare_tracks
from support.films import COLUMNS, dividing_film


def theirs(true, true_lineage, found, found_lineage):
    """What py-ctcmetrics says."""
    labels, mapped, ious = ([], []), ([], []), []
    for one, other in zip(true, found, strict=True):
        ids = [np.unique(frame[frame > 0]).tolist() for frame in (one, other)]
        for which in (0, 1):
            labels[which].append(ids[which])
        pairs, values = ([], []), []
        for a in ids[0]:
            for b in ids[1]:
                shared = np.count_nonzero((one == a) & (other == b))
                if 2 * shared > np.count_nonzero(one == a):
                    pairs[0].append(a)
                    pairs[1].append(b)
                    values.append(shared / np.count_nonzero((one == a) | (other == b)))
        for which in (0, 1):
            mapped[which].append(pairs[which])
        ious.append(values)
    names = ("labels_ref", "labels_comp", "mapped_ref", "mapped_comp")
    trajectories = dict(zip(names, (*labels, *mapped), strict=True))
    tables = found_lineage[COLUMNS].to_numpy(), true_lineage[COLUMNS].to_numpy()
    segmented = {"labels_ref": labels[0], "ious": ious}
    wanted = ["Valid", "DET", "SEG", "TRA", "LNK", "CT", "BC"]
    with contextlib.redirect_stdout(io.StringIO()):
        return calculate_metrics(*tables, trajectories, segmented, metrics=wanted, is_valid=1)


def spoiled(film, lineage, random):
    """Tracks with faults: exchanged, cut, merged in a frame, deleted, doubled."""
    film, rows = film.copy(), lineage[COLUMNS].to_numpy().copy()
    for _ in range(random.integers(1, 4)):
        frame = int(random.integers(1, len(film)))
        one, other = random.choice(np.unique(film[film > 0]), 2)
        kind = random.integers(4)
        if kind == 0:  # exchanged from a frame on
            was = film[frame:].copy()
            film[frame:][was == one], film[frame:][was == other] = other, one
        elif kind == 1:  # not found
            film[frame][film[frame] == one] = 0
        elif kind == 2:  # two are one
            film[frame][film[frame] == one] = other
        else:  # something else
            film[frame, 55:60, 2:7] = one if not (film[frame] == one).any() else film.max() + 1
    parents = dict(rows[:, [0, 3]].tolist())
    seen = {}
    for frame, plane in enumerate(film):
        for one in np.unique(plane[plane > 0]).tolist():
            seen.setdefault(one, []).append(frame)
    table = []
    for one, frames in seen.items():
        parent = parents.get(one, 0)
        fits = parent in seen and seen[parent][-1] < frames[0]
        table.append((one, frames[0], frames[-1], parent if fits else 0))
    return film, pd.DataFrame(sorted(table), columns=COLUMNS)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**20))
def test_measures_are_those_of_py_ctcmetrics(seed):
    true, lineage = dividing_film()
    found, rows = spoiled(true, lineage, np.random.default_rng(seed))
    ours = compare_tracks(true, lineage, found, rows).told()
    expected = theirs(true, lineage, found, rows)
    for name, value in ours.items():
        assert value == pytest.approx(expected[name], abs=1e-4), name


def test_counts_of_a_film_with_two_faults():
    true, lineage = dividing_film()
    found, rows = true.copy(), lineage.copy()
    found[found == 5] = 2  # one daughter keeps the mother's id
    rows = rows[rows.track != 5]
    rows.loc[rows.track == 2, "end"] = 5
    rows.loc[rows.track == 4, "parent"] = 0  # and the other comes from nowhere
    quality = compare_tracks(true, lineage, found, rows)
    assert (quality.links_missed, quality.links_extra, quality.links_wrong) == (1, 0, 1)
    assert quality.lnk == 1 - (1.5 + 1) / (1.5 * quality.links)
    assert quality.ct == 2 * 3 / (5 + 4)  # two cells that only moved, and a daughter
    assert quality.divisions[0] == (0, 0, 1)
    assert (quality.division_f1, quality.det, quality.seg) == (0.0, 1.0, 1.0)


def test_a_film_agrees_with_itself_whatever_its_ids_are():
    true, lineage = dividing_film()
    names = np.array([0, 9, 4, 7, 1, 3])
    rows = lineage.assign(track=names[lineage.track], parent=names[lineage.parent])
    quality = compare_tracks(true, lineage, names[true], rows)
    assert set(quality.told().values()) == {1.0}


def test_films_that_do_not_fit_are_refused():
    true, lineage = dividing_film()
    with pytest.raises(ImageError, match="one shape"):
        compare_tracks(true, lineage, true[1:], lineage)
    with pytest.raises(ImageError, match="no row"):
        compare_tracks(true, lineage, true, lineage[:3])
