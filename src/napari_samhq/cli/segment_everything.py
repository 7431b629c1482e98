"""``napari-samhq segment --everything``: all objects of an image of any size."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import typer

from napari_samhq.cli.console import progress_bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_samhq.batch.run import Step
    from napari_samhq.cli.segment_image import Engine, Task, Wanted
    from napari_samhq.inference.settings import Search

__all__ = ["everything_in", "run_everything", "search_of"]

_TITLES = {
    "segment": "Tiles",
    "choose": "Choosing objects",
    "draw": "Drawing",
    "link": "Linking",
    "write": "Writing",
}
_SWITCH = dict.fromkeys(("true", "yes", "1"), True) | dict.fromkeys(("false", "no", "0"), False)
_FORMAT = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total_fmt} [{elapsed}<{remaining}]"


def search_of(preset: str, pairs: Sequence[str], method: str = "auto") -> Search:
    """Read a method, a preset, and settings such as ``min_score=0.6`` that differ from it.

    Raises
    ------
    typer.BadParameter
        If there is no such method, preset or setting, or it cannot have the value.
    """
    from napari_samhq.errors import SettingsError
    from napari_samhq.inference.settings import (
        METHODS,
        PRESETS,
        AutomaticSettings,
        DenseSettings,
        Search,
    )

    if preset not in PRESETS:
        raise typer.BadParameter(
            f"'{preset}' is none of {', '.join(PRESETS)}.", param_hint="--preset"
        )
    if method not in METHODS:
        raise typer.BadParameter(
            f"'{method}' is none of {', '.join(METHODS)}.", param_hint="--method"
        )
    described = (*DenseSettings.described(), *AutomaticSettings.described())
    kinds = {one.name: one.kind for one in described}
    changes: dict[str, Any] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        kind = kinds.get(name)
        if kind is None:
            raise typer.BadParameter(
                f"'{pair}' is none of {', '.join(kinds)}, with = and a value.", param_hint="--set"
            )
        try:
            changes[name] = _SWITCH[text.lower()] if kind is bool else kind(text)
        except (ValueError, KeyError):
            raise typer.BadParameter(
                f"'{text}' is no {kind.__name__} for {name}.", param_hint="--set"
            ) from None
    search = Search(method, preset, changes=changes)
    try:
        search.settings_for(finds_objects=True)
    except SettingsError as error:
        raise typer.BadParameter(str(error), param_hint="--set") from None
    return search


def run_everything(task: Task, wanted: Wanted, engine: Engine) -> tuple[int, Any]:
    """Segment all objects of an image, with a bar for each stage.

    Returns
    -------
    count : int
        Number of objects.
    labels : ndarray or None
        Label image that is still to be written; None where the run has written it.
    """
    from napari_samhq.batch.publish import OUTPUT_SUFFIXES, note_of

    output = task.output
    is_any_size = output.suffix.lower() in OUTPUT_SUFFIXES
    image: Any = task.source
    if wanted.scheduler is not None and wanted.plane is None and wanted.channels is None:
        image = task.image  # workers open the file, rather than being sent its pixels
    search, finder = wanted.search, engine.finder
    assert search is not None
    labels = everything_in(
        image,
        engine.predictor if wanted.scheduler is None else engine.opener,
        search,
        find=finder.predictor if finder and wanted.scheduler is None else finder and finder.opener,
        out=output if is_any_size else None,
        overwrite=wanted.overwrite,
        resume=wanted.resume,
        workers=wanted.workers,
        scheduler=wanted.scheduler,
        diameter=wanted.diameter,
        within=task.within,
        contrast_limits=wanted.contrast_limits,
        pixel_size=task.pixel_size,
        unit=task.unit,
    )
    if is_any_size:
        return int(note_of(output).get("objects", 0)), None
    return int(labels.max()), labels


def everything_in(image: Any, model: Any, search: Search, **options: Any) -> Any:
    """Segment everything, with a bar for each stage; all else is :func:`segment_everything`'s."""
    from napari_samhq.batch.everything import segment_everything

    with closing(_Bars()) as bars:
        return segment_everything(
            image,
            model,
            method=search.method,
            preset=search.preset,
            progress=bars.show,
            **options,
            **search.changes,
        )


class _Bars:
    """A bar for each stage of a run, on stderr."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._now: tuple[str, float] | None = None

    def show(self, step: Step) -> None:
        """Bring the bar up to date."""
        if self._now != (step.stage, step.total):  # tiles of a coarser grid get a bar of their own
            self.close()
            self._now = (step.stage, step.total)
            self._bar = progress_bar(
                desc=_TITLES[step.stage], total=step.total, leave=False, bar_format=_FORMAT
            )
        self._bar.update(step.done - self._bar.n)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
