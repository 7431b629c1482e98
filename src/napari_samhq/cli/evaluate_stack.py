"""``napari-samhq evaluate --axes``: objects of stacks compared in 3-D, and tracks of films."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import typer

from napari_samhq.cli.console import tell_json

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from napari_samhq.cli.segment_stack import StackAxes

__all__ = ["evaluate_stack"]


def evaluate_stack(
    labels: Path,
    predictions: Path,
    axes: StackAxes,
    target: Path,
    *,
    overwrite: bool = False,
    as_json: bool = False,
) -> None:
    """Compare labels of stacks or films, print the measures, and write them.

    Parameters
    ----------
    labels, predictions : Path
        Label images; or, of films, folders of the Cell Tracking Challenge. The lineage of a label
        image is the ``.lineage.csv`` beside it, if there is one.
    axes : StackAxes
    target : Path
        The JSON file to write.
    overwrite : bool, optional
        Whether it may be replaced.
    as_json : bool, optional
        Print it as JSON.

    Raises
    ------
    FileError, ImageError
        If something cannot be read, or does not fit together.
    """
    from napari_samhq.io.atomic import check_target, replacing

    check_target(target, overwrite=overwrite)
    true, found = _read(labels), _read(predictions)
    values = _of_volumes(true[0], found[0]) if axes == "zyx" else _of_tracks(true, found)
    told = {name: None if math.isnan(value) else round(value, 6) for name, value in values.items()}
    summary = {"labels": str(labels), "predictions": str(predictions), "axes": axes.value, **told}
    with replacing(target, overwrite=overwrite) as temporary:
        temporary.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    if as_json:
        tell_json(summary)
        return
    for name, value in told.items():
        typer.echo(f"{name:12s}{'none' if value is None else f'{value:.4g}'}")
    typer.echo(f"\nWrote {target}")


def _read(path: Path) -> tuple[Any, pd.DataFrame | None]:
    from napari_samhq.io.ctc import is_ctc, read_ctc
    from napari_samhq.io.labels import read_labels
    from napari_samhq.io.track_files import read_lineage

    if is_ctc(path):
        return read_ctc(path)
    beside = path.with_name(f"{path.stem}.lineage.csv")
    return read_labels(path).labels, read_lineage(beside) if beside.exists() else None


def _of_volumes(true: Any, found: Any) -> dict[str, float]:
    """Measure objects in 3-D, by one pairing."""
    import numpy as np

    from napari_samhq.core.measure.metrics import match
    from napari_samhq.core.measure.quality import AP_THRESHOLDS

    pairs = match(np.asarray(true[:]), np.asarray(found[:]))
    wanted, given = len(pairs.pairs) + len(pairs.missed), len(pairs.pairs) + len(pairs.extra)
    values = {"objects": float(wanted), "predicted": float(given)}
    values["mean_iou"] = float(pairs.ious.sum()) / wanted if wanted else math.nan
    scores = []
    for threshold in AP_THRESHOLDS:
        good = int((pairs.ious > threshold).sum())
        either = wanted + given - good
        scores.append(good / either if either else math.nan)
        values[f"ap_{round(100 * threshold)}"] = scores[-1]
    return values | {"ap": sum(scores) / len(scores)}


def _of_tracks(
    true: tuple[Any, pd.DataFrame | None], found: tuple[Any, pd.DataFrame | None]
) -> dict[str, float]:
    """Measure tracks, by the measures of the Cell Tracking Challenge."""
    from napari_samhq.tracking.measures import compare_tracks, spans_of

    (labels, lineage), (others, rows) = true, found
    lineage = spans_of(labels) if lineage is None else lineage
    rows = spans_of(others) if rows is None else rows
    quality = compare_tracks(labels, lineage, others, rows)
    good, extra, missed = quality.divisions[0]
    counts = {"divisions_found": good, "divisions_extra": extra, "divisions_missed": missed}
    return {**quality.told(), "division_f1": quality.division_f1, **counts}
