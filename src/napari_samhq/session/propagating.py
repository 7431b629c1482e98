"""Objects of a stack followed through its planes, as one step of the session."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.geometry.planes import Plane
from napari_samhq.core.journal.events import LabelsEdit, Painted
from napari_samhq.core.masks.cropped import CroppedMask, bounds_of
from napari_samhq.core.util.progress import reporting
from napari_samhq.engine.jobs import Progress, amounts
from napari_samhq.errors import LayerError
from napari_samhq.inference.propagate import doubt_table
from napari_samhq.inference.propagation.run import Job, iter_propagate
from napari_samhq.inference.propagation.volume import Volume, given_outlines
from napari_samhq.session.parts import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from napari_samhq.engine.jobs import Report
    from napari_samhq.inference.propagation.courses import Direction
    from napari_samhq.inference.propagation.run import Doubtful, Step
    from napari_samhq.session.controller import SessionController

__all__ = ["Propagating", "Propagator"]

Outlines = dict[int, dict[int, CroppedMask]]  # of planes, by label id


class Propagating(Part):
    """Follows objects through the planes of a stack."""

    def __init__(self, controller: SessionController) -> None:
        super().__init__(controller)
        self.propagator = Propagator(controller)

    def propagate(
        self,
        label_ids: Iterable[int] | None = None,
        *,
        axis: int | None = None,
        planes: tuple[int, int] | Mapping[int, tuple[int, int]] | None = None,
        direction: Direction = "both",
        progress: Report | bool | None = None,
    ) -> list[int]:
        """Follow objects through the other planes, wait, and write them as one step of undo.

        Planes in which an object was outlined, corrected or locked stay to the pixel; what an
        earlier call computed is computed anew. So: follow, look where the doubt is, correct a
        plane there, follow again.

        Parameters
        ----------
        label_ids : iterable of int, optional
            Which objects; all of the stack when left out. The pixels of others stay theirs.
        axis : int, optional
            The axis of the image's data to go along; that of the slider when left out, the last
            one where there are several. Along all other axes the present position counts.
        planes, direction : optional
            As in :func:`napari_samhq.propagate`.
        progress : bool or callable, optional
            True for a bar. A function gets a :class:`~napari_samhq.engine.jobs.Progress` for each
            plane; it may raise :class:`~napari_samhq.errors.Cancelled`: nothing is written then.

        Returns
        -------
        list of int
            The label ids of the objects that were followed.

        Raises
        ------
        LayerError
            If the image is no stack, or there is no such object. Nothing is changed then.
        ImageError, SettingsError, ModelError, FileError
            As :func:`napari_samhq.propagate` does.
        """
        chosen = None if label_ids is None else sorted({int(one) for one in label_ids})
        settings = {"planes": planes, "direction": direction}
        with reporting(progress, amounts) as report:
            return self.propagator.run(chosen, axis, settings, report)

    @property
    def doubt(self) -> pd.DataFrame:
        """How far to trust computed outlines: label_id, plane, doubt and reason.

        Rows of planes that were corrected or deleted since are left out.
        """
        return self.propagator.doubt()

    def lock(self, plane: int | None = None) -> None:
        """Keep a plane as it is: :meth:`propagate` takes all outlines in it for right.

        Parameters
        ----------
        plane : int, optional
            Index along the axis that objects are followed along; the present one when left out.
        """
        self.propagator.locked.add(self.propagator.index_of(plane))

    def unlock(self, plane: int | None = None) -> None:
        """Let :meth:`propagate` compute a plane again that was locked."""
        self.propagator.locked.discard(self.propagator.index_of(plane))


@dataclass(frozen=True)
class _Stack:
    """Three axes of an array, the others at fixed positions; read when it is cut."""

    data: Any
    axes: tuple[int, int, int]
    fixed: tuple[tuple[int, int], ...]  # pairs of axis and position

    @property
    def dtype(self) -> Any:
        return self.data.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        spatial = len(self.axes) + len(self.fixed)
        colours = tuple(self.data.shape)[spatial:]
        return (*(int(self.data.shape[axis]) for axis in self.axes), *colours)

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[Any]:
        index: list[Any] = [slice(None)] * len(self.data.shape)
        for axis, position in self.fixed:
            index[axis] = position
        places = (*self.axes, *range(len(self.axes) + len(self.fixed), len(index)))
        for axis, part in zip(places, key, strict=False):
            index[axis] = part
        return np.asarray(self.data[tuple(index)])


@dataclass(eq=False)
class Propagator:
    """Runs over the stacks of a session, and what is known of earlier ones.

    Attributes
    ----------
    controller : SessionController
    locked : set of int
        Planes that are taken for right.
    """

    controller: SessionController
    locked: set[int] = field(default_factory=set)
    _axis: int | None = None
    _computed: dict[tuple[Plane, int], tuple[CroppedMask, Doubtful]] = field(default_factory=dict)

    def index_of(self, plane: int | None) -> int:
        """Find the present plane along the axis that objects are followed along."""
        if plane is not None:
            return int(plane)
        present = self.controller.plane()
        axis = self._chosen_axis(present, None)
        return present.position[present.other_axes.index(axis)]

    def run(
        self,
        label_ids: list[int] | None,
        axis: int | None,
        settings: dict[str, Any],
        progress: Report | None,
    ) -> list[int]:
        """Follow objects and write what was found; see :meth:`Propagating.propagate`."""
        controller = self.controller
        controller.history.tracked.settle()
        plane = controller.plane()
        axis = self._chosen_axis(plane, axis)
        view = controller.masks.view(plane)
        volume = Volume(
            self._stack(view.data, plane, axis), self._along(plane, axis), view.contrast_limits
        )
        labels = self._stack(controller.labels.data, plane, axis)
        present = given_outlines(labels, volume)
        given, others = self._sorted(present, label_ids, plane, axis)
        job = Job.of(volume, given, sampling=(1.0, 1.0), others=others, **settings)
        engine, model = controller.masks.scheduler.engine, controller.masks.scheduler.model

        def work(report: Report) -> list[Step]:
            predictor = engine.load(model, report)
            found = []
            with closing(iter_propagate(job, predictor)) as steps:
                for step in steps:
                    told = Progress("predict", step.done, step.total)
                    report(told)
                    if progress is not None:
                        progress(told)
                    if step.labels is not None:
                        found.append(step)
            return found

        controller.masks.scheduler.do(
            "propagate", work, lambda found: self._take(plane, axis, found), wait=True
        )
        self._axis = axis
        controller.changed.emit()
        return sorted({one.label_id for one in job.courses})

    def doubt(self) -> pd.DataFrame:
        """List the doubt of outlines that are still as they were computed."""
        pixels = self.controller.history.tracked.pixels
        return doubt_table(
            [
                doubt
                for (plane, label_id), (mask, doubt) in self._computed.items()
                if pixels(plane, label_id) == mask
            ]
        )

    def _chosen_axis(self, plane: Plane, axis: int | None) -> int:
        if not plane.other_axes:
            raise LayerError(
                "The image is one plane, so there is nothing to follow objects through. Open a "
                "stack."
            )
        axis = self._axis if axis is None and self._axis in plane.other_axes else axis
        if axis is None:
            return plane.other_axes[-1]
        if axis not in plane.other_axes:
            raise LayerError(
                f"axis is {axis}; the viewer shows axes {plane.axes} of the image, and objects can "
                f"be followed along one of {plane.other_axes}."
            )
        return axis

    def _along(self, plane: Plane, axis: int) -> int:
        return sorted((axis, *plane.axes)).index(axis)

    def _stack(self, data: Any, plane: Plane, axis: int) -> _Stack:
        axes = sorted((axis, *plane.axes))
        fixed = tuple(
            (other, position)
            for other, position in zip(plane.other_axes, plane.position, strict=True)
            if other != axis
        )
        return _Stack(data, (axes[0], axes[1], axes[2]), fixed)

    def _at(self, plane: Plane, axis: int, index: int) -> Plane:
        """Name a parallel plane."""
        pairs = zip(plane.other_axes, plane.position, strict=True)
        return Plane(plane.axes, tuple(index if one == axis else place for one, place in pairs))

    def _sorted(
        self, present: Outlines, label_ids: list[int] | None, plane: Plane, axis: int
    ) -> tuple[Outlines, Outlines]:
        """Tell outlines that are right, and those of objects that are not followed."""
        there = {label_id for outlines in present.values() for label_id in outlines}
        missing = sorted(set(label_ids or ()) - there)
        if missing:
            raise LayerError(
                f"There is no object {missing[0]} in this stack. See session.objects for those "
                "that are there."
            )
        followed = there if label_ids is None else set(label_ids)
        given: Outlines = {}
        others: Outlines = {}
        for index, outlines in present.items():
            where = self._at(plane, axis, index)
            for label_id, mask in outlines.items():
                if label_id not in followed:
                    others.setdefault(index, {})[label_id] = mask
                    continue
                earlier = self._computed.get((where, label_id))
                if index in self.locked or earlier is None or earlier[0] != mask:
                    given.setdefault(index, {})[label_id] = mask
        return given, others

    def _take(self, plane: Plane, axis: int, found: list[Step]) -> None:
        """Write what was found, as one step, and remember it."""
        controller = self.controller
        edits, computed = [], {}
        for step in found:
            if step.plane in self.locked or step.labels is None:
                continue
            where = self._at(plane, axis, step.plane)
            edit = _edit(controller.labels.data, where, step.labels)
            if edit is not None:
                edits.append(edit)
            for doubt in step.doubts:
                mask = CroppedMask.of(step.labels == doubt.label_id)
                computed[where, doubt.label_id] = (mask, doubt)
        if edits:
            controller.history.tracked.write(edits)
            drafts = controller.unfinished.drafts(plane)
            controller.history.append(Painted(plane, drafts, drafts, tuple(edits)))
        self._computed |= computed
        count = len({label_id for _, label_id in computed})
        controller.unfinished.say(f"{count} objects followed through {len(edits)} planes.")


def _edit(data: Any, plane: Plane, labels: NDArray[np.int32]) -> LabelsEdit | None:
    """Work out what changes in a plane of the labels."""
    before = np.asarray(data[plane.index()])
    after = labels.astype(before.dtype)
    changed = before != after
    if not changed.any():
        return None
    region = bounds_of(changed)
    inside = changed[region]
    return LabelsEdit(plane, region, inside, before[region][inside], after[region][inside])
