"""Window of a tile, and the progress of work on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.tiles.grid import Region, intersection
from napari_samhq.core.tiles.stitching import Candidate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_samhq.inference.source import ImageSource

__all__ = ["Asked", "TileWindow", "clipped"]

_LARGEST_WINDOW_PX = 4096  # larger ones are read at a lower resolution


@dataclass(frozen=True)
class Asked:
    """Progress within a tile: so many of the prompts that it will take, about, have been asked."""

    done: int
    total: int


@dataclass(frozen=True, eq=False)
class TileWindow:
    """What was read of the image for a tile, possibly at a lower resolution."""

    region: Region
    step: int
    image_shape: tuple[int, int]
    rgb8: NDArray[np.uint8]

    @classmethod
    def read(cls, source: ImageSource, region: Region) -> TileWindow:
        """Read what a tile sees of an image."""
        side = max(part.stop - part.start for part in region)
        step = 1
        while side > step * _LARGEST_WINDOW_PX:
            step *= 2
        rows, cols = (
            slice(part.start // step * step, min(-(-part.stop // step) * step, length))
            for part, length in zip(region, source.shape, strict=True)
        )
        pixels = source.read_rgb8_at((rows, cols), step)
        shape = tuple(-(-(part.stop - part.start) // step) for part in (rows, cols))
        short = [max(0, n - have) for n, have in zip(shape, pixels.shape[:2], strict=True)]
        if any(short):  # levels of a pyramid may be a pixel smaller than the image says
            pixels = np.pad(pixels, ((0, short[0]), (0, short[1]), (0, 0)), mode="edge")
        return cls((rows, cols), step, source.shape, pixels[: shape[0], : shape[1]])

    @property
    def start(self) -> tuple[int, int]:
        """Where it begins, in its own pixels."""
        return self.region[0].start // self.step, self.region[1].start // self.step

    def local(self, points_rc: NDArray[np.float64]) -> NDArray[np.float64]:
        """Image pixels to pixels of the window."""
        local: NDArray[np.float64] = (points_rc + 0.5) / self.step - 0.5 - np.array(self.start)
        return local

    def box(self, region: Region) -> NDArray[np.float64]:
        """Rows and columns of the image as a box (4,) in pixels of the window."""
        corners = np.array([[p.start for p in region], [p.stop - self.step for p in region]])
        return self.local(corners + (self.step - 1) / 2).ravel()


def clipped(candidate: Candidate, area: Region) -> Candidate | None:
    """Cut off what lies outside of the region that is segmented."""
    region = candidate.region
    inside = intersection(region, area)
    if inside == region:
        return candidate
    if inside is None:
        return None
    step = candidate.step
    first = [part.start // step for part in inside]
    last = [-(-part.stop // step) for part in inside]
    mask = candidate.mask.within((last[0] - first[0], last[1] - first[1]), (first[0], first[1]))
    clipped = CroppedMask.of(mask, (first[0], first[1]))
    if not clipped:
        return None
    return Candidate.of(clipped, candidate.score, candidate.stability, candidate.point_rc, step)
