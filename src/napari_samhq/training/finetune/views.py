"""Embeddings of the examples' views, computed once and kept.

A view is a picture in the model's frame: a whole image or, of images that are too large for that, a
window as prompts would get it; as it is, or turned and mirrored. Kept are the image embedding and
the early features or, where the encoder learns too, the normalised pixels, in half precision; and
the labels at the resolution of the model's input.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy import ndimage

from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.core.tiles.windows import LARGEST_SHARE, Window, Windows
from napari_samhq.model.image_processor import pixel_values, resized_shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_samhq.model import SamHQConfig, SamHQModel
    from napari_samhq.training.finetune.examples import Example, Item

__all__ = ["Place", "View", "frame_labels", "looked_at", "places_of", "see", "turned"]

_MOST_BYTES = 2**31
_LEAST_CELLS = 4  # pixels of the frame that an object must have to be learned from


class Place(NamedTuple):
    """Where in which example to look, and how it is turned: by `turn` of 8 ways."""

    example: int
    window: Window
    turn: int


@dataclass(frozen=True, eq=False)
class View:
    """What the model saw.

    Attributes
    ----------
    place : Place
        Where it looked.
    kept : tuple of Tensor
        The image embedding (C, h, w) and the early features (h, w, E); or the pixels (3, S, S).
    labels : ndarray of shape (S, S), int32
        In the frame of the model's input; 0 in the padding too.
    objects : dict
        Box (x0, y0, x1, y1) in model pixels, first to last, of each object by its label id.
    """

    place: Place
    kept: tuple[Tensor, ...]
    labels: NDArray[np.int32]
    objects: dict[int, tuple[int, int, int, int]]

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return int(sum(tensor.nbytes for tensor in self.kept) + self.labels.nbytes)


def places_of(
    examples: Sequence[Example], items: Sequence[Item], config: SamHQConfig, turns: int, seed: int
) -> dict[Place, list[int]]:
    """List where to look so that each object is seen, as inference would show it.

    Parameters
    ----------
    examples : sequence of Example
    items : sequence of Item
    config : SamHQConfig
        Of the model.
    turns : int
        In how many ways each image is shown; as it is among them.
    seed : int
        Which ways.

    Returns
    -------
    dict of Place to list of int
        With the label ids that are asked for there.
    """
    rng = np.random.default_rng(seed)
    input_size = int(config.vision_config.image_size)
    share = config.largest_share or LARGEST_SHARE
    places: dict[Place, list[int]] = defaultdict(list)
    ways: dict[tuple[int, Window], list[int]] = {}
    for item in items:
        height, width = examples[item.example].labels.shape
        windows = Windows((height, width), input_size, share)
        prompt = Prompt(box=np.array(item.box_rc, dtype=float))
        window = windows.whole if windows.is_small else windows.first(prompt)
        key = (item.example, window)
        if key not in ways:
            ways[key] = [0, *(1 + rng.permutation(7))[: turns - 1].tolist()]
        for turn in ways[key]:
            places[Place(item.example, window, turn)].append(item.label)
    return dict(places)


def see(
    network: SamHQModel,
    examples: Sequence[Example],
    places: dict[Place, list[int]],
    *,
    as_pixels: bool = False,
) -> Iterator[View]:
    """Look at all places, in their order; those past two gigabytes are left out.

    Parameters
    ----------
    network : SamHQModel
    examples : sequence of Example
    places : dict of Place to list of int
        As :func:`places_of` gives them.
    as_pixels : bool
        Whether the encoder is going to learn, so that only pixels can be kept.
    """
    nbytes = 0
    # As they are first: should memory end, every object has been seen once.
    for place in sorted(places, key=lambda one: one.turn > 0):
        if nbytes > _MOST_BYTES and place.turn > 0:
            return
        view = _look(network, examples[place.example], place, places[place], as_pixels)
        nbytes += view.nbytes
        yield view


def frame_labels(labels: NDArray[np.int32], input_size: int) -> NDArray[np.int32]:
    """Bring labels (H, W) into the model's frame, (S, S), by the nearest pixel.

    Examples
    --------
    >>> frame_labels(np.array([[1, 2]], np.int32), 4)
    array([[1, 1, 2, 2],
           [1, 1, 2, 2],
           [0, 0, 0, 0],
           [0, 0, 0, 0]], dtype=int32)
    """
    height, width = resized_shape(labels.shape[0], labels.shape[1], input_size)
    rows = ((np.arange(height) + 0.5) * labels.shape[0] / height).astype(np.intp)
    cols = ((np.arange(width) + 0.5) * labels.shape[1] / width).astype(np.intp)
    frame = np.zeros((input_size, input_size), np.int32)
    frame[:height, :width] = labels[rows][:, cols]
    return frame


def turned(array: NDArray[Any], turn: int) -> NDArray[Any]:
    """Turn by quarters, and mirror where `turn` is 4 or more."""
    array = array[:, ::-1] if turn >= 4 else array
    return np.ascontiguousarray(np.rot90(array, turn % 4))


@torch.no_grad()
def looked_at(
    network: SamHQModel, rgb8: NDArray[np.uint8], *, as_pixels: bool
) -> tuple[Tensor, ...]:
    """Look at a picture (H, W, 3), and give what is kept of it, see :class:`View`."""
    weight = next(network.vision_encoder.parameters())
    size = int(network.config.vision_config.image_size)
    pixels = pixel_values(rgb8, size)[None].to(weight.device, weight.dtype)
    if as_pixels:
        return (_halved(pixels[0]),)
    output = network.vision_encoder(pixels)
    return _halved(output.image_embedding[0]), _halved(output.intermediate[0][0])


def _look(
    network: SamHQModel, example: Example, place: Place, ids: list[int], as_pixels: bool
) -> View:
    size = int(network.config.vision_config.image_size)
    rgb8 = turned(example.rgb8[place.window.region], place.turn)
    labels = frame_labels(turned(example.labels[place.window.region], place.turn), size)
    kept = looked_at(network, rgb8, as_pixels=as_pixels)
    boxes = {}
    for label in ids:
        (where,) = ndimage.find_objects((labels == label).astype(np.uint8)) or [None]
        if where is None or np.count_nonzero(labels[where] == label) < _LEAST_CELLS:
            continue
        rows, cols = where
        boxes[label] = (cols.start, rows.start, cols.stop - 1, rows.stop - 1)
    return View(place, kept, labels, boxes)


def _halved(features: Tensor) -> Tensor:
    """Keep in half precision what that can hold."""
    half = features.half()
    return half if bool(torch.isfinite(half).all()) else features.float()
