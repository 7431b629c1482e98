"""What the manifest ``napari.yaml`` names: functions that load nothing until called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from napari_samhq.ui.dock import SamHQDock

__all__ = [
    "SamHQDock",
    "get_session_reader",
    "sample_neuron",
    "sample_nuclei",
    "sample_tissue",
    "write_session",
]

_DATA = Path(__file__).parent / "data"

LayerData = tuple[Any, dict[str, Any], str]


def __getattr__(name: str) -> Any:
    # npe2 wants the widget's class itself, which brings Qt; so only when it is asked for.
    if name == "SamHQDock":
        from napari_samhq.ui.dock import SamHQDock

        return SamHQDock
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def sample_nuclei() -> list[LayerData]:
    """Open nuclei of U2OS cells, wide-field fluorescence, 16-bit grey.

    Examples
    --------
    >>> sample_nuclei()[0][0].shape
    (520, 696)
    """
    pixels = _read("nuclei.png")
    # What the camera adds, and the few brightest pixels, would make everything else dark.
    low, high = (float(limit) for limit in _percentiles(pixels))
    return [(pixels, {"name": "nuclei", "contrast_limits": (low, high)}, "image")]


def sample_tissue() -> list[LayerData]:
    """Open stained tissue, bright field, colour.

    Examples
    --------
    >>> sample_tissue()[0][0].shape
    (256, 320, 3)
    """
    return [(_read("tissue.webp"), {"name": "tissue", "rgb": True}, "image")]


def sample_neuron() -> list[LayerData]:
    """Open a living neuron, transmitted light, colour.

    Examples
    --------
    >>> sample_neuron()[0][0].shape
    (480, 640, 3)
    """
    return [(_read("neuron.jpg"), {"name": "neuron", "rgb": True}, "image")]


def get_session_reader(path: str | list[str]) -> Callable[[Any], list[LayerData]] | None:
    """Offer to read session files; None for all others.

    Examples
    --------
    >>> get_session_reader("cells.json") is None
    True
    """
    paths = [path] if isinstance(path, str) else path
    if not all(one.lower().endswith(".samhq.json") for one in paths):
        return None
    return _read_sessions


def _read_sessions(path: str | list[str]) -> list[LayerData]:
    from napari_samhq.session.layer_files import read_layers

    paths = [path] if isinstance(path, str) else path
    return [layer for one in paths for layer in read_layers(one)]


def write_session(path: str, layers: list[LayerData]) -> list[str]:
    """Write the session that works on a labels layer, or labels and image as a new one."""
    from napari_samhq.session.layer_files import write_layers

    return [str(write_layers(path, layers))]


def _read(name: str) -> NDArray[Any]:
    import numpy as np
    from PIL import Image

    with Image.open(_DATA / name) as image:
        # Pillow opens 16-bit grey as 32-bit integers.
        return np.asarray(image, dtype=np.uint8 if image.mode == "RGB" else np.uint16)


def _percentiles(pixels: NDArray[Any]) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(np.percentile(pixels, (0.1, 99.9)), dtype=np.float64)
