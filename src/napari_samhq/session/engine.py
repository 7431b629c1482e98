"""What does the work: holds the model and what it saw of each image. Knows no layers, no threads.

Only one thread may use an :class:`Engine`, the one of its runner.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import SamHQWarning
from napari_samhq.session.runner import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from napari_samhq.checkpoints import ModelInfo
    from napari_samhq.core.prompts import Prompt
    from napari_samhq.inference.embedding import ImageEmbedding
    from napari_samhq.inference.prediction import Prediction, SupportsPrediction
    from napari_samhq.session.runner import Report
    from napari_samhq.session.views import PlaneView

__all__ = ["Answer", "Engine", "ModelSource", "Request"]

_CACHE_BYTES = 2**30  # some 160 planes of a published model, in float16 half of that


@dataclass(frozen=True, eq=False)
class Request:
    """One prompt for one plane, for one model.

    Attributes
    ----------
    number : int
        Counts up; a later request outdates an earlier one.
    token : object
        What the asker knows the request by; comes back in the answer.
    """

    number: int
    token: Any
    model: str
    view: PlaneView
    prompt: Prompt
    multimask: bool


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of a request, with the warnings that came up on the way."""

    request: Request
    prediction: Prediction
    notes: tuple[str, ...] = ()


def _load(name: str, report: Callable[[float, float], None]) -> SupportsPrediction:
    from napari_samhq.checkpoints import load_model
    from napari_samhq.inference import Predictor

    return Predictor(load_model(name, progress=report))


def _list() -> list[ModelInfo]:
    from napari_samhq.checkpoints import list_models

    return list_models()


@dataclass(frozen=True)
class ModelSource:
    """Where models come from.

    Attributes
    ----------
    load : callable
        Takes a name or path and a function for progress in bytes, returns a predictor.
    list : callable
        Returns what is known of each named model.
    """

    load: Callable[[str, Callable[[float, float], None]], SupportsPrediction] = _load
    list: Callable[[], list[Any]] = _list

    def info(self, name: str) -> Any | None:
        """Tell what is known of a model; None for a path."""
        return next((info for info in self.list() if info.name == name), None)

    def must_fetch(self, name: str) -> bool:
        """Whether the model must come over the network before it can be used."""
        info = self.info(name)
        return info is not None and not (info.bundled or info.cached)


@dataclass
class Engine:
    """Answers requests with one model at a time, and remembers images that it looked at.

    Parameters
    ----------
    source : ModelSource
        Where models come from.
    cache_bytes : int
        How much the remembered images may take; the one not used for longest goes first.
    """

    source: ModelSource = field(default_factory=ModelSource)
    cache_bytes: int = _CACHE_BYTES
    _models: dict[str, SupportsPrediction] = field(default_factory=dict, repr=False)
    _seen: OrderedDict[Hashable, tuple[ImageEmbedding, tuple[str, ...]]] = field(
        default_factory=OrderedDict, repr=False
    )

    def load(self, model: str, report: Report) -> SupportsPrediction:
        """Get a model ready, from the network where it must be."""
        if model not in self._models:
            stage = "fetch" if self.source.must_fetch(model) else "load"
            report(Progress(stage))
            predictor = self.source.load(
                model, lambda done, total: report(Progress(stage, done, total))
            )
            # One at a time: the large ones take gigabytes. Their images stay remembered.
            self._models = {model: predictor}
        return self._models[model]

    def prepare(self, model: str, view: PlaneView, report: Report) -> tuple[str, ...]:
        """Look at a plane, so that the first prompt is as fast as the others."""
        return self._embedding(model, view, report)[1]

    def predict(self, request: Request, report: Report) -> Answer:
        """Answer a request."""
        embedding, notes = self._embedding(request.model, request.view, report)
        report(Progress("predict"))
        prompt = request.prompt
        prediction = self.load(request.model, report).predict(
            embedding,
            points=prompt.points,
            point_labels=prompt.point_labels,
            box=prompt.box,
            mask=prompt.mask,
            multimask=request.multimask,
        )
        return Answer(request, prediction, notes)

    def _embedding(
        self, model: str, view: PlaneView, report: Report
    ) -> tuple[ImageEmbedding, tuple[str, ...]]:
        predictor = self.load(model, report)
        pixels = None
        key: Hashable = (model, view.identity, view.plane, view.contrast_limits)
        if isinstance(view.data, np.ndarray):  # in memory: cheap enough to notice every edit
            pixels = view.read()
            key = (key, pixels.shape, pixels.dtype.str, _digest(pixels))
        if key not in self._seen:
            report(Progress("prepare"))
            pixels = view.read() if pixels is None else pixels
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                embedding = predictor.embed(pixels, contrast_limits=view.contrast_limits)
            self._remember(key, embedding, _our_notes(caught))
        self._seen.move_to_end(key)
        return self._seen[key]

    def _remember(self, key: Hashable, embedding: ImageEmbedding, notes: tuple[str, ...]) -> None:
        self._seen[key] = (embedding, notes)
        while len(self._seen) > 1 and self._bytes() > self.cache_bytes:
            self._seen.popitem(last=False)

    def _bytes(self) -> int:
        return sum(embedding.nbytes for embedding, _ in self._seen.values())


def _digest(pixels: np.ndarray[Any, Any]) -> bytes:
    # As bytes, because a memory view cannot be cast from types of foreign byte order.
    content = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8)
    return hashlib.blake2b(content.data, digest_size=16).digest()


def _our_notes(caught: list[warnings.WarningMessage]) -> tuple[str, ...]:
    """Keep our warnings as notes for the asker, and let all others through."""
    notes = []
    for one in caught:
        if issubclass(one.category, SamHQWarning):
            notes.append(str(one.message))
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return tuple(notes)
