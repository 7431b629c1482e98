"""Segmentation of everything in an image of any size, as one call."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.batch.opening import in_memory_site, predictor_opener
from napari_samhq.core.util.generators import finished
from napari_samhq.core.util.progress import reporting
from napari_samhq.errors import FileError, ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from napari_samhq.batch.run import Step
    from napari_samhq.batch.site import Site
    from napari_samhq.batch.workers import Workers
    from napari_samhq.checkpoints import LoadedModel
    from napari_samhq.core.tiles.grid import Region
    from napari_samhq.inference.automatic import SupportsLogits
    from napari_samhq.inference.settings import FindSettings, Method
    from napari_samhq.inference.source import ImageSource

__all__ = ["iter_in_memory", "segment_everything"]

_MOST_LABELS_IN_MEMORY = 2**31  # pixels


def segment_everything(
    image: Any,
    model: str | Path | LoadedModel | SupportsLogits | Callable[[], SupportsLogits] = "micro",
    *,
    axes: str | None = None,
    method: Method = "auto",
    find: str | Path | LoadedModel | SupportsLogits | Callable[[], SupportsLogits] | None = None,
    diameter: float | str | None = None,
    preset: str = "cells",
    settings: FindSettings | None = None,
    region: Region | None = None,
    mask: Any = None,
    within: Any = None,
    tile: int | None = None,
    halo: int | None = None,
    contrast_limits: tuple[float, float] | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = True,
    workers: int = 1,
    scheduler: str | None = None,
    pixel_size: float | Sequence[float] | None = None,
    unit: str | Sequence[str] | None = None,
    progress: Callable[[Step], None] | bool | None = None,
    **changes: Any,
) -> Any:
    """Segment everything in an image of any size.

    The model's dense head says of each place how deep it lies in an object; or, with models that
    have none, a grid of points is asked. Either way it goes tile by tile, and no object is cut at
    the border of a tile: what a tile does not see whole is looked at again in a window twice as
    large, and so on. Of masks that cover the same thing the best one stays.

    Parameters
    ----------
    image : array, ImageSource, str or Path
        (H, W) or (H, W, C): a numpy, dask or zarr array, a pyramid as a sequence of arrays, or a
        file that :func:`~napari_samhq.io.images.open_image` opens.
    model : str, Path, LoadedModel, predictor or callable, optional
        Name or path for :func:`napari_samhq.load_model`, a loaded model, a predictor, or a
        function without parameters that makes one.
    axes : {"zyx", "tyx", "tzyx"}, optional
        For stacks and films, with these axes first: everything is found in each plane, with the
        same contrast, and linked, see :func:`napari_samhq.link`. Ids are the same through z, from
        the top down; or along a track, daughters having ids of their own. `out` must not exist,
        or needs `overwrite`; planes that an interrupted call left are used again.
    method : {"auto", "dense", "points"}, optional
        What objects are found by. "auto" takes the dense head where the model has one, unless a
        setting is given that only points have.
    find : as `model`, optional
        This model finds the objects; `model` is then asked for each of them by its box, and so
        outlines them. Left out, `model` does both.
    diameter : float or str, optional
        About how wide objects are, in pixels, or as "12 um" where `pixel_size` tells the size of a
        pixel. Automatic when left out. For the dense head.
    preset : {"cells", "nuclei", "thin"}, optional
        What to look for.
    settings : DenseSettings or AutomaticSettings, optional
        All settings, instead of a preset; their class tells the method.
    region : pair of slices, optional
        Rows and columns to segment; pixels around it are looked at, too.
    mask : array of shape (H, W), optional
        Foreground, roughly: points where it is 0 are not asked, and the dense head's objects are
        left out that lie there for more than half.
    within : array of shape (H, W), optional
        A region of interest of any shape: bool, or labels of which all count. Nothing outside is
        asked, and objects with a pixel outside are left out. Numpy, zarr or dask, or an
        :class:`~napari_samhq.core.prompts.outline_masks.OutlineMask`.
    tile, halo : int, optional
        Side of a tile and how far the model sees beyond it, in pixels, if not as in the preset.
    contrast_limits : tuple of two floats, optional
        Values that become black and white; measured once for the whole image when left out.
    out : str or Path, optional
        ``.zarr`` (OME-Zarr with a pyramid) or ``.tif``: write there, and keep little in memory. A
        call that was interrupted goes on where it was when it is repeated; until it is done, its
        parts are in a folder of the same name with ``.run`` behind it.
    overwrite : bool, optional
        Whether a file that has this name may be replaced.
    resume : bool, optional
        Use what an interrupted call left. Otherwise begin anew.
    workers : int, optional
        Tiles to do at a time in this process.
    scheduler : str, optional
        Address of a dask.distributed scheduler whose workers do the tiles, with `out` on a file
        system that all of them see. `model` must be a name or a path then.
    pixel_size, unit : optional
        Size of a pixel along rows and columns, as 0.65 and "um"; `out` tells it.
    progress : bool or callable, optional
        True for a bar, in notebooks and terminals. A function is called often with a
        :class:`~napari_samhq.batch.run.Step`; it may raise
        :class:`~napari_samhq.errors.Cancelled`; what is done so far is kept if `out` is given.
    **changes
        Settings that differ from the preset, as ``min_score=0.8``, see
        :class:`~napari_samhq.inference.settings.DenseSettings` and, for points,
        :class:`~napari_samhq.inference.settings.AutomaticSettings`.

    Returns
    -------
    ndarray or zarr.Array of shape (h, w), int32; with the other axes before them
        Label ids of the region or of the whole image, 1 to N from the top down; 0 is background.
        A zarr array, opened for reading, when `out` is a ``.zarr``; the path of a TIFF. The result
        does not depend on the order of tiles, nor on who does them.

    Raises
    ------
    ImageError, ModelError, SettingsError
        If something cannot be used as it is.
    FileError
        If `out` cannot be written, or is being written.
    TilesFailedError
        If tiles failed. With `out` all others are done and kept, and the same call does the rest.

    Examples
    --------
    >>> import napari_samhq as samhq  # doctest: +SKIP
    >>> labels = samhq.segment_everything(image)  # doctest: +SKIP
    >>> labels = samhq.segment_everything(image, find="micro", model="vit_b")  # doctest: +SKIP
    """
    from napari_samhq.batch.publish import open_result
    from napari_samhq.batch.results import FolderResults
    from napari_samhq.batch.run import RunFolder, iter_to_file
    from napari_samhq.batch.stacks import Stack, segment_stack
    from napari_samhq.inference.settings import Search
    from napari_samhq.io.calibration import Calibration

    output = _checked_output(out, scheduler)
    if axes is not None:
        opened = model if scheduler is not None else predictor_opener(model, is_shared=False)()
        segment = partial(
            segment_everything,
            model=opened,
            method=method,
            find=find,
            diameter=diameter,
            preset=preset,
            settings=settings,
            region=region,
            tile=tile,
            halo=halo,
            workers=workers,
            scheduler=scheduler,
            **changes,
        )
        stack = Stack(axes, pixel_size, unit, contrast_limits, mask, within)
        with reporting(progress, _amounts) as report:
            return segment_stack(
                image, segment, stack, output, overwrite=overwrite, resume=resume, report=report
            )
    calibration = Calibration.of(2, pixel_size, unit)
    within = within if within is None or hasattr(within, "shape") else np.asarray(within)
    width = None if diameter is None else calibration.pixels(diameter)
    lengths = {"tile_px": tile, "halo_px": halo, "diameter": width}
    changes |= {name: value for name, value in lengths.items() if value is not None}
    folder = None if output is None else RunFolder(output)
    site = in_memory_site(
        image,
        model,
        Search(method, preset, settings, changes),
        find=find,
        region=region,
        mask=mask,
        within=within,
        contrast_limits=contrast_limits,
        is_shared=scheduler is not None,
        results=None if folder is None else FolderResults(folder.tiles),
    )
    if folder is None:
        with reporting(progress, _amounts) as report:
            return finished(iter_in_memory(site, local_workers(workers)), report)
    with (
        reporting(progress, _amounts) as report,
        folder.opened(site.plan, resume=resume, overwrite=overwrite) as is_there,
    ):
        if not is_there:
            doing = local_workers(workers)
            if scheduler is not None:
                doing = _cluster(scheduler, site, image, folder.path)
            steps = iter_to_file(site, doing, folder, overwrite=overwrite, calibration=calibration)
            finished(steps, report)
    return open_result(folder.output)


def _amounts(step: Step) -> tuple[str, float, float]:
    return step.stage, step.done, step.total


def _checked_output(out: str | Path | None, scheduler: str | None) -> Path | None:
    from napari_samhq.batch.publish import OUTPUT_SUFFIXES

    if out is None:
        if scheduler is not None:
            raise FileError(
                "Work on a cluster needs a place for its result that all workers see. Give "
                "out='labels.zarr'."
            )
        return None
    output = Path(out).absolute()
    if output.suffix.lower() not in OUTPUT_SUFFIXES:
        raise FileError(
            f"Results of any size cannot be written as '{output.suffix}'. Let the name end in one "
            f"of {', '.join(OUTPUT_SUFFIXES)}, or leave `out` away and write the array yourself."
        )
    return output


def iter_in_memory(
    site: Site, workers: Workers | None = None
) -> Generator[Step, None, NDArray[np.int32]]:
    """Do the work of a site and return its labels as an array; see :func:`segment_everything`."""
    from napari_samhq.batch.run import iter_publish, iter_segment

    height, width = (part.stop - part.start for part in site.plan.area)
    if height * width > _MOST_LABELS_IN_MEMORY:
        raise ImageError(
            f"The labels of {height} x {width} px do not fit into memory well. Write them to a "
            "file with out='labels.zarr'."
        )
    labels = np.zeros((height, width), dtype=np.int32)
    keys = yield from iter_segment(site, workers or local_workers(1), keep_going=False)
    yield from iter_publish(site.plan, site.results, keys, labels, site.within)
    return labels


def local_workers(workers: int) -> Workers:
    """Workers of this process, so many at a time."""
    from napari_samhq.batch.workers import Serial, Threads

    return Threads(workers) if workers > 1 else Serial()


def _opener_for_others(
    open_source: Callable[..., ImageSource], source: ImageSource, image: Any, folder: Path
) -> Callable[[], ImageSource]:
    """Let workers open the image, with the intensity mapping that was measured once for all."""
    if isinstance(image, np.ndarray):  # to be read by all, and not sent with each task
        import zarr

        path = folder / "image.zarr"
        zarr.create_array(path, data=image, overwrite=True)
        from napari_samhq.io.images import open_image

        open_source = partial(open_image, path)
    limits = source.contrast_limits
    return open_source if limits is None else partial(open_source, contrast_limits=limits)


def _cluster(scheduler: str, site: Site, image: Any, folder: Path) -> Workers:
    from napari_samhq.batch.site import SiteAddress
    from napari_samhq.batch.workers import Cluster

    plan, openers = site.plan, site.openers
    assert openers is not None
    open_source = _opener_for_others(openers.source, site.source, image, folder)
    openers = replace(openers, source=open_source)
    address = SiteAddress(plan.to_json(), str(folder), openers, site.foreground)
    return Cluster(scheduler, address, plan.run_id)
