"""Objects of a tile, from the maps of a dense head."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.tiles.grid import Region, TileGrid, intersection, touches_inner_border
from napari_samhq.core.tiles.stitching import Candidate, TileAnswer
from napari_samhq.inference.dense import BLUR_RADIUS, find_objects
from napari_samhq.inference.enlarging import Enlarger
from napari_samhq.inference.tile_window import Asked, TileWindow, clipped

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_samhq.core.masks.cropped import CroppedMask
    from napari_samhq.inference.embedding import ImageEmbedding
    from napari_samhq.inference.object_maps import Seen, SupportsDenseMaps
    from napari_samhq.inference.settings import DenseSettings
    from napari_samhq.inference.source import ImageSource

__all__ = ["find_in_tile"]

_LEAST_ON_FOREGROUND = 0.5  # of an object's pixels, where a foreground is given
_EACH = 16  # objects are enlarged between two reports


def find_in_tile(
    predictor: SupportsDenseMaps,
    source: ImageSource,
    grid: TileGrid,
    index: int,
    settings: DenseSettings,
    finer: TileGrid | None = None,
    *,
    foreground: Any | None = None,
    past_the_edge: bool = False,
    seen: Seen | None = None,
) -> Generator[Asked, None, TileAnswer]:
    """Find the objects of one tile: all that have a pixel in its write region.

    Parameters
    ----------
    predictor : predictor with `dense_maps`
    source : ImageSource
    grid : TileGrid
    index : int
        Which tile of it.
    settings : DenseSettings
    finer : TileGrid, optional
        The grid that was looked at before. Then only objects count that one of its tiles could not
        see whole.
    foreground : array of shape (H, W), optional
        Objects are left out of which more than half lies where it is 0.
    past_the_edge : bool, optional
        Whether objects may go on beyond the area of the grid; otherwise they are cut off there.
    seen : Seen, optional
        What was found in this image lately.

    Yields
    ------
    Asked
        Stop here to cancel.

    Returns
    -------
    TileAnswer
        The value of the generator. Its unfinished points lie on objects that the tile does not see
        whole, one on each.

    Raises
    ------
    ImageError, FileError, OutOfMemoryError
        As source and predictor do.
    """
    tile = grid[index]
    if foreground is not None and not np.asarray(foreground[tile.write]).any():
        return TileAnswer()
    window = TileWindow.read(source, tile.read)
    if window.rgb8.min() == window.rgb8.max():
        return TileAnswer()  # nothing to see here
    known = None if seen is None else seen.get(tile.read)
    if known is None:
        embedding = predictor.embed(window.rgb8)
        yield Asked(1, 3)
        known = embedding, find_objects(predictor.dense_maps(embedding))
        if seen is not None:
            seen.put(tile.read, known)
    embedding, found = known
    enlarger = Enlarger(embedding, found.maps.side)
    view = _View.of(grid, index, window, embedding, found.maps.side)
    whole: list[Candidate] = []
    cut: list[tuple[float, float]] = []
    for number in range(len(found)):
        if number % _EACH == 0:
            yield Asked(len(found) + 2 * number, 3 * len(found))
        here = found.deepest(number, view.write)
        if here is None:
            continue  # it belongs to others
        if not view.sees_whole(view.region(found.boxes[number])):
            cut.append(view.position(here))
        elif found.scores[number] >= settings.min_score:
            middle = found.deepest(number)
            assert middle is not None
            mask = view.moved(found.mask(number, enlarger))
            point = view.position(middle)
            whole.append(Candidate.of(mask, found.scores[number], 1.0, point, window.step))
    candidates = []
    for one in whole:
        if (
            settings.accepts(one.score, one.stability, one.area_px)
            and (finer is None or view.may_be_cut(one.region, finer))
            and (foreground is None or _is_on(foreground, one))
        ):
            part = one if past_the_edge else clipped(one, grid.area)
            candidates += [] if part is None else [part]
    return TileAnswer(tuple(sorted(candidates, key=lambda one: one.rank)), tuple(cut))


@dataclass(frozen=True, eq=False)
class _View:
    """Turns places of the maps into pixels of the image.

    Attributes
    ----------
    grid : TileGrid
    read : pair of slices
        What the tile sees, in image pixels.
    window : TileWindow
    stride : tuple of two floats
        Image pixels from one place of the maps to the next, along rows and columns.
    write : pair of slices
        The write region of the tile, in places of the maps.
    """

    grid: TileGrid
    read: Region
    window: TileWindow
    stride: tuple[float, float]
    write: Region

    @classmethod
    def of(
        cls, grid: TileGrid, index: int, window: TileWindow, embedding: ImageEmbedding, side: int
    ) -> _View:
        tile = grid[index]
        place = embedding.input_size / side  # in pixels of the model's input
        sizes = zip(embedding.image_shape, embedding.input_shape, strict=True)
        rows, cols = (window.step * place * length / seen for length, seen in sizes)
        write = [
            slice(
                math.floor((part.start - seen.start) / stride),
                math.ceil((part.stop - seen.start) / stride),
            )
            for part, seen, stride in zip(tile.write, window.region, (rows, cols), strict=True)
        ]
        return cls(grid, tile.read, window, (rows, cols), (write[0], write[1]))

    @property
    def margin_px(self) -> int:
        """How close to the edge of what is seen objects may be different from what they are."""
        return math.ceil((BLUR_RADIUS + 1) * max(self.stride))

    def position(self, place: tuple[int, int]) -> tuple[float, float]:
        """Give the image pixel in the middle of a place."""
        row, col = (
            float(math.floor((at + 0.5) * stride + seen.start))
            for at, stride, seen in zip(place, self.stride, self.window.region, strict=True)
        )
        return row, col

    def region(self, box: Region) -> Region:
        """Give rows and columns of the image that hold a box of places."""
        rows, cols = (
            slice(
                math.floor(part.start * stride + seen.start),
                math.ceil(part.stop * stride + seen.start),
            )
            for part, stride, seen in zip(box, self.stride, self.window.region, strict=True)
        )
        return rows, cols

    def moved(self, mask: CroppedMask) -> CroppedMask:
        """Put a mask of the window into the frame of the image."""
        top, left = self.window.start
        return replace(mask, top=mask.top + top, left=mask.left + left)

    def sees_whole(self, region: Region) -> bool:
        """Tell whether what fills these rows and columns ends within what the tile sees."""
        shape = self.grid.image_shape
        return not touches_inner_border(region, self.read, shape, self.margin_px)

    def may_be_cut(self, region: Region, finer: TileGrid) -> bool:
        """Tell whether a tile of a finer grid may not have seen an object whole."""
        shape = self.grid.image_shape
        return any(
            intersection(tile.write, region) is not None
            and touches_inner_border(region, tile.read, shape, self.margin_px)
            for tile in map(finer.__getitem__, finer.reaching(region))
        )


def _is_on(foreground: Any, candidate: Candidate) -> bool:
    """Tell whether enough of an object lies on the foreground."""
    step = candidate.step
    height, width = foreground.shape
    rows, cols = candidate.region
    inside = slice(rows.start, min(rows.stop, height)), slice(cols.start, min(cols.stop, width))
    wanted: NDArray[np.bool_] = np.asarray(foreground[inside])[::step, ::step] != 0
    shared = np.count_nonzero(candidate.sampled(inside, step) & wanted) * step * step
    return bool(shared >= _LEAST_ON_FOREGROUND * candidate.area_px)
