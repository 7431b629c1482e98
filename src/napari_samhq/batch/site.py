"""Per-process context of a run: image, model, results and settings."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
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
    from napari_samhq.io.calibration import Calibration

__all__ = ["BLOCK_PX", "Site", "SiteAddress", "blocks_of"]

BLOCK_PX = 1024
"""Side of the blocks in which the label image is drawn; the chunks of stores are as large."""


def blocks_of(plan: Plan) -> TileGrid:
    """Cut the region into blocks that are chunks of the label image, and start where it starts."""
    rows, cols = plan.area
    origin = rows.start, cols.start
    return TileGrid(plan.image_shape, plan.area, BLOCK_PX, 0, origin)


@dataclass(eq=False)
class Site:
    """Does tasks of one run.

    Attributes
    ----------
    plan : Plan
    results : Results
        Where answers of tiles are kept.
    labels : array of shape (h, w)
        Label image of the plan's region, in memory or in a store with chunks as large as a block.
    open_source, open_predictor : callable
        Called once each, when it is needed first.
    foreground : array of shape (H, W), optional
        Points where it is 0 are not asked.
    calibration : Calibration, optional
        Size of the pixels, which the result tells.
    within : array of shape (H, W), optional
        Objects that have a pixel where it is 0 are left out.
    open_finder : callable, optional
        As `open_predictor`, for another model that finds the objects.
    """

    plan: Plan
    results: Results
    labels: Any
    open_source: Callable[[], ImageSource]
    open_predictor: Callable[[], SupportsLogits]
    foreground: Any = None
    calibration: Calibration | None = None
    within: Any = None
    open_finder: Callable[[], SupportsLogits] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _seen: Seen = field(default_factory=Seen)

    @cached_property
    def source(self) -> ImageSource:
        """The image."""
        return self.open_source()

    @cached_property
    def predictor(self) -> SupportsLogits:
        """The model, loaded."""
        return self.open_predictor()

    @cached_property
    def finder(self) -> SupportsLogits:
        """The model that finds the objects, loaded."""
        return self.predictor if self.open_finder is None else self.open_finder()

    @cached_property
    def wanted(self) -> FindSettings:
        """What to choose by in the end; the plan's settings may keep more."""
        return self.plan.settings

    def segment(self, key: TileKey) -> Iterator[Asked]:
        """Ask one tile; stop taking events to cancel.

        Yields
        ------
        Asked
        """
        with self._lock:  # threads share one model and one image
            finder, source = self.finder, self.source
            outliner = None if self.open_finder is None else self.predictor
        yield from tasks.segment_tile(
            self.plan, key, finder, source, self.results, self.foreground, outliner, self._seen
        )

    def paint(self, index: int, objects: tasks.Objects) -> None:
        """Draw one block of the label image."""
        block = blocks_of(self.plan)[index].write
        rows, cols = (
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip(block, self.plan.area, strict=True)
        )
        self.labels[rows, cols] = tasks.paint_block(self.plan, self.results, objects, block)


@dataclass(frozen=True)
class SiteAddress:
    """How another process opens its own site of a run; small, and can be pickled.

    Attributes
    ----------
    plan : str
        The plan as JSON.
    folder : str
        Of the run, on a file system that all workers see.
    open_source, open_predictor : callable
        Module-level functions, or partials of them.
    foreground : array, optional
        A zarr or dask array, or a small one in memory.
    open_finder : callable, optional
        As `open_predictor`, for another model that finds the objects.
    """

    plan: str
    folder: str
    open_source: Callable[[], ImageSource]
    open_predictor: Callable[[], SupportsLogits]
    foreground: Any = None
    open_finder: Callable[[], SupportsLogits] | None = None

    def open(self) -> Site:
        """Open the site."""
        folder = Path(self.folder)
        return Site(
            Plan.from_json(self.plan),
            FolderResults(folder / "tiles"),
            None,
            self.open_source,
            self.open_predictor,
            self.foreground,
            open_finder=self.open_finder,
        )
