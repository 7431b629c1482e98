"""Composite images: outlines of real objects, filled with other images, on a third.

A border between two textures is what all kinds of objects share, and such pictures never run out
(copy and paste as augmentation: Dwibedi et al., ICCV 2017; Ghiasi et al., CVPR 2021). Borders,
halos, shadows, relief and overlaps are drawn as microscopes show them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from napari_samhq.training.dense_targets import is_inner
from napari_samhq.training.micro.augment import random_matrix
from napari_samhq.training.micro.data import AnnotatedImage, Crop, crop_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Composite", "composite"]

_TRIES = 4  # to find a background without objects; then it is blurred
_SMALLEST_PX = 14  # objects with fewer pixels are left out


class Composite(NamedTuple):
    """A picture (c, c, 1 or 3), float32 in [0, 1], and its labels (c, c), int32."""

    image: NDArray[np.float32]
    labels: NDArray[np.int32]


def composite(
    rng: np.random.Generator,
    draw: Callable[[np.random.Generator], AnnotatedImage],
    outlines: NDArray[np.int32],
) -> Composite:
    """Make a picture in which the given outlines are the objects.

    Parameters
    ----------
    rng : numpy.random.Generator
    draw : callable
        Gives a random annotated image, to take textures from.
    outlines : (c, c) int32
        Label crop of a real image.

    Returns
    -------
    Composite
        Every object of it is annotated.
    """
    size = outlines.shape[0]
    labels = _arranged(rng, outlines)
    channels = 3 if rng.random() < 0.25 else 1
    background = _background(rng, draw, size, channels)
    background = _level(rng, background, rng.uniform(0.1, 0.9), spread=rng.uniform(0.01, 0.2))
    filling = _filling(rng, draw, labels, background)
    cover = _softened(labels > 0, float(rng.choice([0.0, 0.5, 0.9, 1.5])))
    image = background + cover[..., None] * (filling - background)
    depth = ndimage.distance_transform_edt(is_inner(labels)).astype(np.float32)
    image = image + _drawn_by_optics(rng, labels, depth)[..., None]
    return Composite(np.clip(image, 0, 1).astype(np.float32), labels)


def _arranged(rng: np.random.Generator, outlines: NDArray[np.int32]) -> NDArray[np.int32]:
    """Leave out some objects, or lay a mirrored copy of others over them."""
    labels = outlines.copy()
    count = int(labels.max(initial=0)) + 1
    if rng.random() < 0.3:
        gone = rng.random(count) < rng.uniform(0.2, 0.8)
        labels[gone[labels]] = 0
    if rng.random() < 0.25:
        over = np.rot90(outlines, int(rng.integers(1, 4)))
        over = over[:, ::-1] if rng.random() < 0.5 else over
        some = rng.random(count) < rng.uniform(0.1, 0.5)
        some[0] = False
        chosen = some[over]
        labels[chosen] = over[chosen] + count
    area = np.bincount(labels.ravel())
    small = area < _SMALLEST_PX
    small[0] = True
    numbers = np.zeros(len(area), np.int32)
    numbers[~small] = 1 + np.arange(np.count_nonzero(~small))
    return np.asarray(numbers[labels], np.int32)


def _background(
    rng: np.random.Generator,
    draw: Callable[[np.random.Generator], AnnotatedImage],
    size: int,
    channels: int,
) -> NDArray[np.float32]:
    """Cut a piece of an image in which no objects show: they would be objects here, too."""
    for _ in range(_TRIES):
        item = draw(rng)
        crop = _piece(rng, item, size)
        busy = np.count_nonzero(crop.labels) / crop.labels.size
        if item.complete and not 0.05 < busy < 0.95:
            return _with_channels(crop.image, channels)
    blurred = ndimage.gaussian_filter(crop.image, (*[float(rng.uniform(6, 16))] * 2, 0))
    return _with_channels(blurred, channels)


def _texture(
    rng: np.random.Generator, item: AnnotatedImage, size: int, channels: int
) -> NDArray[np.float32]:
    """Cut a random piece, (c, c, channels), of an image at a random scale."""
    piece = _piece(rng, item, size).image
    if rng.random() < 0.4:
        piece = ndimage.gaussian_filter(piece, (*[float(rng.uniform(0.5, 6))] * 2, 0))
    return _with_channels(piece, channels)


def _piece(rng: np.random.Generator, item: AnnotatedImage, size: int) -> Crop:
    height, width = item.shape
    zoom = float(np.exp(rng.uniform(np.log(max(0.3, size / min(height, width))), np.log(6.0))))
    half = size / zoom / 2
    centre = [rng.uniform(min(half, n / 2), max(n - half, n / 2)) for n in (height, width)]
    return crop_at(item, centre, random_matrix(rng, zoom), size)


def _with_channels(piece: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    if piece.shape[2] != channels:
        piece = np.repeat(piece.mean(axis=2, keepdims=True), channels, axis=2)
    return np.asarray(piece, np.float32)


def _level(
    rng: np.random.Generator, piece: NDArray[np.float32], mean: float, spread: float
) -> NDArray[np.float32]:
    """Bring a texture to a mean and a standard deviation, a little different in each channel."""
    centred = piece - piece.mean((0, 1))
    scale = spread / (centred.std() + 1e-3)
    tint = rng.normal(0, 0.08, piece.shape[2]) if piece.shape[2] > 1 else np.zeros(1)
    return np.asarray(centred * min(scale, 4.0) + mean + tint, np.float32)


def _filling(
    rng: np.random.Generator,
    draw: Callable[[np.random.Generator], AnnotatedImage],
    labels: NDArray[np.int32],
    background: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Paint what is inside of the objects: one texture, with a level of its own for each."""
    size, channels = labels.shape[0], background.shape[2]
    contrast = float(rng.choice([-1, 1]) * np.exp(rng.uniform(np.log(0.03), np.log(0.5))))
    piece = _texture(rng, draw(rng), size, channels)
    mean = float(background.mean()) + contrast
    filling = _level(rng, piece, mean, spread=rng.uniform(0.01, 0.2))
    if rng.random() < 0.15:  # glass: the background shines through
        filling = background + contrast + 0.3 * (filling - mean)
    count = int(labels.max(initial=0)) + 1
    own = rng.normal(0, abs(contrast) * rng.uniform(0, 0.5), (count, 1)).astype(np.float32)
    if channels > 1 and rng.random() < 0.5:
        own = own + rng.normal(0, 0.08, (count, channels)).astype(np.float32)
    return np.asarray(filling + own[labels], np.float32)


def _softened(mask: NDArray[np.bool_], sigma: float) -> NDArray[np.float32]:
    cover = mask.astype(np.float32)
    return ndimage.gaussian_filter(cover, sigma) if sigma else cover


def _drawn_by_optics(
    rng: np.random.Generator, labels: NDArray[np.int32], depth: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Add what microscopes draw around and into objects, (c, c), in units of the picture."""
    inside = labels > 0
    added = np.zeros(labels.shape, np.float32)

    def strength(low: float, high: float) -> np.float32:
        return np.float32(rng.choice([-1, 1]) * rng.uniform(low, high))

    if rng.random() < 0.4:  # a wall or membrane
        width = rng.uniform(0.6, 3.0)
        added += strength(0.08, 0.5) * np.exp(-((depth / width) ** 2)) * inside
    if rng.random() < 0.25:  # the halo of phase contrast
        outside = ndimage.distance_transform_edt(~inside).astype(np.float32)
        reach = rng.uniform(1.5, 8)
        added += strength(0.08, 0.4) * np.exp(-outside / reach) * ~inside
    if rng.random() < 0.3:  # thicker in the middle
        reach = rng.uniform(2, 12)
        added += strength(0.05, 0.4) * np.tanh(depth / reach)
    if rng.random() < 0.2:  # relief of differential interference contrast, or shadows
        smooth = ndimage.gaussian_filter(np.minimum(depth, 12), rng.uniform(0.8, 2.5))
        angle = rng.uniform(0, 2 * np.pi)
        down, right = np.gradient(smooth)
        relief = np.cos(angle) * down + np.sin(angle) * right
        added += strength(0.1, 0.4) * relief
    if rng.random() < 0.15:  # a body inside
        deepest = ndimage.maximum(depth, labels, np.arange(labels.max(initial=0) + 1))
        share = rng.uniform(0.3, 0.7)
        body = inside & (depth > share * np.maximum(np.asarray(deepest), 1)[labels])
        added += strength(0.08, 0.4) * ndimage.gaussian_filter(body.astype(np.float32), 0.6)
    return added
