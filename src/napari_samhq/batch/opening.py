"""Open images and models, given in any form, and plan a run."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from napari_samhq.batch.identity import image_identity, mask_identity
from napari_samhq.core.prompts.outline_masks import BothMasks
from napari_samhq.core.util.generators import finished
from napari_samhq.errors import ImageError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_samhq.batch.results import Results
    from napari_samhq.batch.site import Site
    from napari_samhq.core.tiles.grid import Region
    from napari_samhq.core.util.lru import Lru
    from napari_samhq.inference.automatic import SupportsLogits
    from napari_samhq.inference.object_maps import SupportsDenseMaps
    from napari_samhq.inference.settings import Search
    from napari_samhq.inference.source import ImageSource

__all__ = ["in_memory_site", "predictor_opener"]


def in_memory_site(
    image: Any,
    model: Any,
    search: Search,
    *,
    find: Any = None,
    region: Region | None = None,
    mask: Any = None,
    within: Any = None,
    contrast_limits: tuple[float, float] | None = None,
    loose: bool = False,
    is_shared: bool = False,
    results: Results | None = None,
    run: Callable[[Generator[Any, None, Any]], Any] = finished,
    diameters: Lru[float] | None = None,
) -> Site:
    """Open image and models, and plan the work; other processes must be able to if it is shared.

    Parameters
    ----------
    image, model, find, region, mask, within, contrast_limits
        As in :func:`~napari_samhq.batch.everything.segment_everything`.
    search : Search
        What to look for.
    loose : bool, optional
        Whether to keep also what fits no usual settings, to choose from later.
    is_shared : bool, optional
        Whether other processes will open them too.
    results : Results, optional
        Where answers of tiles are kept; in memory when left out.
    run : callable, optional
        Goes through a generator and gives its value: the model is looked with, to find how large
        objects are.
    diameters : Lru, optional
        Keeps how large they were, so that the same image is not looked at for it again.

    Raises
    ------
    ImageError, ModelError, SettingsError
        If something cannot be used as it is.
    """
    from napari_samhq.batch.plan import Plan
    from napari_samhq.batch.results import MemoryResults
    from napari_samhq.batch.site import Openers, Site
    from napari_samhq.inference.dense_scale import surest_settings
    from napari_samhq.inference.object_maps import Seen
    from napari_samhq.inference.settings import DenseSettings

    open_source = _source_opener(image, contrast_limits)
    open_predictor = predictor_opener(model, is_shared)
    open_finder = None if find is None else predictor_opener(find, is_shared)
    source, predictor = open_source(), open_predictor()
    finder = predictor if open_finder is None else open_finder()
    if finder.fingerprint == predictor.fingerprint:  # there is nothing to ask again
        open_finder, finder = None, predictor
    wanted = search.settings_for(finds_objects=bool(getattr(finder, "finds_objects", False)))
    settings = wanted.loosened() if loose else wanted
    asked = mask if within is None else within if mask is None else BothMasks(mask, within)
    area, seen = _area(region, source.shape), Seen()
    foreground = _named(mask, "mask", source.shape)
    inside = _named(within, "within", source.shape)
    name = image_identity(source)
    if isinstance(settings, DenseSettings):
        is_open = not settings.diameter and not settings.tile_px
        key = name, str(area), source.contrast_limits, _weights(finder), foreground, inside
        known = diameters.get(key) if is_open and diameters is not None else None
        if known is not None:
            settings = replace(settings, diameter=known)
        head = cast("SupportsDenseMaps", finder)
        settings = run(surest_settings(head, source, area, settings, foreground=asked, seen=seen))
        if is_open and diameters is not None:
            diameters.put(key, settings.diameter)
    plan = Plan(
        image_shape=source.shape,
        area=area,
        settings=settings,
        contrast_limits=source.contrast_limits,
        model=_weights(predictor),
        image=name,
        foreground=foreground,
        within=inside,
        finder="" if open_finder is None else _weights(finder),
    )
    return Site(
        plan,
        MemoryResults() if results is None else results,
        source,
        predictor,
        None if open_finder is None else finder,
        asked,
        within,
        Openers(open_source, open_predictor, open_finder),
        wanted,
        seen,
    )


def _weights(predictor: SupportsLogits) -> str:
    return f"{predictor.fingerprint} {predictor.precision}"


def _named(mask: Any, name: str, image_shape: tuple[int, int]) -> str:
    """Name the content of a mask; empty where there is none."""
    if mask is None:
        return ""
    if tuple(mask.shape) != image_shape:
        raise ImageError(
            f"{name} has the shape {tuple(mask.shape)} and the image {image_shape}; they must be "
            "equal."
        )
    return mask_identity(mask)


def _source_opener(image: Any, limits: tuple[float, float] | None) -> Callable[[], ImageSource]:
    from napari_samhq.inference.source import ImageSource
    from napari_samhq.io.images import open_image

    if isinstance(image, (str, Path)):
        return partial(open_image, Path(image).absolute(), contrast_limits=limits)
    return partial(ImageSource.of, image, contrast_limits=limits)


def predictor_opener(model: Any, is_shared: bool) -> Callable[[], SupportsLogits]:
    """Make a function that opens a model; one that can be sent to workers, if it is shared."""
    if callable(model) and (isinstance(model, type) or not hasattr(model, "iter_logits")):
        opener: Callable[[], SupportsLogits] = model
        return opener
    if isinstance(model, (str, Path)):
        path = Path(model)
        return partial(_load_predictor, str(path.absolute()) if path.exists() else str(model))
    if is_shared:
        raise ModelError(
            f"Workers of a cluster load the model themselves, so it must be a name or a path, and "
            f"not {model!r}."
        )
    return partial(_load_predictor, model)


def _load_predictor(model: Any) -> SupportsLogits:
    if hasattr(model, "iter_logits"):
        predictor: SupportsLogits = model
        return predictor
    from napari_samhq.checkpoints import load_model
    from napari_samhq.inference.predictor import Predictor

    return Predictor(load_model(model) if isinstance(model, str) else model)


def _area(region: Any, shape: tuple[int, int]) -> Region:
    """Give both slices a start and a stop inside of the image."""
    if region is None:
        region = (slice(None), slice(None))
    try:
        rows, cols = (slice(*part.indices(n)[:2]) for part, n in zip(region, shape, strict=True))
    except (AttributeError, TypeError, ValueError) as error:
        raise ImageError(
            f"region={region!r} is no pair of slices; give rows and columns, for example "
            "(slice(0, 500), slice(200, 900))."
        ) from error
    return rows, cols
