"""Opening sessions that were saved: finds their image and labels, and goes on from there."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.errors import LayerError, SamHQWarning
from napari_samhq.io.images import open_array
from napari_samhq.io.session_files import read_session, source_of
from napari_samhq.session.layers.lookup import find_image, images_of
from napari_samhq.session.storage.restore import check_saved_labels, restored_labels
from napari_samhq.session.storage.snapshot import SAVED_IN, identify, take_up

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

    from napari_samhq.engine.engine import Engine
    from napari_samhq.io.session_document import SavedSession
    from napari_samhq.session.session import Session

__all__ = ["layers_read_from", "open_session"]

_BUNDLED = "micro"


def open_session(
    path: str | Path,
    viewer: ViewerModel,
    *,
    image: Image | str | None = None,
    labels: Labels | None = None,
    **options: Any,
) -> Session:
    """Go on with a session that was saved.

    Parameters
    ----------
    path : str or Path
        The session file.
    viewer : napari.Viewer or napari.components.ViewerModel
        Where the image is, and where layers are added.
    image : napari.layers.Image or str, optional
        The image layer or its name. When left out: the one in the viewer whose pixels are those of
        the session; else the file beside the session file is opened.
    labels : napari.layers.Labels, optional
        The labels as they were saved; they are rebuilt from the session file when left out.
    **options
        As for :class:`~napari_samhq.session.Session`, such as ``model``.

    Returns
    -------
    Session
        With all objects, unfinished ones too, and with the journal: what was done before can be
        undone.

    Raises
    ------
    FileError
        If the file cannot be read.
    LayerError
        If the image is not there, or has another shape; or `labels` holds others than those that
        were saved.

    Warns
    -----
    SamHQWarning
        If the image has other pixels than it had, or its model is not here.

    Examples
    --------
    >>> session = open_session("cells.samhq.json", viewer)  # doctest: +SKIP
    >>> session.undo()  # doctest: +SKIP
    True
    """
    from napari_samhq.engine.engine import shared_engine
    from napari_samhq.session.session import Session

    saved = read_session(path)
    read = layers_read_from(path, viewer)
    if labels is None:
        labels = next((one for one in read if _can_be_edited(one)), None)
    if labels is not None:
        check_saved_labels(labels, saved)
    layer = _find_image(saved, Path(path), viewer, image)
    if labels is None:
        labels = restored_labels(saved, layer, viewer)
    options.setdefault("model", _known_model(saved, options.get("engine") or shared_engine()))
    session = Session(viewer, layer, labels=labels, **options)
    session.opened, session.path = saved, Path(path)
    take_up(session, saved)
    labels.metadata.pop(SAVED_IN, None)  # from here on the session leads to the file
    for one in read:  # prompts, which are in the session's own layers now, and labels to look at
        if not _can_be_edited(one):
            viewer.layers.remove(one)
    session.name_layers()
    return session


def layers_read_from(path: str | Path | None, viewer: ViewerModel) -> list[Layer]:
    """List the layers that napari's reader made of a session file that no session goes on with yet.

    Parameters
    ----------
    path : str or Path or None
        The file; None for any session file.
    viewer : napari.Viewer or napari.components.ViewerModel
        Where the layers are.
    """
    known = {layer.unique_id: layer.metadata.get(SAVED_IN) for layer in viewer.layers}
    wanted = None if path is None else str(path)
    return [
        layer
        for layer in viewer.layers
        if known[layer.unique_id] and wanted in (None, known[layer.unique_id])
    ]


def _find_image(
    saved: SavedSession, path: Path, viewer: ViewerModel, image: Image | str | None
) -> Image:
    wanted = saved.image
    if image is not None:
        found = find_image(viewer, image)
    else:
        fitting = [layer for layer in images_of(viewer) if _shape(layer) == wanted.shape]
        same = [layer for layer in fitting if identify(layer).matches(wanted)]
        named = [layer for layer in fitting if layer.name == wanted.name]
        source = None if same or named else source_of(saved, path)
        if source is not None:
            same = [_open_image(source, saved, viewer)]
        found_ones = same or named or (fitting if len(fitting) == 1 else [])
        if not found_ones:
            raise LayerError(
                f"The session was made on the image {wanted.name!r} of shape {wanted.shape}, which "
                "is not in the viewer. Open it, then the session again; or say which layer it is "
                "by image=."
            )
        found = find_image(viewer, found_ones[-1])
    if _shape(found) != wanted.shape:
        raise LayerError(
            f"The image {found.name!r} has the shape {_shape(found)}; the session was made on "
            f"{wanted.name!r} of shape {wanted.shape}. Choose that image."
        )
    if not identify(found).matches(wanted):
        warnings.warn(
            f"The image {found.name!r} has other pixels than {wanted.name!r} had when the session "
            "was saved. Objects stay as they are; new masks follow the present pixels.",
            SamHQWarning,
            stacklevel=3,
        )
    return found


def _open_image(source: Path, saved: SavedSession, viewer: ViewerModel) -> Image:
    """Open the file of an image, and place it as it was."""
    from napari.layers import Image

    array, known = open_array(source), saved.image
    options: dict[str, Any] = {}
    if known.scale:
        options = {"scale": known.scale, "units": known.units, "axis_labels": known.axis_labels}
    # Zarr arrays stay where they are; napari knows no other array that is read piece by piece.
    data = array.array if source.is_dir() else np.asarray(array[()])
    layer = Image(data, name=known.name, rgb=known.rgb, **options)
    viewer.layers.insert(0, layer)  # beneath labels that are there already
    return layer


def _known_model(saved: SavedSession, engine: Engine) -> str:
    """Give the model of a session, or 'micro' with a warning where it is not here."""
    known = saved.model == _BUNDLED or engine.source.info(saved.model) is not None
    if known or Path(saved.model).expanduser().exists():
        return saved.model
    warnings.warn(
        f"The model of the session, {saved.model!r}, is not on this machine, so {_BUNDLED!r} takes "
        "its place. Objects stay as they are.",
        SamHQWarning,
        stacklevel=3,
    )
    return _BUNDLED


def _can_be_edited(layer: Layer) -> bool:
    """Whether it is a labels layer that is not only for looking at, as those of large images."""
    from napari.layers import Labels

    return isinstance(layer, Labels) and not layer.multiscale


def _shape(image: Image) -> tuple[int, ...]:
    data = image.data[0] if image.multiscale else image.data
    return tuple(int(length) for length in data.shape)
