"""The parts of the dock, from top to bottom. They show what they are told, and emit what is wanted.

No widget here knows a session; :mod:`napari_samhq.ui.dock` stands between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt, QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_samhq.session.binding import BACKGROUND_COLOR, OBJECT_COLOR
from napari_samhq.ui.icons import cross_icon, disc_icon, picture_icon, swatch
from napari_samhq.ui.keys import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from qtpy.QtGui import QPaintEvent

    from napari_samhq.session import Status

__all__ = [
    "CANDIDATE_SIZE",
    "CandidatePanel",
    "ObjectPanel",
    "SourcePanel",
    "StatusPanel",
    "ToolPanel",
]

#: Height and width of the pictures of candidates, in pixels.
CANDIDATE_SIZE = (60, 84)
_SHOW_PROGRESS_AFTER_MS = 400
_COLON = ":  "  # two blanks, which no name of an image has by chance


class _Combo(QComboBox):
    """A combo box that shows what stands before a colon; the open list shows all of it."""

    def __init__(self) -> None:
        super().__init__()
        # Long names are cut in the box, and whole in the list; the dock keeps its width.
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def paintEvent(self, _event: QPaintEvent | None) -> None:  # Qt's name
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        text = option.currentText if self.currentIndex() >= 0 else self.placeholderText()
        option.currentText = (text or "").split(_COLON)[0]
        painter = QStylePainter(self)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)


class SourcePanel(QWidget):
    """Which image and which model."""

    image_chosen = Signal(int)
    model_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.images, self.models = _Combo(), _Combo()
        self.images.setToolTip("The image that you segment. Each image keeps its own objects.")
        grid = _flat(QGridLayout(self))
        for row, (text, widget) in enumerate((("Image", self.images), ("Model", self.models))):
            label = QLabel(text)
            label.setBuddy(widget)
            grid.addWidget(label, row, 0)
            grid.addWidget(widget, row, 1)
        grid.setColumnStretch(1, 1)
        self.images.activated.connect(self.image_chosen)
        self.models.activated.connect(
            lambda index: self.model_chosen.emit(self.models.itemData(index))
        )

    def show_images(self, names: Sequence[str], current: int) -> None:
        """List the images; `current` is -1 where there is none."""
        self.images.clear()
        self.images.addItems(list(names))
        self.images.setEnabled(bool(names))
        self.images.setPlaceholderText("no image yet" if not names else "choose one")
        self.images.setCurrentIndex(current)

    def show_models(self, infos: Sequence[Any], current: str) -> None:
        """List the models, each with what it is good for and whether it is here."""
        self.models.clear()
        for info in infos:
            about = info.title.split(": ", 1)[-1]
            self.models.addItem(f"{info.name} – {_where(info)}{_COLON}{about}", info.name)
            row = self.models.count() - 1
            self.models.setItemData(row, _about(info), Qt.ItemDataRole.ToolTipRole)
        view = self.models.view()
        if view is not None:
            view.setMinimumWidth(view.sizeHintForColumn(0) + 24)
        self.show_model(current)

    def show_model(self, current: str) -> None:
        """Show which model is used."""
        row = self.models.findData(current)
        if row < 0:  # a path
            self.models.addItem(current, current)
            row = self.models.count() - 1
        self.models.setCurrentIndex(row)
        self.models.setToolTip(
            self.models.itemData(row, Qt.ItemDataRole.ToolTipRole) or "The model from this path."
        )


class ToolPanel(QWidget):
    """What the next click in the image does."""

    tool_chosen = Signal(str)
    polarity_chosen = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.point = _choice(f"Point  {shown('use_point')}", "Click on the object in the image.")
        self.box = _choice(f"Box  {shown('use_box')}", "Drag a box around the object.")
        self.positive = _choice("+ Object", "The next points lie on the object.")
        self.negative = _choice(
            "− Background",
            "The next points lie beside the object, on what should not be in the mask. "
            f"Or hold Shift while you click. {shown('flip_polarity')} switches.",
        )
        self.positive.setIcon(disc_icon(OBJECT_COLOR))
        self.negative.setIcon(cross_icon(BACKGROUND_COLOR))
        grid = _flat(QGridLayout(self))
        self._groups = []
        for row, pair in enumerate(((self.point, self.box), (self.positive, self.negative))):
            group = QButtonGroup(self)  # one of the two is always on
            self._groups.append(group)
            for column, button in enumerate(pair):
                group.addButton(button)
                grid.addWidget(button, row, column)
        self.point.clicked.connect(lambda: self.tool_chosen.emit("point"))
        self.box.clicked.connect(lambda: self.tool_chosen.emit("box"))
        self.positive.clicked.connect(lambda: self.polarity_chosen.emit(True))
        self.negative.clicked.connect(lambda: self.polarity_chosen.emit(False))

    def show_choice(self, tool: str | None, positive: bool) -> None:
        """Show which tool is in the hand, if any, and which kind of point is chosen."""
        tools, _ = self._groups
        tools.setExclusive(False)  # otherwise none could not be shown
        self.point.setChecked(tool == "point")
        self.box.setChecked(tool == "box")
        tools.setExclusive(True)
        (self.positive if positive else self.negative).setChecked(True)


class CandidatePanel(QWidget):
    """The masks that the model offers, as pictures to choose from."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.hint = QLabel("Masks to choose from appear here.")
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.hint.setEnabled(False)
        self.buttons = [_picture_button() for _ in range(3)]
        row = _flat(QHBoxLayout(self))
        row.addWidget(self.hint)
        for index, button in enumerate(self.buttons):
            row.addWidget(button)
            button.clicked.connect(lambda _=False, index=index: self.chosen.emit(index))
        # Picture, one line of text, and the frame of a button; nothing below may jump.
        self.setFixedHeight(CANDIDATE_SIZE[0] + self.fontMetrics().lineSpacing() + 22)
        self.show_candidates([], [], [], -1)

    def show_candidates(
        self,
        pictures: Sequence[NDArray[np.uint8]],
        names: Sequence[str],
        scores: Sequence[float],
        chosen: int,
    ) -> None:
        """Show these masks, the chosen one marked; a hint where there are none."""
        self.hint.setVisible(not pictures)
        for index, button in enumerate(self.buttons):
            there = index < len(pictures)
            button.setVisible(there)
            if there:
                button.setIcon(picture_icon(pictures[index], framed=index == chosen))
                button.setText(f"{names[index]} {scores[index]:.2f}")
                button.setChecked(index == chosen)
                button.setToolTip(
                    "The model's own guess of how well this mask fits, from 0 to 1. "
                    f"Step through with {shown('next_candidate')}."
                )


class ObjectPanel(QWidget):
    """The object being made, and what to do with it."""

    wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.swatch, self.title = QLabel(), QLabel()
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.candidates = CandidatePanel()
        self.buttons: dict[str, QPushButton] = {}
        head = _flat(QHBoxLayout())
        head.addWidget(self.swatch)
        head.addWidget(self.title, 1)
        head.addWidget(
            self._button(
                "next_object",
                "Next object",
                "Accept this object if it has a mask, drop it if not, and go on to the next one.",
            )
        )
        grid = _flat(QGridLayout())
        accept = f"Accept  {shown('accept')}"
        reject = f"Reject  {shown('reject')}"
        rows = (
            (
                ("accept", accept, "Write the mask into the labels layer."),
                ("reject", reject, "Give this object up. An accepted object stays as it was."),
            ),
            (
                ("undo", f"Undo  {shown('undo')}", "Take the last step back, of any kind."),
                ("redo", f"Redo  {shown('redo')}", "Do again what was undone."),
            ),
        )
        for row, pair in enumerate(rows):
            for column, (action, text, help_) in enumerate(pair):
                grid.addWidget(self._button(action, text, help_), row, column)
        clear = self._button("clear", "Clear points and box", "Remove all prompts of this object.")
        grid.addWidget(clear, 2, 0, 1, 2)
        column_layout = _flat(QVBoxLayout(self))
        column_layout.addLayout(head)
        column_layout.addWidget(self.candidates)
        column_layout.addLayout(grid)

    def _button(self, action: str, text: str, help_: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(help_)
        button.clicked.connect(lambda: self.wanted.emit(action))
        self.buttons[action] = button
        return button

    def show_object(self, title: str, color: Sequence[float] | None) -> None:
        """Name the object being made, with the colour of its label."""
        self.title.setText(title)
        self.swatch.setPixmap(swatch(color))

    def allow(self, actions: dict[str, bool]) -> None:
        """Enable the buttons of what can be done now."""
        for action, possible in actions.items():
            self.buttons[action].setEnabled(possible)


class StatusPanel(QWidget):
    """One sentence: the state and the next step, with a button or a progress bar where needed."""

    cancel_wanted = Signal()
    fetch_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.sentence = QLabel()
        self.sentence.setWordWrap(True)
        self.sentence.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.fetch = QPushButton()
        self.fetch.setVisible(False)
        self.bar, self.cancel = QProgressBar(), QPushButton("Cancel")
        self.running = QWidget()
        row = _flat(QHBoxLayout(self.running))
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        self.running.setVisible(False)
        column = _flat(QVBoxLayout(self))
        column.addWidget(self.sentence)
        column.addWidget(self.fetch)
        column.addWidget(self.running)
        column.addStretch(1)
        self.fetch.clicked.connect(lambda: self.fetch_wanted.emit())
        self.cancel.clicked.connect(lambda: self.cancel_wanted.emit())
        # A bar that flashes with each click would only be in the way.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SHOW_PROGRESS_AFTER_MS)
        self._soon.timeout.connect(lambda: self.running.setVisible(True))

    def show_status(self, status: Status, fetch: str = "") -> None:
        """Show the sentence, the progress where something runs, and a button to fetch a model."""
        self.sentence.setText(status.sentence)
        self.fetch.setText(fetch)
        self.fetch.setVisible(bool(fetch))
        if not status.busy:
            self._soon.stop()
            self.running.setVisible(False)
            return
        if status.total > 0:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * min(status.done / status.total, 1.0)))
            self.bar.setFormat(f"%p %  of {status.total / 1e6:.0f} MB")
        else:
            self.bar.setRange(0, 0)
        if not self.running.isVisible() and not self._soon.isActive():
            self._soon.start()


def _flat(layout: Any) -> Any:
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    return layout


def _choice(text: str, help_: str) -> QPushButton:
    button = QPushButton(text)
    button.setCheckable(True)
    button.setToolTip(help_)
    return button


def _picture_button() -> QToolButton:
    button = QToolButton()
    button.setCheckable(True)
    button.setAutoExclusive(True)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
    button.setIconSize(QSize(CANDIDATE_SIZE[1], CANDIDATE_SIZE[0]))
    button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return button


def _where(info: Any) -> str:
    if info.bundled:
        return "bundled"
    return "on this computer" if info.cached else f"{info.megabytes:.0f} MB to fetch"


def _about(info: Any) -> str:
    lines = [info.title, f"Trained on: {info.trained_on}" if info.trained_on else ""]
    lines += [f"{info.megabytes:.0f} MB, licence {info.license or 'unknown'}"]
    return "\n".join(line for line in lines if line)
