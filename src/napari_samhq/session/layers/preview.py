"""The preview: masks that are being made, shown as contours above the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.session.layers.overlay import Patch, Sheet

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from napari.layers import Image

    from napari_samhq.core.masks.cropped import CroppedMask

__all__ = ["Outline", "Preview"]

_LINE_PX = 2
_SMALL_PX = 24  # across; of a smaller object a thick line would hide half
_HALO, _ADDED, _TAKEN, _FIRST_COLOR = 1, 2, 3, 4
_MOST_COLORS = 255 - _FIRST_COLOR + 1
_OPACITY, _OPACITY_WHILE_WAITING, _OPACITY_OF_OTHERS = 1.0, 0.45, 0.6
# Sky blue and orange of Okabe and Ito, which differ from both kinds of points.
_ADDED_COLOR, _TAKEN_COLOR = (0.337, 0.706, 0.914, 0.6), (0.902, 0.624, 0.0, 0.6)
_MOST_PIXELS = 2**25  # that the layer covers; what lies too far from the active object is left out


@dataclass(frozen=True)
class Outline:
    """How one mask is to be shown.

    Attributes
    ----------
    mask : CroppedMask
        The mask.
    color : tuple of floats
        Red, green, blue and alpha, from 0 to 1: that of the label that it will be.
    active : bool
        Whether it is the object that is worked on: drawn thick, with a halo, above the others.
    """

    mask: CroppedMask
    color: tuple[float, ...]
    active: bool = True


class Preview:
    """A labels layer that shows masks by outlines in the colours that their labels will have.

    A white halo keeps dark colours visible on dark images.

    Parameters
    ----------
    image : napari.layers.Image
        The image that masks belong to.

    Notes
    -----
    napari's own contours are not used because they warn whenever the display turns to 3-D.
    """

    def __init__(self, image: Image) -> None:
        self._sheet = Sheet(image, f"{image.name} preview")
        self.layer = self._sheet.layer
        self._colors: dict[tuple[float, ...], int] = {}
        self._patches: dict[Hashable, Patch] = {}  # on the screen now, by what they show
        self._plane = Plane((0, 1))

    def show(
        self,
        plane: Plane,
        outlines: Sequence[Outline],
        difference: tuple[CroppedMask, CroppedMask] | None = None,
        *,
        waiting: bool = False,
    ) -> None:
        """Show masks.

        Parameters
        ----------
        plane : Plane
            The plane of the image's data that they lie in.
        outlines : sequence of Outline
            The masks.
        difference : pair of CroppedMask, optional
            Pixels to show in two colours: those that HQ adds, and those that it takes.
        waiting : bool, optional
            Whether the active one is about to be replaced, and shown dimmed until then.
        """
        filled = [
            (one, value)
            for one, value in zip(difference or (), (_ADDED, _TAKEN), strict=False)
            if one
        ]
        lines = sorted((one for one in outlines if one.mask), key=lambda one: one.active)
        near = _near([one.mask for one in reversed(lines)] + [mask for mask, _ in filled])
        patches: dict[Hashable, Patch] = {}
        for mask, value in filled:
            if mask in near:
                pixels = mask.array().astype(np.uint8) * np.uint8(value)
                patches[mask, value] = Patch((mask.top, mask.left), pixels)
        lines = [one for one in lines if one.mask in near]
        self._learn([_color_of(one) for one in lines])
        for one in lines:
            value = self._colors.get(_color_of(one), _FIRST_COLOR)
            key = (one.mask, one.active, value)
            patches[key] = self._patches.get(key) or _line(one.mask, one.active, value)
        self._patches, self._plane = patches, plane
        self._sheet.show(plane, patches)
        opacity = _OPACITY_WHILE_WAITING if waiting else _OPACITY
        if self.layer.opacity != opacity:
            self.layer.opacity = opacity

    def hide(self) -> None:
        """Show nothing."""
        if self._patches:
            self._patches = {}
            self._sheet.show(self._plane, {})

    def _learn(self, colors: Sequence[tuple[float, ...]]) -> None:
        """Give each colour a value of its own; the same few come back, so this seldom costs."""
        from napari.utils.colormaps import DirectLabelColormap

        new = [color for color in dict.fromkeys(colors) if color not in self._colors]
        if not new:
            return
        if len(self._colors) + len(new) > _MOST_COLORS:  # begin anew, with those that are needed
            self._colors, self._patches = {}, {}
            new = list(dict.fromkeys(reversed(colors)))[:_MOST_COLORS]
        for color in new:
            self._colors[color] = _FIRST_COLOR + len(self._colors)
        by_value: dict[int | None, Any] = {None: "transparent", _HALO: "white"}
        by_value |= {_ADDED: _ADDED_COLOR, _TAKEN: _TAKEN_COLOR}
        by_value |= {value: np.asarray(color) for color, value in self._colors.items()}
        self.layer.colormap = DirectLabelColormap(color_dict=by_value)


def _color_of(outline: Outline) -> tuple[float, ...]:
    alpha = outline.color[3] * (1.0 if outline.active else _OPACITY_OF_OTHERS)
    return (*outline.color[:3], alpha)


def _near(masks: Sequence[CroppedMask]) -> set[CroppedMask]:
    """Choose the masks that one layer can cover, the first one and those nearest to it."""
    if not masks:
        return set()
    low = np.array([[mask.top, mask.left] for mask in masks])
    high = low + [[mask.height, mask.width] for mask in masks]
    if np.prod(high.max(axis=0) - low.min(axis=0)) <= _MOST_PIXELS:
        return set(masks)
    start, stop = low[0], high[0]
    chosen: set[CroppedMask] = set()
    for index in np.argsort(np.abs(low + high - start - stop).max(axis=1), kind="stable"):
        wider = np.minimum(start, low[index]), np.maximum(stop, high[index])
        if np.prod(wider[1] - wider[0]) <= _MOST_PIXELS or not chosen:
            start, stop = wider
            chosen.add(masks[index])
    return chosen


def _line(mask: CroppedMask, active: bool, value: int) -> Patch:
    """Mark the pixels near the border of a mask: the first ring as halo, the next ones as line."""
    from scipy import ndimage

    within = np.pad(mask.array(), 1)  # the rim of the crop is a border too
    first = ndimage.binary_erosion(within)
    if active:
        small = min(mask.height, mask.width) < _SMALL_PX
        inner = ndimage.binary_erosion(first, iterations=1 if small else _LINE_PX)
        line = np.where(first, value * ~inner, _HALO * within)
    else:
        line = np.where(within & ~first, value, 0)
    return Patch((mask.top, mask.left), line[1:-1, 1:-1].astype(np.uint8))
