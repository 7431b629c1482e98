"""Folders of the Cell Tracking Challenge: a mask for each frame, and a table of tracks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import FileError
from napari_samhq.io.atomic import explained, replacing

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["is_ctc", "read_ctc", "write_ctc"]

_TABLES = ("res_track.txt", "man_track.txt")
_FRAME = re.compile(r"^(?:mask|man_track)(\d+)\.tiff?$", re.IGNORECASE)
_LARGEST_ID = int(np.iinfo(np.uint16).max)
_COLUMNS = ["track", "start", "end", "parent"]


def is_ctc(folder: str | Path) -> bool:
    """Tell whether a folder has the table of tracks that such folders have."""
    return any((Path(folder) / name).is_file() for name in _TABLES)


def write_ctc(
    folder: str | Path,
    frames: Iterable[NDArray[Any]],
    lineage: pd.DataFrame,
    *,
    overwrite: bool = False,
) -> Path:
    """Write masks and tracks.

    Parameters
    ----------
    folder : str or Path
        Gets ``mask000.tif`` and so on, 16 bits, and ``res_track.txt``.
    frames : iterable of ndarray of shape (H, W) or (Z, H, W), int
        The same id all along a track.
    lineage : DataFrame
        With the columns track and parent.
    overwrite : bool, optional
        Whether a folder of this name may be replaced.

    Returns
    -------
    Path
        There complete, or not at all.

    Raises
    ------
    FileError
        If it cannot be written, or there are more tracks than the 16 bits of the format can tell
        apart.

    Notes
    -----
    The format knows no gaps: a track that is missing in some frames is written as two, of which
    the first is the parent of the second. :func:`read_ctc` makes one of them again.
    """
    folder = Path(folder)
    with replacing(folder, overwrite=overwrite) as temporary:
        temporary.mkdir()
        rows = _write_frames(temporary, frames, lineage)
        lines = "".join(f"{label} {start} {end} {parent}\n" for label, start, end, parent in rows)
        (temporary / _TABLES[0]).write_text(lines, encoding="utf-8")
    return folder


def _write_frames(
    folder: Path, frames: Iterable[NDArray[Any]], lineage: pd.DataFrame
) -> list[list[int]]:
    import tifffile

    parents = dict(zip(lineage["track"].tolist(), lineage["parent"].tolist(), strict=True))
    spare = max([0, *parents]) + 1
    current: dict[int, list[int]] = {}  # row of the present part of each track
    rows: list[list[int]] = []
    for number, frame in enumerate(frames):
        ids = np.unique(frame)
        ids = ids[ids > 0]
        for track in ids.tolist():
            row = current.get(track)
            if row is None:
                parent = parents.get(track, 0)
                above = current[parent][0] if parent in current else 0
                row = [track, number, number, above]
            elif row[2] < number - 1:  # it was gone
                row = [spare, number, number, row[0]]
                spare += 1
            else:
                row[2] = number
                continue
            current[track] = row
            rows.append(row)
        names = np.array([current[track][0] for track in ids.tolist()], dtype=np.int64)
        if names.max(initial=0) > _LARGEST_ID:
            raise FileError(
                f"Track {int(names.max())} in frame {number} is beyond the 16 bits of the Cell "
                f"Tracking Challenge's masks (highest {_LARGEST_ID}). Write .zarr or .tif, or "
                "number the tracks anew."
            )
        pixels = np.zeros(frame.shape, dtype=np.uint16)
        there = frame > 0
        pixels[there] = names[np.searchsorted(ids, frame[there])]
        tifffile.imwrite(
            folder / f"mask{number:03d}.tif", pixels, compression="zlib", photometric="minisblack"
        )
    return sorted(rows)


def read_ctc(folder: str | Path) -> tuple[NDArray[np.int32], pd.DataFrame]:
    """Read masks and tracks, of results or of a ground truth (``TRA``).

    Parameters
    ----------
    folder : str or Path
        With ``res_track.txt`` and ``mask*.tif``, or ``man_track.txt`` and ``man_track*.tif``.

    Returns
    -------
    labels : ndarray of shape (T, H, W) or (T, Z, H, W), int32
    lineage : DataFrame
        A row for each track: track, start, end, parent. Two that are one with a gap, which is a
        parent with one daughter that begins later than in the next frame, are one.

    Raises
    ------
    FileError
        If files are missing or damaged, or frames have different sizes.
    """
    from napari_samhq.io.images import open_array

    folder = Path(folder)
    with explained("read", folder, "Choose another folder."):
        table = next((folder / name for name in _TABLES if (folder / name).is_file()), None)
        names = sorted(path.name for path in folder.iterdir())
    if table is None:
        raise FileError(
            f"{folder} has no {_TABLES[0]} and no {_TABLES[1]}, which say what its tracks are. "
            "Choose the folder of the masks, as 01_RES or 01_GT/TRA."
        )
    found = {int(m[1]): name for name in names if (m := _FRAME.match(name))}
    missing = sorted(set(range(max(found, default=-1) + 1)) - set(found))
    if not found or missing:
        what = f"mask{missing[0]:03d}.tif" if missing else "any mask*.tif"
        raise FileError(
            f"{folder} lacks {what}. Frames are counted from 0 without a gap; put the file there, "
            "or an empty mask."
        )
    lineage = _read_table(table)
    frames = []
    for number in sorted(found):
        path = folder / found[number]
        frames.append(np.asarray(open_array(path, as_labels=True)[:]))
        if frames[-1].shape != frames[0].shape:
            raise FileError(
                f"{path} has the shape {frames[-1].shape} and the first frame {frames[0].shape}; "
                "all masks of a film have one size."
            )
    labels = np.stack(frames).astype(np.int32)
    return _without_gaps(labels, lineage)


def _read_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    rows = []
    with explained("read", path, "Is the file complete?"):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            track, start, end, parent = (int(part) for part in line.split())
        except ValueError as error:
            raise FileError(
                f"{path}, line {number}: {line.strip()!r} is not four whole numbers: label, first "
                "frame, last frame, parent (0 for none)."
            ) from error
        rows.append((track, start, end, parent))
    lineage = pd.DataFrame(rows, columns=_COLUMNS, dtype="int64")
    known = {0, *lineage["track"].tolist()}
    strange = sorted(set(lineage["parent"].tolist()) - known)
    if strange or len(known) <= len(lineage):
        what = f"names parent {strange[0]}, which is no track" if strange else "has a track twice"
        raise FileError(f"{path} {what}. Each track has one line: label, first, last, parent.")
    return lineage


def _without_gaps(
    labels: NDArray[np.int32], lineage: pd.DataFrame
) -> tuple[NDArray[np.int32], pd.DataFrame]:
    daughters = lineage["parent"].value_counts()
    ends = lineage.set_index("track")["end"]
    names: dict[int, int] = {}
    rows: dict[int, list[int]] = {}
    for track, start, end, parent in sorted(
        lineage[_COLUMNS].to_numpy().tolist(), key=lambda r: r[1]
    ):
        goes_on = parent > 0 and daughters[parent] == 1 and start > ends[parent] + 1
        names[track] = names.get(parent, parent) if goes_on else track
        if goes_on:
            rows[names[track]][2] = end
        else:
            rows[track] = [track, start, end, names.get(parent, parent)]
    table = np.arange(max([int(labels.max(initial=0)), 0, *names]) + 1, dtype=np.int32)
    for track, name in names.items():
        table[track] = name
    import pandas as pd

    return table[labels], pd.DataFrame(sorted(rows.values()), columns=_COLUMNS, dtype="int64")
