"""Quality of a model on known objects, at the resolution of the images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.measure.clicks import deepest_point
from napari_samhq.core.measure.metrics import boundary_iou, iou
from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.inference.predictor import Predictor
from napari_samhq.inference.windowed import WindowedPredictor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_samhq.checkpoints import LoadedModel
    from napari_samhq.training.finetune.examples import Example, Item

__all__ = ["answered", "measured"]


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
    rows: dict[Item, dict[str, float]] = {item: {} for item in items}
    for index in sorted({item.example for item in items}):
        here = [item for item in items if item.example == index]
        labels = examples[index].labels
        for kind in ("box", "click"):
            if prompts == {"box": "clicks", "click": "boxes"}[kind]:
                continue
            for item, found in answered(model, examples, here, kind):
                truth = labels == item.label
                where = _padded(item, labels.shape)
                rows[item][kind] = iou(found, truth)
                rows[item][f"{kind} boundary"] = boundary_iou(found[where], truth[where])
        yield [rows[item] for item in here]


def answered(
    model: LoadedModel, examples: Sequence[Example], items: Sequence[Item], kind: str
) -> Iterator[tuple[Item, NDArray[np.bool_]]]:
    """Ask a model about objects by one kind of prompt.

    Parameters
    ----------
    model : LoadedModel
    examples : sequence of Example
    items : sequence of Item
        Objects of these examples.
    kind : {"box", "click"}
        Tight boxes, clicks in the middle.

    Yields
    ------
    item : Item
    mask : ndarray of shape (H, W), bool
        What was found, in the image of the item.
    """
    predictor = Predictor(model)
    for index in sorted({item.example for item in items}):
        example = examples[index]
        here = [item for item in items if item.example == index]
        windowed = WindowedPredictor(predictor, example.rgb8)
        prompts = [_prompt(kind, item, _cut(example.labels, item)) for item in here]
        for place, answer in windowed.iter_predict(prompts):
            found = np.zeros(example.labels.shape, bool)
            found[answer.region] = answer.mask
            yield here[place], found


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
