"""Conversion of images of any real type to the 8-bit RGB that the model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.util.notes import note
from napari_samhq.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["check_image", "measured_limits", "rgb8_and_limits", "to_rgb8"]

PERCENTILES = (0.1, 99.9)
"""Share of the pixel values, in percent, below black and below white."""

_SAMPLE_PIXELS = 2**22  # above it, percentiles come from a regular grid of pixels
_BLOCK_VALUES = 2**20  # values worked on at a time: what keeps temporary memory in the cache


def to_rgb8(image: Any, *, contrast_limits: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Turn an image into 8-bit colour, by one documented rule.

    The first line that applies counts:

    1. `contrast_limits` are given: they become black and white, linearly, for all channels alike.
    2. 8-bit colour stays as it is.
    3. Colour as floats between 0 and 1 is multiplied by 255.
    4. Otherwise the 0.1 and 99.9 percentiles of all finite values, over all channels together,
       become black and white. (On small images these are the lowest and the highest value.)

    Values beyond black and white are clipped. Nothing wraps around, whatever the type: the result
    is that of the same values in floating point.

    Parameters
    ----------
    image : array_like of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)
        Any bool, integer or floating type and byte order. NaN and infinite values become black.
        A fourth channel is taken for alpha and dropped.
    contrast_limits : tuple of two floats, optional
        Values that become black and white.

    Returns
    -------
    ndarray of shape (H, W, 3), uint8
        A new array. All zeros where the image has no contrast.

    Raises
    ------
    ImageError
        If the image is complex or not made of numbers, has no pixel or no finite value, or is not
        of one of the shapes above. A channel axis in another place is never guessed.

    Warns
    -----
    SamHQWarning
        If values are not finite, the image is constant, or an alpha channel was dropped.

    Notes
    -----
    Percentiles of images of more than 4 million pixels are measured on a regular grid of pixels.
    Besides the result, memory for a few million values is needed.

    Examples
    --------
    >>> import numpy as np
    >>> to_rgb8(np.array([[100, 300], [500, 1100]], dtype=np.uint16))[..., 0].tolist()
    [[0, 51], [102, 255]]
    """
    return rgb8_and_limits(image, contrast_limits=contrast_limits)[0]


def rgb8_and_limits(
    image: Any, *, contrast_limits: tuple[float, float] | None = None
) -> tuple[NDArray[np.uint8], tuple[float, float] | None]:
    """Do what :func:`to_rgb8` does, and tell which values became black and white.

    Parameters
    ----------
    image : array_like
        As in :func:`to_rgb8`.
    contrast_limits : tuple of two floats, optional
        As in :func:`to_rgb8`.

    Returns
    -------
    rgb8 : ndarray of shape (H, W, 3), uint8
        The image as the model sees it.
    limits : tuple of two floats, or None
        The values that became black and white; None for 8-bit colour that was taken as it is.
        Given as `contrast_limits` for another part of the same image, they give the same mapping.

    Raises
    ------
    ImageError
        As in :func:`to_rgb8`.

    Examples
    --------
    >>> import numpy as np
    >>> rgb8_and_limits(np.array([[-1.0, 3.0]]))[1]
    (-1.0, 3.0)
    """
    pixels = _as_pixels(image)
    low: Any
    high: Any
    if pixels.dtype == np.uint8 and pixels.ndim == 3 and contrast_limits is None:
        low, high = _lowest_and_highest(pixels)
        if low == high:
            _warn_of_no_contrast(low)
        return np.array(pixels, order="C"), None
    low, high = _limits(pixels, contrast_limits)
    if low == high:
        return np.zeros((*pixels.shape[:2], 3), dtype=np.uint8), _apart(low, high)
    return _mapped(pixels, low, high), _apart(low, high)


def measured_limits(image: Any) -> tuple[float, float] | None:
    """Tell which values :func:`to_rgb8` would make black and white, without making the picture.

    Parameters
    ----------
    image : array_like
        As in :func:`to_rgb8`.

    Returns
    -------
    tuple of two floats, or None
        As :func:`rgb8_and_limits` tells them.

    Raises
    ------
    ImageError
        As in :func:`to_rgb8`.

    Examples
    --------
    >>> import numpy as np
    >>> measured_limits(np.array([[100, 1100]], dtype=np.uint16))
    (100.0, 1100.0)
    """
    pixels = _as_pixels(image)
    if pixels.dtype == np.uint8 and pixels.ndim == 3:
        return None
    return _apart(*_limits(pixels, None))


def _apart(low: Any, high: Any) -> tuple[float, float]:
    """Make limits that can be passed again, also where there is no contrast."""
    if low == high:
        high = max(float(low) + 1, float(np.nextafter(float(low), np.inf)))
    return float(low), float(high)


def check_image(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse what :func:`to_rgb8` could not show, by shape and type alone.

    Parameters
    ----------
    shape : tuple of ints
        Of the image.
    dtype : numpy.dtype
        Of its values.

    Raises
    ------
    ImageError
        If it is no plane of real numbers.

    Examples
    --------
    >>> check_image((100, 120, 3), np.dtype("uint8"))
    """
    if dtype.kind not in "biuf":
        advice = (
            "Take its magnitude with np.abs(image)."
            if dtype.kind == "c"
            else "Convert it first, for example with image.astype(float); of complex numbers take "
            "np.abs(image), of records one field."
        )
        raise ImageError(
            f"The image holds values of type {dtype}; needed are real numbers. {advice}"
        )
    if len(shape) not in (2, 3):
        raise ImageError(
            f"The image has {len(shape)} axes, shape {shape}; needed is one plane, (H, W) or "
            "(H, W, channels). Pick a plane first, for example image[0]."
        )
    if 0 in shape:
        raise ImageError(f"The image has the shape {shape}, so no pixel. Pass another one.")
    if len(shape) == 2 or shape[2] in (1, 3, 4):
        return
    if shape[0] in (3, 4):
        advice = (
            "If the first axis holds the channels, pass np.moveaxis(image, 0, -1); "
            "if it is a stack, pick a plane, for example image[0]."
        )
    elif shape[2] == 2:
        advice = "Pick one channel, for example image[..., 0]."
    else:
        advice = "Pick a plane, for example image[0], or a channel, for example image[..., 0]."
    raise ImageError(
        f"The image has the shape {shape}; needed is (H, W), or (H, W, C) with 1, 3 or 4 "
        f"channels in the last axis. {advice}"
    )


def _as_pixels(image: Any) -> NDArray[Any]:
    """Check kind and shape; give back (H, W) or (H, W, 3)."""
    try:
        array = np.asarray(image)
    except ValueError as error:
        raise ImageError("The image is ragged: its rows differ in length.") from error
    check_image(array.shape, array.dtype)
    if array.ndim == 2:
        return array
    if array.shape[2] == 1:
        return array[..., 0]
    if array.shape[2] == 4:
        _warn("The image has four channels; the fourth was taken for alpha and dropped.")
    return array[..., :3]


def _limits(pixels: NDArray[Any], given: tuple[float, float] | None) -> tuple[Any, Any]:
    """Values that become black and white, exact in the image's own type; equal: no contrast."""
    lowest: Any = None
    highest: Any = None
    if pixels.dtype.kind == "f":
        lowest, highest = _checked_finite_range(pixels)
    if given is not None:
        return _checked_limits(given)
    if lowest is not None and pixels.ndim == 3 and lowest >= 0 and highest <= 1:
        if lowest == highest:
            _warn_of_no_contrast(lowest)
        return 0.0, 1.0
    low, high = _percentiles(pixels)
    if low == high:  # not yet constant: what differs may be less than a thousandth
        low, high = (lowest, highest) if lowest is not None else _lowest_and_highest(pixels)
        if low == high:
            _warn_of_no_contrast(low)
    return low, high


def _checked_limits(given: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = (float(value) for value in given)
    except (TypeError, ValueError) as error:
        raise ImageError(f"contrast_limits is {given!r}; needed are two numbers.") from error
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ImageError(
            f"contrast_limits is ({low:g}, {high:g}); needed are two finite numbers, the lower "
            "one first. Leave them out to have them measured."
        )
    return low, high


def _percentiles(pixels: NDArray[Any]) -> tuple[Any, Any]:
    """Robust lowest and highest value, as values that occur in the image.

    Order statistics, rounded outwards, instead of interpolation: exact for integers past 2**53.
    """
    step = max(1, int(np.ceil(np.sqrt(pixels.shape[0] * pixels.shape[1] / _SAMPLE_PIXELS))))
    values = _native(pixels[::step, ::step]).ravel()
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
        if len(values) == 0:  # finite values exist, but not on the grid
            return 0.0, 0.0
    last = len(values) - 1
    ranks = [
        int(np.floor(last * PERCENTILES[0] / 100)),
        int(np.ceil(last * PERCENTILES[1] / 100)),
    ]
    low, high = np.partition(values, ranks)[ranks].tolist()
    return low, high


def _lowest_and_highest(pixels: NDArray[Any]) -> tuple[Any, Any]:
    return pixels.min().item(), pixels.max().item()


def _checked_finite_range(pixels: NDArray[Any]) -> tuple[float, float]:
    """Lowest and highest finite value; warns of values that are not finite."""
    low, high, bad = np.inf, -np.inf, 0
    for rows in _blocks(pixels):
        values = _native(pixels[rows])
        finite = np.isfinite(values)
        if not finite.all():
            values = values[finite]
            bad += finite.size - values.size
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    if low > high:
        raise ImageError(
            f"All {pixels.size} values of the image are NaN or infinite. Check how it was made, or "
            "pick another plane."
        )
    if bad:
        _warn(f"{bad} of {pixels.size} values of the image are NaN or infinite; taken as black.")
    return low, high


def _mapped(pixels: NDArray[Any], low: Any, high: Any) -> NDArray[np.uint8]:
    rgb8 = np.empty((*pixels.shape[:2], 3), dtype=np.uint8)
    table = _lookup_table(pixels.dtype, low, high)
    for rows in _blocks(pixels):
        block = pixels[rows]
        if table is None:
            grey = _to_8bit(_native(block), low, high)
        else:
            index = np.ascontiguousarray(block, dtype=pixels.dtype.newbyteorder("="))
            grey = table[index.view(f"u{index.itemsize}")]
        rgb8[rows] = grey if pixels.ndim == 3 else grey[..., np.newaxis]
    return rgb8


def _lookup_table(dtype: np.dtype[Any], low: Any, high: Any) -> NDArray[np.uint8] | None:
    """Tell what each value becomes, ordered by its bits, for types of at most 65,536 values."""
    if dtype.kind == "f" or dtype.itemsize > 2:
        return None
    bits = np.arange(2 ** (8 * dtype.itemsize), dtype=f"u{dtype.itemsize}")
    values = bits if dtype.kind == "b" else bits.view(dtype.newbyteorder("="))
    return _to_8bit(_native(values), low, high)


def _to_8bit(values: NDArray[Any], low: Any, high: Any) -> NDArray[np.uint8]:
    """Map `low` to 0 and `high` to 255; values as :func:`_native` gives them."""
    if values.dtype.kind != "f" and isinstance(low, int):
        # Modulo 2**64 the difference to the lowest value is exact, even past the range of int64.
        clipped = np.clip(values, low, high).view(np.uint64)
        scaled = (clipped - np.uint64(low % 2**64)).astype(np.float64)
        scaled /= float(high - low)
    else:
        scaled = values.astype(np.float64)
        if not np.isfinite(high - low):  # as -1e308 to 1e308
            scaled, low, high = scaled / 2, low / 2, high / 2
        scaled[~np.isfinite(scaled)] = low
        with np.errstate(over="ignore", under="ignore"):
            scaled -= low
            scaled /= high - low
        np.clip(scaled, 0, 1, out=scaled)
    scaled *= 255
    scaled += 0.5
    grey: NDArray[np.uint8] = scaled.astype(np.uint8)
    return grey


def _native(values: NDArray[Any]) -> NDArray[Any]:
    """Widen to float64, int64 or uint64 of this machine; bool to 0 and 1."""
    wide = {"f": np.float64, "i": np.int64, "u": np.uint64, "b": np.uint64}[values.dtype.kind]
    with np.errstate(over="ignore"):  # long double past float64 becomes infinite, thus black
        return values.astype(wide)


def _blocks(pixels: NDArray[Any]) -> Iterator[slice]:
    step = max(1, _BLOCK_VALUES // max(1, pixels[0].size))
    for start in range(0, len(pixels), step):
        yield slice(start, start + step)


def _warn_of_no_contrast(value: Any) -> None:
    _warn(f"The image has no contrast: all values are {value}. Masks will mean little.")


def _warn(message: str) -> None:
    note(message, stacklevel=5)
