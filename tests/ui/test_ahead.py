"""A large image that comes to rest on the screen is looked at there, in the real window."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from napari.layers import Image
from qtpy.QtCore import QPoint
from qtpy.QtTest import QTest

from napari_samhq.session.layers.current_plane import current_plane, visible_region


def test_where_the_camera_rests_is_looked_at_once(open_dock, predictor):
    predictor.input_size = 512
    user = open_dock(np.random.default_rng(0).integers(0, 255, (3000, 3000), np.uint8))
    user.until(lambda: "Ready" in user.sentence)

    def looked() -> int:
        return sum(what == "embed" for what, _ in predictor.calls)

    before = looked()
    for zoom in (1, 2, 4):  # on the way nothing is done
        user.viewer.scene.camera.zoom = zoom
    user.until(lambda: looked() > before)
    user.qtbot.wait(600)
    assert looked() == before + 1
    user.viewer.close()
    user.qtbot.wait(600)
    assert looked() == before + 1


@pytest.mark.parametrize("zoom", [0.4, 1.6, 5.0])
def test_of_an_image_in_chunks_what_the_mouse_can_reach_is_visible(open_dock, tmp_path, zoom):
    full = zarr.create_array(tmp_path / "0", shape=(6000, 8000), chunks=(1024, 1024), dtype="u1")
    half = zarr.create_array(tmp_path / "1", shape=(3000, 4000), chunks=(1024, 1024), dtype="u1")
    layer = Image([full, half], multiscale=True, scale=(0.5, 0.5), contrast_limits=(0, 255))
    user = open_dock(layer=layer)
    viewer = user.viewer
    viewer.scene.camera.zoom = zoom
    viewer.scene.camera.center = (0, 1500, 2100)
    user.qtbot.wait(200)
    corners = []
    for place in (QPoint(1, 1), QPoint(user.canvas.width() - 2, user.canvas.height() - 2)):
        QTest.mouseMove(user.canvas, QPoint(40, 50))
        user.qtbot.wait(100)
        QTest.mouseMove(user.canvas, place)
        user.qtbot.wait(100)
        corners.append(layer.world_to_data(viewer.cursor.position))
    visible = visible_region(viewer, layer, current_plane(viewer, layer))
    seen = [(part.start, part.stop) for part in visible]
    one = 2 + 4 / zoom  # two pixels of the image and of the screen
    assert np.allclose(np.transpose(seen), corners, atol=one)
