"""How good a model is on objects that are known, at the resolution of the images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.metrics import boundary_iou, iou
from napari_samhq.core.prompts import Prompt
from napari_samhq.inference.predictor import Predictor
from napari_samhq.inference.windowed import WindowedPredictor
from napari_samhq.training.evaluate import deepest_point

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_samhq.checkpoints import LoadedModel
    from napari_samhq.training.examples import Example, Item

__all__ = ["measured"]


def measured(
    model: LoadedModel, examples: Sequence[Example], items: Sequence[Item], prompts: str
) -> Iterator[list[dict[str, float]]]:
    """Ask a model about objects as a user would, by tight boxes and by clicks in the middle.

    Parameters
    ----------
    model : LoadedModel
    examples : sequence of Example
    items : sequence of Item
        Objects of these examples.
    prompts : {"both", "boxes", "clicks"}

    Yields
    ------
    list of dict
        For each image that has some of the objects, a dictionary for each of them: IoU ("box",
        "click") and boundary IoU ("box boundary", "click boundary"); the latter in the object's
        padded box, so that the width of the border follows the object.
    """
    predictor = Predictor(model)
    for index in sorted({item.example for item in items}):
        example = examples[index]
        windowed = WindowedPredictor(predictor, example.rgb8)
        here = [item for item in items if item.example == index]
        truths = [_cut(example.labels, item) for item in here]
        rows: list[dict[str, float]] = [{} for _ in here]
        for kind in ("box", "click"):
            if prompts == {"box": "clicks", "click": "boxes"}[kind]:
                continue
            asked = [_prompt(kind, item, truth) for item, truth in zip(here, truths, strict=True)]
            for place, answer in windowed.iter_predict(asked):
                found = np.zeros(example.labels.shape, bool)
                found[answer.region] = answer.mask
                truth = example.labels == here[place].label
                where = _padded(here[place], example.labels.shape)
                rows[place][kind] = iou(found, truth)
                rows[place][f"{kind} boundary"] = boundary_iou(found[where], truth[where])
        yield rows


def _cut(labels: NDArray[np.int32], item: Item) -> NDArray[np.bool_]:
    top, left, bottom, right = item.box_rc
    return np.asarray(labels[top : bottom + 1, left : right + 1] == item.label)


def _prompt(kind: str, item: Item, truth: NDArray[np.bool_]) -> Prompt:
    if kind == "box":
        return Prompt(box=np.array(item.box_rc, dtype=float))
    row, col = deepest_point(truth)
    return Prompt(points=np.array([[row + item.box_rc[0], col + item.box_rc[1]]], dtype=float))


def _padded(item: Item, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Pad a box by half of its extent, 3 px at least."""
    parts = []
    for low, high, limit in zip(item.box_rc[:2], item.box_rc[2:], shape, strict=True):
        pad = max(3, round(0.5 * (high + 1 - low)))
        parts.append(slice(max(0, low - pad), min(limit, high + 1 + pad)))
    return parts[0], parts[1]
