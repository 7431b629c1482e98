"""A segmenter that knows the objects in its window, as far as the window shows them."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
from scipy import ndimage

from napari_samhq.inference.embedding import ImageEmbedding
from napari_samhq.inference.object_maps import ObjectMaps
from napari_samhq.inference.prediction import Prediction
from support.fakes import FakePredictor


class ObjectPredictor(FakePredictor):
    """Give the object under a point: its connected pixels of the same grey, nothing on black.

    Scores follow from the grey, so that they do not depend on what a window shows of an object.
    """

    def embed(self, image, *, contrast_limits=None) -> ImageEmbedding:
        self._called("embed", image)
        shape = image.shape[:2]
        return ImageEmbedding(
            np.asarray(image)[..., 0], np.zeros(1), shape, shape, max(shape), self.name
        )

    def predict(self, embedding, points=None, *args, **options) -> Prediction:
        grey = embedding.image_embedding
        self._called("predict", points)
        row, col = np.clip(np.floor(np.asarray(points[0]) + 0.5).astype(int), 0, None)
        value = grey[row, col]
        mask = np.zeros(grey.shape, dtype=bool)
        if value:
            pieces, _ = ndimage.label(grey == value)
            mask = pieces == pieces[row, col]
        score = np.float32(0.7 + 0.25 * value / 255)
        logits = np.where(mask, 10, -10)[np.newaxis].astype(np.float32)
        height, width = grey.shape
        region = slice(0, height), slice(0, width)
        return Prediction(mask[np.newaxis], np.array([score]), logits, 0, region)


def blobs(shape: tuple[int, int], seed: int, size: float = 3.0) -> np.ndarray:
    """Draw objects of many sizes and shapes that do not touch, each of its own grey."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    field = ndimage.gaussian_filter(noise, size)
    pieces, count = ndimage.label(field > 0.4 * field.std())
    greys = (np.arange(count + 1) * 37 % 254 + 1).astype(np.uint8)
    greys[0] = 0
    image: np.ndarray = greys[pieces]
    return image


def digest(labels: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(labels)).hexdigest()


class MapsPredictor(ObjectPredictor):
    """Reads the maps of a perfect dense head off pictures that :func:`pictured` drew."""

    finds_objects = True

    def embed(self, image, *, contrast_limits=None) -> ImageEmbedding:
        seen = super().embed(image, contrast_limits=contrast_limits)
        return replace(seen, hq_features=np.asarray(image, dtype=np.float32)[..., 1:] / 255)

    def dense_maps(self, embedding) -> ObjectMaps:
        self._called("dense_maps", embedding)
        foreground = np.where(embedding.image_embedding > 0, 10, -10).astype(np.float32)
        border, middle = np.moveaxis(embedding.hq_features, 2, 0)
        direction = np.zeros((2, *border.shape), np.float32)
        return ObjectMaps(foreground, border, middle, direction, embedding.input_size)


def pictured(grey: np.ndarray) -> np.ndarray:
    """Draw objects, each of a grey, and beside it what a dense head is trained to say of them.

    The image (H, W, 3) has the grey, the distance to the object's border, and the nearness to its
    middle. So a window shows of an object that it cuts what it is as a whole.
    """
    border, middle = np.zeros(grey.shape), np.zeros(grey.shape)
    labels = pieces_of(grey)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        mine = np.pad(labels[box] == number, 1)
        depth = ndimage.distance_transform_edt(mine)
        row, col = np.unravel_index(int(depth.argmax()), depth.shape)
        rows, cols = np.indices(depth.shape)
        away = np.hypot(rows - row, cols - col)
        here = mine[1:-1, 1:-1]
        border[box][here] = (depth / depth.max())[mine]
        middle[box][here] = (1 - away / max(1, away[mine].max()))[mine]
    maps = np.stack([grey, 255 * border, 255 * middle], axis=-1)
    return np.rint(maps).astype(np.uint8)


def pieces_of(grey: np.ndarray) -> np.ndarray:
    """Number the connected pixels of the same grey; black is background."""
    labels = np.zeros(grey.shape, np.int32)
    for value in np.unique(grey[grey > 0]):
        pieces, _ = ndimage.label(grey == value)
        labels[pieces > 0] = pieces[pieces > 0] + labels.max()
    return labels
