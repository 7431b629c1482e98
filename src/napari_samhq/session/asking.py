"""Between a session and its runner: asks, keeps the answers that still count, drops the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_samhq.errors import Cancelled, SamHQError
from napari_samhq.session.engine import Request
from napari_samhq.session.runner import Job, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from napari_samhq.inference.prediction import Prediction
    from napari_samhq.session.engine import Answer, Engine
    from napari_samhq.session.plane import Plane
    from napari_samhq.session.prompting import Drawn
    from napari_samhq.session.runner import Report, Runner
    from napari_samhq.session.views import PlaneView

__all__ = ["Asker", "Shown"]

_CLICK, _BACKGROUND = 0, 1


@dataclass(frozen=True, eq=False)
class Shown:
    """The model's answer to what was drawn in a plane, and the candidate that was chosen."""

    drawn: Drawn
    model: str
    prediction: Prediction
    chosen: int

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The chosen mask."""
        mask: NDArray[np.bool_] = self.prediction.masks[self.chosen]
        return mask

    @property
    def score(self) -> float:
        """The model's own estimate for the chosen mask."""
        return float(self.prediction.scores[self.chosen])


class Asker:
    """Asks an engine through a runner, so that nothing here waits unless it is told to.

    Parameters
    ----------
    engine : Engine
        What does the work.
    runner : Runner
        Where the work is done.
    model : str
        Name or path of the model.
    may_fetch : bool
        Whether the model may be downloaded without asking.
    changed : callable
        Called after anything changed: a new answer, progress, a failure.

    Attributes
    ----------
    failure : str or None
        Why the last thing that was asked did not work.
    notes : tuple of str
        What the model has to say about the image, such as pixels that are not finite.
    """

    def __init__(
        self,
        engine: Engine,
        runner: Runner,
        model: str,
        *,
        may_fetch: bool,
        changed: Callable[[], None],
    ) -> None:
        self.failure: str | None = None
        self.notes: tuple[str, ...] = ()
        self._engine, self._runner = engine, runner
        self._may_fetch = may_fetch
        self._changed = changed
        self._shown: dict[Plane, Shown] = {}
        self._number = 0
        self._waiting: dict[str, int] = {}  # kind of job -> number of the latest one
        self._stage = Progress("load")
        self.use_model(model)

    def use_model(self, model: str) -> None:
        """Ask another model from now on. Answers of the one before are dropped."""
        self.model = model
        self.must_fetch = not self._may_fetch and self._engine.source.must_fetch(model)
        self.forget()

    @property
    def stage(self) -> Progress | None:
        """What is being done at present."""
        return self._stage if self._waiting else None

    def shown(self, plane: Plane) -> Shown | None:
        """Get the answer for a plane."""
        return self._shown.get(plane)

    def choose(self, plane: Plane, index: int) -> None:
        """Take another candidate of the answer for a plane."""
        self._shown[plane] = replace(self._shown[plane], chosen=index)

    def forget(self, plane: Plane | None = None) -> None:
        """Drop the answer for a plane, or for all, and whatever is still being worked out."""
        for one in list(self._shown) if plane is None else [plane]:
            self._shown.pop(one, None)
        self.drop()

    def drop(self) -> None:
        """Want no answer to what is being worked out any more."""
        self._waiting.pop("predict", None)
        self.failure = None

    def ask(self, plane: Plane, view: PlaneView, drawn: Drawn) -> None:
        """Ask for masks; `changed` is called once there are some. Earlier questions are off."""
        if not self.must_fetch:
            self._runner.submit(self._question(plane, view, drawn))

    def ask_and_wait(self, plane: Plane, view: PlaneView, drawn: Drawn) -> Shown:
        """Ask for masks and return the answer; errors are raised."""
        job = self._question(plane, view, drawn)
        try:
            self._runner.wait(job)
        except Exception:
            self._waiting.pop("predict", None)
            raise
        return self._shown[plane]

    def prepare(self, view: PlaneView) -> None:
        """Look at a plane before it is prompted."""
        if self.must_fetch:
            return

        def work(report: Report) -> tuple[str, ...]:
            return self._engine.prepare(model, view, report)

        def done(notes: tuple[str, ...]) -> None:
            self.notes = notes

        model = self.model
        self._runner.submit(self._job("prepare", work, done, rank=_BACKGROUND))

    def fetch(self, then: Callable[[], None]) -> None:
        """Download the model, and do something after it."""
        model = self.model

        def work(report: Report) -> None:
            self._engine.load(model, report)

        def done(_: None) -> None:
            if self.model == model:
                self.must_fetch = False
                then()

        self._runner.submit(self._job("load", work, done))

    def _question(self, plane: Plane, view: PlaneView, drawn: Drawn) -> Job:
        self.failure = None
        prompt = drawn.to_prompt(view.shape)
        request = Request(
            self._number + 1, (plane, drawn), self.model, view, prompt, multimask=drawn.ambiguous
        )

        def work(report: Report) -> Answer:
            return self._engine.predict(request, report)

        return self._job("predict", work, self._take)

    def _take(self, answer: Answer) -> None:
        plane, drawn = answer.request.token
        prediction = answer.prediction
        self._shown[plane] = Shown(drawn, answer.request.model, prediction, prediction.best)
        self.notes = answer.notes

    def _job(
        self,
        kind: str,
        work: Callable[[Report], Any],
        take: Callable[[Any], None],
        *,
        rank: int = _CLICK,
    ) -> Job:
        """Make a job whose outcome counts only while it is the latest of its kind."""
        self._number += 1
        number = self._waiting[kind] = self._number

        def outdated() -> bool:
            return self._waiting.get(kind) != number

        def done(result: Any) -> None:
            if not outdated():
                del self._waiting[kind]
                take(result)
                self._changed()

        def failed(error: Exception) -> None:
            if outdated():
                return
            del self._waiting[kind]
            self.failure = _words(error)
            self._changed()
            if not isinstance(error, SamHQError):
                raise error

        def progress(stage: Progress) -> None:
            self._stage = stage
            self._changed()

        return Job(kind, work, done, failed, progress, rank)


def _words(error: Exception) -> str:
    if isinstance(error, Cancelled):
        return "Stopped. Nothing was changed."
    if isinstance(error, SamHQError):
        return str(error)
    return f"Something unexpected went wrong: {error}. See the notification for details."
