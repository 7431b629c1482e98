"""Segmentation of an image by prompts, as one call."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.labels.run_labels import RunLabels
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.prompts.prompt import Prompt, usable_points
from napari_samhq.errors import PromptError, SamHQWarning
from napari_samhq.inference.windowed import WindowedPredictor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_samhq.checkpoints import LoadedModel
    from napari_samhq.inference.prediction import Prediction, SupportsPrediction

__all__ = [
    "MOST_PAINTED_PX",
    "LabelPainter",
    "RunPainter",
    "as_predictor",
    "painter_of",
    "segment",
]

MOST_PAINTED_PX = 2**26
"""Label images of more pixels are kept as runs on the command line."""


def segment(
    image: Any,
    points: ArrayLike | None = None,
    boxes: ArrayLike | None = None,
    model: str | Path | LoadedModel | SupportsPrediction = "micro",
) -> NDArray[np.int32]:
    """Segment one object for each point or box.

    Parameters
    ----------
    image : array_like of shape (H, W) or (H, W, C), or ImageSource
        Any real type, see :func:`~napari_samhq.core.images.rgb8.to_rgb8`. Of a dask or zarr array,
        or a pyramid, only the windows around prompts are read, see
        :class:`~napari_samhq.inference.windowed.WindowedPredictor`.
    points : array_like of shape (N, 2), optional
        Row, column in image pixels: a point on each object.
    boxes : array_like of shape (N, 4), optional
        min_row, min_col, max_row, max_col in image pixels: a box around each object.
    model : str, Path, LoadedModel or predictor, optional
        Name or path for :func:`napari_samhq.load_model`, a loaded model, or a predictor.

    Returns
    -------
    ndarray of shape (H, W), int32
        Object i has the label id i + 1; 0 is background. Where masks overlap, a pixel belongs to
        the mask with the higher score, and to the earlier one where scores are equal.

    Raises
    ------
    PromptError
        If neither points nor boxes are given, or both, or none of them is usable.
    ImageError, ModelError, OutOfMemoryError
        As :class:`~napari_samhq.inference.predictor.Predictor` does.

    Warns
    -----
    SamHQWarning
        If points outside of the image were left out (the other objects keep their ids), or an
        object has no pixel in the result.

    Examples
    --------
    >>> import napari_samhq as samhq  # doctest: +SKIP
    >>> labels = samhq.segment(image, boxes=[[10, 10, 40, 50]])  # doctest: +SKIP
    """
    if (points is None) == (boxes is None):
        came = "neither points nor boxes" if points is None else "both points and boxes"
        raise PromptError(
            f"segment got {came}; needed is one of them, with one object for each row. To combine "
            "points and a box for one object use Predictor.predict."
        )
    prompts = _box_prompts(boxes) if boxes is not None else _point_prompts(points)
    windowed = WindowedPredictor(as_predictor(model), image)
    image_shape = windowed.source.shape
    ids = np.arange(1, len(prompts) + 1)
    if points is not None:
        keep = _points_to_use(prompts, image_shape)
        prompts, ids = [prompts[index] for index in keep], ids[keep]
    painter = LabelPainter(image_shape)
    for index, prediction in windowed.iter_predict(prompts):
        painter.add(int(ids[index]), prediction)
    missing = np.setdiff1d(ids, painter.labels)
    if missing.size:
        warnings.warn(
            f"{missing.size} of {len(ids)} objects have no pixel in the result, being empty or "
            f"covered by others: label {', '.join(map(str, missing[:10]))}"
            f"{', …' if missing.size > 10 else ''}.",
            SamHQWarning,
            stacklevel=2,
        )
    return painter.labels


class LabelPainter:
    """Put masks into a label image, one after the other; the result does not depend on the order.

    A pixel belongs to the mask with the highest score; where scores are equal, to the lowest label
    id.

    Parameters
    ----------
    image_shape : tuple of two ints
        Height and width of the image in pixels.

    Attributes
    ----------
    labels : ndarray of shape (H, W), int32
        What was painted so far.

    Examples
    --------
    >>> painter = LabelPainter((2, 3))
    >>> painter.labels.max()
    np.int32(0)
    """

    def __init__(self, image_shape: tuple[int, int]) -> None:
        self.labels: NDArray[np.int32] = np.zeros(image_shape, dtype=np.int32)
        self._scores = np.zeros(image_shape, dtype=np.float32)

    def add(self, label_id: int, prediction: Prediction) -> None:
        """Paint the best mask of a prediction.

        Parameters
        ----------
        label_id : int
            Positive.
        prediction : Prediction
            Of an image of this shape.
        """
        mask = prediction.mask
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if rows.size == 0:
            return
        # Objects are small against the image: look at the part around this one only.
        part = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
        labels = self.labels[prediction.region][part]
        scores = self._scores[prediction.region][part]
        score = np.float32(prediction.score)
        wins = (labels == 0) | (scores < score) | ((scores == score) & (labels > label_id))
        wins &= mask[part]
        labels[wins] = label_id
        scores[wins] = score


class RunPainter:
    """Put masks into a label image of any size, as :class:`LabelPainter`, without painting it.

    Parameters
    ----------
    image_shape : tuple of two ints
        Height and width of the image in pixels.
    """

    def __init__(self, image_shape: tuple[int, int]) -> None:
        self._shape = image_shape
        self._found: list[tuple[float, int, CroppedMask]] = []

    def add(self, label_id: int, prediction: Prediction) -> None:
        """Take the best mask of a prediction, as :meth:`LabelPainter.add`."""
        start = prediction.region[0].start, prediction.region[1].start
        mask = CroppedMask.of(prediction.mask, start)
        self._found.append((float(np.float32(prediction.score)), -label_id, mask))

    @property
    def labels(self) -> RunLabels:
        """What was painted so far."""
        ordered = sorted(self._found, key=lambda one: one[:2])  # the best is painted last
        return RunLabels.of(((-number, mask) for _, number, mask in ordered), self._shape)


def painter_of(image_shape: tuple[int, int]) -> LabelPainter | RunPainter:
    """Choose how labels of an image of this shape are kept: as runs where it is large."""
    large = image_shape[0] * image_shape[1] > MOST_PAINTED_PX
    return RunPainter(image_shape) if large else LabelPainter(image_shape)


def _box_prompts(boxes: ArrayLike) -> list[Prompt]:
    rows = _rows(boxes, "boxes", 4, "min_row, min_col, max_row, max_col")
    return [Prompt(box=row) for row in rows]


def _point_prompts(points: ArrayLike | None) -> list[Prompt]:
    rows = _rows(points, "points", 2, "row, column")
    return [Prompt(points=row[np.newaxis]) for row in rows]


def _rows(values: Any, name: str, columns: int, meaning: str) -> NDArray[Any]:
    try:
        rows = np.asarray(values)
    except ValueError as error:
        raise PromptError(f"{name} is ragged: its rows differ in length.") from error
    if rows.size == 0:
        raise PromptError(
            f"{name} is empty, so there is no object to segment. Give one row ({meaning}) for each."
        )
    if rows.ndim != 2 or rows.shape[1] != columns:
        raise PromptError(
            f"{name} has the shape {rows.shape}; needed is (N, {columns}): {meaning} in pixels, "
            "one row for each object."
        )
    return rows


def _points_to_use(prompts: Sequence[Prompt], image_shape: tuple[int, int]) -> NDArray[np.intp]:
    """Places of the points that lie in the image; warns about the others, once for all."""
    points = np.concatenate([prompt.points for prompt in prompts if prompt.points is not None])
    keep = np.flatnonzero(usable_points(points, image_shape))
    if len(keep) == 0:
        height, width = image_shape
        raise PromptError(
            f"None of the {len(points)} points lies in the image of {height} x {width} pixels. "
            "Points are (row, column) in image pixels."
        )
    return keep


def as_predictor(model: Any) -> SupportsPrediction:
    """Take a predictor as it is, and make one of a loaded model, a name or a path."""
    if all(hasattr(model, name) for name in ("embed", "iter_predict")):
        predictor: SupportsPrediction = model
        return predictor
    from napari_samhq.inference.predictor import Predictor  # late: brings torch

    if isinstance(model, (str, Path)):
        from napari_samhq.checkpoints import load_model

        model = load_model(model)
    return Predictor(model)
