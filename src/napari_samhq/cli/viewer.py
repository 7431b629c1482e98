"""Show the result of the demo in napari; runs as a process of its own."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

__all__ = ["has_display", "show"]


def has_display() -> bool:
    """Tell whether a window can be opened here."""
    if platform.system() == "Linux":
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True


def show(sample: Path, labels: Path) -> None:
    """Open a viewer with image, boxes, labels and the dock widget; return when it is closed.

    Parameters
    ----------
    sample : Path
        Folder of ``nuclei.png`` and ``nuclei_boxes.csv``.
    labels : Path
        The labels that were made from them.
    """
    import napari
    import numpy as np

    from napari_samhq.io.images import read_image
    from napari_samhq.io.prompt_files import read_boxes_csv

    prompts = read_boxes_csv(sample / "nuclei_boxes.csv").values()
    corners = [np.reshape(prompt.box, (2, 2)) for prompt in prompts if prompt.box is not None]
    viewer = napari.Viewer(title="napari-samhq demo")
    viewer.add_image(read_image(sample / "nuclei.png"), name="nuclei")
    viewer.add_labels(read_image(labels).astype(np.int32), name="nuclei labels")
    viewer.add_shapes(
        corners,
        shape_type="rectangle",
        name="boxes",
        face_color="transparent",
        edge_color="white",
        visible=False,
    )
    viewer.window.add_plugin_dock_widget("napari-samhq", "SAM-HQ")
    napari.run()


if __name__ == "__main__":
    show(Path(sys.argv[1]), Path(sys.argv[2]))
