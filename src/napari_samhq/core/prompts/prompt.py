"""Prompts: points, box and mask of one object, and the rules that make them usable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.util.notes import note
from napari_samhq.errors import PromptError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Prompt", "clean_box", "usable_points"]

AnArray = TypeVar("AnArray", bound="NDArray[Any]")

# A box may reach this far past the edge without a word: bounding boxes as scikit-image gives them
# end one pixel after the last one, which is half a pixel outside of the image.
_SILENT_OVERSHOOT_PX = 0.5


@dataclass(frozen=True, eq=False)
class Prompt:
    """All that was said about one object: points, a box, a mask, or several of these.

    Construction checks the form (shapes, kinds of number) and copies what it is given into
    read-only arrays; :meth:`cleaned` checks the values against the image.

    Parameters
    ----------
    points : array_like of shape (N, 2), optional
        Row, column in image pixels; integers fall on pixel centres.
    point_labels : array_like of shape (N,), optional
        1 where the point lies on the object, 0 where it lies beside it. All 1 when left out.
    box : array_like of shape (4,), optional
        min_row, min_col, max_row, max_col in image pixels, in the same frame as the points.
    mask : array_like, optional
        A rough mask: bool (or an integer image with a single value besides 0) of the image's
        shape (H, W); or a :class:`~napari_samhq.core.masks.cropped.CroppedMask`, which takes no
        more memory than the object. Or the ``low_res_logits`` of an earlier prediction: floats of
        shape (h, w) or (1, h, w).

    Raises
    ------
    PromptError
        If an array has another shape or kind than given above.

    Notes
    -----
    A point belongs to the image if ``-0.5 <= row < H - 0.5`` and ``-0.5 <= col < W - 0.5``: each
    pixel owns its upper and left edge, so each position belongs to exactly one pixel.

    Two prompts compare equal only if they are the same object.

    Examples
    --------
    >>> prompt = Prompt(points=[[10, 4], [30, 40]], point_labels=[1, 0])
    >>> prompt.points.shape
    (2, 2)
    >>> prompt.cleaned((20, 20)).points.tolist()  # doctest: +SKIP
    [[10.0, 4.0]]
    """

    points: NDArray[np.float64] | None = None
    point_labels: NDArray[np.int64] | None = None
    box: NDArray[np.float64] | None = None
    mask: NDArray[np.bool_] | NDArray[np.float32] | CroppedMask | None = None

    if TYPE_CHECKING:  # what may be passed is wider than what is kept

        def __init__(
            self,
            points: ArrayLike | None = None,
            point_labels: ArrayLike | None = None,
            box: ArrayLike | None = None,
            mask: ArrayLike | CroppedMask | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        """Check the form of what was given, and keep read-only copies."""
        points = None if self.points is None else _as_points(self.points)
        if self.point_labels is None:
            labels = None if points is None else _frozen(np.ones(len(points), dtype=np.int64))
        else:
            labels = _as_point_labels(self.point_labels, points)
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "point_labels", labels)
        object.__setattr__(self, "box", None if self.box is None else _as_box(self.box))
        object.__setattr__(self, "mask", None if self.mask is None else _as_mask(self.mask))

    def cleaned(self, image_shape: tuple[int, int]) -> Prompt:
        """Make the prompt usable on an image of this shape, or say why it is not.

        Parameters
        ----------
        image_shape : tuple of two ints
            Height and width of the image in pixels.

        Returns
        -------
        Prompt
            Points are finite, inside of the image and free of repetitions; the box is ordered and
            inside of the image; a bool mask is cropped, and cut where the image ends; parts that
            were left empty are None.

        Raises
        ------
        PromptError
            If nothing usable is left: no prompt at all, only negative points, all points outside,
            a box without area, a mask of another shape or without a pixel.

        Warns
        -----
        SamHQWarning
            If points were dropped (not finite, outside, repeated, contradicted by a later point
            on the same pixel) or the box was clipped. The message says how many.

        Notes
        -----
        Where points on the same pixel contradict each other, the later one counts: it is the
        user's correction.

        Examples
        --------
        >>> Prompt(box=[30, 20, 10, 5]).cleaned((64, 64)).box.tolist()
        [10.0, 5.0, 30.0, 20.0]
        """
        points, labels = self.points, self.point_labels
        box = None if self.box is None else clean_box(self.box, image_shape)
        mask = None if self.mask is None else _clean_mask(self.mask, image_shape)
        if points is not None and labels is not None and len(points):
            keep = usable_points(points, image_shape)
            if not keep.any() and box is None and mask is None:
                raise PromptError(
                    f"None of the {len(points)} point(s) lies in the image of {_size(image_shape)} "
                    "pixels. Put a point on the object; points are (row, column) in image pixels."
                )
            points, labels = _without_repetitions(points[keep], labels[keep])
        if points is None or labels is None or len(points) == 0:
            points = labels = None
        if box is None and mask is None and (labels is None or not (labels == 1).any()):
            came = "is empty" if labels is None else "has only negative points"
            raise PromptError(
                f"The prompt {came}, so nothing says which object is meant. "
                "Add a positive point on the object, or a box around it."
            )
        return replace(self, points=points, point_labels=labels, box=box, mask=mask)


def usable_points(
    points_rc: NDArray[np.float64], image_shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Find the points that are finite and lie in the image, and warn about the others.

    Parameters
    ----------
    points_rc : ndarray of shape (N, 2)
        Row, column in image pixels.
    image_shape : tuple of two ints
        Height and width of the image in pixels.

    Returns
    -------
    ndarray of shape (N,), bool
        True where ``-0.5 <= row < H - 0.5`` and ``-0.5 <= col < W - 0.5``.

    Examples
    --------
    >>> usable_points(np.array([[-0.5, 0], [2, 1]]), (4, 4)).tolist()
    [True, True]
    """
    finite: NDArray[np.bool_] = np.all(np.isfinite(points_rc), axis=1)
    inside = np.zeros(len(points_rc), dtype=bool)
    shape = np.asarray(image_shape, dtype=float)
    inside[finite] = ((points_rc[finite] >= -0.5) & (points_rc[finite] < shape - 0.5)).all(axis=1)
    if not finite.all():
        _warn(
            f"{np.sum(~finite)} of {len(finite)} points dropped: a coordinate is NaN or infinite."
        )
    outside = int(np.sum(finite & ~inside))
    if outside:
        _warn(
            f"{outside} of {len(finite)} points dropped: they lie outside of the image of "
            f"{_size(image_shape)} pixels."
        )
    return inside


def clean_box(box_rc: NDArray[np.float64], image_shape: tuple[int, int]) -> NDArray[np.float64]:
    """Order the corners of a box and clip it to the image.

    Parameters
    ----------
    box_rc : ndarray of shape (4,)
        Two opposite corners as row, column, row, column in image pixels, in any order.
    image_shape : tuple of two ints
        Height and width of the image in pixels.

    Returns
    -------
    ndarray of shape (4,)
        min_row, min_col, max_row, max_col; inside of ``[-0.5, H - 0.5]`` and ``[-0.5, W - 0.5]``.

    Raises
    ------
    PromptError
        If a value is not finite, or no area is left.

    Warns
    -----
    SamHQWarning
        If the box reached more than half a pixel past the image.

    Examples
    --------
    >>> clean_box(np.array([5.0, 8.0, 1.0, 2.0]), (10, 10)).tolist()
    [1.0, 2.0, 5.0, 8.0]
    """
    given = f"The box {np.round(box_rc, 2).tolist()}"
    if not np.isfinite(box_rc).all():
        raise PromptError(f"{given} has a coordinate that is NaN or infinite. Draw it again.")
    corners: NDArray[np.float64] = np.sort(box_rc.reshape(2, 2), axis=0)
    if (corners[0] == corners[1]).any():
        raise PromptError(
            f"{given} has no area. Give min_row, min_col, max_row, max_col in pixels, "
            "or use a point instead of a box."
        )
    high = np.asarray(image_shape, dtype=float) - 0.5
    clipped = np.clip(corners, -0.5, high)
    if (clipped[0] >= clipped[1]).any():
        raise PromptError(
            f"{given} lies outside of the image of {_size(image_shape)} pixels. "
            "Draw it around the object; boxes are min_row, min_col, max_row, max_col."
        )
    if np.abs(clipped - corners).max() > _SILENT_OVERSHOOT_PX:
        _warn(f"{given} was clipped to the image of {_size(image_shape)} pixels.")
    return _frozen(clipped.ravel())


def _clean_mask(
    mask: NDArray[Any] | CroppedMask, image_shape: tuple[int, int]
) -> NDArray[np.float32] | CroppedMask:
    if isinstance(mask, CroppedMask):
        cropped = mask.cut(image_shape)
    elif mask.dtype != np.bool_:
        if not np.isfinite(mask).all():
            raise PromptError(
                "The mask prompt of logits has NaN or infinite values. Pass the low_res_logits "
                "of a prediction, or a bool mask."
            )
        return mask
    elif mask.shape != tuple(image_shape):
        raise PromptError(
            f"The mask prompt has {_size(mask.shape)} pixels, the image {_size(image_shape)}. "
            "Pass a bool mask of the image's shape."
        )
    else:
        cropped = CroppedMask.of(mask)
    if not cropped:
        raise PromptError("The mask prompt has no pixel. Mark the object, or leave the mask out.")
    return cropped


def _without_repetitions(
    points_rc: NDArray[np.float64], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Drop points that a later one on the same pixel contradicts, then exact repetitions."""
    pixels = np.floor(points_rc + 0.5)
    _, owner = np.unique(pixels, axis=0, return_inverse=True)
    owner = owner.reshape(-1)
    last_label = np.empty(owner.max(initial=-1) + 1, dtype=np.int64)
    last_label[owner] = labels  # for repeated indices numpy keeps the last value
    keep = labels == last_label[owner]
    if not keep.all():
        _warn(
            f"{np.sum(~keep)} of {len(keep)} points dropped: a later point on the same pixel "
            "says the opposite."
        )
    points_rc, labels = points_rc[keep], labels[keep]
    _, first = np.unique(np.column_stack([points_rc, labels]), axis=0, return_index=True)
    if len(first) < len(points_rc):
        _warn(f"{len(points_rc) - len(first)} of {len(points_rc)} points dropped: repeated.")
    first.sort()
    return _frozen(points_rc[first]), _frozen(labels[first])


def _as_points(points: ArrayLike) -> NDArray[np.float64]:
    array = _as_real(points, "points")
    if array.size == 0:
        array = array.reshape(0, 2)
    if array.ndim != 2 or array.shape[1] != 2:
        raise PromptError(
            f"points has the shape {array.shape}; needed is (N, 2), one (row, column) each. "
            "For one point write [[row, column]]."
        )
    return _frozen(array)


def _as_point_labels(
    point_labels: ArrayLike, points: NDArray[np.float64] | None
) -> NDArray[np.int64]:
    values = _as_real(point_labels, "point_labels")
    count = 0 if points is None else len(points)
    if values.shape != (count,):
        raise PromptError(
            f"point_labels has the shape {values.shape}, but there are {count} points. "
            "Give one label, 1 or 0, for each point."
        )
    if not np.isin(values, (0, 1)).all():
        raise PromptError(
            f"point_labels holds {sorted(set(values.tolist()))}; only 1 (on the object) and "
            "0 (beside it) mean something."
        )
    return _frozen(values.astype(np.int64))


def _as_box(box: ArrayLike) -> NDArray[np.float64]:
    array = _as_real(box, "box")
    if array.shape != (4,):
        raise PromptError(
            f"box has the shape {array.shape}; needed is (4,): min_row, min_col, max_row, max_col. "
            "For several boxes use one Prompt each, with predict_many."
        )
    return _frozen(array)


def _as_mask(
    mask: ArrayLike | CroppedMask,
) -> NDArray[np.bool_] | NDArray[np.float32] | CroppedMask:
    if isinstance(mask, CroppedMask):
        return mask
    array = np.asarray(mask)
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 2:
        raise PromptError(
            f"mask has the shape {array.shape}; needed is a bool mask (H, W) or the "
            "low_res_logits of one mask (h, w)."
        )
    if array.dtype.kind == "f":
        return _frozen(array.astype(np.float32))
    if array.dtype.kind in "iu":
        values = np.unique(array)
        values = values[values != 0]
        if len(values) > 1:
            raise PromptError(
                f"mask holds {len(values)} different labels; a prompt describes one object. "
                "Pass for example mask == 3."
            )
        array = array != 0
    if array.dtype.kind != "b":
        raise PromptError(f"mask holds {array.dtype}; needed are bool, or logits as floats.")
    return _frozen(array.copy())


def _as_real(values: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise PromptError(f"{name} is ragged: its rows differ in length.") from error
    if array.dtype.kind not in "biuf":
        raise PromptError(f"{name} holds {array.dtype}; needed are real numbers.")
    return array.astype(np.float64)  # a copy, always


def _frozen(array: AnArray) -> AnArray:
    array.flags.writeable = False
    return array


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in shape)


def _warn(message: str) -> None:
    note(message, stacklevel=4)
