"""Where layers may lie: random transforms and units, for tests with Hypothesis."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

numbers = st.floats(-3, 3, allow_nan=False, width=32)
pixel_sizes_um = st.floats(0.01, 100) | st.floats(-100, -0.01)
UNITS = ("nm", "um", "mm")
PER_UM = {"nm": 1e3, "um": 1.0, "mm": 1e-3}
PER_UM |= {"nanometer": 1e3, "micrometer": 1.0, "millimeter": 1e-3, "pixel": 1.0}


@st.composite
def placements(draw, ndim=2):
    """Pixels of 10 nm to 100 um, in any unit, turned, mirrored, sheared, and moved anywhere.

    Either the last two axes are turned, or each axis has a unit of its own: as numbers are turned
    and not lengths, both together make pixels of picometres, which no other layer's are like.
    """
    turned = draw(st.booleans())
    affine, shear = np.eye(ndim + 1), np.zeros(ndim * (ndim - 1) // 2)
    units = [draw(st.sampled_from(UNITS))] * ndim
    if turned:
        affine[-3:-1, -3:-1] += draw(st.sampled_from([0, 0.2])) * np.array([[0, 1], [-1, 0.5]])
        shear[-1] = draw(numbers) / 3
    else:
        units = [draw(st.sampled_from(UNITS)) for _ in range(ndim)]
    affine[-3:-1, -1] = [draw(numbers), draw(numbers)]
    angle = turned * np.deg2rad(60 * draw(numbers))
    turn = np.eye(ndim)
    turn[-2:, -2:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    per_um = np.array([PER_UM[unit] for unit in units])
    return {
        "scale": per_um * [draw(pixel_sizes_um) for _ in range(ndim)],
        "translate": per_um * [100 * draw(numbers) for _ in range(ndim)],
        "rotate": turn,
        "shear": shear,
        "affine": affine,
        "units": tuple(units),
    }
