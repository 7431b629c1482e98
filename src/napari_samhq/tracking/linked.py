"""Objects with ids that are the same through planes or frames, and where the tracks go."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["Linked"]


@dataclass(frozen=True, eq=False)
class Linked:
    """What :func:`napari_samhq.link` found.

    Attributes
    ----------
    axes : str
        Of the labels: "zyx", "tyx" or "tzyx".
    lineage : pandas.DataFrame
        A row for each object, or track: track (its id), start, end (its first and last plane or
        frame), parent (id of the track it came from by a division; 0 for none).
    source : array
        The labels that were linked, read when they are needed.
    ids_before, ids_after : list of ndarray
        For each plane or frame the label ids in the source, and those here.
    centres : list of ndarray of shape (n, ndim)
        For each plane or frame the centres of its objects, in pixels.
    """

    axes: str
    lineage: pd.DataFrame
    source: Any
    ids_before: list[NDArray[np.int64]]
    ids_after: list[NDArray[np.int64]]
    centres: list[NDArray[np.float64]]

    def plane(self, number: int) -> NDArray[np.int32]:
        """Read one plane, or frame, with the new ids."""
        labels = np.asarray(self.source[number])
        out = np.zeros(labels.shape, dtype=np.int32)
        before = self.ids_before[number]
        if len(before):
            there = labels != 0
            places = np.searchsorted(before, labels[there])
            out[there] = self.ids_after[number][places]
        return out

    def planes(self) -> Iterator[NDArray[np.int32]]:
        """Read one plane, or frame, after the other."""
        for number in range(len(self.ids_before)):
            yield self.plane(number)

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        """All of it, of the shape of the source, int32; in memory from the first use on."""
        out = np.zeros(tuple(self.source.shape), dtype=np.int32)
        for number, plane in enumerate(self.planes()):
            out[number] = plane
        return out

    @property
    def graph(self) -> dict[int, list[int]]:
        """The parents of each track that has one, as napari's Tracks layers take it."""
        rows = self.lineage[self.lineage["parent"] > 0]
        pairs = zip(rows["track"].tolist(), rows["parent"].tolist(), strict=True)
        return {track: [parent] for track, parent in pairs}

    def to_tracks(self) -> tuple[NDArray[np.float64], dict[int, list[int]]]:
        """Make what ``viewer.add_tracks(data, graph=graph)`` takes.

        Returns
        -------
        data : ndarray of shape (n, 2 + ndim)
            Track, frame, and the centre of the object in pixels; by track and frame.
        graph : dict
            :attr:`graph`.
        """
        width = len(self.axes) + 1
        rows = [np.empty((0, width))]
        for frame, (ids, centres) in enumerate(zip(self.ids_after, self.centres, strict=True)):
            # One point for each track in a frame, whatever pieces it has there.
            tracks, which = np.unique(ids, return_inverse=True)
            many = np.bincount(which, minlength=len(tracks))
            means = [
                np.bincount(which, weights=axis, minlength=len(tracks)) / many for axis in centres.T
            ]
            rows.append(np.column_stack([tracks, np.full(len(tracks), frame), *means]))
        data = np.concatenate(rows)
        return data[np.lexsort((data[:, 1], data[:, 0]))], self.graph

    def to_ctc(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write a folder as the Cell Tracking Challenge has it.

        Parameters
        ----------
        folder : str or Path
            Gets ``mask000.tif`` and so on, and ``res_track.txt``.
        overwrite : bool, optional
            Whether a folder of this name may be replaced.

        Returns
        -------
        Path

        Raises
        ------
        FileError
            If it cannot be written, or ids are beyond the 16 bits of the format.
        ImageError
            If this is no film.
        """
        from napari_samhq.io.ctc import write_ctc

        self._check_time("the Cell Tracking Challenge")
        return write_ctc(folder, self.planes(), self.lineage, overwrite=overwrite)

    def to_trackmate(
        self, path: str | Path, *, pixel_size: float = 1.0, overwrite: bool = False
    ) -> Path:
        """Write spots and edges as an XML file that TrackMate opens.

        Parameters
        ----------
        path : str or Path
            ``.xml``.
        pixel_size : float, optional
            Side of a pixel, in um.
        overwrite : bool, optional
            Whether a file of this name may be replaced.

        Returns
        -------
        Path

        Raises
        ------
        FileError
            If it cannot be written.
        ImageError
            If this is no film.
        """
        from napari_samhq.io.track_files import write_trackmate

        self._check_time("TrackMate")
        data, graph = self.to_tracks()
        return write_trackmate(path, data, graph, pixel_size=pixel_size, overwrite=overwrite)

    def _check_time(self, whose: str) -> None:
        if self.axes[0] != "t":
            raise ImageError(
                f"The files of {whose} are for films, and these labels have the axes "
                f"{self.axes}. Link with axes='tyx' or axes='tzyx', or write .labels."
            )
