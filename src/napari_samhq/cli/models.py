"""``napari-samhq models``: what models there are, and fetching them ahead of time."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_samhq.cli.common import AsJson, Debug, byte_progress, reported

if TYPE_CHECKING:
    from napari_samhq.checkpoints import ModelInfo

__all__ = ["models"]

models = typer.Typer(
    help="List, download and describe models.", no_args_is_help=True, rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(help="One of the names that `models list` shows.")]


@models.command("list")
@reported
def list_(as_json: AsJson = False, debug: Debug = False) -> None:
    """List the models that have a name."""
    from napari_samhq.checkpoints import list_models

    found = list_models()
    if as_json:
        _print_json([_fields(info) for info in found])
        return
    rows = [("NAME", "MB", "STATE", "ABOUT")]
    rows += [(i.name, f"{i.megabytes:.0f}", _state(i), i.title) for i in found]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for name, size, state, about in rows:
        typer.echo(f"{name:<{widths[0]}}  {size:>{widths[1]}}  {state:<{widths[2]}}  {about}")


@models.command()
@reported
def download(name: Name, debug: Debug = False) -> None:
    """Download a model, so that it can be used without a network afterwards."""
    from napari_samhq.checkpoints import fetch

    with byte_progress(f"Fetching {name}") as progress:
        path = fetch(name, progress=progress)
    typer.echo(str(path))


@models.command()
@reported
def info(name: Name, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show what is known about a model."""
    from napari_samhq.checkpoints import model_info

    fields = _fields(model_info(name))
    if as_json:
        _print_json(fields)
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


def _print_json(value: Any) -> None:
    import json

    typer.echo(json.dumps(value, indent=1))
