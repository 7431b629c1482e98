"""Windows: the part of an image in which a prompt is answered, and its scale.

The model takes a square picture of a fixed size. On an image that is not much larger it sees all of
it; elsewhere each prompt gets a window, chosen by these rules:

- The scale, in image pixels per model pixel, is a power of two. It is 1 where the object fits, more
  for objects that would fill most of the window, less for those that would be too small there.
- The window's corner lies on a grid of half of its side, so that neighbouring prompts share windows
  and what the model saw of them. A prompt is thus at most a quarter of the side off the middle.
- A mask that reaches the edge of its window is asked for again in a larger one, one that fills too
  much of it from farther away, and a tiny one from closer up.
- The border of an object that is seen from afar is drawn anew in windows along it.

All functions here are pure: the same image size, model and prompt give the same windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.masks.cropped import CroppedMask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from napari_samhq.core.prompts.prompt import Prompt

__all__ = ["Window", "Windows"]

WHOLE_UP_TO = 2
"""Images up to so many times the model's input are looked at as a whole."""

LARGEST_SHARE = 3 / 8
"""An object may take this share of its window's side, where the model's weights do not say
otherwise; the rest is surroundings.
"""

SMALLEST_SHARE = 1 / 16
"""An object that takes less of its window's side is looked at from closer up."""

CLOSEST_SCALE = 1 / 4
"""Nothing is enlarged further: there is no more to see."""

GROWTH = 4
"""How much larger the next window is when a mask reaches the edge of the present one."""

_CORNERS_PER_SIDE = 2
_EDGE_SHARE = 1 / 128  # so much of a side must be mask to say that the mask reaches it


@dataclass(frozen=True)
class Window:
    """A part of an image that the model sees at once.

    Attributes
    ----------
    top, left, bottom, right : int
        Rows from `top` up to and without `bottom`, columns likewise, in image pixels.
    scale : float
        Image pixels per pixel of the model's input.

    Examples
    --------
    >>> window = Window(100, 200, 612, 712, scale=1.0)
    >>> window.shape, window.region
    ((512, 512), (slice(100, 612, None), slice(200, 712, None)))
    """

    top: int
    left: int
    bottom: int
    right: int
    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in image pixels."""
        return self.bottom - self.top, self.right - self.left

    @property
    def region(self) -> tuple[slice, slice]:
        """Rows and columns of the image."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def holds(self, points_rc: ArrayLike) -> NDArray[np.bool_]:
        """Tell which points, (N, 2) in image pixels, lie on pixels of the window: (N,) bool."""
        points = np.asarray(points_rc, dtype=float).reshape(-1, 2)
        low = np.array([self.top, self.left]) - 0.5
        high = np.array([self.bottom, self.right]) - 0.5
        inside: NDArray[np.bool_] = np.all((points >= low) & (points < high), axis=1)
        return inside


@dataclass(frozen=True)
class Windows:
    """The windows of an image, for a model.

    Parameters
    ----------
    image_shape : tuple of two ints
        Height and width of the image in pixels.
    input_size : int
        Side of the square that the model takes, in model pixels.
    largest_share : float
        Of its window's side that an object may take; at least twice the smallest share.

    Examples
    --------
    >>> windows = Windows((100_000, 100_000), 1024)
    >>> windows.around((5000, 7000), scale=1).region
    (slice(4608, 5632, None), slice(6656, 7680, None))
    >>> Windows((700, 500), 1024).around((5, 7), scale=1).shape
    (700, 500)
    """

    image_shape: tuple[int, int]
    input_size: int
    largest_share: float = LARGEST_SHARE

    @property
    def whole(self) -> Window:
        """All of the image."""
        height, width = self.image_shape
        return Window(0, 0, height, width, max(height, width) / self.input_size)

    @property
    def is_small(self) -> bool:
        """Whether the image is looked at as a whole, always."""
        return max(self.image_shape) <= WHOLE_UP_TO * self.input_size

    def around(self, centre_rc: tuple[float, float], scale: float) -> Window:
        """Choose the window of a scale that has a position nearest to its middle.

        Parameters
        ----------
        centre_rc : tuple of two floats
            Row, column in image pixels.
        scale : float
            A power of two, image pixels per model pixel.

        Returns
        -------
        Window
            Inside of the image; the whole image where the window would cover it.
        """
        side = int(self.input_size * scale)
        if self.is_small or side >= max(self.image_shape):
            return self.whole
        (top, bottom), (left, right) = (
            _placed(centre, side, length, math.ceil(scale))
            for centre, length in zip(centre_rc, self.image_shape, strict=True)
        )
        return Window(top, left, bottom, right, scale)

    def over(self, region: tuple[slice, slice], scale: float) -> Iterator[Window]:
        """Give the windows of a scale that prompts in a region may get.

        Parameters
        ----------
        region : pair of slices
            Rows and columns of the image.
        scale : float
            A power of two, image pixels per model pixel.

        Yields
        ------
        Window
            Each once, row by row.
        """
        step = int(self.input_size * scale) // _CORNERS_PER_SIDE
        # Places so far apart that each lies nearest to the middle of another window.
        rows, cols = (
            sorted({part.start, *range(part.start, part.stop, max(1, step)), part.stop - 1})
            for part in region
        )
        last: Window | None = None
        seen_row: tuple[int, int] | None = None
        for row in rows:
            first = self.around((row, cols[0]), scale)
            if (first.top, first.bottom) == seen_row:
                continue
            seen_row = first.top, first.bottom
            for col in cols:
                window = self.around((row, col), scale)
                if window != last:
                    yield window
                last = window

    def scale_for(self, extent_px: float) -> float:
        """Choose the scale for an object, 1 wherever that will do.

        Parameters
        ----------
        extent_px : float
            The longer side of the object's bounding box, in image pixels.

        Returns
        -------
        float
            A power of two.
        """
        scale = 1.0
        while extent_px > self.largest_share * self.input_size * scale:
            scale *= 2
        while extent_px < SMALLEST_SHARE * self.input_size * scale and scale > CLOSEST_SCALE:
            scale /= 2
        return scale

    def first(self, prompt: Prompt, also: NDArray[np.float64] | None = None) -> Window:
        """Choose the window in which a prompt is asked first.

        A box or a mask tells the size of the object; points tell only the least that it can be.

        Parameters
        ----------
        prompt : Prompt
            Cleaned for this image.
        also : ndarray of shape (4,), optional
            Bounds of what was found before, in the order of a box. Needed where the prompt has
            neither a box nor a positive point nor a mask of pixels.

        Returns
        -------
        Window
            Holds the box, the mask, the positive points and what was found before.
        """
        corners = _meant(prompt, also)
        low, high = corners.min(axis=0), corners.max(axis=0)
        scale = self.scale_for(float((high - low).max()))
        if prompt.box is None and prompt.mask is None and also is None:
            scale = max(scale, 1.0)
        centre_row, centre_col = (low + high) / 2
        return self.around((float(centre_row), float(centre_col)), scale)

    def larger(self, window: Window) -> Window | None:
        """Choose the next window around one whose mask reaches the edge; None past the last."""
        if window == self.whole:
            return None
        centre = (window.top + window.bottom - 1) / 2, (window.left + window.right - 1) / 2
        return self.around(centre, window.scale * GROWTH)

    def fitting(self, window: Window, prompt: Prompt, found: NDArray[np.float64]) -> Window:
        """Choose a window that fits what was found, if that is tiny in this one or fills it.

        Parameters
        ----------
        window : Window
            Where it was found.
        prompt : Prompt
            What was asked.
        found : ndarray of shape (4,)
            First row and column and last row and column of the mask, in image pixels.

        Returns
        -------
        Window
            The same where that shows the object well enough.
        """
        if self.is_small:
            return window
        corners = _meant(prompt, found)
        low, high = corners.min(axis=0), corners.max(axis=0)
        extent = float((high - low).max()) + 1
        share = extent / (self.input_size * window.scale)
        if SMALLEST_SHARE <= share <= self.largest_share:
            return window
        scale = self.scale_for(extent)
        row, col = (low + high) / 2
        return self.around((float(row), float(col)), scale)

    def reaches_edge(self, window: Window, mask: NDArray[np.bool_]) -> bool:
        """Tell whether a mask goes on past a window.

        Parameters
        ----------
        window : Window
            Where the mask was found.
        mask : ndarray of shape (h, w), bool
            Over the window, in pixels of any size.

        Returns
        -------
        bool
            True if it lies on an edge of the window that is no edge of the image, and is more than
            a few stray pixels there.
        """
        height, width = self.image_shape
        edges = (
            (window.top > 0, mask[0]),
            (window.left > 0, mask[:, 0]),
            (window.bottom < height, mask[-1]),
            (window.right < width, mask[:, -1]),
        )
        return any(
            is_inner and int(edge.sum()) > _EDGE_SHARE * max(mask.shape) for is_inner, edge in edges
        )


def _placed(centre: float, side: int, length: int, align: int) -> tuple[int, int]:
    """Place a window along one axis: on the grid, and in the image."""
    if side >= length:
        return 0, length
    step = side // _CORNERS_PER_SIDE
    corner = math.floor((centre + 0.5 - side / 2) / step + 0.5) * step
    # The last one ends with the image, begins with a pixel of its scale, and may thus be smaller.
    last = -(-(length - side) // align) * align
    start = min(max(corner, 0), last)
    return start, min(start + side, length)


def _meant(prompt: Prompt, also: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """List positions, (N, 2) rc, that the object covers or lies between."""
    parts = [] if also is None else [also.reshape(2, 2)]
    if prompt.box is not None:
        parts.append(prompt.box.reshape(2, 2))
    if prompt.points is not None:
        parts.append(prompt.points[prompt.point_labels == 1])
    if isinstance(prompt.mask, CroppedMask):
        rows, cols = prompt.mask.region
        ends = [(rows.start, cols.start), (rows.stop - 1, cols.stop - 1)]
        parts.append(np.array(ends, dtype=float))
    corners: NDArray[np.float64] = np.concatenate(parts)
    return corners
