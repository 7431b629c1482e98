"""The plane on the screen: which two axes of the image are shown, and where along the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.geometry.units import unit_factors
from napari_samhq.errors import LayerError
from napari_samhq.session.layers.transforms import layer_shape, layer_transform

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_samhq.core.geometry.frames import Transform

__all__ = ["current_plane", "show_plane", "viewer_to_layer_factors", "visible_region"]


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
        outside of the image, the image is tilted against the displayed plane, its transform is not
        finite or cannot be inverted, or the viewer has fewer axes, as when the image was removed.
    """
    if viewer.dims.ndisplay != 2:
        raise LayerError(
            "The display is 3-D, where a click has no plane. Switch to 2-D with the cube button at "
            "the bottom left."
        )
    surplus = viewer.dims.ndim - layer.ndim
    if surplus < 0:
        raise LayerError(
            f"The viewer has {viewer.dims.ndim} axes, the image {layer.name!r} {layer.ndim}: it is "
            "not in the viewer any more. Add it again, or choose another one."
        )
    axes = sorted(axis - surplus for axis in viewer.dims.displayed)
    if axes[0] < 0:
        raise LayerError(
            f"The viewer shows an axis that the image {layer.name!r} does not have. Roll the axes "
            "back with the button at the bottom left."
        )
    plane = Plane((axes[0], axes[1]), (0,) * (layer.ndim - 2))
    transform = layer_transform(layer)  # refuses one that nothing could be shown with
    if not plane.position:
        return plane
    others = list(plane.other_axes)
    at = _slider_position(viewer, layer, transform)[others]
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
    world /= viewer_to_layer_factors(viewer, layer)
    for axis in plane.other_axes:
        viewer.dims.set_point(axis + surplus, float(world[axis]))


def _shows(viewer: ViewerModel, layer: Image, plane: Plane) -> bool:
    try:
        return current_plane(viewer, layer) == plane
    except LayerError:
        return False


def _slider_position(
    viewer: ViewerModel, layer: Image, transform: Transform
) -> NDArray[np.float64]:
    """Where the sliders stand, in data coordinates; only those of hidden axes mean anything."""
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
    world = point * viewer_to_layer_factors(viewer, layer)
    data: NDArray[np.float64] = transform.data_from_world(world[np.newaxis])[0]
    return data


def viewer_to_layer_factors(viewer: ViewerModel, layer: Any) -> NDArray[np.float64]:
    """How many of the layer's units one unit of the viewer's world makes, per axis of the layer."""
    units = viewer.layers.extent.units
    # napari leaves units out of account where layers disagree; and while layers are thrown away, it
    # tells of it before all of them know.
    if units is None or len(units) < layer.ndim:
        return np.ones(layer.ndim)
    return unit_factors(units[-layer.ndim :], layer.units)


def visible_region(viewer: ViewerModel, layer: Image, plane: Plane) -> tuple[slice, slice]:
    """Tell which rows and columns of a plane are on the screen; empty if none are.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
        Its camera and the size of its canvas say what is on the screen.
    layer : napari.layers.Image
        The image.
    plane : Plane
        The plane that is shown.

    Returns
    -------
    pair of slices
        The smallest ones that hold all pixels of which anything is on the screen, also where the
        image is turned.

    Raises
    ------
    LayerError
        If the layer's transform is not finite or cannot be inverted.

    Notes
    -----
    napari's `corner_pixels` are those of what it loaded, for an image in several resolutions whole
    chunks of one of them, and they lag behind the camera.

    Examples
    --------
    >>> from napari.components import ViewerModel
    >>> viewer = ViewerModel()
    >>> image = viewer.add_image(np.zeros((3000, 4000)))
    >>> viewer.canvas.size = 100, 200
    >>> viewer.scene.camera.center, viewer.scene.camera.zoom = (1000, 1500), 2
    >>> visible_region(viewer, image, current_plane(viewer, image))
    (slice(975, 1026, None), slice(1450, 1551, None))
    """
    camera = viewer.scene.camera
    middle = np.asarray(camera.center[-2:], dtype=float)
    half = np.asarray(viewer.canvas.viewbox_size(viewer.layers), dtype=float) / 2 / camera.zoom
    corners = np.tile(np.asarray(viewer.dims.point, dtype=float), (4, 1))
    signs = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    corners[:, list(viewer.dims.displayed)] = middle + signs * half
    surplus = viewer.dims.ndim - layer.ndim
    world = corners[:, surplus:] * viewer_to_layer_factors(viewer, layer)
    data = layer_transform(layer).data_from_world(world)[:, list(plane.axes)]
    # A pixel reaches half its side to both sides of its centre.
    first = np.floor(data.min(axis=0) + 0.5)
    stop = np.ceil(data.max(axis=0) + 0.5)
    shape = np.asarray(layer_shape(layer))[list(plane.axes)]
    first, stop = (np.clip(ends, 0, shape).astype(int) for ends in (first, stop))
    rows, cols = (slice(int(a), int(b)) for a, b in zip(first, stop, strict=True))
    return rows, cols
