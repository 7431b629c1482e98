"""Planes as a model sees them: small ones as a whole, large ones through windows.

Both answer prompts in pixels of the plane by the same methods, so that whoever asks need not know
which one it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_samhq.core.prompts.prompt import Prompt
    from napari_samhq.inference.embedding import ImageEmbedding
    from napari_samhq.inference.prediction import Prediction, SupportsPrediction
    from napari_samhq.inference.source import Region
    from napari_samhq.inference.windowed import WindowedPredictor

__all__ = ["SeenPlane", "WholePlane", "WindowedPlane"]

_LOOKED_AT = 4  # windows along the screen, up to which one is looked at before it is prompted


class SeenPlane(Protocol):
    """A plane that a model looked at, or looks at where it is prompted."""

    @property
    def key(self) -> Hashable:
        """What the answers depend on: model, pixels, and how they are shown."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said about the image, such as pixels that are not finite."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        ...

    @property
    def nbytes(self) -> int:
        """What is held in memory for the plane."""
        ...

    @property
    def fingerprint(self) -> str:
        """Which weights answer; empty where the predictor does not tell."""
        ...

    def iter_predict(
        self, prompts: Sequence[Prompt], **options: Any
    ) -> Iterator[tuple[int, Prediction]]:
        """Answer prompts in pixels of the plane, as a predictor does."""
        ...

    def remembers(self, low_res_logits: NDArray[np.float32]) -> bool:
        """Tell whether logits of an earlier answer can be a prompt again."""
        ...

    def prepare(self, visible: Region) -> None:
        """Look at what a click on the screen needs, where that was not done yet."""
        ...


@dataclass(frozen=True, eq=False)
class WholePlane:
    """A plane that was looked at as a whole."""

    key: Hashable
    notes: tuple[str, ...]
    predictor: SupportsPrediction
    embedding: ImageEmbedding

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.embedding.image_shape

    @property
    def nbytes(self) -> int:
        """What the embedding takes."""
        return self.embedding.nbytes

    @property
    def fingerprint(self) -> str:
        """Which weights answer; empty where the predictor does not tell."""
        return str(getattr(self.predictor, "fingerprint", ""))

    def iter_predict(
        self, prompts: Sequence[Prompt], **options: Any
    ) -> Iterator[tuple[int, Prediction]]:
        """Answer prompts."""
        return self.predictor.iter_predict(self.embedding, prompts, **options)

    def remembers(self, low_res_logits: NDArray[np.float32]) -> bool:
        """Tell that any logits of this plane can be a prompt."""
        return True

    def prepare(self, visible: Region) -> None:
        """Do nothing: all of it was looked at."""


@dataclass(frozen=True, eq=False)
class WindowedPlane:
    """A plane that is looked at window by window, where it is prompted.

    Attributes
    ----------
    report : callable
        Gets the name of each step before it is done; may raise to stop.
    """

    key: Hashable
    notes: tuple[str, ...]
    windowed: WindowedPredictor
    report: Callable[[str], None]
    nbytes: int = 0  # the windows are kept in the store of embeddings

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.windowed.source.shape

    @property
    def fingerprint(self) -> str:
        """Which weights answer; empty where the predictor does not tell."""
        return str(getattr(self.windowed.predictor, "fingerprint", ""))

    def iter_predict(
        self, prompts: Sequence[Prompt], **options: Any
    ) -> Iterator[tuple[int, Prediction]]:
        """Answer prompts, window by window."""
        return self.windowed.iter_predict(prompts, report=self.report, **options)

    def remembers(self, low_res_logits: NDArray[np.float32]) -> bool:
        """Tell whether the window is known that logits belong to."""
        return self.windowed.remembers(low_res_logits)

    def prepare(self, visible: Region) -> None:
        """Look at the window that a click in the middle of the screen gets.

        Not where so much is on the screen that it would hardly be that one.
        """
        sides = [part.stop - part.start for part in visible]
        if min(sides) > 0 and max(sides) <= _LOOKED_AT * self.windowed.windows.input_size:
            self.windowed.prepare(visible, report=self.report)
