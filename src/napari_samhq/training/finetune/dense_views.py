"""Views of the examples for the dense head, at the scales of its use."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_samhq.core.tiles.grid import TileGrid
from napari_samhq.core.tiles.windows import Window
from napari_samhq.training.finetune.views import Place, frame_labels, looked_at, turned

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_samhq.model import SamHQModel
    from napari_samhq.training.finetune.examples import Example, Item

__all__ = ["DenseView", "dense_places", "see_densely"]

_HALO_SHARE = 1 / 8  # of the model's input, as when everything is found
_MOST_LOOKS = 64
_MARGIN_PX = 2  # around objects that nothing may be known of, in the model's frame


@dataclass(frozen=True, eq=False)
class DenseView:
    """A picture that the model saw, and what is known of all places in it.

    Attributes
    ----------
    kept : tuple of Tensor
        As in :class:`~napari_samhq.training.finetune.views.View`.
    labels : ndarray of shape (S, S), int32
        The objects to learn from, or to measure with, from 1 on, in the frame of the model's
        input.
    known : ndarray of shape (S, S), bool
        Where `labels` tell all: what has no label there is background.
    inside : ndarray of shape (S, S), bool
        Where the image is; the rest is padding.
    """

    kept: tuple[Tensor, ...]
    labels: NDArray[np.int32]
    known: NDArray[np.bool_]
    inside: NDArray[np.bool_]


def dense_places(
    examples: Sequence[Example],
    which: Iterable[int],
    input_size: int,
    turns: int,
    seed: int,
    seen: Iterable[Place] = (),
) -> list[Place]:
    """List where to look: as everything is looked for, wherever something is known.

    Parameters
    ----------
    examples : sequence of Example
    which : iterable of int
        Which of them.
    input_size : int
        Side of the square that the model takes.
    turns : int
        In how many ways each picture is shown; as it is among them, and first.
    seed : int
        Which ways, and which pictures where there are too many.
    seen : iterable of Place
        Where was looked before: the ways of these are taken, so that nobody looks again.
    """
    rng = np.random.default_rng(seed)
    before: dict[tuple[int, Window], list[int]] = defaultdict(list)
    for place in seen:
        before[place.example, place.window].append(place.turn)
    windows = [
        (index, window) for index in which for window in _windows(examples[index], input_size)
    ]
    if len(windows) > _MOST_LOOKS:
        chosen = sorted(rng.permutation(len(windows))[:_MOST_LOOKS])
        windows = [windows[number] for number in chosen]
    places = []
    for window in windows:
        drawn = [0, *(1 + rng.permutation(7)).tolist()]
        ways = sorted(set(before[window])) or drawn
        places += [(number, Place(*window, way)) for number, way in enumerate(ways[:turns])]
    places.sort(key=lambda one: one[0])  # as they are first
    return [place for _, place in places[:_MOST_LOOKS]]


def _windows(example: Example, input_size: int) -> Iterator[Window]:
    """Give the read regions of the tiles in which something is known."""
    height, width = example.labels.shape
    halo = round(input_size * _HALO_SHARE)
    if max(height, width) <= input_size + 2 * halo:
        yield Window(0, 0, height, width, max(height, width) / input_size)
        return
    known = example.complete | (example.labels > 0)
    for tile in TileGrid.over((height, width), tile_px=input_size, halo_px=halo):
        if known[tile.write].any():
            rows, cols = tile.read
            scale = max(rows.stop - rows.start, cols.stop - cols.start) / input_size
            yield Window(rows.start, cols.start, rows.stop, cols.stop, scale)


def see_densely(
    network: SamHQModel,
    examples: Sequence[Example],
    places: Iterable[Place],
    wanted: Sequence[Item],
    *,
    as_pixels: bool,
    seen: Mapping[Place, tuple[Tensor, ...]],
) -> Iterator[DenseView]:
    """Look at places, in order.

    Parameters
    ----------
    network : SamHQModel
    examples : sequence of Example
    places : iterable of Place
    wanted : sequence of Item
        The objects to learn from or to measure with. Nothing is known where others are labelled.
    as_pixels : bool
        Whether the encoder is going to learn, so that only pixels can be kept.
    seen : dict of Place to tuple of Tensor
        What was kept of places that were looked at before.
    """
    size = int(network.config.vision_config.image_size)
    ids: dict[int, list[int]] = defaultdict(list)
    for item in wanted:
        ids[item.example].append(item.label)
    for place in places:
        example, region = examples[place.example], place.window.region

        def framed(values: NDArray[np.int32], place: Place = place) -> NDArray[np.int32]:
            return frame_labels(turned(values, place.turn), size)

        labels = framed(example.labels[region])
        complete = framed(example.complete[region].astype(np.int32)) > 0
        inside = framed(np.ones_like(example.labels[region])) > 0
        known_ids = np.sort(np.asarray(ids[place.example], np.int32))
        mine = np.isin(labels, known_ids)
        others = (labels > 0) & ~mine
        if others.any():
            others = ndimage.binary_dilation(others, iterations=_MARGIN_PX)
        labels = np.where(mine, 1 + np.searchsorted(known_ids, labels), 0).astype(np.int32)
        known = (complete & ~others) | mine
        kept = seen.get(place)
        if kept is None:
            rgb8 = turned(example.rgb8[region], place.turn)
            kept = looked_at(network, rgb8, as_pixels=as_pixels)
        yield DenseView(kept, labels, known, inside)
