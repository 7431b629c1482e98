"""Small films and stacks that are drawn, with what is true of them."""

import numpy as np
import pandas as pd

COLUMNS = ["track", "start", "end", "parent"]


def disc(shape, centre, radius):
    grid = np.indices(shape)
    return sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= radius**2


def dividing_film():
    """Three cells that drift; the second divides after frame 2."""
    film = np.zeros((6, 64, 96), dtype=np.int32)
    for frame in range(6):
        shift = np.array([1.5, 2.0]) * frame
        for track, centre in ((1, (14, 16)), (3, (44, 66))):
            film[frame][disc(film.shape[1:], shift + centre, 7)] = track
        if frame <= 2:
            film[frame][disc(film.shape[1:], shift + np.array((16, 46)), 8)] = 2
        else:
            apart = 5 + frame - 3
            for track, side in ((4, -1), (5, 1)):
                film[frame][
                    disc(film.shape[1:], shift + np.array((16 + side * apart, 46)), 5.5)
                ] = track
    lineage = [(1, 0, 5, 0), (2, 0, 2, 0), (3, 0, 5, 0), (4, 3, 5, 2), (5, 3, 5, 2)]
    return film, pd.DataFrame(lineage, columns=COLUMNS)


def forgotten(labels, seed=0):
    """The same outlines with other ids in each plane."""
    random = np.random.default_rng(seed)
    out = np.zeros(labels.shape, dtype=np.int32)
    for number, plane in enumerate(labels):
        ids = np.unique(plane[plane > 0])
        names = 1 + random.permutation(max(1, 3 * len(ids)))[: len(ids)]
        for one, name in zip(ids, names, strict=True):
            out[number][plane == one] = name
    return out


def same_partition(one, other):
    """Whether two label images differ in the numbers of their objects only."""
    if not np.array_equal(one > 0, other > 0):
        return False
    pairs = np.unique(np.stack([one[one > 0], other[other > 0]]), axis=1)
    return all(len(np.unique(row)) == pairs.shape[1] for row in pairs)
