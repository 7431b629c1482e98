"""Channels of an image file that the model is shown, by number or by the names in the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_samhq.core.images.channels import OneChannel, PickedChannels, checked_picks
from napari_samhq.errors import ImageError
from napari_samhq.io.axes import axes_of
from napari_samhq.io.bioio_images import bioio_file, open_scene

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["channel_axis", "channel_names", "numbered_channels", "picked_channels"]

_MOST_CHANNELS = 64  # a last axis that is longer is one of columns


def channel_names(path: str | Path) -> list[str]:
    """Read what the channels of an image are called; empty where the file does not say.

    Parameters
    ----------
    path : str or Path
        An OME-TIFF, an OME-Zarr, or a file that bioio reads.
    """
    path = Path(path)
    if path.is_dir():
        return _zarr_names(path)
    if bioio_file(path) is not None:
        return list(open_scene(path).channels)
    if path.suffix.lower() in (".tif", ".tiff"):
        return _tiff_names(path)
    return []


def numbered_channels(wanted: Sequence[int | str], path: str | Path, count: int) -> tuple[int, ...]:
    """Turn numbers and names of channels into numbers.

    Parameters
    ----------
    wanted : sequence of int or str
        Numbers from 0, or names as the file gives them; upper and lower case are the same.
    path : str or Path
        The image, for names and messages.
    count : int
        How many channels it has.

    Raises
    ------
    ImageError
        If there is no such channel, or more than three are wanted.
    """
    names: list[str] | None = None
    numbers = []
    for one in wanted:
        if isinstance(one, int) or one.strip().lstrip("-").isdigit():
            numbers.append(int(one))
            continue
        names = channel_names(path) if names is None else names
        found = [i for i, name in enumerate(names) if name.strip().lower() == one.strip().lower()]
        if len(found) != 1:
            listed = ", ".join(names) or "no names of channels"
            raise ImageError(
                f"{path} has no channel {one!r}, or several. It has {listed}; the numbers are 0 to "
                f"{count - 1}."
            )
        numbers += found
    try:
        return checked_picks(numbers, count)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def channel_axis(path: str | Path, array: Any, has_color: bool | None) -> int:
    """Find the axis of the channels.

    Parameters
    ----------
    path : str or Path
    array : array
        The image, with all its axes.
    has_color : bool or None
        Whether the last axis is colour, if the file says it.

    Raises
    ------
    ImageError
        If the file does not say it, and no axis is short and last, or the only one before rows.
    """
    shape = tuple(int(length) for length in array.shape)
    names = axes_of(array, Path(path))
    if len(names) == len(shape) and "c" in names:
        return names.index("c")
    if has_color or (len(names) == len(shape) and names and names[-1] == "s"):
        return len(shape) - 1
    if len(shape) > 2 and not any(name in "tz" for name in names[: len(shape) - 2] if name):
        if shape[-1] <= _MOST_CHANNELS and shape[-1] < min(shape[-3:-1]):
            return len(shape) - 1
        if len(shape) == 3 and shape[0] <= _MOST_CHANNELS:
            return 0
    raise ImageError(
        f"{path} has the shape {shape}, and no axis that is one of channels. Leave --channels out, "
        "or save it as OME-TIFF or OME-Zarr, which name their axes."
    )


def picked_channels(
    levels: Sequence[Any], has_color: bool | None, path: str | Path, wanted: Sequence[int | str]
) -> tuple[list[Any], bool, int | None]:
    """Show the chosen channels of an image as grey or colour.

    Parameters
    ----------
    levels : sequence of arrays
        Full resolution first.
    has_color : bool or None
        Whether their last axis is colour, if the file says it.
    path : str or Path
    wanted : sequence of int or str
        See :func:`numbered_channels`.

    Returns
    -------
    levels : list of arrays
    has_color : bool
        Whether their last axis is colour now.
    axis : int or None
        The axis of the channels, along which an index says nothing any more; None if it is gone.

    Raises
    ------
    ImageError
        If there is no such axis or channel.
    """
    shape = tuple(int(length) for length in levels[0].shape)
    axis = channel_axis(path, levels[0], has_color)
    numbers = numbered_channels(wanted, path, shape[axis])
    last = axis == len(shape) - 1
    if len(numbers) == 1:
        return [OneChannel(level, axis, numbers[0]) for level in levels], False, None
    return [PickedChannels(level, axis, numbers) for level in levels], True, None if last else axis


def _zarr_names(path: Path) -> list[str]:
    import zarr

    try:
        attributes: Any = dict(zarr.open_group(path, mode="r").attrs)
        listed = attributes.get("ome", attributes)["omero"]["channels"]
        return [str(one.get("label", "")) for one in listed]
    except (KeyError, TypeError, ValueError, OSError, AttributeError):
        return []


def _tiff_names(path: Path) -> list[str]:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            if tiff.ome_metadata is None:
                return []
            image: Any = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]
        pixels = (image[0] if isinstance(image, list) else image)["Pixels"]
        channels = pixels.get("Channel", [])
        listed = channels if isinstance(channels, list) else [channels]
        return [str(one.get("Name", "")) for one in listed]
    except (tifffile.TiffFileError, KeyError, TypeError, ValueError, IndexError, AttributeError):
        return []
