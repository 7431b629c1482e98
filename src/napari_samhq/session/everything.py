"""Segment all objects of a plane at once, as one step of the session."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from napari_samhq.core.journal.drafts import Draft
from napari_samhq.core.journal.events import Committed
from napari_samhq.core.journal.shapes_drawn import Drawn
from napari_samhq.core.labels.edits import check_value, read_region
from napari_samhq.core.util.progress import reporting
from napari_samhq.engine.all_objects import STAGE, find_objects
from napari_samhq.engine.answers import Shown
from napari_samhq.engine.jobs import Progress, amounts
from napari_samhq.errors import Cancelled, ImageError, ModelError, SamHQError
from napari_samhq.inference.settings import Search
from napari_samhq.session.layers.current_plane import visible_region
from napari_samhq.session.parts import Part
from napari_samhq.session.state import State, sentence

if TYPE_CHECKING:
    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.masks.cropped import CroppedMask
    from napari_samhq.engine.all_objects import FoundObjects
    from napari_samhq.engine.jobs import Report
    from napari_samhq.engine.plane_view import PlaneView
    from napari_samhq.inference.settings import FindSettings, Method
    from napari_samhq.session.controller import SessionController

__all__ = ["Everything", "Finding", "Region"]

#: Rows and columns of the plane, what is on the screen, or None for the whole plane.
Region: TypeAlias = tuple[slice, slice] | Literal["visible"] | None

_NOTHING = "No new object was found."


class Finding(Part):
    """Finds all objects of the plane on the screen."""

    def segment_everything(
        self,
        /,
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
            return Everything(self.controller).run(
                search, region, find=find, wait=True, progress=report
            )

    def begin_everything(
        self, search: Search, region: Region = None, *, find: str | None = None
    ) -> None:
        """Find all objects behind the window; begun again, it changes what it found before.

        Parameters and errors are those of :meth:`segment_everything`; `search` holds the method,
        the preset and the settings. The status tells how it goes.
        """
        Everything(self.controller).run(search, region, find=find, wait=False, instead=True)

    @property
    def everything_is_latest(self) -> bool:
        """Whether finding all objects was the last thing done in the plane on the screen."""
        return Everything(self.controller).is_latest


class Everything:
    """One run over everything in the plane on the screen.

    Parameters
    ----------
    controller : SessionController
        Of the session that the objects go to.
    """

    def __init__(self, controller: SessionController) -> None:
        self._controller, self._masks = controller, controller.masks
        self._unfinished, self._history = controller.unfinished, controller.history

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
        controller = self._controller
        if self._masks.scheduler.must_fetch and not wait:
            raise ModelError(sentence(State.MUST_FETCH, model=self._masks.scheduler.model))
        search.settings_for(finds_objects=True)  # what cannot be is refused at once
        plane = controller.plane()
        view, model, asked = (
            self._masks.view(plane),
            self._masks.scheduler.model,
            self._subject(),
        )
        part, is_cut = self.part(plane, view, region), not isinstance(region, str)
        written: list[int] = []

        def work(report: Report) -> FoundObjects:
            def tell(stage: Progress) -> None:
                if self._subject() != asked:
                    raise Cancelled("The image or the model is another one now.")
                if progress is not None:
                    progress(stage)
                report(stage)

            models = model, find or model
            return find_objects(
                self._masks.scheduler.engine, models, view, search, part, tell, is_cut=is_cut
            )

        def take(found: FoundObjects) -> None:
            if self._subject() != asked:
                return
            taken_back = instead and self._take_back_last(plane)
            try:
                written.extend(self._write(plane, view, model, found))
            except SamHQError as error:
                if taken_back:
                    self._history.redo()
                if wait:
                    raise
                self._masks.scheduler.fail(error)

        self._unfinished.say("")
        self._masks.scheduler.fail(None)
        self._masks.scheduler.do(STAGE, work, take, wait=wait)
        controller.changed.emit()
        return written

    @property
    def is_latest(self) -> bool:
        """Whether such a run was the last thing done here, so that `instead` changes it."""
        found_nothing = self._unfinished.remark.startswith(_NOTHING)
        return found_nothing or self._is_last_in(self._controller.plane())

    def _is_last_in(self, plane: Plane) -> bool:
        last = next(reversed(tuple(self._history.journal)), None)
        return (
            isinstance(last, Committed)
            and last.plane == plane
            and all("everything" in dict(commit.record.seen) for commit in last.commits)
        )

    def _take_back_last(self, plane: Plane) -> bool:
        """Take back a run over everything in a plane, if nothing was done since."""
        return self._is_last_in(plane) and self._history.undo() is not None

    def _subject(self) -> tuple[Any, ...]:
        """Collect what must not change while the model is at work: what it looks at, and which."""
        return (
            self._controller.closed,
            self._masks.generation,
            self._masks.channels,
            self._masks.scheduler.model,
        )

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
            region = visible_region(self._controller.viewer, self._controller.image, plane)
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

    def _write(self, plane: Plane, view: PlaneView, model: str, found: FoundObjects) -> list[int]:
        """Write what is new as one step, and say how it went."""
        controller = self._controller
        drafts = self._unfinished.drafts(plane)
        new = [
            (mask, score)
            for mask, score in zip(found.masks, found.scores, strict=True)
            if self._is_new(plane, mask, found.settings)
        ]
        if not new:
            known = " They are all there already." if found.masks else " Try other settings."
            self._unfinished.say(f"{_NOTHING}{known}")
            return []
        given = [
            draft.label_id
            for draft in itertools.islice(self._unfinished.new_drafts(drafts), len(new))
        ]
        check_value(max(given), controller.labels.data.dtype)
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
        event, refused = self._history.commit(
            plane,
            drafts,
            answers,
            rules=replace(self._history.rules, overlap="keep"),
            **dict(view.seen),
            everything=found.record,
        )
        count = len(event.commits)
        remark = (
            f"{count} objects found. Undo takes them back."
            if count != 1
            else "1 object found. Undo takes it back."
        )
        left_out = f" {len(refused)} more were left out: {refused[0]}" if refused else ""
        self._unfinished.say(remark + left_out)
        return [commit.record.label_id for commit in event.commits]

    def _is_new(self, plane: Plane, mask: CroppedMask, settings: FindSettings) -> bool:
        """Whether enough of a mask belongs to no other object."""
        free = mask.array() & (read_region(self._controller.labels.data, plane, mask.region) == 0)
        left, area = int(np.count_nonzero(free)), int(np.count_nonzero(mask.array()))
        return left >= max(settings.smallest_px, (1 - settings.overlap) * area)
