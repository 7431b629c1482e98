"""Stand-ins for slow parts. FakePredictor answers like a model, with discs and filled boxes."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.images.rgb8 import to_rgb8
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.measure.uncertainty import Doubt
from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.inference.embedding import ImageEmbedding
from napari_samhq.inference.prediction import Prediction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_samhq.core.journal.drafts import Output
    from napari_samhq.inference.automatic import SupportsLogits
    from napari_samhq.inference.prediction import SupportsPrediction


class FakePredictor:
    """Positive points add discs, negative ones remove them, boxes are filled, masks are kept.

    With ``multimask`` the discs get 1, 1/2 and 2 times the radius, with falling scores. The
    `output` "sam" makes discs 1 px larger, "hq" 1 px smaller, and a `threshold` that much. `calls`
    collects what was asked; `delay` is what each call takes, in seconds; an `error` is raised by
    the next call of embed or predict.
    """

    precision = "float32"

    def __init__(
        self,
        radius: float = 5.0,
        *,
        name: str = "fake",
        delay: float = 0.0,
        input_size: int = 1024,
    ) -> None:
        self.radius, self.name, self.delay = radius, name, delay
        self.fingerprint, self.input_size = name, input_size
        self.calls: list[tuple[str, Any]] = []
        self.error: Exception | None = None

    def embed(self, image: Any, *, contrast_limits: Any = None) -> ImageEmbedding:
        self._called("embed", image)
        shape = to_rgb8(image, contrast_limits=contrast_limits).shape[:2]
        nothing: Any = np.zeros((1, 1, 1), dtype=np.float32)
        return ImageEmbedding(
            nothing, nothing, shape, shape, max(shape), self.name, contrast_limits
        )

    def predict(
        self,
        embedding: ImageEmbedding,
        points: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: ArrayLike | CroppedMask | None = None,
        *,
        multimask: bool = False,
        hq_only: bool = False,
        output: Output = "sam+hq",
        threshold: float = 0.0,
    ) -> Prediction:
        prompt = Prompt(points, point_labels, box, mask).cleaned(embedding.image_shape)
        self._called("predict", prompt)
        factors = (1.0, 0.5, 2.0) if multimask else (1.0,)
        radius = self.radius - threshold
        radius += {"sam+hq": 0, "sam": 1, "hq": -1}["hq" if hq_only else output]
        masks = np.stack([self._draw(prompt, embedding.image_shape, radius * f) for f in factors])
        height, width = embedding.image_shape
        rows, cols = np.arange(64) * height // 64, np.arange(64) * width // 64
        logits = np.where(masks[:, rows][:, :, cols], 10.0, -10.0).astype(np.float32)
        scores = np.array([0.9, 0.8, 0.7][: len(masks)], dtype=np.float32)
        doubts = tuple(Doubt(0.25 * n, 1.5 + n) for n in range(len(masks)))
        region = (slice(0, height), slice(0, width))
        return Prediction(masks, scores, logits, 0, region, doubts=doubts)

    def predict_many(
        self, embedding: ImageEmbedding, prompts: Sequence[Prompt], **options: Any
    ) -> list[Prediction]:
        return [p for _, p in self.iter_predict(embedding, prompts, **options)]

    def iter_predict(
        self, embedding: ImageEmbedding, prompts: Sequence[Prompt], **options: Any
    ) -> Iterator[tuple[int, Prediction]]:
        for index, p in enumerate(prompts):
            yield (
                index,
                self.predict(embedding, p.points, p.point_labels, p.box, p.mask, **options),
            )

    def iter_logits(
        self,
        embedding: ImageEmbedding,
        prompts: Sequence[Prompt],
        *,
        multimask: bool = False,
        output: Output = "sam+hq",
        least_score: float | None = None,
    ) -> Iterator[tuple[list[int], NDArray[np.float32], NDArray[np.float32]]]:
        """Give logits as fine as the image, so that enlarging them gives back the masks."""
        side = embedding.input_size
        for index, p in self.iter_predict(embedding, prompts, multimask=multimask, output=output):
            logits = np.full((1, len(p.masks), side, side), -10, dtype=np.float32)
            logits[0, :, : p.masks.shape[1], : p.masks.shape[2]][p.masks] = 10
            yield [index], logits, p.scores[np.newaxis]

    def _draw(self, prompt: Prompt, shape: tuple[int, int], radius: float) -> np.ndarray:
        rows, cols = np.ogrid[: shape[0], : shape[1]]
        drawn = np.zeros(shape, dtype=bool)
        if isinstance(prompt.mask, CroppedMask):
            drawn |= prompt.mask.within(shape)
        if prompt.box is not None:
            top, left, bottom, right = prompt.box
            drawn |= (rows >= top) & (rows <= bottom) & (cols >= left) & (cols <= right)
        for sign in (1, 0):  # positive points first, so that negative ones have the last word
            for row, col in (
                () if prompt.points is None else prompt.points[prompt.point_labels == sign]
            ):
                drawn[np.hypot(rows - row, cols - col) <= radius] = bool(sign)
        return drawn

    def _called(self, what: str, argument: Any) -> None:
        self.calls.append((what, argument))
        time.sleep(self.delay)
        if self.error is not None:
            error, self.error = self.error, None
            raise error


def fake_loaded_model(name: str = "fake") -> Any:
    """Look enough like a LoadedModel for code that only shows its name and device."""
    return SimpleNamespace(info=SimpleNamespace(name=name), device="cpu", fingerprint=name)


if TYPE_CHECKING:  # what the fake stands in for, as mypy sees it
    _predicts: SupportsPrediction = FakePredictor()
    _gives_logits: SupportsLogits = FakePredictor()
