"""Prompts of areas within areas: the innermost ones are objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.masks.nesting import parents_among
from napari_samhq.core.prompts.from_shapes import area_of_shape
from napari_samhq.io.objects import warn_of_parents

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_samhq.core.journal.shapes_drawn import Drawn

__all__ = ["leaves_among"]


def leaves_among(
    prompts: Mapping[int, Drawn], image_shape: tuple[int, int] | None, path: str | Path
) -> dict[int, Drawn]:
    """Leave out areas that have those of other objects inside.

    Parameters
    ----------
    prompts : mapping of int to Drawn
        By label id.
    image_shape : tuple of two ints, or None
        Height and width of the image; areas are filled no farther.
    path : str or Path
        The file, for the warning.

    Warns
    -----
    SamHQWarning
        If any was left out.
    """
    numbers, areas = list(prompts), []
    for one in prompts.values():
        parts = (area_of_shape(shape.vertices, shape.kind, image_shape) for shape in one.shapes)
        areas.append(one.mask or CroppedMask.union(parts))
    parents = {numbers[place] for place in parents_among(areas)}
    if parents:
        warn_of_parents(sorted(parents), f"{path}")
    return {label_id: one for label_id, one in prompts.items() if label_id not in parents}
