"""Find the image layer that a caller means; convert its coordinates to plane pixels."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from napari_samhq.errors import LayerError, PromptError, SamHQWarning
from napari_samhq.session.labels.create import MADE_FOR, check_labels
from napari_samhq.session.layers.current_plane import viewer_to_layer_factors
from napari_samhq.session.layers.transforms import layer_shape, layer_transform
from napari_samhq.session.layers.viewer_events import is_in

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels
    from numpy.typing import ArrayLike, NDArray

    from napari_samhq.core.geometry.planes import Plane

Value = TypeVar("Value")

__all__ = ["check_image", "find_image", "find_labels", "images_of", "to_plane_rc", "within"]


def images_of(viewer: ViewerModel) -> list[Image]:
    """List the image layers of a viewer, from the bottom up."""
    from napari.layers import Image

    return [layer for layer in viewer.layers if isinstance(layer, Image)]


def find_image(viewer: ViewerModel, image: Image | str | None = None) -> Image:
    """Find the image layer that a caller means.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
        Where to look.
    image : napari.layers.Image or str, optional
        The layer or its name. When left out: the selected image, else the uppermost one.

    Returns
    -------
    napari.layers.Image
        The layer.

    Raises
    ------
    LayerError
        If there is none of that name, or none at all, or no session can be on it.

    Examples
    --------
    >>> from napari.components import ViewerModel
    >>> viewer = ViewerModel()
    >>> _ = viewer.add_image(np.zeros((40, 60)), name="cells")
    >>> find_image(viewer).name
    'cells'
    """
    images = images_of(viewer)
    names = ", ".join(repr(one.name) for one in images) or "none"
    if image is None:
        active = viewer.layers.selection.active
        selected = [one for one in images if active is not None and one.name == active.name]
        found = selected or images[-1:]
        problem = "The viewer has no image."
    elif isinstance(image, str):
        found = [one for one in images if one.name == image]
        problem = f"The viewer has no image of the name {image!r}."
    else:
        found = [one for one in images if one.unique_id == image.unique_id]
        problem = f"The layer {image.name!r} is not an image of this viewer."
        if not is_in(viewer, image):
            problem = f"The layer {image.name!r} is not in this viewer."
    if not found:
        raise LayerError(f"{problem} Add it first, with viewer.add_image(...). Images: {names}.")
    check_image(found[0])
    return found[0]


def check_image(image: Image) -> None:
    """Refuse an image that no session can be on, before anything is added to the viewer.

    Raises
    ------
    LayerError
        If its transform is not finite or cannot be inverted, or it is a pyramid upside down.
    """
    layer_transform(image)
    if image.multiscale:
        sizes = [int(np.prod(level.shape)) for level in image.data]
        if sizes != sorted(sizes, reverse=True):
            raise LayerError(
                f"The levels of the multiscale image {image.name!r} do not go from large to "
                "small. Add it again with the full resolution first."
            )


def find_labels(viewer: ViewerModel, image: Image) -> Labels | None:
    """Find the labels layer that an earlier session made for an image, if it can still be used."""
    from napari.layers import Labels

    for layer in reversed(viewer.layers):
        made_for = layer.metadata.get(MADE_FOR)
        if isinstance(layer, Labels) and made_for == image.unique_id:
            try:
                check_labels(layer, image)
            except LayerError:  # moved or replaced since
                continue
            return layer
    return None


def to_plane_rc(
    points: ArrayLike, viewer: ViewerModel, image: Image, plane: Plane, *, world: bool
) -> NDArray[np.float64]:
    """Bring points to row and column in a plane of the image.

    Parameters
    ----------
    points : array_like
        (N, 2) image pixels of the plane; or, with `world`, (N, 2) or (N, ndim) world coordinates
        of the viewer, of which the displayed axes count.
    viewer, image, plane
        Where they are meant.
    world : bool
        Whether they are world coordinates.

    Returns
    -------
    ndarray of shape (N, 2), float64
        Row, column; those that were not finite are left out.

    Raises
    ------
    PromptError
        If the array has another shape, or nothing finite is left.

    Warns
    -----
    SamHQWarning
        If points were left out.
    """
    array = np.asarray(points, dtype=np.float64)
    ndims = (2, viewer.dims.ndim) if world else (2,)
    if array.ndim != 2 or array.shape[1] not in ndims or not len(array):
        needed = " or ".join(f"(N, {n})" for n in sorted(set(ndims)))
        raise PromptError(
            f"The points are an array of shape {array.shape}; needed is {needed}, one row for each "
            "point. For one point write [[row, column]]."
        )
    finite: NDArray[np.bool_] = np.all(np.isfinite(array), axis=1)
    if not finite.all():
        if not finite.any():
            raise PromptError("All points are NaN or infinite. Give finite coordinates.")
        warnings.warn(
            f"{np.sum(~finite)} of {len(finite)} points left out: NaN or infinite.",
            SamHQWarning,
            stacklevel=3,
        )
    array = array[finite]
    return _from_world(array, viewer, image, plane) if world else array


def within(image: Image, drawn: dict[Plane, Value]) -> dict[Plane, Value]:
    """Leave out, with a warning, what was drawn in planes that an image does not have."""
    shape = layer_shape(image)
    kept = {
        plane: one
        for plane, one in drawn.items()
        if all(
            0 <= place < shape[axis]
            for axis, place in zip(plane.other_axes, plane.position, strict=True)
        )
    }
    if len(kept) < len(drawn):
        warnings.warn(
            f"Prompts left out that lie in no plane of the image {image.name!r}.",
            SamHQWarning,
            stacklevel=2,
        )
    return kept


def _from_world(
    points: NDArray[np.float64], viewer: ViewerModel, image: Image, plane: Plane
) -> NDArray[np.float64]:
    full = np.tile(np.asarray(viewer.dims.point, dtype=np.float64), (len(points), 1))
    axes = list(range(viewer.dims.ndim)) if points.shape[1] > 2 else sorted(viewer.dims.displayed)
    full[:, axes] = points
    full[:, -image.ndim :] *= viewer_to_layer_factors(viewer, image)
    return plane.flatten(layer_transform(image).data_from_world(full[:, -image.ndim :]))
