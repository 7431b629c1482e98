"""``napari-samhq evaluate``: how well objects are found, in numbers and in a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_samhq.cli.console import reported, tell_json
from napari_samhq.cli.each_image import for_each, tell_failures
from napari_samhq.cli.evaluate_stack import evaluate_stack
from napari_samhq.cli.options import (
    AsJson,
    Debug,
    Device,
    Model,
    Overwrite,
    Precision,
    PrecisionOption,
    valid_output,
)
from napari_samhq.cli.paths import Found, find_images
from napari_samhq.cli.segment import Changes, FindBy, Preset
from napari_samhq.cli.segment_everything import search_of
from napari_samhq.cli.segment_image import Engine
from napari_samhq.cli.segment_stack import StackAxes
from napari_samhq.cli.view_options import (
    Channels,
    Connected,
    Field,
    Plane,
    Strict,
    Well,
    channels_of,
    plane_indices,
)

if TYPE_CHECKING:
    from napari_samhq.cli.comparison import Comparison, Method

__all__ = ["evaluate"]

Images = Annotated[
    str, typer.Argument(metavar="IMAGES", help="An image, a folder, or a pattern as 'a/*.tif'.")
]
Labels = Annotated[
    Path,
    typer.Argument(
        metavar="LABELS",
        help="True labels: a file, or a folder with one of the same name for each image.",
    ),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="Folder for the results; made if it is missing.")
]
Predictions = Annotated[
    Path | None,
    typer.Option(help="Compare these labels, a file or a folder, instead of segmenting."),
]
StackOf = Annotated[
    StackAxes | None,
    typer.Option(
        "--axes",
        help="Compare --predictions as a stack, in 3-D (zyx), or as tracks of a film (tyx, tzyx).",
    ),
]
Everything = Annotated[
    bool, typer.Option("--everything", help="Segment all there is, knowing nothing of the labels.")
]
PromptsFrom = Annotated[
    str | None,
    typer.Option(
        "--prompts",
        help="Prompt for each true object: boxes, points (in its middle), or points+3, boxes+1 ... "
        "with so many corrections where it is most wrong.  [default: boxes]",
    ),
]
Worst = Annotated[int, typer.Option(min=0, max=200, help="How many objects the picture shows.")]
BorderPx = Annotated[
    int | None,
    typer.Option(min=1, help="Width of the border in the boundary IoU; by size of object if none."),
]
KeepLabels = Annotated[
    bool, typer.Option("--save-labels", help="Write the predicted labels, too, as TIFF.")
]


@reported
def evaluate(
    images: Images,
    labels: Labels,
    output: Output = Path("samhq-evaluation"),
    predictions: Predictions = None,
    axes: StackOf = None,
    everything: Everything = False,
    prompts: PromptsFrom = None,
    find_by: FindBy = "auto",
    preset: Preset = "cells",
    setting: Changes = None,
    worst: Worst = 12,
    border_px: BorderPx = None,
    save_labels: KeepLabels = False,
    plane: Plane = None,
    channels: Channels = None,
    well: Well = None,
    field: Field = None,
    connected: Connected = False,
    strict: Strict = False,
    model: Model = "micro",
    device: Device = "auto",
    precision: PrecisionOption = Precision.AUTO,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Segment images and compare with true labels, or compare labels that are there.

    Tells mean IoU and boundary IoU of the true objects, average precision (found / (found + extra +
    missed)) at IoU 0.5 to 0.95, and panoptic quality: for each image, and for all objects of all
    images together. Writes them as quality.csv and quality.json, each object as objects.csv, and
    the worst objects as a picture, worst.png.

    With --axes labels of a stack are compared in 3-D, and those of a film as tracks (DET, SEG, TRA,
    LNK, CT, BC); folders of the Cell Tracking Challenge are read, too.

    With --prompts the numbers say how well objects are outlined that somebody points at; with
    --everything also how well they are found at all.
    """
    from napari_samhq.cli.comparison import Method, Pair, compare_one
    from napari_samhq.core.display.worst_objects import WorstCases

    method = _method(predictions, everything, prompts)
    valid_output(output, lambda _: None)
    if axes is not None:
        if predictions is None:
            raise typer.BadParameter(
                "--axes compares labels that are there; name them with --predictions. "
                "`segment --everything --axes` makes some.",
                param_hint="--axes",
            )
        target = _folder(output) / "quality.json"
        evaluate_stack(labels, predictions, axes, target, overwrite=overwrite, as_json=as_json)
        return
    search = search_of(preset, setting or [], find_by)
    how = Method(
        predictions=predictions,
        derived=method,
        search=search if everything else None,
        plane=plane_indices(plane),
        channels=channels_of(channels),
        border_px=border_px,
        labels_folder=output / "labels" if save_labels else None,
        overwrite=overwrite,
        strict=strict,
        connected=connected,
    )
    found = find_images([images], well=well, field=field)
    _check_inputs(labels, predictions, found)
    targets = _targets(output, worst, overwrite)
    engine = Engine(model, device, precision)
    if predictions is None:
        _ = engine.predictor  # what is wrong with the model is wrong for all images
    cases = WorstCases(worst)

    def do(one: Found) -> "Comparison":
        return compare_one(Pair(one, labels), how, engine, cases)

    outcome = for_each(found, do, debug=debug)
    if outcome.done:
        _write(outcome, how, engine, cases, targets, as_json)
    tell_failures(outcome)


def _method(predictions: Path | None, everything: bool, prompts: str | None) -> Any:
    """Find out how objects are to be found.

    Returns
    -------
    Derived or None
        Prompts from the true objects, unless it is another way.
    """
    from napari_samhq.cli.derived_prompts import Derived

    given = {"predictions": predictions, "everything": everything, "prompts": prompts}
    chosen = [f"--{name}" for name, value in given.items() if value]
    if len(chosen) > 1:
        raise typer.BadParameter(f"Give one of {', '.join(chosen)}: each is a way to find objects.")
    if predictions is not None or everything:
        return None
    try:
        return Derived.of(prompts or "boxes")
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--prompts") from None


def _check_inputs(labels: Path, predictions: Path | None, found: list[Found]) -> None:
    """Refuse at once what would be refused for each image."""
    from napari_samhq.errors import FileError

    for path, what in ((labels, "labels"), (predictions, "predictions")):
        if path is None:
            continue
        if not path.exists():
            raise FileError(f"There are no {what} at {path}. Check the path.")
        is_one = not path.is_dir() or path.suffix.lower() == ".zarr"
        if is_one and path.suffix.lower() != ".json" and len(found) > 1:
            raise FileError(
                f"{path} is one file, and there are {len(found)} images. Give a folder that has "
                f"{what} of the same name for each of them."
            )


def _folder(folder: Path) -> Path:
    """Make the folder of the results, if it is missing."""
    from napari_samhq.io.atomic import explained

    with explained("write", folder, "Choose another folder."):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _targets(folder: Path, worst: int, overwrite: bool) -> dict[str, Path]:
    """Name what is written, and check that it can be.

    Raises
    ------
    FileError
        If it is there already and may not be replaced, or the folder cannot be made.
    """
    from napari_samhq.io.atomic import check_target

    names = ["quality.json", "quality.csv", "objects.csv", *(["worst.png"] if worst else [])]
    targets = {name: _folder(folder) / name for name in names}
    for target in targets.values():
        check_target(target, overwrite=overwrite)
    return targets


def _write(
    outcome: Any,
    how: "Method",
    engine: Engine,
    cases: Any,
    targets: dict[str, Path],
    as_json: bool,
) -> None:
    from napari_samhq.cli.reports import Report, write_report

    report = Report(outcome.done, outcome.failed, how.told(engine))
    write_report(report, cases.cases, targets)
    if as_json:
        tell_json(report.content())
        return
    written = [path for path in targets.values() if path.exists()]
    typer.echo(report.words() + "\n\n" + "\n".join(f"Wrote {path}" for path in written))
