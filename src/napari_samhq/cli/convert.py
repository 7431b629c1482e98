"""``napari-samhq convert``: a checkpoint of any published form as a folder without code in it."""

from pathlib import Path
from typing import Annotated

import typer

from napari_samhq.cli.console import reported
from napari_samhq.cli.options import Debug, Overwrite

__all__ = ["convert"]


@reported
def convert(
    checkpoint: Annotated[str, typer.Argument(help=".pth or .safetensors file, folder, or name.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Write a checkpoint as config.json and model.safetensors.

    The folder can be loaded by its path, by napari-samhq and by other programs that read models in
    the published Hugging Face layout.
    """
    from napari_samhq.errors import FileError

    existing = [n for n in ("config.json", "model.safetensors") if (output / n).exists()]
    if existing and not overwrite:
        raise FileError(
            f"{output} has {' and '.join(existing)} already. Give another folder, or allow to "
            "replace them with --overwrite."
        )

    from napari_samhq import checkpoints

    typer.echo(str(checkpoints.convert(checkpoint, output)))
