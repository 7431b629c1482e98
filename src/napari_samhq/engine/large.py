"""Planes too large to be looked at as a whole, with the face of those that are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_samhq.core.prompts.prompt import Prompt
    from napari_samhq.inference.prediction import Prediction
    from napari_samhq.inference.windowed import WindowedPredictor

__all__ = ["Extent", "LargePlane"]


@dataclass(frozen=True)
class Extent:
    """Stands where the embedding of a whole plane would: each window has one of its own."""

    image_shape: tuple[int, int]
    nbytes: int = 0


@dataclass(frozen=True, eq=False)
class LargePlane:
    """Answers prompts on a plane window by window, where a predictor would take an embedding.

    Attributes
    ----------
    windowed : WindowedPredictor
        Of the plane.
    report : callable
        Gets the name of each step before it is done; may raise to stop.
    """

    windowed: WindowedPredictor
    report: Callable[[str], None]

    @property
    def fingerprint(self) -> str:
        """Which weights answer."""
        return self.windowed.predictor.fingerprint

    def iter_predict(
        self, _: Extent, prompts: Sequence[Prompt], **options: Any
    ) -> Iterator[tuple[int, Prediction]]:
        """Answer prompts in pixels of the plane, as a predictor does."""
        return self.windowed.iter_predict(prompts, report=self.report, **options)

    def remembers(self, low_res_logits: NDArray[np.float32]) -> bool:
        """Tell whether logits can be a prompt again: the window they belong to must be known."""
        return self.windowed.remembers(low_res_logits)
