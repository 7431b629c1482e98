"""Nesting of areas: parents of others, as a tissue is of its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_samhq.core.masks.cropped import CroppedMask

__all__ = ["parents_among"]


def parents_among(masks: Sequence[CroppedMask]) -> list[int]:
    """Find the masks that have all pixels of another, smaller one.

    Parameters
    ----------
    masks : sequence of CroppedMask
        Of one plane, in any order. Empty ones are nobody's children, and of two with the same
        bounding box neither is the parent: they outline one thing in two ways.

    Returns
    -------
    list of int
        Places in `masks`, ascending. What is left has no children: the leaves of any nesting.

    Examples
    --------
    >>> from napari_samhq.core.masks.cropped import CroppedMask
    >>> tissue, cell = CroppedMask.of(np.ones((9, 9))), CroppedMask.of(np.ones((2, 2)), (3, 3))
    >>> parents_among([cell, tissue])
    [1]
    """
    import shapely

    filled = [place for place, mask in enumerate(masks) if mask]
    if len(filled) < 2:
        return []
    corners = np.array(
        [
            (m.left, m.top, m.left + m.width, m.top + m.height)
            for m in map(masks.__getitem__, filled)
        ]
    )
    boxes = shapely.box(*corners.T)
    parents: set[int] = set()
    # Pairs come by their first one, so a parent is known at its first child.
    for outer, inner in shapely.STRtree(boxes).query(boxes, predicate="covers").T.tolist():
        parent, child = filled[outer], filled[inner]
        if (
            parent not in parents
            and (corners[outer] != corners[inner]).any()
            and masks[parent].covers(masks[child])
        ):
            parents.add(parent)
    return sorted(parents)
