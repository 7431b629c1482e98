"""Lists of annotated images (MANIFEST.tsv, stacks), and their split into training and validation.

A data folder holds ``MANIFEST.tsv`` (columns source, stem, height, width, group, ...) and, for each
source, ``images/STEM.*`` and ``labels/STEM.png`` (0 background, 1..N one number per object).
"""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_samhq.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["Record", "manifest_hash", "read_manifest", "read_planes", "split_by_group"]

_STACK, _STACK_LABELS = "image.tif", "labels.tif"


@dataclass(frozen=True)
class Record:
    """One annotated image of a data folder (a row of its manifest).

    ``complete``: every object of the annotated kind is marked, so that background is background.
    ``plane`` is that of a stack or series, whose files are ``image.tif`` and ``labels.tif``.
    """

    source: str
    stem: str
    height: int
    width: int
    channels: int
    group: str
    folder: Path
    complete: bool = True
    plane: int | None = None

    @property
    def look(self) -> tuple[str, int, int, int]:
        """Source, height, width, channels: images that share these come from the same kind of
        set-up.
        """
        return (self.source, self.height, self.width, self.channels)

    @property
    def image_path(self) -> Path:
        """The image file, whatever its extension."""
        if self.plane is not None:
            return self.folder / self.source / _STACK
        found = sorted((self.folder / self.source / "images").glob(f"{self.stem}.*"))
        if not found:
            folder = self.folder / self.source / "images"
            msg = f"no image {self.stem}.* in {folder}: the manifest names it; restore the file"
            raise FileError(msg)
        return found[0]

    @property
    def label_path(self) -> Path:
        """The label image of the same size."""
        if self.plane is not None:
            return self.folder / self.source / _STACK_LABELS
        return self.folder / self.source / "labels" / f"{self.stem}.png"


def read_manifest(folder: str | Path) -> list[Record]:
    """Read ``MANIFEST.tsv`` of a data folder.

    Parameters
    ----------
    folder : path
        Data folder with ``MANIFEST.tsv`` in it.

    Returns
    -------
    list of Record
        One per annotated image, in the order of the file.

    Raises
    ------
    FileError
        The manifest does not exist or lacks a column.
    """
    folder = Path(folder)
    path = folder / "MANIFEST.tsv"
    if not path.is_file():
        msg = (
            f"{path} does not exist: training needs a data folder with a MANIFEST.tsv; "
            "give its path as --data"
        )
        raise FileError(msg)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    try:
        return [
            Record(
                r["source"],
                r["stem"],
                int(r["height"]),
                int(r["width"]),
                int(r["channels"]),
                r["group"],
                folder,
                r.get("complete", "yes") != "no",
            )
            for r in rows
        ]
    except KeyError as error:
        msg = (
            f"{path} has no column {error}: needed are source, stem, height, width, channels, group"
        )
        raise FileError(msg) from error


def read_planes(folder: str | Path, incomplete: Collection[str] = ()) -> list[Record]:
    """List the planes of annotated stacks and series.

    Parameters
    ----------
    folder : path
        Holds a folder for each, with ``image.tif`` and ``labels.tif`` of shape (planes, H, W).
    incomplete : collection of str
        Names of those in which not every object is marked.

    Returns
    -------
    list of Record
        One per plane in which something is marked. All planes of a stack are one group.

    Raises
    ------
    FileError
        The folder holds no stack, or one whose files differ in size.
    """
    import tifffile

    records = []
    for path in sorted(Path(folder).glob(f"*/{_STACK}")):
        labels = tifffile.imread(path.with_name(_STACK_LABELS))
        with tifffile.TiffFile(path) as file:
            shape = file.series[0].shape
        if labels.ndim != 3 or shape[:3] != labels.shape:
            msg = f"{path} has the shape {shape} and its labels {labels.shape}; needed is (planes, "
            msg += "H, W) for both"
            raise FileError(msg)
        name = path.parent.name
        records += [
            Record(
                name,
                f"{plane:04d}",
                int(labels.shape[1]),
                int(labels.shape[2]),
                channels=1,
                group=name,
                folder=Path(folder),
                complete=name not in incomplete,
                plane=plane,
            )
            for plane, drawn in enumerate(labels)
            if drawn.any()
        ]
    if not records:
        msg = f"{folder} holds no stack: needed are folders with {_STACK} and {_STACK_LABELS}"
        raise FileError(msg)
    return records


def manifest_hash(folder: str | Path) -> str:
    """SHA-256 of the manifest, so that a training log says which data it saw."""
    return hashlib.sha256((Path(folder) / "MANIFEST.tsv").read_bytes()).hexdigest()


def split_by_group(
    records: Iterable[Record], fraction: float = 0.15
) -> tuple[list[Record], list[Record]]:
    """Split into training and validation images, keeping every group on one side.

    Groups are drawn per look (source and image size), in the order of a hash of their name, so that
    the split depends on nothing but the manifest. A source that is one single group cannot be split
    by group: there the last images in name order (sections of a stack, say) are held out, and
    validation numbers of such a source speak of new images of a *known* specimen only.

    Parameters
    ----------
    records : iterable of Record
    fraction : float
        Share of the images of each look that goes to validation (at least one group of each look
        that has two).

    Returns
    -------
    train, validation : list of Record
    """
    by_group: dict[str, list[Record]] = defaultdict(list)
    groups_of_source: dict[str, set[str]] = defaultdict(set)
    for record in records:
        by_group[record.group].append(record)
        groups_of_source[record.source].add(record.group)
    held_out: set[tuple[str, str]] = set()
    by_look: dict[tuple[str, int, int, int], list[str]] = defaultdict(list)
    single: dict[str, list[Record]] = defaultdict(list)
    for group, members in by_group.items():
        for record in members:
            if len(groups_of_source[record.source]) == 1:
                single[record.source].append(record)
        if len(groups_of_source[members[0].source]) > 1:
            by_look[members[0].look].append(group)
    for groups in by_look.values():
        groups.sort(key=lambda name: hashlib.sha256(name.encode()).digest())
        wanted = fraction * sum(len(by_group[g]) for g in groups)
        taken = 0
        for group in groups[: len(groups) - 1]:
            if taken >= wanted:
                break
            held_out.update((r.source, r.stem) for r in by_group[group])
            taken += len(by_group[group])
    for members in single.values():
        members.sort(key=lambda r: r.stem)
        count = max(1, round(fraction * len(members))) if len(members) > 1 else 0
        held_out.update((r.source, r.stem) for r in members[len(members) - count :])
    everything = [r for members in by_group.values() for r in members]
    train = [r for r in everything if (r.source, r.stem) not in held_out]
    return train, [r for r in everything if (r.source, r.stem) in held_out]
