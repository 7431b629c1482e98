"""Functions that the manifest ``napari.yaml`` names; they load nothing until called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from napari_samhq.ui.commands import refine_labels, segment_everything
    from napari_samhq.ui.dock import SamHQDock

__all__ = [
    "SamHQDock",
    "get_labels_reader",
    "get_objects_reader",
    "get_session_reader",
    "get_zarr_reader",
    "refine_labels",
    "sample_neuron",
    "sample_nuclei",
    "sample_tissue",
    "segment_everything",
    "write_coco",
    "write_geojson",
    "write_imagej_rois",
    "write_labelme",
    "write_npy",
    "write_ome_tiff",
    "write_ome_zarr",
    "write_png",
    "write_prompts",
    "write_session",
    "write_smooth_geojson",
    "write_table",
    "write_yolo",
]

_DATA = Path(__file__).parent / "data"

LayerData = tuple[Any, dict[str, Any], str]


def __getattr__(name: str) -> Any:
    # npe2 wants the widgets themselves, which bring Qt; so only when they are asked for.
    if name == "SamHQDock":
        from napari_samhq.ui.dock import SamHQDock

        return SamHQDock
    if name in ("refine_labels", "segment_everything"):
        from napari_samhq.ui import commands

        return getattr(commands, name)
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
    from napari_samhq.session.storage.napari_files import read_layers

    paths = [path] if isinstance(path, str) else path
    return [layer for one in paths for layer in read_layers(one)]


def get_objects_reader(path: str | list[str]) -> Callable[[Any], list[LayerData]] | None:
    """Offer to read GeoJSON, COCO, labelme, YOLO and ROIs of ImageJ; None for all others.

    JSON files of other kinds, other texts, and archives without ROIs are others.

    Examples
    --------
    >>> get_objects_reader("cells.geojson") is None, get_objects_reader("cells.csv") is None
    (False, True)
    """
    return _reader_of(path, (".geojson", ".json", ".zip", ".roi", ".txt"))


def get_labels_reader(path: str | list[str]) -> Callable[[Any], list[LayerData]] | None:
    """Offer to read label images with the size of their pixels; None for files of other kinds.

    Examples
    --------
    >>> get_labels_reader("cells.labels.tif") is None, get_labels_reader("cells.jpg") is None
    (False, True)
    """
    return _reader_of(path, (".tif", ".tiff", ".png", ".npy", ".zarr"))


def get_zarr_reader(path: str | list[str]) -> Callable[[Any], list[LayerData]] | None:
    """Offer to read folders of zarr: images, plates, series and labels; None for all others.

    Examples
    --------
    >>> get_zarr_reader("cells.tif") is None
    True
    """
    from napari_samhq.io.ome_zarr_layers import is_zarr

    paths = [path] if isinstance(path, str) else path
    return _read_files if all(is_zarr(one) for one in paths) else None


def _reader_of(
    path: str | list[str], suffixes: tuple[str, ...]
) -> Callable[[Any], list[LayerData]] | None:
    from napari_samhq.io.layer_data import is_readable

    paths = [path] if isinstance(path, str) else path
    ours = (one.lower().rstrip("/").endswith(suffixes) and is_readable(one) for one in paths)
    if not all(ours):
        return None
    return _read_files


def _read_files(path: str | list[str]) -> list[LayerData]:
    from napari_samhq.io.layer_data import read_layer_data

    paths = [path] if isinstance(path, str) else path
    return [layer for one in paths for layer in read_layer_data(one)]


def write_geojson(path: str, data: Any, options: dict[str, Any]) -> list[str]:
    """Write a labels layer as outlines for QuPath."""
    return _write_labels(path, data, options, ".geojson")


def write_smooth_geojson(path: str, data: Any, options: dict[str, Any]) -> list[str]:
    """Write a labels layer as outlines for QuPath without the stairs of the pixels."""
    return _write_labels(path, data, options, ".geojson", smooth_px=1.0)


def write_coco(path: str, data: Any, options: dict[str, Any]) -> list[str]:
    """Write a labels layer as COCO instances, run-length encoded."""
    return _write_labels(path, data, options, ".json")


def write_labelme(path: str, data: Any, options: dict[str, Any]) -> list[str]:
    """Write a labels layer as shapes for labelme."""
    return _write_labels(path, data, options, ".labelme.json")


def write_yolo(path: str, data: Any, options: dict[str, Any]) -> list[str]:
    """Write a labels layer as polygons of YOLO."""
    return _write_labels(path, data, options, ".txt")


def write_imagej_rois(path: str, data: Any, options: dict[str, Any]) -> list[str]:
    """Write a labels layer as outlines for the ROI Manager of ImageJ."""
    return _write_labels(path, data, options, ".zip")


def write_ome_tiff(path: str, data: Any, options: dict[str, Any]) -> list[str]:
    """Write a labels layer as TIFF with the size of its pixels."""
    return _write_labels(path, data, options, ".labels.ome.tif", ".tif", ".tiff")


def write_ome_zarr(path: str, data: Any, options: dict[str, Any]) -> list[str]:
    """Write a labels layer as OME-Zarr with a pyramid and the size of its pixels."""
    return _write_labels(path, data, options, ".ome.zarr", ".zarr")


def write_png(path: str, data: Any, options: dict[str, Any]) -> list[str]:
    """Write a labels layer as PNG of 8 or 16 bits."""
    return _write_labels(path, data, options, ".labels.png", ".png")


def write_npy(path: str, data: Any, options: dict[str, Any]) -> list[str]:
    """Write a labels layer as a file of numpy."""
    return _write_labels(path, data, options, ".labels.npy", ".npy")


def write_table(path: str, data: Any, options: dict[str, Any]) -> list[str]:
    """Write the objects of a labels layer as a CSV table."""
    return _write_labels(path, data, options, ".csv")


def write_prompts(path: str, layers: list[LayerData]) -> list[str]:
    """Write points and shapes as prompts, in GeoJSON."""
    from napari_samhq.session.storage.napari_files import write_prompts_file

    return [str(write_prompts_file(path, layers))]


def _write_labels(
    path: str, data: Any, options: dict[str, Any], *suffixes: str, smooth_px: float = 0.0
) -> list[str]:
    from napari_samhq.session.storage.napari_files import write_labels_file

    return [str(write_labels_file(path, data, options, suffixes, smooth_px=smooth_px))]


def write_session(path: str, layers: list[LayerData]) -> list[str]:
    """Write the session that works on a labels layer, or labels and image as a new one."""
    from napari_samhq.session.storage.napari_files import write_layers

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
