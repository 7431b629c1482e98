"""The plane on the screen: which two axes of the image are shown, and where along the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.units import unit_factors
from napari_samhq.errors import LayerError
from napari_samhq.session.frames import layer_shape, layer_transform

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Plane", "current_plane", "show_plane"]


@dataclass(frozen=True)
class Plane:
    """Two axes of an image layer's data, and the position along all others.

    Attributes
    ----------
    axes : tuple of two ints
        The axes that the plane spans, in the order of the data. Rows run along the first one, so a
        transposed display shows the same plane and coordinates keep their meaning.
    position : tuple of ints
        Index along each remaining axis, in the order of the data.

    Examples
    --------
    >>> plane = Plane(axes=(1, 2), position=(7,))
    >>> plane.index()
    (7, slice(None, None, None), slice(None, None, None))
    >>> plane.lift([[10, 20]]).tolist()
    [[7.0, 10.0, 20.0]]
    """

    axes: tuple[int, int]
    position: tuple[int, ...] = ()

    @property
    def ndim(self) -> int:
        """Number of axes of the data that hold the plane."""
        return 2 + len(self.position)

    @property
    def other_axes(self) -> tuple[int, ...]:
        """The axes that the plane does not span."""
        return tuple(axis for axis in range(self.ndim) if axis not in self.axes)

    def index(self, region: tuple[slice, slice] | None = None) -> tuple[int | slice, ...]:
        """Build the index that cuts the plane, or a region of it, out of the data."""
        along = dict(zip(self.other_axes, self.position, strict=True))
        rows, cols = region or (slice(None), slice(None))
        spanned = {self.axes[0]: rows, self.axes[1]: cols}
        return tuple(along.get(axis, spanned.get(axis, 0)) for axis in range(self.ndim))

    def lift(self, points_rc: ArrayLike) -> NDArray[np.float64]:
        """Turn (row, column) in the plane, shape (N, 2), into data coordinates (N, ndim)."""
        points = np.asarray(points_rc, dtype=np.float64).reshape(-1, 2)
        lifted = np.empty((len(points), self.ndim))
        lifted[:, self.axes] = points
        lifted[:, self.other_axes] = self.position
        return lifted

    def flatten(self, points: ArrayLike) -> NDArray[np.float64]:
        """Drop the axes that the plane does not span: data coordinates to (row, column)."""
        return np.asarray(points, dtype=np.float64)[:, self.axes]

    def at(self, position: Iterable[float]) -> Plane:
        """Name the parallel plane nearest to a position along the other axes."""
        return Plane(self.axes, tuple(int(value) for value in np.rint(list(position))))

    def __str__(self) -> str:
        """Describe the plane to people: the indices along the axes that it does not span."""
        return ", ".join(
            f"axis {axis}: {index}"
            for axis, index in zip(self.other_axes, self.position, strict=True)
        )


def current_plane(viewer: ViewerModel, layer: Image) -> Plane:
    """Find the plane of a layer that the viewer shows.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
        Its sliders say where.
    layer : napari.layers.Image
        The image. Where it has fewer axes than the viewer, they are the last ones, as in napari.

    Returns
    -------
    Plane
        The plane in the layer's data.

    Raises
    ------
    LayerError
        If the display is 3-D, the image does not extend along both displayed axes, the sliders are
        outside of the image, or the image is tilted against the displayed plane.
    """
    if viewer.dims.ndisplay != 2:
        raise LayerError(
            "The display is 3-D, where a click has no plane. Switch to 2-D with the cube button at "
            "the bottom left."
        )
    surplus = viewer.dims.ndim - layer.ndim
    axes = sorted(axis - surplus for axis in viewer.dims.displayed)
    if axes[0] < 0:
        raise LayerError(
            f"The viewer shows an axis that the image {layer.name!r} does not have. Roll the axes "
            "back with the button at the bottom left."
        )
    plane = Plane((axes[0], axes[1]), (0,) * (layer.ndim - 2))
    if not plane.position:
        return plane
    others = list(plane.other_axes)
    at = _slider_position(viewer, layer)[others]
    shape = np.asarray(layer_shape(layer))[others]
    if ((at < -0.5) | (at > shape - 0.5)).any():
        raise LayerError(
            f"The sliders stand outside of the image {layer.name!r}. Move them until the image "
            "can be seen."
        )
    return plane.at(np.clip(at, 0, shape - 1))


def show_plane(viewer: ViewerModel, layer: Image, plane: Plane) -> None:
    """Move the viewer's sliders so that a plane of the layer is shown.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
        Its sliders are moved, and its axes rolled where the plane spans others than those shown.
    layer : napari.layers.Image
        The layer that the plane belongs to.
    plane : Plane
        What to show.
    """
    if not plane.position or _shows(viewer, layer, plane):
        return
    surplus = viewer.dims.ndim - layer.ndim
    wanted = {axis + surplus for axis in plane.axes}
    if wanted != set(viewer.dims.displayed):
        order = [axis for axis in viewer.dims.order if axis not in wanted]
        viewer.dims.order = (*order, *sorted(wanted))
    world = layer_transform(layer).world_from_data(plane.lift([[0, 0]]))[0]
    world /= _viewer_to_layer_factors(viewer, layer)
    for axis in plane.other_axes:
        viewer.dims.set_point(axis + surplus, float(world[axis]))


def _shows(viewer: ViewerModel, layer: Image, plane: Plane) -> bool:
    try:
        return current_plane(viewer, layer) == plane
    except LayerError:
        return False


def _slider_position(viewer: ViewerModel, layer: Image) -> NDArray[np.float64]:
    """Where the sliders stand, in data coordinates; only those of hidden axes mean anything."""
    transform = layer_transform(layer)
    surplus = viewer.dims.ndim - layer.ndim
    displayed = [axis - surplus for axis in viewer.dims.displayed]
    others = [axis for axis in range(layer.ndim) if axis not in displayed]
    linear = transform.matrix[:-1, :-1]
    inverse = np.linalg.inv(linear)
    # Moving within the displayed plane must not move through the data's other axes.
    drift = np.abs(inverse[np.ix_(others, displayed)] @ linear[np.ix_(displayed, displayed)])
    if drift.size and drift.max() > 1e-6:
        raise LayerError(
            f"The image {layer.name!r} is tilted against the displayed plane, so no plane of its "
            "pixels is on the screen. Remove the rotation or shear between the displayed and the "
            "other axes, or roll the axes."
        )
    point = np.asarray(viewer.dims.point, dtype=float)[surplus:]
    world = point * _viewer_to_layer_factors(viewer, layer)
    data: NDArray[np.float64] = transform.data_from_world(world[np.newaxis])[0]
    return data


def _viewer_to_layer_factors(viewer: ViewerModel, layer: Any) -> NDArray[np.float64]:
    """How many of the layer's units one unit of the viewer's world makes, per axis of the layer."""
    units = viewer.layers.extent.units
    if units is None:  # napari leaves units out of account where layers disagree
        return np.ones(layer.ndim)
    own = tuple(str(unit) for unit in layer.units)
    return unit_factors(tuple(str(unit) for unit in units)[-layer.ndim :], own)
