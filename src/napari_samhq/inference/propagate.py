"""Follow objects that are outlined in some planes of a volume through the others."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.util.progress import reporting
from napari_samhq.errors import Cancelled, ImageError, SettingsError
from napari_samhq.inference.propagation.run import Doubtful, Job, Step, iter_propagate
from napari_samhq.inference.propagation.volume import Volume, given_outlines
from napari_samhq.inference.segment import as_predictor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from napari_samhq.checkpoints import LoadedModel
    from napari_samhq.inference.prediction import SupportsPrediction
    from napari_samhq.inference.propagation.courses import Direction
    from napari_samhq.inference.store import EmbeddingStore

__all__ = ["Propagation", "doubt_table", "job_for", "propagate"]


@dataclass(frozen=True, eq=False)
class Propagation:
    """Objects followed through a volume.

    Attributes
    ----------
    labels : array of shape (Z, H, W), int32
        Given outlines and those that were found; `out` where that was given.
    doubt : pandas.DataFrame
        A row for each outline that was found: label_id, plane, doubt from 0 (none) to 1, and the
        reason of most of it: "faint" (little contrast to the surroundings is left), "model
        disagrees", "sides disagree" (what was carried from the given planes on both sides),
        "area changed", "branches", "collision" (another object got part of it), "empty plane".
    is_whole : bool
        False where it was cancelled: planes that were done are there, others are as given.
    """

    labels: Any = field(repr=False)
    doubt: pd.DataFrame
    is_whole: bool = True


def propagate(
    volume: Any,
    labels: Any,
    model: str | Path | LoadedModel | SupportsPrediction = "micro",
    *,
    axis: int = 0,
    planes: tuple[int, int] | Mapping[int, tuple[int, int]] | None = None,
    direction: Direction = "both",
    progress: Callable[[Step], Any] | bool | None = None,
    spacing: Sequence[float] | None = None,
    contrast_limits: tuple[float, float] | None = None,
    store: EmbeddingStore | None = None,
    out: Any = None,
) -> Propagation:
    """Follow objects that are outlined in one plane or several through the other planes.

    An outline is carried from plane to plane: moved with the image, tapered where the object is
    known to end, and corrected by what the model and the grey values say there, as far as they
    were right where the object was outlined. Between two outlined planes it comes from both sides.

    Parameters
    ----------
    volume : array of shape (Z, H, W) or (Z, H, W, C)
        Any real type; numpy, dask or zarr. It is read plane by plane, and two are in memory.
    labels : array of shape (Z, H, W), int
        Objects outlined in one plane or several, 0 elsewhere. Where an object is outlined it stays
        to the pixel, and only planes between its neighbouring outlines, or beyond the outermost,
        are computed. Other objects get free pixels only.
    model : str, Path, LoadedModel or predictor, optional
        Name or path for :func:`napari_samhq.load_model`, a loaded model, or a predictor.
    axis : int, optional
        The axis that planes follow each other along; 1 and 2 give planes XZ and YZ.
    planes : pair of ints or mapping of int to pair of ints, optional
        First and last plane, both included, of all objects or of each by its label id: they go
        through all of these. Left out, objects go as far as there is evidence of them.
    direction : {"both", "forward", "backward"}, optional
        Where to go from the outermost outlines: to higher planes, to lower ones, or both. Planes
        between two outlines are computed in any case.
    progress : bool or callable, optional
        True for a bar. A function is called with a :class:`Step` for each look at a plane; where
        it raises :class:`~napari_samhq.Cancelled`, the planes that are done are kept.
    spacing : sequence of three floats, optional
        Size of a voxel along the axes of `labels`; all alike when left out. Distances in the
        plane are measured by it.
    contrast_limits : tuple of two floats, optional
        Values that become black and white in all planes; measured in outlined planes otherwise.
    store : EmbeddingStore, optional
        Where to find and keep what the model sees; in memory, up to a limit, when left out.
    out : array of shape (Z, H, W), optional
        Filled with 0, as a new zarr array: labels are written there, plane by plane, and nothing
        of the volume's size is kept in memory.

    Returns
    -------
    Propagation
        It does not depend on the order of the objects, nor on their ids.

    Raises
    ------
    ImageError
        If this is no volume, or these are no labels of it.
    SettingsError
        If `planes`, `direction` or `spacing` cannot be.
    FileError
        If a plane cannot be read; the message says which.
    ModelError, OutOfMemoryError
        As :class:`~napari_samhq.Predictor` does.

    Examples
    --------
    >>> import napari_samhq as samhq  # doctest: +SKIP
    >>> labels = np.zeros(volume.shape, np.int32)  # doctest: +SKIP
    >>> labels[12] = samhq.segment(volume[12], boxes=[[10, 10, 40, 50]])  # doctest: +SKIP
    >>> result = samhq.propagate(volume, labels)  # doctest: +SKIP
    >>> result.doubt.sort_values("doubt").tail(3)  # doctest: +SKIP
    """
    job = job_for(
        volume,
        labels,
        axis=axis,
        planes=planes,
        direction=direction,
        spacing=spacing,
        contrast_limits=contrast_limits,
    )
    shape = job.volume.full_shape
    if out is not None and tuple(out.shape) != shape:
        raise ImageError(
            f"out has the shape {tuple(out.shape)}; needed is that of labels, {shape}."
        )
    predictor = as_predictor(model)
    result = np.zeros(shape, dtype=np.int32) if out is None else out
    for plane, outlines in job.given.items():
        drawn: NDArray[np.int32] = np.zeros(job.volume.shape, dtype=np.int32)
        for label_id, outline in outlines.items():
            drawn[outline.region][outline.array()] = label_id
        result[_at(plane, axis)] = drawn
    doubts: list[Doubtful] = []
    is_whole = True
    steps = iter_propagate(job, predictor, store)
    with reporting(progress, _amounts) as report, closing(steps):
        for step in steps:
            if step.labels is not None:
                result[_at(step.plane, axis)] = step.labels
                doubts += step.doubts
            try:
                if report is not None:
                    report(step)
            except Cancelled:  # asked for: what is done is what is wanted
                is_whole = False
                break
    return Propagation(result, doubt_table(doubts), is_whole)


def job_for(
    volume: Any,
    labels: Any,
    *,
    axis: int = 0,
    planes: Any = None,
    direction: str = "both",
    spacing: Sequence[float] | None = None,
    contrast_limits: tuple[float, float] | None = None,
) -> Job:
    """Check what :func:`propagate` is given, and plan the work."""
    stack = Volume(volume, axis, contrast_limits)
    sampling = _sampling(spacing, axis)
    return Job.of(stack, given_outlines(labels, stack), planes, direction, sampling)


def _sampling(spacing: Sequence[float] | None, axis: int) -> tuple[float, float]:
    """Height and width of a pixel, the height being 1."""
    if spacing is None:
        return 1.0, 1.0
    sizes = np.asarray(spacing, dtype=float)
    if sizes.shape != (3,) or not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise SettingsError(
            f"spacing is {spacing!r}; needed are three sizes above 0, one for each axis of labels."
        )
    height, width = np.delete(sizes, axis)
    return 1.0, float(width / height)


def _at(plane: int, axis: int) -> tuple[slice | int, ...]:
    index: list[slice | int] = [slice(None)] * 3
    index[axis] = plane
    return tuple(index)


def _amounts(step: Step) -> tuple[str, float, float]:
    return "Planes", step.done, step.total


def doubt_table(doubts: Sequence[Doubtful]) -> pd.DataFrame:
    """Put doubts into a table: label_id, plane, doubt, reason, ordered by the first two."""
    import pandas as pd

    columns = {
        "label_id": np.array([one.label_id for one in doubts], dtype=np.int64),
        "plane": np.array([one.plane for one in doubts], dtype=np.int64),
        "doubt": np.array([one.doubt for one in doubts], dtype=np.float64),
        "reason": np.array([one.reason for one in doubts], dtype=object),
    }
    table = pd.DataFrame(columns).sort_values(["label_id", "plane"])
    return table.reset_index(drop=True)
