"""The preview: outlines in the colours of their labels."""

from __future__ import annotations

import time

import numpy as np
from napari.layers import Image

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.session.layers.preview import Outline, Preview

PLANE = Plane((0, 1))


def outline(number, color, *, active=False) -> Outline:
    mask = np.ones((9, 9), dtype=bool)
    return Outline(CroppedMask.of(mask, (10 * (number // 40), 10 * (number % 40))), color, active)


def seen(preview, number):
    """The colour that is seen at the rim of an object."""
    value = int(preview.layer.data[10 * (number // 40) + 1, 10 * (number % 40) + 1])
    return tuple(preview.layer.colormap.map(value)[:3])


def test_each_outline_has_its_colour_however_many_there_were_before():
    preview = Preview(Image(np.zeros((200, 400))))
    rng = np.random.default_rng(0)
    for _ in range(5):  # more colours than the layer has values
        colors = [(*rng.random(3).round(3), 1.0) for _ in range(100)]
        outlines = [outline(i, color, active=i == 99) for i, color in enumerate(colors)]
        preview.show(PLANE, outlines)
        for number, color in enumerate(colors[:99]):
            value = int(preview.layer.data[10 * (number // 40), 10 * (number % 40)])
            np.testing.assert_allclose(preview.layer.colormap.map(value)[:3], color[:3], atol=1e-6)
        np.testing.assert_allclose(seen(preview, 99), colors[99][:3], atol=1e-6)


def test_more_colours_at_once_than_there_are_values_leave_the_active_one_its_own():
    preview = Preview(Image(np.zeros((200, 400))))
    colors = [(i / 400, 0.5, 0.25, 1.0) for i in range(400)]
    preview.show(PLANE, [outline(i, c, active=i == 150) for i, c in enumerate(colors)])
    np.testing.assert_allclose(seen(preview, 150), colors[150][:3], atol=1e-6)
    assert preview.layer.data[:100:10, ::10].all()  # all are seen


def test_another_colour_costs_next_to_nothing():
    preview = Preview(Image(np.zeros((200, 400))))
    preview.show(PLANE, [outline(0, (1.0, 0.0, 0.0, 1.0))])
    start = time.process_time()
    for number in range(1, 101):
        preview.show(PLANE, [outline(number, (number / 100, 0.0, 0.0, 1.0), active=True)])
    assert (time.process_time() - start) / 100 < 0.02
