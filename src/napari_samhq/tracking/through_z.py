"""Objects of the planes of a stack joined through z: one to one first, then branches and pieces."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.tracking.drift import local_shifts
from napari_samhq.tracking.pairing import best_pairs
from napari_samhq.tracking.planes import overlaps, touching

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_samhq.tracking.planes import Objects

__all__ = ["StackLinker"]

_LEAST_IOU = 0.05
_PAIR = 1.0  # that an object goes on is worth so much, before how well it fits
_AWAY = 0.1  # what a radius between the centres costs
_MOST_SKIPPED = 2  # planes without any object, that objects reach across

# A tip: what is small beside the other, and mostly covered by it.
_TIP_SHARE, _TIP_COVERED = 0.02, 0.5
# A branch: begins or ends at once, and not by becoming smaller and smaller; is covered; takes a
# share of the other's section; and does not touch the other in a plane, where the outlines that
# were given say that they are two.
_BRANCH_COVERED, _BRANCH_SECTION, _BRANCH_SHARE, _BRANCH_TOUCHING = 0.6, 0.5, 0.15, 0.2


@dataclass
class _Groups:
    """Sections that are one object; a forest with the sizes of its trees."""

    parents: list[int] = field(default_factory=list)

    def root(self, section: int) -> int:
        while self.parents[section] != section:
            self.parents[section] = self.parents[self.parents[section]]
            section = self.parents[section]
        return section

    def join(self, section: int, into: int) -> None:
        self.parents[self.root(section)] = self.root(into)


@dataclass(frozen=True)
class _Contact:
    """A section lies over a section of the other plane."""

    mine: int
    other: int
    shared: float


class StackLinker:
    """Takes planes one after the other, and tells at the end which of their objects are one.

    Of all planes but the last two only numbers are kept.
    """

    def __init__(self) -> None:
        self._groups = _Groups()
        self._areas: list[float] = []
        self._planes: list[int] = []
        self._starts: list[int] = []
        self._contacts: list[tuple[int, int, float]] = []
        self._touching: dict[int, dict[int, int]] = defaultdict(dict)
        self._last: tuple[int, int, Objects] | None = None  # plane, first section, objects

    def add(
        self,
        objects: Objects,
        joined: Iterable[tuple[int, int]] = (),
        apart: Iterable[tuple[int, int]] = (),
    ) -> None:
        """Add the next plane.

        Parameters
        ----------
        objects : Objects
        joined, apart : iterable of (int, int), optional
            Objects of the last plane that had some and of this one, by their places in the lists,
            that are one, or are not.
        """
        plane, start = len(self._starts), len(self._areas)
        self._starts.append(start)
        self._areas += objects.areas.tolist()
        self._planes += [plane] * len(objects)
        self._groups.parents += range(start, start + len(objects))
        for (one, other), edges in touching(objects).items():
            self._touching[start + one][start + other] = edges
            self._touching[start + other][start + one] = edges
        last = self._last
        if last is not None and plane - last[0] <= 1 + _MOST_SKIPPED and len(objects):
            self._join(last[1], last[2], start, objects, list(joined), set(apart))
        if len(objects):
            self._last = (plane, start, objects)

    def _join(
        self,
        first_start: int,
        first: Objects,
        second_start: int,
        second: Objects,
        joined: list[tuple[int, int]],
        apart: set[tuple[int, int]],
    ) -> None:
        pairs = overlaps(first, second, local_shifts(first, second))
        centres = first.centres[pairs.before] - second.centres[pairs.after]
        radii = (first.radii[pairs.before] + second.radii[pairs.after]) / 2
        away = np.linalg.norm(centres, axis=1) / np.maximum(radii, 0.5)
        gains = np.where(pairs.ious >= _LEAST_IOU, _PAIR + pairs.ious - _AWAY * away, 0.0)
        listed = list(zip(pairs.before.tolist(), pairs.after.tolist(), strict=True))
        befores, afters = {i for i, _ in joined}, {j for _, j in joined}
        for at, (i, j) in enumerate(listed):
            if i in befores or j in afters or (i, j) in apart:
                gains[at] = 0
        chosen = [listed[at] for at in best_pairs(pairs.before, pairs.after, gains)]
        for i, j in joined + chosen:
            self._groups.join(second_start + j, first_start + i)
        for (i, j), shared in zip(listed, pairs.shared.tolist(), strict=True):
            if (i, j) not in apart:
                self._contacts.append((first_start + i, second_start + j, shared))

    def finish(self) -> list[NDArray[np.int64]]:
        """Join branches and pieces, and number the objects from the top down.

        Returns
        -------
        list of ndarray of int
            For each plane, for each of its objects, the label id in the stack: 1 to N.
        """
        roots = [self._groups.root(section) for section in range(len(self._areas))]
        members: dict[int, list[int]] = defaultdict(list)
        for section, root in enumerate(roots):
            members[root].append(section)
        contacts: dict[int, list[_Contact]] = defaultdict(list)
        for one, other, shared in self._contacts:
            if roots[one] != roots[other]:
                contacts[roots[one]].append(_Contact(one, other, shared))
                contacts[roots[other]].append(_Contact(other, one, shared))
        volumes = {
            root: sum(self._areas[section] for section in sections)
            for root, sections in members.items()
        }
        # The smallest first, so that what grew by them is judged as a whole.
        for root in sorted(members, key=lambda one: (volumes[one], one)):
            target = self._target(members[root], contacts[root], volumes)
            if target is not None:
                volumes[target] += volumes[self._groups.root(root)]
                self._groups.join(root, target)
        return self._numbered()

    def _target(
        self, sections: list[int], contacts: list[_Contact], volumes: dict[int, float]
    ) -> int | None:
        """Find the object that a run of sections is a part of, if any."""
        root, areas = self._groups.root, self._areas
        mine = root(sections[0])
        first = min(self._planes[section] for section in sections)
        last = max(self._planes[section] for section in sections)
        largest = max(areas[section] for section in sections)
        outline = sum(2 * np.sqrt(np.pi * areas[section]) for section in sections)
        ends: dict[int, list[_Contact]] = defaultdict(list)
        for contact in contacts:
            other = root(contact.other)
            at, to = self._planes[contact.mine], self._planes[contact.other]
            if other != mine and ((at == first and to < first) or (at == last and to > last)):
                ends[other].append(contact)
        best: tuple[float, int] | None = None
        for other, found in ends.items():
            shared = sum(contact.shared for contact in found)
            section = sum(areas[one] for one in {contact.mine for contact in found})
            against = sum(areas[one] for one in {contact.other for contact in found})
            covered = shared / section
            is_tip = volumes[mine] <= _TIP_SHARE * volumes[other] and covered >= _TIP_COVERED
            is_branch = (
                covered >= _BRANCH_COVERED
                and section >= _BRANCH_SECTION * largest
                and shared >= _BRANCH_SHARE * against
            )
            is_apart = self._edges(sections, other) < _BRANCH_TOUCHING * outline
            score = covered * shared
            if (is_tip or is_branch) and is_apart and (best is None or score > best[0]):
                best = (score, other)
        return None if best is None else best[1]

    def _edges(self, sections: list[int], other: int) -> int:
        """Count the pixels' edges at which sections touch those of another object."""
        return sum(
            edges
            for section in sections
            for beside, edges in self._touching[section].items()
            if self._groups.root(beside) == other
        )

    def _numbered(self) -> list[NDArray[np.int64]]:
        numbers: dict[int, int] = {}
        found = [
            numbers.setdefault(self._groups.root(section), len(numbers) + 1)
            for section in range(len(self._areas))
        ]
        return [
            np.array(found[start:stop], dtype=np.int64)
            for start, stop in zip(self._starts, [*self._starts[1:], len(found)], strict=True)
        ]
