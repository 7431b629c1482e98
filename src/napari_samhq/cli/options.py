"""Options that several commands share, and loading of the model that they name."""

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from napari_samhq.cli.console import byte_progress
from napari_samhq.errors import FileError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_samhq.checkpoints import LoadedModel

__all__ = [
    "AsJson",
    "Debug",
    "Device",
    "Model",
    "Overwrite",
    "Precision",
    "PrecisionOption",
    "load",
    "valid_output",
]


class Precision(StrEnum):
    """Number formats in which the image encoder can compute."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


Model = Annotated[
    str,
    typer.Option(
        help="Name of a model (see `models list`), or path of a checkpoint or its folder."
    ),
]


Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ... or mps.")]


PrecisionOption = Annotated[Precision, typer.Option(help="Of the image encoder.")]


Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist already.")]


AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


Debug = Annotated[bool, typer.Option("--debug", help="Show where an error came from.")]


def valid_output(path: "Path", check: Callable[["Path"], None]) -> None:
    """Refuse a name that results cannot have, as wrong usage.

    Raises
    ------
    typer.BadParameter
        If `check` raises a FileError.
    """
    from napari_samhq.cli.paths import check_name

    try:
        check_name(path)
        check(path)
    except FileError as error:
        raise typer.BadParameter(str(error), param_hint="--output") from error


def load(name: str, device: str, precision: Precision) -> "LoadedModel":
    """Load a model, with a bar if it has to be fetched first."""
    from napari_samhq.checkpoints import load_model

    with byte_progress(f"Fetching {name}") as progress:
        return load_model(name, device=device, precision=precision.value, progress=progress)
