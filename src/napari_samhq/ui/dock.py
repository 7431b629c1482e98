"""The dock widget "SAM-HQ": its parts, what they are connected to, and how it all ends."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_samhq.session.layers.lookup import images_of
from napari_samhq.ui.actions import Actions
from napari_samhq.ui.controller import Controller
from napari_samhq.ui.everything_panel import EverythingPanel
from napari_samhq.ui.files import Files
from napari_samhq.ui.keys import KEYS, KeyRing
from napari_samhq.ui.learning import Learning
from napari_samhq.ui.learning_panel import LearningPanel
from napari_samhq.ui.object_panel import ObjectPanel
from napari_samhq.ui.objects import labels_of, targets_of
from napari_samhq.ui.panels import RecoveryBanner, SourcePanel, StatusPanel, ToolPanel
from napari_samhq.ui.parts import Section, flat
from napari_samhq.ui.showing import Showing
from napari_samhq.ui.side_panels import FilePanel, RefinePanel, SettingsPanel
from napari_samhq.ui.table import ObjectsPanel

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_samhq.engine.engine import Engine
    from napari_samhq.ui.preferences import Preferences

__all__ = ["SamHQDock"]

_COUNT_AGAIN_MS = 150  # areas are counted once a row of changes is over
_SIZED_MS = 60  # until a section that was opened has its size
_REBIND_MS = 600  # somebody may still be writing the keys


class SamHQDock(QWidget):
    """Segment the objects of an image by clicks, boxes and outlines.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer that the widget is docked in.
    engine : Engine, optional
        What does the work; the real models, shared by all docks, by default.
    preferences : Preferences, optional
        What the user prefers; as napari keeps it by default.
    """

    def __init__(
        self,
        napari_viewer: ViewerModel,
        engine: Engine | None = None,
        preferences: Preferences | None = None,
    ) -> None:
        super().__init__()
        self.controller = Controller(napari_viewer, engine, preferences)
        self.commands = Actions(self.controller)
        self.recovery, self.source, self.tools = RecoveryBanner(), SourcePanel(), ToolPanel()
        self.object, self.status = ObjectPanel(), StatusPanel()
        self.objects, self.refine = ObjectsPanel(self.controller.color_of), RefinePanel()
        self.everything, self.learning = EverythingPanel(), LearningPanel()
        self.settings, self.files = SettingsPanel(), FilePanel()
        self.sections = self._make_sections()
        self._opened = self.sections["objects"]
        self._was_docked = False
        self._lay_out()
        self._showing = Showing(self)
        self.storage = Files(self.controller, self.recovery, self)
        self.school = Learning(self.controller, self.learning, self._showing.models)
        self._keys = KeyRing(napari_viewer, {key.action: self._do(key.action) for key in KEYS})
        self._counting = self._timer(_COUNT_AGAIN_MS, self._showing.objects)
        self._looking = self._timer(0, self.storage.look)
        self._taking_up = self._timer(0, self.storage.take_up_read)
        self._scrolling = self._timer(_SIZED_MS, self._bring_into_sight)
        self._rebinding = self._timer(_REBIND_MS, self._bind_keys)
        self._connect_panels()
        self._connect_controller()
        #: Ends all that runs. Happens by itself when the widget or the viewer is closed.
        timers = self.findChildren(QTimer)
        self.shut_down = partial(_shut_down, self.controller, self._keys, self.school, timers)
        self.destroyed.connect(self.shut_down)  # holds no reference to this widget
        self._bind_keys()
        self._showing.layers()
        self._showing.models()
        self._show()
        self._taking_up.start()

    def event(self, event: QEvent | None) -> bool:
        """Notice when napari takes the widget out of its dock, which it does on closing."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._was_docked = True
            elif self._was_docked:
                self.shut_down()
        return super().event(event)

    # ------------------------------------------------------------------------------------ building

    def _make_sections(self) -> dict[str, Section]:
        sections = {
            "objects": Section("Objects", self.objects, "All objects: go there, edit, delete."),
            "refine": Section(
                "From a Labels layer", self.refine, "Better outlines for objects that exist."
            ),
            "everything": Section(
                "Everything", self.everything, "All objects of the image at once."
            ),
            "learning": Section(
                "Learn from my corrections",
                self.learning,
                "A model that knows objects like yours, from those that you made.",
            ),
            "settings": Section(
                "Output and settings", self.settings, "Where objects go, and by which rules."
            ),
        }
        for name, section in sections.items():
            section.set_open(self.controller.preferences.get("dock", f"{name}_open", False))
        return sections

    def _lay_out(self) -> None:
        column = QVBoxLayout()
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(10)
        parts = [self.recovery, self.source, self.tools, self.object]
        for panel in (*parts, *self.sections.values(), self.files):
            column.addWidget(panel)
        column.addStretch(1)
        inside = QWidget()
        inside.setLayout(column)
        scroll = QScrollArea()  # small windows and large fonts
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setWidget(inside)
        self._scroll = scroll
        outside = flat(QVBoxLayout(self))
        outside.addWidget(scroll, 1)
        line = QFrame()
        line.setFrameShape(QFrame.Shape.HLine)
        outside.addWidget(line)
        self.status.setContentsMargins(6, 2, 6, 6)
        outside.addWidget(self.status)  # always seen, however far the rest is scrolled
        self.setMinimumWidth(300)

    def _timer(self, milliseconds: int, action: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(action)
        return timer

    # ---------------------------------------------------------------------------------- connecting

    def _connect_panels(self) -> None:
        controller, commands = self.controller, self.commands
        self.source.image_chosen.connect(
            lambda index: controller.use_image(images_of(controller.viewer)[index])
        )
        self.source.model_chosen.connect(controller.use_model)
        self.tools.tool_chosen.connect(controller.use_tool)
        self.tools.polarity_chosen.connect(controller.use_polarity)
        self.object.wanted.connect(lambda action: self._do(action)())
        self.object.candidates.chosen.connect(commands.choose)
        self.object.outline.output_chosen.connect(commands.choose_output)
        self.object.outline.threshold_chosen.connect(commands.choose_threshold)
        self.object.outline.difference_wanted.connect(commands.show_difference)
        self.objects.visited.connect(commands.visit)
        self.objects.reopen_wanted.connect(commands.reopen)
        self.objects.delete_wanted.connect(commands.delete)
        self.objects.class_wanted.connect(commands.classify)
        self.refine.wanted.connect(
            lambda index: commands.refine(labels_of(controller.viewer, controller.session)[index])
        )
        self.everything.wanted.connect(commands.segment_everything)
        self.everything.refiltered.connect(self._choose_anew)
        self.settings.target_chosen.connect(self._use_target)
        self.settings.preview_wanted.connect(self._showing.preview)
        self.status.fetch_wanted.connect(self._do("fetch"))
        self.status.cancel_wanted.connect(self._do("cancel"))
        self.files.save_wanted.connect(self.storage.save)
        self.files.open_wanted.connect(self.storage.open)
        for name, section in self.sections.items():
            section.toggled.connect(partial(self._remember_section, name))
        for group, edited in (
            ("rules", self.settings.rule_edited),
            ("session", self.settings.session_edited),
        ):
            edited.connect(partial(controller.preferences.put, group))

    def _connect_controller(self) -> None:
        controller = self.controller
        controller.changed.connect(self._show)
        controller.layers_changed.connect(self._showing.layers)
        controller.layers_changed.connect(lambda: self._taking_up.start())
        controller.preferences.listen("keys", self._rebinding.start)

    def _do(self, action: str) -> Callable[[], None]:
        """Make what a key or button calls."""
        in_table = {
            "go_next": lambda: self._step(1),
            "go_previous": lambda: self._step(-1),
            "reopen": lambda: self.commands.reopen(self.objects.chosen),
            "save": self.storage.save,
        }
        return in_table.get(action, lambda: self.commands.act(action))

    def _use_target(self, index: int) -> None:
        layers = targets_of(self.controller.viewer, self.controller.session)
        self.commands.use_labels(layers[index] if index < len(layers) else None)
        self._showing.layers()

    def _choose_anew(self) -> None:
        if self.commands.can_choose_anew():
            self.everything.ask()

    def _step(self, by: int) -> None:
        if not self.commands.step(by):
            self._showing.objects()
            self.objects.step(by)

    def _remember_section(self, name: str, is_open: bool) -> None:
        self.controller.preferences.put("dock", f"{name}_open", is_open)
        self._show()
        if is_open:
            self._opened = self.sections[name]
            self._scrolling.start()

    def _bring_into_sight(self) -> None:
        """Scroll to the section that was just opened: to all of it, else to its beginning."""
        self._scroll.ensureWidgetVisible(self._opened, 0, 0)
        self._scroll.ensureWidgetVisible(self._opened.header, 0, 0)

    def _bind_keys(self) -> None:
        preferences = self.controller.preferences
        self._keys.bind({k.action: preferences.get("keys", k.action, k.keys) for k in KEYS})
        for panel in (self.tools, self.object, self.files):
            panel.show_keys(self._keys.written)
        if self._keys.problems:
            self.controller.say(" ".join(self._keys.problems))

    def _show(self) -> None:
        """Bring everything up to date."""
        self._showing.all()
        self._counting.start()
        self._looking.start()


def _shut_down(
    controller: Controller, keys: KeyRing, school: Learning, timers: list[QTimer], *_: Any
) -> None:
    school.close()
    controller.changed.disconnect()
    controller.layers_changed.disconnect()
    keys.unbind()
    controller.close()
    for timer in timers:  # what they would do needs widgets that may soon be gone
        timer.stop()
    timers.clear()
