"""A large image that comes to rest on the screen is looked at there, in the real window."""

from __future__ import annotations

import numpy as np


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
