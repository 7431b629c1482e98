"""All objects of a plane at once, as one step of the session."""

from __future__ import annotations

import itertools
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from napari_samhq.core.journal.drafts import Draft
from napari_samhq.core.journal.events import Committed
from napari_samhq.core.journal.shapes_drawn import Drawn
from napari_samhq.core.labels.edits import check_value, read_region
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.util.progress import reporting
from napari_samhq.engine.answers import Shown
from napari_samhq.engine.jobs import Progress, amounts
from napari_samhq.errors import Cancelled, ImageError, ModelError, SamHQError
from napari_samhq.inference.settings import Search
from napari_samhq.session.layers.current_plane import visible_region
from napari_samhq.session.state import State, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_samhq.batch.run import Step
    from napari_samhq.batch.site import Site
    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.engine.engine import Engine
    from napari_samhq.engine.jobs import Report
    from napari_samhq.engine.plane_view import PlaneView
    from napari_samhq.inference.settings import FindSettings, Method
    from napari_samhq.session.controller import Desk

__all__ = ["Everything", "Finding", "Region"]

#: Rows and columns of the plane, what is on the screen, or None for the whole plane.
Region: TypeAlias = tuple[slice, slice] | Literal["visible"] | None

_STAGE = "everything"
_NOTHING = "No new object was found."


@dataclass(frozen=True, eq=False)
class _Found:
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


class Finding:
    """Finds all objects of the plane on the screen."""

    desk: Desk

    def segment_everything(
        self,
        preset: str = "cells",
        region: Region = None,
        *,
        method: Method = "auto",
        find: str | None = None,
        progress: Report | bool | None = None,
        **settings: Any,
    ) -> list[int]:
        """Find all objects of the present plane, wait, and write them as one step.

        Objects that are in the labels layer already keep their pixels, and are not found twice.
        The new ones can be deleted, or reopened: the mask that was found is then the prompt, like
        the masks of :meth:`add_labels`, and points refine it. A replay takes them as found.

        Parameters
        ----------
        preset : {"cells", "nuclei", "thin"}, optional
            What to look for.
        region : pair of slices or "visible", optional
            Rows and columns to segment, which cut what goes on beyond them; or what is on the
            screen, of which objects come whole; the whole plane when left out.
        method : {"auto", "dense", "points"}, optional
            What objects are found by, as in :func:`napari_samhq.segment_everything`.
        find : str, optional
            Name of the model that finds the objects; that of the session then outlines them.
        progress : bool or callable, optional
            True for a bar. A function gets a :class:`~napari_samhq.engine.jobs.Progress` often;
            it may raise :class:`~napari_samhq.errors.Cancelled`: nothing is written then.
        **settings
            What differs from the preset, such as ``smallest_px=80`` or ``diameter=30``, see
            :class:`~napari_samhq.inference.settings.DenseSettings` and, for points,
            :class:`~napari_samhq.inference.settings.AutomaticSettings`.

        Returns
        -------
        list of int
            Their label ids, from the top down.

        Raises
        ------
        SettingsError, ImageError, ModelError
            If settings, region, image or model cannot be used.
        LayerError, PromptError
            If the labels layer or the rules for objects cannot take any. Nothing is changed then.
        """
        search = Search(method, preset, changes=settings)
        with reporting(progress, amounts) as report:
            return Everything(self.desk).run(search, region, find=find, wait=True, progress=report)


class Everything:
    """One run over everything in the plane on the screen.

    Parameters
    ----------
    desk : Desk
        Of the session that the objects go to.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def run(
        self,
        search: Search,
        region: Region = None,
        *,
        find: str | None = None,
        wait: bool,
        progress: Report | None = None,
        instead: bool = False,
    ) -> list[int]:
        """Find objects and write them, now or behind the window.

        Parameters
        ----------
        search : Search
            What to look for.
        region : pair of slices, "visible" or None
            Where.
        find : str, optional
            Name of the model that finds the objects, if it is not the session's.
        wait : bool
            Whether to return when all is done. Otherwise the status tells how it goes, and no
            label ids come back.
        progress : callable, optional
            Is told each step, in the thread that works; it may raise Cancelled.
        instead : bool, optional
            If the last thing that was done in this plane is such a run, take it back first: so
            other settings change what was found, instead of adding to it.
        """
        desk, making = self._desk, self._desk.making
        if making.asker.must_fetch and not wait:
            raise ModelError(sentence(State.MUST_FETCH, model=making.asker.model))
        search.settings_for(finds_objects=True)  # what cannot be is refused at once
        plane = desk.plane()
        view, model, asked = making.view(plane), making.asker.model, self._subject()
        part, is_cut = self.part(plane, view, region), not isinstance(region, str)
        written: list[int] = []

        def work(report: Report) -> _Found:
            def tell(stage: Progress) -> None:
                if self._subject() != asked:
                    raise Cancelled("The image or the model is another one now.")
                if progress is not None:
                    progress(stage)
                report(stage)

            models = model, find or model
            return _find(making.asker.engine, models, view, search, part, tell, is_cut=is_cut)

        def take(found: _Found) -> None:
            if self._subject() != asked:
                return
            taken_back = instead and self._take_back_last(plane)
            try:
                written.extend(self._write(plane, view, model, found))
            except SamHQError as error:
                if taken_back:
                    desk.ledger.redo()
                if wait:
                    raise
                making.asker.failure = error

        making.remark = ""
        making.asker.failure = None
        making.asker.do(_STAGE, work, take, wait=wait)
        desk.changed.emit()
        return written

    @property
    def is_latest(self) -> bool:
        """Whether such a run was the last thing done here, so that `instead` changes it."""
        found_nothing = self._desk.making.remark.startswith(_NOTHING)
        return found_nothing or self._is_last_in(self._desk.plane())

    def _is_last_in(self, plane: Plane) -> bool:
        last = next(reversed(tuple(self._desk.ledger.journal)), None)
        return (
            isinstance(last, Committed)
            and last.plane == plane
            and all("everything" in dict(commit.record.seen) for commit in last.commits)
        )

    def _take_back_last(self, plane: Plane) -> bool:
        """Take back a run over everything in a plane, if nothing was done since."""
        return self._is_last_in(plane) and self._desk.ledger.undo() is not None

    def _subject(self) -> tuple[Any, ...]:
        """Collect what must not change while the model is at work: what it looks at, and which."""
        making = self._desk.making
        return self._desk.closed, making.generation, making.channels, making.asker.model

    def part(self, plane: Plane, view: PlaneView, region: Region) -> tuple[slice, slice]:
        """Give the rows and columns of a plane that a region means.

        Raises
        ------
        ImageError
            If it is no region, or has no pixel of the plane.
        """
        if region is None:
            region = (slice(None), slice(None))
        elif isinstance(region, str):
            if region != "visible":
                raise ImageError(
                    f"region={region!r} is not known. Give a pair of slices, 'visible', or None."
                )
            region = visible_region(self._desk.viewer, self._desk.image, plane)
        try:
            rows, cols = (
                slice(*one.indices(n)[:2]) for one, n in zip(region, view.shape, strict=True)
            )
        except (AttributeError, TypeError, ValueError) as error:
            raise ImageError(
                f"region={region!r} is no pair of slices; give rows and columns, for example "
                "(slice(0, 500), slice(200, 900))."
            ) from error
        if rows.start >= rows.stop or cols.start >= cols.stop:
            raise ImageError(
                "The region has no pixel of the image. Choose another, or bring the image into "
                "sight."
            )
        return rows, cols

    def _write(self, plane: Plane, view: PlaneView, model: str, found: _Found) -> list[int]:
        """Write what is new as one step, and say how it went."""
        desk, making = self._desk, self._desk.making
        drafts = making.drafts(plane)
        new = [
            (mask, score)
            for mask, score in zip(found.masks, found.scores, strict=True)
            if self._is_new(plane, mask, found.settings)
        ]
        if not new:
            known = " They are all there already." if found.masks else " Try other settings."
            making.remark = f"{_NOTHING}{known}"
            return []
        given = [draft.label_id for draft in itertools.islice(making.new_drafts(drafts), len(new))]
        check_value(max(given), desk.labels.data.dtype)
        answers = [
            Shown(
                Draft(label_id, Drawn(mask=mask)),
                (mask,),
                (score,),
                mask.region,
                together=False,
                model=model,
                fingerprint=found.fingerprint,
            )
            for label_id, (mask, score) in zip(given, new, strict=True)
        ]
        event, refused = desk.ledger.commit(
            plane,
            drafts,
            answers,
            rules=replace(desk.ledger.rules, overlap="keep"),
            **dict(view.seen),
            everything=found.record,
        )
        count = len(event.commits)
        making.remark = (
            f"{count} objects found. Undo takes them back."
            if count != 1
            else "1 object found. Undo takes it back."
        )
        if refused:
            making.remark += f" {len(refused)} more were left out: {refused[0]}"
        return [commit.record.label_id for commit in event.commits]

    def _is_new(self, plane: Plane, mask: CroppedMask, settings: FindSettings) -> bool:
        """Whether enough of a mask belongs to no other object."""
        free = mask.array() & (read_region(self._desk.labels.data, plane, mask.region) == 0)
        left, area = int(np.count_nonzero(free)), int(np.count_nonzero(mask.array()))
        return left >= max(settings.smallest_px, (1 - settings.overlap) * area)


def _find(
    engine: Engine,
    models: tuple[str, str],
    view: PlaneView,
    search: Search,
    region: tuple[slice, slice],
    report: Report,
    *,
    is_cut: bool,
) -> _Found:
    """Ask a model for all objects in a region of a plane, and another one for their outlines.

    `report` may raise to stop. What they said is kept, tile by tile: a run that was stopped goes on
    where it was, and another choice among the masks asks nothing anew.
    """
    from napari_samhq.batch.opening import in_memory_site

    predictor, finder = (engine.load(model, report) for model in models)
    report(Progress(_STAGE))

    def in_turns(steps: Generator[Any, None, Any]) -> Any:
        return _in_turns(engine, steps, lambda _: report(Progress(_STAGE)))

    site = in_memory_site(
        view.source(), predictor, search, find=finder, region=region, loose=True, run=in_turns
    )
    site.plan = replace(site.plan, past_the_edge=not is_cut)
    site.results = engine.tiles((site.plan.run_id, view.identity, view.plane))

    def told(step: Step) -> None:
        known = step.stage == "segment"
        report(Progress(_STAGE, step.done, step.total) if known else Progress(_STAGE))

    masks, scores = _in_turns(engine, _objects(site), told)
    name = str(getattr(predictor, "fingerprint", ""))
    return _Found(masks, scores, name, site.plan.finder, site.wanted)


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
