"""Go through the planes of a volume, all objects together, forward and then backward."""

from __future__ import annotations

import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.errors import SamHQWarning
from napari_samhq.inference.propagation.courses import courses_for
from napari_samhq.inference.propagation.shapes import iou, signed_distance, window_around
from napari_samhq.inference.propagation.sharing import shared
from napari_samhq.inference.propagation.steps import Followed, Guess, Kept, question
from napari_samhq.inference.store import EmbeddingStore
from napari_samhq.inference.windowed import WindowedPredictor

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_samhq.inference.prediction import Prediction, SupportsPrediction
    from napari_samhq.inference.propagation.courses import Course
    from napari_samhq.inference.propagation.volume import Picture, Volume

__all__ = ["Doubtful", "Job", "Step", "iter_propagate"]

_COLLISION = 0.05  # share of an object that others got, from which on it is told


@dataclass(frozen=True)
class Doubtful:
    """How far to trust the outline of an object in a plane.

    Attributes
    ----------
    label_id, plane : int
    doubt : float
        0 (none) to 1.
    reason : str
        What most of it comes from.
    """

    label_id: int
    plane: int
    doubt: float
    reason: str


@dataclass(frozen=True, eq=False)
class Step:
    """A plane was looked at.

    Attributes
    ----------
    plane : int
    labels : ndarray of shape (h, w), int32, or None
        All objects of the plane, given ones too; None if it will be looked at again from the other
        side.
    doubts : tuple of Doubtful
        Of the outlines that were computed in it.
    done, total : int
        Looks at planes. There may be fewer in the end, where objects end.
    """

    plane: int
    labels: NDArray[np.int32] | None = field(repr=False)
    doubts: tuple[Doubtful, ...]
    done: int
    total: int


@dataclass(frozen=True, eq=False)
class Job:
    """What is to be followed, where.

    Attributes
    ----------
    volume : Volume
    given : mapping of mappings
        Of planes, the outlines by label id.
    courses : sequence of Course
    sampling : tuple of two floats
        Height and width of a pixel, the height being 1.
    """

    volume: Volume
    given: Mapping[int, Mapping[int, CroppedMask]]
    courses: Sequence[Course]
    sampling: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def of(
        cls,
        volume: Volume,
        given: Mapping[int, Mapping[int, CroppedMask]],
        planes: Any = None,
        direction: str = "both",
        sampling: tuple[float, float] = (1.0, 1.0),
        others: Mapping[int, Mapping[int, CroppedMask]] | None = None,
    ) -> Job:
        """Plan it, see :func:`napari_samhq.propagate`; `others` stay, and are not followed."""
        courses = courses_for(given, len(volume), planes, direction)
        # Ids are names: which one an object has changes nothing for the others.
        courses.sort(key=lambda one: _place(given[one.start][one.label_id], one))
        kept = {plane: dict(outlines) for plane, outlines in given.items()}
        for plane, outlines in (others or {}).items():
            kept.setdefault(plane, {}).update(outlines)
        return cls(volume, kept, courses, sampling)


def iter_propagate(
    job: Job, predictor: SupportsPrediction, store: EmbeddingStore | None = None
) -> Generator[Step, None, None]:
    """Follow objects, plane by plane. Stop taking steps to stop.

    Parameters
    ----------
    job : Job
    predictor : SupportsPrediction
    store : EmbeddingStore, optional
        Where to find and keep what the model sees; one in memory, of a limited size, if left out.

    Yields
    ------
    Step
    """
    store = EmbeddingStore() if store is None else store
    job.volume.measure(job.given)
    passes = [[one for one in job.courses if one.step == step] for step in (1, -1)]
    planes = [_planes_of(courses) for courses in passes]
    total = sum(len(visited) for visited, _ in planes)
    found: dict[int, dict[int, list[Kept]]] = defaultdict(lambda: defaultdict(list))
    done = 0
    for number, courses in enumerate(passes):
        visited, computed = planes[number]
        later = planes[1][1] if number == 0 else set()
        walk = _Pass(job, predictor, store, courses)
        for plane in visited:
            for label_id, kept in walk.visit(plane):
                found[plane][label_id].append(kept)
            done += 1
            labels: NDArray[np.int32] | None = None
            doubts: tuple[Doubtful, ...] = ()
            if plane in computed and plane not in later:
                labels, doubts = _settled(job, plane, found.pop(plane, {}))
            yield Step(plane, labels, doubts, done, total)


class _Pass:
    """One way through the planes, forward or backward; two pictures are in memory."""

    def __init__(
        self,
        job: Job,
        predictor: SupportsPrediction,
        store: EmbeddingStore,
        courses: Sequence[Course],
    ) -> None:
        self._job, self._predictor, self._store = job, predictor, store
        self._starting: dict[int, list[Course]] = defaultdict(list)
        for course in courses:
            self._starting[course.start].append(course)
        self._active: list[Followed] = []
        self._before: Picture | None = None

    def visit(self, plane: int) -> list[tuple[int, Kept]]:
        """Follow all objects that are on their way into a plane, and begin with those in it."""
        self._active = [one for one in self._active if not one.ended and one.course.covers(plane)]
        starting = self._starting.pop(plane, [])
        if not self._active and not starting:
            self._before = None
            return []
        picture = self._job.volume.picture(plane)
        result = self._follow(plane, picture)
        self._begin(plane, picture, starting)
        if not picture.is_blank:
            self._before = picture
        return result

    def _follow(self, plane: int, picture: Picture) -> list[tuple[int, Kept]]:
        job, active = self._job, self._active
        if picture.is_blank:
            carried = [(one.course.label_id, one.carry(plane, job.volume.shape)) for one in active]
            return [(label_id, kept) for label_id, kept in carried if kept is not None]
        priors = [one.prior(plane, self._before or picture, picture) for one in active]
        answers = self._ask(plane, priors)
        guesses = [
            one.fused(prior, picture, answer)
            for one, prior, answer in zip(active, priors, answers, strict=True)
        ]
        taken = job.given.get(plane, {}).values()
        result = []
        for one, prior, (mask, _) in zip(
            active, priors, shared(guesses, job.volume.shape, taken), strict=True
        ):
            kept = one.keep(plane, prior, mask, picture)
            if kept is not None:
                result.append((one.course.label_id, kept))
        return result

    def _begin(self, plane: int, picture: Picture, starting: Sequence[Course]) -> None:
        given = self._job.given
        begun = [
            Followed(
                course,
                given[plane][course.label_id],
                None if course.target is None else given[course.target][course.label_id],
                self._job.sampling,
            )
            for course in starting
        ]
        if not picture.is_blank:
            answers = self._ask(plane, [one.outline_in(picture.grey.shape) for one in begun])
            for one, answer in zip(begun, answers, strict=True):
                one.begin(picture, answer)
        self._active += begun

    def _ask(self, plane: int, guesses: Sequence[Guess]) -> list[Prediction | None]:
        """Ask the model for all objects of a plane at once."""
        shape = self._job.volume.shape
        asked = {
            index: prompt
            for index, guess in enumerate(guesses)
            if (prompt := question(guess, shape)) is not None
        }
        answers: list[Prediction | None] = [None] * len(guesses)
        if not asked:
            return answers
        windowed = WindowedPredictor(
            self._predictor, self._job.volume.source(plane), store=self._store
        )
        places = list(asked)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SamHQWarning)  # doubt says it, plane by plane
            for place, answer in windowed.iter_predict(list(asked.values())):
                answers[places[place]] = answer
        return answers


def _settled(
    job: Job, plane: int, found: Mapping[int, Sequence[Kept]]
) -> tuple[NDArray[np.int32], tuple[Doubtful, ...]]:
    """Put what both sides say together, and give each pixel to one object."""
    shape, given = job.volume.shape, job.given.get(plane, {})
    ordered = list(dict.fromkeys(one.label_id for one in job.courses if one.label_id in found))
    merged = [_merged(job, plane, label_id, found[label_id]) for label_id in ordered]
    labels = np.zeros(shape, dtype=np.int32)
    for label_id, outline in given.items():
        labels[outline.region][outline.array()] = label_id
    doubts = []
    guesses = [guess for guess, _, _ in merged]
    for label_id, (guess, doubt, reason), (mask, lost) in zip(
        ordered, merged, shared(guesses, shape, given.values()), strict=True
    ):
        labels[guess.window][mask] = label_id
        if lost > max(_COLLISION, doubt):
            doubt, reason = lost, "collision"
        doubts.append(Doubtful(label_id, plane, round(doubt, 4), reason))
    return labels, tuple(sorted(doubts, key=lambda one: one.label_id))


def _merged(job: Job, plane: int, label_id: int, found: Sequence[Kept]) -> tuple[Guess, float, str]:
    """Meet by distance where an object was followed from two sides."""
    window = window_around(CroppedMask.union(one.mask for one in found), 1, job.volume.shape)
    masks = [
        one.mask.within(
            (window[0].stop - window[0].start, window[1].stop - window[1].start),
            (window[0].start, window[1].start),
        )
        for one in found
    ]
    distances = [signed_distance(mask, job.sampling) for mask in masks]
    worst = max(found, key=lambda one: one.doubt)
    if len(found) == 1:
        return Guess(window, distances[0]), worst.doubt, worst.reason
    forward = next(
        one
        for one in job.courses
        if one.label_id == label_id and one.step > 0 and one.covers(plane)
    )
    share = forward.place(plane)
    distance = (1 - share) * distances[0] + share * distances[1]
    if not (distance > 0).any():  # far apart: the nearer side is right
        distance = distances[round(share)]
    disagreement = 1 - iou(*masks)
    doubt, reason = max((disagreement, "sides disagree"), (worst.doubt, worst.reason))
    return Guess(window, distance.astype(np.float32)), doubt, reason


def _planes_of(courses: Sequence[Course]) -> tuple[list[int], set[int]]:
    """Planes that are visited, in their order, and those of them that are computed."""
    computed: set[int] = set()
    for one in courses:
        computed.update(range(one.start + one.step, one.stop + one.step, one.step))
    visited = computed | {one.start for one in courses}
    backward = bool(courses) and courses[0].step < 0
    return sorted(visited, reverse=backward), computed


def _place(outline: CroppedMask, course: Course) -> tuple[int | bytes, ...]:
    return (course.start, outline.top, outline.left, outline.packed, course.stop)
