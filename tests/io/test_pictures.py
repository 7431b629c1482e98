"""PNG, JPEG, WebP and GIF keep all their bits and frames."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from skimage import data

from napari_samhq.errors import FileError, ImageError
from napari_samhq.io.images import open_image, read_image
from napari_samhq.io.labels import read_labels

if TYPE_CHECKING:
    from pathlib import Path

COLOUR: np.ndarray = data.immunohistochemistry()[:40, :50]
DEEP = np.random.default_rng(0).integers(100, 1000, (40, 50, 4)).astype(np.uint16)


def write_png(path: Path, width: int, height: int, bits: int, kind: int, rows: bytes) -> None:
    """Write a PNG from packed rows, whatever they mean."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("kind", "samples"),
    [
        pytest.param(0, 1, id="FM-62-grey"),
        pytest.param(2, 3, id="FM-62-rgb"),
        pytest.param(4, 2, id="FM-62-grey-alpha"),
        pytest.param(6, 4, id="FM-62-rgba"),
    ],
)
def test_png_of_16_bits_keeps_them(tmp_path: Path, kind: int, samples: int) -> None:
    image = DEEP[..., :samples]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in image)
    write_png(tmp_path / "a.png", 50, 40, 16, kind, rows)
    wanted = image[..., [0, 0, 0, 1]] if samples == 2 else image.squeeze()
    read = read_image(tmp_path / "a.png")
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, wanted)


@pytest.mark.parametrize("bits", [pytest.param(n, id=f"FM-67-png-{n}-bit") for n in (1, 2, 4, 8)])
def test_png_of_few_bits_is_seen_from_black_to_white(tmp_path: Path, bits: int) -> None:
    numbers = np.random.default_rng(1).integers(0, 2**bits, (40, 48)).astype(np.uint8)
    shifts = np.arange(8 - bits, -1, -bits)
    packed = (numbers.reshape(40, -1, 8 // bits) << shifts).sum(axis=2).astype(np.uint8)
    write_png(tmp_path / "a.png", 48, 40, bits, 0, b"".join(b"\0" + r.tobytes() for r in packed))
    read = read_image(tmp_path / "a.png")
    assert read.max() == (1 if bits == 1 else 255)
    np.testing.assert_array_equal(read, numbers * (1 if bits == 1 else 255 // (2**bits - 1)))
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png").labels[...], numbers)


@pytest.mark.parametrize((), [pytest.param(id="FM-64-png-few-bits")])
def test_a_palette_of_few_bits_gives_its_numbers_as_labels(tmp_path: Path) -> None:
    numbers = np.random.default_rng(1).integers(0, 5, (40, 50)).astype(np.uint8)
    picture = Image.frombytes("P", (50, 40), numbers.tobytes())
    picture.putpalette([200, 0, 0, 0, 90, 0, 0, 0, 80, 7, 7, 7, 9, 9, 9])
    picture.save(tmp_path / "a.png", bits=4)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png").labels[...], numbers)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[numbers == 1][0], [0, 90, 0])


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
@pytest.mark.parametrize((), [pytest.param(id="FM-66-animated")])
def test_an_animated_picture_is_a_stack(tmp_path: Path, name: str) -> None:
    frames = [Image.fromarray(COLOUR), Image.fromarray(COLOUR[::-1].copy())]
    options = {"lossless": True} if name.endswith("webp") else {}
    frames[0].save(
        tmp_path / name, save_all=True, append_images=frames[1:], duration=100, **options
    )
    with pytest.raises(ImageError, match="--plane 0"):
        read_image(tmp_path / name)
    for number, frame in enumerate(frames):
        read = read_image(tmp_path / name, plane=(number,))
        assert np.abs(read.astype(int) - np.asarray(frame)).mean() < 10
        np.testing.assert_array_equal(
            open_image(tmp_path / name, plane=(number,)).read((slice(None), slice(None))), read
        )


@pytest.mark.parametrize((), [pytest.param(id="FM-63-cmyk-jpeg")])
def test_a_jpeg_of_inks_is_colour(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "a.jpg", quality=100, subsampling=0)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - COLOUR).mean() < 5


@pytest.mark.parametrize((), [pytest.param(id="FM-60-deep-png")])
def test_a_png_of_16_bits_that_was_cut_off_is_told(tmp_path: Path) -> None:
    content = imagecodecs.png_encode(DEEP[..., :3].copy())
    for share in (0.2, 0.5, 0.95):
        (tmp_path / "a.png").write_bytes(content[: int(len(content) * share)])
        with pytest.raises(FileError, match="a.png"):
            read_image(tmp_path / "a.png")


@pytest.mark.parametrize("kind", [0, 2, 3, 6])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize((), [pytest.param(id="FM-61-png")])
def test_a_size_that_no_file_could_hold_is_refused(tmp_path: Path, kind: int, bits: int) -> None:
    write_png(tmp_path / "a.png", 10**6, 10**6, bits, kind, bytes(1000))
    with pytest.raises(FileError, match="cannot hold"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("name", "clear"),
    [
        pytest.param("a.png", 3, id="FM-64-transparent"),
        pytest.param("a.png", bytes([0, 90, 255]), id="FM-64-half-transparent"),
        pytest.param("a.gif", 3, id="FM-64-transparent-gif"),
    ],
)
def test_transparent_colours_of_a_palette_are_colours(
    tmp_path: Path, name: str, clear: int | bytes
) -> None:
    picture = Image.fromarray(COLOUR).convert("P")
    picture.save(tmp_path / name, transparency=clear)
    colours = np.array(picture.getpalette()).reshape(-1, 3)[np.asarray(picture)]
    np.testing.assert_array_equal(read_image(tmp_path / name), colours)
