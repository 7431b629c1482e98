"""Choose the scale at which a dense head finds objects most surely."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_samhq.core.tiles.grid import TileGrid
from napari_samhq.inference.dense_tiles import find_in_tile
from napari_samhq.inference.settings import SEEN_DIAMETER_PX

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_samhq.core.tiles.grid import Region
    from napari_samhq.inference.object_maps import Seen, SupportsDenseMaps
    from napari_samhq.inference.settings import DenseSettings
    from napari_samhq.inference.source import ImageSource
    from napari_samhq.inference.tile_window import Asked

__all__ = ["surest_settings"]

_SCALES = (1.0, 2.0, 4.0)
_SAMPLES = 3


def surest_settings(
    predictor: SupportsDenseMaps,
    source: ImageSource,
    area: Region,
    settings: DenseSettings,
    *,
    foreground: Any | None = None,
    seen: Seen | None = None,
) -> Generator[Asked, None, DenseSettings]:
    """Choose tile and halo for a model and an image, from as far away as objects are surest.

    A few tiles are looked at as they are, from twice, and from four times as far away. The scale is
    taken at which objects have the highest mean score, each weighing by its area: what is seen from
    too near falls into pieces, and what is seen from too far melts, and of either the head is less
    sure.

    Parameters
    ----------
    predictor : predictor with `dense_maps`
    source : ImageSource
    area : pair of slices
        The part of the image that is to be segmented, in image pixels.
    settings : DenseSettings
        Returned fitted, but otherwise as they are, where `diameter` or `tile_px` is given.
    foreground : array of shape (H, W), optional
        As in :func:`~napari_samhq.inference.dense_tiles.find_in_tile`.
    seen : Seen, optional
        Keeps the looks, so that tiles that were looked at here need no second one.

    Yields
    ------
    Asked
        Stop here to cancel.

    Returns
    -------
    DenseSettings
        The value of the generator, with `diameter` of the scale that was taken, in pixels.

    Raises
    ------
    ImageError, FileError, OutOfMemoryError
        As source and predictor do.
    """
    if settings.diameter or settings.tile_px:
        return settings.fitted(predictor.input_size, source.shape)
    best, fitted, surest = 0.0, settings, -1.0
    for scale in _SCALES:
        diameter = SEEN_DIAMETER_PX * scale
        fitted = replace(settings, diameter=diameter).fitted(predictor.input_size, source.shape)
        grid = TileGrid(source.shape, area, fitted.tile_px, fitted.halo_px)
        if not best and grid.sees_everything:
            return settings.fitted(predictor.input_size, source.shape)  # nothing to choose from
        certainty = yield from _certainty(predictor, source, grid, fitted, foreground, seen)
        if certainty > surest:
            best, surest = diameter, certainty
        if grid.sees_everything:
            break
    chosen = replace(settings, diameter=best)
    return chosen.fitted(predictor.input_size, source.shape)


def _certainty(
    predictor: SupportsDenseMaps,
    source: ImageSource,
    grid: TileGrid,
    settings: DenseSettings,
    foreground: Any | None,
    seen: Seen | None,
) -> Generator[Asked, None, float]:
    """Give the mean score of a pixel of the objects in some of the tiles; 0 if there is none."""
    scores, areas = 0.0, 0
    count = min(_SAMPLES, len(grid))
    for index in sorted({int((k + 0.5) * len(grid) / count) for k in range(count)}):
        answer = yield from find_in_tile(
            predictor, source, grid, index, settings, foreground=foreground, seen=seen
        )
        sure = [one for one in answer.candidates if one.score >= type(settings)().min_score]
        scores += sum(one.score * one.area_px for one in sure)
        areas += sum(one.area_px for one in sure)
    return scores / areas if areas else 0.0
