"""Run-length encoding of masks as in COCO: runs go down the columns, background first.

The compressed form is that of the COCO API (Lin et al., ECCV 2014): from the third on, each run is
written as its difference to the run before the last, in groups of five bits, the lowest first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.masks.runs import cut, toggled, transposed
from napari_samhq.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = [
    "compress_runs",
    "crop_from_runs",
    "expand_runs",
    "runs_of_crop",
]

_FIRST_CHARACTER = 48
_MORE, _SIGN, _BITS = 0x20, 0x10, 0x1F
_MOST_GROUPS = 8  # 40 bits: more than any image has pixels


def runs_of_crop(mask: CroppedMask, shape: tuple[int, int]) -> list[int]:
    """Count the runs of a mask down the columns of an image, in time and memory of the mask.

    Parameters
    ----------
    mask : CroppedMask
        What lies outside of the image is left out.
    shape : tuple of two ints
        Height and width of the image in pixels.

    Returns
    -------
    list of int
        Lengths that add up to the number of pixels, background first; the first is 0 where the
        first pixel belongs to the object.

    Examples
    --------
    >>> runs_of_crop(CroppedMask.of([[True]], (1, 2)), (3, 4))
    [7, 1, 4]
    """
    height, width = shape
    column, first, last = transposed(cut(mask.runs, shape)).T
    starts, stops = column * height + first, column * height + last
    # A run that reaches the end of a column may go on in the next one.
    apart = starts[1:] != stops[:-1]
    starts, stops = (
        starts[np.r_[True, apart][: len(starts)]],
        stops[np.r_[apart, True][: len(stops)]],
    )
    edges = np.stack([starts, stops], axis=1).ravel()
    runs: list[int] = np.diff(edges, prepend=0, append=height * width).tolist()
    return runs[:-1] if len(runs) > 1 and runs[-1] == 0 else runs


def crop_from_runs(runs: Sequence[int], shape: tuple[int, int]) -> CroppedMask:
    """Turn runs into a mask, in time and memory of its border.

    Parameters
    ----------
    runs : sequence of int
        Lengths of runs down the columns, background first.
    shape : tuple of two ints
        Height and width of the image in pixels.

    Raises
    ------
    FileError
        If a run is negative, or they do not add up to the number of pixels.

    Examples
    --------
    >>> found = crop_from_runs([7, 1, 4], (3, 4))
    >>> found.top, found.left, found.array().tolist()
    (1, 2, [[True]])
    """
    _check_runs(runs, shape)
    height = shape[0]
    ends = np.cumsum(np.array(runs, dtype=np.int64))
    starts, stops = ends[:-1][::2], ends[1::2]
    filled = stops > starts
    starts, stops = starts[filled], stops[filled]
    # A run is cut where a column ends and the next one begins.
    columns = (stops - 1) // height - starts // height + 1
    column = np.arange(columns.sum()) - np.repeat(np.cumsum(columns) - columns, columns)
    column += np.repeat(starts // height, columns)
    first = np.maximum(np.repeat(starts, columns) - column * height, 0)
    last = np.minimum(np.repeat(stops, columns) - column * height, height)
    lines, places = np.concatenate([column, column]), np.concatenate([first, last])
    return CroppedMask.of_runs(transposed(toggled(lines, places)))


def _check_runs(runs: Sequence[int], shape: tuple[int, int]) -> None:
    height, width = shape
    if any(run < 0 for run in runs):
        raise FileError(f"A run of {min(runs)} pixels: no mask has one. The file is damaged.")
    total = sum(runs)  # of Python's integers, which do not overflow
    if total != height * width:
        raise FileError(
            f"The runs add up to {total} pixels, but the mask of {height} x {width} has "
            f"{height * width}. The file is damaged."
        )


def compress_runs(runs: Sequence[int]) -> str:
    """Write runs as the string of the COCO API.

    Examples
    --------
    >>> compress_runs([1, 3])
    '13'
    """
    characters = []
    for index, run in enumerate(runs):
        value = run - runs[index - 2] if index > 2 else run
        more = True
        while more:
            bits = value & _BITS
            value >>= 5
            more = value != (-1 if bits & _SIGN else 0)
            characters.append(chr((bits | _MORE if more else bits) + _FIRST_CHARACTER))
    return "".join(characters)


def expand_runs(text: str) -> list[int]:
    """Read the string of the COCO API.

    Raises
    ------
    FileError
        If it has other characters than that, ends within a number, or gives negative runs.

    Examples
    --------
    >>> expand_runs("13")
    [1, 3]
    """
    runs: list[int] = []
    value = groups = 0
    for character in text:
        code = ord(character) - _FIRST_CHARACTER
        if not 0 <= code < 64:
            raise FileError(f"{character!r} is no character of a run-length encoding.")
        value |= (code & _BITS) << (5 * groups)
        groups += 1
        if groups > _MOST_GROUPS:
            raise FileError("A run of the run-length encoding is too long to be true.")
        if code & _MORE:
            continue
        if code & _SIGN:
            value -= 1 << (5 * groups)
        run = value + runs[-2] if len(runs) > 2 else value
        if run < 0:
            raise FileError(f"A run of {run} pixels: no mask has one. The file is damaged.")
        runs.append(run)
        value = groups = 0
    if groups:
        raise FileError("The run-length encoding ends within a number. The file is damaged.")
    return runs
