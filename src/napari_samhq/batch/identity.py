"""Digests of images and masks, by which a run recognises its own files."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.batch.plan import UNREADABLE
from napari_samhq.core.prompts.outline_masks import OutlineMask
from napari_samhq.core.tiles.grid import TileGrid
from napari_samhq.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_samhq.core.tiles.grid import Region
    from napari_samhq.inference.source import ImageSource

__all__ = ["image_identity", "mask_identity"]

_READ_WHOLE_PX = 2**24
_BLOCK_PX = 1024
_DIGEST_SIDE_PX = 512


def image_identity(source: ImageSource) -> str:
    """Name the content of an image: all of it where that is quick, otherwise samples of it.

    A part that cannot be read is left open, see :func:`~napari_samhq.batch.plan.may_be_same`: its
    tiles will fail, and it may be mended before the run is started again.
    """
    about = hashlib.sha256(json.dumps([source.shape, str(source.dtype)]).encode()).hexdigest()[:16]
    names = [about]
    for region in _looked_at(source.shape):
        try:
            names.append(source.content_key(region)[:16])
        except FileError:
            names.append(UNREADABLE)
    return " ".join(names)


def _looked_at(shape: tuple[int, int]) -> Iterator[Region]:
    """Choose what of an image names its content."""
    height, width = shape
    if height * width <= _READ_WHOLE_PX:
        yield from (tile.write for tile in TileGrid.over(shape, tile_px=_BLOCK_PX, halo_px=0))
        return
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        side = _DIGEST_SIDE_PX
        rows, cols = (
            slice(int(part * max(0, n - side)), int(part * max(0, n - side)) + min(side, n))
            for n in shape
        )
        yield rows, cols


def mask_identity(mask: Any) -> str:
    """Name the content of a mask, in the same way."""
    from napari_samhq.inference.source import ImageSource

    if isinstance(mask, OutlineMask):
        return mask.fingerprint
    kind = np.uint8 if mask.dtype == np.bool_ else mask.dtype
    if isinstance(mask, np.ndarray):
        mask = mask.astype(kind)
    return image_identity(ImageSource.of(mask, contrast_limits=(0, 1)))
