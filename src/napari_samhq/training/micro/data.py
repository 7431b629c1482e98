"""Annotated images in memory, and crops of them at any scale."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from napari_samhq.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_samhq.training.micro.manifest import Record

__all__ = ["FRAME_PX", "AnnotatedImage", "Crop", "crop_at", "load_image", "stretch_to_uint8"]


FRAME_PX = 512
"""Side of the square frame of the ``micro`` model: images are resized so that their longest side
fits it.
"""


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
