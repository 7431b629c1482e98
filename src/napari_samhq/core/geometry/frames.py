"""Changes of coordinate frame; nothing else in the package converts coordinates.

There are five frames:

``rc``
    (row, column) in image pixels, integers on pixel centres. Boxes are min_row, min_col, max_row,
    max_col. All public functions speak it.
``xy``
    The same position as (x, y) = (column, row). Boxes are min_x, min_y, max_x, max_y.
``corner xy``
    (x, y) with (0, 0) in the outer corner of the first pixel, as drawing programs and the files of
    COCO, QuPath and ImageJ have it.
``model xy``
    (x, y) in the square that the encoder takes: the image resized to fit it, padded on the right
    and at the bottom. As published, a position is multiplied by the ratio of the sizes, and the
    prompt encoder then adds half a model pixel; so integers stay corners here, not centres.
``world``
    What napari puts a layer's data into by scale, rotation, shear, translation and affine matrix,
    in the layer's units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.geometry.units import unit_factors, unit_names
from napari_samhq.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Transform",
    "box_around",
    "corner_xy_to_rc",
    "map_points",
    "rc_to_corner_xy",
    "rc_to_model_xy",
    "rc_to_xy",
    "xy_to_rc",
]


def rc_to_xy(coordinates_rc: ArrayLike) -> NDArray[np.float64]:
    """Turn points (..., 2) or boxes (..., 4) from row, column order to x, y order.

    Parameters
    ----------
    coordinates_rc : array_like of shape (..., 2) or (..., 4)
        Row, column; or min_row, min_col, max_row, max_col.

    Returns
    -------
    ndarray of the same shape, float64
        x, y; or min_x, min_y, max_x, max_y.

    Examples
    --------
    >>> rc_to_xy([[1, 2]]).tolist(), rc_to_xy([1, 2, 3, 4]).tolist()
    ([[2.0, 1.0]], [2.0, 1.0, 4.0, 3.0])
    """
    values = np.asarray(coordinates_rc, dtype=np.float64)
    pairs = values.reshape(*values.shape[:-1], -1, 2)
    return pairs[..., ::-1].reshape(values.shape)


def xy_to_rc(coordinates_xy: ArrayLike) -> NDArray[np.float64]:
    """Turn points (..., 2) or boxes (..., 4) from x, y order to row, column order.

    Parameters
    ----------
    coordinates_xy : array_like of shape (..., 2) or (..., 4)
        x, y; or min_x, min_y, max_x, max_y.

    Returns
    -------
    ndarray of the same shape, float64
        Row, column; or min_row, min_col, max_row, max_col.

    Examples
    --------
    >>> xy_to_rc([2.0, 1.0]).tolist()
    [1.0, 2.0]
    """
    return rc_to_xy(coordinates_xy)  # swapping twice gives back the original


def rc_to_corner_xy(coordinates_rc: ArrayLike) -> NDArray[np.float64]:
    """Turn points or boxes into x, y from the outer corner of the first pixel.

    Examples
    --------
    >>> rc_to_corner_xy([0, 4]).tolist()
    [4.5, 0.5]
    """
    return rc_to_xy(coordinates_rc) + 0.5


def corner_xy_to_rc(coordinates_xy: ArrayLike) -> NDArray[np.float64]:
    """Turn x, y from the outer corner of the first pixel into points or boxes.

    Examples
    --------
    >>> corner_xy_to_rc([4.5, 0.5]).tolist()
    [0.0, 4.0]
    """
    return xy_to_rc(coordinates_xy) - 0.5


def box_around(points_rc: ArrayLike) -> NDArray[np.float64]:
    """Find the smallest upright box around points, such as the corners of a turned rectangle.

    Parameters
    ----------
    points_rc : array_like of shape (N, 2)
        Row, column of each point; at least one.

    Returns
    -------
    ndarray of shape (4,), float64
        min_row, min_col, max_row, max_col.

    Examples
    --------
    >>> box_around([[5, 1], [9, 4], [2, 3]]).tolist()
    [2.0, 1.0, 9.0, 4.0]
    """
    points = np.asarray(points_rc, dtype=np.float64)
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


# ------------------------------------------------------------------------------- the model's frame


def rc_to_model_xy(
    coordinates_rc: ArrayLike, image_shape: tuple[int, int], input_shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Map points or boxes from image pixels to the frame of the model's input.

    Parameters
    ----------
    coordinates_rc : array_like of shape (..., 2) or (..., 4)
        Row, column; or min_row, min_col, max_row, max_col in image pixels.
    image_shape : tuple of two ints
        Height and width of the image in pixels.
    input_shape : tuple of two ints
        Height and width of the resized image in model pixels, before padding.

    Returns
    -------
    ndarray of the same shape, float64
        x, y; or min_x, min_y, max_x, max_y in model pixels.

    Notes
    -----
    This is the convention of the published models: ``x = col * input_width / image_width``. The
    prompt encoder adds the half pixel to the result.

    Examples
    --------
    >>> rc_to_model_xy([[100, 30]], (200, 100), (1024, 512)).tolist()
    [[153.6, 512.0]]
    """
    xy = rc_to_xy(coordinates_rc)
    return xy * _model_per_image_xy(image_shape, input_shape, xy.shape[-1])


def _model_per_image_xy(
    image_shape: tuple[int, int], input_shape: tuple[int, int], length: int
) -> NDArray[np.float64]:
    ratio_rc = np.asarray(input_shape, dtype=np.float64) / np.asarray(image_shape, dtype=np.float64)
    return np.tile(rc_to_xy(ratio_rc), length // 2)


# ------------------------------------------------------------------------------- layers and world


@dataclass(frozen=True, eq=False)
class Transform:
    """Where a layer's data lie in the world: an affine matrix, and the units of the result.

    Parameters
    ----------
    matrix : array_like of shape (ndim + 1, ndim + 1)
        Takes data coordinates, with a 1 appended, to world coordinates: the layer's scale,
        rotation, shear, translation and affine matrix in one.
    units : sequence of str, optional
        Unit of each world axis, as pint names them (``"um"``, ``"pixel"``); pixels when left out.

    Raises
    ------
    LayerError
        If the matrix is of another form, not finite, or cannot be inverted.

    Examples
    --------
    >>> half_micron = Transform(np.diag([0.5, 0.5, 1]), ("um", "um"))
    >>> half_micron.world_from_data([[20, 40]]).tolist()
    [[10.0, 20.0]]
    """

    matrix: NDArray[np.float64]
    units: tuple[str, ...] = ()

    if TYPE_CHECKING:  # what may be passed is wider than what is kept

        def __init__(self, matrix: ArrayLike, units: Sequence[Any] = ()) -> None: ...

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        units = unit_names(self.units) or ("pixel",) * (len(matrix) - 1)
        _check_matrix(matrix, units)
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "units", units)

    @classmethod
    def from_function(
        cls,
        world_from_data: Callable[[NDArray[np.float64]], Any],
        ndim: int,
        units: Sequence[Any] = (),
    ) -> Transform:
        """Learn the matrix from a function that maps one position, such as a layer's own.

        Parameters
        ----------
        world_from_data : callable
            Takes an array of shape (ndim,) to `ndim` world coordinates by an affine map, for
            example ``layer.data_to_world``.
        ndim : int
            Number of axes.
        units : sequence of str, optional
            Unit of each world axis.

        Returns
        -------
        Transform
            The same map.

        Raises
        ------
        LayerError
            As the class.

        Examples
        --------
        >>> Transform.from_function(lambda p: 2 * p + 1, 2).data_from_world([[7, 9]]).tolist()
        [[3.0, 4.0]]
        """
        # A long step, so that a large translation does not swallow a small scale.
        step = 2.0**20
        matrix = np.eye(ndim + 1)
        matrix[:ndim, ndim] = origin = np.asarray(world_from_data(np.zeros(ndim)), dtype=float)
        for axis in range(ndim):
            position = np.zeros(ndim)
            position[axis] = step
            with np.errstate(invalid="ignore"):  # told below, with better words
                matrix[:ndim, axis] = (np.asarray(world_from_data(position)) - origin) / step
        return cls(matrix, units)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.matrix) - 1

    def world_from_data(self, points: ArrayLike) -> NDArray[np.float64]:
        """Map points (N, ndim) from data to world coordinates."""
        points = np.asarray(points, dtype=np.float64)
        return points @ self.matrix[:-1, :-1].T + self.matrix[:-1, -1]

    def data_from_world(self, points: ArrayLike) -> NDArray[np.float64]:
        """Map points (N, ndim) from world to data coordinates."""
        points = np.asarray(points, dtype=np.float64)
        offset: NDArray[np.float64] = points - self.matrix[:-1, -1]
        return (np.linalg.inv(self.matrix[:-1, :-1]) @ offset.T).T.astype(np.float64, copy=False)


def map_points(
    points: ArrayLike,
    source: Transform,
    target: Transform,
    *,
    missing_world: Sequence[float] = (),
) -> NDArray[np.float64]:
    """Map points from the data coordinates of one layer to those of another.

    Parameters
    ----------
    points : array_like of shape (N, source.ndim)
        Data coordinates in the source layer. Values that are not finite stay so.
    source, target : Transform
        The two layers. They are aligned at their last axes, as napari does it: leading axes that
        only the source has are dropped.
    missing_world : sequence of floats, optional
        World coordinates, in the target's units, along the leading axes that only the target has:
        the plane on which the points are meant.

    Returns
    -------
    ndarray of shape (N, target.ndim), float64
        Data coordinates in the target layer.

    Raises
    ------
    LayerError
        If units cannot be converted into each other, or `missing_world` does not fit.

    Warns
    -----
    SamHQWarning
        As :func:`~napari_samhq.core.geometry.units.unit_factors`.

    Examples
    --------
    >>> image = Transform(np.diag([0.5, 0.5, 1]), ("um", "um"))
    >>> points = Transform(np.eye(3), ("nm", "nm"))
    >>> map_points([[10_000, 20_000]], points, image).round(6).tolist()
    [[20.0, 40.0]]
    """
    world = source.world_from_data(np.asarray(points, dtype=np.float64).reshape(-1, source.ndim))
    shared = min(source.ndim, target.ndim)
    factors = unit_factors(source.units[-shared:], target.units[-shared:])
    missing = target.ndim - shared
    if len(missing_world) != missing:
        raise LayerError(
            f"The target layer has {target.ndim} axes, the source layer {source.ndim}; needed are "
            f"world coordinates for {missing} leading axes, but {len(missing_world)} were given."
        )
    leading = np.broadcast_to(np.asarray(missing_world, dtype=np.float64), (len(world), missing))
    return target.data_from_world(np.hstack([leading, world[:, -shared:] * factors]))


def _check_matrix(matrix: NDArray[np.float64], units: tuple[str, ...]) -> None:
    ndim = len(units)
    if matrix.shape != (ndim + 1, ndim + 1):
        raise LayerError(
            f"A transform of {ndim} axes needs a matrix of shape {(ndim + 1, ndim + 1)}; this one "
            f"has {matrix.shape}."
        )
    if not np.isfinite(matrix).all():
        raise LayerError(
            "The layer's transform has NaN or infinite values. Set its scale, translate, rotate, "
            "shear and affine to finite numbers."
        )
    if not np.array_equal(matrix[-1], np.eye(ndim + 1)[-1]):
        raise LayerError(
            f"The last row of the layer's matrix is {matrix[-1].tolist()}; only affine transforms, "
            "which end in zeros and a one, can be used."
        )
    linear = matrix[:-1, :-1]
    lengths = np.linalg.norm(linear, axis=0)
    # Axes may differ in scale by any factor; what matters is whether their directions differ.
    if not lengths.all() or np.linalg.cond(linear / lengths) > 1e10:
        raise LayerError(
            "The layer's transform cannot be inverted: a scale is 0, or two axes fall on one line. "
            "Correct the layer's scale, shear or affine."
        )
