"""The state of a session in one word, and in one sentence that says what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from napari_samhq.errors import LayerError

if TYPE_CHECKING:
    from napari_samhq.session.making import Making
    from napari_samhq.session.plane import Plane

__all__ = ["State", "Status", "sentence", "status_of"]


class State(Enum):
    """What a session is doing, or waiting for."""

    NO_IMAGE = "no image"
    MUST_FETCH = "must fetch"
    FETCHING = "fetching"
    LOADING = "loading"
    PREPARING = "preparing"
    READY = "ready"
    PREDICTING = "predicting"
    NEEDS_POSITIVE = "needs positive"
    PREVIEW = "preview"
    EDITING = "editing"
    CANNOT = "cannot"
    FAILED = "failed"
    CLOSED = "closed"


_SENTENCES = {
    State.NO_IMAGE: "No image yet. Open one, or try File > Open Sample > SAM-HQ.",
    State.MUST_FETCH: "The model {model} is not on this computer yet. Fetch it below.",
    State.FETCHING: "Fetching the model {model}. You can go on looking around.",
    State.LOADING: "Loading the model {model}.",
    State.PREPARING: "Looking at the image. You can click already.",
    State.READY: "Ready. Click an object, or draw a box around it.",
    State.PREDICTING: "Finding the outline.",
    State.NEEDS_POSITIVE: "Only background points so far. Add a point on the object, or a box.",
    State.PREVIEW: "Good? Accept it. If not, add a point: + on what is missing, − on too much.",
    State.EDITING: "Editing object {label_id}. Add points or change the box, then accept.",
    State.CLOSED: "This session is over. Choose an image to begin a new one.",
}

_OF_STAGE = {
    "fetch": State.FETCHING,
    "load": State.LOADING,
    "prepare": State.PREPARING,
    "predict": State.PREDICTING,
}

BUSY = frozenset({State.FETCHING, State.LOADING, State.PREPARING, State.PREDICTING})


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


def status_of(making: Making) -> Status:
    """Tell the state of the objects being made, and the next step."""
    asker = making.asker
    try:
        plane = making.plane()
    except LayerError as error:
        return Status(State.CANNOT, str(error))
    stage = asker.stage
    if stage is not None:
        state = _OF_STAGE[stage.stage]
        return Status(state, sentence(state, model=asker.model), stage.done, stage.total)
    if asker.failure is not None:
        return Status(State.FAILED, asker.failure)
    state = _resting_state(making, plane)
    words = sentence(state, model=asker.model, label_id=making.draft(plane).label_id)
    return Status(state, " ".join(filter(None, [words, making.remark, *asker.notes])))


def _resting_state(making: Making, plane: Plane) -> State:
    draft = making.draft(plane)
    if making.asker.must_fetch:
        return State.MUST_FETCH
    if draft.drawn and not draft.drawn.says_where:
        return State.NEEDS_POSITIVE
    if draft.label_id is not None:
        return State.EDITING
    return State.PREVIEW if making.fresh(plane) is not None else State.READY
