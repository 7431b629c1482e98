"""Per-process context of a run: image, model, results and settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_samhq.batch import tasks
from napari_samhq.batch.plan import Plan, TileKey
from napari_samhq.batch.results import FolderResults, Results
from napari_samhq.core.tiles.grid import TileGrid
from napari_samhq.inference.object_maps import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_samhq.inference.automatic import SupportsLogits
    from napari_samhq.inference.settings import FindSettings
    from napari_samhq.inference.source import ImageSource
    from napari_samhq.inference.tile_window import Asked

__all__ = ["BLOCK_PX", "Openers", "Site", "SiteAddress", "blocks_of"]

BLOCK_PX = 1024
"""Side of the blocks in which the label image is drawn; the chunks of stores are as large."""


def blocks_of(plan: Plan) -> TileGrid:
    """Cut the region into blocks that are chunks of the label image, and start where it starts."""
    rows, cols = plan.area
    origin = rows.start, cols.start
    return TileGrid(plan.image_shape, plan.area, BLOCK_PX, 0, origin)


@dataclass(frozen=True)
class Openers:
    """Functions that open image and models in another process; those of modules, or partials.

    Attributes
    ----------
    source, predictor : callable
    finder : callable, optional
        Opens the model that finds the objects, where it is another one than the predictor.
    """

    source: Callable[[], ImageSource]
    predictor: Callable[[], SupportsLogits]
    finder: Callable[[], SupportsLogits] | None = None


@dataclass(eq=False)
class Site:
    """Image, models and results that the tasks of one run share in this process.

    Attributes
    ----------
    plan : Plan
    results : Results
        Where answers of tiles are kept.
    source : ImageSource
    predictor : SupportsLogits
        Outlines the objects.
    finder : SupportsLogits, optional
        Another model, which finds the objects.
    foreground : array of shape (H, W), optional
        Points where it is 0 are not asked.
    within : array of shape (H, W), optional
        Objects that have a pixel where it is 0 are left out.
    openers : Openers, optional
        By which other processes open the same.
    choose_by : FindSettings, optional
        Settings of the final choice, where the plan's keep more.
    seen : Seen
        What the finder saw in the latest windows.
    """

    plan: Plan
    results: Results
    source: ImageSource
    predictor: SupportsLogits
    finder: SupportsLogits | None = None
    foreground: Any = None
    within: Any = None
    openers: Openers | None = None
    choose_by: FindSettings | None = None
    seen: Seen = field(default_factory=Seen)

    @property
    def wanted(self) -> FindSettings:
        """Settings of the final choice."""
        return self.choose_by or self.plan.settings

    def segment(self, key: TileKey) -> Iterator[Asked]:
        """Ask one tile; stop taking events to cancel.

        Yields
        ------
        Asked
        """
        finder, outliner = self.finder or self.predictor, self.finder and self.predictor
        yield from tasks.segment_tile(
            self.plan,
            key,
            finder,
            self.source,
            self.results,
            self.foreground,
            outliner,
            self.seen,
        )


@dataclass(frozen=True)
class SiteAddress:
    """How another process opens its own site of a run; small, and can be pickled.

    Attributes
    ----------
    plan : str
        The plan as JSON.
    folder : str
        Of the run, on a file system that all workers see.
    openers : Openers
    foreground : array, optional
        A zarr or dask array, or a small one in memory.
    """

    plan: str
    folder: str
    openers: Openers
    foreground: Any = None

    def open(self) -> Site:
        """Open image and models."""
        openers = self.openers
        return Site(
            Plan.from_json(self.plan),
            FolderResults(Path(self.folder) / "tiles"),
            openers.source(),
            openers.predictor(),
            None if openers.finder is None else openers.finder(),
            self.foreground,
        )
