"""Borders of large objects, computed again in finer windows along them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.tiles.windows import Window
from napari_samhq.inference._frames import Asked, candidate, cut, moved, step_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_samhq.core.prompts.prompt import Prompt
    from napari_samhq.core.tiles.windows import Windows
    from napari_samhq.inference._frames import WindowPrediction

__all__ = ["border_pieces", "merged", "question"]

_BAND = 2.0  # the border may move by so many pixels of the low-res logits
_LEAST_AGREEMENT = 0.7  # IoU of the two views of a window, below which the coarse one stays


def border_pieces(
    windows: Windows, answer: WindowPrediction, most: int
) -> list[tuple[Window, Window]]:
    """Divide the border of a mask among windows, as fine as their number allows.

    Parameters
    ----------
    windows : Windows
        Of the image.
    answer : WindowPrediction
        Its best mask is looked at.
    most : int
        Most windows.

    Returns
    -------
    list of (core, window)
        The core is what a window decides, the middle half of it; cores do not overlap and together
        hold the whole border. Empty where even the coarsest finer windows would be too many.
    """
    scale = 1.0
    while scale < answer.window.scale:
        half = int(windows.input_size * scale) // 2
        pieces = list(_pieces(windows, answer, half, scale, most))
        if len(pieces) <= most:
            return pieces
        scale *= 2
    return []


def _pieces(
    windows: Windows, answer: WindowPrediction, half: int, scale: float, most: int
) -> Iterator[tuple[Window, Window]]:
    """Give cores of half a window's side that the border runs through, one more than `most`."""
    rows, cols = answer.region
    height, width = windows.image_shape
    found = 0
    for top in range(_corner(rows.start, half), rows.stop, half):
        for left in range(_corner(cols.start, half), cols.stop, half):
            core = Window(
                max(0, top), max(0, left), min(top + half, height), min(left + half, width), scale
            )
            part = cut(answer, core)
            if part.any() and not part.all():
                yield core, windows.around((top + (half - 1) / 2, left + (half - 1) / 2), scale)
                found += 1
                if found > most:
                    return


def _corner(start: int, half: int) -> int:
    """Give the last corner at or before a position; corners lie between those of the windows."""
    return (start - half // 2) // half * half + half // 2


def question(answer: WindowPrediction, prompt: Prompt, window: Window) -> Prompt:
    """Ask a finer window for the part of an object that lies in it, in the window's frame.

    The mask from afar says what is meant; a box would cut the object where the window ends.
    """
    coarse = candidate(answer, answer.best)
    one = Asked(replace(prompt, box=None, mask=None), None, coarse)
    asked = moved(one, window, step_of(window))
    points: list[NDArray[np.float64]] = []
    labels: list[int] = []
    if asked.points is not None and asked.point_labels is not None:
        points, labels = list(asked.points), list(asked.point_labels)
    for mask, label in ((cut(answer, window), 1), (~cut(answer, window), 0)):
        deepest = _deepest(mask)
        if not any(np.array_equal(deepest, point) for point in points):  # often the click itself
            points.append(deepest)
            labels.append(label)
    return replace(asked, points=np.array(points), point_labels=np.array(labels))


def _deepest(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Find the pixel farthest from where the mask ends, (row, column)."""
    from scipy import ndimage

    step = max(1, max(mask.shape) // 256)
    distance = ndimage.distance_transform_edt(np.pad(mask[::step, ::step], 1))
    place = np.unravel_index(int(distance.argmax()), distance.shape)
    deepest: NDArray[np.float64] = (np.array(place, dtype=float) - 1) * step
    return deepest


def merged(
    answer: WindowPrediction, views: list[tuple[Window, Window, NDArray[np.bool_]]]
) -> WindowPrediction:
    """Take the border from finer views where they agree with the mask from afar.

    Parameters
    ----------
    answer : WindowPrediction
        The mask from afar, the best one of which is changed.
    views : list of (core, window, mask)
        As :func:`border_pieces` gives them, with the mask seen in the window, of its shape.

    Returns
    -------
    WindowPrediction
        The order of the views makes no difference.
    """
    from scipy import ndimage

    fine = answer.mask.copy()
    low_res = max(answer.low_res_logits.shape[1:])
    band = int(np.ceil(_BAND * max(answer.window.shape) / low_res))
    for core, window, seen in views:
        coarse = cut(answer, window)
        union = np.count_nonzero(coarse | seen)
        if np.count_nonzero(coarse & seen) < _LEAST_AGREEMENT * union:
            continue
        near = ndimage.maximum_filter(coarse, 2 * band + 1) & ~ndimage.minimum_filter(
            coarse, 2 * band + 1
        )
        new = np.where(near, seen, coarse)
        rows, cols = answer.region
        top, bottom = max(core.top, rows.start), min(core.bottom, rows.stop)
        left, right = max(core.left, cols.start), min(core.right, cols.stop)
        fine[top - rows.start : bottom - rows.start, left - cols.start : right - cols.start] = new[
            top - window.top : bottom - window.top, left - window.left : right - window.left
        ]
    masks = answer.masks.copy()
    masks[answer.best] = fine
    return replace(answer, masks=masks)
