"""The labels of saved work, brought back into a layer."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.labels.sparse_labels import SparseLabels, edits_of
from napari_samhq.errors import LayerError, SamHQWarning
from napari_samhq.session.labels.create import MADE_FOR, new_labels
from napari_samhq.session.labels.large import LargeLabels, is_large
from napari_samhq.session.layers.lookup import find_labels
from napari_samhq.session.layers.transforms import layer_shape, placement

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_samhq.io.session_document import SavedSession

__all__ = ["check_saved_labels", "restored_labels", "write_labels"]


def restored_labels(saved: SavedSession, image: Image, viewer: ViewerModel) -> Labels:
    """Make a labels layer of the labels in a session file.

    Of a large image, the labels on the disk are gone on with if they are those of the session, or
    were when it was saved; otherwise they are left alone, and others are begun.

    Parameters
    ----------
    saved : SavedSession
        What was saved.
    image : napari.layers.Image
        The image.
    viewer : napari.components.ViewerModel
        May have a layer of these labels already.

    Warns
    -----
    SamHQWarning
        If the file has not all that the labels had.
    """
    from napari.layers import Labels

    if not saved.labels.complete:
        warnings.warn(
            "The labels were too large to be kept in the session file as a whole: only what was "
            "done in the session comes back. Open the labels, and give them as labels=, to have "
            "the others too.",
            SamHQWarning,
            stacklevel=4,
        )
    now = saved.labels_now()
    if is_large(layer_shape(image)):
        layer = find_labels(viewer, image) or new_labels(image, dtype=now.dtype)
        try:
            write_labels(layer, saved)
        except LayerError:
            layer = new_labels(image, fresh=True, dtype=now.dtype)
            write_labels(layer, saved)
    else:
        metadata = {MADE_FOR: image.unique_id}
        layer = Labels(now.array(), metadata=metadata, **placement(image))
    layer.name = saved.labels.name
    layer.preserve_labels = saved.labels.preserve
    return layer


def check_saved_labels(layer: Labels, saved: SavedSession) -> None:
    """Refuse labels that are not those of a session file.

    Raises
    ------
    LayerError
        If they differ.
    """
    now = saved.labels_now()
    only = None if saved.labels.complete else now.blocks.keys()
    shape = tuple(int(length) for length in layer.data.shape)
    if shape != now.shape or SparseLabels.of(layer.data, only).differences(now):
        raise LayerError(
            f"The labels layer {layer.name!r} does not hold the labels that were saved. Leave it "
            "out, and they are made again from the session file."
        )


def write_labels(layer: Labels, saved: SavedSession) -> None:
    """Bring the labels of a layer to where they were, if they are the same ones.

    Raises
    ------
    LayerError
        If the layer has another shape, or holds other objects.
    """
    now = saved.labels_now()
    if tuple(layer.data.shape) != now.shape:
        raise LayerError(
            f"The labels layer {layer.name!r} has the shape {tuple(layer.data.shape)}, the work "
            f"{now.shape}. Choose the image that it was done on."
        )
    counted = saved.events[: saved.count]
    touched = now.touched(edit for event in counted for edit in edits_of(event))
    present = SparseLabels.of(layer.data, None if saved.labels.complete else touched)
    # Labels in a store on the disk have some of the work already, or all of it.
    again = replace(saved, labels=replace(saved.labels, base=present)).labels_now()
    if present.blocks and (again.differences(now) or present.dtype != now.dtype):
        raise LayerError(
            f"The labels layer {layer.name!r} holds other objects than the work that is to be "
            "brought back. Begin a session with a new labels layer for it."
        )
    together = layer.store.together() if isinstance(layer, LargeLabels) else nullcontext()
    with together:
        for edit in present.differences(now):
            where = edit.plane.index(edit.region)
            values = np.array(layer.data[where])
            values[edit.changed] = edit.new
            layer.data[where] = values
    layer.data = layer.data  # tells everybody to look at it again
