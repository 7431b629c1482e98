"""The upper and lower parts of the dock. They show what they are told, and emit what is wanted.

No widget here knows a session; :mod:`napari_samhq.ui.dock` stands between.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QButtonGroup,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_samhq.session.layers.prompt_layers import BACKGROUND_COLOR, OBJECT_COLOR
from napari_samhq.ui.icons import cross_icon, disc_icon
from napari_samhq.ui.parts import COLON, Combo, WrapRow, action_button, choice, explain, flat
from napari_samhq.ui.time_left import TimeLeft

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_samhq.session import Status

__all__ = ["TOOLS", "RecoveryBanner", "SourcePanel", "StatusPanel", "Tool", "ToolPanel"]

_SHOW_PROGRESS_AFTER_MS = 400
_SENTENCE_LINES = 3


@dataclass(frozen=True)
class Tool:
    """A way to prompt: its name, the layer it draws in, napari's mode for it, and help."""

    name: str
    layer: str
    mode: str
    text: str
    help: str


#: What a click or drag in the image can do.
TOOLS = (
    Tool("point", "points", "add", "Point", "Click on the object."),
    Tool("box", "shapes", "add_rectangle", "Box", "Drag a box around each object."),
    Tool(
        "polygon",
        "shapes",
        "add_polygon_lasso",
        "Polygon",
        "Draw a rough outline around each object, with the mouse button held down.",
    ),
    Tool(
        "scribble",
        "shapes",
        "add_path",
        "Scribble",
        "Draw a line along the object, with the mouse button held down.",
    ),
)


class RecoveryBanner(QFrame):
    """Offers work that was not finished when napari ended."""

    wanted = Signal()
    discarded = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.bring_back = action_button("Bring back", "Put these objects and prompts back.")
        self.discard = action_button("Discard", "Forget this work. It cannot be brought back then.")
        column, row = QVBoxLayout(self), flat(QHBoxLayout())
        column.setContentsMargins(6, 6, 6, 6)
        row.addWidget(self.bring_back)
        row.addWidget(self.discard)
        column.addWidget(self.text)
        column.addLayout(row)
        self.bring_back.clicked.connect(lambda: self.wanted.emit())
        self.discard.clicked.connect(lambda: self.discarded.emit())
        self.setVisible(False)

    def offer(self, text: str) -> None:
        """Show an offer; nothing for an empty text."""
        self.text.setText(text)
        self.setVisible(bool(text))


class SourcePanel(QWidget):
    """Which image and which model."""

    image_chosen = Signal(int)
    model_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.images = Combo(
            "Image", "The image that you segment. Each image keeps its own objects."
        )
        self.models = Combo("Model")
        self.caption = QLabel()
        self.caption.setWordWrap(True)
        self.caption.setToolTip("Where the model runs, and whether it has seen the image.")
        grid = flat(QGridLayout(self))
        for row, (text, widget) in enumerate((("Image", self.images), ("Model", self.models))):
            label = QLabel(text)
            label.setBuddy(widget)
            grid.addWidget(label, row, 0)
            grid.addWidget(widget, row, 1)
        grid.addWidget(self.caption, 2, 1)
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
            self.models.addItem(f"{info.name} – {_where(info)}{COLON}{about}", info.name)
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
        about = self.models.itemData(row, Qt.ItemDataRole.ToolTipRole)
        explain(self.models, "Model", about or "The model from this path.")

    def show_caption(self, text: str) -> None:
        """Say where the model runs, and whether it has seen the image."""
        self.caption.setText(text)


class ToolPanel(QWidget):
    """What the next click in the image does."""

    tool_chosen = Signal(str)
    polarity_chosen = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.buttons = {tool.name: choice(tool.text, tool.help) for tool in TOOLS}
        self.positive = choice("+ Object", "The next points lie on the object.")
        self.negative = choice("− Background", "")
        self.positive.setIcon(disc_icon(OBJECT_COLOR))
        self.negative.setIcon(cross_icon(BACKGROUND_COLOR))
        column = flat(QVBoxLayout(self))
        self._groups = []
        for row in (list(self.buttons.values()), [self.positive, self.negative]):
            group = QButtonGroup(self)  # one of them is always on
            self._groups.append(group)
            for button in row:
                group.addButton(button)
            column.addWidget(WrapRow(row))
        for name, button in self.buttons.items():
            button.clicked.connect(lambda _=False, name=name: self.tool_chosen.emit(name))
        self.positive.clicked.connect(lambda: self.polarity_chosen.emit(True))
        self.negative.clicked.connect(lambda: self.polarity_chosen.emit(False))

    def show_keys(self, written: Callable[[str], str]) -> None:
        """Tell the keys of the tools."""
        for tool in TOOLS:
            keys = written(f"use_{tool.name}")
            explain(self.buttons[tool.name], "", f"{tool.help} {keys}".strip())
        keys = written("flip_polarity")
        explain(
            self.negative,
            "",
            "The next points lie beside the object, on what should not be in the mask. "
            f"Or hold Shift while you click.{f' {keys} switches.' if keys else ''}",
        )

    def show_choice(self, tool: str | None, positive: bool) -> None:
        """Show which tool is in the hand, if any, and which kind of point is chosen."""
        tools, _ = self._groups
        tools.setExclusive(False)  # otherwise none could not be shown
        for name, button in self.buttons.items():
            button.setChecked(tool == name)
        tools.setExclusive(True)
        (self.positive if positive else self.negative).setChecked(True)


class StatusPanel(QWidget):
    """One sentence: the state and the next step, with a button or a progress bar where needed."""

    cancel_wanted = Signal()
    fetch_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.sentence = QLabel()
        self.sentence.setWordWrap(True)
        self.sentence.setAccessibleName("What to do next")
        self.sentence.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        # What stands above must not jump whenever a sentence is longer than the one before.
        self.sentence.setMinimumHeight(_SENTENCE_LINES * self.fontMetrics().lineSpacing())
        self.fetch = QPushButton()
        self.fetch.setToolTip("Download the model once; it works offline afterwards.")
        self.fetch.setVisible(False)
        self.bar = QProgressBar()
        self.cancel = action_button("Cancel", "Stop this. Layers stay as they are.")
        self.running = QWidget()
        row = flat(QHBoxLayout(self.running))
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        self.running.setVisible(False)
        column = flat(QVBoxLayout(self))
        column.addWidget(self.sentence)
        column.addWidget(self.fetch)
        column.addWidget(self.running)
        self.fetch.clicked.connect(lambda: self.fetch_wanted.emit())
        self.cancel.clicked.connect(lambda: self.cancel_wanted.emit())
        # A bar that flashes with each click would only be in the way.
        self._left = TimeLeft()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SHOW_PROGRESS_AFTER_MS)
        self._soon.timeout.connect(self.running.show)  # a lambda may outlive the widget, and crash

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
            words = self._left.words(status.done, status.total, time.monotonic())
            self.bar.setFormat(f"%p %, {words}" if words else "%p %")
            megabytes = status.total >= 1e6  # of a download; objects are counted one by one
            of = f"{status.total / 1e6:.0f} MB" if megabytes else f"{status.total:.0f}"
            self.bar.setToolTip(f"Of {of}.")
        else:
            self.bar.setRange(0, 0)
        if not self.running.isVisible() and not self._soon.isActive():
            self._soon.start()


def _where(info: Any) -> str:
    if info.bundled:
        return "bundled"
    return "on this computer" if info.cached else f"{info.megabytes:.0f} MB to fetch"


def _about(info: Any) -> str:
    lines = [info.title, f"Trained on: {info.trained_on}" if info.trained_on else ""]
    lines += [f"{info.megabytes:.0f} MB, licence {info.license or 'unknown'}"]
    return "\n".join(line for line in lines if line)
