"""Predictions, and the protocol of predictors. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_samhq.core.journal.drafts import Output
    from napari_samhq.core.measure.uncertainty import Doubt
    from napari_samhq.core.prompts.prompt import Prompt

    from .embedding import ImageEmbedding

__all__ = ["Prediction", "SupportsPrediction"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Candidate masks for one object, best first.

    Attributes
    ----------
    masks : ndarray of shape (M, H, W), bool
        One mask per candidate, over `region` of the image.
    scores : ndarray of shape (M,), float32
        The model's own estimate of each mask's IoU with the object, in no way a probability.
    low_res_logits : ndarray of shape (M, h, w), float32
        The masks as the decoder gave them, before enlarging; may serve as `mask` of the next call.
    best : int
        Index of the candidate with the highest score.
    region : pair of slices
        Rows and columns of the image that the masks cover.
    doubts : tuple of Doubt
        For each candidate what HQ changed, and how sure its outline is; empty from predictors that
        do not tell.
    seen_in : tuple, or None
        A small picture (h, w, 3), uint8, and the rows and columns of the image that it shows, so
        that notebooks can show where the masks are.
    """

    masks: NDArray[np.bool_] = field(repr=False)
    scores: NDArray[np.float32]
    low_res_logits: NDArray[np.float32] = field(repr=False)
    best: int
    region: tuple[slice, slice]
    doubts: tuple[Doubt, ...] = field(default=(), kw_only=True)
    seen_in: tuple[NDArray[np.uint8], tuple[slice, slice]] | None = field(
        default=None, repr=False, kw_only=True
    )

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The best mask, of shape (H, W)."""
        best: NDArray[np.bool_] = self.masks[self.best]
        return best

    @property
    def score(self) -> float:
        """The score of the best mask."""
        return float(self.scores[self.best])

    def _repr_html_(self) -> str:
        """Show outlines and scores of all candidates in notebooks."""
        from napari_samhq.core.display.html import card, figure, outlined_part

        picture, pictured = self.seen_in or (None, None)
        figures = []
        for index, (mask, score) in enumerate(zip(self.masks, self.scores, strict=True)):
            best = ", best" if index == self.best and len(self.masks) > 1 else ""
            caption = f"{index}: score {score:.2f}{best}, {np.count_nonzero(mask):,} px"
            if self.doubts:
                doubt = self.doubts[index]
                caption += f", HQ changed {doubt.disagreement:.0%}"
            figures.append(figure(outlined_part(mask, self.region, picture, pictured), caption))
        rows, cols = self.region
        where = {"rows": f"{rows.start} to {rows.stop}", "columns": f"{cols.start} to {cols.stop}"}
        return card("Prediction", where, figures)


@runtime_checkable
class SupportsPrediction(Protocol):
    """What the session, the batch jobs and the command line need from a predictor.

    :class:`Predictor` is the real one. Anything else with these methods will do, for example
    another network, or a fake for tests.
    """

    @property
    def name(self) -> str:
        """Short name of the model, for people."""
        ...

    @property
    def fingerprint(self) -> str:
        """Which weights it has; another one gives other answers."""
        ...

    @property
    def precision(self) -> str:
        """Number format in which it looks at images."""
        ...

    @property
    def input_size(self) -> int:
        """Side of the square that it takes, in model pixels."""
        ...

    def embed(
        self, image: Any, *, contrast_limits: tuple[float, float] | None = None
    ) -> ImageEmbedding:
        """Look at an image once, (H, W) or (H, W, C)."""
        ...

    def predict(
        self,
        embedding: ImageEmbedding,
        points: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        *,
        multimask: bool = False,
        hq_only: bool = False,
        output: Output = "sam+hq",
        threshold: float = 0.0,
    ) -> Prediction:
        """Answer one prompt; all coordinates are (row, column) in image pixels."""
        ...

    def predict_many(
        self,
        embedding: ImageEmbedding,
        prompts: Sequence[Prompt],
        *,
        multimask: bool = False,
        hq_only: bool = False,
        output: Output = "sam+hq",
        threshold: float = 0.0,
    ) -> list[Prediction]:
        """Answer many prompts, in their order."""
        ...

    def iter_predict(
        self,
        embedding: ImageEmbedding,
        prompts: Sequence[Prompt],
        *,
        multimask: bool = False,
        hq_only: bool = False,
        output: Output = "sam+hq",
        threshold: float = 0.0,
    ) -> Iterator[tuple[int, Prediction]]:
        """Answer many prompts one by one, as (index of the prompt, prediction), in any order."""
        ...
