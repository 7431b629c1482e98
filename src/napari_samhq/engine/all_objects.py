"""Find all objects of a plane, tile by tile, and keep the tiles for another choice among them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.engine.jobs import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_samhq.batch.run import Step
    from napari_samhq.batch.site import Site
    from napari_samhq.engine.engine import Engine
    from napari_samhq.engine.jobs import Report
    from napari_samhq.engine.plane_view import PlaneView
    from napari_samhq.inference.settings import FindSettings, Search

__all__ = ["STAGE", "FoundObjects", "find_objects"]

#: The stage that this reports.
STAGE = "everything"


@dataclass(frozen=True, eq=False)
class FoundObjects:
    """What the model found: masks in the plane and their scores, from the top down."""

    masks: tuple[CroppedMask, ...]
    scores: tuple[float, ...]
    fingerprint: str
    finder: str  # fingerprint of the model that found them, if another one outlined them
    settings: FindSettings

    @property
    def record(self) -> tuple[tuple[str, Any], ...]:
        """What is written down with each object."""
        how = (("method", self.settings.method), *self.settings.pairs())
        return (*how, ("finder", self.finder)) if self.finder else how


def find_objects(
    engine: Engine,
    models: tuple[str, str],
    view: PlaneView,
    search: Search,
    region: tuple[slice, slice],
    report: Report,
    *,
    is_cut: bool,
) -> FoundObjects:
    """Ask a model for all objects in a region of a plane, and another one for their outlines.

    `report` may raise to stop. What they said is kept, tile by tile: a run that was stopped goes on
    where it was, and another choice among the masks asks nothing anew.
    """
    from napari_samhq.batch.opening import in_memory_site

    predictor, finder = (engine.load(model, report) for model in models)
    report(Progress(STAGE))

    def in_turns(steps: Generator[Any, None, Any]) -> Any:
        return _in_turns(engine, steps, lambda _: report(Progress(STAGE)))

    site = in_memory_site(
        view.source(),
        predictor,
        search,
        find=finder,
        region=region,
        loose=True,
        run=in_turns,
        diameters=engine.diameters,
    )
    site.plan = replace(site.plan, past_the_edge=not is_cut)
    site.results = engine.tiles((site.plan.run_id, view.identity, view.plane))

    def told(step: Step) -> None:
        known = step.stage == "segment"
        report(Progress(STAGE, step.done, step.total) if known else Progress(STAGE))

    masks, scores = _in_turns(engine, _objects(site), told)
    name = str(getattr(predictor, "fingerprint", ""))
    return FoundObjects(masks, scores, name, site.plan.finder, site.wanted)


def _in_turns(
    engine: Engine, steps: Generator[Any, None, Any], told: Callable[[Any], object]
) -> Any:
    """Run a generator to its end, letting other questions go first between its steps."""
    with closing(steps):
        while True:
            try:
                with engine.turn():
                    step = next(steps)
            except StopIteration as stop:
                return stop.value
            told(step)


def _objects(
    site: Site,
) -> Generator[Step, None, tuple[tuple[CroppedMask, ...], tuple[float, ...]]]:
    """Do all tiles, choose, and cut out what is seen of each object."""
    from napari_samhq.batch.candidates import narrowed
    from napari_samhq.batch.everything import local_workers
    from napari_samhq.batch.run import Step, iter_segment
    from napari_samhq.batch.tasks import choose_objects, paint_block

    keys = yield from iter_segment(site, local_workers(1), keep_going=False)
    site = narrowed(site, keys, site.wanted)
    choosing = choose_objects(site.plan, site.results, keys)
    while True:
        try:
            done, total = next(choosing)
        except StopIteration as stop:
            objects = stop.value
            break
        yield Step("choose", done, total)
    masks, scores = [], []
    for number, (top, left, bottom, right) in enumerate(objects.regions.tolist(), start=1):
        region = slice(top, bottom), slice(left, right)
        mask = paint_block(site.plan, site.results, objects, region) == number
        if mask.any():  # better ones may cover all of it
            masks.append(CroppedMask.of(mask, (top, left)))
            scores.append(float(objects.scores[number - 1]))
        yield Step("draw", number, len(objects))
    return tuple(masks), tuple(scores)
