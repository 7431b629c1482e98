"""Small pictures of masks on their image, for the buttons of the candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_samhq.core.masks.cropped import CroppedMask
    from napari_samhq.engine.plane_view import PlaneView
    from napari_samhq.session import Candidate

__all__ = ["names_by_size", "thumbnails"]

_MARGIN = 0.25
_TINT = 0.45
_SPECKS = 0.02


def thumbnails(
    view: PlaneView,
    candidates: Sequence[Candidate],
    color: Sequence[float],
    size: tuple[int, int],
) -> list[NDArray[np.uint8]]:
    """Draw each candidate on the image, all at the same place and scale.

    Parameters
    ----------
    view : PlaneView
        The plane of the image.
    candidates : sequence of Candidate
        The masks.
    color : sequence of floats
        Red, green, blue from 0 to 1, for the masks.
    size : tuple of two ints
        Height and width of a picture in pixels.

    Returns
    -------
    list of ndarray of shape (height, width, 3), uint8
        One picture for each candidate.
    """
    masks = [candidate.cropped for candidate in candidates]
    rows, cols = _window(masks, view.shape, size)
    background = _pixels(view, rows, cols)
    tint = np.array(color[:3]) * 255
    pictures = []
    for cropped in masks:
        mask = _sample(cropped.array(), rows - cropped.top, cols - cropped.left)
        picture = background.astype(float)
        picture[mask] = picture[mask] * (1 - _TINT) + tint * _TINT
        picture[_rim(mask)] = tint
        pictures.append(picture.round().astype(np.uint8))
    return pictures


def names_by_size(candidates: Sequence[Candidate]) -> list[str]:
    """Call the smallest mask a part, the largest a group, and the one between the whole.

    Examples
    --------
    >>> from types import SimpleNamespace as Mask
    >>> from napari_samhq.core.masks.cropped import CroppedMask
    >>> names_by_size([Mask(cropped=CroppedMask.of(np.ones((2, n)))) for n in (5, 9, 2)])
    ['whole', 'group', 'part']
    """
    if len(candidates) != 3:
        return ["mask"] * len(candidates)
    order = np.argsort([one.cropped.array().sum() for one in candidates], kind="stable")
    names = dict(zip(order.tolist(), ("part", "whole", "group"), strict=True))
    return [names[index] for index in range(3)]


def _window(
    masks: Sequence[CroppedMask], shape: tuple[int, int], size: tuple[int, int]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pick the rows and columns to show: around the masks, in the picture's proportions."""
    where = np.concatenate(
        [np.argwhere(one.array()) + np.array([one.top, one.left]) for one in masks]
    )
    if not len(where):
        where = np.array([[0, 0], [shape[0] - 1, shape[1] - 1]])
    # Nearly all of the mask: a speck far away should not make the object small.
    low, last = np.quantile(where, (_SPECKS, 1 - _SPECKS), axis=0)
    high = last + 1
    step = float(((high - low) * (1 + 2 * _MARGIN) / size).max())
    starts = (low + high - step * np.array(size)) / 2
    rows, cols = (
        np.floor(start + step * (np.arange(length) + 0.5)).astype(np.intp)
        for start, length in zip(starts, size, strict=True)
    )
    return rows, cols


def _sample(array: NDArray[Any], rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[Any]:
    """Take rows and columns of an array; nothing where they lie outside."""
    inside = np.ix_((rows >= 0) & (rows < array.shape[0]), (cols >= 0) & (cols < array.shape[1]))
    sampled = np.zeros((len(rows), len(cols), *array.shape[2:]), dtype=array.dtype)
    taken = array[np.ix_(rows[inside[0].ravel()], cols[inside[1].ravel()])]
    sampled[inside] = taken
    return sampled


def _pixels(view: PlaneView, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Read what is shown of the image, as RGB; black outside of it."""
    height, width = view.shape
    top, bottom = np.clip([rows[0], rows[-1] + 1], 0, height)
    left, right = np.clip([cols[0], cols[-1] + 1], 0, width)
    pixels = view.read((slice(int(top), int(bottom)), slice(int(left), int(right))))
    return _sample(_as_shown(pixels, view.contrast_limits), rows - top, cols - left)


def _as_shown(
    pixels: NDArray[Any], contrast_limits: tuple[float, float] | None
) -> NDArray[np.uint8]:
    """Make pixels look as napari shows them. Unlike `to_rgb8` it has no word to say on a crop."""
    if contrast_limits is None:
        low, high = 0.0, 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    else:
        low, high = contrast_limits
    values = np.nan_to_num((pixels.astype(float) - low) / max(high - low, 1e-12))
    shown = (values.clip(0, 1) * 255).round().astype(np.uint8)
    return np.stack([shown] * 3, axis=-1) if shown.ndim == 2 else shown[..., :3]


def _rim(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner
