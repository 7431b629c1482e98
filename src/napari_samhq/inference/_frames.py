"""Prompts moved into the frame of a window, and answers back into the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.inference.prediction import Prediction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_samhq.core.tiles.windows import Window

_MASK_SIDE_PX = 4096  # masks of larger windows are made smaller, and enlarged where they are needed


@dataclass(frozen=True, eq=False)
class WindowPrediction(Prediction):
    """A prediction, and the window in which it was made.

    Attributes
    ----------
    window : Window
        What `low_res_logits` cover. `masks` cover `region`: the same, or less of it where the
        window is very large.
    """

    window: Window


@dataclass
class Asked:
    """A prompt on its way through windows."""

    prompt: Prompt
    logits: NDArray[np.float32] | None = None  # of an earlier answer in the first window
    earlier: WindowPrediction | None = None  # that answer
    found: WindowPrediction | None = None  # in a window where the object is tiny
    may_grow: bool = True


def step_of(window: Window) -> int:
    """How many image pixels a pixel of the masks spans in this window."""
    step = 1
    while max(window.shape) > _MASK_SIDE_PX * step:
        step *= 2
    return step


def moved(one: Asked, window: Window, step: int) -> Prompt:
    """Move a prompt into the frame of a window, leaving out points beside it."""
    prompt, corner = one.prompt, np.array([window.top, window.left], dtype=float)
    points = labels = box = None
    if prompt.points is not None and prompt.point_labels is not None:
        inside = window.holds(prompt.points)
        if inside.any():
            points = (prompt.points[inside] - corner + 0.5) / step - 0.5
            labels = prompt.point_labels[inside]
    if prompt.box is not None:
        low, high = np.zeros(2) - 0.5, np.array(window.shape) - 0.5
        corners = np.clip(prompt.box.reshape(2, 2) - corner, low, high)
        box = ((corners + 0.5) / step - 0.5).ravel()
    mask = prompt.mask
    if one.earlier is not None:
        same = window == one.earlier.window
        mask = one.logits if same else CroppedMask.of(cut(one.earlier, window)[::step, ::step])
    elif isinstance(mask, CroppedMask):
        mask = mask.cut(window.shape, (window.top, window.left), step)
    if isinstance(mask, CroppedMask):
        mask = mask or None
    return Prompt(points, labels, box, mask)


def cut(answer: Prediction, window: Window) -> NDArray[np.bool_]:
    """Cut the part of an answer's mask that lies in a window: (h, w) of the window."""
    cut = np.zeros(window.shape, dtype=np.bool_)
    rows, cols = answer.region
    top, bottom = max(rows.start, window.top), min(rows.stop, window.bottom)
    left, right = max(cols.start, window.left), min(cols.stop, window.right)
    if top < bottom and left < right:
        part = answer.mask[
            top - rows.start : bottom - rows.start, left - cols.start : right - cols.start
        ]
        cut[top - window.top : bottom - window.top, left - window.left : right - window.left] = part
    return cut


def placed(answer: Prediction, window: Window, step: int) -> WindowPrediction:
    """Put an answer back into the image: masks in image pixels."""
    masks: NDArray[np.bool_] = answer.masks
    top, left = window.top, window.left
    height, width = window.shape
    if step > 1:  # enlarge no more than the objects
        some: Any = masks.any(axis=0)
        rows, cols = span(some.any(axis=1)), span(some.any(axis=0))
        masks = masks[:, rows, cols].repeat(step, axis=1).repeat(step, axis=2)
        top, left = top + rows.start * step, left + cols.start * step
        masks = masks[:, : window.bottom - top, : window.right - left]
        height, width = masks.shape[1:]
    return WindowPrediction(
        masks=masks,
        scores=answer.scores,
        low_res_logits=answer.low_res_logits,
        best=answer.best,
        region=(slice(top, top + height), slice(left, left + width)),
        seen_in=None if answer.seen_in is None else (answer.seen_in[0], window.region),
        window=window,
        doubts=tuple(doubt.enlarged(step) for doubt in answer.doubts),
    )


def span(flags: Any) -> slice:
    """Find the part of an axis from the first to the last True, one pixel at least."""
    where = np.flatnonzero(flags)
    return slice(int(where[0]), int(where[-1]) + 1) if len(where) else slice(0, 1)


def bounds(answer: Prediction) -> NDArray[np.float64]:
    """First row, first column, last row and last column of the best mask, in image pixels."""
    rows, cols = span(answer.mask.any(axis=1)), span(answer.mask.any(axis=0))
    top, left = answer.region[0].start, answer.region[1].start
    return np.array(
        [top + rows.start, left + cols.start, top + rows.stop - 1, left + cols.stop - 1],
        dtype=float,
    )


def candidate(answer: WindowPrediction, index: int) -> WindowPrediction:
    """Keep one candidate only, and of its mask the part where the object is."""
    mask = answer.masks[index]
    rows, cols = span(mask.any(axis=1)), span(mask.any(axis=0))
    top, left = answer.region[0].start, answer.region[1].start
    return WindowPrediction(
        masks=mask[rows, cols][np.newaxis].copy(),
        scores=answer.scores[index : index + 1],
        low_res_logits=answer.low_res_logits[index : index + 1],
        best=0,
        region=(
            slice(top + rows.start, top + rows.stop),
            slice(left + cols.start, left + cols.stop),
        ),
        window=answer.window,
        doubts=answer.doubts[index : index + 1],
        seen_in=answer.seen_in,
    )
