"""Transforms between napari layers, read for `core.geometry`.

The only place of this package in which coordinates go from one layer to another, or to the world.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.geometry.frames import Transform, map_points
from napari_samhq.core.geometry.units import unit_names
from napari_samhq.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "check_placement",
    "layer_shape",
    "layer_transform",
    "offset_translate",
    "placement",
    "to_layer",
]


def placement(layer: Layer) -> dict[str, Any]:
    """Collect all that places a layer in the world, as keywords for a new layer.

    Examples
    --------
    >>> from napari.layers import Image, Labels
    >>> image = Image(np.zeros((40, 60)), scale=(0.5, 2), units=("um", "um"))
    >>> Labels(np.zeros((40, 60), dtype=int), **placement(image)).scale.tolist()
    [0.5, 2.0]
    """
    return {
        "scale": np.array(layer.scale),
        "translate": np.array(layer.translate),
        "rotate": np.array(layer.rotate),
        "shear": np.array(layer.shear),
        "affine": np.array(layer.affine.affine_matrix),
        "units": unit_names(layer.units),
        "axis_labels": tuple(layer.axis_labels),
    }


def layer_shape(layer: Any) -> tuple[int, ...]:
    """Tell the shape of an image's or labels' data at full resolution, without a colour axis.

    Examples
    --------
    >>> from napari.layers import Image
    >>> layer_shape(Image(np.zeros((40, 60, 3)), rgb=True))
    (40, 60)
    """
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    return tuple(int(length) for length in data.shape[: layer.ndim])


def layer_transform(layer: Layer) -> Transform:
    """Read where a layer's data lie in the world.

    Raises
    ------
    LayerError
        If the layer's transform is not finite or cannot be inverted.

    Examples
    --------
    >>> from napari.layers import Image
    >>> layer = Image(np.zeros((40, 60)), scale=(0.5, 2), units=("um", "um"))
    >>> layer_transform(layer).world_from_data([[10, 10]]).tolist()
    [[5.0, 20.0]]
    """
    return Transform.from_function(layer.data_to_world, layer.ndim, layer.units)


def to_layer(
    points: ArrayLike, source: Layer, target: Layer, *, missing_world: Sequence[float] = ()
) -> NDArray[np.float64]:
    """Map points from the data of one layer to the data of another.

    Parameters
    ----------
    points : array_like of shape (N, source.ndim)
        Data coordinates in `source`.
    source, target : napari layers
        Where the points come from and where they go.
    missing_world : sequence of floats, optional
        World coordinates along leading axes that only `target` has.

    Returns
    -------
    ndarray of shape (N, target.ndim), float64
        Data coordinates in `target`.

    Raises
    ------
    LayerError
        If a transform cannot be used, or the units do not fit.
    """
    if _placed_alike(source, target):
        return np.array(points, dtype=np.float64).reshape(-1, source.ndim)
    return map_points(
        points, layer_transform(source), layer_transform(target), missing_world=missing_world
    )


def offset_translate(layer: Layer, offset: ArrayLike) -> NDArray[np.float64]:
    """Find the `translate` of a layer that shows a part of another one, beginning at an offset.

    Parameters
    ----------
    layer : napari layer
        The layer that the part is cut from.
    offset : array_like of shape (ndim,)
        Data coordinates of the part's first element.

    Returns
    -------
    ndarray of shape (ndim,)
        What `translate` must be when scale, rotate, shear and affine are those of `layer`.

    Examples
    --------
    >>> from napari.layers import Image
    >>> layer = Image(np.zeros((40, 60)), scale=(0.5, 2), translate=(3, 4))
    >>> offset_translate(layer, (10, 10)).tolist()
    [8.0, 24.0]
    """
    ends = np.stack([np.asarray(offset, dtype=np.float64), np.zeros(layer.ndim)])
    start, origin = layer_transform(layer).world_from_data(ends)
    outer = np.asarray(layer.affine.affine_matrix)[:-1, :-1]
    # World = outer @ (inner @ data + translate) + constant: take the step back through `outer`.
    step: NDArray[np.float64] = np.linalg.solve(outer, start - origin)
    return np.asarray(layer.translate, dtype=np.float64) + step


def check_placement(image: Layer, labels: Layer) -> None:
    """Refuse a labels layer that does not lie pixel on pixel over the image.

    Raises
    ------
    LayerError
        If shape or transform differ.
    """
    shape, needed = layer_shape(labels), layer_shape(image)
    if shape != needed:
        raise LayerError(
            f"The labels layer {labels.name!r} has the shape {shape}, the image {image.name!r} "
            f"{needed}. Choose a labels layer of the same shape, or none, to get a new one."
        )
    corners = np.array([np.zeros(len(shape)), np.asarray(shape, dtype=float)])
    if not np.allclose(to_layer(corners, labels, image), corners, atol=1e-3):
        raise LayerError(
            f"The labels layer {labels.name!r} lies elsewhere than the image {image.name!r}. Give "
            "it the image's scale, translate, rotate, shear, affine and units, or choose none."
        )


def _placed_alike(one: Layer, other: Layer) -> bool:
    """Whether data coordinates mean the same in both layers; spares rounding."""
    if one.ndim != other.ndim:
        return False
    theirs = placement(other)
    return all(
        field == "axis_labels" or np.array_equal(value, theirs[field])
        for field, value in placement(one).items()
    )
