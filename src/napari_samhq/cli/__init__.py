"""The command line, ``napari-samhq``: each command is a module, each turns arguments into calls.

Nothing here loads torch before a command that needs it has checked its arguments.
"""

import io
import logging
import sys
from typing import Annotated

import typer

from napari_samhq.cli import (
    convert,
    demo,
    embed,
    evaluate,
    models,
    propagate,
    replay,
    segment,
    track,
    train,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="napari-samhq",
    help="Segment images by points and boxes with SAM-HQ. Results go to files, progress to stderr; "
    "the exit status is 0 (done), 1 (failed) or 2 (wrong usage).",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"napari-samhq {version('napari-samhq')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


app.command()(demo.demo)
app.command(short_help="Segment what prompts point at, or everything.")(segment.segment)
app.command()(replay.replay)
app.command(short_help="Follow objects through the planes of a stack.")(propagate.propagate)
app.command(short_help="Look at an image ahead of time, for quick prompts.")(embed.embed)
app.command(short_help="Compare segmentations with true labels.")(evaluate.evaluate)
app.command(short_help="Follow objects through time or planes.")(track.track)
app.command()(train.train)
app.add_typer(models.models, name="models")
app.command()(convert.convert)


def main() -> None:
    """Run the command line."""
    # Names of files need not be text that the terminal can show; an escape is better than an error.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # What it has to say of damaged files comes as one error or warning of ours.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    app()
