"""Sizes of pixels in any two units: the same lengths in every format, and areas that are right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_samhq.batch.publish import _resolution
from napari_samhq.io.calibration import Calibration, read_calibration, short_unit
from napari_samhq.io.layer_data import read_layer_data
from napari_samhq.io.results import write_labels_as

if TYPE_CHECKING:
    from pathlib import Path

METRES = {
    "fm": 1e-15, "pm": 1e-12, "angstrom": 1e-10, "nm": 1e-9, "um": 1e-6, "mm": 1e-3, "cm": 1e-2,
    "dm": 0.1, "m": 1.0, "km": 1e3, "inch": 0.0254, "foot": 0.3048,
}  # fmt: skip
LABELS = np.zeros((12, 14), np.uint16)
LABELS[2:6, 3:9] = 4

units = st.sampled_from([*METRES, "pixel"])
sizes = st.floats(0.01, 500).map(lambda size: float(f"{size:.5g}"))
pairs = st.tuples(st.tuples(sizes, units), st.tuples(sizes, units)).map(
    # What has no unit has no size either.
    lambda pair: [(1.0 if unit == "pixel" else size, unit) for size, unit in pair]
)


def _lengths(found: Calibration) -> list[float | None]:
    pairs = zip(found.pixel_size[-2:], found.units[-2:], strict=True)
    return [size * METRES[unit] if unit in METRES else None for size, unit in pairs]


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".zarr"], ids=lambda s: f"FM-85{s}")
@settings(deadline=None, max_examples=60,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(pairs)
def test_any_two_units_are_kept(tmp_path: Path, suffix: str, pair) -> None:
    pixel_size, unit = zip(*pair, strict=True)
    path = write_labels_as(
        tmp_path / f"a{suffix}", LABELS, pixel_size=pixel_size, unit=unit, overwrite=True
    )
    given_sizes = Calibration.of(2, pixel_size, unit)
    found = read_calibration(path) or Calibration.of(2)
    for one, other in zip(_lengths(found), _lengths(given_sizes), strict=True):
        assert (one is None) == (other is None)
        assert one is None or one == pytest.approx(other, rel=1e-6)


@pytest.mark.parametrize("large", [False, True], ids=["FM-85-memory", "FM-85-pieces"])
@settings(deadline=None, max_examples=60,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(pairs)
def test_areas_are_right_or_not_given(tmp_path: Path, large: bool, pair) -> None:
    import zarr

    pixel_size, unit = zip(*pair, strict=True)
    labels = zarr.array(LABELS) if large else LABELS
    path = write_labels_as(
        tmp_path / "a.csv", labels, pixel_size=pixel_size, unit=unit, overwrite=True
    )
    row = pd.read_csv(path).iloc[0]
    assert row["area_px"] == 24
    named = {name: row[name] for name in row.index if name.startswith("area_")} | {"area_px": 24}
    lengths = _lengths(Calibration.of(2, pixel_size, unit))
    if None in lengths or all(u == "pixel" for u in unit):
        assert list(named) == ["area_px"]
    else:
        assert row[f"area_{unit[1]}2"] * METRES[unit[1]] ** 2 == pytest.approx(
            24 * lengths[0] * lengths[1], rel=1e-6
        )


@settings(deadline=None, max_examples=60,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(pairs)
def test_notes_of_geojson_say_one_unit(tmp_path: Path, pair) -> None:
    pixel_size, unit = zip(*pair, strict=True)
    path = write_labels_as(
        tmp_path / "a.geojson", LABELS, pixel_size=pixel_size, unit=unit, overwrite=True
    )
    ((_, options, _),) = read_layer_data(path)
    lengths = _lengths(Calibration.of(2, pixel_size, unit))
    if None in lengths:  # shown as it is, with square pixels
        assert set(options.get("units", ("pixel",))) == {"pixel"}
        assert set(options.get("scale", (1.0,))) == {1.0}
    else:
        assert isinstance(json.loads(path.read_text())["napari_samhq"]["unit"], str)
        found = [s * METRES[u] for s, u in zip(options["scale"], options["units"], strict=True)]
        assert found == pytest.approx(lengths, rel=1e-9)


@settings(max_examples=60)
@given(pairs)
def test_tags_say_pixels_per_centimetre_or_nothing(pair) -> None:
    pixel_size, unit = zip(*pair, strict=True)
    calibration = Calibration.of(2, pixel_size, unit)
    lengths = _lengths(calibration)
    said = _resolution(calibration).get("resolution")
    if said is not None:
        assert None not in lengths
        assert said == pytest.approx([1 / (100 * n) for n in reversed(lengths) if n], rel=1e-9)


@pytest.mark.parametrize((), [pytest.param(id="FM-85-imagej-stack")])
def test_slices_of_imagej_are_in_the_unit_of_the_columns(tmp_path: Path) -> None:
    labels = np.stack([LABELS, LABELS])
    path = write_labels_as(
        tmp_path / "a.tif", labels, pixel_size=(2, 250, 0.25), unit=("mm", "nm", "um"),
        axes=("z", "y", "x"),
    )  # fmt: skip
    found = read_calibration(path)
    assert found is not None
    assert found.units == ("um", "um", "um")
    assert found.pixel_size == pytest.approx((2000, 0.25, 0.25))


@pytest.mark.parametrize((), [pytest.param(id="FM-85-imagej-units")])
def test_units_of_imagej_may_differ_by_axis(tmp_path: Path) -> None:
    import tifffile

    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((2, 4, 5), np.uint8), imagej=True, resolution=(4.0, 0.004),
        metadata={"axes": "ZYX", "unit": "um", "yunit": "nm", "zunit": "mm", "spacing": 0.5},
    )  # fmt: skip
    found = read_calibration(tmp_path / "a.tif")
    assert found is not None
    assert found.units == ("mm", "nm", "um")
    assert found.pixel_size == pytest.approx((0.5, 250, 0.25))


@pytest.mark.parametrize(
    ("written", "short"),
    [
        ("Micrometers", "um"),
        ("nanometre", "nm"),
        ("pixels", "pixel"),
        ("µs", "us"),
        ("in", "inch"),
        ("Mm", "Mm"),
        ("MM", "mm"),
    ],
)
def test_units_have_many_names(written: str, short: str) -> None:
    assert short_unit(written) == short
