"""Labels layers for objects: new ones, which ones will do, and copies of those that will not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import LayerError, OutOfMemoryError
from napari_samhq.session.frames import check_placement, layer_shape, placement

if TYPE_CHECKING:
    from napari.layers import Image, Labels

__all__ = ["MADE_FOR", "check_labels", "editable_copy", "new_labels"]

#: In the metadata of a labels layer that was made here: the `unique_id` of its image.
MADE_FOR = "napari_samhq_image"


def new_labels(image: Image) -> Labels:
    """Make an empty labels layer that lies exactly over an image.

    Notes
    -----
    It is made with `preserve_labels` on: a new object takes no pixels from the objects that are
    there already. The switch is in napari's controls of the layer, and it is obeyed here too.

    Examples
    --------
    >>> from napari.layers import Image
    >>> new_labels(Image(np.zeros((40, 60)), scale=(0.5, 0.5), name="cells")).name
    'cells objects'
    """
    from napari.layers import Labels

    labels = Labels(
        np.zeros(layer_shape(image), dtype=np.int32),
        name=f"{image.name} objects",
        metadata={MADE_FOR: image.unique_id},
        **placement(image),
    )
    labels.preserve_labels = True
    return labels


def check_labels(labels: Labels, image: Image) -> None:
    """Refuse a labels layer that cannot take the objects of an image.

    Raises
    ------
    LayerError
        If it cannot be written to, or does not lie over the image.
    """
    problem = _problem(labels)
    if problem:
        raise LayerError(
            f"The labels layer {labels.name!r} {problem}. Take an editable copy of it, "
            "napari_samhq.session.editable_copy(layer), or none, to get a new one."
        )
    check_placement(image, labels)


def editable_copy(labels: Labels) -> Labels:
    """Copy a labels layer that cannot be written to into one that can.

    Parameters
    ----------
    labels : napari.layers.Labels
        A multiscale layer (its full resolution is copied), or one of a dask array, a tensorstore,
        a read-only array or the like.

    Returns
    -------
    napari.layers.Labels
        A layer of a numpy array with the same values, type and placement, not in a viewer yet.

    Raises
    ------
    OutOfMemoryError
        If the values do not fit into memory.

    Examples
    --------
    >>> from napari.layers import Labels
    >>> data = np.arange(6).reshape(2, 3)
    >>> data.flags.writeable = False
    >>> copy = editable_copy(Labels(data, name="cells", scale=(2, 2)))
    >>> copy.name, copy.data.flags.writeable, copy.scale.tolist()
    ('cells copy', True, [2.0, 2.0])
    """
    from napari.layers import Labels

    level = labels.data[0] if labels.multiscale else labels.data
    try:
        data = np.array(level)
    except MemoryError as error:
        raise OutOfMemoryError(
            f"The labels layer {labels.name!r} of shape {tuple(level.shape)} does not fit into "
            "memory. Save it as a zarr array, which can be edited on the disk, and open that."
        ) from error
    copy = Labels(
        data,
        name=f"{labels.name} copy",
        colormap=labels.colormap,
        opacity=labels.opacity,
        features=labels.features,
        metadata=dict(labels.metadata),
        **placement(labels),
    )
    copy.preserve_labels = labels.preserve_labels
    copy.contour = labels.contour
    return copy


def _problem(labels: Labels) -> str:
    """Say why a labels layer cannot be written to; nothing if it can."""
    if labels.multiscale:
        return "is multiscale, which napari cannot edit"
    data: Any = labels.data
    library = type(data).__module__.split(".")[0]
    kind = f"{library} {type(data).__name__}"
    if isinstance(data, np.ndarray):
        return "" if data.flags.writeable else "is a read-only array"
    if getattr(data, "read_only", False):
        return f"is a read-only {kind}"
    if not hasattr(data, "__setitem__") or library in ("dask", "xarray"):
        return f"is a {kind}, which cannot be edited in place"
    return ""
