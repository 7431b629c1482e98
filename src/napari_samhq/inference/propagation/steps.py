"""One object, from one plane to the next: prior, fresh evidence, and what is made of both.

Nothing is believed more than it deserves: model and grey values are first tried on the plane
where the object was outlined, where the right answer is known, and count as much as they were
right there. What they may change in a step is bounded; the prior has the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_samhq.core.masks.cropped import CroppedMask, bounds_of
from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.inference.propagation.appearance import Appearance
from napari_samhq.inference.propagation.motion import local_shift
from napari_samhq.inference.propagation.shapes import (
    between,
    iou,
    moved,
    signed_distance,
    tapering,
    window_around,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_samhq.inference.prediction import Prediction
    from napari_samhq.inference.propagation.courses import Course
    from napari_samhq.inference.propagation.volume import Picture

__all__ = ["Followed", "Guess", "Kept", "question"]

_APPEARANCE = 0.6  # most that grey values move a border, as a share of the object's depth
_MODEL = 0.5  # largest share of the model's outline in the fused one
_MOST_CHANGE = 0.5  # of a border in one step, as a share of the object's depth
_PLAUSIBLE = 0.3  # IoU with the prior, below which the model means something else
_CARRIED = 0.5  # largest share of the carried outline beside the interpolated one
_REACH = 0.5  # how far an object moves between two planes, as a share of its depth
_MOST_REACH_PX = 24
_MARGIN = 0.05  # of the box that the model is asked by
_PIECE = 0.1  # share of an object's area that a piece of its own must have
_OPENED_FROM_PX = 4.0  # depth of objects whose outlines are rid of threads
_FAINT = 0.5  # of the contrast left: a second plane of it ends the object
_GONE = 0.4  # the first plane of it does
_TELLING = 0.3  # contrast, below which it says nothing of where an object ends
_MOST_EMPTY = 2  # planes in succession that an object is carried over, if nobody knows its end
_TINY = 0.05  # share of the outlined area, below which an object has ended


@dataclass(frozen=True, eq=False)
class Guess:
    """A field over a part of a plane, above 0 where the object is thought to be.

    Attributes
    ----------
    window : pair of slices
        Rows and columns of the plane.
    distance : ndarray of shape (h, w), float32
        Signed distance to the border, in the height of a pixel.
    """

    window: tuple[slice, slice]
    distance: NDArray[np.float32]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Pixels of the object in the window."""
        inside: NDArray[np.bool_] = self.distance > 0
        return inside


@dataclass(frozen=True)
class Kept:
    """An outline that was found.

    Attributes
    ----------
    mask : CroppedMask
    doubt : float
        0 (none) to 1.
    reason : str
        What the doubt comes from.
    """

    mask: CroppedMask
    doubt: float
    reason: str


@dataclass(eq=False)
class Followed:
    """An object on its way, in the plane that it came to last.

    Attributes
    ----------
    course : Course
    seed, target : CroppedMask
        Its outlines in the given planes that it comes from and goes to.
    sampling : tuple of two floats
        Height and width of a pixel, the height being 1.
    mask : CroppedMask
        Its outline now.
    place : float
        See :meth:`Course.place`.
    ended : bool
        Whether it goes no farther.
    """

    course: Course
    seed: CroppedMask
    target: CroppedMask | None
    sampling: tuple[float, float]
    mask: CroppedMask = field(init=False)
    place: float = 0.0
    ended: bool = False
    trust_in_grey: float = 0.0
    trust_in_model: float = 0.0
    _appearance: Appearance | None = None
    _first_appearance: Appearance | None = None
    _faint: int = 0
    _empty: int = 0
    _model_answer: Guess | None = None

    def __post_init__(self) -> None:
        self.mask = self.seed
        around = window_around(self.seed, 1, (2**31, 2**31))
        inside = self.seed.within(_shape(around), _start(around))
        self.depth = float(signed_distance(inside, self.sampling).max())
        self.is_hollow = bool((ndimage.binary_fill_holes(inside) & ~inside).any())

    @property
    def pad(self) -> int:
        """Pixels around the outline that a step looks at."""
        return int(np.ceil(self.depth * (1 + _MOST_CHANGE))) + self.reach + 3

    @property
    def reach(self) -> int:
        """How far it may move in a step, in pixels."""
        return int(np.clip(round(self.depth * _REACH), 2, _MOST_REACH_PX))

    def begin(self, picture: Picture, answer: Prediction | None) -> None:
        """Try grey values and model on the plane where the right outline is known."""
        guess = self.outline_in(picture.grey.shape)
        grey = picture.grey[guess.window]
        self._appearance = Appearance.of(grey, guess.distance, self.depth)
        self._first_appearance = self._appearance
        if self._appearance is not None:
            self.trust_in_grey = self._appearance.reliability(
                grey, guess.distance, self.depth * _MOST_CHANGE + 1
            )
        if answer is not None:
            agreement = iou(_answered(answer, guess.window), guess.mask)
            self.trust_in_model = max(0.0, 2 * agreement - 1)

    def prior(self, plane: int, before: Picture, after: Picture) -> Guess:
        """Carry the outline to another plane: moved with the image, tapered or interpolated."""
        guess = self.outline_in(after.grey.shape)
        window, distance = guess.window, guess.distance
        box = bounds_of(guess.mask)
        quarter = max(2, int(0.15 * max(part.stop - part.start for part in box)))
        box = (
            slice(max(0, box[0].start - quarter), min(distance.shape[0], box[0].stop + quarter)),
            slice(max(0, box[1].start - quarter), min(distance.shape[1], box[1].stop + quarter)),
        )
        step = local_shift(before.grey[window], after.grey[window], box, self.reach)
        distance = moved(distance, step)
        place = self.course.place(plane)
        if self.target is not None:
            # What was carried counts less the nearer the target is.
            share = _CARRIED * (1 - (place - self.place) / (1 - self.place))
            there = between(self.seed, self.target, place, window, self.sampling)
            distance = share * distance + (1 - share) * there
        elif self.course.tapers:
            come_in = tapering(place) - tapering(self.place)
            tapered = distance - np.float32(self.depth * come_in)
            distance = tapered if (tapered > 0).any() else distance
        return Guess(window, distance)

    def fused(self, prior: Guess, after: Picture, answer: Prediction | None) -> Guess:
        """Let fresh evidence move the border of the prior."""
        grey = after.grey[prior.window]
        distance = prior.distance
        width = min(self.depth, float(distance.max()) + 1)  # what has become thin moves little
        self._model_answer = None
        if answer is not None:
            mask = _answered(answer, prior.window)
            if iou(mask, prior.mask) > _PLAUSIBLE:
                seen = signed_distance(mask, self.sampling)
                self._model_answer = Guess(prior.window, seen)
                share = _MODEL * self.trust_in_model**2
                distance = (1 - share) * distance + share * seen
        if self._appearance is not None and self.trust_in_grey:
            push = _APPEARANCE * self.trust_in_grey**2 * width
            distance = distance + np.float32(push) * self._appearance.likelihood(grey)
        most = np.float32(_MOST_CHANGE * width)
        distance = np.clip(distance, prior.distance - most, prior.distance + most)
        return Guess(prior.window, self._tidied(distance, prior))

    def keep(
        self, plane: int, prior: Guess, mask: NDArray[np.bool_], after: Picture
    ) -> Kept | None:
        """Take what is left of the object after all have got their pixels, or end it."""
        self._empty = 0
        kept = CroppedMask.of(mask, _start(prior.window))
        self.place, smaller_than = self.course.place(plane), _TINY * self.seed.area
        if not kept or (not self.course.is_known and kept.area < smaller_than):
            self.ended = True
            return None
        distance = signed_distance(mask, self.sampling)
        appearance = Appearance.of(after.grey[prior.window], distance, self.depth)
        left = self._left(appearance, prior)
        if not self.course.is_known and self._is_over(left):
            self.ended = True
            return None
        doubts = {
            "faint": 1 - float(np.clip(left, 0, 1)),
            "area changed": min(1.0, abs(float(np.log2(kept.area / max(1, self.mask.area))))),
        }
        if self._model_answer is not None:
            disagreement = 1 - iou(self._model_answer.mask, mask)
            doubts["model disagrees"] = disagreement * self.trust_in_model
        if _pieces(mask) > _pieces(self.outline_in(after.grey.shape).mask):
            doubts["branches"] = 0.5
        self.mask = kept
        if appearance is not None and left > _FAINT:
            self._appearance = appearance
        reason = max(doubts, key=lambda name: doubts[name])
        return Kept(kept, doubts[reason], reason)

    def carry(self, plane: int, shape: tuple[int, int]) -> Kept | None:
        """Take the outline over a plane in which there is nothing to see."""
        self._empty += 1
        if self._empty > _MOST_EMPTY and not self.course.is_known:
            self.ended = True
            return None
        self.place = self.course.place(plane)
        if self.target is not None:
            window = self.outline_in(shape).window
            there = between(self.seed, self.target, self.place, window, self.sampling)
            self.mask = CroppedMask.of(there > 0, _start(window)) or self.mask
        return Kept(self.mask, 1.0, "empty plane")

    def _left(self, appearance: Appearance | None, prior: Guess) -> float:
        """How much of the evidence is left that there was where the object was outlined."""
        first = self._first_appearance
        if first is not None and appearance is not None and abs(first.contrast) > _TELLING:
            return appearance.remaining(first)
        if self.trust_in_model:
            return 0.0 if self._model_answer is None else iou(self._model_answer.mask, prior.mask)
        return 1.0

    def _is_over(self, left: float) -> bool:
        self._faint = self._faint + 1 if left < _FAINT else 0
        return left < _GONE or self._faint > 1

    def outline_in(self, shape: tuple[int, ...]) -> Guess:
        """Unpack its outline, and what lies around it in a plane of this shape."""
        known = [self.mask] if self.target is None else [self.mask, self.target]
        window = window_around(CroppedMask.union(known), self.pad, (shape[0], shape[1]))
        inside = self.mask.within(_shape(window), _start(window))
        return Guess(window, signed_distance(inside, self.sampling))

    def _tidied(self, distance: NDArray[np.float32], prior: Guess) -> NDArray[np.float32]:
        """Leave out specks and threads, and close holes where the object had none."""
        mask = distance > 0
        if self.depth > _OPENED_FROM_PX:
            opened = ndimage.binary_opening(mask)
            mask = opened if opened.any() else mask
        pieces, count = ndimage.label(mask)
        if count > 1:
            numbers = np.arange(1, count + 1)
            areas = ndimage.sum_labels(mask, pieces, numbers)
            shared = ndimage.sum_labels(prior.mask, pieces, numbers)
            stay = (shared > 0) & (areas >= _PIECE * areas.sum())
            stay |= numbers == 1 + int(np.argmax(shared))
            mask = np.isin(pieces, numbers[stay])
        if not self.is_hollow:
            mask = ndimage.binary_fill_holes(mask)
        low, high = np.float32(-0.5), np.float32(0.5)
        return np.where(mask, np.maximum(distance, high), np.minimum(distance, low))


def question(guess: Guess, shape: tuple[int, int]) -> Prompt | None:
    """Ask the model for an object by its box, a little larger, and a point deep inside."""
    mask = guess.mask
    if not mask.any():
        return None
    rows, cols = bounds_of(mask)
    corner = np.array(_start(guess.window), dtype=float)
    low = np.array([rows.start, cols.start]) + corner
    high = np.array([rows.stop - 1, cols.stop - 1]) + corner
    margin = _MARGIN * (high - low) + 0.5
    limit = np.array(shape) - 0.5
    box = np.concatenate([np.maximum(low - margin, -0.5), np.minimum(high + margin, limit)])
    deepest = np.unravel_index(int(np.argmax(guess.distance)), mask.shape)
    return Prompt(points=[np.array(deepest) + corner], box=box)


def _answered(answer: Prediction, window: tuple[slice, slice]) -> NDArray[np.bool_]:
    """Cut the model's mask to a window."""
    mask = CroppedMask.of(answer.mask, _start(answer.region))
    return mask.within(_shape(window), _start(window))


def _pieces(mask: NDArray[np.bool_]) -> int:
    return int(ndimage.label(mask)[1])


def _start(window: tuple[slice, slice]) -> tuple[int, int]:
    return window[0].start, window[1].start


def _shape(window: tuple[slice, slice]) -> tuple[int, int]:
    return window[0].stop - window[0].start, window[1].stop - window[1].start
