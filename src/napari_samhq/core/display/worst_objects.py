"""Picture of the objects found worst: image, true outline, predicted outline."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.display.overlay import PALETTE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_samhq.core.measure.quality import ObjectQuality, Quality

__all__ = ["Case", "WorstCases", "picture_of_cases"]

_SIDE_PX = 192  # of each of the three pictures
_GAP_PX, _CAPTION_PX, _HEAD_PX = 6, 20, 26
_ACROSS = 2  # objects beside each other
_MARGIN_SHARE, _LEAST_MARGIN_PX = 0.6, 8
_PAPER, _INK, _FAINT = (255, 255, 255), (30, 30, 30), (110, 110, 110)
_TRUE, _PREDICTED = PALETTE[1], PALETTE[0]  # sky blue and orange
_OTHERS = 0.45  # how strong the outlines of other objects are
_HEADS = ("image", "true outline", "predicted outline")


@dataclass(frozen=True, eq=False)
class Case:
    """An object that was found badly, with what lies around it.

    Attributes
    ----------
    name : str
        Of the image.
    quality : ObjectQuality
    rgb8 : ndarray of shape (h, w, 3), uint8
    true, predicted : ndarray of shape (h, w), int
        Labels around the object.
    """

    name: str
    quality: ObjectQuality
    rgb8: NDArray[np.uint8]
    true: NDArray[Any]
    predicted: NDArray[Any]


class WorstCases:
    """Keeps the worst of all objects that it is shown, and no more of their images than needed.

    Parameters
    ----------
    count : int
        How many.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._heap: list[tuple[float, float, int, Case]] = []
        self._order = itertools.count()

    def look_at(
        self,
        name: str,
        rgb8: Any,
        true: Any,
        predicted: Any,
        quality: Quality,
    ) -> None:
        """Keep those objects of an image that are among the worst so far.

        Image and labels are arrays, or give parts by pairs of slices as arrays do.

        Of equally bad ones larger objects stay, which say more.
        """
        for one in sorted(quality.objects, key=lambda one: (one.iou, -one.area_px))[: self.count]:
            key = -one.iou, float(one.area_px), -next(self._order)
            if len(self._heap) == self.count and self._heap[0][:3] >= key:
                break
            where = _around(one.box, (true.shape[0], true.shape[1]))
            case = Case(name, one, rgb8[where], np.array(true[where]), np.array(predicted[where]))
            push = heapq.heappushpop if len(self._heap) == self.count else heapq.heappush
            push(self._heap, (*key, case))

    @property
    def cases(self) -> list[Case]:
        """The worst first."""
        return [case for *_, case in sorted(self._heap, key=lambda one: one[:3], reverse=True)]


def picture_of_cases(cases: Sequence[Case]) -> NDArray[np.uint8]:
    """Draw objects, each as three pictures side by side with a line of text below.

    The contrast of each is stretched to what it shows. Outlines of the object and of its partner
    are drawn strongly, those of others faintly.

    Parameters
    ----------
    cases : sequence of Case
        At least one.

    Returns
    -------
    ndarray of shape (H, W, 3), uint8
    """
    from PIL import Image, ImageDraw, ImageFont

    width, height = 3 * _SIDE_PX + 2 * _GAP_PX, _SIDE_PX + _CAPTION_PX + _GAP_PX
    across = min(_ACROSS, len(cases))
    down = -(-len(cases) // across)
    step = width + 4 * _GAP_PX
    size = across * step, _HEAD_PX + down * height + _GAP_PX
    sheet = Image.new("RGB", size, _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column in range(across):
        for number, head in enumerate(_HEADS):
            left = 2 * _GAP_PX + column * step + number * (_SIDE_PX + _GAP_PX)
            draw.text((left, 6), head, fill=_FAINT, font=font)
    for index, case in enumerate(cases):
        left = 2 * _GAP_PX + (index % across) * step
        top = _HEAD_PX + (index // across) * height
        for number, panel in enumerate(_panels(case)):
            sheet.paste(Image.fromarray(panel), (left + number * (_SIDE_PX + _GAP_PX), top))
        told = _caption(case.quality)
        room = width - font.getlength(told + "  ")
        name = _shortened(case.name, lambda text, room=room: font.getlength(text) <= room)
        draw.text((left, top + _SIDE_PX + 3), f"{name}  {told}", fill=_INK, font=font)
    return np.asarray(sheet)


def _caption(quality: ObjectQuality) -> str:
    found = f"IoU {quality.iou:.2f}" if quality.predicted_id else "missed"
    return f"object {quality.label_id}, {quality.area_px} px: {found}"


def _shortened(text: str, fits: Any) -> str:
    """Take letters out of the middle of a name until it fits."""
    keep = len(text)
    while keep > 2 and not fits(text):
        keep -= 1
        half = keep // 2
        text = f"{text[:half].rstrip('…')}…{text[len(text) - (keep - half) :]}"
    return text


def _panels(case: Case) -> list[NDArray[np.uint8]]:
    from PIL import Image

    height, width = case.true.shape
    scale = _SIDE_PX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    plain = np.asarray(
        Image.fromarray(_stretched(case.rgb8)).resize(size, Image.Resampling.BICUBIC)
    )
    rows = (np.arange(size[1]) * height) // size[1]
    cols = (np.arange(size[0]) * width) // size[0]
    true = _outlined(plain, case.true[rows][:, cols], case.quality.label_id, _TRUE)
    predicted = _outlined(
        plain, case.predicted[rows][:, cols], case.quality.predicted_id, _PREDICTED
    )
    return [_on_square(panel) for panel in (plain, true, predicted)]


def _outlined(
    rgb8: NDArray[np.uint8], labels: NDArray[Any], label_id: int, color: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Draw outlines two pixels wide, on the inside of each object."""
    from skimage.morphology import erosion

    drawn = rgb8.copy()
    inner = erosion(labels, np.ones((5, 5), bool))
    outer = -erosion(-labels.astype(np.int64), np.ones((5, 5), bool))
    border = (labels > 0) & ((inner != labels) | (outer != labels))
    mine = border & (labels == label_id)
    others = border & ~mine
    drawn[others] = np.rint((1 - _OTHERS) * drawn[others] + _OTHERS * color)
    drawn[mine] = color
    return drawn


def _stretched(rgb8: NDArray[np.uint8]) -> NDArray[np.uint8]:
    low, high = np.percentile(rgb8, (0.5, 99.5))
    if high <= low:
        return rgb8
    stretched: NDArray[np.float64] = np.clip((rgb8 - low) * (255 / (high - low)), 0, 255)
    return stretched.astype(np.uint8)


def _on_square(panel: NDArray[np.uint8]) -> NDArray[np.uint8]:
    square = np.full((_SIDE_PX, _SIDE_PX, 3), 235, dtype=np.uint8)
    top, left = (_SIDE_PX - panel.shape[0]) // 2, (_SIDE_PX - panel.shape[1]) // 2
    square[top : top + panel.shape[0], left : left + panel.shape[1]] = panel
    return square


def _around(box: tuple[int, int, int, int], shape: tuple[int, int]) -> tuple[slice, slice]:
    """Give the square around a box, grown by a margin, as far as it lies in the image."""
    top, left, bottom, right = box
    longest = max(bottom - top, right - left) + 1
    side = longest + 2 * max(_LEAST_MARGIN_PX, round(_MARGIN_SHARE * longest))
    starts = ((top + bottom + 1 - side) // 2, (left + right + 1 - side) // 2)
    rows, cols = (
        slice(max(0, start), min(length, start + side))
        for start, length in zip(starts, shape, strict=True)
    )
    return rows, cols
