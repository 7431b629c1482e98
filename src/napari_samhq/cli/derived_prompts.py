"""Prompts derived from true objects, and the labels that a model answers to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_samhq.core.labels.run_labels import RunLabels

__all__ = ["Derived", "labels_from_prompts"]


@dataclass(frozen=True)
class Derived:
    """Prompts that are made from the true objects.

    Attributes
    ----------
    kind : {"boxes", "points"}
        The tight box around each object, or the point in its middle, farthest from its border.
    corrections : int
        So many further points follow, each in the middle of what is most wrong.

    Examples
    --------
    >>> Derived.of("points+3")
    Derived(kind='points', corrections=3)
    """

    kind: str
    corrections: int = 0

    @classmethod
    def of(cls, text: str) -> Derived:
        """Read "boxes", "points" or "points+3".

        Raises
        ------
        ValueError
            If it is none of these.
        """
        kind, plus, count = text.partition("+")
        if kind not in ("boxes", "points") or (plus and not (count.isdigit() and int(count) < 100)):
            raise ValueError(f"'{text}' is none of boxes, points and points+N, as points+3.")
        return cls(kind, int(count) if plus else 0)

    def __str__(self) -> str:
        return self.kind + (f"+{self.corrections}" if self.corrections else "")


def labels_from_prompts(
    predictor: Any, source: Any, true: NDArray[Any] | RunLabels, derived: Derived
) -> NDArray[Any] | RunLabels:
    """Segment each true object from prompts that are made from it.

    Parameters
    ----------
    predictor : SupportsPrediction
    source : ImageSource
    true : ndarray of shape (H, W), int; or RunLabels
    derived : Derived

    Returns
    -------
    ndarray of shape (H, W), int; or RunLabels, of large images
        With the label ids of the true objects.
    """
    from napari_samhq.cli.console import progress_bar
    from napari_samhq.core.labels.run_labels import RunLabels
    from napari_samhq.inference.segment import painter_of
    from napari_samhq.inference.windowed import WindowedPredictor
    from napari_samhq.io.objects import objects_of

    painter = painter_of(source.shape)
    windowed = WindowedPredictor(predictor, source)
    objects = list(objects_of(true))
    # Numbered from 1, whatever their ids: those of others may be larger than results can have.
    ids = np.array([0, *(one.label_id for one in objects)], dtype=true.dtype)
    with progress_bar(desc="Objects", total=len(objects), leave=False) as bar:
        if derived.corrections:
            for number, one in enumerate(objects, start=1):
                painter.add(number, _corrected(windowed, one.mask, derived))
                bar.update()
        else:
            prompts = [_first(one.mask, derived) for one in objects]
            for index, prediction in windowed.iter_predict(prompts):
                painter.add(index + 1, prediction)
                bar.update()
    found = painter.labels
    return found.renamed(ids) if isinstance(found, RunLabels) else ids[found]


def _first(mask: Any, derived: Derived) -> Any:
    """Make the first prompt for an object."""
    from napari_samhq.core.prompts.prompt import Prompt

    if derived.kind == "boxes":
        bottom, right = mask.top + mask.height - 1, mask.left + mask.width - 1
        return Prompt(box=[mask.top, mask.left, bottom, right])
    from napari_samhq.core.measure.clicks import deepest_point

    row, col = deepest_point(mask.array())
    return Prompt(points=[[mask.top + row, mask.left + col]])


def _corrected(windowed: Any, mask: Any, derived: Derived) -> Any:
    """Ask as a careful user does: look at the answer, and point at what is most wrong in it."""
    from napari_samhq.core.measure.clicks import next_click
    from napari_samhq.core.prompts.prompt import Prompt

    prompt = _first(mask, derived)
    points: list[Any] = [] if prompt.points is None else prompt.points.tolist()
    point_labels = [1] * len(points)
    answer = windowed.predict(prompt)
    for _ in range(derived.corrections):
        rows, cols = (
            slice(min(a.start, b.start), max(a.stop, b.stop))
            for a, b in zip(mask.region, answer.region, strict=True)
        )
        start, shape = (rows.start, cols.start), (rows.stop - rows.start, cols.stop - cols.start)
        found = np.zeros(shape, dtype=bool)
        at_row, at_col = answer.region[0].start - rows.start, answer.region[1].start - cols.start
        height, width = answer.mask.shape
        found[at_row : at_row + height, at_col : at_col + width] = answer.mask
        wrong = next_click(found, mask.within(shape, start))
        if wrong is None:
            break
        (row, col), point_label = wrong
        points.append([row + start[0], col + start[1]])
        point_labels.append(point_label)
        asked = Prompt(points, point_labels, box=prompt.box, mask=answer.low_res_logits)
        answer = windowed.predict(asked)
    return answer
