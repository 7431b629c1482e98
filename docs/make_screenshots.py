"""Take the screenshots in docs/images: the real window, on a real image, with the real model.

    xvfb-run -a -s "-screen 0 1280x1024x24" python docs/make_screenshots.py

Without xvfb-run it works on any screen that has room for a window of 1280 x 800 pixels.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import napari
import numpy as np
from PIL import Image
from qtpy.QtWidgets import QApplication, QScrollArea

from napari_samhq import load_model
from napari_samhq._plugin import SamHQDock, sample_nuclei, sample_tissue
from napari_samhq.engine.engine import Engine
from napari_samhq.engine.models import ModelSource
from napari_samhq.errors import DownloadError, OutOfMemoryError
from napari_samhq.inference.predictor import Predictor
from napari_samhq.session.storage.autosave import Recoverable
from napari_samhq.ui.files import offer_of
from napari_samhq.ui.preferences import Preferences

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_samhq import LoadedModel

HERE = Path(__file__).parent
SIZE = (1280, 800)


class Photographer:
    """Opens a window with the dock, waits for it, and takes pictures of it."""

    def __init__(self, theme: str, out: Path, weights: str, only: list[str]) -> None:
        self.theme, self.out, self.only = theme, out, only
        self.fault: Exception | None = None  # what the model runs into next
        self.viewer = napari.Viewer(show=False)
        self.viewer.theme = theme
        self.window = self.viewer.window._qt_window
        self.window.resize(*SIZE)
        self.window.show()

        def load(name: str, report: Callable[[float, float], None]) -> Predictor:
            if name == "vit_b":  # a slow line, and then none
                for done in range(0, 140):
                    report(done * 1e6, 380e6)
                    time.sleep(0.02)
                raise DownloadError(
                    "The model vit_b cannot be fetched: there is no connection. Try again later, "
                    "or use micro, which is bundled."
                )
            return Faulty(load_model(weights if name == "micro" else name, progress=report), self)

        self.dock = SamHQDock(self.viewer, Engine(ModelSource(load=load)), Preferences.forgetful())
        self.viewer.window.add_dock_widget(self.dock, name="SAM-HQ", area="right")
        self.wait(0.5)

    @property
    def session(self):
        return self.dock.controller.session

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.01)

    def wants(self, *names: str) -> bool:
        """Whether one of these pictures is to be taken."""
        return not self.only or not set(names).isdisjoint(self.only)

    def settle(self) -> None:
        self.wait(0.3)
        end = time.monotonic() + 900
        while self.dock.controller.status.busy and time.monotonic() < end:
            self.wait(0.1)
        self.wait(0.8)

    def shoot(self, name: str, *, settled: bool = True) -> None:
        if settled:
            self.settle()
        if not self.wants(name):
            return
        pixels = self.viewer.window.screenshot(canvas_only=False, flash=False)
        path = self.out / f"{name}-{self.theme}.png"
        Image.fromarray(smaller(pixels[..., :3])).save(path, optimize=True)
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB  {self.dock.status.sentence.text()}")

    def open_only(self, name: str | None) -> None:
        """Open one section of the dock, or none."""
        for one, section in self.dock.sections.items():
            section.set_open(one == name)
        self.wait(0.4)
        if name is not None:  # into sight
            scroll = self.dock.findChild(QScrollArea)
            scroll.ensureWidgetVisible(self.dock.sections[name], 0, 0)

    def close(self) -> None:
        self.viewer.close()
        self.wait(0.2)


class Faulty(Predictor):
    """The real model, which runs into a fault where a picture of that is wanted."""

    def __init__(self, model: LoadedModel, photographer: Photographer) -> None:
        super().__init__(model)
        self._photographer = photographer

    def iter_predict(self, *args, **options):
        if self._photographer.fault is not None:
            raise self._photographer.fault
        return super().iter_predict(*args, **options)


def smaller(rgb: np.ndarray) -> np.ndarray:
    """Take the finest noise out of grey pixels, which nobody sees, and a third of the file."""
    grey = (rgb == rgb[..., :1]).all(axis=-1) & (rgb[..., 0] < 230)
    return np.where(grey[..., np.newaxis], rgb // 4 * 4, rgb)


def tour(photographer: Photographer, boxes: np.ndarray) -> None:
    """Go through the states of the dock as a user would."""
    viewer, dock = photographer.viewer, photographer.dock
    act, controller = dock.commands.act, dock.controller
    photographer.shoot("no-image")
    data, options, _ = sample_nuclei()[0]
    viewer.add_image(data, **options)
    photographer.shoot("ready")

    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    nearest = np.argsort(np.abs(centers - [250, 340]).sum(axis=1))
    session = photographer.session
    session.points.add(centers[nearest[0]])
    photographer.shoot("preview")
    zoom, center = viewer.scene.camera.zoom, viewer.scene.camera.center
    viewer.scene.camera.zoom, viewer.scene.camera.center = 8 * zoom, (0, *centers[nearest[0]])
    session.shows_difference = True
    photographer.shoot("difference")
    session.shows_difference = False
    viewer.scene.camera.zoom, viewer.scene.camera.center = zoom, center
    act("accept")

    controller.use_tool("box")
    session.add_boxes(boxes[nearest[1:21]])
    photographer.shoot("several")
    act("accept_all")
    photographer.settle()
    photographer.open_only("objects")
    dock.objects.go_to_worst()
    viewer.reset_view()
    photographer.shoot("objects")
    photographer.open_only(None)
    session.reopen(5)
    viewer.reset_view()
    photographer.shoot("editing")
    act("reject")

    controller.use_polarity(False)
    session.points.add(centers[nearest[30]])
    photographer.shoot("only-background")
    act("reject")
    controller.use_polarity(True)
    photographer.fault = OutOfMemoryError(
        "There is too little memory on cuda:0 for finding the outline. Close other programs that "
        "use it, or choose the device 'cpu' under Output and settings."
    )
    session.points.add(centers[nearest[31]])
    photographer.shoot("out-of-memory")
    photographer.fault = None
    act("reject")

    photographer.open_only("refine")
    photographer.shoot("refine")
    everything(photographer)
    learning(photographer)
    photographer.open_only("settings")
    dock.settings.preview.click()
    photographer.wait(0.3)
    photographer.dock.findChild(QScrollArea).ensureWidgetVisible(dock.settings.picture, 0, 0)
    photographer.shoot("settings")
    photographer.open_only(None)
    models(photographer)
    banner(photographer)
    viewer.dims.ndisplay = 3
    photographer.shoot("three-dimensions")
    viewer.dims.ndisplay = 2
    viewer.layers.clear()
    photographer.settle()
    data, options, _ = sample_tissue()[0]
    viewer.add_image(data, **options)
    viewer.reset_view()
    photographer.settle()
    photographer.session.points.add([187, 160])
    photographer.shoot("colour")


def everything(photographer: Photographer) -> None:
    """Find all nuclei, and take them back."""
    if not photographer.wants("segmenting", "everything"):
        return
    dock = photographer.dock
    photographer.open_only("everything")
    dock.everything.segment.click()
    photographer.wait(0.5)
    photographer.shoot("segmenting", settled=False)
    photographer.shoot("everything")
    dock.commands.act("undo")


def learning(photographer: Photographer) -> None:
    """Learn from the objects until there is a curve to see, and stop."""
    if not photographer.wants("learning"):
        return
    panel, school = photographer.dock.learning, photographer.dock.school
    photographer.open_only("learning")
    panel.name.setText("my-nuclei")
    panel.learn.click()
    end = time.monotonic() + 900
    while school.busy and time.monotonic() < end and len(panel.curve.values) < 3:
        photographer.wait(0.2)
    photographer.shoot("learning", settled=False)
    panel.cancel.click()
    while school.busy and time.monotonic() < end:
        photographer.wait(0.2)


def models(photographer: Photographer) -> None:
    """Show what happens with a model that is not on the computer."""
    controller, act = photographer.dock.controller, photographer.dock.commands.act
    controller.use_model("vit_b")
    photographer.shoot("fetch")
    act("fetch")
    photographer.wait(1.5)
    photographer.shoot("fetching", settled=False)
    photographer.shoot("offline")
    act("fetch")
    photographer.wait(0.5)
    act("cancel")
    photographer.shoot("stopped")
    controller.use_model("micro")


def banner(photographer: Photographer) -> None:
    """Show the offer to bring unfinished work back."""
    now = datetime.now().astimezone()
    then = (now - timedelta(days=1)).replace(hour=17, minute=3)
    found = Recoverable(Path(), "nuclei", "", (), then.timestamp(), 12, 1, closed=False)
    photographer.dock.recovery.offer(offer_of(found, now))
    photographer.shoot("recovery")
    photographer.dock.recovery.offer("")


def main() -> None:
    """Take all pictures, in both themes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "images")
    parser.add_argument("--weights", default="micro", help="other weights, to look at them")
    parser.add_argument("--themes", nargs="+", default=["dark", "light"])
    parser.add_argument("--only", nargs="*", default=[], help="take these pictures, not all")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    import napari_samhq

    folder = Path(napari_samhq.__file__).parent / "data"
    with (folder / "nuclei_boxes.csv").open(newline="") as file:
        boxes = np.array(list(csv.reader(file))[1:], dtype=float)
    for theme in options.themes:
        # What is learned here is not for keeping; what is unfinished elsewhere is not to be seen.
        os.environ["NAPARI_SAMHQ_MODELS"] = tempfile.mkdtemp()
        os.environ["NAPARI_SAMHQ_STATE"] = tempfile.mkdtemp()
        photographer = Photographer(theme, options.out, options.weights, options.only)
        tour(photographer, boxes)
        photographer.close()


if __name__ == "__main__":
    main()
