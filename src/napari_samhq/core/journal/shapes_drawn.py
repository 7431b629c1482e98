"""Marks drawn for one object in one plane, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.prompts.from_shapes import area_of_shape, prompt_from_shape
from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.core.util.notes import note
from napari_samhq.errors import PromptError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CLOSED_SHAPES", "Drawn", "DrawnPoint", "DrawnShape"]

#: Shapes that enclose an area. They become the box of the prompt; the others become points.
CLOSED_SHAPES = frozenset({"rectangle", "ellipse", "polygon"})

# A rectangle smaller than this in both directions was a click, not a drag.
_LEAST_SIDE_PX = 1.0
_MOST_POINTS = 512


@dataclass(frozen=True)
class DrawnPoint:
    """One point in image pixels of its plane, on the object or beside it."""

    row: float
    col: float
    positive: bool = True


@dataclass(frozen=True)
class DrawnShape:
    """One shape: its type as napari names it, and its vertices (row, column) in the plane."""

    kind: str
    vertices: tuple[tuple[float, float], ...]

    @property
    def closed(self) -> bool:
        """Whether it encloses an area."""
        return self.kind in CLOSED_SHAPES

    @property
    def empty(self) -> bool:
        """Whether it is too small to mean anything, as a click without a drag makes it."""
        extent = np.ptp(np.asarray(self.vertices, dtype=float), axis=0)
        return bool((extent < _LEAST_SIDE_PX).all())


@dataclass(frozen=True)
class Drawn:
    """All prompts of one object.

    Attributes
    ----------
    points : tuple of DrawnPoint
        Clicks.
    shapes : tuple of DrawnShape
        Boxes, ellipses, polygons, paths and lines.
    mask : CroppedMask or None
        A rough mask, such as an object of another labels layer.

    Examples
    --------
    >>> drawn = Drawn((DrawnPoint(10, 20), DrawnPoint(5, 5, positive=False)))
    >>> drawn.to_prompt((64, 64)).point_labels.tolist()
    [1, 0]
    >>> str(drawn)
    '1 point +, 1 point −'
    """

    points: tuple[DrawnPoint, ...] = ()
    shapes: tuple[DrawnShape, ...] = ()
    mask: CroppedMask | None = None

    def __bool__(self) -> bool:
        return bool(self.points or self.shapes or self.mask)

    def __str__(self) -> str:
        """Count the prompts, for people."""
        positive = sum(point.positive for point in self.points)
        counts = [
            (positive, "point +", "points +"),
            (len(self.points) - positive, "point −", "points −"),
            (sum(s.kind == "rectangle" for s in self.shapes), "box", "boxes"),
            (sum(s.kind != "rectangle" for s in self.shapes), "shape", "shapes"),
            (int(bool(self.mask)), "mask", "masks"),
        ]
        words = [f"{n} {one if n == 1 else many}" for n, one, many in counts if n]
        return ", ".join(words) or "none"

    @property
    def says_where(self) -> bool:
        """Whether anything tells which object is meant: a positive point, a shape or a mask."""
        return bool(self.shapes or self.mask) or any(point.positive for point in self.points)

    @property
    def ambiguous(self) -> bool:
        """Whether it is a single click, which may mean a part, the whole or a group."""
        return not self.shapes and not self.mask and len(self.points) == 1

    def adds_points_to(self, other: Drawn) -> bool:
        """Whether it is the other one, with points added to it and nothing else changed."""
        count = len(other.points)
        return (
            len(self.points) > count
            and self.points[:count] == other.points
            and (self.shapes, self.mask) == (other.shapes, other.mask)
        )

    def with_one_area(self) -> Drawn:
        """Keep the newest closed shape only: one object has one outline."""
        closed = [shape for shape in self.shapes if shape.closed]
        kept = tuple(s for s in self.shapes if not s.closed or s is closed[-1])
        return replace(self, shapes=kept)

    def to_prompt(self, image_shape: tuple[int, int]) -> Prompt:
        """Make what was drawn into a prompt for the model.

        Parameters
        ----------
        image_shape : tuple of two ints
            Height and width of the plane in pixels.

        Returns
        -------
        Prompt
            Cleaned: usable on an image of this shape. Closed shapes give the box around them, and
            the union of their areas as mask unless they are a single rectangle; paths and lines
            give positive points along them. A mask without positive points goes with the box
            around it.

        Raises
        ------
        PromptError
            If nothing says which object is meant, or all of it lies outside of the image.

        Warns
        -----
        SamHQWarning
            If parts were left out or clipped.
        """
        return replace(self.to_small_prompt(image_shape), mask=self.area(image_shape))

    def to_small_prompt(self, image_shape: tuple[int, int]) -> Prompt:
        """Make the prompt without its mask."""
        rows_cols = [np.array([[p.row, p.col] for p in self.points]).reshape(-1, 2)]
        labels = [np.array([int(p.positive) for p in self.points], dtype=np.int64)]
        for shape in self.shapes:
            if not shape.closed:
                part = prompt_from_shape(shape.vertices, shape.kind, image_shape)
                if part.points is not None and part.point_labels is not None:
                    rows_cols.append(part.points)
                    labels.append(part.point_labels)
        box = self._box(image_shape)
        point_labels = np.concatenate(labels)
        if self.mask and box is None and not point_labels.any():
            box = _box_around(self.mask)  # a model finds little by a mask alone
        prompt = Prompt(np.concatenate(rows_cols), point_labels, box)
        return _thinned(prompt.cleaned(image_shape))

    def _box(self, image_shape: tuple[int, int]) -> NDArray[np.float64] | None:
        """Give the box around all closed shapes that lie in the image."""
        boxes: list[NDArray[np.float64]] = []
        useless: list[PromptError] = []
        for shape in self.shapes:
            if shape.closed:
                try:
                    part = prompt_from_shape(shape.vertices, shape.kind, image_shape)
                except PromptError as error:
                    useless.append(error)
                else:
                    boxes += [] if part.box is None else [part.box]
        if useless and not boxes:
            raise useless[0]
        if useless:
            note(
                f"{len(useless)} of {len(useless) + len(boxes)} areas of one object left out. "
                f"{useless[0]}",
                stacklevel=4,
            )
        if not boxes:
            return None
        corners = np.concatenate(boxes).reshape(-1, 2)
        return np.concatenate([corners.min(axis=0), corners.max(axis=0)])

    def area(self, image_shape: tuple[int, int] | None = None) -> CroppedMask | None:
        """Give the rough mask: the one that came, or the union of the closed shapes.

        None where there is none: a rectangle alone says no more than its box.
        """
        closed = [shape for shape in self.shapes if shape.closed]
        if self.mask:
            area = self.mask if image_shape is None else self.mask.cut(image_shape)
        elif [shape.kind for shape in closed] == ["rectangle"]:
            return None
        else:
            filled = [area_of_shape(one.vertices, one.kind, image_shape) for one in closed]
            area = CroppedMask.union(filled)
        return area or None


def _box_around(mask: CroppedMask) -> NDArray[np.float64]:
    edges = [mask.top, mask.left, mask.top + mask.height, mask.left + mask.width]
    return np.array(edges, dtype=np.float64) - 0.5


def _thinned(prompt: Prompt) -> Prompt:
    """Leave points out where there are more than say anything; time and memory grow with each."""
    points, labels = prompt.points, prompt.point_labels
    if points is None or labels is None or len(points) <= _MOST_POINTS:
        return prompt
    kept = np.linspace(0, len(points) - 1, _MOST_POINTS).round().astype(int)
    if labels.any() and not labels[kept].any():
        kept[0] = np.flatnonzero(labels)[0]
    note(
        f"{len(points) - _MOST_POINTS} of {len(points)} points of one object left out, evenly: "
        f"{_MOST_POINTS} are the most that the model is asked with.",
        stacklevel=3,
    )
    return replace(prompt, points=points[kept], point_labels=labels[kept])
