"""``napari-samhq segment --everything --axes``: all objects of a stack or a film, linked."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_samhq.cli.console import counted
from napari_samhq.cli.segment_everything import everything_in

if TYPE_CHECKING:
    from pathlib import Path

    from napari_samhq.cli.segment_image import Engine, Wanted

__all__ = ["Axes", "StackAxes", "check_stack", "segment_stack_file", "told_stack"]


class StackAxes(StrEnum):
    """What the axes of an image are that is more than one plane."""

    ZYX = "zyx"
    TYX = "tyx"
    TZYX = "tzyx"


Axes = Annotated[
    StackAxes | None,
    typer.Option(
        help="For --everything in all planes of a stack or frames of a film, with ids that are the "
        "same through them."
    ),
]


def check_stack(output: Path, wanted: Wanted) -> None:
    """Refuse what does not go together with axes, as wrong usage.

    Raises
    ------
    typer.BadParameter
        If it is not for everything, chooses a plane, or the output is no stack.
    """
    from napari_samhq.batch.publish import OUTPUT_SUFFIXES

    if wanted.search is None or wanted.plane is not None or wanted.within is not None:
        raise typer.BadParameter(
            "--axes is for --everything in all planes, without --plane and --within.",
            param_hint="--axes",
        )
    if output.suffix.lower() not in OUTPUT_SUFFIXES:
        raise typer.BadParameter(
            f"Labels of stacks and films are written as {' or '.join(OUTPUT_SUFFIXES)}; "
            f"{output.name} is neither.",
            param_hint="--output",
        )


def segment_stack_file(
    image: Path, output: Path, axes: StackAxes, wanted: Wanted, engine: Engine
) -> dict[str, Any]:
    """Segment everything in a stack or film, with a bar for each stage, and write it.

    Returns
    -------
    dict
        What was done.

    Raises
    ------
    FileError, ImageError
        If something cannot be read or written.
    """
    from napari_samhq.io.calibration import read_calibration
    from napari_samhq.io.images import open_array
    from napari_samhq.io.labels import read_labels

    volume = open_array(image, channels=wanted.channels)
    calibration = read_calibration(image)
    sizes: dict[str, Any] = {}
    if calibration is not None and len(calibration.pixel_size) == len(axes.value):
        sizes = {"pixel_size": calibration.pixel_size, "unit": calibration.units}
    search, finder = wanted.search, engine.finder
    assert search is not None
    is_here = wanted.scheduler is None
    start = time.perf_counter()
    everything_in(
        volume,
        engine.predictor if is_here else engine.opener,
        search,
        find=finder.predictor if finder and is_here else finder and finder.opener,
        axes=axes.value,
        out=output,
        overwrite=wanted.overwrite,
        resume=wanted.resume,
        workers=wanted.workers,
        scheduler=wanted.scheduler,
        diameter=wanted.diameter,
        contrast_limits=wanted.contrast_limits,
        **sizes,
    )
    labels = read_labels(output).labels
    count = max(int(labels[number].max()) for number in range(labels.shape[0]))
    return {
        "image": str(image),
        "labels": str(output),
        "axes": axes.value,
        "shape": list(labels.shape),
        "count": count,
        "model": engine.name,
        "device": engine.device,
        "seconds": round(time.perf_counter() - start, 3),
    }


def told_stack(summary: dict[str, Any]) -> str:
    """Put the summary into words."""
    what = "object" if summary["axes"] == StackAxes.ZYX else "track"
    size = " x ".join(map(str, summary["shape"]))
    return (
        f"{counted(summary['count'], what)} in {summary['image']} ({size}), with "
        f"{summary['model']} on {summary['device']} in {summary['seconds']:.1f} s.\n"
        f"Labels: {summary['labels']}"
    )
