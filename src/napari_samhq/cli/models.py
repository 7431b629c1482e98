"""``napari-samhq models``: list models, describe them, download them ahead of time."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_samhq.cli.console import byte_progress, reported, tell_json
from napari_samhq.cli.options import AsJson, Debug

if TYPE_CHECKING:
    from napari_samhq.checkpoints import ModelInfo

__all__ = ["models"]

models = typer.Typer(
    help="List, download and describe models.", no_args_is_help=True, rich_markup_mode=None
)

Names = Annotated[list[str], typer.Argument(metavar="NAME", help="Names that `models list` shows.")]
NameOrPath = Annotated[
    str, typer.Argument(metavar="NAME", help="A name that `models list` shows, or a path.")
]


@models.command("list")
@reported
def list_(as_json: AsJson = False, debug: Debug = False) -> None:
    """List the models that have a name."""
    from napari_samhq.checkpoints import list_heads, list_models

    found = list_models() + list_heads()
    if as_json:
        tell_json([_fields(info) for info in found])
        return
    rows = [("NAME", "MB", "STATE", "ABOUT")]
    rows += [(i.name, f"{i.megabytes:.0f}", _state(i), i.title) for i in found]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for name, size, state, about in rows:
        typer.echo(f"{name:<{widths[0]}}  {size:>{widths[1]}}  {state:<{widths[2]}}  {about}")


@models.command(short_help="Download models, to be used without a network later.")
@reported
def download(names: Names, as_json: AsJson = False, debug: Debug = False) -> None:
    """Download models, so that they can be used without a network afterwards.

    Prints where they are. A model that is here already is checked, and not fetched again.
    """
    from napari_samhq.checkpoints import fetch, model_info

    for name in names:
        model_info(name)  # a wrong name is told before gigabytes are fetched for another
    paths = {}
    for name in names:
        with byte_progress(f"Fetching {name}") as progress:
            paths[name] = str(fetch(name, progress=progress))
        if not as_json:
            typer.echo(paths[name])
    if as_json:
        tell_json(paths)


@models.command(short_help="Show what is known about a model.")
@reported
def info(name: NameOrPath, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show what is known about a model, by its name, or what a file of weights holds."""
    fields = _described(name)
    if as_json:
        tell_json(fields)
        return
    width = max(map(len, fields))
    for key, value in fields.items():
        if value is not None:
            typer.echo(f"{key:<{width}}  {value}")


def _state(info: "ModelInfo") -> str:
    if info.bundled:
        return "bundled" if info.cached else "missing"
    return "downloaded" if info.cached else "to download"


def _fields(info: "ModelInfo") -> dict[str, Any]:
    from dataclasses import asdict
    from pathlib import Path

    return {k: str(v) if isinstance(v, Path) else v for k, v in asdict(info).items()}


def _described(name: str) -> dict[str, Any]:
    """List what is known about a named model, or about weights, which have to be read for it."""
    from pathlib import Path

    from napari_samhq.checkpoints import list_heads, list_models, model_info

    for head in list_heads():
        if head.name == name:
            return _fields(head)
    is_named = name in {info.name for info in list_models()}
    if is_named or not Path(name).expanduser().exists():
        return _fields(model_info(name))
    from napari_samhq.checkpoints import load_model

    loaded = load_model(name, device="cpu")
    parameters = sum(one.numel() for one in loaded.network.parameters())
    return {**_fields(loaded.info), "sha256": loaded.fingerprint, "parameters": parameters}
