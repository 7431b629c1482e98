"""Learning from corrections, behind the dock: a thread of its own, which clicks never wait for."""

from __future__ import annotations

import re
import threading
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]

from napari_samhq.checkpoints.heads import SUFFIX, heads_folder
from napari_samhq.errors import FileError, LayerError, SamHQError
from napari_samhq.session.layers.transforms import placement
from napari_samhq.session.training_examples import Lessons, lessons_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari.layers import Labels

    from napari_samhq.session import Session
    from napari_samhq.ui.controller import Controller
    from napari_samhq.ui.learning_panel import LearningPanel

__all__ = ["Comparison", "Learning"]

_COLORS = {"before": (0.90, 0.62, 0.0, 1.0), "after": (0.0, 0.45, 0.9, 1.0)}


@dataclass(frozen=True, eq=False)
class Comparison:
    """What the old and the new model make of a held-out object's plane: labels by "before" and
    "after", over a region of the plane of a lesson.
    """

    lesson: int
    labels: dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Task:
    """What the thread works on."""

    lessons: Lessons
    model: str
    device: str
    precision: str
    settings: dict[str, Any]
    out: Path


class Learning(QObject):
    """Has a model learn from the objects of a session.

    Parameters
    ----------
    controller : Controller
        What the dock works on.
    panel : LearningPanel
        What the user sees of it.
    list_models : callable
        Called when there is a new model to choose.
    """

    _told = Signal(object)

    def __init__(self, controller: Controller, panel: LearningPanel, list_models: Any) -> None:
        super().__init__()
        self._controller, self._panel, self._list_models = controller, panel, list_models
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._closed = False
        self._session: Session | None = None
        self._lessons: Lessons | None = None
        self._layers: list[Labels] = []
        self.made: Any = None
        self.comparisons: list[Comparison] = []
        self._curve: list[tuple[int, float, float]] = []
        self._found = 0.0
        self._told.connect(self._hear, Qt.ConnectionType.QueuedConnection)
        panel.wanted.connect(self.begin)
        panel.cancel_wanted.connect(self.cancel)
        panel.use_wanted.connect(self.use)
        panel.compare_wanted.connect(self.compare)
        panel.finish_wanted.connect(self.finish)
        panel.unfinish_wanted.connect(self.unfinish)
        controller.changed.connect(self.show_finished)

    @property
    def busy(self) -> bool:
        """Whether it learns."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self, name: str, settings: dict[str, Any]) -> None:
        """Begin to learn, in the background."""
        session, controller = self._controller.session, self._controller
        if self.busy:
            return
        self.compare(False)
        try:
            out = _path_for(name)
            if session is None:
                raise FileError("There is no image. Open one, and make some objects.")
            self._lessons = lessons_of(session)
        except SamHQError as error:
            self._panel.show_idle(str(error))
            return
        source = controller.workshop.engine.source
        computing = (source.device, source.precision)
        task = _Task(self._lessons, controller.model, *computing, settings, out)
        self._session, self.made, self.comparisons, self._curve = session, None, [], []
        self._panel.curve.show_values([])
        self._panel.show_progress(None, "Getting ready to learn.")
        self._stop.clear()
        # A daemon, so that what never ends cannot keep Python from ending.
        self._thread = threading.Thread(
            target=self._work, args=(task,), name="samhq-learning", daemon=True
        )
        self._thread.start()

    def finish(self) -> None:
        """Call what is on the screen finished."""
        self._mark(lambda session: session.finish("visible"))

    def unfinish(self) -> None:
        """Forget what of the plane was called finished."""
        self._mark(lambda session: session.unfinish())

    def _mark(self, change: Callable[[Session], None]) -> None:
        session = self._controller.session
        try:
            if session is None:
                raise FileError("There is no image. Open one, and make some objects.")
            change(session)
        except SamHQError as error:
            self._panel.show_finished(0, str(error))

    def show_finished(self) -> None:
        """Show how many areas of the present plane are finished."""
        session = self._controller.session
        try:
            areas = () if session is None else session.finished_here
        except LayerError:  # no plane is shown, and the status says why
            areas = ()
        self._panel.show_finished(len(areas))

    def cancel(self) -> None:
        """Stop learning, at the next step."""
        self._stop.set()
        if self.busy:
            self._panel.show_progress(None, "Stopping.")

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop learning and wait for it; nobody is told any more. May be called again."""
        self._stop.set()
        self._closed = True
        if self._thread is not None:
            self._thread.join(timeout_s)

    def use(self) -> None:
        """Go on with the new model."""
        if self.made is not None:
            self._list_models()
            self._controller.use_model(self.made.path.stem)

    def compare(self, wanted: bool) -> None:
        """Show or hide outlines of the held-out objects, before and after."""
        viewer = self._controller.viewer
        for layer in self._layers:
            if layer in viewer.layers:
                viewer.layers.remove(layer)
        self._layers = []
        session = self._session
        if wanted and session is not None and self._lessons is not None:
            for when in ("before", "after"):
                layer = self._outlines(session, self._lessons, when)
                self._layers.append(layer)
                viewer.add_layer(layer)

    def _outlines(self, session: Session, lessons: Lessons, when: str) -> Labels:
        from napari.layers import Labels
        from napari.utils.colormaps import DirectLabelColormap

        shape = session.labels.data.shape
        data = np.zeros(shape, np.uint16)
        for one in self.comparisons:
            lesson = lessons.lessons[one.lesson]
            data[lesson.plane.index(lesson.region)] = one.labels[when]
        colors: Any = {None: _COLORS[when], 0: (0.0, 0.0, 0.0, 0.0)}
        layer = Labels(
            data,
            name=f"{when} learning",
            opacity=1.0,
            colormap=DirectLabelColormap(color_dict=colors),
            **placement(session.image),
        )
        layer.contour = 2
        layer.editable = False
        return layer

    # -------------------------------------------------------------------------------- in the thread

    def _work(self, task: _Task) -> None:
        try:
            result = self._learn(task)
        except Exception as error:  # noqa: BLE001  # handed over and told there
            result = error
        self._tell(result)

    def _learn(self, task: _Task) -> Any:
        from napari_samhq.checkpoints import load_model
        from napari_samhq.training.finetune.api import iter_finetune
        from napari_samhq.training.finetune.events import FineTuned

        images = [lesson.read() for lesson in task.lessons.lessons]
        labels = [lesson.labels for lesson in task.lessons.lessons]
        complete = [lesson.complete for lesson in task.lessons.lessons]
        base = load_model(task.model, task.device, task.precision)
        task.out.parent.mkdir(parents=True, exist_ok=True)
        events = iter_finetune(
            images, labels, base, out=task.out, precision=task.precision,
            complete=complete, keep_state=False, **task.settings,
        )  # fmt: skip
        done = None
        with closing(events):  # type: ignore[type-var]  # it is a generator
            for event in events:
                if self._stop.is_set():
                    return None
                if isinstance(event, FineTuned):
                    done = event
                else:
                    self._tell(event)
        assert done is not None
        return done, _compared(done, base, (images, labels, complete), self._stop)

    def _tell(self, what: Any) -> None:
        try:
            self._told.emit(what)
        except RuntimeError:  # the window is gone, and with it who wanted to know
            return

    # ------------------------------------------------------------------------- in the dock's thread

    def _hear(self, what: Any) -> None:
        from napari_samhq.training.finetune.events import Checked, CheckedFinding, Learned, Looked

        panel = self._panel
        if self._closed:
            return
        if isinstance(what, tuple):
            self.made, self.comparisons = what
            self._list_models()
            words = f"Done: {self.made.path.stem}. " + "; ".join(_changes(self.made)) + "."
            panel.show_idle(words, made=True, comparable=bool(self.comparisons))
        elif isinstance(what, SamHQError):
            panel.show_idle(str(what))
        elif isinstance(what, Exception):
            panel.show_idle(f"Learning failed: {type(what).__name__}: {what}. Nothing was written.")
        elif what is None:
            panel.show_idle("Stopped. Nothing was written.")
        elif self._stop.is_set():
            return
        elif isinstance(what, Looked):
            words = f"The model looks at the images: {what.done} of {what.total}."
            panel.show_progress(None, words)
        elif isinstance(what, Checked):
            check = what.check
            self._curve.append((check.step, check.iou, check.boundary_iou))
            panel.curve.show_values(self._curve)
        elif isinstance(what, CheckedFinding):
            self._found = what.best.ap
        elif isinstance(what, Learned) and what.finding:
            words = f"Learning to find all: step {what.step}. AP on held-out objects "
            panel.show_progress(what.share, f"{words}{self._found:.3f}.")
        elif isinstance(what, Learned):
            best = max((area for _, area, _ in self._curve), default=0.0)
            panel.show_progress(
                what.share, f"Learning: step {what.step}. IoU on held-out objects {best:.3f}."
            )


def _path_for(name: str) -> Path:
    """Check a name for a new model, and tell its file."""
    from napari_samhq.checkpoints import list_models

    if not re.fullmatch(r"[\w][\w .-]{0,60}", name):
        raise FileError(
            "Give the new model a name of letters, digits and - first, such as my-cells."
            if not name
            else f"{name!r} cannot be the name of a file. Take letters, digits, - and _."
        )
    path = heads_folder() / f"{name}{SUFFIX}"
    if name in {model.name for model in list_models()} or path.exists():
        raise FileError(f"There is a model {name!r} already. Take another name.")
    return path


def _changes(done: Any) -> list[str]:
    words = {
        "box": "IoU by box",
        "click": "by click",
        "box boundary": "border by box",
        "everything": "everything (AP)",
    }
    return [
        f"{text} {done.before[name]:.2f} → {done.after[name]:.2f}"
        for name, text in words.items()
        if name in done.after
    ]


def _compared(
    done: Any, base: Any, lessons: tuple[list[Any], list[Any], list[Any]], stop: threading.Event
) -> list[Comparison]:
    """Segment the held-out objects with both models; empty if it was stopped."""
    from napari_samhq.checkpoints import load_model
    from napari_samhq.training.finetune.examples import checked_examples
    from napari_samhq.training.finetune.measuring import answered

    settings = done.record["settings"]
    images, labels, complete = lessons
    examples, items = checked_examples(images, labels, settings["smallest_px"], complete=complete)
    chosen = {tuple(pair) for pair in done.record["held_out_objects"]}
    held_out = [item for item in items if (item.example, item.label) in chosen]
    kind = "click" if settings["prompts"] == "clicks" else "box"
    found: dict[int, dict[str, Any]] = {}
    tuned = load_model(done.path, str(base.device))
    for when, model in (("before", base), ("after", tuned)):
        for item, mask in answered(model, examples, held_out, kind):
            if stop.is_set():
                return []
            place = found.setdefault(item.example, {})
            if when not in place:
                place[when] = np.zeros(mask.shape, np.uint16)
            place[when][mask] = 1 + held_out.index(item)
    return [Comparison(example, both) for example, both in found.items()]
