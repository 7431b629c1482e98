"""The middle of the dock: the object being made, and the masks to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_samhq.ui.icons import picture_icon, swatch
from napari_samhq.ui.parts import WrapRow, action_button, choice, explain, flat, write_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CANDIDATE_SIZE", "CandidatePanel", "ObjectPanel", "OutlinePanel"]

#: Height and width of the pictures of candidates, in pixels.
CANDIDATE_SIZE = (60, 84)
_OUTPUTS = (
    ("sam", "SAM", "The outline of the original Segment Anything decoder."),
    ("sam+hq", "SAM+HQ", "The sum of both: what the model was trained for."),
    ("hq", "HQ", "The outline of the HQ part alone; sharper, sometimes with parts missing."),
)
_SLIDER_STEPS = 4  # of the slider, for one of the threshold
_MOST_THRESHOLD = 8


class CandidatePanel(QWidget):
    """The masks that the model offers, as pictures to choose from."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.hint = QLabel("Masks to choose from appear here.")
        self.hint.setWordWrap(True)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.hint.setEnabled(False)
        self.buttons = [_picture_button() for _ in range(3)]
        self._help = "The model's own guess of how well this mask fits, from 0 to 1."
        row = flat(QHBoxLayout(self))
        row.addWidget(self.hint)
        for index, button in enumerate(self.buttons):
            row.addWidget(button)
            button.clicked.connect(lambda _=False, index=index: self.chosen.emit(index))
        # Picture, one line of text, and the frame of a button; nothing below may jump.
        self.setFixedHeight(CANDIDATE_SIZE[0] + self.fontMetrics().lineSpacing() + 22)
        self.show_candidates([], [], [], -1)

    def show_keys(self, written: Callable[[str], str]) -> None:
        """Tell the key that steps through the masks."""
        keys = written("next_candidate")
        more = f" Step through with {keys}." if keys else ""
        for button in self.buttons:
            button.setToolTip(self._help + more)

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
                button.setAccessibleName(f"Mask {index + 1}: {button.text()}")
                button.setChecked(index == chosen)


class OutlinePanel(QWidget):
    """How the model's answer becomes a mask: which output, and where the border is drawn."""

    output_chosen = Signal(str)
    threshold_chosen = Signal(float)
    difference_wanted = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.outputs = {name: choice(text, help_) for name, text, help_ in _OUTPUTS}
        self._group = QButtonGroup(self)
        for button in self.outputs.values():
            self._group.addButton(button)
        self.difference = choice("Difference", "")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(-_MOST_THRESHOLD * _SLIDER_STEPS, _MOST_THRESHOLD * _SLIDER_STEPS)
        self.slider.setPageStep(_SLIDER_STEPS)
        explain(
            self.slider,
            "Border of the mask",
            "Draw the border further out or further in. In the middle it is the model's own.",
        )
        border = flat(QHBoxLayout())
        for widget in (QLabel("Looser"), self.slider, QLabel("Tighter")):
            border.addWidget(widget, int(widget is self.slider))
        column = flat(QVBoxLayout(self))
        column.addWidget(WrapRow([*self.outputs.values(), self.difference]))
        column.addLayout(border)
        for name, button in self.outputs.items():
            button.clicked.connect(lambda _=False, name=name: self.output_chosen.emit(name))
        self.difference.clicked.connect(self.difference_wanted)
        self.slider.valueChanged.connect(
            lambda value: self.threshold_chosen.emit(value / _SLIDER_STEPS)
        )
        self.show_keys(lambda action: "")
        self.show_choice("sam+hq", 0.0, difference=False)

    def show_keys(self, written: Callable[[str], str]) -> None:
        """Tell the keys."""
        for name, _, help_ in _OUTPUTS:
            keys = written("next_output")
            more = f" {keys} steps through the three." if keys else ""
            explain(self.outputs[name], "", help_ + more)
        help_ = "Show where HQ adds to the mask of SAM, and where it takes away."
        explain(
            self.difference, "Show what HQ changed", f"{help_} {written('show_difference')}".strip()
        )

    def show_choice(self, output: str, threshold: float, *, difference: bool) -> None:
        """Show what is chosen, without asking for it again."""
        self.outputs[output].setChecked(True)
        self.difference.setChecked(difference)
        if not self.slider.isSliderDown():  # the hand that moves it knows better
            blocked = self.slider.blockSignals(True)
            self.slider.setValue(round(threshold * _SLIDER_STEPS))
            self.slider.blockSignals(blocked)


class ObjectPanel(QWidget):
    """The object being made, and what to do with it."""

    wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.swatch, self.title = QLabel(), QLabel()
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.title.setWordWrap(True)
        self.candidates, self.outline = CandidatePanel(), OutlinePanel()
        self.buttons: dict[str, QPushButton] = {}
        self._texts: dict[str, str] = {}
        self._color: tuple[float, ...] | None = ()  # none was shown yet
        self.waiting, self.waiting_text = QWidget(), QLabel()
        column = flat(QVBoxLayout(self))
        column.addLayout(self._head())
        column.addWidget(self.candidates)
        column.addWidget(self.outline)
        column.addWidget(self._waiting_row())
        for row in self._rows():
            column.addWidget(row)

    def show_object(self, title: str, color: Sequence[float] | None) -> None:
        """Name the object being made, with the colour of its label."""
        self.title.setText(title)
        wanted = None if color is None else tuple(map(float, color))
        if wanted != self._color:  # a new picture is drawn anew, and with it the window
            self._color = wanted
            self.swatch.setPixmap(swatch(color))

    def show_waiting(self, count: int, *, others: bool) -> None:
        """Say how many objects are being made at once; nothing where it is the active one alone."""
        self.waiting.setVisible(others)
        is_one = count == 1
        self.waiting_text.setText("1 waits" if is_one else f"{count} wait")
        words = "object waits" if is_one else "objects wait"
        self.waiting_text.setAccessibleName(f"{count} {words} to be accepted")

    def show_keys(self, written: Callable[[str], str]) -> None:
        """Write the keys on the buttons."""
        for action in ("accept", "reject", "undo", "redo"):
            write_keys(self.buttons[action], self._texts[action], written(action))
        for action in ("next_object", "accept_all", "go_next", "go_previous"):
            keys = written(action)
            help_ = self.buttons[action].accessibleDescription()
            self.buttons[action].setToolTip(f"{help_} {keys}".strip())
        self.candidates.show_keys(written)
        self.outline.show_keys(written)

    def allow(self, actions: dict[str, bool]) -> None:
        """Enable the buttons of what can be done now."""
        for action, possible in actions.items():
            self.buttons[action].setEnabled(possible)

    def _head(self) -> QHBoxLayout:
        row: QHBoxLayout = flat(QHBoxLayout())
        row.addWidget(self.swatch)
        row.addWidget(self.title, 1)
        row.addWidget(
            self._button(
                "next_object",
                "Next object",
                "Accept this object if it has a mask, drop it if not, and go on to a new one.",
            )
        )
        return row

    def _waiting_row(self) -> QWidget:
        where = QWidget()
        row = flat(QHBoxLayout(where))
        row.addWidget(self.waiting_text, 1)
        for action, text, help_ in (
            ("go_previous", "‹", "Go to the one before, to change it."),
            ("go_next", "›", "Go to the one after, to change it."),
        ):
            button = self._button(action, text, help_)
            button.setAccessibleName(help_)
            button.setFixedWidth(22)
            row.addWidget(button)
        accept = self._button("accept_all", "Accept all", "Write all their masks into the labels.")
        reject = self._button(
            "reject_all", "Reject all", "Give all of them up. Undo brings them back."
        )
        column = flat(QVBoxLayout(self.waiting))
        column.addWidget(WrapRow([where, accept, reject]))
        self.waiting.setVisible(False)
        return self.waiting

    def _rows(self) -> list[WrapRow]:
        rows = (
            (
                ("accept", "Accept", "Write the mask into the labels layer."),
                ("reject", "Reject", "Give this object up. An accepted object stays as it was."),
            ),
            (
                ("undo", "Undo", "Take the last step back, of any kind."),
                ("redo", "Redo", "Do again what was undone."),
            ),
        )
        return [WrapRow([self._button(*one) for one in pair]) for pair in rows]

    def _button(self, action: str, text: str, help_: str) -> QPushButton:
        button = action_button(text, help_)
        button.clicked.connect(lambda: self.wanted.emit(action))
        self.buttons[action], self._texts[action] = button, text
        return button


def _picture_button() -> QToolButton:
    button = QToolButton()
    button.setCheckable(True)
    button.setAutoExclusive(True)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
    button.setIconSize(QSize(CANDIDATE_SIZE[1], CANDIDATE_SIZE[0]))
    button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return button
