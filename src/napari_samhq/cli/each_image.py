"""Loop over many images in which a failed one does not stop the others."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer

from napari_samhq.cli.console import progress_bar, say, told_error
from napari_samhq.errors import DeviceLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_samhq.cli.paths import Found

__all__ = ["Outcome", "for_each", "part_indices", "tell_failures"]

_MOST_TOLD = 20


@dataclass
class Outcome:
    """What came of a list of images.

    Attributes
    ----------
    done : list
        What the work gave for each image that could be done.
    failed : list of (str, str)
        Path and reason for each that could not.
    """

    done: list[Any] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)


def for_each(images: Iterable[Found], do: Callable[[Found], Any], *, debug: bool) -> Outcome:
    """Do something with each image, with a bar on stderr.

    Parameters
    ----------
    images : sequence of Found
    do : callable
        Called with each image.
    debug : bool
        Stop at the first error, to show where it comes from.

    Returns
    -------
    Outcome
        Failures were told as they came.
    """
    outcome = Outcome()
    with progress_bar(list(images), desc="Images", unit="image") as bar:
        for found in bar:
            try:
                outcome.done.append(do(found))
            except Exception as error:
                if debug or isinstance(error, DeviceLostError):  # nothing could be done from now on
                    raise
                reason = told_error(error)
                outcome.failed.append((str(found.path), reason))
                named = str(found.path) in reason  # most messages begin with it
                say(f"Error: {reason}" if named else f"Error: {found.path}: {reason}")
    return outcome


def tell_failures(outcome: Outcome) -> None:
    """List what could not be done, and end with status 1, if there is something."""
    if not outcome.failed:
        return
    count, total = len(outcome.failed), len(outcome.failed) + len(outcome.done)
    names = [name for name, _ in outcome.failed[:_MOST_TOLD]]
    more = f", and {count - _MOST_TOLD} more" if count > _MOST_TOLD else ""
    say(f"Error: {count} of {total} could not be done: {', '.join(names)}{more}.")
    raise typer.Exit(1)


def part_indices(part: str | None) -> tuple[int, int]:
    """Read "3/10": the third of ten parts.

    Raises
    ------
    typer.BadParameter
        If it is no such part.

    Examples
    --------
    >>> part_indices("3/10")
    (3, 10)
    """
    if part is None:
        return 1, 1
    found = re.fullmatch(r"(\d+)/(\d+)", part)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise typer.BadParameter(
            f"'{part}' is no part such as 3/10, from 1/10 to 10/10.", param_hint="--part"
        )
    return int(found[1]), int(found[2])
