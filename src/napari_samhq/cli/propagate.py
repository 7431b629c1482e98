"""``napari-samhq propagate``: objects of some planes of a stack, followed through the others."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_samhq.cli.console import counted, progress_bar, reported, tell_json
from napari_samhq.cli.options import (
    AsJson,
    Debug,
    Device,
    Model,
    Overwrite,
    Precision,
    PrecisionOption,
    load,
    valid_output,
)
from napari_samhq.cli.view_options import Limits, limits_of, numbers_of

if TYPE_CHECKING:
    from napari_samhq.inference.propagate import Propagation
    from napari_samhq.io.calibration import Calibration

__all__ = ["propagate"]

_CHUNK_PX = 1024

Planes = Annotated[
    str | None,
    typer.Option(
        help="First and last plane that objects go through, as 3,40. As far as there is evidence "
        "if none."
    ),
]
Way = Annotated[str, typer.Option(help="both, forward or backward from the outermost outlines.")]
Spacing = Annotated[
    str | None,
    typer.Option(help="Size of a voxel along the three axes, as 0.3,0.1,0.1. That of the file."),
]
DoubtFile = Annotated[
    Path | None,
    typer.Option(help="CSV file for the doubt of each outline: label_id,plane,doubt,reason."),
]
Looks = Annotated[
    Path | None,
    typer.Option(help="Folder for what the model saw, so that another run need not look again."),
]


@reported
def propagate(
    image: Annotated[Path, typer.Argument(help="A stack: TIFF, npy, zarr or OME-Zarr.")],
    labels: Annotated[
        Path, typer.Argument(help="Labels of its size: objects outlined in one plane or several.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Labels: .tif, .npy or .zarr.")],
    axis: Annotated[
        int, typer.Option(min=0, max=2, help="The axis that planes follow each other along.")
    ] = 0,
    planes: Planes = None,
    direction: Way = "both",
    spacing: Spacing = None,
    doubt: DoubtFile = None,
    contrast_limits: Limits = None,
    store: Looks = None,
    model: Model = "micro",
    device: Device = "auto",
    precision: PrecisionOption = Precision.AUTO,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Follow objects that are outlined in some planes of a stack through the others.

    Outlined planes stay as they are; planes between two outlines of an object, and beyond its
    outermost ones, are computed. The result comes into place when it is whole: a run that is
    killed leaves no file, and with --store the next one need not look again.
    """
    from napari_samhq.io.atomic import check_target
    from napari_samhq.io.images import open_array
    from napari_samhq.io.labels import read_labels

    extent = numbers_of(planes, 2, "--planes", "3,40")
    sizes = numbers_of(spacing, 3, "--spacing", "0.3,0.1,0.1")
    limits = limits_of(contrast_limits)
    valid_output(output, _check_suffix)
    for path in (output, doubt):
        if path is not None:
            check_target(path, overwrite=overwrite)
    volume, given = open_array(image), read_labels(labels)
    calibration = _calibration(image, given.calibration)
    if sizes is None and calibration is not None:
        sizes = list(calibration.pixel_size)

    from napari_samhq.inference.propagate import job_for
    from napari_samhq.inference.store import EmbeddingStore

    settings: dict[str, Any] = {
        "axis": axis,
        "planes": extent,
        "direction": direction,
        "spacing": sizes,
        "contrast_limits": limits,
    }
    job_for(volume, given.labels, **settings)  # all that can be wrong, before the model is loaded
    start = time.perf_counter()
    loaded = load(model, device, precision)
    settings["store"] = EmbeddingStore(store)
    with tempfile.TemporaryDirectory(prefix=".napari-samhq-", dir=output.parent) as folder:
        result = _followed(volume, given.labels, loaded, Path(folder), settings)
        _write(output, result, calibration, overwrite)
        found = _told(result)
    if doubt is not None:
        _write_doubt(doubt, result, overwrite)
    summary = {
        "image": str(image),
        "labels": str(output),
        "model": loaded.info.name,
        "device": str(loaded.device),
        "shape": [int(length) for length in given.labels.shape],
        "seconds": round(time.perf_counter() - start, 3),
        **found,
    }
    if as_json:
        tell_json(summary)
        return
    worst = summary["worst"]
    told = f"{counted(summary['outlines'], 'outline')} of {counted(summary['objects'], 'object')}"
    typer.echo(f"{told} found, with {loaded.info.name} on {loaded.device}.")
    if worst is not None:
        typer.echo(
            f"Most in doubt: label {worst['label_id']} in plane {worst['plane']} "
            f"({worst['doubt']:.2f}, {worst['reason']})."
        )
    typer.echo(f"Labels: {output}")


def _check_suffix(path: Path) -> None:
    from napari_samhq.errors import FileError
    from napari_samhq.io.labels import check_label_suffix

    check_label_suffix(path)
    if path.suffix.lower() == ".png":
        raise FileError("Labels of a stack cannot be written as '.png'. Use .tif, .npy or .zarr.")


def _calibration(image: Path, of_labels: "Calibration | None") -> "Calibration | None":
    """Find the size of voxels in the image, or else the labels; along their three axes."""
    from napari_samhq.io.calibration import read_calibration

    for found in (read_calibration(image), of_labels):
        if found is not None and len(found.pixel_size) == 3:
            return found
    return None


def _followed(
    volume: Any, labels: Any, loaded: Any, folder: Path, settings: dict[str, Any]
) -> "Propagation":
    """Follow with a bar, into an array on disk."""
    import zarr

    from napari_samhq.inference.propagate import propagate as follow

    shape = tuple(int(length) for length in labels.shape)
    chunks = tuple(
        1 if index == settings["axis"] else min(_CHUNK_PX, length)
        for index, length in enumerate(shape)
    )
    out = zarr.create_array(folder / "labels", shape=shape, chunks=chunks, dtype="int32")
    with progress_bar(desc="Planes", unit="plane") as bar:

        def report(step: Any) -> None:
            bar.total = step.total
            bar.update(step.done - bar.n)

        return follow(volume, labels, loaded, progress=report, out=out, **settings)


def _write(
    output: Path, result: "Propagation", calibration: "Calibration | None", overwrite: bool
) -> None:
    from napari_samhq.io.labels import write_labels

    known: dict[str, Any] = {}
    if calibration is not None:
        known = {
            "pixel_size": calibration.pixel_size,
            "unit": calibration.units,
            "axes": calibration.axes,
        }
    is_lazy = output.suffix.lower() == ".zarr"
    write_labels(
        output, result.labels if is_lazy else result.labels[:], overwrite=overwrite, **known
    )


def _write_doubt(path: Path, result: "Propagation", overwrite: bool) -> None:
    from napari_samhq.io.atomic import replacing

    with replacing(path, overwrite=overwrite) as temporary:
        result.doubt.to_csv(temporary, index=False)


def _told(result: "Propagation") -> dict[str, Any]:
    """Count what was found, and name the worst."""
    table = result.doubt
    worst = None
    if len(table):
        row = table.loc[table["doubt"].idxmax()]
        worst = {
            "label_id": int(row["label_id"]),
            "plane": int(row["plane"]),
            "doubt": float(row["doubt"]),
            "reason": str(row["reason"]),
        }
    return {
        "outlines": len(table),
        "objects": int(table["label_id"].nunique()),
        "worst": worst,
    }
