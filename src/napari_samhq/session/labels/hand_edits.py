"""Edits of a labels layer by hand, and our own: both stay in step with napari's undo.

napari keeps a history for each labels layer and tells when an item is added to it (`events.paint`),
but not when its user takes one back or does it again. So after anything that may be that, the
history is compared with how it was before.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.journal.events import LabelsEdit
from napari_samhq.core.labels.edits import reverse, same_edits
from napari_samhq.session.labels.napari_history import (
    done_items,
    edits_of_item,
    is_in_stroke,
    key_of,
    next_item,
    undone_keys,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeAlias

    from napari.layers import Labels

    from napari_samhq.session.labels.napari_history import Item

    Edits: TypeAlias = tuple[LabelsEdit, ...]

__all__ = ["HandEdits"]

# napari's undo shows the whole plane anew. Above this size that takes longer than the edit itself.
_QUICK_PX = 1 << 24


class HandEdits:
    """Writes edits into a labels layer, and tells of those that others write.

    Parameters
    ----------
    labels : napari.layers.Labels
        The layer.
    on_paint : callable
        Called with the edits of each stroke, fill, erasure or polygon, and of anything else that
        goes through napari's history, such as `data_setitem` in a script. At this moment they may
        not be in the data yet.
    on_history : callable
        Called with what napari's own undo or redo changed in the layer, as edits.
    on_data : callable
        Called after the layer's data was set. napari's history of earlier data is forgotten then.

    Examples
    --------
    >>> from napari.layers import Labels
    >>> def tell(edits):
    ...     print(edits[0].old, "->", edits[0].new)
    >>> labels = Labels(np.zeros((2, 2), dtype=int))
    >>> hand = HandEdits(labels, tell, tell, lambda: None)
    >>> labels.fill((0, 0), 3)
    [0 0 0 0] -> [3 3 3 3]
    >>> labels.undo()
    [3 3 3 3] -> [0 0 0 0]
    >>> hand.close()
    """

    def __init__(
        self,
        labels: Labels,
        on_paint: Callable[[Edits], None],
        on_history: Callable[[Edits], None],
        on_data: Callable[[], None],
    ) -> None:
        self._labels, self._data = labels, labels.data
        self._on_paint, self._on_history, self._on_data = on_paint, on_history, on_data
        self._writing = False
        self._written: list[LabelsEdit] = []  # in the present step
        self._seen = done_items(labels)
        self._known: dict[int, tuple[Item, Edits]] = {}  # items and their edits, by `key_of`
        events = labels.events
        self._connections: list[tuple[Any, Callable[[Any], None]]] = [
            (events.paint, self._take_paint),
            (events.set_data, self._take_refresh),
            (events.data, self._take_data),
            (events.editable, self._take_editable),
        ]
        for event, callback in self._connections:
            event.connect(callback)

    def close(self) -> None:
        """Leave the layer alone from now on."""
        for event, callback in self._connections:
            event.disconnect(callback)
        self._connections.clear()

    def write(self, edits: Sequence[LabelsEdit]) -> Edits:
        """Write edits as one step of napari's history, or as a part of the present one.

        Returns
        -------
        tuple of LabelsEdit
            What was written. Pixels that have another value than an edit knows stay as they are:
            somebody has changed them since, past napari's history.
        """
        if not self._writing:
            with self.one_step():
                return self.write(edits)
        written = [part for edit in edits if (part := _write(self._labels, edit)) is not None]
        self._written += written
        return tuple(written)

    @contextmanager
    def one_step(self) -> Iterator[None]:
        """Make one step of napari's history of all that is written meanwhile."""
        self.settle()
        self._written = []
        with self._quietly(), self._labels.block_history():
            yield
        if self._written:
            self._keep(self._seen[-1], tuple(self._written))

    @property
    def in_stroke(self) -> bool:
        """Whether a stroke goes on, of which nothing was told yet."""
        return is_in_stroke(self._labels)

    def settle(self) -> None:
        """Tell of all that happened so far; a stroke that goes on becomes two."""
        self.catch_up()
        if self.in_stroke and not self._writing:
            with self._labels.block_history():
                pass  # at its end napari adds what it has of the stroke to the history

    def take_back(self, edits: Sequence[LabelsEdit]) -> Edits:
        """Take edits back, by napari's own undo if that does just this; else see :meth:`write`."""
        self.settle()
        last = self._seen[-1] if self._seen else ()
        return self._through_history(last, edits, reverse(edits), self._labels.undo)

    def do_again(self, edits: Sequence[LabelsEdit]) -> Edits:
        """Do edits again that were taken back, by napari's redo if it does just this."""
        self.settle()
        return self._through_history(
            next_item(self._labels), edits, tuple(edits), self._labels.redo
        )

    def catch_up(self, *, painted: bool = False) -> None:
        """Tell of what was undone and redone in napari since the last look.

        A hidden layer does not show it at once, so this is done before anything is written.
        """
        if self._writing:
            return
        before, self._seen = self._seen, done_items(self._labels)
        keys = {key_of(item): place for place, item in enumerate(self._seen)}
        kept = next((n for n in range(len(before), 0, -1) if key_of(before[n - 1]) in keys), 0)
        added = self._seen[keys[key_of(before[kept - 1])] + 1 :] if kept else self._seen
        news = [(self._on_history, reverse(self._of(item))) for item in reversed(before[kept:])]
        news += [(self._on_history, self._of(item)) for item in added]
        if painted and added:
            news[-1] = (self._on_paint, news[-1][1])
        for tell, edits in news:
            if edits:
                tell(edits)

    def _of(self, item: Item) -> Edits:
        """Get the edits of an item: those that it was written by, if it was written here."""
        if key_of(item) not in self._known:
            self._keep(item, edits_of_item(item, self._data.shape, self._data.dtype))
        return self._known[key_of(item)][1]

    def _keep(self, item: Item, edits: Edits) -> None:
        """Keep the edits of an item, as long as napari keeps the item."""
        alive = {*map(key_of, self._seen), *undone_keys(self._labels)}
        self._known = {key: known for key, known in self._known.items() if key in alive}
        self._known[key_of(item)] = (item, edits)

    def _through_history(
        self, item: Item, edits: Sequence[LabelsEdit], change: Edits, act: Callable[[], None]
    ) -> Edits:
        """Let napari undo or redo its next item, if that is these edits and nothing else."""
        quick = math.prod(sorted(self._data.shape)[-2:]) <= _QUICK_PX
        fits = quick and bool(item) and same_edits(self._of(item), edits)
        if not (fits and all(_is_as_before(self._labels, edit) for edit in change)):
            return self.write(change)
        with self._quietly():
            act()
        return change

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Take what happens to the layer meanwhile for our own doing."""
        self._writing = True
        try:
            yield
        finally:
            self._writing = False
            self._seen = done_items(self._labels)

    def _take_paint(self, _event: Any) -> None:
        self.catch_up(painted=True)

    def _take_refresh(self, _event: Any) -> None:
        self.catch_up()

    def _take_data(self, _event: Any) -> None:
        if self._labels.data is not self._data:
            self._data = self._labels.data
            mode = self._labels.mode
            with self._quietly():  # napari would write old values to places that may be gone
                self._labels.editable = False
                self._labels.editable = True
            self._labels.mode = mode
            self._known.clear()
        self._on_data()

    def _take_editable(self, _event: Any) -> None:
        self._seen = done_items(self._labels)  # a layer that is locked forgets its history


def _write(labels: Labels, edit: LabelsEdit) -> LabelsEdit | None:
    """Write the pixels that are as they were before an edit; return what was written."""
    present = np.asarray(labels.data[edit.plane.index(edit.region)])[edit.changed]
    untouched = present == edit.old
    if not untouched.any():
        return None
    if not untouched.all():
        changed = edit.changed.copy()
        changed[edit.changed] = untouched
        old, new = edit.old[untouched], edit.new[untouched]
        edit = LabelsEdit(edit.plane, edit.region, changed, old, new)
    rows, cols = np.nonzero(edit.changed)
    inside = np.stack([rows + edit.region[0].start, cols + edit.region[1].start], axis=1)
    labels.data_setitem(tuple(edit.plane.lift(inside).astype(np.intp).T), edit.new)
    return edit


def _is_as_before(labels: Labels, edit: LabelsEdit) -> bool:
    present = np.asarray(labels.data[edit.plane.index(edit.region)])[edit.changed]
    return np.array_equal(present, edit.old)
