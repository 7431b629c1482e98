"""Pictures: PNG, JPEG, WebP, BMP and GIF, animated ones as stacks."""

from __future__ import annotations

import math
import struct
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import FileError, SamHQWarning
from napari_samhq.io.decoding import check_memory, check_packed_size, decoding

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

__all__ = ["PICTURE_SUFFIXES", "read_picture"]

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
"""Extensions of the files that are read here."""

# Pictures whose numbers are not the colours themselves.
_PLAIN_MODES = {"P": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB", "LAB": "RGB"} | {
    "LA": "RGBA",
    "La": "RGBA",
    "PA": "RGBA",
    "RGBa": "RGBA",
}
_ANIMATED = ("GIF", "PNG", "WEBP")
_ORIENTATION = 0x0112
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_COLOURED = (2, 4, 6)  # RGB, grey and alpha, RGBA
_PNG_RATIO = 1100  # how many bytes one of Deflate's becomes at most


def read_picture(path: Path, *, keep_numbers: bool = False) -> tuple[NDArray[Any], bool]:
    """Read a picture.

    Parameters
    ----------
    path : Path
    keep_numbers : bool, optional
        Whether the numbers are what counts, as of labels: those of a palette in place of its
        colours, and those of few bits as they are.

    Returns
    -------
    pixels : ndarray of shape (H, W), (H, W, 3), (H, W, 4), or of these with frames before
        With all bits that the file has.
    has_colour : bool
        Whether the last axis is colour.

    Raises
    ------
    FileError
        If it is no such picture, damaged, or larger than memory.

    Warns
    -----
    SamHQWarning
        If it says that it is stored turned.
    """
    from PIL import Image, UnidentifiedImageError

    with decoding(path, "picture"), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # large, and no bomb yet
        header = _png_header(path)
        try:
            with Image.open(path) as picture:
                if header is not None and _is_deep(header):
                    pixels = _read_deep_png(path)
                elif keep_numbers:
                    pixels = _numbers(picture, header)
                else:
                    pixels = _colours(path, picture)
                orientation = _orientation(picture)
        except UnidentifiedImageError as error:
            raise FileError(f"{path} is not the picture that its name says, or damaged.") from error
        except Image.DecompressionBombError as error:
            raise FileError(f"{path} is too large for its format: {error}. Use a TIFF.") from error
    if orientation not in (0, 1):
        warnings.warn(
            f"{path} says that it is stored turned or mirrored (EXIF orientation {orientation}). "
            "Pixels are taken as they are stored, which is how napari shows them.",
            SamHQWarning,
            stacklevel=5,
        )
    return pixels, pixels.ndim > 2


def _colours(path: Path, picture: Picture) -> NDArray[Any]:
    """Read the picture, or all frames of an animated one, as colours or grey."""
    frames = getattr(picture, "n_frames", 1) if picture.format in _ANIMATED else 1
    if frames == 1:
        if picture.mode == "P" and "transparency" in picture.info:
            picture = picture.convert("RGBA").convert("RGB")
        return np.asarray(picture.convert(_PLAIN_MODES.get(picture.mode, picture.mode)))
    check_memory(path, frames * math.prod(picture.size) * 3)
    stack = np.empty((frames, picture.height, picture.width, 3), np.uint8)
    for number in range(frames):
        picture.seek(number)
        stack[number] = np.asarray(picture.convert("RGB"))
    return stack


def _numbers(picture: Picture, header: tuple[int, ...] | None) -> NDArray[Any]:
    """Read numbers as they are in the file, and not what is shown for them."""
    pixels = np.asarray(picture)
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8)
    if header is not None and header[3] == 0 and header[2] < 8:  # shown from black to white
        return pixels // np.uint8(255 // (2 ** header[2] - 1))
    return pixels


def _png_header(path: Path) -> tuple[int, int, int, int] | None:
    """Width, height, bits and kind of colour of a PNG; None for other files."""
    with path.open("rb") as stream:
        start = stream.read(26)
    if len(start) < 26 or not start.startswith(_PNG_START):
        return None
    width, height, bits, kind = struct.unpack(">IIBB", start[16:26])
    samples = {2: 3, 4: 2, 6: 4}.get(kind, 1)
    nbytes = width * height * samples * max(1, bits // 8)
    check_packed_size(path, nbytes // (8 if bits == 1 else 1), path.stat().st_size, _PNG_RATIO)
    check_memory(path, nbytes)
    return width, height, bits, kind


def _is_deep(header: tuple[int, ...]) -> bool:
    """Tell whether Pillow would take bits away: it knows 16 for grey alone."""
    return header[2] == 16 and header[3] in _PNG_COLOURED


def _read_deep_png(path: Path) -> NDArray[Any]:
    import imagecodecs

    pixels = np.asarray(imagecodecs.png_decode(path.read_bytes()))
    if pixels.shape[-1] == 2:  # grey and alpha
        pixels = pixels[..., [0, 0, 0, 1]]
    return pixels


def _orientation(picture: Picture) -> int:
    """Which side the first row is on, as EXIF counts; 1 where nobody says."""
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return 1  # damaged, which does not touch the pixels
