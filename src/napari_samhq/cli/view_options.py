"""Options that choose channels, plane and brightness of an image."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Channels",
    "Connected",
    "Field",
    "Limits",
    "Plane",
    "Store",
    "Strict",
    "Well",
    "Within",
    "channels_of",
    "limits_of",
    "numbers_of",
    "plane_indices",
]

Plane = Annotated[
    str | None, typer.Option(help="Plane of a stack: an index for each leading axis, as 0,12.")
]
Limits = Annotated[
    str | None, typer.Option(help="Values that are black and white: low,high. Measured if none.")
]
Channels = Annotated[
    str | None,
    typer.Option(
        help="Channels to show the model, by number from 0 or name: one as grey, two or three as "
        "colours, 2,0 or DAPI,GFP. --plane leaves their axis out then."
    ),
]
Well = Annotated[str | None, typer.Option(help="Of plates (OME-Zarr): one well alone, as B03.")]
Field = Annotated[
    str | None,
    typer.Option(help="Of plates, series and scenes: one field of each well, series or scene."),
]
Within = Annotated[
    Path | None,
    typer.Option(
        help="Only what lies whole inside of a mask image or outlines (GeoJSON, ImageJ, labelme)."
    ),
]
Store = Annotated[
    Path | None, typer.Option(help="Folder that `embed` filled: what is in it need not be seen.")
]
Connected = Annotated[
    bool,
    typer.Option(
        "--connected",
        help="Make an object of each connected piece of label images, such as masks of 0 and 255.",
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Refuse a file of objects if an entry of it cannot be used; do not skip it.",
    ),
]


def plane_indices(plane: str | None) -> list[int] | None:
    """Read "0,12".

    Raises
    ------
    typer.BadParameter
        If it is something else.
    """
    if plane is None:
        return None
    try:
        return [int(index) for index in plane.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"'{plane}' is not a list of whole numbers such as 0,12.", param_hint="--plane"
        ) from None


def channels_of(text: str | None) -> list[int | str] | None:
    """Read "2,0" or "DAPI,GFP".

    Raises
    ------
    typer.BadParameter
        If there is nothing between commas, or more than three.

    Examples
    --------
    >>> channels_of("2,DAPI")
    [2, 'DAPI']
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(parts) or len(parts) > 3:
        raise typer.BadParameter(
            f"'{text}' are no channels. Give one to three, as 2,0 or DAPI,GFP.",
            param_hint="--channels",
        )
    return [int(part) if part.isdigit() else part for part in parts]


def limits_of(text: str | None) -> tuple[float, float] | None:
    """Read contrast limits, "0,4095".

    Raises
    ------
    typer.BadParameter
        If these are not two numbers, the first the smaller one.
    """
    option, example = "--contrast-limits", "0,4095"
    numbers = numbers_of(text, 2, option, example)
    if numbers is None:
        return None
    low, high = numbers
    if not low < high:
        raise typer.BadParameter(
            f"'{text}' are no limits: needed is low,high such as {example}.", param_hint=option
        )
    return low, high


def numbers_of(text: str | None, count: int, option: str, example: str) -> list[float] | None:
    """Read so many numbers with commas between them.

    Raises
    ------
    typer.BadParameter
        If it is something else.
    """
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise typer.BadParameter(
            f"'{text}' is not {count} numbers such as {example}.", param_hint=option
        )
    return numbers
