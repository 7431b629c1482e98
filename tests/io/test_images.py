"""Every image format gives the pixels that were written, or says what is wrong with the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_samhq.errors import FileError, ImageError
from napari_samhq.io.images import open_image, read_image

if TYPE_CHECKING:
    from pathlib import Path

GREY = np.arange(6 * 9, dtype=np.uint16).reshape(6, 9) * 100
COLOR = np.arange(6 * 9 * 3, dtype=np.uint8).reshape(6, 9, 3)
STACK = np.arange(2 * 4 * 6 * 9, dtype=np.float32).reshape(2, 4, 6, 9)


def write_ome_zarr(path: Path, array: np.ndarray, axes: str, version: str) -> None:
    group = zarr.create_group(store=path, zarr_format=2 if version == "0.4" else 3)
    group.create_array("full", data=array)
    group.create_array("half", data=array[..., ::2, ::2])
    multiscales = [
        {
            "version": version,
            "axes": [{"name": name} for name in axes],
            "datasets": [{"path": "full"}, {"path": "half"}],
        }
    ]
    group.attrs.update(
        {"multiscales": multiscales} if version == "0.4" else {"ome": {"multiscales": multiscales}}
    )


@pytest.mark.parametrize("image", [GREY, COLOR], ids=["grey16", "color8"])
@pytest.mark.parametrize("suffix", [".tif", ".ome.tiff", ".png", ".npy", ".zarr"])
def test_the_pixels_come_back(tmp_path: Path, image: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"image with spaces ä{suffix}"
    if suffix.endswith((".tif", ".tiff")):
        tifffile.imwrite(path, image, photometric="rgb" if image.ndim == 3 else "minisblack")
    elif suffix == ".png":
        Image.fromarray(image).save(path)
    elif suffix == ".npy":
        np.save(path, image)
    else:
        zarr.create_array(store=path, data=image)
    read = read_image(path)
    np.testing.assert_array_equal(read, image)
    assert read.dtype == image.dtype


def test_a_jpeg_is_read_as_color(tmp_path: Path) -> None:
    Image.fromarray(COLOR).save(tmp_path / "image.jpg")
    assert read_image(tmp_path / "image.jpg").shape == COLOR.shape


def test_a_palette_is_read_as_the_colors_it_stands_for(tmp_path: Path) -> None:
    picture = Image.new("P", (4, 3), 1)
    picture.putpalette([0, 0, 0, 10, 20, 30])
    picture.save(tmp_path / "image.gif")
    np.testing.assert_array_equal(read_image(tmp_path / "image.gif")[1, 1], [10, 20, 30])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_is_read_at_full_resolution(tmp_path: Path, version: str) -> None:
    write_ome_zarr(tmp_path / "image.zarr", STACK, "tzyx", version)
    plane = read_image(tmp_path / "image.zarr", plane=(1, 2))
    np.testing.assert_array_equal(plane, STACK[1, 2])


def test_ome_zarr_says_what_its_last_axis_is(tmp_path: Path) -> None:
    narrow = np.zeros((2, 9, 3), dtype=np.uint8)  # three columns, not three colours
    write_ome_zarr(tmp_path / "image.zarr", narrow, "zyx", "0.5")
    assert read_image(tmp_path / "image.zarr", plane=[0]).shape == (9, 3)


def test_a_plane_of_a_stack_is_chosen_by_its_indices(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", STACK, photometric="minisblack")
    np.testing.assert_array_equal(read_image(tmp_path / "stack.tif", plane=(0, -1)), STACK[0, 3])


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_of_a_tiff_stack_only_the_plane_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str | None
) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, STACK, photometric="minisblack", compression=compression)

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("the whole stack was read")

    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", refuse)
    np.testing.assert_array_equal(read_image(path, plane=(1, 2)), STACK[1, 2])


def test_a_tiff_of_many_planes_in_one_page_is_read_all_the_same(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "v.tif", STACK[0], photometric="minisblack", volumetric=True,
                     tile=(16, 16, 16))  # fmt: skip
    np.testing.assert_array_equal(read_image(tmp_path / "v.tif", plane=[3]), STACK[0, 3])


def test_a_damaged_chunk_is_a_file_error(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random((64, 64))
    zarr.create_array(store=tmp_path / "image.zarr", data=noise, chunks=(64, 64))
    (chunk,) = (p for p in (tmp_path / "image.zarr" / "c").rglob("*") if p.is_file())
    chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.raises(FileError, match="Cannot read"):
        read_image(tmp_path / "image.zarr")


def test_axes_of_length_one_need_no_index(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", GREY[None, None])
    assert read_image(tmp_path / "image.npy").shape == GREY.shape


@pytest.mark.parametrize(
    ("plane", "message"),
    [
        (None, r"\(2, 4, 6, 9\).*given is none.*--plane 0,0"),
        ((1,), r"2 axes.*given is \(1,\)"),
        ((0, 4), r"no plane \(0, 4\)"),
    ],
)
def test_a_stack_is_never_reduced_by_guessing(
    tmp_path: Path, plane: tuple[int, ...] | None, message: str
) -> None:
    np.save(tmp_path / "stack.npy", STACK)
    with pytest.raises(ImageError, match=message):
        read_image(tmp_path / "stack.npy", plane=plane)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.tif", None, "There is no image"),
        ("notes.docx", b"text", r"'\.docx' are not supported.*\.tif"),
        ("page.tif", b"<html>not found</html>", "not a TIFF file"),
        ("empty.tif", b"", "not a TIFF file"),
        ("page.png", b"<html>not found</html>", "not the picture"),
        ("short.npy", b"\x93NUMPY\x01", "not an array"),
        ("empty.npy", b"", "not an array"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError, match=message) as raised:
        read_image(tmp_path / name)
    assert name in str(raised.value)


def test_a_truncated_png_is_a_file_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64), dtype=np.uint8)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(FileError):
        read_image(tmp_path / "a.png")


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(FileError, match="not an array"):
        read_image(tmp_path / "objects.npy")


def test_a_folder_that_is_no_zarr_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="neither a zarr array nor an OME-Zarr"):
        read_image(tmp_path)


def test_a_zarr_group_without_an_image_lists_its_arrays(tmp_path: Path) -> None:
    group = zarr.create_group(store=tmp_path / "group.zarr")
    group.create_array("raw", data=GREY)
    with pytest.raises(FileError, match="without an image in it.*raw"):
        read_image(tmp_path / "group.zarr")


# -------------------------------------------------------------------------- opened, not read yet


def write_pyramid_tiff(path: Path, levels: list[np.ndarray]) -> None:
    options = {"tile": (64, 64), "compression": "zlib"}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(levels[0], subifds=len(levels) - 1, **options)
        for level in levels[1:]:
            tiff.write(level, subfiletype=1, **options)


@pytest.mark.parametrize("kind", ["tiff", "tiff-strips", "ome-zarr", "npy", "zarr", "png"])
def test_an_opened_image_has_the_pixels_and_levels_of_the_file(tmp_path: Path, kind: str) -> None:
    full = np.random.default_rng(0).integers(0, 60_000, (300, 420), dtype=np.uint16)
    levels = [full, full[::2, ::2], full[::4, ::4]]
    path = tmp_path / {"tiff": "a.ome.tif", "tiff-strips": "a.tif"}.get(kind, f"a.{kind}")
    if kind == "tiff":
        write_pyramid_tiff(path, levels)
    elif kind == "tiff-strips":
        tifffile.imwrite(path, full, rowsperstrip=7)
    elif kind == "npy":
        np.save(path, full)
    elif kind == "png":
        Image.fromarray(full).save(path)
    else:
        path = path.with_suffix(".zarr")
        if kind == "zarr":
            zarr.create_array(store=path, data=full, chunks=(50, 60))
        else:
            write_ome_zarr(path, full, "yx", "0.5")
    source = open_image(path)
    shapes = {"tiff": [level.shape for level in levels], "ome-zarr": [(300, 420), (150, 210)]}
    assert [level.shape for level in source.levels] == shapes.get(kind, [(300, 420)])
    for number, level in enumerate(source.levels):
        step = int(level.factors[0])
        region = slice(17, 70), slice(33, 105)
        pixels = source.read(region, number)
        np.testing.assert_array_equal(pixels, full[::step, ::step][region])


def test_a_plane_of_a_pyramid_of_stacks_is_opened(tmp_path: Path) -> None:
    write_ome_zarr(tmp_path / "image.zarr", STACK, "tzyx", "0.4")
    source = open_image(tmp_path / "image.zarr", plane=(1, -1))
    np.testing.assert_array_equal(source.read((slice(None), slice(None))), STACK[1, 3])
    np.testing.assert_array_equal(source.read((slice(0, 3), slice(0, 5)), 1), STACK[1, 3, ::2, ::2])


def test_opening_reads_no_pixel(tmp_path: Path) -> None:
    zarr.create_array(store=tmp_path / "a.zarr", data=GREY)
    (chunk,) = (p for p in (tmp_path / "a.zarr" / "c").rglob("*") if p.is_file())
    chunk.write_bytes(b"damaged")
    source = open_image(tmp_path / "a.zarr")
    assert source.shape == GREY.shape
    with pytest.raises(FileError, match=r"a\.zarr.*damaged"):
        source.read((slice(None), slice(None)))


def test_a_tiff_that_was_cut_off_is_told(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((200, 200), np.uint16))
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(FileError):
        open_image(tmp_path / "a.tif").read((slice(None), slice(None)))
