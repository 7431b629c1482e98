"""Answers of the model cut down to their objects, kept as long as they may be shown again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_samhq.core.journal.drafts import Step
from napari_samhq.core.masks.cropped import CroppedMask

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.drafts import Draft
    from napari_samhq.core.measure.uncertainty import Doubt
    from napari_samhq.engine.questions import Answer

__all__ = ["Answers", "Shown", "wish_of"]

_REMEMBERED = 64  # answers to earlier prompts, for undo


def wish_of(draft: Draft) -> Hashable:
    """Collect all that the model's answer follows from."""
    return draft.earlier, draft.drawn, draft.choice.output, draft.choice.threshold


@dataclass(frozen=True, eq=False)
class Shown:
    """The model's answer for an object, no larger than the object.

    Attributes
    ----------
    draft : Draft
        The object, with the choice that is shown.
    masks : tuple of CroppedMask
        The candidates, best first.
    scores : tuple of float
        The model's own estimate of their quality.
    region : pair of slices
        Rows and columns of the plane that the model answered for.
    together : bool
        Whether it was answered in a batch with others.
    model, fingerprint : str
        Who answered.
    """

    draft: Draft
    masks: tuple[CroppedMask, ...]
    scores: tuple[float, ...]
    region: tuple[slice, slice]
    together: bool
    model: str
    fingerprint: str = ""
    doubts: tuple[Doubt, ...] = ()

    @classmethod
    def of(cls, answer: Answer) -> Shown:
        """Keep of an answer what takes little memory."""
        found = answer.prediction
        rows, cols = found.region
        start_rc = (rows.start or 0, cols.start or 0)
        height, width = found.masks.shape[1:]
        return cls(
            answer.draft,
            tuple(CroppedMask.of(mask, start_rc) for mask in found.masks),
            tuple(float(score) for score in found.scores),
            (
                slice(start_rc[0], start_rc[0] + height),
                slice(start_rc[1], start_rc[1] + width),
            ),
            answer.together,
            answer.model,
            answer.fingerprint,
            found.doubts,
        )

    @property
    def chosen(self) -> int:
        """Which of the masks was chosen; the best, which comes first, if none was."""
        candidate = self.draft.choice.candidate
        return candidate if candidate is not None and candidate < len(self.masks) else 0

    @property
    def mask(self) -> CroppedMask:
        """The chosen mask."""
        return self.masks[self.chosen]

    @property
    def score(self) -> float:
        """The model's own estimate for the chosen mask."""
        return self.scores[self.chosen]

    @property
    def doubt(self) -> Doubt | None:
        """How much to trust the chosen mask, where the model tells."""
        return self.doubts[self.chosen] if self.doubts else None

    @property
    def steps(self) -> tuple[Step, ...]:
        """What the model was asked on the way to the chosen mask, in order."""
        last = Step(self.draft.drawn, self.chosen, self.draft.choice.output, self.together)
        return (*self.draft.earlier, last)


class Answers:
    """The latest answer for each object being made, and recent ones, which undo brings back."""

    def __init__(self) -> None:
        self._latest: dict[tuple[Plane, int], Shown] = {}
        self._recent: OrderedDict[Hashable, Shown] = OrderedDict()

    def put(self, plane: Plane, shown: Shown) -> None:
        """Keep an answer."""
        self._latest[plane, shown.draft.label_id] = shown
        self._recent[plane, wish_of(shown.draft)] = shown
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)

    def latest(self, plane: Plane, label_id: int) -> Shown | None:
        """Get the last answer for an object, be it to its present prompts or to earlier ones."""
        return self._latest.get((plane, label_id))

    def fresh(self, plane: Plane, draft: Draft) -> Shown | None:
        """Get the answer to an object's present prompts, if there is one."""
        wish = wish_of(draft)
        shown = self.latest(plane, draft.label_id)
        if shown is None or wish_of(shown.draft) != wish:
            shown = self._recent.get((plane, wish))
        if shown is None:
            return None
        if shown.draft != draft:
            shown = replace(shown, draft=draft)  # another candidate, or another object's prompts
        self._latest[plane, draft.label_id] = shown
        return shown

    def recalled(self, plane: Plane, draft: Draft) -> Shown | None:
        """Get the answer to what is drawn of an object, be it given up since."""
        return self._recent.get((plane, wish_of(draft)))

    def forget(self, plane: Plane, label_id: int) -> None:
        """Show nothing for an object any more."""
        self._latest.pop((plane, label_id), None)

    def clear(self) -> None:
        """Forget all."""
        self._latest.clear()
        self._recent.clear()
