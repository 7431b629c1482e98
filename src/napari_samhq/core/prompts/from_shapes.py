"""Prompts from drawn shapes, as napari keeps them.

========================  ==========================================================================
Shape                     Prompt
========================  ==========================================================================
rectangle                 the smallest upright box around its corners
ellipse                   the smallest upright box around the ellipse itself
polygon                   the smallest upright box around its vertices
path, line                positive points along it, at most eight
========================  ==========================================================================

For ellipses and polygons the area itself can go along as a mask prompt. Self-crossing polygons
follow the even-odd rule, as they do in napari's display; the winding makes no difference. A pixel
whose centre lies on an edge belongs to one side of it, see :mod:`napari_samhq.core.masks.filling`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.geometry.frames import box_around, rc_to_corner_xy
from napari_samhq.core.masks.filling import fill_ellipse, fill_rings
from napari_samhq.core.prompts.prompt import Prompt, clean_box
from napari_samhq.core.util.notes import note
from napari_samhq.errors import PromptError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from napari_samhq.core.masks.cropped import CroppedMask

__all__ = ["area_of_shape", "outline_of_shape", "points_along", "prompt_from_shape"]

_MOST_PATH_POINTS = 8  # more say little, and cost time with each prompt
_PATH_SPACING_PX = 8.0
_ELLIPSE_VERTICES = 128


def prompt_from_shape(
    vertices_rc: ArrayLike,
    shape_type: str,
    image_shape: tuple[int, int],
    *,
    with_mask: bool = False,
) -> Prompt:
    """Turn one drawn shape into a prompt.

    Parameters
    ----------
    vertices_rc : array_like of shape (N, 2)
        Row, column in image pixels: the four corners of a rectangle or of the frame of an ellipse,
        in drawing order and possibly turned or sheared; or the vertices of the other shapes.
    shape_type : {"rectangle", "ellipse", "polygon", "path", "line"}
        As in napari.
    image_shape : tuple of two ints
        Height and width of the image in pixels.
    with_mask : bool, optional
        Add the area of an ellipse or polygon as a mask prompt.

    Returns
    -------
    Prompt
        A box inside of the image, or points, which may lie outside of it.

    Raises
    ------
    PromptError
        If the shape is unknown, has no area where one is needed, or lies outside of the image.

    Warns
    -----
    SamHQWarning
        If vertices that are not finite were left out, or the box was clipped.

    Examples
    --------
    >>> turned = [[0, 10], [10, 20], [20, 10], [10, 0]]
    >>> prompt_from_shape(turned, "rectangle", (64, 64)).box.tolist()
    [0.0, 0.0, 20.0, 20.0]
    >>> prompt_from_shape(turned, "ellipse", (64, 64)).box.round(2).tolist()
    [2.93, 2.93, 17.07, 17.07]
    """
    vertices = _finite_vertices(vertices_rc)
    if shape_type in ("path", "line"):
        return Prompt(points=points_along(vertices))
    if shape_type == "rectangle":
        return Prompt(box=clean_box(box_around(vertices), image_shape))
    if shape_type == "ellipse":
        _, box = _ellipse(vertices)
    elif shape_type == "polygon":
        box = box_around(vertices)
    else:
        raise PromptError(
            f"A shape of type {shape_type!r} cannot be a prompt. Draw a rectangle, an ellipse, a "
            "polygon, a path or a line."
        )
    mask = area_of_shape(vertices, shape_type, image_shape) if with_mask else None
    return Prompt(box=clean_box(box, image_shape), mask=mask or None)


def area_of_shape(
    vertices_rc: ArrayLike, shape_type: str, image_shape: tuple[int, int] | None = None
) -> CroppedMask:
    """Fill a rectangle, a polygon or an ellipse.

    Parameters
    ----------
    vertices_rc, shape_type
        As in :func:`prompt_from_shape`.
    image_shape : tuple of two ints, optional
        Height and width of the image in pixels; what lies outside is left out.

    Returns
    -------
    CroppedMask
        Empty for a sliver that covers no pixel centre, and for other shapes.

    Examples
    --------
    >>> area_of_shape([[2, 2], [2, 5], [5, 5], [5, 2]], "polygon", (8, 8)).area
    9
    """
    vertices = np.asarray(vertices_rc, dtype=np.float64)
    if shape_type == "ellipse":
        centre, axes = _frame_of_ellipse(vertices)
        return fill_ellipse(rc_to_corner_xy(centre), axes[:, ::-1], image_shape)
    rings = [rc_to_corner_xy(vertices)] if shape_type in ("rectangle", "polygon") else []
    return fill_rings(rings, image_shape)


def outline_of_shape(vertices_rc: ArrayLike, shape_type: str) -> NDArray[np.float64]:
    """Give the corners of a shape in order; an ellipse becomes a polygon.

    Parameters
    ----------
    vertices_rc, shape_type
        As in :func:`prompt_from_shape`.

    Returns
    -------
    ndarray of shape (N, 2), float64
        Row, column in image pixels.

    Examples
    --------
    >>> outline_of_shape([[2, 2], [2, 6], [6, 6], [6, 2]], "ellipse").max(axis=0).tolist()
    [6.0, 6.0]
    """
    vertices = np.asarray(vertices_rc, dtype=np.float64)
    return _ellipse(vertices)[0] if shape_type == "ellipse" else vertices


def points_along(vertices_rc: ArrayLike) -> NDArray[np.float64]:
    """Place points along an open path, evenly, the same from either end.

    Parameters
    ----------
    vertices_rc : array_like of shape (N, 2)
        Row, column in image pixels; at least one.

    Returns
    -------
    ndarray of shape (M, 2), float64
        One point for each 8 pixels of length, at least 1 and at most 8, in the middle of as many
        pieces of the same length.

    Examples
    --------
    >>> points_along([[0, 0], [0, 16]]).tolist()
    [[0.0, 4.0], [0.0, 12.0]]
    """
    vertices = np.asarray(vertices_rc, dtype=np.float64)
    steps = np.hypot(*np.diff(vertices, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    count = int(np.clip(along[-1] // _PATH_SPACING_PX, 1, _MOST_PATH_POINTS))
    wanted = (np.arange(count) + 0.5) / count * along[-1]
    return np.column_stack([np.interp(wanted, along, vertices[:, axis]) for axis in (0, 1)])


def _finite_vertices(vertices_rc: ArrayLike) -> NDArray[np.float64]:
    vertices = np.asarray(vertices_rc, dtype=np.float64)
    if vertices.ndim != 2 or vertices.shape[1] != 2:
        raise PromptError(
            f"The shape's vertices are an array of shape {vertices.shape}; needed is (N, 2), "
            "(row, column) in image pixels."
        )
    finite: NDArray[np.bool_] = np.all(np.isfinite(vertices), axis=1)
    if not finite.all():
        note(
            f"{np.sum(~finite)} of {len(finite)} vertices left out: NaN or infinite.", stacklevel=3
        )
    if not finite.any():
        raise PromptError("The shape has no vertex left. Draw it again.")
    return vertices[finite]


def _frame_of_ellipse(
    corners: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the centre and the two half axes of the ellipse in a (turned, sheared) rectangle."""
    if len(corners) != 4:
        raise PromptError(
            f"An ellipse needs the four corners of its frame, not {len(corners)}. Draw it again."
        )
    return corners.mean(axis=0), np.stack([corners[1] - corners[0], corners[3] - corners[0]]) / 2


def _ellipse(corners: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Outline and exact upright box of the ellipse in a (turned, sheared) rectangle."""
    centre, axes = _frame_of_ellipse(corners)
    reach = np.hypot(*axes)  # how far the ellipse goes along rows, and along columns
    angle = np.arange(_ELLIPSE_VERTICES) * (2 * np.pi / _ELLIPSE_VERTICES)
    outline = centre + np.column_stack([np.cos(angle), np.sin(angle)]) @ axes
    return outline, np.concatenate([centre - reach, centre + reach])
