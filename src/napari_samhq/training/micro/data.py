"""Annotated images for training: what there is, how it is split, and crops of it at any scale.

A data folder holds ``MANIFEST.tsv`` (columns source, stem, height, width, group, ...) and, for each
source, ``images/STEM.*`` and ``labels/STEM.png`` (0 background, 1..N one number per object).
"""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from napari_samhq.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

__all__ = [
    "FRAME_PX",
    "AnnotatedImage",
    "Crop",
    "Record",
    "crop_at",
    "load_image",
    "manifest_hash",
    "read_manifest",
    "read_planes",
    "split_by_group",
]

_STACK, _STACK_LABELS = "image.tif", "labels.tif"

FRAME_PX = 512
"""Side of the square frame of the ``micro`` model: images are resized so that their longest side
fits it.
"""


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


@dataclass
class AnnotatedImage:
    """An image with its label image in memory, ready to be cropped at any scale.

    ``levels[k]`` is the image reduced 2**k times by area averaging, (h, w, C) uint8; ``labels`` is
    (H, W) int32 at full size. ``ids``, ``areas`` (px) and ``centers_rc`` describe the objects.
    """

    levels: list[NDArray[np.uint8]]
    labels: NDArray[np.int32]
    source: str = ""
    name: str = ""
    complete: bool = True
    ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    areas: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    centers_rc: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))

    @classmethod
    def from_arrays(
        cls,
        image: NDArray[Any],
        labels: NDArray[Any],
        source: str = "",
        name: str = "",
        *,
        complete: bool = True,
    ) -> AnnotatedImage:
        """Build levels and the object table from an 8-bit image (H, W) or (H, W, C) and its label
        image.
        """
        image = image[..., None] if image.ndim == 2 else image
        levels = [np.ascontiguousarray(image)]
        while min(levels[-1].shape[:2]) >= 128 and len(levels) < 5:
            level = levels[-1]
            height, width = level.shape[0] // 2 * 2, level.shape[1] // 2 * 2
            blocks = (
                level[:height, :width].reshape(height // 2, 2, width // 2, 2, -1).astype(np.uint16)
            )
            levels.append(((blocks.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8))
        labels = labels.astype(np.int32)
        counts = np.bincount(labels.ravel())
        ids = np.flatnonzero(counts[1:]) + 1
        areas = counts[ids].astype(np.float64)
        sums = [
            np.bincount(labels.ravel(), np.broadcast_to(steps, labels.shape).ravel())[ids]
            for steps in np.ogrid[: labels.shape[0], : labels.shape[1]]
        ]
        centers = np.column_stack([total / areas for total in sums])
        return cls(
            levels,
            labels,
            source,
            name,
            complete,
            ids.astype(np.int64),
            areas,
            centers,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width (px) of the full image."""
        height, width = self.labels.shape
        return (height, width)

    @property
    def frame_zoom(self) -> float:
        """Factor by which inference resizes this image: longest side to the frame."""
        return FRAME_PX / max(self.shape)


def stretch_to_uint8(image: NDArray[Any]) -> NDArray[np.uint8]:
    """8-bit images stay as they are; others are stretched between the percentiles 0.1 and 99.9."""
    if image.dtype == np.uint8:
        return image
    low, high = np.percentile(image, (0.1, 99.9))
    scaled = (image.astype(np.float32) - low) / max(float(high - low), 1e-6)
    return np.asarray((np.clip(scaled, 0, 1) * 255).round(), np.uint8)


def load_image(record: Record) -> AnnotatedImage:
    """Read one annotated image.

    Images that the manifest calls grey are kept with one channel; 16-bit ones are stretched to 8
    bits.

    Raises
    ------
    FileError
        A file is missing, or image and labels differ in size.
    """
    from skimage.io import imread

    if not record.label_path.is_file():
        msg = f"{record.label_path} does not exist: the manifest names it; restore the file"
        raise FileError(msg)
    image = np.asarray(imread(record.image_path))
    labels = np.asarray(imread(record.label_path))
    if record.plane is not None:
        image, labels = image[record.plane], labels[record.plane]
    if image.ndim == 3:
        image = image[..., :1] if record.channels == 1 else image[..., :3]
    if image.shape[:2] != labels.shape:
        msg = (
            f"{record.image_path} is {image.shape[:2]} but its labels are {labels.shape}: "
            "they must have the same size"
        )
        raise FileError(msg)
    return AnnotatedImage.from_arrays(
        stretch_to_uint8(image), labels, record.source, record.stem, complete=record.complete
    )


@dataclass(frozen=True)
class Crop:
    """A square piece of an annotated image after a geometric transform.

    ``image`` (c, c, C) float32 in [0, 1]; ``labels`` (c, c) int32; ``valid`` (c, c) bool, False
    beyond the image.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.int32]
    valid: NDArray[np.bool_]


def crop_at(
    item: AnnotatedImage, center_rc: Sequence[float] | NDArray[Any], matrix: NDArray[Any], size: int
) -> Crop:
    """Sample a square crop; image and labels go through the same map.

    Parameters
    ----------
    item : AnnotatedImage
    center_rc : (2,)
        Place in the image, px, that lands in the middle of the crop.
    matrix : (2, 2)
        Linear map from crop offsets (rc) to image offsets (rc): the identity copies pixels, 2 *
        identity halves.
    size : int
        Side of the crop, px.

    Returns
    -------
    Crop
        Image by bilinear interpolation from the mip level nearest below the scale, labels by the
        nearest pixel.
    """
    steps = np.arange(size, dtype=np.float64) - (size - 1) / 2
    rows = center_rc[0] + matrix[0, 0] * steps[:, None] + matrix[0, 1] * steps[None, :]
    cols = center_rc[1] + matrix[1, 0] * steps[:, None] + matrix[1, 1] * steps[None, :]
    height, width = item.shape
    valid = (rows > -0.5) & (rows < height - 0.5) & (cols > -0.5) & (cols < width - 0.5)
    nearest_row = np.clip(np.rint(rows), 0, height - 1).astype(np.int64)
    nearest_col = np.clip(np.rint(cols), 0, width - 1).astype(np.int64)
    labels = np.where(valid, item.labels[nearest_row, nearest_col], 0).astype(np.int32)
    spacing = float(np.sqrt(abs(np.linalg.det(matrix))))
    index = int(np.clip(np.floor(np.log2(max(spacing, 1.0)) + 0.25), 0, len(item.levels) - 1))
    level = item.levels[index]
    rows_at = (rows + 0.5) / 2**index - 0.5
    cols_at = (cols + 0.5) / 2**index - 0.5
    top = int(np.clip(np.floor(rows_at.min()) - 1, 0, level.shape[0] - 2))
    left = int(np.clip(np.floor(cols_at.min()) - 1, 0, level.shape[1] - 2))
    bottom = int(np.clip(np.ceil(rows_at.max()) + 2, top + 2, level.shape[0]))
    right = int(np.clip(np.ceil(cols_at.max()) + 2, left + 2, level.shape[1]))
    piece = torch.from_numpy(
        level[top:bottom, left:right].transpose(2, 0, 1).astype(np.float32) / 255
    )[None]
    grid = torch.from_numpy(
        np.stack(
            [
                2 * (cols_at - left) / (right - left - 1) - 1,
                2 * (rows_at - top) / (bottom - top - 1) - 1,
            ],
            axis=-1,
        ).astype(np.float32)
    )[None]
    image = F.grid_sample(piece, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return Crop(image[0].permute(1, 2, 0).numpy(), labels, valid)
