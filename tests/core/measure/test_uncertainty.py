"""Doubt about a mask: what HQ changed, and how wide its outline is in doubt."""

from __future__ import annotations

import numpy as np
import pytest

from napari_samhq.core.measure.uncertainty import uncertainty_of


@pytest.mark.parametrize("slope", [0.25, 0.5])
@pytest.mark.parametrize("px", [1.0, 4.0])
def test_the_width_of_a_slope_is_found_around_a_disc(slope: float, px: float) -> None:
    rows, cols = np.mgrid[-100:101, -100:101]
    logits = ((60 - np.hypot(rows, cols)) * slope).astype(np.float32)
    # Logits run from -1 to 1 over 2 / slope pixels.
    assert uncertainty_of(logits, 0.0, px) == pytest.approx(2 / slope * px, rel=0.06)


def test_a_sharp_outline_is_sure_and_none_is_no_doubt() -> None:
    logits = np.full((50, 50), -9, dtype=np.float32)
    assert uncertainty_of(logits, 0.0, 1.0) == 0
    logits[10:30, 10:30] = 9
    assert uncertainty_of(logits, 0.0, 1.0) == 0
    assert uncertainty_of(logits, 8.5, 1.0) > 1  # the whole object is near that threshold
