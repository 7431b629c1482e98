"""Labels as prompts: each object of a label image is a rough mask, which a model outlines anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_samhq.core.journal.shapes_drawn import Drawn
from napari_samhq.core.labels.label_ids import checked_ids, equal_neighbours
from napari_samhq.errors import ImageError
from napari_samhq.io.labels import plane_of_labels
from napari_samhq.io.objects import check_image_shape, objects_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["read_label_prompts"]

_MOST_OBJECTS = 100_000
_LEAST_EQUAL = 0.5  # share of neighbours with one value; in objects of 2 x 2 pixels it is more


def read_label_prompts(
    path: str | Path,
    shape: tuple[int, int] | None = None,
    *,
    plane: Sequence[int] | None = None,
    connected: bool = False,
) -> dict[int, Drawn]:
    """Read a label image as prompts.

    Parameters
    ----------
    path : str or Path
        As :func:`~napari_samhq.io.labels.read_labels`.
    shape : tuple of two ints, optional
        Height and width of the image in pixels.
    plane : sequence of int, optional
        Which plane, if the labels have more axes than two.
    connected : bool, optional
        Make an object of each connected piece, as of a mask of 0 and 255.

    Returns
    -------
    dict of int to Drawn
        For each object its mask, by its label id. The model is asked by the mask and the box
        around it.

    Raises
    ------
    FileError
        If it cannot be read, or belongs to an image of another size.
    ImageError
        If its values are no label ids, or it is rather a picture.
    """
    values = plane_of_labels(path, plane)
    if equal_neighbours(values) < _LEAST_EQUAL:
        raise ImageError(
            f"{path} is no file of prompts: it is a picture rather than labels. Give a label "
            "image, 0 where there is nothing and a number for each object, or outlines or points."
        )
    labels = checked_ids(values, str(path), connected=connected)
    check_image_shape(labels.shape, shape, path)
    prompts: dict[int, Drawn] = {}
    for one in objects_of(labels):
        prompts[one.label_id] = Drawn(mask=one.mask)
        if len(prompts) > _MOST_OBJECTS:
            raise ImageError(
                f"{path} has more than {_MOST_OBJECTS} different values, and so is a picture "
                "rather than labels. Give a label image: 0 where there is nothing, a number for "
                "each object."
            )
    return prompts
