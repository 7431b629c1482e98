"""Commands on napari's layers that need no session: segment everything, refine labels.

Each is a function that returns a layer, for scripts, and a generator of steps that ends in the data
of a layer, for threads: layers are read before it begins, and made by whoever takes its value.
"""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.batch.everything import iter_in_memory
from napari_samhq.batch.opening import in_memory_site
from napari_samhq.batch.run import Step
from napari_samhq.core.journal.shapes_drawn import Drawn
from napari_samhq.core.util.generators import finished
from napari_samhq.errors import LayerError
from napari_samhq.inference.settings import Search
from napari_samhq.io.objects import objects_of
from napari_samhq.session.layers.transforms import check_placement, layer_shape, placement

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from napari.layers import Image, Labels
    from numpy.typing import NDArray

    from napari_samhq.checkpoints import LoadedModel

    LayerData = tuple[NDArray[np.int32], dict[str, Any], str]

__all__ = ["iter_refine_layer", "iter_segment_layer", "refine_layer", "segment_layer"]


def segment_layer(
    image: Image,
    model: str | Path | LoadedModel = "micro",
    search: Search | None = None,
    *,
    find: str | Path | LoadedModel | None = None,
    progress: Callable[[Step], None] | None = None,
) -> Labels:
    """Segment everything in an image layer.

    Parameters
    ----------
    image : napari.layers.Image
        Of any number of axes: each plane of the last two is segmented by itself.
    model : str, Path or LoadedModel, optional
        As for :func:`napari_samhq.load_model`.
    search : Search, optional
        What to look for and by which method.
    find : as `model`, optional
        The model that finds the objects; `model` outlines them.
    progress : callable, optional
        Called with each :class:`~napari_samhq.batch.run.Step`.

    Returns
    -------
    napari.layers.Labels
        A new layer that lies over the image, in no viewer yet: int32, ids 1 to N, each once.

    Raises
    ------
    LayerError, ImageError, ModelError, SettingsError
        If something cannot be used as it is.

    Examples
    --------
    >>> from napari.layers import Image
    >>> from napari_samhq._plugin import sample_nuclei
    >>> data, options, _ = sample_nuclei()[0]
    >>> image = Image(data[:256, :256], **options)
    >>> labels = segment_layer(image, search=Search(changes={"min_score": 0.6}))
    >>> labels.name, labels.data.max() > 10
    ('nuclei objects', np.True_)
    """
    return _as_layer(finished(iter_segment_layer(image, model, search, find=find), progress))


def refine_layer(
    image: Image,
    labels: Labels,
    model: str | Path | LoadedModel = "micro",
    *,
    progress: Callable[[Step], None] | None = None,
) -> Labels:
    """Find a better outline for each object of a labels layer, such as another method's result.

    Parameters
    ----------
    image : napari.layers.Image
        The image.
    labels : napari.layers.Labels
        A layer that lies over it. Each object is a rough mask; it is not changed.
    model, progress : optional
        As for :func:`segment_layer`.

    Returns
    -------
    napari.layers.Labels
        A new layer, in no viewer yet, in which objects have the same ids. Where outlines overlap, a
        pixel belongs to the one with the higher score.

    Raises
    ------
    LayerError
        If the labels do not lie over the image, or there is no object.
    """
    return _as_layer(finished(iter_refine_layer(image, labels, model), progress))


def iter_segment_layer(
    image: Image,
    model: str | Path | LoadedModel = "micro",
    search: Search | None = None,
    *,
    find: str | Path | LoadedModel | None = None,
) -> Generator[Step, None, LayerData]:
    """Do the same as :func:`segment_layer` step by step, and return data in place of a layer."""
    options = {"name": f"{image.name} objects", **placement(image)}
    opening = partial(in_memory_site, search=search or Search(), contrast_limits=_limits(image))
    return _segment(_planes(image), layer_shape(image), options, opening, (model, find))


def iter_refine_layer(
    image: Image, labels: Labels, model: str | Path | LoadedModel = "micro"
) -> Generator[Step, None, LayerData]:
    """Do the same as :func:`refine_layer` step by step, and return data in place of a layer."""
    check_placement(image, labels)
    rough = labels.data[0] if labels.multiscale else labels.data
    options = {"name": f"{labels.name} refined", **placement(image)}
    return _refine(_planes(image), rough, _limits(image), options, model)


def _segment(
    planes: Iterator[tuple[tuple[int, ...], Any]],
    shape: tuple[int, ...],
    options: dict[str, Any],
    opening: Callable[..., Any],
    models: tuple[Any, Any],
) -> Generator[Step, None, LayerData]:
    found, last = np.zeros(shape, dtype=np.int32), 0
    model, find = map(_loaded, models)
    for index, pixels in planes:
        steps = iter_in_memory(opening(pixels, model, find=find))
        with closing(steps):
            plane = yield from steps
        found[index] = np.where(plane, plane + last, 0)
        last += int(plane.max(initial=0))
    return found, options, "labels"


def _refine(
    planes: Iterator[tuple[tuple[int, ...], Any]],
    rough: Any,
    limits: tuple[float, float] | None,
    options: dict[str, Any],
    model: Any,
) -> Generator[Step, None, LayerData]:
    from napari_samhq.inference.predictor import Predictor
    from napari_samhq.inference.segment import LabelPainter
    from napari_samhq.inference.source import ImageSource
    from napari_samhq.inference.windowed import WindowedPredictor

    refined, loaded = np.zeros(rough.shape, dtype=np.int32), _loaded(model)
    is_empty = True
    for index, pixels in planes:
        objects = list(objects_of(np.asarray(rough[index])))
        if not objects:
            continue
        is_empty = False
        shape = rough.shape[-2:]
        prompts = [Drawn(mask=one.mask).to_prompt(shape) for one in objects]
        source = ImageSource.of(pixels, contrast_limits=limits)
        predictor = WindowedPredictor(Predictor(loaded), source)
        painter = LabelPainter(shape)
        for done, (number, prediction) in enumerate(predictor.iter_predict(prompts), start=1):
            painter.add(objects[number].label_id, prediction)
            yield Step("refine", done, len(prompts))
        refined[index] = painter.labels
    if is_empty:
        raise LayerError("The labels layer has no object to refine. Choose another layer.")
    return refined, options, "labels"


def _planes(image: Image) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Take an image apart: the index of each plane of the last two axes, and its pixels."""
    shape = layer_shape(image)
    if len(shape) < 2 or 0 in shape:
        raise LayerError(
            f"The image {image.name!r} has the shape {shape}; needed are two axes or more. Choose "
            "another image."
        )
    if image.multiscale and len(shape) == 2:
        return iter([((), list(image.data))])
    data = image.data[0] if image.multiscale else image.data
    return ((index, data[index]) for index in np.ndindex(shape[:-2]))


def _limits(image: Image) -> tuple[float, float] | None:
    """Give the values that are black and white in the viewer; colour is taken as it is."""
    return None if image.rgb else (float(image.contrast_limits[0]), float(image.contrast_limits[1]))


def _loaded(model: Any) -> Any:
    from napari_samhq.checkpoints import load_model

    return load_model(model) if isinstance(model, str | Path) else model


def _as_layer(data: LayerData) -> Labels:
    from napari.layers import Labels

    values, options, _ = data
    return Labels(values, **options)
