"""Embeddings of an image's windows, computed ahead of prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_samhq.core.util.notes import collected_notes
from napari_samhq.inference.store import embedding_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_samhq.core.tiles.windows import Window
    from napari_samhq.inference.source import Region
    from napari_samhq.inference.windowed import WindowedPredictor

__all__ = ["Looked", "look_ahead"]


@dataclass(frozen=True)
class Looked:
    """A window is in the store.

    Attributes
    ----------
    window : Window
        Which one.
    is_new : bool
        Whether the model had to look at it now.
    done, total : int
        How many windows are done, of how many.
    """

    window: Window
    is_new: bool
    done: int
    total: int


def look_ahead(
    windowed: WindowedPredictor,
    region: Region | None = None,
    *,
    scale: float = 1.0,
    batch: int = 1,
) -> Iterator[Looked]:
    """Fill a store with what the model sees in all windows that prompts in a region may get.

    What is in the store already is not looked at again, so that a job that was stopped can simply
    be started once more. Stop taking events to stop.

    Parameters
    ----------
    windowed : WindowedPredictor
        Image, model and store.
    region : pair of slices, optional
        Rows and columns of the image; all of it when left out.
    scale : float, optional
        Image pixels per model pixel, a power of two: 1 for most objects, 1/2 and 1/4 for tiny
        ones, 2 and more for large ones.
    batch : int, optional
        How many windows the model looks at together; more is faster on a GPU. It is halved where
        memory runs out.

    Yields
    ------
    Looked
        Once for each window.

    Raises
    ------
    FileError
        If pixels cannot be read or the store cannot be written.
    OutOfMemoryError
        If the device has too little memory for one window.
    """
    windows = list(windowed.windows.over(region or windowed.windows.whole.region, scale))
    done = 0
    for start in range(0, len(windows), batch):
        group = windows[start : start + batch]
        pictures = {window: windowed.picture(window) for window in group}
        keys = {window: embedding_key(windowed.predictor, pictures[window]) for window in group}
        missing = {
            keys[window]: pictures[window] for window in group if keys[window] not in windowed.store
        }
        _embed(windowed, missing)
        for window in group:
            done += 1
            # Empty background looks the same everywhere: the first such window stands for all.
            yield Looked(window, missing.pop(keys[window], None) is not None, done, len(windows))


def _embed(windowed: WindowedPredictor, missing: dict[str, NDArray[np.uint8]]) -> None:
    if not missing:
        return
    predictor: Any = windowed.predictor
    pictures = list(missing.values())
    with collected_notes():  # they were told when the mapping of the image was measured
        if hasattr(predictor, "embed_many"):
            embeddings = predictor.embed_many(pictures)
        else:
            embeddings = [predictor.embed(picture) for picture in pictures]
    for key, embedding in zip(missing, embeddings, strict=True):
        windowed.store.put(key, embedding)
