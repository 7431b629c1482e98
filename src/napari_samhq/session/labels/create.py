"""Labels layers for objects: new ones, which ones will do, and copies of those that will not."""

from __future__ import annotations

import itertools
import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.images.identity import content_digest
from napari_samhq.core.labels.sparse_labels import SparseLabels
from napari_samhq.errors import FileError, LayerError, OutOfMemoryError
from napari_samhq.io.label_store import LabelStore
from napari_samhq.io.layer_writing import calibration_of
from napari_samhq.session.layers.transforms import check_placement, layer_shape, placement

if TYPE_CHECKING:
    from napari.layers import Image, Labels

    from napari_samhq.io.calibration import Calibration

__all__ = ["MADE_FOR", "check_labels", "editable_copy", "large_labels", "new_labels"]

#: In the metadata of a labels layer that was made here: the `unique_id` of its image.
MADE_FOR = "napari_samhq_image"

#: Stores on disk that this process holds, by path: layers of one image share them.
_STORES: weakref.WeakValueDictionary[Path, LabelStore] = weakref.WeakValueDictionary()


def new_labels(image: Image, *, fresh: bool = False, dtype: Any = np.int32) -> Labels:
    """Make a labels layer that lies exactly over an image.

    Parameters
    ----------
    image : napari.layers.Image
        The image.
    fresh : bool, optional
        Leave objects alone that an earlier session on this image left on the disk.
    dtype : dtype, optional
        Type of the labels.

    Returns
    -------
    napari.layers.Labels
        Empty; of a large image with the objects that earlier sessions made, see Notes.

    Notes
    -----
    Labels of a large image do not lie in memory but in an OME-Zarr beside the image, whose name
    ends in ``-objects.zarr``; see :func:`large_labels` for another place. The first object makes
    it, and the next session on the image goes on with it. Where the image is no file, or lies where
    nothing can be written, they stay in memory, only the parts that have objects.

    It is made with `preserve_labels` on: a new object takes no pixels from the objects that are
    there already. The switch is in napari's controls of the layer, and it is obeyed here too.

    Examples
    --------
    >>> from napari.layers import Image
    >>> new_labels(Image(np.zeros((40, 60)), scale=(0.5, 0.5), name="cells")).name
    'cells objects'
    """
    from napari.layers import Labels

    from napari_samhq.session.labels.large import is_large

    shape = layer_shape(image)
    if is_large(shape):
        return _layer_of(_store_for(image, dtype, fresh=fresh), image)
    labels = Labels(np.zeros(shape, dtype=dtype), **_options(image))
    labels.preserve_labels = True
    return labels


def large_labels(image: Image, path: str | Path | None = None) -> Labels:
    """Make or open labels of an image of any size in a place of one's choice.

    Parameters
    ----------
    image : napari.layers.Image
        The image.
    path : str or Path, optional
        A folder whose name ends in ``.zarr``. What is there is gone on with; otherwise the first
        object makes it. In memory when left out.

    Returns
    -------
    napari.layers.Labels
        To be passed to :func:`napari_samhq.annotate` as `labels`, not in a viewer yet.

    Raises
    ------
    FileError
        If there is something else of this name, or another program writes to it.
    LayerError
        If it holds labels of another shape.

    Examples
    --------
    >>> from napari.layers import Image
    >>> image = Image(np.broadcast_to(np.uint8(0), (30_000, 30_000)), name="slide")
    >>> large_labels(image).data.shape
    (30000, 30000)
    """
    shape = layer_shape(image)
    if path is None:
        return _layer_of(LabelStore(shape), image)
    store = _opened(Path(path).absolute(), shape, "", calibration=_calibration_of(image))
    if store.shape != shape:
        raise LayerError(
            f"{path} holds labels of the shape {store.shape}, the image {image.name!r} has "
            f"{shape}. Choose another file."
        )
    return _layer_of(store, image)


def _options(image: Image) -> dict[str, Any]:
    metadata = {MADE_FOR: image.unique_id}
    return {"name": f"{image.name} objects", "metadata": metadata, **placement(image)}


def _layer_of(store: LabelStore, image: Image) -> Labels:
    from napari_samhq.session.labels.large import LargeLabels

    layer = LargeLabels(store, **_options(image))
    layer.preserve_labels = True
    return layer


def _store_for(image: Image, dtype: Any, *, fresh: bool) -> LabelStore:
    """Find the store beside an image that fits it, or begin one; in memory where that cannot be."""
    shape, place = layer_shape(image), _path_of(image)
    if place is None or not os.access(place.parent, os.W_OK):
        return LabelStore(shape, dtype)
    digest = content_digest(image.data[0] if image.multiscale else image.data)
    for number in itertools.count(1):
        more = f"-{number}" if number > 1 else ""
        path = place.with_name(f"{place.stem}-objects{more}.zarr")
        if fresh and (path.exists() or path in _STORES):
            continue
        try:
            store = _opened(path, shape, digest, dtype, _calibration_of(image))
        except FileError:  # something else, or another program writes to it
            continue
        if store.shape == shape and store.about.get("image") == digest:
            return store
        store.close()
    raise AssertionError("There is always another number.")


def _opened(
    path: Path,
    shape: tuple[int, ...],
    digest: str,
    dtype: Any = np.int32,
    calibration: Calibration | None = None,
) -> LabelStore:
    store = _STORES.get(path)
    if store is None:
        if path.exists():
            store = LabelStore.open(path)
        else:
            about = {"image": digest}
            store = LabelStore(shape, dtype, path=path, about=about, calibration=calibration)
        _STORES[path] = store
    return store


def _calibration_of(image: Image) -> Calibration:
    return calibration_of(placement(image), image.ndim)


def _path_of(image: Image) -> Path | None:
    """Find the file of an image: where napari read it from, or where its zarr array lies."""
    if image.source.path:
        path = Path(image.source.path)
        return path if path.exists() else None
    data: Any = image.data[0] if image.multiscale else image.data
    root = getattr(getattr(data, "store", None), "root", None)
    if root is None:
        return None
    path = Path(root)
    while any((path.parent / name).exists() for name in ("zarr.json", ".zgroup")):
        path = path.parent
    return path


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
        A layer with the same values, type and placement, not in a viewer yet. Its data are a numpy
        array; of large labels a store in memory, which holds the parts that have objects.

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

    from napari_samhq.session.labels.large import LargeLabels, is_large

    level = labels.data[0] if labels.multiscale else labels.data
    shape = tuple(int(length) for length in level.shape)
    data: Any
    try:
        if is_large(shape):
            store = LabelStore(shape, level.dtype)
            sparse = SparseLabels.of(level)
            with store.together():
                for place, values in sparse.blocks.items():
                    store[sparse.slices(place)] = values
            data, make = store, LargeLabels
        else:
            data, make = np.array(level), Labels
    except MemoryError as error:
        raise OutOfMemoryError(
            f"The labels layer {labels.name!r} of shape {tuple(level.shape)} does not fit into "
            "memory. Save it as a zarr array, which can be edited on the disk, and open that."
        ) from error
    copy = make(
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
    from napari_samhq.session.labels.large import LargeLabels

    if isinstance(labels, LargeLabels):
        return ""
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
