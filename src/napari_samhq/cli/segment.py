"""``napari-samhq segment``: images of any number, prompts or none, a result for each image."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_samhq.cli.console import counted, is_installed, reported, say, tell_json
from napari_samhq.cli.each_image import for_each, part_indices, tell_failures
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
from napari_samhq.cli.paths import Found, find_images, one_image, part_of, renamed
from napari_samhq.cli.records import RECORD_SUFFIX, record_path
from napari_samhq.cli.segment_everything import search_of
from napari_samhq.cli.segment_image import Engine, Wanted, prepare, segment_one
from napari_samhq.cli.segment_stack import (
    Axes,
    check_stack,
    segment_stack_file,
    told_stack,
)
from napari_samhq.cli.summary import told_all, told_one
from napari_samhq.cli.view_options import (
    Channels,
    Connected,
    Field,
    Limits,
    Plane,
    Store,
    Strict,
    Well,
    Within,
    channels_of,
    limits_of,
    plane_indices,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = ["segment"]

Images = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGE",
        help="TIFF, PNG, JPEG, npy, zarr, OME-Zarr (plates, too), CZI, ND2 or LIF; several, a "
        "folder or a pattern, 'a/*.tif'.",
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="Labels (.tif, .png, .npy, .zarr), COCO (.json), labelme (.labelme.json), QuPath "
        "(.geojson), ImageJ (.zip), YOLO (.txt) or table (.csv); a folder for several images.",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="Extension of the results in a folder; or labelme, yolo or yolo-boxes.  "
        "[default: tif]",
    ),
]
Points = Annotated[
    Path | None,
    typer.Option(
        help="CSV file of points: row,col[,object[,label]]; label 1 on the object, 0 beside."
    ),
]
Boxes = Annotated[
    Path | None, typer.Option(help="CSV file of boxes: min_row,min_col,max_row,max_col.")
]
Prompts = Annotated[
    Path | None,
    typer.Option(
        help="Points, boxes, outlines or labels: CSV, GeoJSON, COCO, labelme, YOLO, ImageJ, a "
        "session, a label image, Cellpose's _seg.npy; or a folder with a file for each image, of "
        "the same name."
    ),
]
Everything = Annotated[bool, typer.Option("--everything", help="Segment all there is.")]
FindBy = Annotated[
    str,
    typer.Option(
        "--method",
        help="For --everything: dense (models that have a dense head), points, or auto.",
    ),
]
Find = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="For --everything: this model finds the objects, and --model outlines them.",
    ),
]
Diameter = Annotated[
    str | None,
    typer.Option(
        help="For --everything: how wide objects are, about, in pixels or as 12um.  [default: auto]"
    ),
]
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
    bool | None,
    typer.Option(
        "--resume/--no-resume",
        help="Take results for done that were made of the same image with the same model, prompts "
        "and settings; go on with tiles.  [default: --resume for --everything]",
    ),
]
Part = Annotated[str | None, typer.Option(help="Do the third of ten shares of the images: 3/10.")]


@reported
def segment(
    images: Images,
    output: Output,
    points: Points = None,
    boxes: Boxes = None,
    prompts: Prompts = None,
    everything: Everything = False,
    find_by: FindBy = "auto",
    find: Find = None,
    axes: Axes = None,
    diameter: Diameter = None,
    preset: Preset = "cells",
    spacing: Spacing = None,
    tile: Tile = None,
    halo: Halo = None,
    setting: Changes = None,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    file_format: Format = None,
    part: Part = None,
    resume: Resume = None,
    plane: Plane = None,
    channels: Channels = None,
    well: Well = None,
    field: Field = None,
    within: Within = None,
    contrast_limits: Limits = None,
    store: Store = None,
    connected: Connected = False,
    strict: Strict = False,
    model: Model = "micro",
    device: Device = "auto",
    precision: PrecisionOption = Precision.AUTO,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Segment one object for each point, box or other prompt in a file, or everything.

    Coordinates in CSV files are rows and columns in image pixels, integers on pixel centres.
    Points that share a number in the column `object` are prompts of one object, and that number is
    its label id; otherwise objects are numbered from 1 in the order of the lines.

    --everything takes images of any size. To .zarr and .tif it writes with little memory, and when
    it was interrupted the same command goes on where it was.

    Of several images each gives a result of its name in the folder OUTPUT, and one that cannot be
    done does not stop the others. Beside each result a record, *.run.json, says how it was made.
    """
    from napari_samhq.io.results import FORMAT_SUFFIXES

    kinds = {"points": points, "boxes": boxes, "prompts": prompts, "everything": everything}
    chosen = [name for name, value in kinds.items() if value]
    if len(chosen) != 1:
        came = " and ".join(f"--{name}" for name in chosen) or "none"
        raise typer.BadParameter(
            f"Give one of --points, --boxes, --prompts and --everything; given are {came}."
        )
    sizes = {"spacing_px": spacing, "tile_px": tile, "halo_px": halo}
    changes = [f"{name}={value}" for name, value in sizes.items() if value is not None]
    search = search_of(preset, [*(setting or []), *changes], find_by)
    wanted = Wanted(
        chosen[0],
        points or boxes or prompts,
        search if everything else None,
        diameter,
        plane_indices(plane),
        overwrite,
        everything if resume is None else resume,
        workers,
        scheduler,
        limits_of(contrast_limits),
        store,
        strict,
        connected,
        channels_of(channels),
        within,
        file_format if file_format in FORMAT_SUFFIXES else None,
    )
    if store is not None and everything:
        raise typer.BadParameter("--store is for prompts: everything is seen in other windows.")
    if scheduler is not None:
        _check_cluster()
    engine = Engine(model, device, precision, find if everything else None)
    share = part_indices(part)
    found = one_image(images, well=well, field=field)
    if axes is not None and found is None:
        raise typer.BadParameter("--axes is for one image at a time.", param_hint="--axes")
    if found is None or (output.is_dir() and output.suffix.lower() != ".zarr"):
        given = find_images(images, well=well, field=field)
        _segment_all(given, output, file_format, share, wanted, engine, as_json, debug)
        return
    if axes is not None:
        check_stack(output, wanted)
        stack = segment_stack_file(found.path, output, axes, wanted, engine)
        if as_json:
            tell_json(stack)
        else:
            typer.echo(told_stack(stack))
        return
    if (file_format is not None and wanted.file_format is None) or part is not None:
        raise typer.BadParameter("--format and --part are for several images and a folder.")
    valid_output(output, lambda path: _check_result(path, wanted.file_format))
    _check_apart([found], [output])
    # All that can be wrong is looked at before the model is loaded.
    summary = segment_one(prepare(found, output, wanted), wanted, engine)
    if as_json:
        tell_json(summary)
    else:
        typer.echo(told_one(summary))


def _segment_all(
    found: "Sequence[Found]",
    folder: Path,
    file_format: str | None,
    share: tuple[int, int],
    wanted: Wanted,
    engine: Engine,
    as_json: bool,
    debug: bool,
) -> None:
    """Segment many images into a folder."""
    from napari_samhq.io.atomic import explained
    from napari_samhq.io.results import RESULT_SUFFIXES

    if folder.suffix.lower() in RESULT_SUFFIXES and not folder.is_dir():
        raise typer.BadParameter(
            f"For several images give a folder; {folder} is the name of one result.",
            param_hint="--output",
        )
    images = _without_results(found)
    outputs = _outputs(images, folder, file_format)
    if wanted.prompts is not None and len(images) > 1 and not _has_many(wanted.prompts):
        raise typer.BadParameter(
            f"{wanted.prompts} is a file for one image, and there are {len(images)}. Give a folder "
            "that has a file of the same name for each of them, or a COCO file.",
            param_hint=f"--{wanted.kind}",
        )
    _check_apart(images, list(outputs.values()))
    images = part_of(images, share)
    _check_kept([outputs[found] for found in images], wanted)
    valid_output(folder, lambda _: None)
    _ = engine.predictor  # what is wrong with the model is wrong for all images
    with explained("write", folder, "Choose another place."):
        for output in (outputs[found] for found in images):
            output.parent.mkdir(parents=True, exist_ok=True)

    def do(found: Found) -> dict[str, Any]:
        return segment_one(prepare(found, outputs[found], wanted), wanted, engine)

    outcome = for_each(images, do, debug=debug)
    if as_json:
        failed = [{"image": name, "error": reason} for name, reason in outcome.failed]
        tell_json({"folder": str(folder), "images": outcome.done, "failed": failed})
    elif outcome.done:
        typer.echo(told_all(outcome, folder, engine))
    elif not outcome.failed:
        typer.echo("There is no image in this part.")
    tell_failures(outcome)


def _without_results(images: "Sequence[Found]") -> list[Found]:
    """Leave out what earlier runs wrote: where results lie among the images, patterns find both."""
    left = [found for found in images if not record_path(found.path).exists()]
    if len(left) < len(images):
        say(f"Left out: {counted(len(images) - len(left), 'result')} of earlier runs.")
    return left


def _outputs(images: "Sequence[Found]", folder: Path, file_format: str | None) -> dict[Found, Path]:
    """Name the results after the images.

    Raises
    ------
    typer.BadParameter
        If there is no such format, or two images would share a result.
    """
    from napari_samhq.io.results import FORMAT_SUFFIXES, RESULT_SUFFIXES

    suffix = "." + (file_format or "tif").lower().lstrip(".")
    suffix = FORMAT_SUFFIXES.get(suffix[1:], suffix)
    if suffix not in RESULT_SUFFIXES:
        known = ", ".join([one.lstrip(".") for one in RESULT_SUFFIXES] + list(FORMAT_SUFFIXES))
        raise typer.BadParameter(f"'{file_format}' is none of {known}.", param_hint="--format")
    outputs: dict[Found, Path] = {}
    owners: dict[Path, Found] = {}
    for found in images:
        output = folder / renamed(found.place, suffix)
        if output in owners:
            raise typer.BadParameter(
                f"{owners[output].path} and {found.path} would both be written to {output}. Do "
                "them one after the other, into different folders."
            )
        owners[output], outputs[found] = found, output
    return outputs


def _check_result(output: Path, file_format: str | None = None) -> None:
    """Refuse names that results cannot have."""
    from napari_samhq.errors import FileError
    from napari_samhq.io.results import check_result_suffix

    check_result_suffix(output, file_format)
    if output.name.endswith(RECORD_SUFFIX):
        raise FileError(f"Names that end like {output.name} are those of records of runs.")


def _has_many(prompts: Path) -> bool:
    """Tell whether prompts may be those of many images; what is not there is told later."""
    name = prompts.name.lower()
    is_coco = name.endswith(".json") and not name.endswith(".samhq.json")
    is_folder = prompts.is_dir() and not name.endswith(".zarr")
    return is_folder or is_coco or not prompts.exists()


def _check_apart(images: "Sequence[Found]", outputs: "Sequence[Path]") -> None:
    """Refuse to write onto the images themselves, as wrong usage."""
    places = {found.path.resolve() for found in images}
    for output in outputs:
        if output.resolve() in places:
            raise typer.BadParameter(
                f"{output} is the image itself. Choose another place.", param_hint="--output"
            )


def _check_kept(outputs: "Sequence[Path]", wanted: Wanted) -> None:
    """Refuse at once what would be refused for each image.

    Raises
    ------
    FileError
        If results are there that may neither be replaced nor taken for done.
    """
    from napari_samhq.errors import FileError

    there = [one for one in outputs if one.exists()]
    if there and not wanted.overwrite and not wanted.resume:
        raise FileError(
            f"{len(there)} of {len(outputs)} results exist already, {there[0]} for one. Do the "
            "others with --resume, replace these with --overwrite, or choose another folder."
        )


def _check_cluster() -> None:
    """Find out now, not after a large model was loaded, that there is no dask."""
    from napari_samhq.errors import MissingExtraError

    if not is_installed("distributed"):
        raise MissingExtraError(
            "--scheduler needs dask.distributed, which is not installed. Run: "
            "pip install 'napari-samhq[distributed]'"
        )
