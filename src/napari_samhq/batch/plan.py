"""Plan of a run as a frozen value: the same plan gives the same result anywhere."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from napari_samhq.core.tiles.grid import Region, TileGrid
from napari_samhq.errors import FileError
from napari_samhq.inference.settings import AutomaticSettings, DenseSettings, FindSettings

__all__ = ["TASK_VERSION", "UNREADABLE", "Plan", "TileKey", "may_be_same"]

TASK_VERSION = 1
"""Goes up when tasks come to other results from the same plan; older parts are not used then."""

UNREADABLE = "?"
"""Stands in the name of an image for a part that could not be read."""

TileKey = tuple[int, int]
"""Which tile: number of the grid, finest first, and place in it."""


@dataclass(frozen=True)
class Plan:
    """Segment everything in a region of an image.

    Attributes
    ----------
    image_shape : tuple of two ints
        Height and width of the image in pixels.
    area : pair of slices
        The region to segment.
    settings : AutomaticSettings or DenseSettings
        What to look for, and by which method. Those of the dense head are fitted to model and
        image.
    contrast_limits : tuple of two floats, or None
        Values that become black and white in all tiles alike; None for colour as it is.
    model : str
        Fingerprint of the weights.
    finder : str
        Fingerprint of the weights that find the objects; empty where those of `model` do.
    image : str
        Name of the image's content.
    foreground : str
        Name of the content of the foreground mask; empty where there is none.
    origin_rc : tuple of two ints
        A corner of the tiles.
    past_the_edge : bool
        Whether objects that begin in the region go on beyond it; otherwise they end there.
    within : str
        Name of the content of the mask that objects must not reach out of; empty for none.
    """

    image_shape: tuple[int, int]
    area: Region
    settings: FindSettings
    contrast_limits: tuple[float, float] | None
    model: str
    image: str
    foreground: str = ""
    origin_rc: tuple[int, int] = (0, 0)
    past_the_edge: bool = False
    within: str = ""
    finder: str = ""

    @cached_property
    def grids(self) -> tuple[TileGrid, ...]:
        """Grids of tiles, finest first; each tile of the last one sees the whole image."""
        settings = self.settings
        grids = [
            TileGrid(
                self.image_shape, self.area, settings.tile_px, settings.halo_px, self.origin_rc
            )
        ]
        while not grids[-1].sees_everything:
            grids.append(grids[-1].coarser())
        return tuple(grids)

    @cached_property
    def run_id(self) -> str:
        """Hash of all that the result depends on."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:32]

    def to_json(self) -> str:
        """Write it down; :meth:`from_json` reads it."""
        values = asdict(self)
        values["area"] = [[part.start, part.stop] for part in self.area]
        values["method"] = self.settings.method
        # Plans of before there were such things keep their names.
        usual = {"within": "", "finder": "", "method": "points"}
        for name in [name for name, value in usual.items() if values[name] == value]:
            del values[name]
        return json.dumps({"task_version": TASK_VERSION, **values}, sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read a plan.

        Raises
        ------
        FileError
            If it was written for other tasks than the present ones.
        """
        values: dict[str, Any] = json.loads(text)
        version = values.pop("task_version", None)
        if version != TASK_VERSION:
            raise FileError(
                f"This run was begun by a version whose tasks have the number {version}; here it "
                f"is {TASK_VERSION}. Begin anew with another output, or delete the run's folder."
            )
        rows, cols = (slice(start, stop) for start, stop in values.pop("area"))
        limits = values.pop("contrast_limits")
        kind = DenseSettings if values.pop("method", "points") == "dense" else AutomaticSettings
        return cls(
            area=(rows, cols),
            settings=kind(**values.pop("settings")),
            contrast_limits=None if limits is None else (limits[0], limits[1]),
            image_shape=tuple(values.pop("image_shape")),
            origin_rc=tuple(values.pop("origin_rc")),
            **values,
        )


def may_be_same(one: str, other: str) -> bool:
    """Tell whether two names of images fit each other, as far as either could be read.

    Examples
    --------
    >>> may_be_same("a1 b2 ?", "a1 b2 c3"), may_be_same("a1 b2", "a1 b3")
    (True, False)
    """
    first, second = one.split(), other.split()
    return len(first) == len(second) and all(
        a == b or UNREADABLE in (a, b) for a, b in zip(first, second, strict=True)
    )
