"""A segmenter that knows the objects in its window, as far as the window shows them."""

from __future__ import annotations

import hashlib

import numpy as np
from scipy import ndimage

from fakes import FakePredictor
from napari_samhq.inference.embedding import ImageEmbedding
from napari_samhq.inference.prediction import Prediction


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
