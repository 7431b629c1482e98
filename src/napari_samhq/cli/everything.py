"""``napari-samhq segment --everything``: all objects of an image of any size."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import typer

from napari_samhq.cli.common import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_samhq.batch.run import Step
    from napari_samhq.checkpoints import LoadedModel

__all__ = ["changes_of", "load_predictor", "segment_everything"]

_TITLES = {
    "segment": "Tiles",
    "choose": "Choosing objects",
    "draw": "Drawing",
    "write": "Writing",
}
_FORMAT = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total_fmt} [{elapsed}<{remaining}]"


def changes_of(pairs: Sequence[str]) -> dict[str, Any]:
    """Read settings such as ``min_score=0.6``.

    Raises
    ------
    typer.BadParameter
        If one is no setting, or its value is none.
    """
    from napari_samhq.errors import SettingsError
    from napari_samhq.inference.settings import AutomaticSettings

    kinds = {one.name: one.kind for one in AutomaticSettings.described()}
    changes: dict[str, Any] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        kind = kinds.get(name)
        if kind is None:
            raise typer.BadParameter(
                f"'{pair}' is none of {', '.join(kinds)}, with = and a value.", param_hint="--set"
            )
        try:
            changes[name] = text.lower() in ("true", "yes", "1") if kind is bool else kind(text)
        except ValueError:
            raise typer.BadParameter(
                f"'{text}' is no {kind.__name__} for {name}.", param_hint="--set"
            ) from None
    try:
        AutomaticSettings.of({**_neutral(), **changes}.items())
    except SettingsError as error:
        raise typer.BadParameter(str(error), param_hint="--set") from None
    return changes


def _neutral() -> dict[str, Any]:
    """Sizes that forbid nothing, to check single settings with."""
    return {"smallest_px": 1, "largest_px": 0}


def segment_everything(
    image: Path,
    output: Path,
    *,
    plane: Sequence[int] | None,
    loaded: LoadedModel,
    open_predictor: Callable[[], Any],
    scheduler: str | None,
    overwrite: bool,
    **options: Any,
) -> dict[str, Any]:
    """Segment, write the labels, and sum up.

    Parameters
    ----------
    image, output : Path
    plane : sequence of int, optional
    loaded : LoadedModel
    open_predictor : callable
        How workers of a cluster get their model.
    scheduler : str, optional
        Address of a cluster.
    overwrite : bool
    **options
        For :func:`napari_samhq.segment_everything`.

    Returns
    -------
    dict
        What `segment` tells.
    """
    from napari_samhq.batch.everything import segment_everything as run
    from napari_samhq.batch.publish import OUTPUT_SUFFIXES, note_of
    from napari_samhq.inference.predictor import Predictor
    from napari_samhq.io.atomic import check_target
    from napari_samhq.io.images import open_image
    from napari_samhq.io.labels import write_labels

    start = time.perf_counter()
    source = open_image(image, plane=plane)
    is_any_size = output.suffix.lower() in OUTPUT_SUFFIXES
    if not is_any_size:
        check_target(output, overwrite=overwrite)
    with closing(_Bars()) as bars:
        labels = run(
            source,
            Predictor(loaded) if scheduler is None else open_predictor,
            out=output if is_any_size else None,
            overwrite=overwrite,
            scheduler=scheduler,
            progress=bars.show,
            **options,
        )
    if is_any_size:
        count = note_of(output).get("objects", 0)
    else:
        write_labels(output, labels, overwrite=overwrite)
        count = int(labels.max())
    return {
        "image": str(image),
        "labels": str(output),
        "model": loaded.info.name,
        "device": str(loaded.device),
        "shape": list(source.shape),
        "seconds": {"everything": round(time.perf_counter() - start, 3)},
        "count": count,
    }


def load_predictor(model: str, device: str, precision: str) -> Any:
    """Load a model in a worker of a cluster."""
    from napari_samhq.checkpoints import load_model
    from napari_samhq.inference.predictor import Predictor

    return Predictor(load_model(model, device=device, precision=precision))


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
