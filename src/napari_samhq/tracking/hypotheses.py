"""Hypotheses of what became of a frame's objects, and the best choice among them.

Each object goes on, divides in two, or ends; each of the next frame comes from one that did, or
appears. What fits together best is found by a small integer program for each pair of frames, as in
Jug et al. (2014), "Optimal joint segmentation and tracking of Escherichia coli in the mother
machine", and Schiegg et al. (2013), "Conservation tracking".
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from napari_samhq.tracking.drift import local_shifts
from napari_samhq.tracking.planes import overlaps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_samhq.tracking.planes import Objects

__all__ = ["Link", "best_links"]

# What is lost, in the units of a negative logarithm of a likelihood.
_END, _APPEAR = 2.5, 2.5
_DIVIDE = 1.5
_UNLIKE_DAUGHTERS = 2.0  # times the square of the logarithm of their areas' ratio
_NO_OVERLAP = 2.0
_DISTANCE = 0.6  # radii that objects go by themselves, one standard deviation
_USUAL_CHANGE, _CHANGES = 0.25, (0.2, 0.3)  # of the logarithm of an area

_FARTHEST = 3.0  # radii
_MOST_CANDIDATES = 6
_LARGEST_RATIO = np.e  # of the areas of two daughters
_ROUNDS = 3
_NEIGHBOURS = 5


@dataclass(frozen=True)
class Link:
    """An object of a frame and what it is in the next one: one object, or two daughters.

    Attributes
    ----------
    before : int
        Place in the list of the first frame.
    after : tuple of int
        Places in the list of the second.
    """

    before: int
    after: tuple[int, ...]


def best_links(
    first: Objects,
    second: Objects,
    fixed: Iterable[Link] = (),
    cut: Iterable[tuple[int, int]] = (),
) -> list[Link]:
    """Link the objects of two frames.

    Parameters
    ----------
    first, second : Objects
    fixed : iterable of Link, optional
        Links that are to be kept whatever they look like.
    cut : iterable of (int, int), optional
        Pairs of objects, by their places in the lists, that are never linked.

    Returns
    -------
    list of Link
    """
    kept = list(fixed)
    if not len(first) or not len(second):
        return kept
    shifts, change = local_shifts(first, second), _USUAL_CHANGE
    links: list[Link] = []
    for _ in range(_ROUNDS):  # what was linked tells how far things went and grew, better
        links = kept + _chosen(_Pair(first, second, shifts, change), kept, set(cut))
        if len(links) < _NEIGHBOURS:
            break
        shifts, change = _learned(first, second, links)
    return links


class _Pair:
    """Two frames, and how well objects of one fit those of the other."""

    def __init__(
        self, first: Objects, second: Objects, shifts: NDArray[np.float64], change: float
    ) -> None:
        self.first, self.second, self.change = first, second, change
        self.expected = first.centres + shifts
        self.radius = float(np.median(np.concatenate([first.radii, second.radii])))
        pairs = overlaps(first, second, shifts)
        keys = zip(pairs.before.tolist(), pairs.after.tolist(), strict=True)
        self.shared = dict(zip(keys, pairs.shared.tolist(), strict=True))

    def candidates(self) -> list[list[int]]:
        """List for each object of the first frame those of the second that it may have become."""
        count = min(_MOST_CANDIDATES, len(self.second))
        reach = _FARTHEST * self.radius
        far, near = cKDTree(self.second.centres).query(
            self.expected, k=list(range(1, count + 1)), distance_upper_bound=reach
        )
        found = [set(js[np.isfinite(d)].tolist()) for d, js in zip(far, near, strict=True)]
        for before, after in self.shared:
            found[before].add(after)
        return [sorted(one) for one in found]

    def loss(self, before: int, after: tuple[int, ...]) -> float:
        """Tell how little an object fits others, taken together."""
        areas = self.second.areas[list(after)]
        area, old = float(areas.sum()), float(self.first.areas[before])
        centre = areas @ self.second.centres[list(after)] / area
        way = float(np.linalg.norm(centre - self.expected[before])) / self.radius
        shared = sum(self.shared.get((before, one), 0.0) for one in after)
        change = np.log(area / old) / self.change
        loss = (way / _DISTANCE) ** 2 / 2 + change**2 / 2
        loss += _NO_OVERLAP * (1 - shared / (old + area - shared))
        if len(after) > 1:
            loss += _DIVIDE + _UNLIKE_DAUGHTERS * np.log(areas[0] / areas[1]) ** 2
        return float(loss)

    def may_be_sisters(self, one: int, other: int) -> bool:
        areas, centres = self.second.areas, self.second.centres
        ratio = areas[one] / areas[other]
        apart = float(np.linalg.norm(centres[one] - centres[other]))
        is_near = apart <= 1.5 * _FARTHEST * self.radius
        return is_near and 1 / _LARGEST_RATIO < ratio < _LARGEST_RATIO


def _chosen(pair: _Pair, fixed: list[Link], cut: set[tuple[int, int]]) -> list[Link]:
    """Choose the links that are worth most together."""
    taken_before = {link.before for link in fixed}
    taken_after = {after for link in fixed for after in link.after}
    hypotheses: list[Link] = []
    gains: list[float] = []

    def consider(before: int, after: tuple[int, ...]) -> None:
        gain = _END + _APPEAR * len(after) - pair.loss(before, after)
        if gain > 0:
            hypotheses.append(Link(before, after))
            gains.append(gain)

    for before, candidates in enumerate(pair.candidates()):
        if before in taken_before:
            continue
        free = [j for j in candidates if j not in taken_after and (before, j) not in cut]
        for after in free:
            consider(before, (after,))
        for one, other in combinations(free, 2):
            if pair.may_be_sisters(one, other):
                consider(before, (one, other))
    if not hypotheses:
        return []
    count = len(pair.first)
    uses = [(link.before, *(count + after for after in link.after)) for link in hypotheses]
    rows = [row for used in uses for row in used]
    columns = [column for column, used in enumerate(uses) for _ in used]
    shape = (count + len(pair.second), len(hypotheses))
    once = csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)
    solution = milp(
        -np.array(gains),
        constraints=LinearConstraint(once, -np.inf, 1),
        integrality=np.ones(len(gains)),
        bounds=Bounds(0, 1),
    )
    return [hypotheses[at] for at in np.flatnonzero(solution.x > 0.5).tolist()]


def _learned(
    first: Objects, second: Objects, links: list[Link]
) -> tuple[NDArray[np.float64], float]:
    """Tell from links how far objects went, each by its neighbours, and how their areas vary."""
    areas = [second.areas[list(link.after)] for link in links]
    centres = [
        area @ second.centres[list(link.after)] / area.sum()
        for area, link in zip(areas, links, strict=True)
    ]
    linked = first.centres[[link.before for link in links]]
    moved = np.array(centres) - linked
    _, near = cKDTree(linked).query(first.centres, k=_NEIGHBOURS)
    old = first.areas[[link.before for link in links]]
    ratios = np.log([area.sum() for area in areas] / old)
    spread = 1.4826 * float(np.median(np.abs(ratios)))
    return np.median(moved[near], axis=1), float(np.clip(spread, *_CHANGES))
