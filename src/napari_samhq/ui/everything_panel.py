"""Finding all objects at once: what to look for, by which means, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_samhq.inference.settings import PRESETS, AutomaticSettings, DenseSettings, Search
from napari_samhq.ui.form import Form
from napari_samhq.ui.parts import COLON, Combo, action_button, flat

if TYPE_CHECKING:
    from napari_samhq.settings import Settings

__all__ = ["EverythingPanel"]

_ABOUT = {
    "cells": "round things of middling size",
    "nuclei": "small round things, close together",
    "thin": "long and branched things",
}
_DENSE = ("diameter", "min_score", "smallest_px")
_POINTS = ("min_score", "smallest_px", "by_box")
_FINDER = "micro"  # bundled, and has a dense head
_FILTERS = frozenset({"min_score", "smallest_px"})


class EverythingPanel(QWidget):
    """Asks for all objects of the plane on the screen."""

    wanted = Signal(object, object, object)  # the search, the model that finds, and the region
    refiltered = Signal()  # another choice among what was found is wanted

    def __init__(self) -> None:
        super().__init__()
        self.finders = Combo(
            "How objects are found",
            "All at once by a model that can, which outlines them, too, or leaves that to the "
            "model chosen above; or by a grid of points that the model above is asked at.",
        )
        self.finders.addItem("All at once, by the model", ("auto", None, "cells"))
        self.finders.addItem(
            f"All at once, by {_FINDER}; outlines by the model", ("dense", _FINDER, "cells")
        )
        for name in PRESETS:
            words = f"By points{COLON}{name}, {_ABOUT[name]}"
            self.finders.addItem(words, ("points", None, name))
        self.regions = Combo("Where to look", "The whole plane, or what is on the screen now.")
        self.regions.addItem("whole plane", None)
        self.regions.addItem("what is on the screen", "visible")
        self.forms: dict[str, Form] = {
            "dense": Form(DenseSettings, _DENSE),
            "points": Form(AutomaticSettings, _POINTS),
        }
        self.segment = action_button(
            "Segment",
            "Find all objects and write them into the labels. Objects that are there stay as "
            "they are, and one undo takes the new ones back. Another smallest area, or how sure, "
            "chooses anew among what was seen, at once, without looking again.",
        )
        grid = flat(QGridLayout())
        grid.setColumnStretch(1, 1)
        for row, (text, combo) in enumerate((("Find", self.finders), ("Region", self.regions))):
            label = QLabel(text)
            label.setBuddy(combo)
            grid.addWidget(label, row, 0)
            grid.addWidget(combo, row, 1)
        column = flat(QVBoxLayout(self))
        column.addLayout(grid)
        for form in self.forms.values():
            column.addWidget(form)
            form.edited.connect(lambda name, _: self._edited(name))
        column.addWidget(self.segment)
        self.finders.currentIndexChanged.connect(lambda _: self._follow())
        self.segment.clicked.connect(self.ask)
        self._follow()

    @property
    def search(self) -> Search:
        """What to look for, as it is chosen now."""
        method, _, preset = self.finders.currentData()
        if method == "points":
            return Search(settings=self._points(preset))
        changes = self.forms["dense"].values
        return Search(method, preset, changes=changes)

    def ask(self) -> None:
        """Ask for all objects by what is chosen now."""
        _, find, _ = self.finders.currentData()
        self.wanted.emit(self.search, find, self.regions.currentData())

    def _points(self, preset: str) -> AutomaticSettings:
        values = self.forms["points"].values
        most = AutomaticSettings.preset(preset).largest_px
        largest = max(most, values["smallest_px"]) if most else 0
        return AutomaticSettings.preset(preset, largest_px=largest, **values)

    def _edited(self, name: str) -> None:
        if name in _FILTERS:
            self.refiltered.emit()

    def _follow(self) -> None:
        method, _, preset = self.finders.currentData()
        shown = "points" if method == "points" else "dense"
        for name, form in self.forms.items():
            form.setVisible(name == shown)
        if shown == "points":
            values: Settings = AutomaticSettings.preset(preset)
            self.forms["points"].show_values(values)
