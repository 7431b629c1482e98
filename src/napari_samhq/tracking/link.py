"""One call that gives objects the same ids through planes, or follows them through time."""

from __future__ import annotations

import warnings
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.labels.label_ids import LARGEST_LABEL_ID
from napari_samhq.core.util.progress import reporting
from napari_samhq.errors import ImageError, SamHQWarning, SettingsError
from napari_samhq.tracking.linked import Linked
from napari_samhq.tracking.planes import Objects, objects_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pandas as pd
    from numpy.typing import NDArray

    from napari_samhq.tracking.hypotheses import Link

__all__ = ["AXES", "link"]

AXES = ("zyx", "tyx", "tzyx")
"""What axes can be linked."""

Place = tuple[int, int]
"""An object in a plane or frame: number of the plane, and its label id there."""

_MUCH_LONGER = 4


def link(
    labels: Any,
    image: Any = None,
    *,
    axes: str = "zyx",
    gap: int = 1,
    joined: Iterable[tuple[Place, Place]] = (),
    apart: Iterable[tuple[Place, Place]] = (),
    progress: Callable[[int, int], None] | bool | None = None,
) -> Linked:
    """Give the objects of a stack or a film ids that are the same in all planes or frames.

    Through z objects are paired from plane to plane, and then branches and pieces are joined. In
    time an object goes on, divides, ends or appears; the most likely choice of these for all
    objects of two frames is found by an integer program. Drift is taken off first, as far as
    objects that lie together move together.

    Parameters
    ----------
    labels : array of shape (Z, H, W), (T, H, W) or (T, Z, H, W), int
        Numpy, dask or zarr, of which two planes (frames) are in memory at a time. Ids need to be
        different in each plane only; in (T, Z, H, W) in each frame.
    image : array of the same shape, optional
        Checked to be of the shape of `labels`. Linking goes by the outlines alone.
    axes : {"zyx", "tyx", "tzyx"}, optional
        What the axes are.
    gap : int, optional
        In time, for so many frames an object may be missing and is the same one when it is back.
    joined, apart : iterable of pairs, optional
        Links made by hand: ``((plane, id), (next plane, id))``. Those in `joined` are kept; two
        from one object are its division. Those in `apart` are never made.
    progress : bool or callable, optional
        True for a bar; a function is called with planes done, and how many there are.

    Returns
    -------
    Linked
        `labels`, int32; `lineage`, a table with track, start, end and parent; `to_ctc`,
        `to_tracks`, `to_trackmate`.

    Raises
    ------
    ImageError
        If `labels` are no label ids with these axes, or `image` has another shape.
    SettingsError
        If there are no such axes, or a link by hand names an object that is not there.

    Warns
    -----
    SamHQWarning
        If the last axis seems to be the one that counts planes or frames.

    Examples
    --------
    >>> import napari_samhq as samhq
    >>> first = np.zeros((9, 12), dtype=int)
    >>> first[2:6, 1:6] = 1
    >>> series = np.stack([first, 5 * np.roll(first, 1, axis=1)])
    >>> linked = samhq.link(series, axes="tyx")
    >>> linked.labels.max(axis=(1, 2)).tolist()
    [1, 1]
    >>> linked.lineage.to_dict("records")
    [{'track': 1, 'start': 0, 'end': 1, 'parent': 0}]
    """
    labels = _checked(labels, image, axes)
    if gap < 0:
        raise SettingsError(f"gap={gap} is a number of frames; give 0 or more.")
    hand = _ByHand(joined, apart, through_time=axes[0] == "t")
    ids_before: list[NDArray[np.int64]] = []
    centres: list[NDArray[np.float64]] = []
    linker: Any = _linker(axes, gap)
    last: Objects | None = None
    with reporting(progress, lambda done, total: ("link", done, total)) as report:
        for number in range(labels.shape[0]):
            objects = objects_of(_plane(labels, number))
            links = hand.between(last, ids_before, objects, number)
            linker.add(objects, *links)
            ids_before.append(objects.ids)
            centres.append(objects.centres)
            last = objects if len(objects) else last
            if report is not None:
                report(number + 1, labels.shape[0])
    hand.check_used()
    ids_after, lineage = _finished(linker)
    return Linked(axes, lineage, labels, ids_before, ids_after, centres)


def _linker(axes: str, gap: int) -> Any:
    if axes[0] == "t":
        from napari_samhq.tracking.through_time import FilmLinker

        return FilmLinker(gap)
    from napari_samhq.tracking.through_z import StackLinker

    return StackLinker()


def _finished(linker: Any) -> tuple[list[NDArray[np.int64]], pd.DataFrame]:
    found = linker.finish()
    if isinstance(found, tuple):
        return found
    import pandas as pd

    planes = np.repeat(np.arange(len(found)), [len(ids) for ids in found])
    ids = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
    table = pd.DataFrame({"track": ids, "plane": planes}).groupby("track")["plane"]
    rows = pd.DataFrame({"start": table.min(), "end": table.max(), "parent": 0})
    return found, rows.reset_index().astype("int64")[["track", "start", "end", "parent"]]


class _ByHand:
    """Links that somebody made, by the plane that they lead to."""

    def __init__(
        self,
        joined: Iterable[tuple[Place, Place]],
        apart: Iterable[tuple[Place, Place]],
        *,
        through_time: bool,
    ) -> None:
        self._through_time = through_time
        self._pairs: dict[str, dict[int, list[tuple[Place, Place]]]] = {}
        for name, pairs in (("joined", joined), ("apart", apart)):
            by_plane: dict[int, list[tuple[Place, Place]]] = defaultdict(list)
            for one, other in pairs:
                before, after = sorted([(one[0], one[1]), (other[0], other[1])])
                if before[0] == after[0]:
                    raise SettingsError(
                        f"{name} has a pair within plane {before[0]}: {before[1]} and {after[1]}. "
                        "Pairs are ((plane, id), (next plane, id))."
                    )
                by_plane[after[0]].append((before, after))
            self._pairs[name] = by_plane

    def between(
        self, last: Objects | None, ids: list[NDArray[np.int64]], objects: Objects, number: int
    ) -> tuple[list[Any], list[tuple[int, int]]]:
        """Give the links to a plane, with objects by their places in the lists."""
        found = {}
        for name, by_plane in self._pairs.items():
            found[name] = [
                self._placed(pair, last, ids, objects, name) for pair in by_plane.pop(number, [])
            ]
        if not self._through_time:
            return found["joined"], found["apart"]
        from napari_samhq.tracking.hypotheses import Link

        after: dict[int, list[int]] = defaultdict(list)
        for i, j in found["joined"]:
            after[i].append(j)
        links: list[Link] = [Link(i, tuple(js)) for i, js in after.items()]
        return links, found["apart"]

    @staticmethod
    def _placed(
        pair: tuple[Place, Place],
        last: Objects | None,
        ids: list[NDArray[np.int64]],
        objects: Objects,
        name: str,
    ) -> tuple[int, int]:
        (plane, before), (following, after) = pair
        filled = [at for at, there in enumerate(ids) if len(there)]
        if last is None or not filled or plane != filled[-1]:
            raise SettingsError(
                f"{name} has a pair of planes {plane} and {following}; links lead from a plane to "
                "the next one that has objects."
            )
        for one, where, which in ((before, last.ids, plane), (after, objects.ids, following)):
            if one not in where:
                raise SettingsError(
                    f"{name} names object {one} in plane {which}, which has none of this id. "
                    "Ids are those of the labels that were given."
                )
        return int(np.searchsorted(last.ids, before)), int(np.searchsorted(objects.ids, after))

    def check_used(self) -> None:
        """Refuse links to planes that are not there."""
        left = sorted({number for planes in self._pairs.values() for number in planes})
        if left:
            raise SettingsError(
                f"A link by hand leads to plane {left[0]}, which is not there. Planes count from 0."
            )


def _plane(labels: Any, number: int) -> NDArray[Any]:
    plane = np.asarray(labels[number])
    lowest, highest = int(plane.min(initial=0)), int(plane.max(initial=0))
    if lowest < 0 or highest > LARGEST_LABEL_ID:
        raise ImageError(
            f"Plane {number} has label ids from {lowest} to {highest}; they are whole numbers "
            f"from 0 to {LARGEST_LABEL_ID}. Number the objects anew."
        )
    return plane


def _checked(labels: Any, image: Any, axes: str) -> Any:
    if axes not in AXES:
        raise SettingsError(
            f"axes={axes!r} cannot be linked; give one of {', '.join(AXES)}: what the axes of the "
            "labels are, in their order."
        )
    labels = labels if hasattr(labels, "dtype") else np.asarray(labels)
    shape, dtype = tuple(labels.shape), np.dtype(labels.dtype)
    if len(shape) != len(axes) or dtype.kind not in "iu":
        hint = ""
        if len(shape) == len(axes) + 1 and shape[-1] in (3, 4):
            hint = " This looks like a stack of colour pictures."
        raise ImageError(
            f"The labels have the shape {shape} and the type {dtype}; for axes={axes!r} they are "
            f"whole numbers with {len(axes)} axes.{hint} Take one channel or plane, or name other "
            "axes."
        )
    if not all(shape):
        raise ImageError(f"The labels have the shape {shape}, so there is nothing in them.")
    if len(shape) == 3 and min(shape[:2]) > _MUCH_LONGER * shape[-1]:
        warnings.warn(
            f"Labels of shape {shape} are taken for {shape[0]} planes of {shape[1]} x {shape[2]} "
            "px. If the last axis counts the planes or frames, give np.moveaxis(labels, -1, 0).",
            SamHQWarning,
            stacklevel=3,
        )
    image = image if image is None or hasattr(image, "shape") else np.asarray(image)
    if image is not None and tuple(image.shape)[: len(shape)] != shape:
        raise ImageError(
            f"The image has the shape {tuple(image.shape)} and the labels {shape}; they must "
            "be equal. Crop one of them, or leave the image away."
        )
    return labels
