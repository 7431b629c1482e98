"""``napari-samhq track``: objects of a film or a stack get the same id in all frames or planes."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_samhq.cli.console import counted, reported, tell_json
from napari_samhq.cli.options import AsJson, Debug, Overwrite, valid_output

if TYPE_CHECKING:
    from napari_samhq.io.calibration import Calibration
    from napari_samhq.tracking.linked import Linked

__all__ = ["track"]


class Axes(StrEnum):
    """What the axes of labels are."""

    TYX = "tyx"
    ZYX = "zyx"
    TZYX = "tzyx"


@reported
def track(
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS",
            help="Labels of all frames, whose ids need not agree: TIFF, npy, zarr or OME-Zarr, or "
            "a folder of the Cell Tracking Challenge.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Labels (.tif, .npy, .zarr) with the lineage as .lineage.csv beside them; tracks "
            "for napari (.csv) or TrackMate (.xml); a folder of the Cell Tracking Challenge where "
            "there is no extension.",
        ),
    ],
    axes: Annotated[Axes, typer.Option(help="What the axes of the labels are.")] = Axes.TYX,
    gap: Annotated[int, typer.Option(min=0, help="Frames that an object may be missing for.")] = 1,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Follow the objects of a film through time, with divisions, or link a stack through z."""
    from napari_samhq.io.atomic import check_target

    valid_output(output, _check_suffix)
    for target in _targets(output):
        check_target(target, overwrite=overwrite)
    given, calibration = _read(labels)
    from napari_samhq.tracking.link import link

    linked = link(given, axes=axes.value, gap=gap, progress=True)
    _write(linked, output, calibration, overwrite=overwrite)
    lineage = linked.lineage
    divisions = int(lineage.loc[lineage["parent"] > 0, "parent"].nunique())
    summary: dict[str, Any] = {
        "labels": str(labels),
        "output": str(output),
        "axes": axes.value,
        "shape": list(given.shape),
        "tracks": len(lineage),
        "divisions": divisions,
    }
    if as_json:
        tell_json(summary)
        return
    what = "track" if axes.value[0] == "t" else "object"
    more = f", {counted(divisions, 'division')}" if what == "track" else ""
    typer.echo(f"{counted(len(lineage), what)}{more} in {labels}.\nWrote {output}")


def _check_suffix(output: Path) -> None:
    from napari_samhq.io.labels import check_label_suffix

    if output.suffix.lower() not in ("", ".csv", ".xml"):
        check_label_suffix(output)


def _targets(output: Path) -> list[Path]:
    if output.suffix.lower() in ("", ".csv", ".xml"):
        return [output]
    return [output, output.with_name(f"{output.stem}.lineage.csv")]


def _read(path: Path) -> tuple[Any, "Calibration | None"]:
    from napari_samhq.io.ctc import is_ctc, read_ctc
    from napari_samhq.io.labels import read_labels

    if is_ctc(path):
        return read_ctc(path)[0], None
    found = read_labels(path)
    return found.labels, found.calibration


def _write(
    linked: "Linked", output: Path, calibration: "Calibration | None", *, overwrite: bool
) -> None:
    from napari_samhq.io.atomic import replacing
    from napari_samhq.io.labels import write_labels
    from napari_samhq.io.track_files import write_tracks_csv

    suffix = output.suffix.lower()
    if suffix == "":
        linked.to_ctc(output, overwrite=overwrite)
    elif suffix == ".csv":
        write_tracks_csv(output, *linked.to_tracks(), overwrite=overwrite)
    elif suffix == ".xml":
        side = 1.0 if calibration is None else calibration.along(-1, "um") or 1.0
        linked.to_trackmate(output, pixel_size=side, overwrite=overwrite)
    else:
        sizes: dict[str, Any] = {}
        if calibration is not None and len(calibration.pixel_size) == len(linked.axes):
            sizes = {"pixel_size": calibration.pixel_size, "unit": calibration.units}
        written, table = _targets(output)
        write_labels(written, linked.labels, overwrite=overwrite, axes=tuple(linked.axes), **sizes)
        with replacing(table, overwrite=overwrite) as temporary:
            linked.lineage.to_csv(temporary, index=False, lineterminator="\n")
