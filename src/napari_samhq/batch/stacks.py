"""Everything in a stack or a film: found plane by plane, then linked."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.batch.publish import open_result
from napari_samhq.batch.run import RunFolder, Step
from napari_samhq.errors import ImageError, SettingsError
from napari_samhq.io.atomic import check_target, explained
from napari_samhq.tracking.link import AXES, link

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_samhq.tracking.linked import Linked

__all__ = ["Stack", "segment_stack"]

_LOOKED_AT = 9  # planes, for contrast limits of all
_BOTH_AXES = 2  # of masks that are those of every plane
_CHUNK_PX = 1024


class _Planes:
    """Labels of planes, one after the other, as one array that is read plane by plane."""

    dtype = np.dtype(np.int32)

    def __init__(self, planes: Sequence[Any], shape: tuple[int, ...]) -> None:
        self._planes, self.shape = planes, (len(planes), *shape)

    def __getitem__(self, number: int) -> NDArray[np.int32]:
        plane = self._planes[number]
        return plane() if callable(plane) else np.asarray(plane[:])


@dataclass(frozen=True, eq=False)
class Stack:
    """What is known of a stack or film.

    Attributes
    ----------
    axes : {"zyx", "tyx", "tzyx"}
    pixel_size, unit : optional
        One for rows and columns, one for each of them, or one for each axis.
    contrast_limits : tuple of two floats, optional
        Measured once for all planes when left out.
    mask, within : array, optional
        2-D, for all planes, or with the axes of the image.
    """

    axes: str
    pixel_size: Any = None
    unit: Any = None
    contrast_limits: tuple[float, float] | None = None
    mask: Any = None
    within: Any = None


def segment_stack(
    image: Any,
    segment: Callable[..., Any],
    stack: Stack,
    path: Path | None,
    *,
    overwrite: bool = False,
    resume: bool = True,
    report: Callable[[Step], None] | None = None,
) -> Any:
    """Segment everything in each plane, and link it.

    Parameters
    ----------
    image : array, str or Path
        With the axes of `stack`, and colours behind them where there are some.
    segment : callable
        :func:`~napari_samhq.batch.everything.segment_everything` with all that is the same for
        each plane.
    stack : Stack
    path : Path, optional
        Where the result is written to; in memory when left out.
    overwrite, resume
        As there.
    report : callable, optional
        Is told each :class:`~napari_samhq.batch.run.Step`.

    Returns
    -------
    ndarray, or zarr.Array of `path`; the path of a TIFF
        As there.

    Raises
    ------
    ImageError, SettingsError, FileError
        As there.
    """
    volume, lead = _opened(image, stack.axes)
    if path is not None:
        check_target(path, overwrite=overwrite)
    limits = stack.contrast_limits or _common_limits(volume, lead)
    flat = list(np.ndindex(*lead))

    def segmented(number: int, target: Path | None) -> Any:
        def told(step: Step) -> None:
            share = step.done / step.total if step.stage == "segment" and step.total else 1.0
            if report is not None:
                report(Step("segment", number + share, len(flat)))

        at = flat[number]
        return segment(
            np.asarray(volume[at]),
            out=target,
            overwrite=True,
            resume=resume,
            contrast_limits=limits,
            pixel_size=_last_two(stack.pixel_size),
            unit=_last_two(stack.unit),
            mask=_of_plane(stack.mask, at, lead),
            within=_of_plane(stack.within, at, lead),
            progress=told,
        )

    if path is None:
        found = [segmented(number, None) for number in range(len(flat))]
        return _joined(found, stack.axes, lead, report).labels
    folder = RunFolder(path)
    with explained("write", folder.path, "Choose another place."):
        folder.path.mkdir(exist_ok=True)
    with folder.held():
        parts = folder.path / "planes"
        with explained("write", parts, "Free some space; the same call goes on from here."):
            parts.mkdir(exist_ok=True)
        planes = [segmented(n, parts / f"{n:06d}.zarr") for n in range(len(flat))]
        linked = _joined(planes, stack.axes, lead, report)
        _write(linked, folder, stack, overwrite=overwrite, report=report)
    shutil.rmtree(folder.path, ignore_errors=True)
    return open_result(path)


def _opened(image: Any, axes: str) -> tuple[Any, tuple[int, ...]]:
    """Open a volume, and tell how many planes it has along which axes."""
    from napari_samhq.io.images import open_array

    if axes not in AXES:
        raise SettingsError(
            f"axes={axes!r} cannot be segmented; give one of {', '.join(AXES)}, or leave it away "
            "for one plane."
        )
    volume = open_array(image) if isinstance(image, (str, Path)) else image
    volume = volume if hasattr(volume, "shape") else np.asarray(volume)
    shape = tuple(volume.shape)
    is_colour = len(shape) == len(axes) + 1 and shape[-1] in (3, 4)
    if not (len(shape) == len(axes) or is_colour) or not all(shape):
        raise ImageError(
            f"The image has the shape {shape}; with axes={axes!r} it has {len(axes)} axes, or one "
            "more for three or four colours. Choose a channel, or other axes."
        )
    return volume, shape[: len(axes) - 2]


def _common_limits(volume: Any, lead: tuple[int, ...]) -> tuple[float, float] | None:
    """Measure contrast limits that are the same for all planes; None for colour."""
    from napari_samhq.inference.source import ImageSource

    count = int(np.prod(lead))
    chosen = np.unique(np.linspace(0, count - 1, min(count, _LOOKED_AT)).round().astype(int))
    found = []
    for number in chosen.tolist():
        plane = np.asarray(volume[np.unravel_index(number, lead)])
        if np.isfinite(plane).any():
            limits = ImageSource.of(plane).contrast_limits
            if limits is None:
                return None
            found.append(limits)
    if not found:
        raise ImageError(
            "None of the planes that were looked at has a finite value. Give an image with values."
        )
    return min(low for low, _ in found), max(high for _, high in found)


def _of_plane(mask: Any, at: tuple[int, ...], lead: tuple[int, ...]) -> Any:
    if mask is None or len(mask.shape) == _BOTH_AXES:
        return mask
    if tuple(mask.shape[: len(lead)]) != lead:
        raise ImageError(
            f"A mask has the shape {tuple(mask.shape)}, and the image {lead} planes; it is one "
            "plane, or has the axes of the image."
        )
    return np.asarray(mask[at])


def _joined(
    planes: Sequence[Any],
    axes: str,
    lead: tuple[int, ...],
    report: Callable[[Step], None] | None,
) -> Linked:
    """Link planes; in volumes with time first those of each frame, and then the frames."""

    def told(done: int, total: int) -> None:
        if report is not None:
            report(Step("link", done, total))

    shape = tuple(planes[0].shape)
    if len(lead) == 1:
        return link(_Planes(planes, shape), axes=axes, progress=told)
    frames, depth = lead
    stacks = [
        link(_Planes(planes[frame * depth : (frame + 1) * depth], shape)) for frame in range(frames)
    ]
    parts = [partial(_whole, stack) for stack in stacks]
    return link(_Planes(parts, (depth, *shape)), axes=axes, progress=told)


def _whole(stack: Linked) -> NDArray[np.int32]:
    return np.stack(list(stack.planes()))


def _write(
    linked: Linked,
    folder: RunFolder,
    stack: Stack,
    *,
    overwrite: bool,
    report: Callable[[Step], None] | None,
) -> None:
    """Write linked planes, of which one after the other is in memory."""
    import zarr

    from napari_samhq.io.labels import write_labels

    array: Any = None
    store, shape = folder.path / "linked.zarr", tuple(linked.source.shape)
    with explained("write", store, "Free some space; the same call goes on from here."):
        chunks = (*(1,) * (len(shape) - 2), *(min(_CHUNK_PX, length) for length in shape[-2:]))
        array = zarr.create_array(store, shape=shape, dtype="int32", chunks=chunks, overwrite=True)
        for number, plane in enumerate(linked.planes()):
            array[number] = plane
            if report is not None:
                report(Step("write", number + 1, shape[0]))
    sizes: dict[str, Any] = {
        "pixel_size": _per_axis(stack.pixel_size, stack.axes, 1.0),
        "unit": _per_axis(stack.unit, stack.axes, "pixel"),
    }
    write_labels(folder.output, array, overwrite=overwrite, axes=tuple(stack.axes), **sizes)


def _last_two(values: Any) -> Any:
    """Give what is said of rows and columns."""
    is_one = values is None or isinstance(values, (str, float, int))
    return values if is_one else list(values)[-2:]


def _per_axis(values: Any, axes: str, usual: Any) -> list[Any] | None:
    """Give a value to each axis: one is that of rows and columns, two are theirs."""
    if values is None:
        return None
    listed = [values] * 2 if isinstance(values, (str, float, int)) else list(values)
    if len(listed) > len(axes):
        raise SettingsError(
            f"{len(listed)} sizes came for the axes {axes}. Give one, two, or one for each axis."
        )
    return [usual] * (len(axes) - len(listed)) + listed
