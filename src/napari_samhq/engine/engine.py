"""Run models for sessions, and keep the models and what they saw of each image.

It knows neither layers nor threads. Several sessions and windows may share an :class:`Engine`;
where they use it from several threads they take turns, answer by answer.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_samhq.batch.results import MemoryResults
from napari_samhq.core.images.rgb8 import rgb8_and_limits
from napari_samhq.core.tiles.windows import Windows
from napari_samhq.core.util.lru import Lru
from napari_samhq.core.util.notes import collected_notes
from napari_samhq.engine.jobs import Progress
from napari_samhq.engine.models import ModelSource
from napari_samhq.engine.planes import WholePlane, WindowedPlane
from napari_samhq.engine.questions import Answer, Question, Request
from napari_samhq.errors import DeviceLostError, OutOfMemoryError
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
    from napari_samhq.engine.planes import SeenPlane
    from napari_samhq.inference.embedding import ImageEmbedding
    from napari_samhq.inference.prediction import Prediction, SupportsPrediction
    from napari_samhq.inference.source import Region

__all__ = ["Engine", "shared_engine"]

_IMAGE_BYTES = 2**30  # some 160 planes of a published model, in float16 half of that
_LOGITS_BYTES = 2**26
_LARGE_PLANES = 8  # seen through windows, and remembered
_KEPT_RUNS = 4  # over everything, to go on with or to choose from again
_KEPT_DIAMETERS = 100  # of objects, by what was looked at
_LONGEST_BATCH = 64
_KEPT_MODELS = 2  # the large ones take gigabytes
_LOST_DEVICE = ("cuda error", "device lost", "mps backend", "hip error")


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
        self._seen: Lru[WholePlane] = Lru(cache_bytes)
        self._store = EmbeddingStore(memory_bytes=cache_bytes)
        self._logits: Lru[NDArray[np.float32]] = Lru(_LOGITS_BYTES)
        self._large: Lru[tuple[WindowedPredictor, tuple[str, ...]]] = Lru(_LARGE_PLANES)
        self._tiles: Lru[MemoryResults] = Lru(_KEPT_RUNS)
        self.diameters: Lru[float] = Lru(_KEPT_DIAMETERS)
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

        Of a large one a window in the middle of what is visible is looked at.

        Returns
        -------
        tuple of str
            What is to be said about the image.
        """
        with self._lock:
            seen = self._see(model, view, report)
            if visible is None:
                return seen.notes
            with _guarding_device(), collected_notes() as notes:
                seen.prepare(visible)
            return (*seen.notes, *notes)

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
            seen = self._see(request.model, request.view, report)
        done = 0
        for batch in _batches(request.questions):
            answers = self._answer(seen, batch)
            while True:
                # How far it is means something only where there are many.
                report(Progress("predict", done, total if total > 1 else 0))
                with self._lock, _guarding_device(), collected_notes() as remarks:
                    answer = next(answers, None)
                if answer is None:
                    break
                done += 1
                yield replace(
                    answer,
                    model=request.model,
                    fingerprint=seen.fingerprint,
                    notes=seen.notes,
                    remarks=tuple(remarks),
                )

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Use a model that was loaded here, while nobody else does."""
        with self._lock, _guarding_device():
            yield

    def _answer(self, seen: SeenPlane, batch: Sequence[Question]) -> Iterator[Answer]:
        prompts = [self._prompt(seen, question) for question in batch]
        choice = batch[0].draft.choice
        options: dict[str, Any] = {
            "multimask": batch[0].draft.drawn.ambiguous,
            "output": choice.output,
            "threshold": choice.threshold,
        }
        left = dict(enumerate(batch))
        together = len(batch) > 1
        try:
            for index, found in seen.iter_predict(prompts, **options):
                yield self._noted(seen, left.pop(index).draft, found, together)
        except OutOfMemoryError:
            # The predictor halved the batch already. Give up all that can be made again, and go on
            # one by one; if that is too much, too, the caller hears of it.
            self._make_room(seen)
        for index, question in left.items():
            ((_, found),) = seen.iter_predict([prompts[index]], **options)
            yield self._noted(seen, question.draft, found, together=False)

    def _noted(self, seen: SeenPlane, draft: Draft, found: Prediction, together: bool) -> Answer:
        key = (seen.key, draft.earlier, draft.drawn, draft.choice.output, together)
        self._logits.put(key, found.low_res_logits, found.low_res_logits.nbytes)
        return Answer(draft, found, together, "")

    def _prompt(self, seen: SeenPlane, question: Question) -> Prompt:
        """Complete a prompt by the mask that was seen last, else by a rough one."""
        earlier = question.draft.earlier
        if earlier:
            return replace(question.prompt, mask=self._seen_last(seen, earlier))
        return replace(question.prompt, mask=question.draft.drawn.area(seen.shape))

    def _seen_last(self, seen: SeenPlane, steps: tuple[Step, ...]) -> NDArray[np.float32]:
        """Get the low-res logits, (h, w), that were chosen at the last of some steps."""
        *before, last = steps
        earlier = tuple(before)
        key = (seen.key, earlier, last.drawn, last.output, last.together)
        logits = self._logits.get(key)
        if logits is not None and not seen.remembers(logits[last.candidate]):
            logits = None
        if logits is None:  # forgotten since: go through the steps again
            mask = self._seen_last(seen, earlier) if earlier else last.drawn.area(seen.shape)
            with collected_notes():  # they were told when the prompts were drawn
                prompt = last.drawn.to_small_prompt(seen.shape)
            prompts = [replace(prompt, mask=mask)] * (2 if last.together else 1)
            answers = seen.iter_predict(prompts, multimask=last.drawn.ambiguous, output=last.output)
            logits = next(found for _, found in answers).low_res_logits
            self._logits.put(key, logits, logits.nbytes)
        chosen: NDArray[np.float32] = logits[last.candidate]
        return chosen

    def _see(self, model: str, view: PlaneView, report: Report) -> SeenPlane:
        predictor, limits = self.load(model, report), view.contrast_limits
        if not Windows(view.shape, predictor.input_size).is_small:
            return self._see_in_windows(predictor, model, view, report)
        # Read each time, whatever holds the pixels: an edit in place must never go unnoticed.
        pixels, store = view.read(), self._store
        key = (model, limits, digest(pixels), store.folder)
        seen = self._seen.get(key)
        if seen is None:
            report(Progress("prepare"))
            with collected_notes() as notes, _guarding_device():
                try:
                    embedding = _look(predictor, pixels, limits, store)
                except OutOfMemoryError:
                    self._make_room()
                    embedding = _look(predictor, pixels, limits, store)
            seen = WholePlane(key, tuple(notes), predictor, embedding)
            self._seen.put(key, seen, seen.nbytes)
        return seen

    def _see_in_windows(
        self, predictor: SupportsPrediction, model: str, view: PlaneView, report: Report
    ) -> SeenPlane:
        """See a plane through windows, the pixels of which are read for each prompt."""
        store = self._store  # another one may be chosen meanwhile
        key = (model, view.contrast_limits, view.identity, view.plane, store.folder)
        known = self._large.get(key)
        if known is None:
            with collected_notes() as notes:
                windowed = WindowedPredictor(predictor, view.source(), store=store)
            known = self._large.put(key, (windowed, tuple(notes)), 1)
        windowed, told = known
        return WindowedPlane(key, told, windowed, lambda stage: report(Progress(stage)))

    def _make_room(self, kept: SeenPlane | None = None) -> None:
        """Give up what can be made again: other images, other models."""
        self._seen.clear()
        self._large.clear()
        if isinstance(kept, WholePlane):
            self._seen.put(kept.key, kept, kept.nbytes)
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
