"""Kept candidate masks, from which other thresholds give other labels without the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.batch.everything import local_workers
from napari_samhq.batch.opening import in_memory_site
from napari_samhq.batch.results import MemoryResults
from napari_samhq.batch.run import iter_publish, iter_segment
from napari_samhq.core.tiles.stitching import TileAnswer
from napari_samhq.core.util.generators import finished
from napari_samhq.errors import SettingsError
from napari_samhq.inference.settings import Search, changed

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_samhq.batch.plan import Plan, TileKey
    from napari_samhq.batch.results import Results
    from napari_samhq.batch.run import Step
    from napari_samhq.batch.site import Site
    from napari_samhq.inference.settings import FindSettings, Method

__all__ = ["Candidates", "find_candidates", "narrowed"]


@dataclass(frozen=True, eq=False)
class Candidates:
    """All masks of an image that may be objects, with their scores.

    Made by :func:`find_candidates`.

    Attributes
    ----------
    settings : AutomaticSettings or DenseSettings
        What is chosen by when nothing else is said.
    """

    settings: FindSettings
    _plan: Plan
    _results: MemoryResults
    _keys: list[TileKey]
    _within: Any = None

    def __len__(self) -> int:
        return sum(len(self._results.get(key).candidates) for key in self._keys)

    def filtered(self, **changes: Any) -> NDArray[np.int32]:
        """Choose objects by other thresholds.

        Parameters
        ----------
        **changes
            `min_score`, `smallest_px`, `largest_px` (no larger than before: what was larger has not
            been kept), and of points also `min_stability` and `overlap`, as in the class of
            `settings`.

        Returns
        -------
        ndarray of shape (h, w), int32
            Label ids of the region.

        Raises
        ------
        SettingsError
            If a setting is none of these, or has a value that it cannot have.
        """
        others = sorted(changes.keys() - self.settings.FILTERS)
        if others:
            raise SettingsError(
                f"With another {others[0]} the model has to be asked again. Here can be changed: "
                f"{', '.join(sorted(self.settings.FILTERS))}."
            )
        settings = changed(self.settings, changes)
        most = self.settings.largest_px
        if most and not 0 < settings.largest_px <= most:
            raise SettingsError(
                f"Objects of more than {most} px have not been kept. Ask again with a larger "
                "largest_px."
            )
        plan, results = _narrowed(self._plan, self._results, self._keys, settings)
        labels = np.zeros([part.stop - part.start for part in plan.area], dtype=np.int32)
        finished(iter_publish(plan, results, self._keys, labels, self._within))
        return labels


def find_candidates(
    image: Any,
    model: Any = "micro",
    *,
    method: Method = "auto",
    find: Any = None,
    preset: str = "cells",
    settings: FindSettings | None = None,
    workers: int = 1,
    progress: Callable[[Step], None] | None = None,
    **options: Any,
) -> Candidates:
    """Ask the model for everything in an image, and keep all that may be an object.

    Parameters
    ----------
    image, model, method, find, preset, settings, workers, progress
        As in :func:`~napari_samhq.batch.everything.segment_everything`.
    **options
        `region`, `mask`, `within` and `contrast_limits` of the same, and settings.

    Returns
    -------
    Candidates
        In memory.

    Raises
    ------
    ImageError, ModelError, SettingsError
        As there.

    Examples
    --------
    >>> candidates = find_candidates(image, preset="nuclei")  # doctest: +SKIP
    >>> strict = candidates.filtered(min_score=0.7)  # doctest: +SKIP
    """
    names = ("region", "mask", "within", "contrast_limits")
    about_image = {name: options.pop(name) for name in names if name in options}
    search = Search(method, preset, settings, options)
    site = in_memory_site(image, model, search, find=find, loose=True, **about_image)
    steps = iter_segment(site, local_workers(workers), keep_going=False)
    keys = finished(steps, progress)
    assert isinstance(site.results, MemoryResults)
    return Candidates(site.wanted, site.plan, site.results, keys, site.within)


def narrowed(site: Site, keys: list[TileKey], settings: FindSettings) -> Site:
    """Leave out of what was found what does not fit settings; asks nothing.

    Parameters
    ----------
    site : Site
        Whose tiles were asked by loosened settings.
    keys : list of TileKey
        Those tiles.
    settings : AutomaticSettings or DenseSettings
        To choose by.
    """
    plan, results = _narrowed(site.plan, site.results, keys, settings)
    return replace(site, plan=plan, results=results)


def _narrowed(
    plan: Plan, results: Results, keys: list[TileKey], settings: FindSettings
) -> tuple[Plan, MemoryResults]:
    kept = MemoryResults()
    for key in keys:
        found = results.get(key).candidates
        good = (c for c in found if settings.accepts(c.score, c.stability, c.area_px))
        kept.put(key, TileAnswer(tuple(good)))
    # The tiles stay those that were asked.
    filters = {name: getattr(settings, name) for name in settings.FILTERS}
    return replace(plan, settings=changed(plan.settings, filters)), kept
