"""Output of commands: messages, progress bars, JSON, errors and warnings in one line."""

import functools
import sys
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec

import typer

from napari_samhq.errors import SamHQError, SamHQWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "byte_progress",
    "counted",
    "is_installed",
    "progress_bar",
    "reported",
    "say",
    "tell_json",
    "told_error",
]

P = ParamSpec("P")

# What brings packages that not everyone needs.
_EXTRAS = dict.fromkeys(("napari", "qtpy", "vispy", "magicgui"), "all") | dict.fromkeys(
    ("dask", "distributed"), "distributed"
)


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
