"""Objects of the frames of a film joined into tracks: frame by frame, then across gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.tracking.hypotheses import best_links
from napari_samhq.tracking.pairing import best_pairs

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from numpy.typing import NDArray

    from napari_samhq.tracking.hypotheses import Link
    from napari_samhq.tracking.planes import Objects

__all__ = ["FilmLinker"]

_GAP_RADII = 1.5  # how far what was gone for a frame may have gone
_GAP_CHANGE = 0.4  # of the logarithm of its area


@dataclass
class _Track:
    """A track as it grows."""

    start: int
    end: int
    parent: int
    first: tuple[NDArray[np.float64], float]  # centre and area where it begins
    last: tuple[NDArray[np.float64], float]  # and where it is now
    radius: float
    has_daughters: bool = False


class FilmLinker:
    """Takes frames one after the other, and tells at the end which of their objects are one.

    Of all frames but the last two only numbers are kept.

    Parameters
    ----------
    gap : int, optional
        For so many frames an object may be missing and is the same one still.
    """

    def __init__(self, gap: int = 1) -> None:
        self._gap = gap
        self._tracks: list[_Track] = []
        self._frames: list[NDArray[np.int64]] = []  # for each object the number of its track
        self._last: tuple[int, Objects] | None = None

    def add(
        self, objects: Objects, fixed: Iterable[Link] = (), cut: Iterable[tuple[int, int]] = ()
    ) -> None:
        """Add the next frame.

        Parameters
        ----------
        objects : Objects
        fixed : iterable of Link, optional
            Links from the last frame that had objects, which are kept.
        cut : iterable of (int, int), optional
            Pairs that are never linked.
        """
        frame = len(self._frames)
        tracks = np.full(len(objects), -1, dtype=np.int64)
        links: list[Link] = []
        if self._last is not None and frame - self._last[0] <= 1 + self._gap:
            links = best_links(self._last[1], objects, fixed, cut)
            before = self._frames[self._last[0]]
        parents = np.full(len(objects), -1, dtype=np.int64)
        for link in links:
            track = int(before[link.before])
            if len(link.after) == 1:
                tracks[link.after[0]] = track
                self._tracks[track].end = frame
                self._tracks[track].last = self._state(objects, link.after[0])
            else:
                self._tracks[track].has_daughters = True
                parents[list(link.after)] = track
        for at in np.flatnonzero(tracks < 0).tolist():
            state, radius = self._state(objects, at), float(objects.radii[at])
            tracks[at] = len(self._tracks)
            self._tracks.append(_Track(frame, frame, int(parents[at]), state, state, radius))
        self._frames.append(tracks)
        if len(objects):
            self._last = (frame, objects)

    @staticmethod
    def _state(objects: Objects, at: int) -> tuple[NDArray[np.float64], float]:
        return objects.centres[at], float(objects.areas[at])

    def finish(self) -> tuple[list[NDArray[np.int64]], pd.DataFrame]:
        """Close gaps, and number the tracks as they begin.

        Returns
        -------
        ids : list of ndarray of int
            For each frame, for each of its objects, the number of its track: 1 to N.
        lineage : DataFrame
            A row for each track: track, start, end, parent (0 for none); first and last frame.
        """
        import pandas as pd

        names = np.arange(len(self._tracks))
        for earlier, later in self._closed():
            # In the order of their ends, so what goes on across two gaps is one.
            self._tracks[later].parent = self._tracks[earlier].parent
            self._tracks[later].start = self._tracks[earlier].start
            names[names == earlier] = later
        kept, first = np.unique(names, return_index=True)
        order = kept[np.argsort(first)]
        number = np.zeros(len(names), dtype=np.int64)
        number[order] = np.arange(1, len(order) + 1)
        rows = []
        for track in order.tolist():
            one = self._tracks[track]
            parent = int(number[names[one.parent]]) if one.parent >= 0 else 0
            rows.append((int(number[track]), one.start, one.end, parent))
        lineage = pd.DataFrame(rows, columns=["track", "start", "end", "parent"], dtype="int64")
        return [number[names[frame]] for frame in self._frames], lineage

    def _closed(self) -> list[tuple[int, int]]:
        """Pair tracks that end with those that begin some frames later, where they fit."""
        begun: dict[int, list[int]] = {}
        for at, track in enumerate(self._tracks):
            if track.parent < 0:
                begun.setdefault(track.start, []).append(at)
        pairs: list[tuple[int, int, float]] = []
        for at, track in enumerate(self._tracks):
            if track.has_daughters:
                continue
            for start in range(track.end + 2, track.end + 2 + self._gap):
                for other in begun.get(start, []):
                    centre, area = self._tracks[other].first
                    reach = _GAP_RADII * track.radius * np.sqrt(start - track.end)
                    way = float(np.linalg.norm(centre - track.last[0])) / reach
                    change = abs(np.log(area / track.last[1])) / _GAP_CHANGE
                    if way < 1 and change < 1:
                        pairs.append((at, other, 2 - way - change))
        if not pairs:
            return []
        rows, cols, gains = (np.array(column) for column in zip(*pairs, strict=True))
        chosen = best_pairs(rows, cols, gains)
        return sorted(zip(rows[chosen].tolist(), cols[chosen].tolist(), strict=True))
