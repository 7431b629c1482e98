"""State of a session as one frozen value, worked out once after a change.

Dock, notebook card and scripts read it; nobody asks the parts of a session what they show.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from napari_samhq.core.journal.drafts import Choice
from napari_samhq.core.journal.shapes_drawn import Drawn
from napari_samhq.errors import (
    Cancelled,
    DeviceLostError,
    DownloadError,
    LayerError,
    OutOfMemoryError,
    SamHQError,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.drafts import Drafts
    from napari_samhq.core.masks.cropped import CroppedMask
    from napari_samhq.engine.answers import Shown
    from napari_samhq.session.controller import SessionController

__all__ = [
    "Candidate",
    "Current",
    "SessionState",
    "State",
    "Status",
    "Unfinished",
    "candidates_of",
    "current_of",
    "resolve",
    "sentence",
    "status_of",
    "unfinished_of",
]


@dataclass(frozen=True)
class Candidate:
    """One of the model's masks for the object being made.

    Attributes
    ----------
    cropped : CroppedMask
        The mask in its bounding box, which costs no more than the object.
    region : pair of slices
        Rows and columns of the plane that the model answered for.
    score : float
        The model's own estimate of the mask's quality.
    chosen : bool
        Whether it is the one that is shown, and would be committed.
    """

    cropped: CroppedMask
    region: tuple[slice, slice]
    score: float
    chosen: bool

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The mask, (h, w) bool, over `region` of the plane."""
        rows, cols = self.region
        shape = rows.stop - rows.start, cols.stop - cols.start
        return self.cropped.within(shape, (rows.start, cols.start))


@dataclass(frozen=True)
class Unfinished:
    """An object being made in the present plane.

    Attributes
    ----------
    label_id : int
        The label id that it has or will get.
    drawn : Drawn
        Its prompts.
    choice : Choice
        What is taken of the model's answer.
    reopened : bool
        Whether it was committed before.
    active : bool
        Whether the next point belongs to it.
    score : float or None
        The model's own estimate of the chosen mask's quality; None where there is no mask yet.
    """

    label_id: int
    drawn: Drawn
    choice: Choice
    reopened: bool
    active: bool
    score: float | None


@dataclass(frozen=True)
class Current:
    """The active object of the present plane, and what can be done.

    Attributes
    ----------
    label_id : int
        The label id that it has, or that the next new object gets; 0 where nothing can be made.
    reopened : bool
        Whether it was committed before.
    drawn : Drawn
        Its prompts.
    predicted : bool
        Whether there is a mask for these prompts.
    can_undo, can_redo : bool
        Whether there is something to undo or redo.
    choice : Choice
        What is taken of the model's answer.
    waiting : int
        How many other objects of the plane are not finished.
    """

    label_id: int = 0
    reopened: bool = False
    drawn: Drawn = field(default_factory=Drawn)
    predicted: bool = False
    can_undo: bool = False
    can_redo: bool = False
    choice: Choice = field(default_factory=Choice)
    waiting: int = 0


class State(Enum):
    """What a session is doing, or waiting for."""

    NO_IMAGE = "no image"
    MUST_FETCH = "must fetch"
    FETCHING = "fetching"
    LOADING = "loading"
    PREPARING = "preparing"
    READY = "ready"
    PREDICTING = "predicting"
    EVERYTHING = "everything"
    NEEDS_POSITIVE = "needs positive"
    PREVIEW = "preview"
    SEVERAL = "several"
    EDITING = "editing"
    CANNOT = "cannot"
    STOPPED = "stopped"
    OUT_OF_MEMORY = "out of memory"
    DEVICE_LOST = "device lost"
    OFFLINE = "offline"
    FAILED = "failed"
    PAUSED = "paused"
    CLOSED = "closed"


_SENTENCES = {
    State.NO_IMAGE: "No image yet. Open one, or try File > Open Sample > SAM-HQ.",
    State.MUST_FETCH: "The model {model} is not on this computer yet. Fetch it below.",
    State.FETCHING: "Fetching the model {model}. You can go on looking around.",
    State.LOADING: "Loading the model {model}.",
    State.PREPARING: "Looking at the image. You can click already.",
    State.READY: "Ready. Click an object, or draw a box around it.",
    State.PREDICTING: "Finding the outline.",
    State.EVERYTHING: "Looking for all objects. You can go on looking around.",
    State.NEEDS_POSITIVE: "Only background points so far. Add a point on the object, or a box.",
    State.PREVIEW: "Good? Accept it. If not, add a point: + on what is missing, − on too much.",
    State.SEVERAL: "{count} objects wait. Accept all, or go through them one by one.",
    State.EDITING: "Editing object {label_id}. Add points or change the box, then accept.",
    State.STOPPED: "Stopped. Nothing was changed. Add a point or a box to go on.",
    State.PAUSED: "Paused while another image is worked on. Choose this one to go on.",
    State.CLOSED: "This session is over. Choose an image to begin a new one.",
}
_SEVERAL_AND_MORE = " {count} other objects wait."
_ONE_WAITS = "1 object waits. Accept goes to it."
_AND_ONE_MORE = " 1 other object waits."

_OF_STAGE = {
    "fetch": State.FETCHING,
    "load": State.LOADING,
    "prepare": State.PREPARING,
    "predict": State.PREDICTING,
    "everything": State.EVERYTHING,
}
_OF_FAILURE: dict[type[Exception], State] = {
    OutOfMemoryError: State.OUT_OF_MEMORY,
    DeviceLostError: State.DEVICE_LOST,
    DownloadError: State.OFFLINE,
}

BUSY = frozenset(_OF_STAGE.values())


@dataclass(frozen=True)
class Status:
    """A state with its sentence, and the progress where something runs.

    Attributes
    ----------
    state : State
        What the session is doing, or waiting for.
    sentence : str
        The state and the next step, in words.
    done, total : float
        Progress; a total of 0 means that nobody knows how long it takes.
    """

    state: State
    sentence: str
    done: float = 0.0
    total: float = 0.0

    @property
    def busy(self) -> bool:
        """Whether something runs that takes its time."""
        return self.state in BUSY


def sentence(state: State, **words: object) -> str:
    """Say what a state means and what to do next.

    Examples
    --------
    >>> sentence(State.LOADING, model="micro")
    'Loading the model micro.'
    """
    return _SENTENCES[state].format(**words)


@dataclass(frozen=True)
class SessionState:
    """All that is shown of a session, as it was after one change.

    Attributes
    ----------
    status : Status
        What the session is doing or waiting for, and the next step.
    current : Current
        The active object.
    candidates : tuple of Candidate
        The model's masks for it, best first; empty before a prediction.
    unfinished : tuple of Unfinished
        The objects being made in the present plane.
    plane : Plane or None
        The plane on the screen; None where there is none, as in a 3-D display.
    model : str
        Name or path of the model.
    must_fetch : bool
        Whether the model must be downloaded first.
    shows_difference : bool
        Whether the preview shows where the HQ token changes SAM's mask.
    objects : int
        How many objects were made by prompts.
    """

    status: Status
    current: Current
    candidates: tuple[Candidate, ...]
    unfinished: tuple[Unfinished, ...]
    plane: Plane | None
    model: str
    must_fetch: bool
    shows_difference: bool
    objects: int


def resolve(controller: SessionController) -> SessionState:
    """Work out the state of a session from its parts."""
    try:
        plane = None if controller.closed else controller.unfinished.plane()
    except LayerError:  # the status says why
        plane = None
    return SessionState(
        status_of(controller),
        current_of(controller, plane),
        () if plane is None else candidates_of(controller, plane),
        () if plane is None else unfinished_of(controller, plane),
        plane,
        controller.masks.scheduler.model,
        controller.masks.scheduler.must_fetch,
        controller.masks.shows_difference,
        len(controller.history.records),
    )


def status_of(controller: SessionController) -> Status:
    """Tell what a session does or waits for, and the next step."""
    if controller.closed or controller.paused:
        state = State.CLOSED if controller.closed else State.PAUSED
        return Status(state, sentence(state))
    scheduler = controller.masks.scheduler
    try:
        plane = controller.unfinished.plane()
    except LayerError as error:
        return Status(State.CANNOT, str(error))
    stage = scheduler.stage
    if stage is not None:
        state = _OF_STAGE[stage.stage]
        return Status(state, sentence(state, model=scheduler.model), stage.done, stage.total)
    if scheduler.failure is not None:
        return _failed(scheduler.failure)
    drafts = controller.unfinished.drafts(plane)
    if scheduler.must_fetch:
        state, words = State.MUST_FETCH, sentence(State.MUST_FETCH, model=scheduler.model)
    else:
        state, words = _resting(drafts, controller.masks.fresh(plane, drafts.active_draft))
    return Status(
        state, " ".join(filter(None, [words, controller.unfinished.remark, *scheduler.notes]))
    )


def current_of(controller: SessionController, plane: Plane | None) -> Current:
    """Describe the active object of a plane, and what can be done with it."""
    journal = controller.history.journal
    undo, redo = journal.can_undo, journal.can_redo
    if plane is None:
        return Current(can_undo=undo, can_redo=redo)
    drafts = controller.unfinished.drafts(plane)
    draft = controller.unfinished.active(plane)
    return Current(
        draft.label_id,
        draft.reopened,
        draft.drawn,
        controller.masks.fresh(plane, drafts.active_draft) is not None,
        undo,
        redo,
        draft.choice,
        len(drafts.drafts) - (drafts.active_draft is not None),
    )


def candidates_of(controller: SessionController, plane: Plane) -> tuple[Candidate, ...]:
    """List the model's masks for the active object of a plane, best first."""
    shown = controller.masks.fresh(plane, controller.unfinished.drafts(plane).active_draft)
    if shown is None:
        return ()
    return tuple(
        Candidate(mask, shown.region, score, index == shown.chosen)
        for index, (mask, score) in enumerate(zip(shown.masks, shown.scores, strict=True))
    )


def unfinished_of(controller: SessionController, plane: Plane) -> tuple[Unfinished, ...]:
    """List the objects being made in a plane, in the order in which they were begun."""
    drafts = controller.unfinished.drafts(plane)
    answers = [(draft, controller.masks.fresh(plane, draft)) for draft in drafts]
    return tuple(
        Unfinished(
            draft.label_id,
            draft.drawn,
            draft.choice,
            draft.reopened,
            draft.label_id == drafts.active,
            None if shown is None else shown.score,
        )
        for draft, shown in answers
    )


def _failed(error: Exception) -> Status:
    if isinstance(error, Cancelled):
        return Status(State.STOPPED, sentence(State.STOPPED))
    if not isinstance(error, SamHQError):
        words = f"Something unexpected went wrong: {error}. See the notification for details."
        return Status(State.FAILED, words)
    states = (state for kind, state in _OF_FAILURE.items() if isinstance(error, kind))
    return Status(next(states, State.FAILED), str(error))


def _resting(drafts: Drafts, shown: Shown | None) -> tuple[State, str]:
    """Tell the state while nothing runs, and its sentence; `shown` answers the active object."""
    draft = drafts.active_draft
    others = len(drafts.drafts) - (draft is not None)
    if draft is None:
        state = State.SEVERAL if others else State.READY
        return state, _ONE_WAITS if others == 1 else sentence(state, count=others)
    if draft.drawn and not draft.drawn.says_where:
        return State.NEEDS_POSITIVE, sentence(State.NEEDS_POSITIVE)
    if draft.reopened:
        state = State.EDITING
    elif shown is None:
        state = State.READY
    elif others:
        return State.SEVERAL, sentence(State.SEVERAL, count=others + 1)
    else:
        state = State.PREVIEW
    words = sentence(state, label_id=draft.label_id)
    more = _AND_ONE_MORE if others == 1 else _SEVERAL_AND_MORE.format(count=others)
    return state, words + (more if others else "")
