"""Labels drawn over their image, and a table of objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.labels.run_labels import RunLabels
from napari_samhq.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

__all__ = ["PALETTE", "objects_table", "overlay"]

PALETTE = np.array(
    [
        [230, 159, 0],  # orange
        [86, 180, 233],  # sky blue
        [0, 158, 115],  # bluish green
        [240, 228, 66],  # yellow
        [204, 121, 167],  # reddish purple
        [213, 94, 0],  # vermilion
        [0, 114, 178],  # blue
    ],
    dtype=np.uint8,
)
"""Seven colours that people with any kind of colour vision tell apart.

The palette of M. Okabe and K. Ito, "Color Universal Design" (2008), without its black.
"""

_NEIGHBOUR_PX = 8  # objects nearer than this should differ in colour


def overlay(rgb8: ArrayLike, labels: ArrayLike, *, opacity: float = 0.35) -> NDArray[np.uint8]:
    """Draw objects over an image: a translucent fill, and a contour in the full colour.

    Objects that lie next to each other get different colours, as far as seven colours allow.

    Parameters
    ----------
    rgb8 : array_like of shape (H, W, 3), uint8
        The image; see :func:`napari_samhq.core.images.rgb8.to_rgb8` for images of other kinds.
    labels : array_like of shape (H, W), int
        0 where there is nothing, otherwise the label id of the object.
    opacity : float
        Of the fill, between 0 (contours alone) and 1.

    Returns
    -------
    ndarray of shape (H, W, 3), uint8
        A new image.

    Raises
    ------
    ImageError
        If the two do not have the same height and width, or are not of the types above.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((5, 5, 3), dtype=np.uint8)
    >>> labels = np.zeros((5, 5), dtype=int)
    >>> labels[1:4, 1:4] = 1
    >>> drawn = overlay(image, labels, opacity=0.5)
    >>> drawn[0, 0].tolist(), drawn[1, 1].tolist(), drawn[2, 2].tolist()
    ([0, 0, 0], [230, 159, 0], [115, 80, 0])
    """
    from skimage.segmentation import find_boundaries

    pixels = np.asarray(rgb8)
    ids = _as_labels(labels)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3:
        raise ImageError(
            f"The overlay needs an 8-bit colour image of shape (H, W, 3); this one has shape "
            f"{pixels.shape} and type {pixels.dtype}. Convert it with to_rgb8(image)."
        )
    if pixels.shape[:2] != ids.shape:
        raise ImageError(
            f"The image has {pixels.shape[0]} x {pixels.shape[1]} pixels, the labels have "
            f"{' x '.join(map(str, ids.shape))}; they must be of one size."
        )
    _, compact = np.unique(ids, return_inverse=True)
    compact = compact.reshape(ids.shape) + (0 if (ids == 0).any() else 1)
    colors = PALETTE[_distinct_colors(compact)][compact]
    drawn = pixels.copy()
    inside = compact > 0
    drawn[inside] = np.rint((1 - opacity) * pixels[inside] + opacity * colors[inside])
    contour = find_boundaries(compact, mode="inner")
    drawn[contour] = colors[contour]
    return drawn


def _distinct_colors(labels: NDArray[np.intp]) -> NDArray[np.intp]:
    """Choose an index into PALETTE for each of the labels 0..N, neighbours apart; (N + 1,)."""
    from skimage.segmentation import expand_labels

    grown = expand_labels(labels, _NEIGHBOUR_PX / 2)
    pairs = []
    for a, b in ((grown[1:], grown[:-1]), (grown[:, 1:], grown[:, :-1])):
        touching = (a != b) & (a > 0) & (b > 0)
        pairs.append(np.stack([a[touching], b[touching]], axis=-1))
    edges = np.unique(np.sort(np.concatenate(pairs), axis=-1), axis=0)
    neighbours: dict[int, list[int]] = {}
    for low, high in edges.tolist():
        neighbours.setdefault(high, []).append(low)
    colors = np.zeros(int(labels.max(initial=0)) + 1, dtype=np.intp)
    for label in range(1, len(colors)):
        taken = np.bincount(colors[neighbours.get(label, [])], minlength=len(PALETTE))
        # Start at another colour each time: an image with few neighbours is to be colourful too.
        order = (np.arange(len(PALETTE)) + label - 1) % len(PALETTE)
        colors[label] = order[np.argmin(taken[order])]
    return colors


def objects_table(
    labels: ArrayLike | RunLabels,
    scores: Mapping[int, float] | None = None,
    *,
    pixel_size: float | tuple[float, float] | None = None,
    unit: str = "um",
) -> pd.DataFrame:
    """List the objects of a label image, one per row, in the order of their ids.

    Parameters
    ----------
    labels : array_like of shape (H, W), int; or RunLabels
        0 where there is nothing, otherwise the label id of the object.
    scores : mapping of label id to float, optional
        What the model thinks of each mask: its own estimate of the IoU. Objects that it does not
        name get NaN.
    pixel_size : float, or tuple of two floats, optional
        Height and width of a pixel. Adds the area in square units.
    unit : str
        Unit of `pixel_size`, for the name of that column.

    Returns
    -------
    pandas.DataFrame
        Columns ``label``, ``score`` (if `scores` is given), ``area_px``, ``area_<unit>2`` (if
        `pixel_size` is given), ``row`` and ``col`` (centroid) and ``min_row``, ``min_col``,
        ``max_row``, ``max_col`` (first and last pixel, both included). Positions are image pixels
        with integers on pixel centres, so that they can serve as prompts again.

    Raises
    ------
    ImageError
        If `labels` is not a 2-D array of integers.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((6, 6), dtype=int)
    >>> labels[1:3, 1:5] = 7
    >>> table = objects_table(labels, {7: 0.9}, pixel_size=0.5)
    >>> table.iloc[0].to_dict()  # doctest: +NORMALIZE_WHITESPACE
    {'label': 7.0, 'score': 0.9, 'area_px': 8.0, 'area_um2': 2.0, 'row': 1.5, 'col': 2.5,
     'min_row': 1.0, 'min_col': 1.0, 'max_row': 2.0, 'max_col': 4.0}
    """
    import pandas as pd

    runs = labels if isinstance(labels, RunLabels) else RunLabels.of_array(_as_labels(labels))
    measured = _measured(runs)
    ids = measured["label"]
    areas = measured["area"].astype(np.int64)
    columns: dict[str, Any] = {"label": ids}
    if scores is not None:
        columns["score"] = np.array([scores.get(i, np.nan) for i in ids.tolist()], dtype=float)
    columns["area_px"] = areas
    if pixel_size is not None:
        columns[f"area_{unit}2"] = areas * float(np.prod(np.broadcast_to(pixel_size, 2)))
    columns["row"], columns["col"] = measured["centroid-0"], measured["centroid-1"]
    for axis, name in enumerate(("row", "col")):
        columns[f"min_{name}"] = measured[f"bbox-{axis}"]
    for axis, name in enumerate(("row", "col")):
        columns[f"max_{name}"] = measured[f"bbox-{axis + 2}"] - 1
    return pd.DataFrame(columns)


def _measured(labels: RunLabels) -> dict[str, NDArray[Any]]:
    """Measure as scikit-image does, and by its names, without painting the labels."""
    row, first, behind, owner = labels.runs.T
    ids, at = np.unique(owner, return_inverse=True)
    at, lengths = at.reshape(-1), behind - first
    areas = np.bincount(at, lengths, len(ids))
    found: dict[str, NDArray[Any]] = {"label": ids, "area": areas}
    found["centroid-0"] = np.bincount(at, row * lengths, len(ids)) / areas
    found["centroid-1"] = np.bincount(at, (first + behind - 1) / 2 * lengths, len(ids)) / areas
    for number, (values, extreme, start) in enumerate(
        [
            (row, np.minimum, labels.shape[0]),
            (first, np.minimum, labels.shape[1]),
            (row + 1, np.maximum, 0),
            (behind, np.maximum, 0),
        ]
    ):
        found[f"bbox-{number}"] = np.full(len(ids), start)
        extreme.at(found[f"bbox-{number}"], at, values)
    return found


def _as_labels(labels: ArrayLike) -> NDArray[Any]:
    """Check that these are labels of one plane."""
    ids = np.asarray(labels)
    if ids.ndim != 2 or ids.dtype.kind not in "iu":
        raise ImageError(
            f"Labels are a 2-D array of integers; this one has shape {ids.shape} and type "
            f"{ids.dtype}. Pick one plane, and convert with labels.astype(int)."
        )
    # Signed, so that neither regionprops nor a difference of unsigned numbers wraps around.
    return ids.astype(np.int64, copy=False)
