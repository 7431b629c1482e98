"""Learning from corrections: what it asks for, how far it is, and what came of it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QPainter, QPalette, QPen
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_samhq.training.finetune.settings import TuningSettings
from napari_samhq.ui.form import Form
from napari_samhq.ui.parts import WrapRow, action_button, choice, explain, flat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QPaintEvent

__all__ = ["Curve", "LearningPanel"]

_SETTINGS = ("prompts", "minutes")


class Curve(QWidget):
    """Draws how right the model was at each check: the area solid, the border dashed."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[tuple[int, float, float]] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setVisible(False)
        explain(self, "Learning curve", "IoU on held-out objects: area solid, border dashed.")

    def sizeHint(self) -> QSize:
        """Tell how large it likes to be."""
        return QSize(200, 5 * self.fontMetrics().lineSpacing())

    def show_values(self, values: Sequence[tuple[int, float, float]]) -> None:
        """Show steps with IoU and boundary IoU."""
        self.values = list(values)
        self.setVisible(len(self.values) > 1)
        if self.values:
            (_, area, border), first = self.values[-1], self.values[0]
            self.setAccessibleDescription(
                f"IoU of the area from {first[1]:.3f} to {area:.3f}, of the border from "
                f"{first[2]:.3f} to {border:.3f}."
            )
        self.update()

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        """Draw it."""
        if len(self.values) < 2:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        color = self.palette().color(QPalette.ColorRole.WindowText)
        line = self.fontMetrics().lineSpacing()
        low = min(min(area, border) for _, area, border in self.values)
        high = max(max(area, border) for _, area, border in self.values)
        span = max(high - low, 0.02)
        steps = max(self.values[-1][0], 1)
        wide, tall = self.width() - 4 * line, self.height() - 8
        styles = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine)
        for which, style in enumerate(styles, start=1):
            painter.setPen(QPen(color, 1.5, style))
            places = [
                QPointF(2 + wide * value[0] / steps, 4 + tall * (1 - (value[which] - low) / span))
                for value in self.values
            ]
            for start, stop in itertools.pairwise(places):
                painter.drawLine(start, stop)
        painter.setPen(color)
        painter.drawText(QPointF(wide + 6, 4.0 + line / 2), f"{low + span:.2f}")
        painter.drawText(QPointF(wide + 6, float(self.height() - 4)), f"{low:.2f}")


class LearningPanel(QWidget):
    """Has the model learn from the objects that the user made."""

    wanted = Signal(str, object)  # the name, and settings by name
    cancel_wanted = Signal()
    use_wanted = Signal()
    compare_wanted = Signal(bool)
    finish_wanted = Signal()
    unfinish_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.hint = QLabel(
            "The model learns from the objects that you made or corrected here. Twenty or more "
            "do well; a quarter is kept to measure with. You can go on working meanwhile."
        )
        self.hint.setWordWrap(True)
        self.finish = action_button(
            "This area is finished",
            "All objects on the screen are marked: what has no label there is background. By that "
            "the model learns to find all objects.",
        )
        self.unfinish = action_button(
            "Not finished", "Forget the finished areas of this plane: not all objects are marked."
        )
        self.areas = QLabel()
        self.areas.setWordWrap(True)
        self.areas.setAccessibleName("Finished areas")
        self.name = QLineEdit()
        self.name.setPlaceholderText("a name for it, as my-cells")
        explain(self.name, "Name of the new model", "Under this name you find it among the models.")
        self.form = Form(TuningSettings, _SETTINGS)
        self.learn = action_button(
            "Learn from my corrections", "Takes some minutes. Layers and models stay as they are."
        )
        self.bar = QProgressBar()
        self.cancel = action_button("Cancel", "Stop learning. Nothing is written.")
        self.running = QWidget()
        self.curve = Curve()
        self.result = QLabel()
        self.result.setWordWrap(True)
        self.result.setAccessibleName("What came of learning")
        self.use = action_button("Use it", "Use the new model from now on.")
        self.compare = choice(
            "Compare", "Show outlines of held-out objects: before (orange) and after (blue)."
        )
        self.after = WrapRow([self.use, self.compare])
        self._lay_out()
        self.learn.clicked.connect(
            lambda: self.wanted.emit(self.name.text().strip(), self.form.values)
        )
        self.name.returnPressed.connect(self.learn.click)
        self.finish.clicked.connect(lambda: self.finish_wanted.emit())
        self.unfinish.clicked.connect(lambda: self.unfinish_wanted.emit())
        self.cancel.clicked.connect(lambda: self.cancel_wanted.emit())
        self.use.clicked.connect(lambda: self.use_wanted.emit())
        self.compare.toggled.connect(self.compare_wanted)
        self.show_finished(0)
        self.show_idle("")

    def show_finished(self, count: int, words: str = "") -> None:
        """Show how many areas of the plane are finished; words instead, if something was wrong."""
        told = {0: "", 1: "One area of this plane is finished."}
        self.areas.setText(words or told.get(count, f"{count} areas of this plane are finished."))
        self.areas.setVisible(bool(self.areas.text()))
        self.unfinish.setEnabled(count > 0)

    def show_progress(self, share: float | None, words: str) -> None:
        """Show that it learns: how much of the time is over, if that is known, and what it does."""
        self.running.setVisible(True)
        self.learn.setEnabled(False)
        self.after.setVisible(False)
        self.bar.setRange(0, 0 if share is None else 1000)
        if share is not None:
            self.bar.setValue(round(1000 * share))
        self.result.setText(words)
        self.result.setVisible(bool(words))

    def show_idle(self, words: str, *, made: bool = False, comparable: bool = False) -> None:
        """Show that nothing runs; what came of it, and whether there is a new model to use."""
        self.running.setVisible(False)
        self.learn.setEnabled(True)
        self.result.setText(words)
        self.result.setVisible(bool(words))
        self.after.setVisible(made)
        self.compare.setChecked(False)
        self.compare.setEnabled(comparable)

    def _lay_out(self) -> None:
        row = flat(QHBoxLayout(self.running))
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        named, label = flat(QHBoxLayout()), QLabel("Name")
        label.setBuddy(self.name)
        named.addWidget(label)
        named.addWidget(self.name, 1)
        column = flat(QVBoxLayout(self))
        column.addWidget(self.hint)
        column.addWidget(WrapRow([self.finish, self.unfinish]))
        column.addWidget(self.areas)
        column.addLayout(named)
        for widget in (self.form, self.learn, self.running, self.curve, self.result, self.after):
            column.addWidget(widget)
