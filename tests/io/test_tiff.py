"""TIFF files of every layout are seen as people see them, or told to be something else."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from skimage import data

from napari_samhq.errors import FileError, ImageError, SamHQWarning
from napari_samhq.io.images import open_image, read_image
from napari_samhq.io.labels import read_labels
from napari_samhq.io.planes import leading_axes

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)
COLOUR: np.ndarray = data.immunohistochemistry()[:64, :80]
GREY = COLOUR[..., 0]
DEEP = RNG.integers(0, 4000, (64, 80)).astype(np.uint16)
NUMBERS = RNG.integers(0, 6, (64, 80)).astype(np.uint8)
PALETTE = RNG.integers(0, 255, (256, 3)).astype(np.uint8)


def first(array: np.ndarray) -> np.ndarray:
    """Put the colours first, as planes that lie one after the other."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 0))


def with_alpha(colour: np.ndarray, alpha: int) -> np.ndarray:
    return np.dstack([colour, np.full(colour.shape[:2], alpha, colour.dtype)])


def cmyk(colour: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(colour).convert("CMYK"))


def lab(colour: np.ndarray) -> np.ndarray:
    way = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    picture = ImageCms.applyTransform(Image.fromarray(colour), way)
    return np.asarray(picture)


# ----------------------------------------------------------------------------------- compressions


@pytest.mark.parametrize("tile", [None, (32, 48)], ids=["strips", "tiles"])
@pytest.mark.parametrize(
    "compression",
    [
        pytest.param(name, id=f"FM-58-59-{name}")
        for name in ("none", "zlib", "lzw", "packbits", "zstd", "lzma", "jpeg2000", "webp")
    ],
)
def test_every_lossless_compression_is_read(
    tmp_path: Path, compression: str, tile: tuple[int, int] | None
) -> None:
    path = tmp_path / "a.tif"
    image = COLOUR if compression in ("webp", "jpeg2000") else DEEP
    options = {"compressionargs": {"level": 0}} if compression == "jpeg2000" else {}
    if compression == "webp":
        options = {"compressionargs": {"lossless": True}}
    kind = "rgb" if image is COLOUR else "minisblack"
    tifffile.imwrite(path, image, photometric=kind, compression=compression, tile=tile, **options)
    np.testing.assert_array_equal(read_image(path), image)
    read = open_image(path).read((slice(5, 50), slice(20, 70)))
    np.testing.assert_array_equal(read, image[5:50, 20:70])


@pytest.mark.parametrize((), [pytest.param(id="FM-59-jpeg")])
def test_jpeg_within_tiff_is_read_as_colours(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).convert("YCbCr").save(tmp_path / "a.tif", compression="jpeg")
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - COLOUR).mean() < 5


@pytest.mark.parametrize((), [pytest.param(id="FM-58-pyramid-of-stacks")])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_planes_of_large_tiffs_are_read_piece_by_piece(tmp_path: Path, bigtiff: bool) -> None:
    stack = np.stack([DEEP, DEEP[::-1], DEEP // 2])
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, stack, photometric="minisblack", tile=(16, 16), compression="zlib", bigtiff=bigtiff
    )
    for number, plane in enumerate(stack):
        np.testing.assert_array_equal(read_image(path, plane=(number,)), plane)


# ---------------------------------------------------------------------------------------- colours

_LAYOUTS = {
    "planes": (first(COLOUR), {"photometric": "rgb", "planarconfig": "separate"}),
    "planes-lzw": (
        first(COLOUR),
        {"photometric": "rgb", "planarconfig": "separate", "compression": "lzw", "rowsperstrip": 9},
    ),
    "planes-tiles": (
        first(COLOUR),
        {"photometric": "rgb", "planarconfig": "separate", "tile": (16, 32)},
    ),
    "alpha": (with_alpha(COLOUR, 7), {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
    "alpha-multiplied": (
        with_alpha((COLOUR.astype(int) * 128 // 255).astype(np.uint8), 128),
        {"photometric": "rgb", "extrasamples": ["assocalpha"]},
    ),
    "alpha-planes": (
        first(with_alpha(COLOUR, 7)),
        {"photometric": "rgb", "planarconfig": "separate", "extrasamples": ["unassalpha"]},
    ),
    "cmyk": (cmyk(COLOUR), {"photometric": "separated"}),
    "cmyk-planes": (
        first(cmyk(COLOUR)),
        {"photometric": "separated", "planarconfig": "separate", "compression": "zlib"},
    ),
    "ycbcr": (np.asarray(Image.fromarray(COLOUR).convert("YCbCr")), {"photometric": "ycbcr"}),
    "lab": (lab(COLOUR), {"photometric": "cielab"}),
    "lab-unsigned": (lab(COLOUR) ^ np.array([0, 128, 128], np.uint8), {"photometric": "icclab"}),
    "16-bit": (COLOUR.astype(np.uint16) * 257, {"photometric": "rgb"}),
    "16-bit-planes": (
        first(COLOUR.astype(">u2") * 257),
        {"photometric": "rgb", "planarconfig": "separate", "byteorder": ">"},
    ),
}


@pytest.mark.filterwarnings("ignore:The image has four channels")
@pytest.mark.parametrize("layout", [pytest.param(name, id=f"FM-63-{name}") for name in _LAYOUTS])
def test_colours_of_every_layout_are_those_that_people_see(tmp_path: Path, layout: str) -> None:
    array, options = _LAYOUTS[layout]
    tifffile.imwrite(tmp_path / "a.tif", array, **options)
    read = read_image(tmp_path / "a.tif")
    assert read.shape[:2] == COLOUR.shape[:2]
    seen = read[..., :3].astype(int) // (257 if read.dtype.itemsize == 2 else 1)
    lossy = {"lab": 6, "lab-unsigned": 6, "ycbcr": 3, "alpha-multiplied": 2}
    assert np.abs(seen - COLOUR).max() <= lossy.get(layout, 0)
    cut = open_image(tmp_path / "a.tif").read((slice(3, 20), slice(40, 60)))
    np.testing.assert_array_equal(cut, read[3:20, 40:60, :3])


@pytest.mark.parametrize((), [pytest.param(id="FM-63-stack-of-planes")])
@pytest.mark.parametrize("ending", [".tif", ".ome.tif"])
def test_a_stack_of_colour_planes_is_a_stack_of_colour(tmp_path: Path, ending: str) -> None:
    stack = np.stack([first(COLOUR), first(COLOUR[::-1])])
    path = tmp_path / f"a{ending}"
    axes = {"metadata": {"axes": "ZSYX"}} if "ome" in ending else {}
    tifffile.imwrite(path, stack, photometric="rgb", planarconfig="separate", **axes)
    np.testing.assert_array_equal(read_image(path, plane=(1,)), COLOUR[::-1])


@pytest.mark.parametrize((), [pytest.param(id="FM-63-channels")])
def test_channels_that_are_no_colours_stay_channels(tmp_path: Path) -> None:
    channels = np.stack([DEEP, DEEP // 2, DEEP // 3])
    tifffile.imwrite(
        tmp_path / "a.tif", channels, photometric="minisblack", planarconfig="separate"
    )
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", plane=(1,)), DEEP // 2)


@pytest.mark.parametrize((), [pytest.param(id="FM-63-grey-with-alpha")])
def test_grey_with_alpha_is_colour_with_alpha(tmp_path: Path) -> None:
    Image.fromarray(GREY).convert("LA").save(tmp_path / "a.tif", compression="tiff_lzw")
    Image.fromarray(GREY).convert("LA").save(tmp_path / "a.png")
    for name in ("a.tif", "a.png"):
        read = read_image(tmp_path / name)
        np.testing.assert_array_equal(read, with_alpha(np.dstack([GREY] * 3), 255))


@pytest.mark.parametrize(
    ("image", "options"),
    [
        pytest.param(GREY, {}, id="FM-63-white-is-0"),
        pytest.param(DEEP * 16, {"compression": "lzw"}, id="FM-63-white-is-0-16-bit"),
        pytest.param(GREY // 16 * 17, {"bitspersample": 4}, id="FM-63-white-is-0-4-bit"),
    ],
)
def test_where_white_is_0_the_picture_is_not_its_negative(
    tmp_path: Path, image: np.ndarray, options: dict
) -> None:
    stored = image // 17 if options.get("bitspersample") else image
    white = 15 if options.get("bitspersample") else np.iinfo(image.dtype).max
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite", **options)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), white - stored)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif").labels[...], stored)


@pytest.mark.parametrize("compression", [None, "group4", "tiff_lzw"])
@pytest.mark.parametrize((), [pytest.param(id="FM-63-67-bilevel")])
def test_pictures_of_one_bit_are_read(tmp_path: Path, compression: str | None) -> None:
    mask = GREY > 128
    Image.fromarray(mask).save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), mask)
    tifffile.imwrite(tmp_path / "b.tif", mask)
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif"), mask)


@pytest.mark.parametrize((), [pytest.param(id="FM-63-logluv")])
def test_colours_that_nobody_reads_are_told(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COLOUR, photometric="rgb")
    content = (tmp_path / "a.tif").read_bytes()
    tag = b"\x06\x01\x03\x00\x01\x00\x00\x00"  # PhotometricInterpretation, one short
    assert content.count(tag + b"\x02\x00") == 1
    (tmp_path / "a.tif").write_bytes(content.replace(tag + b"\x02\x00", tag + b"\x4d\x80"))
    with pytest.raises(ImageError, match="LogLuv.*Save it as RGB"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize((), [pytest.param(id="FM-64")])
def test_a_palette_is_colours_in_images_and_numbers_in_labels(tmp_path: Path, depth: int) -> None:
    scale = 257 if depth == 8 else 256  # 16 bits of colour where not both bytes are alike
    table = PALETTE.T.astype(np.uint16) * scale
    tifffile.imwrite(tmp_path / "a.tif", NUMBERS, photometric="palette", colormap=table)
    picture = Image.frombytes("P", NUMBERS.shape[::-1], NUMBERS.tobytes())
    picture.putpalette(PALETTE.ravel().tolist())
    picture.save(tmp_path / "a.png")
    colours = PALETTE if depth == 8 else PALETTE.astype(np.uint16) * scale
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), colours[NUMBERS])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), PALETTE[NUMBERS])
    for name in ("a.tif", "a.png"):
        np.testing.assert_array_equal(read_labels(tmp_path / name).labels[...], NUMBERS)


@pytest.mark.parametrize((), [pytest.param(id="FM-64-display")])
def test_a_table_for_display_leaves_measured_values(tmp_path: Path) -> None:
    table = np.zeros((3, 256), np.uint16)
    table[1] = np.arange(256) * 257
    tifffile.imwrite(tmp_path / "a.tif", GREY, imagej=True, colormap=table)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), GREY)


@pytest.mark.parametrize((), [pytest.param(id="FM-64-colour-is-no-labels")])
def test_a_colour_picture_is_no_labels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COLOUR, photometric="rgb")
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    for name in ("a.tif", "a.png"):
        with pytest.raises(ImageError, match="colour picture, no labels"):
            read_labels(tmp_path / name)


# ------------------------------------------------------------------------------------------ types


@pytest.mark.parametrize(
    ("image", "options"),
    [
        pytest.param(DEEP, {"bitspersample": 12}, id="FM-67-12-bit"),
        pytest.param(GREY // 64, {"bitspersample": 2}, id="FM-67-2-bit"),
        pytest.param(DEEP.astype(">u2"), {"byteorder": ">"}, id="FM-67-big-endian"),
        pytest.param(
            DEEP.astype(">u2"), {"byteorder": ">", "compression": "lzw"}, id="FM-67-big-endian-lzw"
        ),
        pytest.param(DEEP.astype(np.float16), {}, id="FM-67-float16"),
        pytest.param(DEEP.astype(np.int8), {"compression": "zstd"}, id="FM-67-int8"),
        pytest.param(DEEP.astype(np.uint64) << 40, {}, id="FM-67-uint64"),
        pytest.param(
            DEEP.astype(np.float32), {"predictor": 3, "compression": "zlib"}, id="FM-67-predictor"
        ),
    ],
)
def test_every_type_of_number_keeps_its_values(
    tmp_path: Path, image: np.ndarray, options: dict
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack", **options)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), image)


@pytest.mark.parametrize((), [pytest.param(id="FM-67-4-bit-colour")])
def test_colours_of_few_bits_reach_white(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COLOUR // 16, photometric="rgb", bitspersample=4)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), COLOUR // 16 * 17)


@pytest.mark.parametrize((), [pytest.param(id="FM-67-complex")])
def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", DEEP.astype(np.complex64))
    with pytest.raises(ImageError, match="complex64"):
        open_image(tmp_path / "a.tif")


# ------------------------------------------------------------------- more, or less, than was read


@pytest.mark.parametrize((), [pytest.param(id="FM-66-pages")])
def test_of_pages_of_different_sizes_it_is_told_which_is_read(tmp_path: Path) -> None:
    pages = [Image.fromarray(GREY), Image.fromarray(GREY[:20, :30])]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.warns(SamHQWarning, match=r"2 images of different shapes: \(64, 80\), \(20, 30\)"):
        read = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read, GREY)


@pytest.mark.parametrize((), [pytest.param(id="FM-66-orientation")])
@pytest.mark.parametrize("name", ["a.tif", "a.jpg", "a.png"])
def test_what_is_stored_turned_is_told(tmp_path: Path, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.fromarray(GREY)
    if name == "a.tif":
        picture.save(tmp_path / name, tiffinfo={0x0112: 6})
    else:
        picture.save(tmp_path / name, exif=exif)
    with pytest.warns(SamHQWarning, match="orientation 6"):
        read = read_image(tmp_path / name)
    # Labels must lie on what napari shows; should it turn pictures one day, so must we.
    from napari_builtins.io import magic_imread

    np.testing.assert_array_equal(read, magic_imread([str(tmp_path / name)]))
    assert read.shape[:2] == GREY.shape


def write_set(folder: Path, *, present: tuple[int, ...], planes: int = 3) -> Path:
    """Write the files of a set of OME-TIFFs of one plane each, some of them left out."""
    listed = "".join(
        f'<TiffData FirstT="{t}" IFD="0" PlaneCount="1"><UUID FileName="t{t}.ome.tif">'
        f"urn:uuid:00000000-0000-0000-0000-00000000000{t}</UUID></TiffData>"
        for t in range(planes)
    )
    for t in present:
        about = (
            '<?xml version="1.0" encoding="UTF-8"?><OME '
            'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:00000000-0000-0000-0000-00000000000{t}"><Image ID="Image:0"><Pixels '
            f'ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="80" SizeY="64" SizeZ="1" '
            f'SizeC="1" SizeT="{planes}"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{listed}'
            "</Pixels></Image></OME>"
        )
        tifffile.imwrite(
            folder / f"t{t}.ome.tif", DEEP + t, description=about.encode(), metadata=None
        )
    return folder / f"t{present[-1]}.ome.tif"


@pytest.mark.parametrize(
    "present", [pytest.param((2,), id="FM-65-one"), pytest.param((0, 2), id="FM-65-two")]
)
def test_of_an_incomplete_set_only_planes_that_are_there_are_read(
    tmp_path: Path, present: tuple[int, ...]
) -> None:
    path = write_set(tmp_path, present=present)
    for t in range(3):
        if t in present:
            np.testing.assert_array_equal(read_image(path, plane=(t,)), DEEP + t)
        else:
            with pytest.raises(FileError, match=f"plane {t} lies in a file that is missing"):
                read_image(path, plane=(t,))
            with pytest.raises(FileError, match="missing"):
                open_image(path, plane=(t,)).read((slice(0, 9), slice(0, 9)))
    with pytest.raises(ImageError, match=f"--plane {present[0]}"):
        read_image(path)


@pytest.mark.parametrize((), [pytest.param(id="FM-65-complete")])
def test_a_complete_set_is_read_from_all_its_files(tmp_path: Path) -> None:
    path = write_set(tmp_path, present=(0, 1, 2))
    for t in range(3):
        np.testing.assert_array_equal(read_image(path, plane=(t,)), DEEP + t)


@pytest.mark.parametrize((), [pytest.param(id="FM-65-unfinished")])
def test_of_an_acquisition_that_was_stopped_no_empty_plane_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.stack([DEEP] * 2), photometric="minisblack", metadata={"axes": "TYX"})
    content = path.read_bytes()
    assert content.count(b'SizeT="2"') == 1
    content = content.replace(b'SizeT="2"', b'SizeT="5"').replace(
        b'PlaneCount="2"', b'PlaneCount="2"'
    )
    path.write_bytes(content)
    np.testing.assert_array_equal(read_image(path, plane=(1,)), DEEP)
    with pytest.raises(FileError, match="plane 4 .* missing"):
        read_image(path, plane=(4,))


@pytest.mark.parametrize((), [pytest.param(id="FM-60-cut-stack")])
def test_a_stack_that_was_cut_off_is_not_taken_for_a_shorter_one(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as tiff:
        for number in range(4):
            tiff.write(DEEP + number, metadata=None, contiguous=False)
    content = buffer.getvalue()
    for share in (0.3, 0.6):
        (tmp_path / "a.tif").write_bytes(content[: int(len(content) * share)])
        with pytest.raises((FileError, SamHQWarning), match="breaks off"):
            read_image(tmp_path / "a.tif", plane=(0,))
    (tmp_path / "a.tif").write_bytes(content[:-100])
    with pytest.raises(FileError, match="cut off"):
        read_image(tmp_path / "a.tif", plane=(3,))


@pytest.mark.parametrize((), [pytest.param(id="FM-63-axes")])
def test_axes_are_named_in_the_order_in_which_they_are_read(tmp_path: Path) -> None:
    stack = np.stack([first(COLOUR)] * 2)
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        stack,
        photometric="rgb",
        planarconfig="separate",
        metadata={"axes": "ZSYX"},
    )
    assert leading_axes(tmp_path / "a.ome.tif") == {"z": 2}


@pytest.mark.filterwarnings("ignore:.*its list of pages breaks off")
@pytest.mark.parametrize((), [pytest.param(id="FM-65-imagej")])
def test_an_imagej_stack_that_was_cut_off_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.stack([DEEP] * 3), imagej=True)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.warns(SamHQWarning, match="states 3 images and holds 1"):
        read_image(path)


@pytest.mark.parametrize((), [pytest.param(id="FM-65-companion")])
def test_a_file_without_its_companion_is_told(tmp_path: Path) -> None:
    about = (
        '<?xml version="1.0" encoding="UTF-8"?><OME '
        'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1">'
        '<BinaryOnly MetadataFile="a.companion.ome" UUID="urn:uuid:2"/></OME>'
    )
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, DEEP, description=about.encode(), metadata=None)
    with pytest.warns(SamHQWarning, match="pages of this file alone"):
        np.testing.assert_array_equal(read_image(path), DEEP)
