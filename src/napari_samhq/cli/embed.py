"""``napari-samhq embed``: compute embeddings ahead of time, so that prompts are quick later."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_samhq.cli.console import progress_bar, reported
from napari_samhq.cli.options import AsJson, Debug, Device, Model, Precision, PrecisionOption, load
from napari_samhq.cli.paths import only_image
from napari_samhq.cli.view_options import (
    Channels,
    Field,
    Limits,
    Plane,
    Well,
    channels_of,
    limits_of,
    numbers_of,
    plane_indices,
)

if TYPE_CHECKING:
    from napari_samhq.inference.source import Region

__all__ = ["embed"]

_BATCH = {"cpu": 1}  # on a CPU nothing is gained by more
_BATCH_ELSEWHERE = 32  # halved where memory runs out

Wanted = Annotated[
    str | None, typer.Option(help="Part to look at: top,left,bottom,right in pixels. All if none.")
]
Scale = Annotated[
    float,
    typer.Option(help="Image pixels per model pixel: 1, or 0.5 and 0.25 for tiny objects, 2, 4, …"),
]
Gigabytes = Annotated[
    float | None, typer.Option(min=0.01, help="Most that the store may take; the oldest go first.")
]


@reported
def embed(
    image: Annotated[Path, typer.Argument(help="TIFF, PNG, JPEG, npy, zarr or OME-Zarr.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the store; may exist already.")
    ],
    plane: Plane = None,
    channels: Channels = None,
    well: Well = None,
    field: Field = None,
    region: Wanted = None,
    scale: Scale = 1.0,
    contrast_limits: Limits = None,
    gigabytes: Gigabytes = None,
    model: Model = "micro",
    device: Device = "auto",
    precision: PrecisionOption = Precision.AUTO,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Look at all windows of an image that prompts may need, and keep what the model saw.

    What is in the store already is not looked at again: a run that was stopped, or killed, goes on
    where it was when it is started once more.
    """
    indices, picks = plane_indices(plane), channels_of(channels)
    limits = limits_of(contrast_limits)
    part = numbers_of(region, 4, "--region", "0,0,2048,2048")
    if scale not in {2.0**k for k in range(-2, 15)}:
        raise typer.BadParameter(
            f"{scale:g} is not a power of two from 0.25 up.", param_hint="--scale"
        )

    from napari_samhq.inference.store import EmbeddingStore
    from napari_samhq.io.images import open_image

    path = only_image(image, well=well, field=field)
    source = open_image(path, plane=indices, channels=picks, contrast_limits=limits)
    wanted = _region(part, source.shape)
    disk_bytes = None if gigabytes is None else int(gigabytes * 2**30)
    # One embedding in memory is enough: none is asked for again.
    store = EmbeddingStore(output, memory_bytes=1, disk_bytes=disk_bytes)

    from napari_samhq.inference.ahead import look_ahead
    from napari_samhq.inference.predictor import Predictor
    from napari_samhq.inference.windowed import WindowedPredictor

    loaded = load(model, device, precision)
    windowed = WindowedPredictor(Predictor(loaded), source, store=store)
    batch = _BATCH.get(loaded.device.type, _BATCH_ELSEWHERE)
    new = total = 0
    with progress_bar(desc="Windows", unit="window") as bar:
        for event in look_ahead(windowed, wanted, scale=scale, batch=batch):
            bar.total = total = event.total
            bar.update()
            new += event.is_new
    summary: dict[str, Any] = {
        "image": str(image),
        "store": str(output),
        "model": loaded.info.name,
        "device": str(loaded.device),
        "shape": list(source.shape),
        "scale": scale,
        "windows": total,
        "new": new,
    }
    if as_json:
        import json

        typer.echo(json.dumps(summary, indent=1))
    else:
        typer.echo(
            f"{total} windows of {image} are in {output}; {loaded.info.name} looked at {new} of "
            "them now, the others were there or look the same."
        )


def _region(part: list[float] | None, shape: tuple[int, int]) -> "Region | None":
    if part is None:
        return None
    top, left, bottom, right = (int(value) for value in part)
    if not (0 <= top < bottom <= shape[0] and 0 <= left < right <= shape[1]):
        raise typer.BadParameter(
            f"{top},{left},{bottom},{right} is no part of an image of {shape[0]} x {shape[1]} "
            "pixels; needed is top,left,bottom,right.",
            param_hint="--region",
        )
    return slice(top, bottom), slice(left, right)
