"""Take the screenshots in docs/images: the real window, on a real image, with the real model.

    xvfb-run -a -s "-screen 0 1280x1024x24" python docs/make_screenshots.py

Without xvfb-run it works on any screen that has room for a window of 1280 x 800 pixels.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import TYPE_CHECKING

import napari
import numpy as np
from PIL import Image
from qtpy.QtWidgets import QApplication

from napari_samhq import load_model
from napari_samhq._plugin import SamHQDock, sample_nuclei, sample_tissue
from napari_samhq.inference.predictor import Predictor
from napari_samhq.session.engine import Engine, ModelSource

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
SIZE = (1280, 800)


class Photographer:
    """Opens a window with the dock, waits for it, and takes pictures of it."""

    def __init__(self, theme: str, out: Path, weights: str) -> None:
        self.theme, self.out = theme, out
        self.viewer = napari.Viewer(show=False)
        self.viewer.theme = theme
        self.window = self.viewer.window._qt_window
        self.window.resize(*SIZE)
        self.window.show()

        def load(name: str, report: Callable[[float, float], None]) -> Predictor:
            return Predictor(load_model(weights if name == "micro" else name, progress=report))

        self.dock = SamHQDock(self.viewer, Engine(ModelSource(load=load)))
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

    def settle(self) -> None:
        self.wait(0.3)
        end = time.monotonic() + 60
        while self.dock.controller.status.busy and time.monotonic() < end:
            self.wait(0.1)
        self.wait(0.8)

    def shoot(self, name: str) -> None:
        self.settle()
        pixels = self.viewer.window.screenshot(canvas_only=False, flash=False)
        path = self.out / f"{name}-{self.theme}.png"
        Image.fromarray(smaller(pixels[..., :3])).save(path, optimize=True)
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB  {self.dock.status.sentence.text()}")

    def close(self) -> None:
        self.viewer.close()
        self.wait(0.2)


def smaller(rgb: np.ndarray) -> np.ndarray:
    """Take the finest noise out of grey pixels, which nobody sees, and a third of the file."""
    grey = (rgb == rgb[..., :1]).all(axis=-1) & (rgb[..., 0] < 230)
    return np.where(grey[..., np.newaxis], rgb // 4 * 4, rgb)


def tour(photographer: Photographer, boxes: np.ndarray) -> None:
    """Go through the states of the dock as a user would."""
    viewer, dock, act = photographer.viewer, photographer.dock, photographer.dock.controller.act
    photographer.shoot("no-image")
    data, options, _ = sample_nuclei()[0]
    viewer.add_image(data, **options)
    photographer.shoot("ready")

    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    first = int(np.argmin(np.abs(centers - [250, 340]).sum(axis=1)))
    photographer.session.points.add(centers[first])
    photographer.shoot("preview")
    act("accept")
    for box in np.delete(boxes, first, axis=0)[:40]:
        photographer.session.add_box(box)
        photographer.session.commit()
    second = int(np.argmin(np.abs(centers - [430, 500]).sum(axis=1)))
    dock.controller.use_tool("box")
    photographer.session.add_box(boxes[second])
    photographer.shoot("objects")
    act("reject")
    dock.controller.use_polarity(False)
    photographer.session.points.add(centers[second])
    photographer.shoot("only-background")
    act("reject")
    photographer.session.reopen(5)
    dock.controller.use_polarity(True)
    photographer.shoot("editing")
    act("reject")
    dock.controller.use_model("vit_b")
    photographer.shoot("fetch")
    dock.controller.use_model("micro")
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


def main() -> None:
    """Take all pictures, in both themes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "images")
    parser.add_argument("--weights", default="micro", help="other weights, to look at them")
    parser.add_argument("--themes", nargs="+", default=["dark", "light"])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    import napari_samhq

    folder = Path(napari_samhq.__file__).parent / "data"
    with (folder / "nuclei_boxes.csv").open(newline="") as file:
        boxes = np.array(list(csv.reader(file))[1:], dtype=float)
    for theme in options.themes:
        photographer = Photographer(theme, options.out, options.weights)
        tour(photographer, boxes)
        photographer.close()


if __name__ == "__main__":
    main()
