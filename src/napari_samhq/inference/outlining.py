"""Outlines of found objects by a second model, prompted with their boxes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.core.tiles.grid import Region, touches_inner_border
from napari_samhq.core.tiles.stitching import Candidate, TileAnswer, shared_px
from napari_samhq.inference.automatic import largest_filled_piece
from napari_samhq.inference.enlarging import Enlarger
from napari_samhq.inference.tile_window import Asked, TileWindow, clipped

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_samhq.inference.automatic import SupportsLogits
    from napari_samhq.inference.source import ImageSource

__all__ = ["outlined"]

_LEAST_AGREEMENT = 0.4  # IoU with what was found; with less something else is meant


def outlined(
    answer: TileAnswer,
    predictor: SupportsLogits,
    source: ImageSource,
    read: Region,
    limits: Region | None,
) -> Generator[Asked, None, TileAnswer]:
    """Let a model draw the masks of what another one found.

    Parameters
    ----------
    answer : TileAnswer
        What was found.
    predictor : predictor with `iter_logits`
    source : ImageSource
    read : pair of slices
        What the tile sees, in image pixels.
    limits : pair of slices, optional
        Where masks are cut off.

    Yields
    ------
    Asked
        Stop here to cancel.

    Returns
    -------
    TileAnswer
        The value of the generator: the same objects with the same scores. Those that the model
        takes for something else, or does not see whole, keep the mask they had.
    """
    window = TileWindow.read(source, read)
    embedding = predictor.embed(window.rgb8)
    # What is a pixel wide has no box.
    found = [one for one in answer.candidates if min(one.mask.height, one.mask.width) > 1]
    prompts = [Prompt(box=window.box(candidate.region)) for candidate in found]
    drawn = dict(enumerate(found))
    enlarger: Enlarger | None = None
    done = 0
    for indices, logits, _ in predictor.iter_logits(embedding, prompts):
        enlarger = enlarger or Enlarger(embedding, logits.shape[-1])
        height, width = enlarger.low_res_shape
        for index, low_res in zip(indices, logits[:, 0], strict=True):
            mask = _in_image(enlarger.mask(low_res[:height, :width]), window)
            new = _if_the_same(mask, found[index], window, read)
            if new is not None and limits is not None:
                new = clipped(new, limits)
            drawn[index] = new or found[index]
        done += len(indices)
        yield Asked(done, len(prompts))
    lines = [one for one in answer.candidates if min(one.mask.height, one.mask.width) == 1]
    candidates = sorted([*drawn.values(), *lines], key=lambda candidate: candidate.rank)
    return replace(answer, candidates=tuple(candidates))


def _in_image(mask: CroppedMask, window: TileWindow) -> CroppedMask:
    """Keep one piece without holes, in the frame of the image."""
    array, (top, left) = mask.array(), window.start
    if array.any():
        array = largest_filled_piece(array)
    return CroppedMask.of(array, (mask.top + top, mask.left + left))


def _if_the_same(
    mask: CroppedMask, found: Candidate, window: TileWindow, read: Region
) -> Candidate | None:
    """Take a mask for an object that was found; None where it is something else, or cut."""
    if not mask:
        return None
    new = Candidate.of(mask, found.score, found.stability, found.point_rc, window.step)
    shared = shared_px(new, found)
    if shared < _LEAST_AGREEMENT * (new.area_px + found.area_px - shared):
        return None
    is_cut = touches_inner_border(new.region, read, window.image_shape)
    return None if is_cut else new
