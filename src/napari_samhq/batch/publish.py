"""Write the label image of a run: OME-Zarr with a pyramid, or tiled TIFF."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.batch.site import BLOCK_PX
from napari_samhq.io.atomic import explained, replacing
from napari_samhq.io.calibration import Calibration, centimetres, long_unit
from napari_samhq.io.labels import fits_a_tag, ome_options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_samhq.batch.plan import Plan

__all__ = ["OUTPUT_SUFFIXES", "create_labels", "finish_labels", "note_of", "open_result", "run_of"]

OUTPUT_SUFFIXES = (".zarr", ".tif", ".tiff")
"""Extensions of the files that results of any size can be written to."""

_ATTRIBUTE = "napari-samhq"
_ADVICE = "Free some space, and start the run again: it goes on from here."


def create_labels(folder: Path, plan: Plan) -> Any:
    """Create the store that blocks are drawn into.

    Parameters
    ----------
    folder : Path
        Of the zarr group; what is there is replaced.
    plan : Plan

    Returns
    -------
    zarr.Array of shape (h, w), int32
        Of the plan's region, in chunks of one block.
    """
    import zarr

    with explained("write", folder, _ADVICE):
        shutil.rmtree(folder, ignore_errors=True)
        group = zarr.create_group(store=folder, zarr_format=3)
        return _create_level(group, 0, tuple(part.stop - part.start for part in plan.area))


def finish_labels(
    folder: Path,
    plan: Plan,
    path: Path,
    count: int,
    *,
    overwrite: bool,
    calibration: Calibration | None = None,
) -> Iterator[tuple[int, int]]:
    """Add the pyramid and the metadata, and put the result in place, in one step.

    Parameters
    ----------
    folder : Path
        What `create_labels` made, filled.
    plan : Plan
    path : Path
        The result: ``.zarr``, or ``.tif``.
    count : int
        Number of objects.
    overwrite : bool
        Whether what has this name may be replaced.
    calibration : Calibration, optional
        Size of the pixels.

    Yields
    ------
    (int, int)
        Rows of blocks done, of how many.
    """
    import zarr

    with explained("write", path, _ADVICE):
        group = zarr.open_group(folder, mode="r+")
        if path.suffix.lower() != ".zarr":
            with replacing(path, overwrite=overwrite) as temporary:
                options = _tiff_options(path, json.dumps(_provenance(plan, count)), calibration)
                _write_tiff(temporary, group["0"], options)
            return
        number = 0
        finer: Any = group["0"]
        while max(finer.shape) > BLOCK_PX:
            coarser = _create_level(group, number + 1, tuple(-(-n // 2) for n in finer.shape))
            total = -(-coarser.shape[0] // BLOCK_PX)
            for row in range(total):
                for col in range(0, coarser.shape[1], BLOCK_PX):
                    rows = slice(row * BLOCK_PX, (row + 1) * BLOCK_PX)
                    cols = slice(col, col + BLOCK_PX)
                    part = finer[_doubled(rows), _doubled(cols)][::2, ::2]
                    coarser[rows, cols] = part
                yield row + 1, total
            number, finer = number + 1, coarser
        metadata = _metadata(plan, path.stem, number + 1, calibration or Calibration.of(2))
        group.attrs.update(metadata, **_provenance(plan, count))
        with replacing(path, overwrite=overwrite) as temporary:
            folder.rename(temporary)


def note_of(path: Path) -> dict[str, Any]:
    """Read what a run noted in its result: `run_id`, `objects` and the `plan`.

    Parameters
    ----------
    path : Path
        May not exist, or be something else; then there is no note.
    """
    import tifffile
    import zarr

    try:
        if path.is_dir():
            found: Any = dict(zarr.open_group(path, mode="r").attrs)
        elif path.is_file():
            with tifffile.TiffFile(path) as tiff:
                page: Any = tiff.pages[0]
                told = page.description
                if tiff.ome_metadata is not None:
                    told = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Description"]
                found = json.loads(told)
        else:
            return {}
        return dict(found.get(_ATTRIBUTE, {}))
    except (OSError, ValueError, KeyError, AttributeError, IndexError, tifffile.TiffFileError):
        return {}  # something else, which stays untouched


def run_of(path: Path) -> str | None:
    """Tell which run wrote a result; None for anything else."""
    run = note_of(path).get("run_id")
    return run if isinstance(run, str) else None


def open_result(path: Path) -> Any:
    """Open the labels in an OME-Zarr as a zarr array, (h, w); give back the path of a TIFF."""
    import zarr

    return zarr.open_group(path, mode="r")["0"] if path.suffix.lower() == ".zarr" else path


def _create_level(group: Any, number: int, shape: tuple[int, ...]) -> Any:
    return group.create_array(
        str(number),
        shape=shape,
        dtype="int32",
        chunks=(BLOCK_PX, BLOCK_PX),
        dimension_names=("y", "x"),
        fill_value=0,
    )


def _doubled(part: slice) -> slice:
    return slice(2 * part.start, 2 * part.stop)


def _provenance(plan: Plan, count: int) -> dict[str, Any]:
    note = {"run_id": plan.run_id, "objects": count, "plan": json.loads(plan.to_json())}
    return {_ATTRIBUTE: note}


def _metadata(plan: Plan, name: str, levels: int, calibration: Calibration) -> dict[str, Any]:
    """Describe the pyramid as the specification ngff.openmicroscopy.org/0.5 wants it.

    Each level takes every other pixel of the finer one, so its pixel centres lie where theirs are.
    """
    sizes = calibration.pixel_size
    start = [part.start * size for part, size in zip(plan.area, sizes, strict=True)]
    datasets = []
    for number in range(levels):
        transformations: list[dict[str, Any]] = [
            {"type": "scale", "scale": [size * 2**number for size in sizes]}
        ]
        if any(start):
            transformations.append({"type": "translation", "translation": start})
        datasets.append({"path": str(number), "coordinateTransformations": transformations})
    axes = [{"name": name, "type": "space"} for name in "yx"]
    for axis, unit in zip(axes, calibration.units, strict=True):
        if long_unit(unit):
            axis["unit"] = long_unit(unit)
    return {
        "ome": {
            "version": "0.5",
            "multiscales": [{"name": name, "axes": axes, "datasets": datasets}],
            "image-label": {"version": "0.5"},
        }
    }


def _tiff_options(path: Path, note: str, calibration: Calibration | None) -> dict[str, Any]:
    """Say what is known of the result: as OME does where the name says so, else in the tags."""
    if path.name.lower().endswith((".ome.tif", ".ome.tiff")):
        options = ome_options(("y", "x"), calibration or Calibration.of(2))
        options["metadata"]["Description"] = note
        return options
    return {"description": note, "metadata": None, **_resolution(calibration)}


def _resolution(calibration: Calibration | None) -> dict[str, Any]:
    """Say the size of the pixels as the tags of TIFF do: pixels per centimetre."""
    if calibration is None:
        return {}
    pairs = zip(calibration.pixel_size, calibration.units, strict=True)
    height, width = (centimetres(size, unit) or 0.0 for size, unit in pairs)
    if not all(length and fits_a_tag(1 / length) for length in (height, width)):
        return {}
    return {"resolution": (1 / width, 1 / height), "resolutionunit": "CENTIMETER"}


def _write_tiff(path: Path, labels: Any, options: dict[str, Any]) -> None:
    """Write tile by tile, with 16 bits per pixel where they suffice."""
    import tifffile

    height, width = labels.shape
    highest = 0
    for block in _blocks(labels):
        highest = max(highest, int(block.max()))
    dtype = np.uint16 if highest <= np.iinfo(np.uint16).max else np.uint32

    def tiles() -> Iterator[NDArray[Any]]:
        for block in _blocks(labels):
            tile = np.zeros((BLOCK_PX, BLOCK_PX), dtype)
            tile[: block.shape[0], : block.shape[1]] = block
            yield tile

    nbytes = height * width * np.dtype(dtype).itemsize
    tifffile.imwrite(
        path,
        tiles(),
        shape=labels.shape,
        dtype=dtype,
        tile=(BLOCK_PX, BLOCK_PX),
        compression="zlib",
        bigtiff=nbytes > 2**32 - 2**25,
        photometric="minisblack",
        **options,
    )


def _blocks(labels: Any) -> Iterator[NDArray[np.int32]]:
    height, width = labels.shape
    for row in range(0, height, BLOCK_PX):
        for col in range(0, width, BLOCK_PX):
            yield labels[row : row + BLOCK_PX, col : col + BLOCK_PX]
