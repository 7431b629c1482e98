"""The objects of a session as rows of the table, and the way to each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.geometry.units import unit_factors
from napari_samhq.errors import LayerError
from napari_samhq.session.labels.create import check_labels
from napari_samhq.session.layers.current_plane import show_plane
from napari_samhq.session.layers.transforms import layer_transform
from napari_samhq.ui.table import ObjectRow

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels
    from numpy.typing import NDArray

    from napari_samhq.session import Session

__all__ = ["go_to", "labels_of", "object_rows", "pixel_area", "targets_of"]

# Parts of the canvas: between these the zoom stays as it is, otherwise an object takes this much.
_LEAST_ON_CANVAS, _ON_CANVAS, _MOST_ON_CANVAS = 0.04, 0.3, 0.9
_LEAST_SHOWN_PX = 24  # smaller objects are shown as if they were this wide, with more around them


def labels_of(viewer: ViewerModel, session: Session | None) -> list[Labels]:
    """List the labels layers whose objects can be refined: all but the preview."""
    from napari.layers import Labels

    preview = None if session is None else session.preview.unique_id
    labels = [layer for layer in viewer.layers if isinstance(layer, Labels)]
    return [layer for layer in labels if layer.unique_id != preview]


def targets_of(viewer: ViewerModel, session: Session | None) -> list[Labels]:
    """List the labels layers that objects can go to."""
    if session is None:
        return []
    fitting = []
    for layer in labels_of(viewer, session):
        try:
            check_labels(layer, session.image)
        except LayerError:  # it lies elsewhere, or cannot be written to
            continue
        fitting.append(layer)
    return fitting


def object_rows(session: Session) -> list[ObjectRow]:
    """List the objects of a session."""
    table = session.objects
    columns = zip(
        *(
            table[name]
            for name in ("label_id", "score", "area", "plane", "prompts", "model", "category")
        ),
        strict=True,
    )
    return [
        ObjectRow(
            int(label_id),
            float(score),
            int(area),
            tuple(int(place) for place in plane),
            f"Made with {prompts}, by {model}." if model else "Painted by hand.",
            category,
        )
        for label_id, score, area, plane, prompts, model, category in columns
    ]


def pixel_area(image: Image, axes: tuple[int, int]) -> tuple[float, str]:
    """Tell the area of a pixel, and the unit of length; an empty one where the image has none.

    Examples
    --------
    >>> from napari.layers import Image
    >>> image = Image(np.zeros((40, 60)), scale=(0.5, 0.5), units=("um", "um"))
    >>> pixel_area(image, (0, 1))
    (0.25, 'µm')
    """
    units = {format(image.units[axis], "~") for axis in axes}
    if len(units) != 1 or units <= {"pixel", "px", ""}:
        return 1.0, ""
    # The image may be rotated or sheared: what two sides of a pixel span in the world.
    sides = layer_transform(image).matrix[:-1, :-1][:, list(axes)]
    return float(np.sqrt(np.linalg.det(sides.T @ sides))), units.pop()


def go_to(viewer: ViewerModel, session: Session, label_id: int) -> None:
    """Show an object: its plane, in the middle of the canvas, and large enough to be seen."""
    image = session.image
    show_plane(viewer, image, session.locate(label_id))
    plane, record = session.plane, session.records.get(label_id)
    if record is not None and record.mask is not None:
        rows, cols = record.mask.region
    else:
        rows, cols = session.pixels_of(label_id).region
    if rows.stop > rows.start:
        corners = np.array([(row, col) for row in _ends(rows) for col in _ends(cols)])
        seen = _in_world(viewer, image, plane.lift(corners))
        pixels = max(rows.stop - rows.start, cols.stop - cols.start)
        _look_at(viewer, seen, wider=max(1.0, _LEAST_SHOWN_PX / pixels))


def _ends(part: slice) -> tuple[int, int]:
    return part.start, part.stop - 1


def _in_world(
    viewer: ViewerModel, image: Image, positions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Bring positions in an image to the world of the viewer."""
    world = layer_transform(image).world_from_data(positions)
    units = viewer.layers.extent.units
    if units is not None:
        own = [str(unit) for unit in image.units]
        world = world * unit_factors(own, [str(unit) for unit in units][-image.ndim :])
    full = np.tile(np.asarray(viewer.dims.point, dtype=float), (len(world), 1))
    full[:, -image.ndim :] = world
    return full


def _look_at(viewer: ViewerModel, corners: NDArray[np.float64], wider: float) -> None:
    displayed, camera = list(viewer.dims.displayed), viewer.scene.camera
    shown = corners[:, displayed]
    low, high = shown.min(axis=0), shown.max(axis=0)
    center = np.array(camera.center, dtype=float)
    center[-len(displayed) :] = (low + high) / 2
    camera.center = tuple(center)
    size, canvas = max(float((high - low).max()), 1e-12), float(min(viewer.canvas.size))
    if not _LEAST_ON_CANVAS < size * camera.zoom / canvas < _MOST_ON_CANVAS:
        camera.zoom = _ON_CANVAS * canvas / (size * wider)
