"""A form for any class of settings: one control for each, with its name, help and bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QAction  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFileDialog,
    QFileIconProvider,
    QGridLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QWidget,
)

from napari_samhq.ui.parts import Combo, explain, flat

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_samhq.settings import Setting, Settings

__all__ = ["Form"]

_MOST = 2**31 - 1


class Form(QWidget):
    """Controls for some settings.

    Parameters
    ----------
    kind : type
        The class of settings.
    names : iterable of str, optional
        Which of them, and in which order; all when left out.
    """

    edited = Signal(str, object)

    def __init__(self, kind: type[Settings], names: Iterable[str] | None = None) -> None:
        super().__init__()
        described = {one.name: one for one in kind.described()}
        self.settings = [described[name] for name in (described if names is None else names)]
        self.controls: dict[str, Any] = {}
        grid = flat(QGridLayout(self))
        grid.setColumnStretch(1, 1)
        for row, one in enumerate(self.settings):
            control = self.controls[one.name] = self._control(one)
            explain(control, one.title, one.help)
            if one.kind is bool:
                grid.addWidget(control, row, 0, 1, 2)
            else:
                label = QLabel(one.title)
                label.setWordWrap(True)
                label.setBuddy(control)
                label.setToolTip(one.help)
                grid.addWidget(label, row, 0)
                grid.addWidget(control, row, 1)
            self._show(one, one.default)

    @property
    def values(self) -> dict[str, Any]:
        """What the controls show, by the names of the settings."""
        return {one.name: self._value(one) for one in self.settings}

    def show_values(self, values: Settings) -> None:
        """Show these settings, without saying that they were edited."""
        for one in self.settings:
            control = self.controls[one.name]
            blocked = control.blockSignals(True)
            self._show(one, getattr(values, one.name))
            control.blockSignals(blocked)

    def _control(self, one: Setting) -> QWidget:
        if one.kind is bool:
            check = QCheckBox(one.title)
            check.toggled.connect(lambda value: self.edited.emit(one.name, value))
            return check
        if one.choices:
            combo = Combo(one.title, one.help)
            combo.addItems(list(one.choices))
            combo.activated.connect(lambda index: self.edited.emit(one.name, one.choices[index]))
            return combo
        if one.kind is int:
            spin = QSpinBox()
            spin.setRange(int(one.low or 0), _MOST if one.high is None else int(one.high))
            spin.setSpecialValueText(one.zero)
            spin.setKeyboardTracking(False)  # a number is meant once it is written to its end
            spin.valueChanged.connect(lambda value: self.edited.emit(one.name, value))
            return spin
        if one.kind is float and one.low is not None:
            share = QDoubleSpinBox()
            share.setRange(one.low, _MOST if one.high is None else one.high)
            share.setSingleStep(5 if one.high is None else (one.high - one.low) / 20)
            share.setDecimals(1 if one.high is None else 2)
            share.setSpecialValueText(one.zero)
            share.setKeyboardTracking(False)
            share.valueChanged.connect(lambda value: self.edited.emit(one.name, value))
            return share
        line = QLineEdit()

        def finished() -> None:
            line.setModified(False)
            self.edited.emit(one.name, line.text())

        line.editingFinished.connect(finished)
        if one.is_folder:
            line.setPlaceholderText("none")
            icon = QFileIconProvider().icon(QFileIconProvider.IconType.Folder)
            choose = QAction(icon, "Choose a folder", line)
            line.addAction(choose, QLineEdit.ActionPosition.TrailingPosition)
            choose.triggered.connect(lambda: self._choose_folder(one, line))
        return line

    def _choose_folder(self, one: Setting, line: QLineEdit) -> None:
        chosen = QFileDialog.getExistingDirectory(self, one.title, line.text())
        if chosen:
            line.setText(chosen)
            self.edited.emit(one.name, chosen)

    def _value(self, one: Setting) -> Any:
        control = self.controls[one.name]
        if one.kind is bool:
            return control.isChecked()
        if one.choices:
            return one.choices[control.currentIndex()]
        if isinstance(control, (QSpinBox, QDoubleSpinBox)):
            return control.value()
        return one.kind(control.text())

    def _show(self, one: Setting, value: Any) -> None:
        control = self.controls[one.name]
        if one.kind is bool:
            control.setChecked(value)
        elif one.choices:
            control.setCurrentIndex(one.choices.index(value))
        elif one.kind is int or isinstance(control, QDoubleSpinBox):
            control.setValue(value)
        elif not control.isModified():  # else somebody is writing there
            control.setText(str(value))
