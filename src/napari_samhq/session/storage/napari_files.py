"""Files as napari reads and writes them: layers, without the dock.

Of a session labels, points and shapes show what is in the file. The labels layer knows the file, so
that :func:`napari_samhq.open_session` goes on with it, and all steps can be undone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.images.identity import ImageIdentity, content_digest
from napari_samhq.core.labels.sparse_labels import SparseLabels
from napari_samhq.errors import FileError
from napari_samhq.io.layer_writing import write_labels_layer, write_prompts
from napari_samhq.io.session_document import SavedLabels, SavedSession
from napari_samhq.io.session_files import read_session, write_session
from napari_samhq.session.storage.snapshot import SAVED_IN, running_on

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

__all__ = ["read_layers", "write_labels_file", "write_layers", "write_prompts_file"]

LayerData = tuple[Any, dict[str, Any], str]


def read_layers(path: str | Path) -> list[LayerData]:
    """Read a session file as layers.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    list of (data, options, kind)
        A labels layer, and a points and a shapes layer for what is not finished.

    Raises
    ------
    FileError
        If it cannot be read.
    """
    saved = read_session(path)
    metadata = {SAVED_IN: str(path)}
    placed: dict[str, Any] = {"metadata": metadata}
    image, ndim = saved.image, len(saved.labels.base.shape)
    for name in ("scale", "units", "axis_labels"):
        if len(getattr(image, name)) == ndim:
            placed[name] = getattr(image, name)
    points: list[Any] = []
    shapes: list[Any] = []
    polarity, objects, kinds, owners = [], [], [], []
    for plane, drafts in saved.drafts.items():
        for draft in drafts:
            drawn = draft.drawn
            points.extend(plane.lift([(p.row, p.col) for p in drawn.points]))
            polarity += ["object" if p.positive else "background" for p in drawn.points]
            objects += [draft.label_id] * len(drawn.points)
            shapes += [plane.lift(shape.vertices) for shape in drawn.shapes]
            kinds += [shape.kind for shape in drawn.shapes]
            owners += [draft.label_id] * len(drawn.shapes)
    layers: list[LayerData] = [
        _labels_layer(saved.labels_now(), {**placed, "name": saved.labels.name})
    ]
    if points:
        features = {"polarity": polarity, "object": objects}
        options = {**placed, "name": f"{image.name} points", "features": features}
        layers.append((np.array(points), options, "points"))
    if shapes:
        options = {**placed, "name": f"{image.name} boxes", "shape_type": kinds}
        options |= {"features": {"object": owners}, "face_color": "transparent"}
        layers.append((shapes, options, "shapes"))
    return layers


def _labels_layer(labels: SparseLabels, options: dict[str, Any]) -> LayerData:
    """Show labels; those of a large image as levels, which can only be looked at."""
    from napari_samhq.io.label_store import LabelStore
    from napari_samhq.session.labels.large import LabelLevels, is_large

    if not is_large(labels.shape):
        return labels.array(), options, "labels"
    store = LabelStore(labels.shape, labels.dtype)
    with store.together():
        for place, values in labels.blocks.items():
            store[labels.slices(place)] = values
    return LabelLevels(store), {**options, "multiscale": True}, "labels"


def write_layers(path: str | Path, layers: Sequence[LayerData]) -> Path:
    """Write layers as a session file.

    Parameters
    ----------
    path : str or Path
        A name that ends in ``.samhq.json``. A file of this name is replaced; a backup stays.
    layers : sequence of (data, options, kind)
        With a labels layer. If a session works on it, that session is saved with all its steps.
        Otherwise the file says how a session could begin: with these labels, on the image that is
        among the layers.

    Raises
    ------
    FileError
        If there is no labels layer, or no image beside labels that no session works on; or if the
        file cannot be written.
    """
    labels = next(((data, meta) for data, meta, kind in layers if kind == "labels"), None)
    image = next(((data, meta) for data, meta, kind in layers if kind == "image"), None)
    if labels is None:
        raise FileError(f"Cannot write {path}: there is no labels layer among the chosen layers.")
    session = running_on(labels[0])
    if session is not None:
        return session.save(path, overwrite=True)
    if image is None:
        raise FileError(
            f"Cannot write {path}: no session works on these labels, and no image says what they "
            "belong to. Choose the image, too."
        )
    data, meta = image
    data = data[0] if meta.get("multiscale") else data
    identity = ImageIdentity(
        name=str(meta.get("name", "image")),
        shape=tuple(int(length) for length in data.shape),
        dtype=str(np.dtype(data.dtype)),
        digest=content_digest(data),
        rgb=bool(meta.get("rgb", False)),
        axis_labels=tuple(map(str, meta.get("axis_labels", ()))),
        units=tuple(map(str, meta.get("units", ()))),
        scale=tuple(float(size) for size in meta.get("scale", ())),
    )
    values = labels[0]
    if labels[1].get("multiscale") and not hasattr(values, "is_empty"):
        values = values[0]
    base = SavedLabels(str(labels[1].get("name", "labels")), SparseLabels.of(values))
    return write_session(path, SavedSession(identity, base, "micro"), overwrite=True)


def write_labels_file(
    path: str | Path,
    data: Any,
    options: Mapping[str, Any],
    suffixes: Sequence[str],
    *,
    smooth_px: float = 0.0,
) -> Path:
    """Write a labels layer, with what the session that works on it knows of its objects.

    Parameters
    ----------
    path : str or Path
        As it came from napari's dialog, which asked before it let a file be chosen that is there
        already: that one is replaced. A name without one of the suffixes gets the first one, about
        which nobody was asked, so a file of the longer name is kept.
    data : array
        The labels.
    options : mapping
        Of the layer.
    suffixes : sequence of str
        How names of this format may end.
    smooth_px : float, optional
        How far outlines may move to lose the stairs of the pixels.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    FileError
        Whatever it was that did not work.
    """
    target, asked = _with_suffix(path, suffixes)
    table = _known_objects(data)
    try:
        return write_labels_layer(
            target, data, options, table=table, smooth_px=smooth_px, overwrite=asked
        )
    except ValueError as error:
        # napari takes these for "there is no writer", and says that instead of what was wrong.
        raise FileError(f"Cannot write {target}: {error}") from error


def write_prompts_file(path: str | Path, layers: Sequence[LayerData]) -> Path:
    """Write points and shapes layers as prompts; `path` as in :func:`write_labels_file`."""
    target, asked = _with_suffix(path, [".geojson"])
    return write_prompts(target, layers, overwrite=asked)


def _with_suffix(path: str | Path, suffixes: Sequence[str]) -> tuple[Path, bool]:
    path = Path(path)
    if path.name.lower().endswith(tuple(suffixes)):
        return path, True
    return path.with_name(path.name + suffixes[0]), False


def _known_objects(data: Any) -> pd.DataFrame | None:
    session = running_on(data)
    if session is None:
        return None
    table = session.objects.rename(columns={"label_id": "label"})
    return table.drop(columns=["area", "plane"])  # which is measured, and where the file lies
