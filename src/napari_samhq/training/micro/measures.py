"""Measures of a predictor on one annotated image: boxes, clicks, corrections, Otsu's threshold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_samhq.core.measure.clicks import deepest_point, next_click
from napari_samhq.core.measure.metrics import boundary_iou, iou
from napari_samhq.core.prompts.prompt import Prompt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_samhq.inference.prediction import SupportsPrediction

__all__ = [
    "ObjectResult",
    "Target",
    "evaluate_image",
    "otsu_in_box",
    "shifted_mask",
    "targets_of",
    "window_of",
]


@dataclass(frozen=True)
class Target:
    """One object to be found: its mask inside its bounding box ``rows, cols`` of the image."""

    label: int
    rows: slice
    cols: slice
    mask: NDArray[np.bool_]

    @property
    def box_rc(self) -> tuple[int, int, int, int]:
        """Tight box: first and last row and column."""
        return (self.rows.start, self.cols.start, self.rows.stop - 1, self.cols.stop - 1)

    def padded(self, shape: tuple[int, int], factor: float = 0.5) -> tuple[slice, slice]:
        """Return the box grown on each side by a fraction of its extent, 3 px at least, inside the
        image.
        """
        out = []
        for part, limit in zip((self.rows, self.cols), shape, strict=True):
            pad = max(3, round(factor * (part.stop - part.start)))
            out.append(slice(max(0, part.start - pad), min(limit, part.stop + pad)))
        return (out[0], out[1])

    def full(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the mask in the whole image."""
        out = np.zeros(shape, bool)
        out[self.rows, self.cols] = self.mask
        return out


@dataclass
class ObjectResult:
    """What was measured on one object: IoU by kind of prompt; score and IoU of masks by kind, and
    of the candidates of the click.
    """

    source: str
    image: str
    label: int
    area_px: int
    values: dict[str, float] = field(default_factory=dict)
    scored: dict[str, tuple[float, float]] = field(default_factory=dict)
    candidates: list[tuple[float, float]] = field(default_factory=list)


def targets_of(labels: NDArray[Any], most: int, smallest: int = 25) -> list[Target]:
    """Up to ``most`` objects of at least ``smallest`` px, evenly over the numbering."""
    found = []
    for index, where in enumerate(ndimage.find_objects(np.asarray(labels, np.int32)), start=1):
        if where is None:
            continue
        mask = labels[where] == index
        if np.count_nonzero(mask) >= smallest:
            found.append(Target(index, where[0], where[1], mask))
    if len(found) > most:
        found = [found[k] for k in np.linspace(0, len(found) - 1, most).round().astype(int)]
    return found


def shifted_mask(truth: NDArray[np.bool_], agreement: float) -> NDArray[np.bool_]:
    """Shift a mask diagonally until its IoU with itself is no more than ``agreement``, as one of a
    neighbouring plane may lie.

    Examples
    --------
    >>> square = np.zeros((20, 20), bool)
    >>> square[5:15, 5:15] = True
    >>> iou(shifted_mask(square, 0.5), square) <= 0.5
    True
    """
    for step in range(1, max(truth.shape)):
        down, right = (step + 1) // 2, step // 2
        shifted = np.zeros_like(truth)
        shifted[down:, right:] = truth[: truth.shape[0] - down, : truth.shape[1] - right]
        if iou(shifted, truth) <= agreement:
            return shifted
    return np.zeros_like(truth)


def otsu_in_box(grey: NDArray[Any], target: Target) -> float:
    """IoU of Otsu's threshold inside the tight box; the better of both polarities is taken, so it
    is told which.
    """
    from skimage.filters import threshold_otsu

    inside = grey[target.rows, target.cols]
    if inside.min() == inside.max():
        return iou(np.ones_like(target.mask), target.mask)
    bright = inside > threshold_otsu(inside)
    return max(iou(bright, target.mask), iou(~bright, target.mask))


def window_of(target: Target, shape: tuple[int, int], share: float = 0.25) -> tuple[slice, slice]:
    """Return a square window in which the object spans ``share`` of the side."""
    extent = max(target.rows.stop - target.rows.start, target.cols.stop - target.cols.start)
    side = max(32, round(extent / share))
    out = []
    for part, limit in zip((target.rows, target.cols), shape, strict=True):
        length = min(side, limit)
        start = int(np.clip((part.start + part.stop - length) // 2, 0, limit - length))
        out.append(slice(start, start + length))
    return (out[0], out[1])


def _measure(
    mask: NDArray[np.bool_], truth: NDArray[np.bool_], target: Target, prefix: str
) -> dict[str, float]:
    """IoU in the whole image; boundary IoU in the object's padded box, where its width follows the
    object's size.
    """
    where = target.padded((truth.shape[0], truth.shape[1]))
    return {prefix: iou(mask, truth), f"{prefix} boundary": boundary_iou(mask[where], truth[where])}


def evaluate_image(
    predictor: SupportsPrediction,
    image: NDArray[Any],
    labels: NDArray[Any],
    *,
    most: int = 20,
    corrections: int = 5,
    windows: int = 0,
    share: float = 0.25,
    hints: Sequence[float] = (),
    source: str = "",
    name: str = "",
) -> Iterator[ObjectResult]:
    """Measure a predictor on one annotated image.

    Parameters
    ----------
    predictor : SupportsPrediction
    image : (H, W) or (H, W, C)
    labels : (H, W) int
    most : int
        Objects per image at most.
    corrections : int
        Corrective clicks after the first.
    windows : int
        So many objects are also prompted in a window (slow: each is embedded).
    share : float
        Of the window's side that the object spans.
    hints : sequence of float
        A mask that has this IoU with the object is given beside its box.
    source, name : str
        For the table.

    Yields
    ------
    ObjectResult
        With values ``box``, ``click``, ``corrected`` (and ``... boundary``), ``obeyed`` (share of
        corrective clicks whose pixel lies on its side of the mask afterwards), ``otsu``, ``window
        box``, ``window click``, ``hint 0.7`` and the like.
    """
    shape = (labels.shape[0], labels.shape[1])
    grey = image if image.ndim == 2 else image.astype(np.float32).mean(-1)
    embedding = predictor.embed(image)
    for number, target in enumerate(targets_of(labels, most)):
        truth = target.full(shape)
        result = ObjectResult(source, name, target.label, int(target.mask.sum()))
        row, col = deepest_point(target.mask)
        click = (row + target.rows.start, col + target.cols.start)
        boxed = predictor.predict(embedding, box=target.box_rc)
        result.values |= _measure(boxed.mask, truth, target, "box")
        result.scored["box"] = boxed.score, result.values["box"]
        result.values["otsu"] = otsu_in_box(grey, target)
        points, point_labels = [click], [1]
        answer = predictor.predict(embedding, points=points, point_labels=point_labels)
        result.values |= _measure(answer.mask, truth, target, "click")
        result.scored["click"] = answer.score, result.values["click"]
        candidates = predictor.predict(embedding, points=points, multimask=True)
        result.candidates = [
            (float(score), iou(mask, truth))
            for score, mask in zip(candidates.scores, candidates.masks, strict=True)
        ]
        result.values["click, best of 3"] = max(found for _, found in result.candidates)
        obeyed = []
        for _ in range(corrections):
            further = next_click(answer.mask, truth)
            if further is None:
                break
            points.append(further[0])
            point_labels.append(further[1])
            answer = predictor.predict(
                embedding, points=points, point_labels=point_labels, mask=answer.low_res_logits
            )
            obeyed.append(bool(answer.mask[further[0]]) == bool(further[1]))
        if obeyed:
            result.values["obeyed"] = float(np.mean(obeyed))
        if corrections:
            result.values |= _measure(answer.mask, truth, target, "corrected")
            result.scored["corrected"] = answer.score, result.values["corrected"]
        for agreement in hints:
            hint = shifted_mask(truth, agreement)
            hinted = predictor.predict(embedding, box=target.box_rc, mask=hint)
            result.values[f"hint {agreement:g}"] = iou(hinted.mask, truth)
        if number < windows:
            result.values |= _in_window(predictor, image, truth, target, click, share)
        yield result


def _in_window(
    predictor: SupportsPrediction,
    image: NDArray[Any],
    truth: NDArray[np.bool_],
    target: Target,
    click: tuple[int, int],
    share: float,
) -> dict[str, float]:
    """Box and click in a window around the object."""
    where = window_of(target, (truth.shape[0], truth.shape[1]), share)
    offset = np.array([where[0].start, where[1].start])
    piece = image[where]
    if piece.min() == piece.max():
        return {}
    embedding = predictor.embed(piece)
    box = np.array(target.box_rc) - np.tile(offset, 2)
    boxed, clicked = predictor.predict_many(
        embedding, [Prompt(box=box), Prompt(points=[np.array(click) - offset])]
    )
    return {
        "window box": iou(boxed.mask, truth[where]),
        "window click": iou(clicked.mask, truth[where]),
    }
