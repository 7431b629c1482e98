"""Box that shows and sets the class of an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QLineEdit, QSizePolicy, QWidget

from napari_samhq.ui.parts import explain, flat

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ClassBox"]

_HELP = "What kind of object it is, such as nucleus. Type a name, or choose one; empty for none."


class ClassBox(QWidget):
    """The class of the chosen object: a name is typed, or one of those that others have chosen.

    What is typed counts when Enter is pressed or the box is left.
    """

    named = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.box = QComboBox()
        self.box.setEditable(True)
        self.box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.box.setMinimumContentsLength(6)
        explain(self.box, "Class", _HELP)
        self.line = QLineEdit()
        self.box.setLineEdit(self.line)
        self.label = QLabel("Class")
        self.label.setBuddy(self.box)
        row = flat(QHBoxLayout(self))
        row.addWidget(self.label)
        row.addWidget(self.box)
        self._shown: str | None = None
        self.box.activated.connect(self._tell)
        self.line.editingFinished.connect(self._tell)
        self.show_class(None, ())

    def show_class(self, category: str | None, known: Iterable[str]) -> None:
        """Show the class of an object, None for no object; `known` are those of all.

        Of the same object what is being typed stays.
        """
        names = sorted({name for name in known if name})
        typing = self.line.isModified() and category is not None and category == self._shown
        typed = self.line.text() if typing else (category or "")
        self._shown = category
        if [self.box.itemText(i) for i in range(self.box.count())] != names:
            self.box.clear()
            self.box.addItems(names)
        self.box.setEditText(typed)
        self.line.setModified(typing)
        self.line.setPlaceholderText("none" if category is not None else "choose an object")
        self.setEnabled(category is not None)

    def _tell(self, *_: Any) -> None:
        name = " ".join(self.line.text().split())
        if self._shown is not None and name != self._shown:
            self._shown = name
            self.named.emit(name)
