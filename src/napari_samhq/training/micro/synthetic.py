"""Synthetic images with exact masks: shapes of many kinds filled with textures of many kinds.

They teach the model that an object is whatever differs from its surroundings: by brightness, by
texture, by an outline, or by nothing but its shape's closed border. Everything is drawn from one
random generator, so the same seed gives the same picture bit by bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_samhq.training.micro.data import AnnotatedImage

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KINDS", "synthetic_image", "texture"]

KINDS = ("ellipses", "blobs", "cells", "rings", "filaments", "vesicles", "polygons", "neurons")


def smooth_noise(rng: np.random.Generator, size: int, sigma: float) -> NDArray[np.float32]:
    """White noise blurred by ``sigma`` px and scaled to zero mean, unit deviation; coarse ones are
    drawn small and enlarged.
    """
    step = max(1, int(sigma / 2))
    small = rng.standard_normal((size // step + 2, size // step + 2)).astype(np.float32)
    small = ndimage.gaussian_filter(small, sigma / step, mode="wrap")
    field = ndimage.zoom(small, step, order=1)[:size, :size] if step > 1 else small[:size, :size]
    return np.asarray((field - field.mean()) / (field.std() + 1e-6), dtype=np.float32)


def texture(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Draw a random texture, (size, size), zero mean and about unit deviation."""
    kind = rng.integers(0, 7)
    if kind == 0:
        return smooth_noise(rng, size, float(np.exp(rng.uniform(np.log(0.6), np.log(24)))))
    if kind == 1:
        fine = smooth_noise(rng, size, float(rng.uniform(0.6, 2.5)))
        return np.asarray(
            0.6 * fine + 0.8 * smooth_noise(rng, size, float(rng.uniform(5, 30))), np.float32
        )
    rows, cols = np.mgrid[:size, :size].astype(np.float32)
    if kind == 2:
        angle, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(4), np.log(40)))
        bend = smooth_noise(rng, size, 20.0) * period * rng.uniform(0, 0.5)
        wave = np.sin(2 * np.pi * (rows * np.cos(angle) + cols * np.sin(angle) + bend) / period)
        return np.asarray(wave * 1.3, np.float32)
    if kind == 3:
        spots = (
            rng.random((size, size)) < np.exp(rng.uniform(np.log(0.0005), np.log(0.02)))
        ).astype(np.float32)
        spots = ndimage.gaussian_filter(spots, float(rng.uniform(0.8, 3)))
        return np.asarray((spots - spots.mean()) / (spots.std() + 1e-6), np.float32).clip(-2, 4)
    if kind == 4:
        ridge = -np.abs(smooth_noise(rng, size, float(rng.uniform(2, 10))))
        return np.asarray((ridge - ridge.mean()) / (ridge.std() + 1e-6), np.float32)
    if kind == 5:
        steps = np.sign(smooth_noise(rng, size, float(rng.uniform(1.5, 8))))
        return np.asarray(ndimage.gaussian_filter(steps, 0.7), np.float32)
    return np.zeros((size, size), np.float32)


def _radial_shape(
    rng: np.random.Generator,
    size: int,
    center: NDArray[Any],
    radius: float,
    rough: float,
    aspect: float,
) -> NDArray[np.bool_]:
    """Draw a closed shape whose border is a circle with random low harmonics, stretched by
    ``aspect`` at a random angle.
    """
    top, left = (np.clip(np.floor(center - 2.4 * radius * max(aspect, 1)), 0, size)).astype(int)
    bottom, right = (np.clip(np.ceil(center + 2.4 * radius * max(aspect, 1)), 0, size)).astype(int)
    mask = np.zeros((size, size), bool)
    if bottom <= top or right <= left:
        return mask
    rows, cols = np.mgrid[top:bottom, left:right].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    dr, dc = rows - center[0], cols - center[1]
    along = (np.cos(angle) * dr + np.sin(angle) * dc) / np.sqrt(aspect)
    across = (-np.sin(angle) * dr + np.cos(angle) * dc) * np.sqrt(aspect)
    theta = np.arctan2(along, across)
    border = np.ones_like(theta)
    for harmonic in range(2, 7):
        border += (
            rough
            / harmonic
            * rng.standard_normal()
            * np.cos(harmonic * theta + rng.uniform(0, 2 * np.pi))
        )
    mask[top:bottom, left:right] = np.hypot(along, across) < radius * np.clip(border, 0.3, 1.9)
    return mask


def _curve(
    rng: np.random.Generator, start: NDArray[Any], heading: float, length: float, bend: float
) -> NDArray[Any]:
    """Points (n, 2) of a wandering line with about one point per px."""
    count = max(int(length), 2)
    turns = ndimage.gaussian_filter1d(rng.standard_normal(count), 12, mode="nearest") * bend
    headings = heading + np.cumsum(turns)
    steps = np.stack([np.sin(headings), np.cos(headings)], axis=1)
    return np.asarray(start + np.cumsum(steps, axis=0))


def _thick_line(size: int, points: NDArray[Any], widths: NDArray[Any] | float) -> NDArray[np.bool_]:
    """All pixels closer to the line than half its width there."""
    index = np.rint(points).astype(int)
    inside = ((index >= 0) & (index < size)).all(axis=1)
    far = np.ones((size, size), bool)
    mask = np.zeros((size, size), bool)
    if not inside.any():
        return mask
    index = index[inside]
    width = np.broadcast_to(widths, (len(points),))[inside]
    far[index[:, 0], index[:, 1]] = False
    distance, nearest = ndimage.distance_transform_edt(far, return_indices=True)
    local = np.zeros((size, size), np.float32)
    local[index[:, 0], index[:, 1]] = width
    return np.asarray(distance <= local[nearest[0], nearest[1]] / 2)


def _filaments(rng: np.random.Generator, size: int) -> NDArray[np.int32]:
    labels = np.zeros((size, size), np.int32)
    for number in range(1, int(rng.integers(3, 9)) + 1):
        points = _curve(
            rng,
            rng.uniform(0, size, 2),
            rng.uniform(0, 2 * np.pi),
            rng.uniform(0.3, 1.3) * size,
            0.15,
        )
        labels[_thick_line(size, points, float(rng.uniform(3, 9)))] = number
    return labels


def _neurons(rng: np.random.Generator, size: int) -> NDArray[np.int32]:
    labels = np.zeros((size, size), np.int32)
    for number in range(1, int(rng.integers(1, 4)) + 1):
        center = rng.uniform(0.2, 0.8, 2) * size
        radius = rng.uniform(0.04, 0.1) * size
        mask = _radial_shape(rng, size, center, radius, 0.25, rng.uniform(1, 1.8))
        for _ in range(int(rng.integers(2, 6))):
            points = _curve(
                rng, center, rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.6) * size, 0.1
            )
            widths = np.linspace(rng.uniform(0.5, 1.2) * radius, rng.uniform(2, 4), len(points))
            mask |= _thick_line(size, points, widths)
        labels[mask] = number
    return labels


def _cells(rng: np.random.Generator, size: int) -> NDArray[np.int32]:
    """Draw a tissue of touching cells: the nearest seed under a bent metric, with membranes between
    them.
    """
    spacing = np.exp(rng.uniform(np.log(14), np.log(90)))
    count = max(4, int((size / spacing) ** 2))
    seeds = rng.uniform(0, size, (count, 2))
    rows, cols = np.mgrid[:size, :size].astype(np.float32)
    bend = spacing * rng.uniform(0.05, 0.35)
    places = np.stack(
        [rows + bend * smooth_noise(rng, size, 8), cols + bend * smooth_noise(rng, size, 8)], -1
    )
    from scipy.spatial import cKDTree

    distance, index = cKDTree(seeds).query(places.reshape(-1, 2), k=2)
    labels = (index[:, 0] + 1).reshape(size, size).astype(np.int32)
    gap = (distance[:, 1] - distance[:, 0]).reshape(size, size)
    labels[gap < rng.uniform(0.5, 5)] = 0
    if rng.random() < 0.4:
        labels[np.isin(labels, 1 + np.flatnonzero(rng.random(count) < rng.uniform(0.1, 0.5)))] = 0
    # The bent metric may leave an island of a cell elsewhere: an object is one piece, so keep each
    # cell's largest.
    pieces, total = ndimage.label(_borders(labels) == 0, structure=np.ones((3, 3)))
    pieces[labels == 0] = 0
    area = ndimage.sum_labels(np.ones_like(pieces), pieces, np.arange(total + 1))
    area[0] = 0
    pieces[np.isin(pieces, np.flatnonzero(area < 0.1 * spacing**2))] = 0
    return np.asarray(pieces, np.int32)


def _borders(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Background, and pixels whose right or lower neighbour has another number."""
    edge = labels == 0
    edge[:-1] |= labels[:-1] != labels[1:]
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edge[:-1, :-1] |= labels[:-1, :-1] != labels[1:, 1:]
    edge[:-1, 1:] |= labels[:-1, 1:] != labels[1:, :-1]
    return np.asarray(edge, bool)


def _scattered(rng: np.random.Generator, size: int, kind: str) -> NDArray[np.int32]:
    """Separate or overlapping shapes; later ones lie on top."""
    labels = np.zeros((size, size), np.int32)
    mean_radius = np.exp(rng.uniform(np.log(4), np.log(60)))
    density = rng.uniform(0.1, 0.6)
    count = int(np.clip(density * size**2 / (np.pi * mean_radius**2), 2, 60))
    rough = 0.0 if kind in ("ellipses", "vesicles") else rng.uniform(0.1, 0.5)
    stretch = 1.0 if kind == "vesicles" else rng.uniform(0, 1.1)
    overlap = rng.random() < 0.3
    for number in range(1, count + 1):
        radius = mean_radius * np.exp(0.25 * rng.standard_normal())
        aspect = (
            float(np.exp(abs(rng.standard_normal()) * stretch * 0.5)) if kind != "vesicles" else 1.0
        )
        center = rng.uniform(0, size, 2)
        if kind == "polygons":
            from skimage.draw import polygon

            corners = int(rng.integers(3, 8))
            angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
            radii = radius * rng.uniform(0.7, 1.3, corners)
            mask = np.zeros((size, size), bool)
            mask[
                polygon(
                    center[0] + radii * np.sin(angles),
                    center[1] + radii * np.cos(angles),
                    mask.shape,
                )
            ] = True
        else:
            mask = _radial_shape(rng, size, center, radius, rough, min(aspect, 4.0))
        if not overlap:
            mask &= labels == 0
        labels[mask] = number
    return labels


def _label_picture(rng: np.random.Generator, size: int, kind: str) -> NDArray[np.int32]:
    if kind == "filaments":
        return _filaments(rng, size)
    if kind == "neurons":
        return _neurons(rng, size)
    if kind == "cells":
        return _cells(rng, size)
    return _scattered(rng, size, kind)


def _bodies(rng: np.random.Generator, labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Draw a body inside each object, as a nucleus lies in its cell: the deep pixels, some with
    lobes.
    """
    depth = ndimage.distance_transform_edt(~_borders(labels))
    deepest = np.asarray(ndimage.maximum(depth, labels, np.arange(labels.max() + 1)))
    deepest[0] = np.inf
    share = rng.uniform(0.15, 0.6) + rng.uniform(0, 0.25) * smooth_noise(rng, len(labels), 6.0)
    return np.asarray(depth > np.clip(share, 0.1, 0.9) * deepest[labels], bool)


def _paint(
    rng: np.random.Generator,
    labels: NDArray[np.int32],
    kind: str,
    bodies: NDArray[np.bool_] | None = None,
    others: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Grey picture of the labels: background, objects with their own level and texture, bodies
    inside them, outlines, distractors.
    """
    size = labels.shape[0]
    background = rng.uniform(0, 1) + rng.uniform(0, 0.25) * texture(rng, size)
    if rng.random() < 0.3:  # faint shapes that are not annotated must not attract the model
        shapes = _scattered(rng, size, "blobs") > 0
        background = background + ndimage.gaussian_filter(
            shapes.astype(np.float32), rng.uniform(1, 8)
        ) * rng.uniform(-0.3, 0.3)
    if others is not None:
        background = background + np.where(others, rng.choice([-1, 1]) * rng.uniform(0.1, 0.6), 0)
    count = int(labels.max()) + 1
    contrast = rng.choice([-1, 1]) * np.exp(rng.uniform(np.log(0.08), np.log(0.9)))
    levels = contrast * (1 + rng.uniform(0, 0.5) * rng.standard_normal(count))
    outlined = kind in ("rings", "vesicles", "cells") or rng.random() < 0.25
    hollow = outlined and rng.random() < 0.7
    fill = np.zeros_like(background) if hollow else levels[labels].astype(np.float32)
    fill = fill + rng.uniform(0.02, 0.3) * texture(rng, size)
    picture = np.where(labels > 0, background + fill, background)
    if bodies is not None:
        darker = rng.choice([-1, 1]) * rng.uniform(0.15, 0.9)
        inside = darker + rng.uniform(0.02, 0.3) * texture(rng, size)
        picture = np.where(bodies, picture + inside, picture)
    if outlined:
        width = int(rng.integers(1, 4))
        edge = ndimage.binary_dilation(_borders(labels) & (labels > 0), iterations=width)
        edge |= ndimage.binary_dilation(labels > 0, iterations=1) & (labels == 0)
        picture = picture + np.where(edge, rng.choice([-1, 1]) * rng.uniform(0.15, 0.8), 0)
    elif rng.random() < 0.3:  # domes: brighter towards the middle, as in wide-field fluorescence
        depth = ndimage.distance_transform_edt(~_borders(labels))
        picture = picture + contrast * 0.5 * np.tanh(depth / max(depth.max() * 0.4, 1.0))
    if rng.random() < 0.7:
        picture = ndimage.gaussian_filter(
            picture, float(np.exp(rng.uniform(np.log(0.3), np.log(1.8))))
        )
    return np.asarray(picture, np.float32)


def synthetic_image(seed: int | list[int], size: int = 320) -> AnnotatedImage:
    """Draw a synthetic annotated image.

    Parameters
    ----------
    seed : int or list of int
        Seed of the random generator: the same seed gives the same image.
    size : int
        Side, px.

    Returns
    -------
    AnnotatedImage
        Grey or colour 8-bit image and labels 1..N; each label marks exactly the pixels drawn as
        that object.

    Examples
    --------
    >>> item = synthetic_image(3, size=64)
    >>> item.labels.shape
    (64, 64)
    """
    rng = np.random.default_rng(seed)
    kind = KINDS[int(rng.integers(len(KINDS)))]
    labels = _label_picture(rng, size, kind)
    # An object is the whole, whatever lies inside it, and things of another kind are none.
    bodies = _bodies(rng, labels) if rng.random() < 0.35 and labels.any() else None
    others = _scattered(rng, size, "blobs") > 0 if rng.random() < 0.2 else None
    if rng.random() < 0.3:  # colour: each channel its own picture of the same objects
        channels = [_paint(rng, labels, kind, bodies, others) for _ in range(3)]
        picture = np.stack(channels, axis=-1)
    else:
        picture = _paint(rng, labels, kind, bodies, others)[..., None]
    low, high = np.percentile(picture, (0.1, 99.9))
    image = (np.clip((picture - low) / max(high - low, 1e-3), 0, 1) * 255).round().astype(np.uint8)
    return AnnotatedImage.from_arrays(image, labels, "synthetic", kind)
