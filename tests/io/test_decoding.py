"""Damaged files of every image format are read or refused with one sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tracemalloc
import warnings
from typing import TYPE_CHECKING, Any

import imagecodecs
import numcodecs
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from imagecodecs import numcodecs as codecs_of_zarr_2
from PIL import Image
from skimage import data

from napari_samhq.errors import FileError, SamHQError, SamHQWarning
from napari_samhq.io.images import open_array, open_image, read_image
from napari_samhq.io.labels import read_labels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COLOUR: np.ndarray = data.immunohistochemistry()[:64, :80]
GREY = np.random.default_rng(0).integers(0, 4000, (64, 80)).astype(np.uint16)
STACK = np.stack([GREY, GREY[::-1], GREY // 2])


def _tiff(image: np.ndarray, **options: object) -> Callable[[Path], None]:
    kind = "minisblack" if image.shape[-1] != 3 else "rgb"
    return lambda path: tifffile.imwrite(path, image, **{"photometric": kind} | options)


def _picture(image: np.ndarray, **options: object) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(image).save(path, **options)


def _zarr(**options: object) -> Callable[[Path], None]:
    return lambda path: zarr.create_array(store=path, data=GREY, **options) and None


def _ome_zarr(path: Path) -> None:
    group = zarr.create_group(store=path)
    group.create_array("0", data=STACK, chunks=(1, 32, 32))
    axes = [{"name": name} for name in "zyx"]
    about = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    group.attrs["ome"] = about


WRITERS: dict[str, Callable[[Path], None]] = {
    "plain.tif": _tiff(GREY),
    "stack.tif": _tiff(STACK),
    "pages.tif": _tiff(STACK, metadata=None),
    "tiled.tif": _tiff(GREY, tile=(16, 16), compression="zlib"),
    "strips.tif": _tiff(GREY, rowsperstrip=8, compression="lzw"),
    "colour.tif": _tiff(COLOUR, compression="zstd", predictor=True),
    "jpeg.tif": _tiff(COLOUR, photometric="ycbcr", compression="jpeg", tile=(32, 32)),
    "jpeg2000.tif": _tiff(COLOUR, compression="jpeg2000"),
    "palette.tif": _tiff(
        GREY.astype(np.uint8), photometric="palette", colormap=np.zeros((3, 256), np.uint16)
    ),
    "imagej.tif": _tiff(STACK, imagej=True),
    "big.tif": _tiff(STACK, bigtiff=True, tile=(16, 16)),
    "set.ome.tif": _tiff(STACK, compression="packbits"),
    "grey.png": _picture(GREY),
    "colour.png": _picture(COLOUR),
    "deep.png": lambda path: (
        path.write_bytes(imagecodecs.png_encode(COLOUR.astype(np.uint16) * 200)) and None
    ),
    "colour.jpg": _picture(COLOUR),
    "colour.webp": _picture(COLOUR, lossless=True),
    "frames.gif": _picture(COLOUR, save_all=True, append_images=[Image.fromarray(COLOUR // 2)]),
    "colour.bmp": _picture(COLOUR),
    "grey.npy": lambda path: np.save(path, GREY),
    "two.zarr": _zarr(chunks=(32, 32), zarr_format=2),
    "three.zarr": _zarr(chunks=(32, 32)),
    "sharded.zarr": _zarr(chunks=(16, 16), shards=(32, 32)),
    "ome.zarr": _ome_zarr,
}
FORMATS = [pytest.param(name, id=f"FM-60-{name}") for name in WRITERS]


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("valid")
    for name, write in WRITERS.items():
        write(folder / name)
    return folder


def _copied(valid: Path, name: str, folder: Path) -> Path:
    path = folder / name
    if path.is_dir():
        shutil.rmtree(path)
    if (valid / name).is_dir():
        shutil.copytree(valid / name, path)
    else:
        shutil.copy(valid / name, path)
    return path


def _files(path: Path) -> list[Path]:
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]


def _read_or_refused(path: Path) -> list[np.ndarray]:
    """Read the image in each way there is; anything but an error of ours goes through."""
    ways: list[Callable[[], object]] = [
        lambda: read_image(path),
        lambda: read_image(path, plane=(1,)),
        lambda: open_image(path).read((slice(3, 9), slice(2, 20))),
    ]
    if path.suffix in (".tif", ".png", ".npy", ".zarr"):
        ways.append(lambda: read_labels(path).labels[...])
    read, told = [], []
    for way in ways:
        try:
            read.append(np.asarray(way()))
        except SamHQError as error:
            told.append(str(error))
    assert all("\n" not in one and len(one) < 900 for one in told)
    return read


def _damage(content: bytes, kind: str, where: float, what: bytes) -> bytes:
    place = int(where * len(content))
    if kind == "cut":
        return content[:place]
    if kind == "header":  # where most of the meaning is
        place = int(where * min(len(content), 400))
    return content[:place] + what + content[place + len(what) :]


damages = st.tuples(
    st.integers(0, 100),
    st.sampled_from(["cut", "flip", "header"]),
    st.floats(0, 1, exclude_max=True),
    st.one_of(st.sampled_from([b"\0", b"\xff", b"\xff\xff", b"\x7f"]), st.binary(max_size=6)),
)


def _check_damaged(valid: Path, folder: Path, name: str, damage: tuple) -> None:
    number, kind, where, what = damage
    path = _copied(valid, name, folder)
    files = _files(path)
    chosen = files[number % len(files)]
    chosen.write_bytes(_damage(chosen.read_bytes(), kind, where, what))
    with warnings.catch_warnings():
        # Those of libraries about damage are no errors of theirs.
        warnings.simplefilter("ignore")
        _read_or_refused(path)


_UNTIMED = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=8, **_UNTIMED)
@given(damage=damages)
def test_damaged_images_are_read_or_refused(
    tmp_path: Path, valid: Path, name: str, damage: tuple
) -> None:
    _check_damaged(valid, tmp_path, name, damage)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=400, **_UNTIMED)
@given(damage=damages)
def test_images_damaged_in_many_ways_are_read_or_refused(
    tmp_path: Path, valid: Path, name: str, damage: tuple
) -> None:
    _check_damaged(valid, tmp_path, name, damage)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=3, **_UNTIMED)
@example(share=0.0)
@example(share=0.5)
@given(share=st.floats(0, 0.98))
def test_of_an_image_that_was_cut_off_no_pixel_is_made_up(
    tmp_path: Path, valid: Path, name: str, share: float
) -> None:
    whole = _read_or_refused(valid / name)
    path = _copied(valid, name, tmp_path)
    longest = max(_files(path), key=lambda one: one.stat().st_size)
    content = longest.read_bytes()
    longest.write_bytes(content[: int(len(content) * share)])
    with warnings.catch_warnings():
        warnings.simplefilter("error", SamHQWarning)  # what is told is not made up
        try:
            read = _read_or_refused(path)
        except SamHQWarning:
            return
    for pixels in read:
        assert any(np.array_equal(pixels, one) for one in whole)


_CUTS = [np.s_[:], np.s_[..., :5], np.s_[40:50, 3], np.s_[-1], np.s_[60:61, 70:75]]


@pytest.mark.parametrize("where", _CUTS, ids=str)
@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("separator", [pytest.param(s, id=f"FM-104-{s}") for s in "/."])
def test_an_empty_shard_is_an_error_where_it_is_read_and_nowhere_else(
    tmp_path: Path, separator: str, location: str, where: Any
) -> None:
    path = tmp_path / "a.zarr"
    shards: Any = {"shape": (32, 16), "index_location": location}
    keys: Any = {"name": "default", "separator": separator}
    array = zarr.create_array(
        store=path, data=GREY, chunks=(16, 16), shards=shards, chunk_key_encoding=keys
    )
    whole = np.asarray(array[...])
    for shard in [one for one in _files(path) if one.name != "zarr.json"]:
        content = shard.read_bytes()
        shard.write_bytes(b"")
        row, col = map(int, str(shard.relative_to(path)).replace("/", ".").split(".")[1:])
        touched = np.zeros(GREY.shape, bool)
        touched[row * 32 : row * 32 + 32, col * 16 : col * 16 + 16] = True
        opened = open_array(path)
        if touched[where].any():
            with pytest.raises(FileError, match=r"a\.zarr"):
                opened[where]
        else:
            np.testing.assert_array_equal(opened[where], whole[where])
        with pytest.raises(FileError, match="empty"):
            _ = opened.array
        shard.write_bytes(content)
    shard.unlink()  # never written: zeros are right
    assert not open_array(path)[row * 32 :, col * 16 :].any()


@pytest.mark.parametrize("name", ["tiled.tif", "three.zarr", "sharded.zarr"])
@pytest.mark.parametrize((), [pytest.param(id="FM-60-one-line")])
def test_of_many_damaged_pieces_one_error_is_left(tmp_path: Path, valid: Path, name: str) -> None:
    path = _copied(valid, name, tmp_path)
    for one in _files(path):
        if one.suffix != ".json":
            content = one.read_bytes()
            one.write_bytes(content[: len(content) // 2])
    code = (
        "import sys\n"
        "from napari_samhq.errors import FileError\n"
        "from napari_samhq.io.images import open_image\n"
        "try: open_image(sys.argv[1]).read((slice(None), slice(None)))\n"
        "except FileError: sys.exit(7)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (7, "")


# ------------------------------------------------------------------------------------------ codecs


@pytest.mark.parametrize(
    "codec",
    [pytest.param(n, id=f"FM-59-zarr-{n}") for n in ("zstd", "lzw", "jpeg2k", "lerc", "packbits")],
)
def test_codecs_that_zarr_does_not_know_by_itself_are_read(tmp_path: Path, codec: str) -> None:
    image = GREY.astype(np.uint8)
    codecs_of_zarr_2.register_codecs(verbose=False)
    compressor = numcodecs.get_codec({"id": f"imagecodecs_{codec}"})
    path = tmp_path / "a.zarr"
    zarr.create_array(store=path, data=image, zarr_format=2, compressors=compressor)
    registered = numcodecs.registry.codec_registry
    for name in [name for name in registered if name.startswith("imagecodecs_")]:
        del registered[name]  # as in a fresh process
    np.testing.assert_array_equal(read_image(path), image)


@pytest.mark.parametrize((), [pytest.param(id="FM-60-unknown-codec")])
def test_a_codec_that_nobody_knows_is_told(tmp_path: Path) -> None:
    zarr.create_array(store=tmp_path / "a.zarr", data=GREY)
    described = tmp_path / "a.zarr" / "zarr.json"
    described.write_text(described.read_text().replace('"zstd"', '"secret"'))
    with pytest.raises(FileError, match=r"a\.zarr.*secret"):
        read_image(tmp_path / "a.zarr")
    tifffile.imwrite(tmp_path / "a.tif", GREY, compression="zlib")
    content = (tmp_path / "a.tif").read_bytes()
    tag = b"\x03\x01\x03\x00\x01\x00\x00\x00"  # Compression, one short
    place = content.index(tag) + len(tag)
    (tmp_path / "a.tif").write_bytes(content[:place] + b"\x39\x30" + content[place + 2 :])
    with pytest.raises(FileError, match=r"a\.tif.*12345"):
        read_image(tmp_path / "a.tif")


# ------------------------------------------------------------------------------------ memory bombs


def _claim(content: bytes, side: int) -> bytes:
    """Let a little-endian TIFF of 80 x 64 pixels claim to be a square."""
    for tag, length in ((256, 80), (257, 64), (278, 64), (322, 80), (323, 64)):
        for kind, size in ((3, 2), (4, 4)):
            old = tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + b"\1\0\0\0"
            place = content.find(old + length.to_bytes(size, "little"))
            if place >= 0:
                new = old.replace(kind.to_bytes(2, "little"), b"\4\0") + side.to_bytes(4, "little")
                content = content[:place] + new + content[place + 12 :]
    return content


@pytest.mark.parametrize("side", [100_000, 1_000_000])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="FM-61-plain"),
        pytest.param({"compression": "zlib"}, id="FM-61-zlib"),
        pytest.param({"compression": "zlib", "rowsperstrip": 8}, id="FM-61-strips"),
        pytest.param({"compression": "lzw"}, id="FM-61-lzw"),
        pytest.param({"compression": "zlib", "tile": (16, 16)}, id="FM-61-tiles"),
        pytest.param({"compression": "packbits", "bigtiff": False}, id="FM-61-packbits"),
    ],
)
@pytest.mark.filterwarnings("ignore::napari_samhq.SamHQWarning")
def test_a_tiff_that_claims_to_be_huge_takes_no_memory(
    tmp_path: Path, options: dict, side: int
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, **options)
    path.write_bytes(_claim(path.read_bytes(), side))
    tracemalloc.start()
    try:
        with pytest.raises(FileError):
            read_image(path)
        with pytest.raises(FileError):
            open_image(path).read((slice(0, 64), slice(0, 64)))
        assert tracemalloc.get_traced_memory()[1] < 2**28
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "version", [pytest.param(2, id="FM-61-zarr2"), pytest.param(3, id="FM-61")]
)
def test_a_zarr_that_claims_to_be_huge_takes_no_memory(tmp_path: Path, version: int) -> None:
    side = 10**7
    path = tmp_path / "a.zarr"
    zarr.create_array(
        store=path, shape=(side, side), chunks=(4096, 4096), dtype="u2", zarr_format=version
    )
    with pytest.raises(FileError, match="GiB of memory"):
        read_image(path)
    assert open_image(path).read((slice(0, 64), slice(0, 64))).max() == 0


@pytest.mark.parametrize((), [pytest.param(id="FM-61-npy")])
def test_an_array_that_claims_to_be_huge_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", GREY)
    content = (tmp_path / "a.npy").read_bytes()
    content = content.replace(b"(64, 80)", b"(999999, 999999)", 1).replace(b" " * 8, b"", 1)
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(FileError, match="a.npy"):
        read_image(tmp_path / "a.npy")
