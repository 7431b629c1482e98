"""Agreement of tracks: the measures of the Cell Tracking Challenge.

Objects of a true and a found film are compared frame by frame, and then links between them: what
it would take to make the true graph of the found one (AOGM: Matula et al., PLoS ONE 2015), whole
tracks, and divisions (Ulman et al., Nature Methods 2017).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import ImageError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["TrackQuality", "compare_tracks", "spans_of"]

# What it costs to split a spot, add one, delete one; to delete a link, add one, change its kind.
_SPLIT, _MISSED, _EXTRA = 5, 10, 1
_LINK_EXTRA, _LINK_MISSED, _LINK_WRONG = 1, 1.5, 1

Spot = tuple[int, int]
"""Frame and id."""


@dataclass(frozen=True)
class TrackQuality:
    """How well objects of a film were found and followed.

    Attributes
    ----------
    spots, links, tracks : int
        Objects in frames, links between them, and tracks, of the truth.
    found_tracks : int
        Tracks that were found, right or wrong.
    splits, missed, extra : int
        Spots to split, to add and to delete.
    links_extra, links_missed, links_wrong : int
        Links to delete, to add, and to make a division of, or none.
    complete : int
        True tracks of which every spot is in one found track, and that begins and ends with it.
    divisions : dict of int to (int, int, int)
        Found, extra and missed divisions, by the number of frames that they may be off.
    seg : float
        SEG: mean over the true objects of the IoU with what covers more than half of them.
    """

    spots: int
    links: int
    tracks: int
    found_tracks: int
    splits: int
    missed: int
    extra: int
    links_extra: int
    links_missed: int
    links_wrong: int
    complete: int
    divisions: dict[int, tuple[int, int, int]]
    seg: float

    @property
    def det(self) -> float:
        """DET: detection, 1 for all."""
        return _share(self._spot_cost, _MISSED * self.spots)

    @property
    def lnk(self) -> float:
        """LNK: linking; links of spots that are missed count as missed."""
        return _share(self._link_cost, _LINK_MISSED * self.links)

    @property
    def tra(self) -> float:
        """TRA: both. Where spots are found it is close to 1 however they are linked."""
        whole = _MISSED * self.spots + _LINK_MISSED * self.links
        return _share(self._spot_cost + self._link_cost, whole)

    @property
    def ct(self) -> float:
        """CT: complete tracks, their share in the mean of true and found ones."""
        return 2 * self.complete / max(1, self.tracks + self.found_tracks)

    def bc(self, frames: int = 0) -> float:
        """BC(i): F1 of the divisions, where `frames` more or less count as right.

        NaN where there is none.
        """
        found, extra, missed = self.divisions[frames]
        return 2 * found / (2 * found + extra + missed) if found + missed else float("nan")

    @property
    def division_f1(self) -> float:
        """F1 of the divisions that are right to the frame."""
        return self.bc(0)

    @property
    def _spot_cost(self) -> float:
        return _SPLIT * self.splits + _MISSED * self.missed + _EXTRA * self.extra

    @property
    def _link_cost(self) -> float:
        return (
            _LINK_EXTRA * self.links_extra
            + _LINK_MISSED * self.links_missed
            + _LINK_WRONG * self.links_wrong
        )

    def told(self) -> dict[str, float]:
        """List the measures by their names."""
        values = {"DET": self.det, "SEG": self.seg, "TRA": self.tra, "LNK": self.lnk, "CT": self.ct}
        return values | {f"BC({frames})": self.bc(frames) for frames in self.divisions}


def _share(cost: float, whole: float) -> float:
    return 1 - min(cost, whole) / whole if whole else 1.0


@dataclass
class _Film:
    """The graph of a film, and the spots of each frame."""

    lineage: dict[int, tuple[int, int, int]]  # start, end, parent
    spots: set[Spot] = field(default_factory=set)

    @classmethod
    def of(cls, lineage: pd.DataFrame) -> _Film:
        rows = lineage[["track", "start", "end", "parent"]].to_numpy().tolist()
        return cls({track: (start, end, parent) for track, start, end, parent in rows})

    def links(self) -> dict[tuple[Spot, Spot], bool]:
        """Tell of each link whether it leads to another track."""
        found = {
            ((frame, track), (frame + 1, track)): False
            for frame, track in self.spots
            if (frame + 1, track) in self.spots
        }
        for track, (start, _, parent) in self.lineage.items():
            if parent:
                found[(self.lineage[parent][1], parent), (start, track)] = True
        return found

    def divisions(self) -> dict[int, list[int]]:
        """List the daughters of each track that has two or more."""
        daughters: dict[int, list[int]] = defaultdict(list)
        for track, (_, _, parent) in self.lineage.items():
            if parent:
                daughters[parent].append(track)
        return {parent: ones for parent, ones in daughters.items() if len(ones) > 1}


def compare_tracks(
    true: Any,
    true_lineage: pd.DataFrame,
    found: Any,
    found_lineage: pd.DataFrame,
    *,
    tolerance: int = 3,
) -> TrackQuality:
    """Compare the tracks of two films.

    Parameters
    ----------
    true, found : array of shape (T, H, W) or (T, Z, H, W), int
        Ids of tracks; read frame by frame.
    true_lineage, found_lineage : DataFrame
        A row for each track: track, start, end, parent (0 for none).
    tolerance : int, optional
        By how many frames at most divisions may be off: BC(0) to BC(tolerance) are measured.

    Returns
    -------
    TrackQuality

    Raises
    ------
    ImageError
        If the shapes differ, or an id has no row.

    Examples
    --------
    >>> import pandas as pd
    >>> film = np.zeros((2, 4, 4), dtype=int)
    >>> film[:, 1:3, 1:3] = 1
    >>> rows = pd.DataFrame([(1, 0, 1, 0)], columns=["track", "start", "end", "parent"])
    >>> quality = compare_tracks(film, rows, film, rows)
    >>> quality.tra, quality.lnk, quality.ct
    (1.0, 1.0, 1.0)
    """
    if tuple(true.shape) != tuple(found.shape):
        raise ImageError(
            f"The films have the shapes {tuple(true.shape)} and {tuple(found.shape)}; only films "
            "of one shape can be compared."
        )
    films = _Film.of(true_lineage), _Film.of(found_lineage)
    matches: dict[Spot, Spot] = {}  # true -> found, more than half of it covered
    ious = 0.0
    for frame in range(true.shape[0]):
        for (one, other), iou in _covered(
            np.asarray(true[frame]), np.asarray(found[frame]), frame, films
        ):
            matches[one] = other
            ious += iou
    for film, name in zip(films, ("true", "found"), strict=True):
        strange = sorted({track for _, track in film.spots} - film.lineage.keys())
        if strange:
            raise ImageError(
                f"Track {strange[0]} is in the {name} labels, and has no row in their lineage."
            )
    return _counted(films, matches, ious, tolerance)


def spans_of(labels: Any) -> pd.DataFrame:
    """Make the lineage of labels of which nobody knows the parents.

    Parameters
    ----------
    labels : array of shape (T, H, W) or (T, Z, H, W), int
        Read frame by frame.

    Returns
    -------
    DataFrame
        A row for each id: track, start, end, and 0 for the parent.

    Examples
    --------
    >>> spans_of(np.array([[[1, 0]], [[1, 2]]])).to_numpy().tolist()
    [[1, 0, 1, 0], [2, 1, 1, 0]]
    """
    import pandas as pd

    seen: dict[int, list[int]] = {}
    for frame in range(labels.shape[0]):
        plane = np.asarray(labels[frame])
        for one in np.unique(plane[plane > 0]).tolist():
            seen.setdefault(one, [frame, frame])[1] = frame
    rows = [(one, start, end, 0) for one, (start, end) in sorted(seen.items())]
    return pd.DataFrame(rows, columns=["track", "start", "end", "parent"], dtype="int64")


def _covered(
    true: NDArray[Any], found: NDArray[Any], frame: int, films: tuple[_Film, _Film]
) -> list[tuple[tuple[Spot, Spot], float]]:
    """Pair each true object with the one that covers more than half of it."""
    sizes = []
    for labels, film in zip((true, found), films, strict=True):
        ids, counts = np.unique(labels[labels > 0], return_counts=True)
        sizes.append(dict(zip(ids.tolist(), counts.tolist(), strict=True)))
        film.spots |= {(frame, one) for one in ids.tolist()}
    both = (true > 0) & (found > 0)
    pairs, shared = np.unique(
        np.stack([true[both], found[both]]).astype(np.int64), axis=1, return_counts=True
    )
    result = []
    for (one, other), common in zip(pairs.T.tolist(), shared.tolist(), strict=True):
        if 2 * common > sizes[0][one]:
            iou = common / (sizes[0][one] + sizes[1][other] - common)
            result.append((((frame, one), (frame, other)), iou))
    return result


def _counted(
    films: tuple[_Film, _Film], matches: dict[Spot, Spot], ious: float, tolerance: int
) -> TrackQuality:
    true, found = films
    covering = Counter(matches.values())
    one_to_one = {b: a for a, b in matches.items() if covering[b] == 1}
    true_links, found_links = true.links(), found.links()
    extra = wrong = 0
    right = set()
    for (start, end), is_parent in found_links.items():
        if start not in one_to_one or end not in one_to_one:
            continue  # they go when their spots are mended
        link = one_to_one[start], one_to_one[end]
        if link not in true_links:
            extra += 1
            continue
        right.add(link)
        wrong += true_links[link] != is_parent
    divisions = {
        frames: _divisions(true, found, matches, covering, frames)
        for frames in range(tolerance + 1)
    }
    return TrackQuality(
        spots=len(true.spots),
        links=len(true_links),
        tracks=len(true.lineage),
        found_tracks=len(found.lineage),
        splits=sum(count - 1 for count in covering.values()),
        missed=len(true.spots) - len(matches),
        extra=len(found.spots) - len(covering),
        links_extra=extra,
        links_missed=len(true_links) - len(right),
        links_wrong=wrong,
        complete=_complete(true, found, matches, covering),
        divisions=divisions,
        seg=ious / max(1, len(true.spots)),
    )


def _complete(true: _Film, found: _Film, matches: dict[Spot, Spot], covering: Counter[Spot]) -> int:
    """Count the tracks that were found from their first frame to their last."""
    seen: dict[int, set[int]] = defaultdict(set)
    for frame, track in true.spots:
        other = matches.get((frame, track))
        seen[track].add(0 if other is None or covering[other] > 1 else other[1])
    count = 0
    for track, others in seen.items():
        if len(others) == 1 and others != {0}:
            (one,) = others
            count += true.lineage[track][:2] == found.lineage[one][:2]
    return count


def _divisions(
    true: _Film, found: _Film, matches: dict[Spot, Spot], covering: Counter[Spot], frames: int
) -> tuple[int, int, int]:
    """Count divisions that were found, those that are none, and those that were missed."""

    def is_same(track: int, other: int, frame: int) -> bool:
        spot = (frame, other)
        return matches.get((frame, track)) == spot and covering[spot] == 1

    wanted, given = true.divisions(), found.divisions()
    pairs = 0
    for (mother, daughters), (other, others) in product(wanted.items(), given.items()):
        ends = true.lineage[mother][1], found.lineage[other][1]
        if abs(ends[0] - ends[1]) > frames or len(daughters) != len(others):
            continue
        if not is_same(mother, other, min(ends)):
            continue
        good = set()
        for daughter, two in product(daughters, others):
            starts = true.lineage[daughter][0], found.lineage[two][0]
            if abs(starts[0] - starts[1]) <= frames and is_same(daughter, two, max(starts)):
                good.add(two)
        pairs += len(good) == len(daughters)
    return pairs, len(given) - pairs, len(wanted) - pairs
