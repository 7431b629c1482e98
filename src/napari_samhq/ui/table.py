"""The table of objects: sortable, and fast with thousands of rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLabel,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_samhq.ui.class_box import ClassBox
from napari_samhq.ui.icons import swatch
from napari_samhq.ui.parts import WrapRow, action_button, explain, flat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qtpy.QtGui import QKeyEvent

__all__ = ["ObjectRow", "ObjectsModel", "ObjectsPanel"]

_Role = Qt.ItemDataRole
_ID, _SCORE, _AREA, _AREA_IN_UNITS, _PLANE, _CLASS = range(6)
_HEIGHT_ROWS = 8


@dataclass(frozen=True)
class ObjectRow:
    """One object in the table.

    Attributes
    ----------
    label_id : int
        Its value in the labels.
    score : float
        The model's own estimate; NaN for one painted by hand.
    area_px : int
        How many pixels it has.
    plane : tuple of ints
        Where it lies along the axes that are not displayed.
    about : str
        What made it, for the help.
    category : str
        Its class; empty for none.
    """

    label_id: int
    score: float
    area_px: int
    plane: tuple[int, ...] = ()
    about: str = ""
    category: str = ""


class ObjectsModel(QAbstractTableModel):
    """Rows for a view; sorts by itself, and keeps what is selected while it does.

    Parameters
    ----------
    color_of : callable
        Tells the colour (red, green, blue from 0 to 1) of a label id, or None.

    Examples
    --------
    >>> model = ObjectsModel(lambda label_id: None)
    >>> model.show([ObjectRow(1, 0.9, 40), ObjectRow(2, math.nan, 30), ObjectRow(3, 0.5, 70)])
    >>> model.sort(1)
    >>> model.ids
    [3, 1, 2]
    """

    def __init__(self, color_of: Callable[[int], Any]) -> None:
        super().__init__()
        self.color_of = color_of
        self._rows: list[ObjectRow] = []
        self._places: dict[int, int] = {}
        self._order = (_ID, Qt.SortOrder.AscendingOrder)
        self._pixel_area, self._unit = 1.0, ""

    @property
    def ids(self) -> list[int]:
        """Label ids from top to bottom."""
        return [row.label_id for row in self._rows]

    @property
    def categories(self) -> dict[int, str]:
        """Classes of the objects, by label id; empty where there is none."""
        return {row.label_id: row.category for row in self._rows}

    def place(self, label_id: int) -> int | None:
        """Tell the row of an object."""
        return self._places.get(label_id)

    def show(self, rows: Sequence[ObjectRow], pixel_area: float = 1.0, unit: str = "") -> None:
        """Show these objects; a pixel has `pixel_area` of the unit, which is empty for none."""
        self.beginResetModel()
        self._rows = list(rows)
        self._pixel_area, self._unit = pixel_area, unit
        self._arrange()
        self.endResetModel()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort; objects without a score come last either way."""
        self._order = (column, order)
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        ids = [self._rows[index.row()].label_id for index in before]
        self._arrange()
        after = [
            self.index(self._places[i], old.column()) for i, old in zip(ids, before, strict=True)
        ]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Count the objects."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, _parent: QModelIndex | None = None) -> int:
        """Count what is told of each."""
        return 6

    def data(self, index: QModelIndex, role: int = _Role.DisplayRole) -> Any:
        """Tell what a cell shows."""
        row = self._rows[index.row()]
        if role == _Role.DisplayRole:
            return self._text(row, index.column())
        if role == _Role.DecorationRole and index.column() == _ID:
            return swatch(self.color_of(row.label_id))
        if role == _Role.ToolTipRole:
            return row.about
        if role == _Role.TextAlignmentRole and index.column() not in (_ID, _CLASS):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = _Role.DisplayRole
    ) -> Any:
        """Tell what a column is."""
        if orientation == Qt.Orientation.Vertical:
            return None
        if role == _Role.DisplayRole:
            names = ("Object", "Score", "Area px", f"Area {self._unit}²", "Plane", "Class")
            return names[section]
        if role == _Role.ToolTipRole:
            return (
                "Its value in the labels layer.",
                "The model's own guess of how well the mask fits, from 0 to 1.",
                "How many pixels it has.",
                f"Its area in {self._unit}².",
                "Where it lies in the stack.",
                "What kind of object it is.",
            )[section]
        return None

    def _arrange(self) -> None:
        column, order = self._order
        backwards = order == Qt.SortOrder.DescendingOrder
        self._rows.sort(key=lambda row: _key(row, column), reverse=backwards)
        if column == _SCORE:
            self._rows.sort(key=lambda row: math.isnan(row.score))
        self._places = {row.label_id: place for place, row in enumerate(self._rows)}

    def _text(self, row: ObjectRow, column: int) -> str:
        if column == _SCORE:
            return "by hand" if math.isnan(row.score) else f"{row.score:.2f}"
        if column == _AREA_IN_UNITS:
            return f"{row.area_px * self._pixel_area:.4g}"
        if column == _PLANE:
            return ", ".join(map(str, row.plane))
        if column == _CLASS:
            return row.category
        return str(row.label_id if column == _ID else row.area_px)


def _key(row: ObjectRow, column: int) -> tuple[Any, ...]:
    if column == _SCORE:
        return (0.0 if math.isnan(row.score) else row.score, row.label_id)
    if column in (_AREA, _AREA_IN_UNITS):
        return (row.area_px, row.label_id)
    if column == _CLASS:  # what has a class comes first
        return (not row.category, row.category, row.label_id)
    return (*row.plane, row.label_id) if column == _PLANE else (row.label_id,)


class _Table(QTableView):
    """A table whose Enter and Delete keys do something."""

    entered_row = Signal()
    delete_pressed = Signal()

    def __init__(self, model: QAbstractTableModel) -> None:
        super().__init__()
        self.setModel(model)
        # Qt says that each of these may be missing; in a table with a model none is.
        self.picked: Any = self.selectionModel()
        self.rows: Any = self.verticalHeader()
        self.heading: Any = self.horizontalHeader()
        self.scrolled: Any = self.verticalScrollBar()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.entered_row.emit()
        elif event is not None and event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.delete_pressed.emit()
        else:
            super().keyPressEvent(event)


class ObjectsPanel(QWidget):
    """All objects: click to go there, Enter to edit, Delete to take one out; their classes."""

    visited = Signal(int)
    reopen_wanted = Signal(int)
    delete_wanted = Signal(int)
    class_wanted = Signal(int, str)

    def __init__(self, color_of: Callable[[int], Any]) -> None:
        super().__init__()
        self.model = ObjectsModel(color_of)
        self.table = _Table(self.model)
        self.hint = QLabel("Objects that you accept, or paint by hand, are listed here.")
        self.hint.setWordWrap(True)
        self.worst = action_button(
            "Worst first", "Sort by score, and go to the object that the model trusts least."
        )
        self.edit = action_button("Edit", "Bring its points and boxes back, to change them.")
        self.delete = action_button("Delete", "Take the object out of the labels. Undo works.")
        self.category = ClassBox()
        self._set_up_table()
        column = flat(QVBoxLayout(self))
        column.addWidget(self.hint)
        column.addWidget(self.table)
        column.addWidget(WrapRow([self.worst, self.edit, self.delete]))
        column.addWidget(self.category)
        self.worst.clicked.connect(self.go_to_worst)
        for source in (self.edit.clicked, self.table.entered_row, self.table.doubleClicked):
            source.connect(lambda *_: self._ask(self.reopen_wanted))
        for source in (self.delete.clicked, self.table.delete_pressed):
            source.connect(lambda *_: self._ask(self.delete_wanted))
        self.category.named.connect(self._name)
        self.show_rows([])

    @property
    def chosen(self) -> int | None:
        """Label id of the row that is selected."""
        selected = self.table.picked.selectedRows()
        return self.model.ids[selected[0].row()] if selected else None

    def show_rows(self, rows: Sequence[ObjectRow], pixel_area: float = 1.0, unit: str = "") -> None:
        """Show these objects; what was selected and the place in the list stay."""
        chosen, scrolled = self.chosen, self.table.scrolled.value()
        self.model.show(rows, pixel_area, unit)
        self.table.setColumnHidden(_AREA_IN_UNITS, not unit)
        self.table.setColumnHidden(_PLANE, not any(row.plane for row in rows))
        self.table.setColumnHidden(_CLASS, not any(row.category for row in rows))
        self.hint.setVisible(not rows)
        self.table.setVisible(bool(rows))
        self.worst.setEnabled(bool(rows))
        self.category.setVisible(bool(rows))
        if chosen is not None:
            self.choose(chosen)
        self.table.scrolled.setValue(scrolled)
        self._allow()

    def choose(self, label_id: int) -> None:
        """Select an object without going there."""
        place = self.model.place(label_id)
        selection = self.table.picked
        blocked = selection.blockSignals(True)
        if place is None:
            self.table.clearSelection()
        else:
            self.table.selectRow(place)
        selection.blockSignals(blocked)
        self._allow()

    def step(self, by: int) -> None:
        """Go to the next or the previous object of the list, around its ends."""
        count = self.model.rowCount()
        if count:
            place = None if self.chosen is None else self.model.place(self.chosen)
            start = (-1 if by > 0 else 0) if place is None else place
            self.table.selectRow((start + by) % count)

    def go_to_worst(self) -> None:
        """Sort by score and go to the first one."""
        self.table.clearSelection()
        self.table.sortByColumn(_SCORE, Qt.SortOrder.AscendingOrder)
        self.step(1)

    def _set_up_table(self) -> None:
        table = self.table
        explain(table, "Objects", "Click: go there. Enter: edit. Delete: take it out.")
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setTabKeyNavigation(False)  # Tab goes on to the next control
        table.setShowGrid(False)
        table.rows.setVisible(False)
        # Measuring each row of thousands takes seconds; they are all as high as one line.
        table.rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        table.rows.setDefaultSectionSize(self.fontMetrics().lineSpacing() + 6)
        table.heading.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        table.heading.setMinimumSectionSize(30)
        table.setSortingEnabled(True)
        table.sortByColumn(_ID, Qt.SortOrder.AscendingOrder)
        rows = table.rows.defaultSectionSize() * _HEIGHT_ROWS
        table.setFixedHeight(rows + table.heading.sizeHint().height())
        table.picked.selectionChanged.connect(self._selected)

    def _selected(self, *_: Any) -> None:
        self._allow()
        if self.chosen is not None:
            self.visited.emit(self.chosen)

    def _ask(self, signal: Any) -> None:
        if self.chosen is not None:
            signal.emit(self.chosen)

    def _name(self, category: str) -> None:
        if self.chosen is not None:
            self.class_wanted.emit(self.chosen, category)

    def _allow(self) -> None:
        for button in (self.edit, self.delete):
            button.setEnabled(self.chosen is not None)
        known = self.model.categories
        self.category.show_class(known.get(self.chosen or 0), known.values())
