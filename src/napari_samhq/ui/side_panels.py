"""Panels that open on demand: refining labels, output, settings, files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_samhq.settings import CommitRules, SessionSettings
from napari_samhq.ui.form import Form
from napari_samhq.ui.icons import picture_icon
from napari_samhq.ui.parts import Combo, WrapRow, action_button, explain, flat, write_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FilePanel", "RefinePanel", "SettingsPanel"]

_PREVIEW = QSize(288, 216)


class RefinePanel(QWidget):
    """Objects of another labels layer as rough masks, such as the result of another method."""

    wanted = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.layers = Combo(
            "Labels layer", "Its objects are taken as rough masks, and keep their numbers."
        )
        self.hint = QLabel(
            "Finds better outlines for objects of a labels layer, such as the result of another "
            "method. They wait for you to accept them."
        )
        self.hint.setWordWrap(True)
        self.refine = action_button(
            "Refine",
            "Find an outline for each object in the present plane. Nothing is changed "
            "before you accept.",
        )
        column = flat(QVBoxLayout(self))
        column.addWidget(self.hint)
        column.addWidget(WrapRow([self.layers, self.refine]))
        self.refine.clicked.connect(lambda: self.wanted.emit(self.layers.currentIndex()))
        self.show_layers([])

    def show_layers(self, names: Sequence[str]) -> None:
        """List the labels layers; the one that was chosen stays chosen."""
        before = self.layers.currentText()
        self.layers.clear()
        self.layers.addItems(list(names))
        self.layers.setPlaceholderText("no labels layer yet")
        self.layers.setCurrentIndex(names.index(before) if before in names else len(names) - 1)
        self.layers.setEnabled(bool(names))
        self.refine.setEnabled(bool(names))


class SettingsPanel(QWidget):
    """Where objects go, by which rules, and how the session works."""

    target_chosen = Signal(int)
    rule_edited = Signal(str, object)
    session_edited = Signal(str, object)
    preview_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.targets = Combo(
            "Labels layer for objects", "Where accepted objects go: a layer of yours, or a new one."
        )
        self.rules = Form(CommitRules)
        self.session = Form(
            SessionSettings,
            ("refine", "accept_on_next_click", "autosave", "device", "precision", "embeddings"),
        )
        self.preview = action_button(
            "What the model sees", "Show the image as the model gets it: 8 bit, by your contrast."
        )
        self.picture = QLabel()
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture.setVisible(False)
        explain(self.picture, "The image as the model gets it", "")
        label, row = QLabel("Objects go to"), flat(QHBoxLayout())
        label.setBuddy(self.targets)
        label.setWordWrap(True)
        row.addWidget(label)
        row.addWidget(self.targets, 1)
        column = flat(QVBoxLayout(self))
        column.addLayout(row)
        for widget in (self.rules, self.session, self.preview, self.picture):
            column.addWidget(widget)
        self.targets.activated.connect(self.target_chosen)
        self.rules.edited.connect(self.rule_edited)
        self.session.edited.connect(self.session_edited)
        self.preview.clicked.connect(lambda: self.preview_wanted.emit())

    def show_targets(self, names: Sequence[str], current: int) -> None:
        """List the labels layers that objects can go to; the last entry makes a new one."""
        self.targets.clear()
        self.targets.addItems([*names, "a new layer"])
        self.targets.setCurrentIndex(current)

    def show_picture(self, rgb: NDArray[np.uint8] | None) -> None:
        """Show pixels (height, width, 3), or hide them."""
        self.picture.setVisible(rgb is not None)
        if rgb is not None:
            pixmap = picture_icon(rgb).pixmap(QSize(rgb.shape[1], rgb.shape[0]))
            self.picture.setPixmap(
                pixmap.scaled(
                    _PREVIEW,
                    Qt.AspectRatioMode.KeepAspectRatio,
                    Qt.TransformationMode.SmoothTransformation,
                )
            )


class FilePanel(QWidget):
    """Save all that was done, and take it up again."""

    save_wanted = Signal()
    open_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.save = action_button(
            "Save session", "Write objects, points, boxes and every step into a file."
        )
        self.open = action_button(
            "Open session", "Take up the work of a saved session, on this image."
        )
        flat(QVBoxLayout(self)).addWidget(WrapRow([self.save, self.open]))
        self.save.clicked.connect(lambda: self.save_wanted.emit())
        self.open.clicked.connect(lambda: self.open_wanted.emit())

    def show_keys(self, written: Callable[[str], str]) -> None:
        """Write the key on the button."""
        write_keys(self.save, "Save session", "")
        explain(
            self.save,
            "",
            f"Write objects, points, boxes and every step into a file. {written('save')}".strip(),
        )
