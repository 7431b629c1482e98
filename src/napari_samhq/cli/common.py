"""What all commands share: options, progress, and how errors and warnings are told."""

import functools
import sys
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from napari_samhq.errors import FileError, SamHQError, SamHQWarning

if TYPE_CHECKING:
    from collections.abc import Iterator
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
    "byte_progress",
    "counted",
    "is_installed",
    "load",
    "progress_bar",
    "reported",
    "say",
    "tell_json",
    "told_error",
    "valid_output",
]

P = ParamSpec("P")

# What brings packages that not everyone needs.
_EXTRAS = dict.fromkeys(("napari", "qtpy", "superqt", "vispy", "magicgui"), "all") | dict.fromkeys(
    ("dask", "distributed"), "distributed"
)


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


def say(message: str) -> None:
    """Tell the user something beside the result: stderr, so that results can be piped."""
    with _above_bars():
        typer.echo(message, err=True)


@contextmanager
def _above_bars() -> "Iterator[None]":
    """Take bars away while something is told, so that it does not tear them."""
    if "tqdm" in sys.modules and sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm.external_write_mode(file=sys.stderr):
            yield
    else:
        yield


def reported(command: Callable[P, None]) -> Callable[P, None]:
    """Turn what a command raises into one line and exit status 1, or a traceback with --debug."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            warnings.simplefilter("always", SamHQWarning)
            try:
                command(*args, **kwargs)
            except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
                raise
            except Exception as error:
                if kwargs["debug"]:
                    raise
                say(f"Error: {told_error(error)}")
                raise typer.Exit(1) from error

    return wrapper


def told_error(error: Exception) -> str:
    """Put an error into one line for people who do not read Python."""
    if isinstance(error, ModuleNotFoundError) and not isinstance(error, SamHQError):
        missing = (error.name or "").partition(".")[0]
        extra = _EXTRAS.get(missing)
        if extra is not None:
            return (
                f"This needs {missing}, which is not installed. Run: "
                f"pip install 'napari-samhq[{extra}]'"
            )
    told = str(error)
    if not isinstance(error, SamHQError):
        # Nobody raised this on purpose, so that the message alone may say little.
        told = (
            f"{type(error).__name__}: {told}. This is not an error that napari-samhq knows; "
            "--debug shows where it comes from."
        )
    return " ".join(told.split())  # one line, whatever libraries put into their messages


def counted(count: int, thing: str) -> str:
    """Say how many of something there are.

    Examples
    --------
    >>> counted(1, "object"), counted(3, "object")
    ('1 object', '3 objects')
    """
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def is_installed(package: str) -> bool:
    """Tell whether a package could be imported, without doing so."""
    from importlib.util import find_spec

    try:
        return find_spec(package) is not None
    except ValueError:  # something stands in its place
        return False


def tell_json(value: Any) -> None:
    """Print a result for programs: numbers that are none, which JSON does not know, as null."""
    import json

    from napari_samhq.io.json_files import without_nan

    typer.echo(json.dumps(without_nan(value), indent=1, allow_nan=False))


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


def _show_warning(message: Warning | str, *_args: Any, **_kwargs: Any) -> None:
    """Tell a warning in one line, without the place in the code that it came from."""
    say(f"Warning: {message}")


def progress_bar(*args: Any, **options: Any) -> Any:
    """Make a tqdm bar on stderr; in a log file it writes now and then, and the outer one only."""
    from tqdm import tqdm

    is_terminal = sys.stderr.isatty()
    interval = 0.1 if is_terminal else 10
    hide = not is_terminal and bool(getattr(tqdm, "_instances", ()))
    return tqdm(*args, file=sys.stderr, mininterval=interval, disable=hide, **options)


@contextmanager
def byte_progress(title: str) -> "Iterator[Callable[[int, int], None]]":
    """Show a bar on stderr for something that reports (bytes done, bytes in all)."""
    bar: Any = None

    def update(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            bar = progress_bar(desc=title, total=total or None, unit="B", unit_scale=True)
        bar.total = total or None
        bar.update(done - bar.n)

    try:
        yield update
    finally:
        if bar is not None:
            bar.close()


def load(name: str, device: str, precision: Precision) -> "LoadedModel":
    """Load a model, with a bar if it has to be fetched first."""
    from napari_samhq.checkpoints import load_model

    with byte_progress(f"Fetching {name}") as progress:
        return load_model(name, device=device, precision=precision.value, progress=progress)
