"""What does the work: holds the model and what it saw of each image. Knows no layers, no threads.

Several sessions and windows may share an :class:`Engine`; where they use it from several threads
they take turns, answer by answer.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_samhq.batch.results import MemoryResults
from napari_samhq.core.images.rgb8 import rgb8_and_limits
from napari_samhq.core.tiles.windows import Windows
from napari_samhq.engine.jobs import Progress
from napari_samhq.engine.large import Extent, LargePlane
from napari_samhq.engine.models import ModelSource
from napari_samhq.engine.recent import Recent
from napari_samhq.errors import DeviceLostError, OutOfMemoryError, SamHQWarning
from napari_samhq.inference.source import digest
from napari_samhq.inference.store import EmbeddingStore
from napari_samhq.inference.windowed import WindowedPredictor

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_samhq.core.journal.drafts import Draft, Step
    from napari_samhq.core.prompts.prompt import Prompt
    from napari_samhq.engine.jobs import Report
    from napari_samhq.engine.plane_view import PlaneView
    from napari_samhq.inference.embedding import ImageEmbedding
    from napari_samhq.inference.prediction import Prediction, SupportsPrediction
    from napari_samhq.inference.source import Region

__all__ = ["Answer", "Engine", "ModelSource", "Question", "Request", "shared_engine"]

_IMAGE_BYTES = 2**30  # some 160 planes of a published model, in float16 half of that
_LOGITS_BYTES = 2**26
_LARGE_PLANES = 8  # seen through windows, and remembered
_LOOKED_AT = 4  # windows along the screen, up to which one is looked at before it is prompted
_KEPT_RUNS = 4  # over everything, to go on with or to choose from again
_LONGEST_BATCH = 64
_KEPT_MODELS = 2  # the large ones take gigabytes
_LOST_DEVICE = ("cuda error", "device lost", "mps backend", "hip error")


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked about one object.

    Attributes
    ----------
    draft : Draft
        The object.
    prompt : Prompt
        Its points and box, checked; a rough mask is painted only when its turn comes.
    """

    draft: Draft
    prompt: Prompt


@dataclass(frozen=True, eq=False)
class Request:
    """Questions about one plane, for one model."""

    model: str
    view: PlaneView
    questions: Sequence[Question]


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of a question.

    Attributes
    ----------
    draft : Draft
        The object that was asked for.
    prediction : Prediction
        Its masks.
    together : bool
        Whether it was answered in a batch with others.
    model, fingerprint : str
        Who answered: the name, and a hash of the weights where the predictor tells it.
    notes : tuple of str
        Warnings that came up on the way.
    """

    draft: Draft
    prediction: Prediction
    together: bool
    model: str
    fingerprint: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Sight:
    """A plane as a model saw it."""

    key: Hashable
    predictor: Any  # a predictor and an embedding, or a large plane and its extent
    embedding: ImageEmbedding | Extent
    notes: tuple[str, ...]


class Engine:
    """Answers requests, and remembers models and images that it looked at.

    Parameters
    ----------
    source : ModelSource, optional
        Where models come from.
    cache_bytes : int, optional
        How much the remembered images may take; the one not used for longest goes first.
    """

    def __init__(self, source: ModelSource | None = None, cache_bytes: int = _IMAGE_BYTES) -> None:
        self.source = source or ModelSource()
        self._lock = threading.RLock()
        self._models: OrderedDict[str, SupportsPrediction] = OrderedDict()
        self._seen: Recent[_Sight] = Recent(cache_bytes)
        self._store = EmbeddingStore(memory_bytes=cache_bytes)
        self._logits: Recent[NDArray[np.float32]] = Recent(_LOGITS_BYTES)
        self._large: Recent[WindowedPredictor] = Recent(_LARGE_PLANES)
        self._tiles: Recent[MemoryResults] = Recent(_KEPT_RUNS)
        self._moved = False

    def use_device(self, device: str, precision: str = "auto") -> None:
        """Compute elsewhere, or otherwise, from the next request on; does not wait for others."""
        self.source = replace(self.source, device=device, precision=precision)
        self._moved = True

    def keep_embeddings(self, folder: str | Path | None) -> None:
        """Keep what models see from now on in a folder too, and find it there.

        Parameters
        ----------
        folder : str or Path, or None
            Made if it does not exist; None for in memory only.

        Raises
        ------
        FileError
            If there is no such folder and none can be made. Nothing is changed then.
        """
        if (Path(folder) if folder else None) != self.embeddings:
            self._store = EmbeddingStore(folder, memory_bytes=self._store.memory_bytes)

    @property
    def embeddings(self) -> Path | None:
        """The folder of :meth:`keep_embeddings`."""
        return self._store.folder

    def device(self, model: str) -> str:
        """Tell where a model that was used computes; empty before."""
        return "" if self._moved else str(getattr(self._models.get(model), "device", ""))

    def load(self, model: str, report: Report) -> SupportsPrediction:
        """Get a model ready, from the network where it must be."""
        with self._lock:
            if self._moved:
                self._moved = False
                for kept in (self._models, self._seen, self._large, self._logits):
                    kept.clear()
            if model not in self._models:
                stage = "fetch" if self.source.must_fetch(model) else "load"
                report(Progress(stage))
                self._models[model] = self.source.get(
                    model, lambda done, total: report(Progress(stage, done, total))
                )
                while len(self._models) > _KEPT_MODELS:
                    self._models.popitem(last=False)
            self._models.move_to_end(model)
            return self._models[model]

    def prepare(
        self, model: str, view: PlaneView, report: Report, visible: Region | None = None
    ) -> tuple[str, ...]:
        """Look at a plane, so that the first prompt is as fast as the others.

        Of a large one the window is looked at that a click in the middle of what is on the screen
        gets, unless so much is on the screen that it would hardly be that one.
        """
        with self._lock:
            sight = self._sight(model, view, report)
            if visible is not None and isinstance(sight.predictor, LargePlane):
                windowed, sides = sight.predictor.windowed, [p.stop - p.start for p in visible]
                if min(sides) > 0 and max(sides) <= _LOOKED_AT * windowed.windows.input_size:
                    with _guarding_device():
                        windowed.prepare(visible, report=sight.predictor.report)
            return sight.notes

    def tiles(self, key: Hashable) -> MemoryResults:
        """Give what was found before in the tiles of a plane, by the name of what was asked.

        Only the latest few are kept.
        """
        with self._lock:
            found = self._tiles.get(key)
            return self._tiles.put(key, MemoryResults(), 1) if found is None else found

    def answers(self, request: Request, report: Report) -> Iterator[Answer]:
        """Answer questions, giving each answer as soon as it is there.

        Memory is bounded by one batch, however many questions come. `report` is called before each
        answer, so the work can be stopped there; or stop taking answers.

        Parameters
        ----------
        request : Request
            The questions. Those of a kind are answered in batches.
        report : callable
            Gets a :class:`Progress`.
        """
        total = len(request.questions)
        with self._lock:
            sight = self._sight(request.model, request.view, report)
        done = 0
        for batch in _batches(request.questions):
            answers = self._answer(sight, batch)
            while True:
                # How far it is means something only where there are many.
                report(Progress("predict", done, total if total > 1 else 0))
                with self._lock, _guarding_device():
                    answer = next(answers, None)
                if answer is None:
                    break
                done += 1
                name, fingerprint = request.model, getattr(sight.predictor, "fingerprint", "")
                yield replace(answer, model=name, fingerprint=fingerprint, notes=sight.notes)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Use a model that was loaded here, while nobody else does."""
        with self._lock, _guarding_device():
            yield

    def _answer(self, sight: _Sight, batch: Sequence[Question]) -> Iterator[Answer]:
        prompts = [self._prompt(sight, question) for question in batch]
        choice = batch[0].draft.choice
        options: dict[str, Any] = {
            "multimask": batch[0].draft.drawn.ambiguous,
            "output": choice.output,
            "threshold": choice.threshold,
        }
        left = dict(enumerate(batch))
        together = len(batch) > 1
        try:
            for index, found in sight.predictor.iter_predict(sight.embedding, prompts, **options):
                yield self._noted(sight, left.pop(index).draft, found, together)
        except OutOfMemoryError:
            # The predictor halved the batch already. Give up all that can be made again, and go on
            # one by one; if that is too much, too, the caller hears of it.
            self._make_room(sight)
        for index, question in left.items():
            one = [prompts[index]]
            ((_, found),) = sight.predictor.iter_predict(sight.embedding, one, **options)
            yield self._noted(sight, question.draft, found, together=False)

    def _noted(self, sight: _Sight, draft: Draft, found: Prediction, together: bool) -> Answer:
        key = (sight.key, draft.earlier, draft.drawn, draft.choice.output, together)
        self._logits.put(key, found.low_res_logits, found.low_res_logits.nbytes)
        return Answer(draft, found, together, "")

    def _prompt(self, sight: _Sight, question: Question) -> Prompt:
        """Complete a prompt by the mask that was seen last, else by a rough one."""
        earlier = question.draft.earlier
        if earlier:
            return replace(question.prompt, mask=self._seen_last(sight, earlier))
        return replace(question.prompt, mask=question.draft.drawn.area(sight.embedding.image_shape))

    def _seen_last(self, sight: _Sight, steps: tuple[Step, ...]) -> NDArray[np.float32]:
        """Get the low-res logits, (h, w), that were chosen at the last of some steps."""
        *before, last = steps
        earlier = tuple(before)
        key = (sight.key, earlier, last.drawn, last.output, last.together)
        logits = self._logits.get(key)
        if isinstance(sight.predictor, LargePlane) and logits is not None:
            logits = logits if sight.predictor.remembers(logits[last.candidate]) else None
        if logits is None:  # forgotten since: go through the steps again
            shape = sight.embedding.image_shape
            mask = self._seen_last(sight, earlier) if earlier else last.drawn.area(shape)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SamHQWarning)  # told when they were drawn
                prompt = last.drawn.to_small_prompt(shape)
            prompts = [replace(prompt, mask=mask)] * (2 if last.together else 1)
            answers = sight.predictor.iter_predict(
                sight.embedding, prompts, multimask=last.drawn.ambiguous, output=last.output
            )
            logits = next(found for _, found in answers).low_res_logits
            self._logits.put(key, logits, logits.nbytes)
        chosen: NDArray[np.float32] = logits[last.candidate]
        return chosen

    def _sight(self, model: str, view: PlaneView, report: Report) -> _Sight:
        predictor, limits = self.load(model, report), view.contrast_limits
        if not Windows(view.shape, predictor.input_size).is_small:
            return self._large_sight(predictor, model, view, report)
        # Read each time, whatever holds the pixels: an edit in place must never go unnoticed.
        pixels, store = view.read(), self._store
        key = (model, limits, digest(pixels), store.folder)
        sight = self._seen.get(key)
        if sight is None:
            report(Progress("prepare"))
            with warnings.catch_warnings(record=True) as caught, _guarding_device():
                warnings.simplefilter("always")
                try:
                    embedding = _look(predictor, pixels, limits, store)
                except OutOfMemoryError:
                    self._make_room()
                    embedding = _look(predictor, pixels, limits, store)
            sight = _Sight(key, predictor, embedding, _our_notes(caught))
            self._seen.put(key, sight, embedding.nbytes)
        return sight

    def _large_sight(
        self, predictor: SupportsPrediction, model: str, view: PlaneView, report: Report
    ) -> _Sight:
        """See a plane through windows, the pixels of which are read for each prompt."""
        store = self._store  # another one may be chosen meanwhile
        key = (model, view.contrast_limits, view.identity, view.plane, store.folder)
        windowed = self._large.get(key)
        if windowed is None:
            windowed = WindowedPredictor(predictor, view.source(), store=store)
            self._large.put(key, windowed, 1)
        plane = LargePlane(windowed, lambda stage: report(Progress(stage)))
        return _Sight(key, plane, Extent(view.shape), ())

    def _make_room(self, kept: _Sight | None = None) -> None:
        """Give up what can be made again: other images, other models."""
        self._seen.clear()
        self._large.clear()
        if kept is not None and not isinstance(kept.predictor, LargePlane):
            self._seen.put(kept.key, kept, kept.embedding.nbytes)
        while len(self._models) > 1:
            self._models.popitem(last=False)


_shared: weakref.ref[Engine] | None = None
_sharing = threading.Lock()


def shared_engine() -> Engine:
    """Get the engine of this process; it goes, with its models, when nobody uses it any more.

    Examples
    --------
    >>> engine = shared_engine()
    >>> shared_engine() is engine
    True
    """
    global _shared  # one model in memory, however many sessions there are
    with _sharing:
        engine = _shared() if _shared is not None else None
        if engine is None:
            engine = Engine()
            _shared = weakref.ref(engine)
        return engine


def _batches(questions: Sequence[Question]) -> Iterator[Sequence[Question]]:
    """Divide questions into batches of a kind; the first question stays in the first batch."""
    kinds: dict[tuple[Hashable, bool], list[Question]] = {}
    for question in questions:
        choice = (question.draft.choice.output, question.draft.choice.threshold)
        kinds.setdefault((choice, question.draft.drawn.ambiguous), []).append(question)
    for asked in kinds.values():
        for start in range(0, len(asked), _LONGEST_BATCH):
            yield asked[start : start + _LONGEST_BATCH]


def _look(
    predictor: SupportsPrediction, pixels: NDArray[Any], limits: Any, store: EmbeddingStore
) -> ImageEmbedding:
    """Look at a whole plane, unless a folder has what was seen of it."""
    if store.folder is None:  # the sights in memory are enough
        return predictor.embed(pixels, contrast_limits=limits)
    rgb8, limits = rgb8_and_limits(pixels, contrast_limits=limits)
    return replace(store.see(predictor, rgb8), contrast_limits=limits)


@contextmanager
def _guarding_device() -> Iterator[None]:
    """Say in words that a device is gone, which torch tells by errors of its own."""
    try:
        yield
    except RuntimeError as error:
        words = str(error).strip()
        if not any(sign in words.lower() for sign in _LOST_DEVICE):
            raise
        raise DeviceLostError(
            f"The device stopped working: {words.splitlines()[0]}. Objects are safe. Choose the "
            "device 'cpu', or save and start napari again."
        ) from error


def _our_notes(caught: list[warnings.WarningMessage]) -> tuple[str, ...]:
    """Keep our warnings as notes for the asker, and let all others through."""
    notes = []
    for one in caught:
        if issubclass(one.category, SamHQWarning):
            notes.append(str(one.message))
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return tuple(notes)
