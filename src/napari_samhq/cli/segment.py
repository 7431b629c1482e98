"""``napari-samhq segment``: one image, a file of prompts, one label image."""

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
    plane: Plane = None,
    model: Model = "micro",
    device: Device = "auto",
    precision: PrecisionOption = Precision.AUTO,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Segment one object for each point or box of a CSV file.

    Coordinates are rows and columns in image pixels, integers on pixel centres. Points that share
    a number in the column `object` are prompts of one object, and that number is its label id;
    otherwise objects are numbered from 1 in the order of the lines.
    """
    if (points is None) == (boxes is None):
        came = "none" if points is None else "both"
        raise typer.BadParameter(f"Give either --points or --boxes; given are {came}.")
    indices = _plane_indices(plane)
    _check_output(image, output)

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
    scores = [row["score"] for row in summary["objects"]]
    height, width = summary["shape"]
    seconds = sum(summary["seconds"].values())
    lines = [
        f"{len(scores)} objects in {summary['image']} ({height} x {width} px), "
        f"with {summary['model']} on {summary['device']} in {seconds:.1f} s"
        + (f", mean score {sum(scores) / len(scores):.2f}." if scores else ".")
    ]
    if summary["without_pixels"]:
        which = ", ".join(map(str, summary["without_pixels"][:10]))
        lines.append(f"{len(summary['without_pixels'])} objects got no pixel: {which}.")
    lines.append(f"Labels: {summary['labels']}")
    return "\n".join(lines)
