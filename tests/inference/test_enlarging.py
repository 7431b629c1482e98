"""Masks enlarged in their bounding boxes are those that predict gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_samhq.inference.embedding import ImageEmbedding
from napari_samhq.inference.enlarging import Enlarger
from napari_samhq.model.image_processor import resized_shape, upscale_logits


@pytest.mark.parametrize(
    "shape", [(64, 64), (100, 37), (11, 300), (7, 5), (1, 40), (1000, 800)], ids=str
)
def test_enlarging_a_part_equals_enlarging_all(shape):
    size, low_res = 64, 16
    input_shape = resized_shape(*shape, size)
    nothing = torch.zeros(1)
    embedding = ImageEmbedding(nothing, nothing, shape, input_shape, size, "")
    enlarger = Enlarger(embedding, low_res)
    height, width = enlarger.low_res_shape
    rng = np.random.default_rng(0)
    for spread in (0.0, 1.5, 4.0, 20.0):  # from nothing to everything
        logits = rng.standard_normal((low_res, low_res)).astype(np.float32) - 2 + spread / 4
        if spread < 20:  # an object with surroundings
            logits[: height // 3], logits[:, : width // 4] = -3, -3
        full = upscale_logits(torch.from_numpy(logits)[None], input_shape, shape, size)[0].numpy()
        mask = enlarger.mask(logits[:height, :width]).within(shape)
        differs = mask != (full > 0)
        assert np.abs(full[differs]).max(initial=0) < 1e-5  # rounding, where the logit is zero
        assert differs.sum() <= full.size / 100
