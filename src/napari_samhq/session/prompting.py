"""What was drawn for one object in one plane, as plain values that compare and never change."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.prompts import Prompt
from napari_samhq.core.shapes import prompt_from_shape
from napari_samhq.errors import PromptError, SamHQWarning

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Drawn", "DrawnPoint", "DrawnShape"]

#: Shapes that enclose an area. They become the box of the prompt; the others become points.
CLOSED_SHAPES = frozenset({"rectangle", "ellipse", "polygon"})

# A rectangle smaller than this in both directions was a click, not a drag.
_LEAST_SIDE_PX = 1.0


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

    def __bool__(self) -> bool:
        return bool(self.points or self.shapes)

    def __str__(self) -> str:
        """Count the prompts, for people."""
        positive = sum(point.positive for point in self.points)
        counts = [
            (positive, "point +", "points +"),
            (len(self.points) - positive, "point −", "points −"),
            (sum(s.kind == "rectangle" for s in self.shapes), "box", "boxes"),
            (sum(s.kind != "rectangle" for s in self.shapes), "shape", "shapes"),
        ]
        words = [f"{n} {one if n == 1 else many}" for n, one, many in counts if n]
        return ", ".join(words) or "none"

    @property
    def says_where(self) -> bool:
        """Whether anything tells which object is meant: a positive point or a shape."""
        return bool(self.shapes) or any(point.positive for point in self.points)

    @property
    def ambiguous(self) -> bool:
        """Whether it is a single click, which may mean a part, the whole or a group."""
        return not self.shapes and len(self.points) == 1

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
            Cleaned: usable on an image of this shape. Closed shapes give the box around them,
            paths and lines give positive points along them.

        Raises
        ------
        PromptError
            If nothing says which object is meant, or all of it lies outside of the image.

        Warns
        -----
        SamHQWarning
            If parts were left out or clipped.
        """
        rows_cols = [np.array([[p.row, p.col] for p in self.points]).reshape(-1, 2)]
        labels = [np.array([int(p.positive) for p in self.points], dtype=np.int64)]
        box: NDArray[np.float64] | None = None
        for shape in self.shapes:
            part = prompt_from_shape(shape.vertices, shape.kind, image_shape)
            box = part.box if part.box is not None else box
            if part.points is not None and part.point_labels is not None:
                rows_cols.append(part.points)
                labels.append(part.point_labels)
        prompt = Prompt(np.concatenate(rows_cols), np.concatenate(labels), box)
        return prompt.cleaned(image_shape)


def readable_shape(kind: str, vertices_rc: NDArray[np.float64]) -> DrawnShape | None:
    """Take over a shape from a layer; None, with a warning, where it has no usable vertex."""
    finite = np.isfinite(vertices_rc).all(axis=1)
    if not finite.all():
        warnings.warn(
            f"{np.sum(~finite)} vertices of a {kind} left out: NaN or infinite.",
            SamHQWarning,
            stacklevel=2,
        )
    vertices = tuple((float(row), float(col)) for row, col in vertices_rc[finite])
    return DrawnShape(kind, vertices) if len(vertices) > 1 else None


def shape_from_box(box: object) -> DrawnShape:
    """Turn min_row, min_col, max_row, max_col into the rectangle that napari would draw."""
    checked = Prompt(box=box).box  # type: ignore[arg-type]  # the class says what is wrong with it
    if checked is None:
        raise PromptError("No box came. Give min_row, min_col, max_row, max_col in image pixels.")
    top, left, bottom, right = (float(value) for value in checked)
    return DrawnShape("rectangle", ((top, left), (top, right), (bottom, right), (bottom, left)))
