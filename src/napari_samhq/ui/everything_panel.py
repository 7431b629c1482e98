"""Finding all objects at once: what to look for, and where."""

from __future__ import annotations

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_samhq.inference.settings import PRESETS, AutomaticSettings
from napari_samhq.ui.form import Form
from napari_samhq.ui.parts import COLON, Combo, action_button, flat

__all__ = ["EverythingPanel"]

_ABOUT = {
    "cells": "round things of middling size",
    "nuclei": "small round things, close together",
    "thin": "long and branched things",
}


_SHOWN = ("smallest_px", "min_score", "by_box")


class EverythingPanel(QWidget):
    """Asks for all objects of the plane on the screen."""

    wanted = Signal(object, object)  # the settings, and the region

    def __init__(self) -> None:
        super().__init__()
        self.presets = Combo("What to look for", "How large the objects are, and of which shape.")
        for name in PRESETS:
            self.presets.addItem(f"{name.capitalize()}{COLON}{_ABOUT[name]}", name)
        self.regions = Combo("Where to look", "The whole plane, or what is on the screen now.")
        self.regions.addItem("whole plane", None)
        self.regions.addItem("what is on the screen", "visible")
        self.form = Form(AutomaticSettings, _SHOWN)
        self.segment = action_button(
            "Segment",
            "Find all objects and write them into the labels. Objects that are there stay as "
            "they are, and one undo takes the new ones back. Pressed again with another smallest "
            "area or lowest score, it chooses anew among what it saw, without looking again.",
        )
        grid = flat(QGridLayout())
        grid.setColumnStretch(1, 1)
        for row, (text, combo) in enumerate((("Preset", self.presets), ("Region", self.regions))):
            label = QLabel(text)
            label.setBuddy(combo)
            grid.addWidget(label, row, 0)
            grid.addWidget(combo, row, 1)
        column = flat(QVBoxLayout(self))
        column.addLayout(grid)
        column.addWidget(self.form)
        column.addWidget(self.segment)
        self.presets.currentIndexChanged.connect(lambda _: self._follow_preset())
        self.segment.clicked.connect(
            lambda: self.wanted.emit(self.settings, self.regions.currentData())
        )
        self._follow_preset()

    @property
    def settings(self) -> AutomaticSettings:
        """What to look for, as it is chosen now."""
        controls = self.form.controls
        smallest = controls["smallest_px"].value()
        most = AutomaticSettings.preset(self.presets.currentData()).largest_px
        return AutomaticSettings.preset(
            self.presets.currentData(),
            smallest_px=smallest,
            min_score=controls["min_score"].value(),
            by_box=controls["by_box"].isChecked(),
            largest_px=max(most, smallest) if most else 0,
        )

    def _follow_preset(self) -> None:
        self.form.show_values(AutomaticSettings.preset(self.presets.currentData()))
