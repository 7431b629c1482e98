"""``napari-samhq segment``: one image, a file of prompts or none, one label image."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_samhq.cli.common import (
    AsJson,
    Debug,
    Device,
    Model,
    Overwrite,
    Precision,
    PrecisionOption,
    load,
    reported,
)
from napari_samhq.cli.everything import changes_of, load_predictor, segment_everything
from napari_samhq.errors import FileError

if TYPE_CHECKING:
    from napari_samhq.core.prompts import Prompt

__all__ = ["segment"]

Points = Annotated[
    Path | None,
    typer.Option(
        help="CSV file of points: row,col[,object[,label]]; label 1 on the object, 0 beside."
    ),
]
Boxes = Annotated[
    Path | None, typer.Option(help="CSV file of boxes: min_row,min_col,max_row,max_col.")
]
Everything = Annotated[bool, typer.Option("--everything", help="Segment all there is.")]
Preset = Annotated[str, typer.Option(help="For --everything: cells, nuclei or thin.")]
Spacing = Annotated[
    int | None, typer.Option(help="For --everything: pixels between the points that are asked.")
]
Tile = Annotated[int | None, typer.Option(help="For --everything: side of a tile in pixels.")]
Halo = Annotated[
    int | None, typer.Option(help="For --everything: pixels that a tile sees around it.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="For --everything: a setting, as min_score=0.6. May be repeated."),
]
Workers = Annotated[int, typer.Option(min=1, help="For --everything: tiles to do at a time.")]
Scheduler = Annotated[
    str | None,
    typer.Option(help="For --everything: address of a dask scheduler, as tcp://host:8786."),
]
Resume = Annotated[
    bool, typer.Option(help="For --everything: go on with a run that was interrupted.")
]
Plane = Annotated[
    str | None, typer.Option(help="Plane of a stack: an index for each leading axis, as 0,12.")
]


@reported
def segment(
    image: Annotated[Path, typer.Argument(help="TIFF, PNG, JPEG, npy, zarr or OME-Zarr.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Labels: .tif, .png, .npy or .zarr.")
    ],
    points: Points = None,
    boxes: Boxes = None,
    everything: Everything = False,
    preset: Preset = "cells",
    spacing: Spacing = None,
    tile: Tile = None,
    halo: Halo = None,
    setting: Changes = None,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    resume: Resume = True,
    plane: Plane = None,
    model: Model = "micro",
    device: Device = "auto",
    precision: PrecisionOption = Precision.AUTO,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Segment one object for each point or box of a CSV file, or everything.

    Coordinates are rows and columns in image pixels, integers on pixel centres. Points that share
    a number in the column `object` are prompts of one object, and that number is its label id;
    otherwise objects are numbered from 1 in the order of the lines.

    --everything takes images of any size. To .zarr and .tif it writes with little memory, and when
    it was interrupted the same command goes on where it was.
    """
    given = [points is not None, boxes is not None, everything]
    if sum(given) != 1:
        came = ("none", "two of them", "all")[max(0, sum(given) - 1)]
        raise typer.BadParameter(
            f"Give one of --points, --boxes and --everything; given are {came}."
        )
    indices = _plane_indices(plane)
    _check_output(image, output)
    if everything:
        sizes = {"spacing_px": spacing, "tile_px": tile, "halo_px": halo}
        changes = [f"{name}={value}" for name, value in sizes.items() if value is not None]
        options = changes_of([*(setting or []), *changes]) | {"preset": _known_preset(preset)}
        options |= {"workers": workers, "scheduler": scheduler, "resume": resume}
        summary = segment_everything(
            image,
            output,
            plane=indices,
            loaded=load(model, device, precision),
            open_predictor=partial(load_predictor, model, device, precision.value),
            overwrite=overwrite,
            **options,
        )
        _tell(summary, as_json)
        return

    from napari_samhq.io.atomic import check_target
    from napari_samhq.io.images import read_image
    from napari_samhq.io.labels import write_labels

    # All that can be wrong is looked at before the model is loaded.
    check_target(output, overwrite=overwrite)
    prompts = _read_prompts(points, boxes)
    pixels = read_image(image, plane=indices)

    from napari_samhq.cli.job import segment_prompts
    from napari_samhq.inference.predictor import Predictor

    loaded = load(model, device, precision)
    result = segment_prompts(Predictor(loaded), pixels, prompts)
    write_labels(output, result.labels, overwrite=overwrite)
    table = result.table()
    summary = {
        "image": str(image),
        "labels": str(output),
        "model": loaded.info.name,
        "device": str(loaded.device),
        "shape": list(result.labels.shape),
        "seconds": {name: round(value, 3) for name, value in result.seconds.items()},
        "objects": table.to_dict("records"),
        "without_pixels": sorted(set(prompts) - set(table["label"].tolist())),
    }
    _tell(summary, as_json)


def _known_preset(name: str) -> str:
    from napari_samhq.inference.settings import PRESETS

    if name not in PRESETS:
        raise typer.BadParameter(
            f"'{name}' is none of {', '.join(PRESETS)}.", param_hint="--preset"
        )
    return name


def _tell(summary: dict[str, Any], as_json: bool) -> None:
    """Print the summary for programs or for people."""
    if as_json:
        import json

        typer.echo(json.dumps(summary, indent=1))
    else:
        typer.echo(_told(summary))


def _plane_indices(plane: str | None) -> list[int] | None:
    """Read "0,12"."""
    if plane is None:
        return None
    try:
        return [int(index) for index in plane.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"'{plane}' is not a list of whole numbers such as 0,12.", param_hint="--plane"
        ) from None


def _check_output(image: Path, output: Path) -> None:
    """Refuse what could never be right, as wrong usage."""
    from napari_samhq.io.labels import check_label_suffix

    try:
        check_label_suffix(output)
    except FileError as error:
        raise typer.BadParameter(str(error), param_hint="--output") from error
    if output.exists() and image.exists() and output.samefile(image):
        raise typer.BadParameter("This is the image itself.", param_hint="--output")


def _read_prompts(points: Path | None, boxes: Path | None) -> "dict[int, Prompt]":
    from napari_samhq.io.prompt_files import read_boxes_csv, read_points_csv

    if points is not None:
        return read_points_csv(points)
    assert boxes is not None
    return read_boxes_csv(boxes)


def _told(summary: dict[str, Any]) -> str:
    """Put the summary into words."""
    scores = [row["score"] for row in summary.get("objects", [])]
    count = summary.get("count", len(scores))
    height, width = summary["shape"]
    seconds = sum(summary["seconds"].values())
    lines = [
        f"{count} objects in {summary['image']} ({height} x {width} px), "
        f"with {summary['model']} on {summary['device']} in {seconds:.1f} s"
        + (f", mean score {sum(scores) / len(scores):.2f}." if scores else ".")
    ]
    if summary.get("without_pixels"):
        which = ", ".join(map(str, summary["without_pixels"][:10]))
        lines.append(f"{len(summary['without_pixels'])} objects got no pixel: {which}.")
    lines.append(f"Labels: {summary['labels']}")
    return "\n".join(lines)
