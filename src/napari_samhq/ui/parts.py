"""Small building blocks of the dock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QGridLayout,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QPaintEvent, QResizeEvent

__all__ = [
    "COLON",
    "Combo",
    "Section",
    "WrapRow",
    "action_button",
    "choice",
    "explain",
    "flat",
    "narrow",
]

#: Parts the name from what is said about it: two blanks, which no name of an image has by chance.
COLON = ":  "


class Combo(QComboBox):
    """A combo box that shows what stands before a colon; the open list shows all of it."""

    def __init__(self, name: str, help_: str = "") -> None:
        super().__init__()
        explain(self, name, help_)
        narrow(self)

    def wheelEvent(self, event: Any) -> None:
        """Leave the wheel to the scroll area: nobody means to change a choice by scrolling."""
        event.ignore()

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        """Draw what stands before the colon."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        text = option.currentText if self.currentIndex() >= 0 else self.placeholderText()
        option.currentText = (text or "").split(COLON)[0]
        painter = QStylePainter(self)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)


class Section(QWidget):
    """A headline that opens and closes what stands below it."""

    toggled = Signal(bool)

    def __init__(self, title: str, content: QWidget, help_: str) -> None:
        super().__init__()
        self.header, self.content = QToolButton(), content
        self.header.setCheckable(True)
        self.header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.header.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.header.setStyleSheet("QToolButton { text-align: left; font-weight: bold; }")
        self.set_title(title)
        self.header.setToolTip(help_)
        column = flat(QVBoxLayout(self))
        column.addWidget(self.header)
        column.addWidget(content)
        self.header.toggled.connect(self._toggle)
        self._toggle(False)

    @property
    def open(self) -> bool:
        """Whether the content is seen."""
        return self.header.isChecked()

    def set_open(self, is_open: bool) -> None:
        """Open or close it."""
        self.header.setChecked(is_open)

    def set_title(self, title: str) -> None:
        """Change the headline."""
        self.header.setText(title)
        self.header.setAccessibleName(title)

    def _toggle(self, is_open: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow
        self.header.setArrowType(arrow)
        self.content.setVisible(is_open)
        self.toggled.emit(is_open)


class WrapRow(QWidget):
    """Buttons in one row; in two rows where the texts would not fit, as with large fonts."""

    def __init__(self, buttons: Sequence[QWidget]) -> None:
        super().__init__()
        self._buttons = list(buttons)
        self._columns = 0
        self._grid = flat(QGridLayout(self))
        # Narrower than one row needs: the layout must not forbid what we are about to answer.
        self.setMinimumWidth(1)
        self._arrange(len(self._buttons))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Take as many columns as fit."""
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent | None) -> None:
        """Answer to another font."""
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def _fit(self) -> None:
        count = len(self._buttons)
        needed = sum(button.sizeHint().width() for button in self._buttons)
        needed += (count - 1) * self._grid.horizontalSpacing()
        self._arrange(count if needed <= self.width() else (count + 1) // 2)

    def _arrange(self, columns: int) -> None:
        if columns == self._columns:
            return
        self._columns = columns
        for index, button in enumerate(self._buttons):
            self._grid.addWidget(button, index // columns, index % columns)
        for column in range(len(self._buttons)):
            self._grid.setColumnStretch(column, int(column < columns))
        self.updateGeometry()


def choice(text: str, help_: str) -> QPushButton:
    """Make a button that stays pressed."""
    button = QPushButton(text)
    button.setCheckable(True)
    explain(button, "", help_)
    return button


def action_button(text: str, help_: str) -> QPushButton:
    """Make a button that does something."""
    button = QPushButton(text)
    explain(button, "", help_)
    return button


def explain(widget: QWidget, name: str, help_: str) -> None:
    """Give a widget its help, for eyes and for screen readers; `name` where it bears no text."""
    widget.setToolTip(help_)
    widget.setAccessibleDescription(help_)
    if name:
        widget.setAccessibleName(name)


def write_keys(button: QAbstractButton, text: str, keys: str) -> None:
    """Write a text on a button, and its keys beside it."""
    button.setText(f"{text}  {keys}".strip())


def narrow(combo: QComboBox) -> None:
    """Cut long names in the box, which are whole in the list: the dock keeps its width."""
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(6)
    combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    combo.setFocusPolicy(Qt.FocusPolicy.StrongFocus)


def flat(layout: Any) -> Any:
    """Take the margins off a layout."""
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    return layout
