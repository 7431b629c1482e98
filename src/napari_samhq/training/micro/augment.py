"""Domain randomisation: random geometry for a crop, and random looks for its pixels.

Geometry is one 2 x 2 map given to :func:`~napari_samhq.training.micro.data.crop_at`, which applies
it to image and labels together. Looks change pixels only, never places, so labels stay true.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_samhq.training.micro.synthetic import smooth_noise, texture

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PADDING_RGB", "random_look", "random_matrix"]

PADDING_RGB = (124, 116, 104)
"""Colour that normalises to about zero, as the padding of the frame does at inference."""


def random_matrix(rng: np.random.Generator, zoom: float) -> NDArray[np.float64]:
    """Draw a random map from crop offsets to image offsets.

    Quarter turns and flips always; free rotation, shear and unequal scale for about half.

    Parameters
    ----------
    rng : numpy.random.Generator
    zoom : float
        Crop px per image px.

    Returns
    -------
    (2, 2) float64
    """
    turn = rng.integers(4) * np.pi / 2
    matrix = np.diag([1.0, rng.choice([-1.0, 1.0])])
    if rng.random() < 0.5:
        turn += rng.uniform(-np.pi / 4, np.pi / 4)
        stretch = np.exp(rng.normal(0, 0.12))
        matrix = matrix @ np.array([[stretch, rng.normal(0, 0.1)], [0, 1 / stretch]])
    c, s = np.cos(turn), np.sin(turn)
    return np.array([[c, -s], [s, c]]) @ matrix / zoom


def _colours(rng: np.random.Generator, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Three channels from one or three: as it is, false colours, shuffled or grey."""
    if image.shape[2] == 1:
        draw = rng.random()
        if draw < 0.72:
            return np.repeat(image, 3, axis=2)
        if draw < 0.82:  # one fluorescence colour on black
            tint = rng.uniform(0, 1, 3).astype(np.float32)
            return np.asarray(image * (tint / tint.max()), np.float32)
        dark, bright = rng.uniform(0, 1, (2, 3)).astype(np.float32)
        if np.abs(bright - dark).max() < 0.5:
            dark, bright = np.zeros(3, np.float32), np.ones(3, np.float32)
        return np.asarray(dark + (bright - dark) * image, np.float32)
    draw = rng.random()
    if draw < 0.2:
        return image[..., rng.permutation(3)]
    if draw < 0.4:
        weights = rng.dirichlet(np.ones(3)).astype(np.float32)
        return np.repeat((image @ weights)[..., None], 3, axis=2)
    return image


def _tone(rng: np.random.Generator, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Polarity, gamma, clipping as by another choice of contrast limits."""
    if rng.random() < 0.3:
        image = 1 - image
    if rng.random() < 0.6:
        image = image ** np.float32(np.exp(rng.normal(0, 0.45)))
    draw = rng.random()
    if draw < 0.4:  # stretch or clip
        low, high = rng.uniform(-0.1, 0.15), rng.uniform(0.6, 1.3)
        image = (image - np.float32(low)) / np.float32(high - low)
    elif draw < 0.6:  # low contrast somewhere in the range
        width = np.exp(rng.uniform(np.log(0.15), 0))
        image = image * np.float32(width) + np.float32(rng.uniform(0, 1 - width))
    return np.clip(image, 0, 1)


def _optics(rng: np.random.Generator, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blur or sharpening, uneven light, background texture, noise."""
    size = image.shape[0]
    draw = rng.random()
    if draw < 0.2:
        sigma = float(np.exp(rng.uniform(np.log(0.4), np.log(2.2))))
        image = ndimage.gaussian_filter(image, (sigma, sigma, 0))
    elif draw < 0.28:
        image = image + np.float32(rng.uniform(0.3, 1.2)) * (
            image - ndimage.gaussian_filter(image, (1.2, 1.2, 0))
        )
    if rng.random() < 0.2:
        field = smooth_noise(rng, size, size / rng.uniform(2, 6)) * np.float32(
            rng.uniform(0.05, 0.2)
        )
        image = image * (1 + field[..., None]) if rng.random() < 0.5 else image + field[..., None]
    if rng.random() < 0.1:
        image = image + texture(rng, size)[..., None] * np.float32(rng.uniform(0.02, 0.12))
    if rng.random() < 0.35:
        strength = float(np.exp(rng.uniform(np.log(0.008), np.log(0.12))))
        channels = 1 if rng.random() < 0.7 else 3
        noise = rng.standard_normal((size, size, channels), dtype=np.float32)
        if rng.random() < 0.25:
            noise = ndimage.gaussian_filter(noise, (0.7, 0.7, 0)) * 2
        if rng.random() < 0.5:  # shot noise grows with the light
            noise = noise * np.sqrt(np.clip(image, 0.02, 1)) * 1.5
        image = image + noise * np.float32(strength)
    return image


def _jpeg(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=int(rng.integers(25, 90)))
    return np.asarray(Image.open(buffer))


def random_look(
    rng: np.random.Generator,
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    strength: float = 1.0,
) -> NDArray[np.uint8]:
    """Give a crop another look.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : (c, c, 1 or 3) float32 in [0, 1]
    valid : (c, c) bool
        False where the crop lies beyond the image; painted with :data:`PADDING_RGB`.
    strength : float
        Probability that the look is changed at all.

    Returns
    -------
    (c, c, 3) uint8
    """
    image = np.clip(image, 0, 1)  # interpolation goes past it by a rounding, and powers then fail
    if rng.random() < strength:
        image = _optics(rng, _tone(rng, image))
        image = np.clip(image, 0, 1)
        image = _colours(rng, image)
        if rng.random() < 0.1:
            image = image * rng.uniform(0.6, 1.0, 3).astype(np.float32)
    elif image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2)
    out = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    if rng.random() < 0.08 * strength:
        out = np.array(_jpeg(rng, out))
    out[~valid] = PADDING_RGB
    return out
