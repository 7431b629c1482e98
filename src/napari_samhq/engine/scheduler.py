"""Schedule predictions, and drop answers that something newer overtook."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.engine.answers import Shown, wish_of
from napari_samhq.engine.jobs import Job, Progress
from napari_samhq.engine.questions import Request
from napari_samhq.errors import Cancelled, SamHQError, SamHQWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.drafts import Output
    from napari_samhq.engine.engine import Engine
    from napari_samhq.engine.jobs import Report, Runner
    from napari_samhq.engine.plane_view import PlaneView
    from napari_samhq.engine.questions import Question
    from napari_samhq.inference.prediction import Prediction

__all__ = ["Difference", "Scheduler"]

#: The pixels that the HQ token adds to SAM's mask, and those that it takes from it.
Difference: TypeAlias = tuple[CroppedMask, CroppedMask]

_CLICK, _BACKGROUND = 0, 1
_UNHURRIED = frozenset({"prepare", "everything"})


class Scheduler:
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
    take : callable
        Called with a plane and an answer for one object, in the thread of the session.
    changed : callable
        Called after anything changed: new answers, progress, a failure.

    Attributes
    ----------
    failure : Exception or None
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
        take: Callable[[Plane, Shown], None],
        changed: Callable[[], None],
    ) -> None:
        self.engine = engine
        self.failure: Exception | None = None
        self.notes: tuple[str, ...] = ()
        self._runner, self._take, self._changed = runner, take, changed
        self._may_fetch = may_fetch
        self._number = 0
        self._age = 0  # of all that is known: answers from before do not count
        self._waiting: dict[str, int] = {}  # the latest job of each kind that is not done yet
        self._stopped: set[Hashable] = set()  # what the user did not want to wait for
        self._stage = Progress("load")
        self.use_model(model)

    def use_model(self, model: str) -> None:
        """Ask another model from now on. Answers of the one before are dropped."""
        self.model = model
        self.must_fetch = not self._may_fetch and self.engine.source.must_fetch(model)
        self.forget()

    @property
    def stage(self) -> Progress | None:
        """What is being done at present."""
        return self._stage if self._waiting else None

    def forget(self) -> None:
        """Let no answer to what was asked so far count, and begin with a clean slate."""
        self._age += 1
        self._stopped.clear()
        self.notes = ()
        self.drop()

    def drop(self) -> None:
        """Want no more answers to what is being worked out."""
        self._waiting.pop("predict", None)
        self.failure = None

    def fail(self, error: Exception | None) -> None:
        """Say why what was asked for cannot be done; None: what failed before is over."""
        self.failure = error

    def resume(self) -> None:
        """Take up again what the user stopped, the next time that it is asked for."""
        self._stopped.clear()

    def ask(self, plane: Plane, view: PlaneView, questions: Sequence[Question]) -> None:
        """Ask for masks. Earlier questions are off, and so are those that the user stopped."""
        wanted = [one for one in questions if (plane, wish_of(one.draft)) not in self._stopped]
        if not wanted:
            self.drop()
        elif not self.must_fetch:
            self._runner.submit(self._asking(plane, view, wanted))

    def ask_and_wait(
        self,
        plane: Plane,
        view: PlaneView,
        questions: Sequence[Question],
        each: Callable[[int, Prediction], None],
    ) -> None:
        """Ask for masks, and give each answer with its label id as it comes; errors are raised."""
        self._wait(self._asking(plane, view, questions, each))

    def _wait(self, job: Job) -> None:
        try:
            self._runner.wait(job)
        except Exception:
            self._waiting.pop(job.kind, None)
            raise

    def compare(
        self,
        view: PlaneView,
        question: Question,
        take: Callable[[Difference], None],
        *,
        wait: bool = False,
    ) -> None:
        """Find out which pixels the HQ token adds to SAM's mask, and which it takes from it."""
        outputs: tuple[Output, ...] = ("sam", "sam+hq")
        draft = question.draft
        drafts = [replace(draft, choice=replace(draft.choice, output=one)) for one in outputs]
        request = Request(self.model, view, [replace(question, draft=one) for one in drafts])

        def work(report: Report) -> Difference:
            sam, hq = self.engine.answers(request, report)
            before, after = (one.prediction.masks[draft.choice.candidate or 0] for one in (sam, hq))
            rows, cols = hq.prediction.region
            start_rc = (rows.start or 0, cols.start or 0)
            return CroppedMask.of(after & ~before, start_rc), CroppedMask.of(
                before & ~after, start_rc
            )

        self.do("difference", work, take, wait=wait)

    def prepare(self, view: PlaneView, visible: tuple[slice, slice] | None = None) -> None:
        """Look at a plane before it is prompted, and first at what is on the screen."""
        if self.must_fetch:
            return

        def done(notes: tuple[str, ...]) -> None:
            self.notes = notes

        model = self.model
        self.do("prepare", lambda report: self.engine.prepare(model, view, report, visible), done)

    def fetch(self, then: Callable[[], None]) -> None:
        """Download the model, and do something after it."""
        model = self.model

        def done(_: Any) -> None:
            if self.model == model:
                self.must_fetch = False
                then()

        self.do("load", lambda report: self.engine.load(model, report), done)

    def do(
        self,
        kind: str,
        work: Callable[[Report], Any],
        take: Callable[[Any], None],
        *,
        wait: bool = False,
    ) -> None:
        """Have something done, and take its outcome unless a later one of its kind is wanted."""
        rank = _BACKGROUND if kind in _UNHURRIED else _CLICK
        job = self._job(kind, self._begin(kind), work, take, rank)
        (self._wait if wait else self._runner.submit)(job)

    def _asking(
        self,
        plane: Plane,
        view: PlaneView,
        questions: Sequence[Question],
        each: Callable[[int, Prediction], None] | None = None,
    ) -> Job:
        """Make a job that hands its answers over one by one, so that none is lost if it is left."""
        self.failure = None
        number, age = self._begin("predict"), self._age
        request = Request(self.model, view, questions)
        found: list[tuple[Shown, tuple[str, ...], tuple[str, ...]]] = []
        taken = 0

        def work(report: Report) -> None:
            answers = self.engine.answers(request, report)
            # As soon as something else is wanted this ends, and what is here is handed over.
            while self._waiting.get("predict") == number:
                answer = next(answers, None)
                if answer is None:
                    return
                found.append((Shown.of(answer), answer.notes, answer.remarks))
                if each is not None:
                    each(answer.draft.label_id, answer.prediction)

        def collect() -> None:
            nonlocal taken
            new = found[taken:]
            taken += len(new)
            if age == self._age:
                for shown, notes, remarks in new:
                    self.notes = (*notes, *remarks)
                    self._take(plane, shown)
                    if self._runner.inline:  # a script reads no status
                        for remark in remarks:
                            warnings.warn(remark, SamHQWarning, stacklevel=2)

        def stopped() -> None:
            asked = {(plane, wish_of(one.draft)) for one in questions}
            self._stopped |= asked - {(plane, wish_of(shown.draft)) for shown, *_ in found}

        return self._job("predict", number, work, lambda _: None, _CLICK, collect, stopped)

    def _begin(self, kind: str) -> int:
        self._number += 1
        self._waiting[kind] = self._number
        return self._number

    def _job(
        self,
        kind: str,
        number: int,
        work: Callable[[Report], Any],
        take: Callable[[Any], None],
        rank: int,
        collect: Callable[[], None] = lambda: None,
        stopped: Callable[[], None] = lambda: None,
    ) -> Job:
        """Make a job whose outcome counts only while it is the latest of its kind.

        `collect` takes over parts of the outcome, which count for themselves.
        """

        def outdated() -> bool:
            return self._waiting.get(kind) != number

        def done(result: Any) -> None:
            collect()
            if not outdated():
                del self._waiting[kind]
                take(result)
            self._changed()

        def failed(error: Exception) -> None:
            collect()
            if outdated():
                return
            del self._waiting[kind]
            if isinstance(error, Cancelled):
                stopped()
            self.failure = error
            self._changed()
            if not isinstance(error, SamHQError):
                raise error

        def progress(stage: Progress) -> None:
            self._stage = stage
            if not self._runner.inline:  # where nobody waits, there is somebody to show it to
                collect()
                self._changed()

        return Job(kind, work, done, failed, progress, rank)
