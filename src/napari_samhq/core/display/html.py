"""HTML cards of models, embeddings, predictions and sessions for notebooks.

What is written here goes through `html.escape`: names of files and layers come from strangers.
Colours are those of the notebook, so that cards can be read on dark pages too; a mask has an
outline in orange, with a dark one beside it, which shows on any image.
"""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["THUMBNAIL_PX", "card", "figure", "moved", "outlined", "outlined_part", "thumbnail"]

THUMBNAIL_PX = 512
"""Longest side of the small picture that an embedding keeps of its image."""

_INSIDE, _AROUND = np.array([230, 159, 0], np.uint8), np.array([20, 20, 20], np.uint8)
_GROUND = np.array([128, 128, 128], np.uint8)  # where no image is known
_LARGEST_PX, _SMALLEST_PX = 320, 96  # of a picture in a card, on its longest side


def card(title: str, rows: Mapping[str, Any], figures: Iterable[str] = (), rest: str = "") -> str:
    """Put together what a notebook shows of a thing.

    Parameters
    ----------
    title : str
        What it is.
    rows : mapping of str to anything
        What is known about it; values are shown by `str`.
    figures : iterable of str
        HTML of pictures, see :func:`figure`.
    rest : str
        HTML that goes below.

    Returns
    -------
    str
        HTML, in which title and rows are escaped.

    Examples
    --------
    >>> "&lt;b&gt;" in card("<b>", {})
    True
    """
    lines = "".join(
        f'<tr><th style="text-align:left;padding:0 1em 0 0">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(str(value))}</td></tr>'
        for name, value in rows.items()
    )
    pictures = "".join(figures)
    if pictures:
        pictures = f'<div style="display:flex;flex-wrap:wrap;gap:8px">{pictures}</div>'
    table = f'<table style="margin:4px 0">{lines}</table>' if lines else ""
    return f"<div><strong>{escape(title)}</strong>{pictures}{table}{rest}</div>"


def figure(rgb8: NDArray[np.uint8], caption: str = "") -> str:
    """Write a small picture, with its caption, as HTML that needs no other file.

    Parameters
    ----------
    rgb8 : ndarray of shape (H, W, 3), uint8
        The picture; it is reduced or enlarged to a size that a card has room for.
    caption : str
        What it shows; also its text for those who cannot see it.

    Returns
    -------
    str
        HTML.

    Examples
    --------
    >>> figure(np.zeros((4, 4, 3), dtype=np.uint8)).count("data:image/png;base64,")
    1
    """
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(rgb8))
    longest = max(picture.size)
    wanted = min(max(longest, _SMALLEST_PX), _LARGEST_PX)
    if wanted != longest:
        size = [max(1, round(side * wanted / longest)) for side in picture.size]
        small = wanted < longest
        way = Image.Resampling.LANCZOS if small else Image.Resampling.NEAREST
        picture = picture.resize((size[0], size[1]), way)
    data = io.BytesIO()
    picture.save(data, format="png", optimize=True)
    text = base64.b64encode(data.getvalue()).decode("ascii")
    return (
        f'<figure style="margin:4px 0"><img alt="{escape(caption or "picture")}" '
        f'style="max-width:100%" src="data:image/png;base64,{text}">'
        f'<figcaption style="font-size:smaller">{escape(caption)}</figcaption></figure>'
    )


def thumbnail(rgb8: NDArray[np.uint8], longest: int = THUMBNAIL_PX) -> NDArray[np.uint8]:
    """Reduce a picture (H, W, 3) so that its longest side is no more than that; a copy.

    Examples
    --------
    >>> thumbnail(np.zeros((2048, 1024, 3), dtype=np.uint8)).shape
    (512, 256, 3)
    """
    from PIL import Image

    height, width = rgb8.shape[:2]
    if max(height, width) <= longest:
        return rgb8.copy()
    ratio = longest / max(height, width)
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    picture = Image.fromarray(np.ascontiguousarray(rgb8))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)).copy()


def outlined(mask: ArrayLike, rgb8: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Draw the outline of a mask into a picture of the same size, or over nothing.

    Parameters
    ----------
    mask : array_like of shape (H, W), bool
    rgb8 : ndarray of shape (H, W, 3), uint8, optional
        The picture; even grey when left out.

    Returns
    -------
    ndarray of shape (H, W, 3), uint8
        A new picture.

    Examples
    --------
    >>> drawn = outlined(np.eye(3, dtype=bool))
    >>> drawn[1, 1].tolist()
    [230, 159, 0]
    """
    filled = np.pad(np.asarray(mask, dtype=bool), 1)
    # A pixel is at the border if one of its four neighbours is on the other side.
    neighbours = [filled[:-2, 1:-1], filled[2:, 1:-1], filled[1:-1, :-2], filled[1:-1, 2:]]
    inside = filled[1:-1, 1:-1]
    edge = inside & ~np.logical_and.reduce(neighbours)
    around = ~inside & np.logical_or.reduce(neighbours)
    drawn = np.broadcast_to(_GROUND, (*inside.shape, 3)).copy() if rgb8 is None else rgb8.copy()
    if rgb8 is None:
        drawn[inside] = (drawn[inside] // 2) + (_INSIDE // 2)
    drawn[around], drawn[edge] = _AROUND, _INSIDE
    return drawn


def outlined_part(
    mask: NDArray[np.bool_],
    region: Sequence[slice],
    picture: NDArray[np.uint8] | None = None,
    pictured: Sequence[slice] | None = None,
) -> NDArray[np.uint8]:
    """Show a mask by its outline, with what lies around it.

    Parameters
    ----------
    mask : ndarray of shape (h, w), bool
    region : pair of slices
        Rows and columns of the image that it covers.
    picture : ndarray of shape (H', W', 3), uint8, optional
        What a part of the image looks like, at any resolution.
    pictured : pair of slices, optional
        Rows and columns of the image that the picture shows; `region` when left out.

    Returns
    -------
    ndarray of shape (H'', W'', 3), uint8
        The object's surroundings, no more than some hundred pixels wide.

    Examples
    --------
    >>> mask = np.zeros((500, 500), dtype=bool)
    >>> mask[100:110, 100:120] = True
    >>> outlined_part(mask, (slice(0, 500), slice(0, 500))).shape
    (58, 68, 3)
    """
    seen = pictured or region
    rows, cols = _surroundings(mask, region, seen)
    part = np.zeros((rows.stop - rows.start, cols.stop - cols.start), dtype=bool)
    inner = [
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip((rows, cols), region, strict=True)
    ]
    part[moved(inner, rows.start, cols.start)] = mask[
        moved(inner, region[0].start, region[1].start)
    ]
    step = max(1, -(-max(part.shape) // _LARGEST_PX))  # pixels of the image for one of the picture
    part = part[::step, ::step]
    if picture is None:
        return outlined(part)
    # For each pixel of the part, the nearest one of the picture.
    places = []
    for axis, (span, whole) in enumerate(zip((rows, cols), seen, strict=True)):
        at = np.arange(span.start, span.stop, step) - whole.start
        shown = (at + 0.5) * picture.shape[axis] / (whole.stop - whole.start)
        places.append(np.clip(shown.astype(np.intp), 0, picture.shape[axis] - 1))
    return outlined(part, picture[np.ix_(*places)])


def moved(region: Sequence[slice], top: int, left: int) -> tuple[slice, slice]:
    """Count rows and columns from another corner.

    Examples
    --------
    >>> moved((slice(5, 9), slice(3, 4)), 5, 0)
    (slice(0, 4, None), slice(3, 4, None))
    """
    rows, cols = region
    return slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left)


def _surroundings(
    mask: NDArray[np.bool_], region: Sequence[slice], seen: Sequence[slice]
) -> tuple[slice, slice]:
    """Find the rows and columns around an object, in `seen`; those of `region` if it is empty."""
    spans = []
    for axis, (within, whole) in enumerate(zip(region, seen, strict=True)):
        where = np.flatnonzero(mask.any(axis=1 - axis))
        if not len(where):
            return region[0], region[1]
        low, high = within.start + int(where[0]), within.start + int(where[-1]) + 1
        margin = max(24, (high - low) // 2)
        low, high = max(whole.start, low - margin), min(whole.stop, high + margin)
        spans.append(slice(low, high))
    return spans[0], spans[1]
