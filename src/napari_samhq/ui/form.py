"""Forms for classes of settings: magicgui makes the controls, with names, help and bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from magicgui.widgets import CheckBox, create_widget
from qtpy.QtCore import QEvent, QObject, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QAction  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFileDialog,
    QFileIconProvider,
    QGridLayout,
    QLabel,
    QLineEdit,
    QWidget,
)

from napari_samhq.ui.parts import explain, flat, narrow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from magicgui.widgets.bases import ValueWidget

    from napari_samhq.settings import Setting, Settings

__all__ = ["Form", "options_of"]

_MOST = 2**31 - 1


def options_of(one: Setting) -> dict[str, Any]:
    """Describe the control of a setting to magicgui.

    Examples
    --------
    >>> from napari_samhq.settings import CommitRules
    >>> options_of(CommitRules.described()[1])["min"]
    1
    """
    options: dict[str, Any] = {"label": one.title, "tooltip": one.help}
    if one.choices:
        options["choices"] = one.choices
    elif one.kind in (int, float):
        low, high = one.kind(one.low or 0), _MOST if one.high is None else one.kind(one.high)
        options |= {"min": low, "max": high}
        if one.kind is float:
            options["step"] = 5.0 if one.high is None else (high - low) / 20
    return options


class Form(QWidget):
    """Controls for some settings.

    Parameters
    ----------
    kind : type
        The class of settings.
    names : iterable of str, optional
        Which of them, and in which order; all when left out.

    Attributes
    ----------
    controls : dict of str to QWidget
        The control of each setting.
    """

    edited = Signal(str, object)

    def __init__(self, kind: type[Settings], names: Iterable[str] | None = None) -> None:
        super().__init__()
        described = {one.name: one for one in kind.described()}
        self.settings = [described[name] for name in (described if names is None else names)]
        self._widgets: dict[str, ValueWidget[Any]] = {}
        self.controls: dict[str, Any] = {}
        grid = flat(QGridLayout(self))
        grid.setColumnStretch(1, 1)
        for row, one in enumerate(self.settings):
            widget = self._widgets[one.name] = self._widget(one)
            control = self.controls[one.name] = widget.native
            explain(control, one.title, one.help)
            if isinstance(widget, CheckBox):
                grid.addWidget(control, row, 0, 1, 2)
                continue
            label = QLabel(one.title)
            label.setWordWrap(True)
            label.setBuddy(control)
            label.setToolTip(one.help)
            grid.addWidget(label, row, 0)
            grid.addWidget(control, row, 1)

    @property
    def values(self) -> dict[str, Any]:
        """What the controls show, by the names of the settings."""
        return {name: widget.value for name, widget in self._widgets.items()}

    def show_values(self, values: Settings) -> None:
        """Show these settings, without saying that they were edited."""
        for name, widget in self._widgets.items():
            if getattr(widget.native, "isModified", lambda: False)():
                continue  # somebody is writing there
            with widget.changed.blocked():
                widget.value = getattr(values, name)

    def _widget(self, one: Setting) -> ValueWidget[Any]:
        options = options_of(one)
        made = create_widget(
            one.default, one.kind, name=one.name, label=options.pop("label"), options=options
        )
        widget = cast("ValueWidget[Any]", made)  # as all that are made for a value
        native = widget.native
        native.installEventFilter(self)
        if isinstance(native, QLineEdit):
            native.editingFinished.connect(lambda: self._written(one, native))
            if one.is_folder:
                self._offer_folders(one, native)
        else:
            widget.changed.connect(lambda value: self.edited.emit(one.name, value))
        if isinstance(native, QAbstractSpinBox):
            native.setSpecialValueText(one.zero)
            native.setKeyboardTracking(False)  # a number is meant once it is written to its end
        elif isinstance(native, QComboBox):
            narrow(native)
        elif isinstance(widget, CheckBox):
            widget.text = one.title
        return widget

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Leave the wheel to the scroll area: nobody means to change a value by scrolling."""
        if event is None or event.type() != QEvent.Type.Wheel:
            return False
        event.ignore()
        return True

    def _written(self, one: Setting, line: QLineEdit) -> None:
        line.setModified(False)
        self.edited.emit(one.name, line.text())

    def _offer_folders(self, one: Setting, line: QLineEdit) -> None:
        line.setPlaceholderText("none")
        icon = QFileIconProvider().icon(QFileIconProvider.IconType.Folder)
        choose = QAction(icon, "Choose a folder", line)
        line.addAction(choose, QLineEdit.ActionPosition.TrailingPosition)

        def ask() -> None:
            chosen = QFileDialog.getExistingDirectory(self, one.title, line.text())
            if chosen:
                line.setText(chosen)
                self._written(one, line)

        choose.triggered.connect(ask)
