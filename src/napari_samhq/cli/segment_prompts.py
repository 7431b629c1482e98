"""Segment one image by prompts: labels, scores and times."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_samhq.cli.console import progress_bar
from napari_samhq.errors import PromptError, SamHQWarning

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from napari_samhq.core.labels.run_labels import RunLabels
    from napari_samhq.core.measure.uncertainty import Doubt
    from napari_samhq.core.prompts.prompt import Prompt
    from napari_samhq.inference.prediction import SupportsPrediction

__all__ = ["Result", "segment_prompts"]


@dataclass(frozen=True)
class Result:
    """What came out of :func:`segment_prompts`.

    Attributes
    ----------
    labels : ndarray of shape (H, W), int32; or RunLabels
        The label id of each pixel's object; as runs where the image is large.
    scores : dict of int to float
        The model's estimate of the IoU, by label id.
    seconds : dict of str to float
        What ``embed`` and ``predict`` took.
    doubts : dict of int to Doubt
        What HQ changed, and how sure outlines are, by label id, if the predictor tells it.
    """

    labels: NDArray[np.int32] | RunLabels
    scores: dict[int, float]
    seconds: dict[str, float]
    doubts: dict[int, Doubt] = field(default_factory=dict)

    def table(self) -> pd.DataFrame:
        """List the objects that have pixels, with scores, areas and positions, and doubts if told.

        Doubts are the columns ``disagreement`` and ``uncertainty_px``, see
        :class:`~napari_samhq.core.measure.uncertainty.Doubt`.
        """
        from napari_samhq.core.display.overlay import objects_table

        table = objects_table(self.labels, self.scores)
        if self.doubts:
            for name in ("disagreement", "uncertainty_px"):
                known = {label_id: getattr(one, name) for label_id, one in self.doubts.items()}
                table[name] = table["label"].map(known).astype(float)
        return table


def segment_prompts(
    predictor: SupportsPrediction,
    image: Any,
    prompts: Mapping[int, Prompt],
    *,
    store: Path | None = None,
    within: Any = None,
    strict: bool = False,
) -> Result:
    """Segment one object per prompt, with a bar on stderr.

    Parameters
    ----------
    predictor : SupportsPrediction
        The model to ask.
    image : array_like of shape (H, W) or (H, W, C), or ImageSource
        The image. On a large one each prompt is answered in a window.
    prompts : mapping of int to Prompt
        The prompt of each object, by its label id.
    store : Path, optional
        Folder of an :class:`~napari_samhq.inference.store.EmbeddingStore`.
    within : array of shape (H, W), optional
        Objects that have a pixel where it is 0 are left out; of those that cannot but have one the
        model is not asked.
    strict : bool, optional
        Refuse prompts that lie outside of the image, in place of leaving them out.

    Returns
    -------
    Result
        Where masks overlap, a pixel belongs to the one with the higher score.

    Raises
    ------
    PromptError
        If no prompt can be used in the image, or one cannot and `strict` is set.

    Warns
    -----
    SamHQWarning
        If objects were left out whose points or boxes lie outside of the image.
    """
    from napari_samhq.core.prompts.outline_masks import lies_within, may_lie_within
    from napari_samhq.inference.segment import painter_of
    from napari_samhq.inference.store import EmbeddingStore
    from napari_samhq.inference.windowed import WindowedPredictor

    start = time.perf_counter()
    kept = None if store is None else EmbeddingStore(store)
    windowed = WindowedPredictor(predictor, image, store=kept)
    image_shape = windowed.source.shape
    if windowed.windows.is_small:  # a large image is looked at where prompts are, later
        windowed.prepare()
    embedded = time.perf_counter()
    usable = _inside(prompts, image_shape, strict)
    asked = len(usable)
    if within is not None:
        usable = {n: prompt for n, prompt in usable.items() if may_lie_within(prompt, within)}
    ids = list(usable)
    painter = painter_of(image_shape)
    scores: dict[int, float] = {}
    doubts: dict[int, Doubt] = {}
    answers = windowed.iter_predict(list(usable.values()))
    for index, prediction in progress_bar(answers, "Objects", total=len(ids), leave=False):
        if within is not None and not lies_within(prediction.mask, prediction.region, within):
            continue
        painter.add(ids[index], prediction)
        scores[ids[index]] = prediction.score
        if prediction.doubts:
            doubts[ids[index]] = prediction.doubts[prediction.best]
    if len(scores) < asked:
        warnings.warn(
            f"{asked - len(scores)} of {asked} objects lie outside of the region of --within, or "
            "reach past its edge. They were left out.",
            SamHQWarning,
            stacklevel=2,
        )
    seconds = {"embed": embedded - start, "predict": time.perf_counter() - embedded}
    return Result(painter.labels, scores, seconds, doubts)


def _inside(
    prompts: Mapping[int, Prompt], image_shape: tuple[int, int], strict: bool
) -> dict[int, Prompt]:
    """Leave out objects of which nothing that says where they are lies inside of the image."""
    with warnings.catch_warnings():
        # It would tell of every single point; here all objects are told in one go.
        warnings.simplefilter("ignore", SamHQWarning)
        usable = {n: p for n, p in prompts.items() if not _outside(p, image_shape)}
    left_out = [number for number in prompts if number not in usable]
    if left_out:
        height, width = image_shape
        which = ", ".join(map(str, left_out[:10])) + (", ..." if len(left_out) > 10 else "")
        what = "point on them" if all(p.box is None for p in prompts.values()) else "point or box"
        told = (
            f"{len(left_out)} of {len(prompts)} objects have no {what} inside of the image "
            f"of {height} x {width} pixels: {which}."
        )
        if strict or not usable:
            raise PromptError(f"{told} Points and boxes are rows and columns, in image pixels.")
        warnings.warn(f"{told} They were left out.", SamHQWarning, stacklevel=3)
    return usable


def _outside(prompt: Prompt, image_shape: tuple[int, int]) -> bool:
    """Tell whether nothing of a prompt can be used in the image, or none of its points on it."""
    from napari_samhq.core.prompts.prompt import usable_points

    if prompt.points is not None and prompt.box is None and prompt.mask is None:
        on = prompt.points[prompt.point_labels == 1]
        return not usable_points(on, image_shape).any()
    try:
        prompt.cleaned(image_shape)
    except PromptError:
        return True
    return False
