"""Tasks of a run: segment a tile, choose objects, draw a block of the label image.

Each reads a plan and what others wrote, and gives the same result however often it is done.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_samhq.core.prompts.outline_masks import lies_within
from napari_samhq.core.tiles.grid import Region, intersection
from napari_samhq.core.tiles.stitching import chosen, overlaps, paint
from napari_samhq.errors import FileError
from napari_samhq.inference.settings import AutomaticSettings, DenseSettings, changed

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray

    from napari_samhq.batch.plan import Plan, TileKey
    from napari_samhq.batch.results import Results
    from napari_samhq.core.tiles.grid import Tile
    from napari_samhq.core.tiles.stitching import Candidate, TileAnswer
    from napari_samhq.inference.automatic import SupportsLogits
    from napari_samhq.inference.object_maps import Seen, SupportsDenseMaps
    from napari_samhq.inference.source import ImageSource
    from napari_samhq.inference.tile_window import Asked

__all__ = ["Objects", "choose_objects", "paint_block", "points_of", "segment_tile", "tiles_above"]


def tiles_above(plan: Plan, level: int, done: dict[TileKey, int]) -> list[TileKey]:
    """List the tiles of a grid that have points to ask: all of the finest grid, few of others."""
    if level == 0:
        return [(0, index) for index in range(len(plan.grids[0]))]
    below = plan.grids[level - 1]
    parents = {
        below.parent(index)
        for (number, index), unfinished in done.items()
        if number == level - 1 and unfinished
    }
    return [(level, index) for index in sorted(parents)]


def points_of(
    plan: Plan, key: TileKey, results: Results, foreground: Any | None
) -> NDArray[np.float64]:
    """Points that a tile asks, as an array of shape (N, 2): row, column in image pixels."""
    from napari_samhq.inference.automatic import grid_points

    level, index = key
    write = plan.grids[level][index].write
    if level == 0:
        assert isinstance(plan.settings, AutomaticSettings)
        return grid_points(write, plan.settings.spacing_px, foreground)
    below = plan.grids[level - 1]
    points = [
        point
        for child in below.reaching(write)
        if below.parent(child) == index and (level - 1, child) in results
        for point in results.get((level - 1, child)).unfinished
    ]
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def segment_tile(
    plan: Plan,
    key: TileKey,
    finder: SupportsLogits,
    source: ImageSource,
    results: Results,
    foreground: Any | None = None,
    outliner: SupportsLogits | None = None,
    seen: Seen | None = None,
) -> Generator[Asked, None, TileAnswer]:
    """Find the objects of one tile, have them outlined by another model if there is one, and keep
    them.

    Yields
    ------
    Asked
        Stop here to cancel; nothing of this tile is kept then.
    """
    level, index = key
    grid, finer = plan.grids[level], plan.grids[level - 1] if level else None
    settings = plan.settings
    if outliner is not None:  # whose masks may be large enough where those that are found are not
        least = min(settings.smallest_px, int(settings.LOOSE["smallest_px"]))
        settings = changed(settings, {"smallest_px": least})
    if isinstance(settings, DenseSettings):
        from napari_samhq.inference.dense_tiles import find_in_tile

        found = find_in_tile(
            cast("SupportsDenseMaps", finder),
            source,
            grid,
            index,
            settings,
            finer,
            foreground=foreground,
            past_the_edge=plan.past_the_edge,
            seen=seen,
        )
    else:
        from napari_samhq.inference.automatic import ask_tile

        points = points_of(plan, key, results, foreground)
        found = ask_tile(
            finder,
            source,
            grid,
            index,
            points,
            settings,
            finer,
            past_the_edge=plan.past_the_edge,
        )
    answer = yield from found
    if outliner is not None and answer.candidates:
        from napari_samhq.inference.outlining import outlined

        limits = None if plan.past_the_edge else plan.area
        answer = yield from outlined(answer, outliner, source, grid[index].read, limits)
        accepts = plan.settings.accepts
        good = [c for c in answer.candidates if accepts(c.score, c.stability, c.area_px)]
        answer = replace(answer, candidates=tuple(good))
    results.put(key, answer)
    return answer


@dataclass(frozen=True, eq=False)
class Objects:
    """The candidates that became objects.

    Attributes
    ----------
    labels : dict of TileKey to ndarray of int32
        For each candidate of a tile its label id; 0 if it is no object.
    regions : ndarray of shape (N, 4), int64
        First row and column, and one past the last row and column, of the objects 1 to N.
    scores, areas_px : ndarray of shape (N,)
        Of the objects 1 to N.
    """

    labels: dict[TileKey, NDArray[np.int32]]
    regions: NDArray[np.int64]
    scores: NDArray[np.float64]
    areas_px: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)


def choose_objects(
    plan: Plan, results: Results, keys: list[TileKey], within: Any | None = None
) -> Generator[tuple[int, int], None, Objects]:
    """Choose among all candidates; memory holds those of a few tiles at a time.

    Parameters
    ----------
    plan : Plan
    results : Results
    keys : list of TileKey
        The tiles that were asked.
    within : array of shape (H, W), optional
        Objects that have a pixel where it is 0 are left out. What they cover stays empty: a part
        of something that goes on beyond the edge is no object.

    Yields
    ------
    (int, int)
        Tiles looked at, of how many.

    Returns
    -------
    Objects
        The value of the generator. Objects are numbered from 1, from the top down.
    """
    keys = sorted(keys)
    starts: dict[TileKey, int] = {}
    parts = [np.empty(0, dtype=_ROW)]
    count = 0
    for key in keys:
        starts[key] = count
        found_here = results.get(key).candidates
        parts.append(np.array([_row(candidate) for candidate in found_here], dtype=_ROW))
        count += len(found_here)
    table = np.concatenate(parts)
    order = np.argsort(table, order=_RANK)  # best first
    place = np.empty(len(table), dtype=np.int64)
    place[order] = np.arange(len(table))
    finest, found = plan.grids[0], []
    for tile in finest:
        share = _share(plan, tile)
        near = list(_near(plan, results, starts, share))
        pairs = overlaps([candidate for _, candidate in near], share)
        if len(pairs):
            number = place[np.array([n for n, _ in near])]
            found.append(np.column_stack([number[pairs[:, 0]], number[pairs[:, 1]], pairs[:, 2]]))
        yield tile.index + 1, len(finest)
    pairs = np.concatenate(found) if found else np.empty((0, 3), dtype=np.int64)
    keep = chosen(table["area"][order], pairs, plan.settings.overlap)[place]
    if within is not None:
        keep = _inside(plan, results, starts, keep, within)
    return _numbered(table, keep, starts)


def _inside(
    plan: Plan,
    results: Results,
    starts: dict[TileKey, int],
    keep: NDArray[np.bool_],
    within: Any,
) -> NDArray[np.bool_]:
    """Drop those candidates that reach past the edge of a mask."""
    whole = slice(0, plan.image_shape[0]), slice(0, plan.image_shape[1])
    left = keep.copy()
    for key, start in starts.items():
        for number, candidate in enumerate(results.get(key).candidates, start):
            region = intersection(candidate.region, whole)
            if left[number] and region is not None:
                left[number] = lies_within(candidate.sampled(region), region, within)
    return left


def _numbered(table: NDArray[Any], keep: NDArray[np.bool_], starts: dict[TileKey, int]) -> Objects:
    objects = np.flatnonzero(keep)
    objects = objects[np.argsort(table[objects], order=_READING_ORDER)]
    if len(objects) > np.iinfo(np.int32).max:
        raise FileError(
            f"There are {len(objects)} objects, more than the 32 bits of a label id can tell "
            "apart. Segment parts of the image with region=."
        )
    ids = np.zeros(len(table), dtype=np.int32)
    ids[objects] = np.arange(1, len(objects) + 1)
    stops = [*starts.values(), len(table)][1:]
    labels = {key: ids[a:b] for (key, a), b in zip(starts.items(), stops, strict=True)}
    rows = table[objects]
    regions = np.column_stack([rows[name] for name in ("top", "left", "bottom", "right")])
    return Objects(labels, regions.astype(np.int64), rows["score"], rows["area"])


def paint_block(plan: Plan, results: Results, objects: Objects, block: Region) -> NDArray[np.int32]:
    """Draw the part of the label image in a region, (h, w) label ids."""
    rows, cols = block
    labels = np.zeros((rows.stop - rows.start, cols.stop - cols.start), dtype=np.int32)
    here = []
    for level, grid in enumerate(plan.grids):
        for index in grid.reaching(block):
            ids = objects.labels.get((level, index))
            if ids is None or not ids.any():
                continue
            found = results.get((level, index)).candidates
            here += [
                (int(ids[n]), found[n])
                for n in np.flatnonzero(ids)
                if intersection(found[n].region, block)
            ]
    paint(labels, block, here)
    return labels


_ROW = np.dtype(
    [
        ("worse", "f8"),  # the negative quality, to sort the best first
        *[(name, "i8") for name in ("top", "left", "bottom", "right")],
        ("row", "f8"),
        ("col", "f8"),
        ("bits", "S16"),
        ("area", "i8"),
        ("score", "f8"),
    ]
)
_RANK = ["worse", "top", "left", "bottom", "right", "row", "col", "bits"]
_READING_ORDER = [*_RANK[1:], "worse"]


def _row(candidate: Candidate) -> tuple[Any, ...]:
    """Write down what the order of candidates depends on, as `Candidate.rank` but small."""
    rows, cols = candidate.region
    bits = hashlib.blake2b(candidate.mask.packed, digest_size=8).hexdigest().encode()
    place = (rows.start, cols.start, rows.stop, cols.stop)
    point = candidate.point_rc
    return (-candidate.quality, *place, *point, bits, candidate.area_px, candidate.score)


def _share(plan: Plan, tile: Tile) -> Region:
    """Give the part of the image in which a tile looks for pairs, each of which begins in one.

    Objects may lie beyond the edge of the region; there the tiles at the edge look.
    """
    rows, cols = (
        slice(
            0 if part.start == whole.start else part.start,
            length if part.stop == whole.stop else part.stop,
        )
        for part, whole, length in zip(tile.write, plan.area, plan.image_shape, strict=True)
    )
    return rows, cols


def _near(
    plan: Plan, results: Results, starts: dict[TileKey, int], region: Region
) -> Iterator[tuple[int, Candidate]]:
    """Give number and value of all candidates whose bounding boxes meet a region."""
    for level, grid in enumerate(plan.grids):
        for index in grid.reaching(region):
            start = starts.get((level, index))
            if start is None:
                continue
            for number, candidate in enumerate(results.get((level, index)).candidates, start):
                if intersection(candidate.region, region):
                    yield number, candidate
