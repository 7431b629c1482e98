"""Units of world axes, and conversion factors between them."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import LayerError, SamHQWarning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["unit_factors", "unit_names"]


def unit_names(units: Sequence[Any]) -> tuple[str, ...]:
    """Write units as strings.

    Parameters
    ----------
    units : sequence of str or pint.Unit
        As napari layers have them.

    Returns
    -------
    tuple of str
        Their names, as pint knows them.

    Examples
    --------
    >>> unit_names(["um", "s"])
    ('um', 's')
    """
    return tuple(map(_name, units))


@lru_cache(maxsize=256)
def _name(unit: Any) -> str:
    return str(unit)  # pint takes longer over this than everything else about a transform


def unit_factors(source_units: Sequence[Any], target_units: Sequence[Any]) -> NDArray[np.float64]:
    """Find the factors that turn world coordinates in one set of units into another.

    The rule is napari's: where one layer counts in pixels and the other in a physical unit, along
    any axis, the units of all axes are ignored, and numbers are taken as they are.

    Parameters
    ----------
    source_units, target_units : sequence of str or pint.Unit
        One unit for each axis, the same number of axes.

    Returns
    -------
    ndarray of shape (ndim,), float64
        Factor for each axis.

    Raises
    ------
    LayerError
        If a unit is unknown, or two units measure different things (a length and a time).

    Warns
    -----
    SamHQWarning
        If units were ignored because one layer counts in pixels.

    Examples
    --------
    >>> unit_factors(["nm", "s"], ["um", "s"]).round(9).tolist()
    [0.001, 1.0]
    """
    source, target = list(unit_names(source_units)), list(unit_names(target_units))
    if source == target:  # nearly always; spares importing pint, which takes a while
        return np.ones(len(source))
    pairs = list(zip(map(_unit, source), map(_unit, target), strict=True))
    if any(_is_pixel(a) != _is_pixel(b) for a, b in pairs):
        warnings.warn(
            f"Units {source} and {target} mix pixels with physical units, so they are ignored, as "
            "napari does. Give both layers the same units.",
            SamHQWarning,
            stacklevel=3,
        )
        return np.ones(len(source))
    for a, b in pairs:
        if a.dimensionality != b.dimensionality:
            raise LayerError(
                f"A layer in {source} cannot be placed on one in {target}: {a} and {b} measure "
                "different things. Correct the units of one of the layers."
            )
    return np.array([float((1 * a).to(b).magnitude) for a, b in pairs])


def _unit(name: str) -> Any:
    import pint  # comes with napari, and is only needed with it

    registry: Any = pint.application_registry  # the one that napari's units belong to
    try:
        return registry.parse_expression(name).units
    except (pint.errors.PintError, AttributeError, ValueError) as error:
        raise LayerError(
            f"{name!r} is no unit that pint knows. Use for example 'um', 'nm', 's' or 'pixel'."
        ) from error


def _is_pixel(unit: Any) -> bool:
    return "pixel" in str(unit)
