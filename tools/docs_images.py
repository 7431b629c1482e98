"""Make the pictures of the documents: the real window, on a real image, with the bundled model.

    make docs-images

Writes into docs/images. Look at what came out before committing it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_samhq._plugin import SamHQDock, sample_nuclei
from napari_samhq.io.prompt_files import read_boxes_csv
from napari_samhq.session import State

ROOT = Path(__file__).parents[1]
BOXES = ROOT / "src" / "napari_samhq" / "data" / "nuclei_boxes.csv"
SIZE = (1280, 800)


def wait_for(dock: SamHQDock, *states: State, seconds: float = 120) -> None:
    """Let the window live until the session is in one of these states."""
    end = time.monotonic() + seconds
    while dock.controller.status.state not in states:
        if time.monotonic() > end:
            raise TimeoutError(f"still {dock.controller.status} after {seconds} s")
        QApplication.processEvents()
        time.sleep(0.01)


def settle(seconds: float = 0.5) -> None:
    """Let the window draw what changed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def main() -> None:
    """Open the window, annotate, take pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--model", default="micro")
    parser.add_argument("--objects", type=int, default=60, help="accepted before the picture")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)

    viewer = napari.Viewer(show=False)
    window = viewer.window
    window._qt_window.resize(*SIZE)
    window._qt_window.show()
    pixels, how, _ = sample_nuclei()[0]
    viewer.add_image(pixels, **how)
    dock = SamHQDock(viewer)
    window.add_dock_widget(dock, name="SAM-HQ", area="right")
    dock.controller.use_model(options.model)
    wait_for(dock, State.READY)

    boxes = [p.box for p in read_boxes_csv(BOXES).values() if p.box is not None]
    session = dock.controller.session
    for box in boxes[: options.objects]:
        session.add_box(box)
        wait_for(dock, State.PREVIEW)
        dock.controller.act("accept")
        wait_for(dock, State.READY)
    # The one that is being made: a click on the middle of the next nucleus.
    box = boxes[options.objects]
    session.add_points([[np.mean(box[[0, 2]]), np.mean(box[[1, 3]])]])
    wait_for(dock, State.PREVIEW)
    viewer.reset_view()
    settle(2)
    window.screenshot(str(options.output / "dock.png"), canvas_only=False, flash=False)
    viewer.close()
    settle()


if __name__ == "__main__":
    main()
