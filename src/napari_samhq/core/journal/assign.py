"""Assign drawn marks to drafts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_samhq.core.journal.shapes_drawn import Drawn, DrawnPoint, DrawnShape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_samhq.core.journal.drafts import Draft, Drafts, Step

__all__ = ["Mark", "shared_out"]


@dataclass(frozen=True)
class Mark:
    """A point or a shape that somebody drew, and the object that it belongs to.

    Attributes
    ----------
    drawn : DrawnPoint or DrawnShape
        What was drawn.
    label_id : int
        Its object; 0 for a new one that belongs to none yet.
    """

    drawn: DrawnPoint | DrawnShape
    label_id: int = 0

    @property
    def closed(self) -> bool:
        """Whether it encloses an area."""
        return isinstance(self.drawn, DrawnShape) and self.drawn.closed


def shared_out(
    before: Drafts,
    marks: Iterable[Mark],
    begin: Callable[[Drafts], Draft],
    seen: Callable[[Draft], tuple[Step, ...]] = lambda draft: (),
) -> Drafts:
    """Give each mark to an object, and begin objects for those that belong to none.

    New points and lines belong to the active object. So does a new closed shape, unless that object
    has one already: an object has one outline, so the next outline is another object.

    Parameters
    ----------
    before : Drafts
        The objects being made.
    marks : iterable of Mark
        All that is drawn in their plane now, older marks first.
    begin : callable
        Makes an empty draft with a label id that none of those it is given has.
    seen : callable, optional
        Tells how the mask that is seen of a draft came about, where that is to be refined.

    Returns
    -------
    Drafts
        With the prompts of each object replaced. Objects that lost their last prompt are gone,
        unless they were committed before. The object that was drawn or changed last is active.

    Examples
    --------
    >>> from napari_samhq.core.journal.drafts import Draft, Drafts
    >>> box = DrawnShape("rectangle", ((0, 0), (0, 9), (9, 9), (9, 0)))
    >>> marks = [Mark(DrawnPoint(4, 4)), Mark(box), Mark(box), Mark(DrawnPoint(5, 5))]
    >>> drafts = shared_out(Drafts(), marks, lambda drafts: Draft(len(drafts.drafts) + 1))
    >>> [(draft.label_id, str(draft.drawn)) for draft in drafts]
    [(1, '1 point +, 1 box'), (2, '1 point +, 1 box')]
    """
    now = before
    owned: dict[int, list[Mark]] = {draft.label_id: [] for draft in before}
    for mark in marks:
        owner = mark.label_id
        if owner not in owned:
            active = now.active_draft
            if active is None or (mark.closed and _has_outline(active, owned[active.label_id])):
                active = begin(now)
                now = now.put(active)
                owned[active.label_id] = []
            owner = active.label_id
        owned[owner].append(mark)
    last = now.active
    for draft in now:
        drawn = _collected(draft.drawn, owned[draft.label_id])
        if drawn == draft.drawn:
            continue
        if drawn or draft.reopened:
            now = now.put(draft.redrawn(drawn, seen=seen(draft)))
            last = draft.label_id
        else:
            now = now.without(draft.label_id)
    return now.activate(last)


def _has_outline(draft: Draft, marks: list[Mark]) -> bool:
    return bool(draft.drawn.mask) or any(mark.closed for mark in marks)


def _collected(before: Drawn, marks: list[Mark]) -> Drawn:
    points = tuple(mark.drawn for mark in marks if isinstance(mark.drawn, DrawnPoint))
    shapes = tuple(mark.drawn for mark in marks if isinstance(mark.drawn, DrawnShape))
    return replace(before, points=points, shapes=shapes).with_one_area()
