"""What a session tells about the object being made, as values that do not change any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_samhq.session.prompting import Drawn

__all__ = ["Candidate", "Current"]


@dataclass(frozen=True, eq=False)
class Candidate:
    """One of the model's masks for the object being made.

    Attributes
    ----------
    mask : ndarray of shape (H, W), bool
        The mask, over `region` of the plane.
    region : pair of slices
        Rows and columns of the plane.
    score : float
        The model's own estimate of the mask's quality.
    chosen : bool
        Whether it is the one that is shown, and would be committed.
    """

    mask: NDArray[np.bool_]
    region: tuple[slice, slice]
    score: float
    chosen: bool


@dataclass(frozen=True)
class Current:
    """The object being made in the present plane, and what can be done.

    Attributes
    ----------
    label_id : int
        The label id that it has or will get; 0 where nothing can be made.
    reopened : bool
        Whether it was committed before.
    drawn : Drawn
        Its prompts.
    predicted : bool
        Whether there is a mask for these prompts.
    can_undo, can_redo : bool
        Whether there is something to undo or redo.
    """

    label_id: int
    reopened: bool
    drawn: Drawn
    predicted: bool
    can_undo: bool
    can_redo: bool
