"""Replaying a session: the same objects again from their prompts, by the same model or another."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.core.images.identity import content_digest
from napari_samhq.core.journal.drafts import Choice, Draft
from napari_samhq.core.journal.events import Committed, Deleted, LabelsEdit, Painted
from napari_samhq.core.journal.state import Standing
from napari_samhq.core.labels.label_index import Census
from napari_samhq.core.labels.label_writer import LabelWriter, object_mask
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.util.notes import collected_notes
from napari_samhq.core.util.progress import reporting
from napari_samhq.engine.engine import Engine
from napari_samhq.engine.jobs import Progress, amounts
from napari_samhq.engine.models import ModelSource
from napari_samhq.engine.plane_view import Channels, PlaneView, with_channels
from napari_samhq.engine.questions import Question, Request
from napari_samhq.errors import ImageError, LayerError, PromptError, SamHQWarning
from napari_samhq.io.images import open_array
from napari_samhq.io.session_document import SavedSession
from napari_samhq.io.session_files import read_session, source_of
from napari_samhq.settings import CommitRules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_samhq.checkpoints import LoadedModel
    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.events import Event, ObjectRecord
    from napari_samhq.engine.jobs import Report
    from napari_samhq.inference.prediction import SupportsPrediction

__all__ = ["replay"]


def replay(
    session: str | Path | SavedSession,
    image: Any = None,
    model: str | Path | LoadedModel | SupportsPrediction | None = None,
    *,
    progress: Report | bool | None = None,
) -> NDArray[Any]:
    """Make the objects of a session again.

    Parameters
    ----------
    session : str, Path or SavedSession
        A session file, or what was read from one.
    image : array or path, optional
        The image: numpy, dask or zarr of the shape that was annotated, or a file. When left out:
        the file beside the session that it was made on.
    model : str, Path, LoadedModel or predictor, optional
        Who answers the prompts; that of the session when left out.
    progress : bool or callable, optional
        True for a bar. A function is called with a
        :class:`~napari_samhq.engine.jobs.Progress` before each object; it may raise
        :class:`~napari_samhq.errors.Cancelled` to stop.

    Returns
    -------
    ndarray of integers
        The labels, of the shape and type that they had in the session. By the same model on the
        same machine they are those of the session, bit by bit. By another model the prompts are
        the same and the masks its own. Hand edits and deletions are done again in their place;
        objects that were found by segmenting everything are taken as they were found.

    Raises
    ------
    FileError
        If a file cannot be read.
    ImageError
        If the image has another shape than the one that was annotated.
    ModelError, CheckpointError, DownloadError
        If the model cannot be loaded.

    Warns
    -----
    SamHQWarning
        If the image has other pixels, the weights are others than those of the session, or objects
        were left out because this model finds nothing for their prompts.

    Examples
    --------
    >>> import napari_samhq as samhq  # doctest: +SKIP
    >>> labels = samhq.replay("cells.samhq.json", image, model="vit_h")  # doctest: +SKIP
    """
    saved = session if isinstance(session, SavedSession) else read_session(session)
    pixels = _image(saved, session, image)
    engine, name = _engine(model, saved)
    with reporting(progress, amounts) as report:
        again = _Again(saved, pixels, engine, name, report or (lambda _: None))
        again.run()
    for remark in again.remarks:
        warnings.warn(remark, SamHQWarning, stacklevel=2)
    if name == saved.model:
        _compare_weights(again.others)
    if again.left_out:
        numbers = ", ".join(str(label_id) for label_id in again.left_out[:10])
        warnings.warn(
            f"{len(again.left_out)} objects were left out, because this model finds nothing for "
            f"their prompts, or other objects own all of it: {numbers}"
            f"{', ...' if len(again.left_out) > 10 else '.'}",
            SamHQWarning,
            stacklevel=2,
        )
    return again.data


class _Again:
    """Goes through the events of a session and does them again.

    Attributes
    ----------
    data : ndarray
        The labels so far.
    left_out : list of int
        Label ids of objects for which nothing was found.
    remarks : dict of str
        What the model had to say while it answered, each once.
    others : set of str
        Weights that objects were made by, where they are not those that are used now.
    """

    def __init__(
        self, saved: SavedSession, image: Any, engine: Engine, model: str, report: Report
    ) -> None:
        self.data = saved.labels.base.array()
        self.left_out: list[int] = []
        self.others: set[str] = set()
        self.remarks: dict[str, None] = {}
        self._saved, self._image = saved, image
        self._engine, self._model, self._report = engine, model, report
        self._census = Census(self.data)
        self._records = Standing()  # the objects as they are made again
        self._writer = LabelWriter(self.data, self._census, self._records.records.values())
        self._done = 0

    def run(self) -> None:
        """Do everything again."""
        events = self._saved.events[: self._saved.count]
        older = self._older(events)
        self._total = len(older) + sum(len(getattr(event, "commits", ())) for event in events)
        for record in older:
            self._commit(record.plane, [record])
        for event in events:
            if isinstance(event, Committed):
                self._commit(event.plane, [commit.record for commit in event.commits])
            elif isinstance(event, Deleted):
                self._delete(event)
            elif isinstance(event, Painted):
                self._paint(event.edits)
        if not self.others and not self.left_out:
            self._paint(self._saved.labels.corrections)

    def _older(self, events: Sequence[Event]) -> list[ObjectRecord]:
        """Find objects from before the journal begins; their pixels are in the base."""
        standing = Standing({}, {one.label_id: one for one in self._saved.objects})
        for event in reversed(events):
            standing.apply(event, back=True)
        return [standing.records[label_id] for label_id in sorted(standing.records)]

    def _commit(self, plane: Plane, records: Sequence[ObjectRecord]) -> None:
        for record, found in zip(records, self._masks(plane, records), strict=True):
            try:
                self._place(record, found)
            except (PromptError, LayerError):
                self.left_out.append(record.label_id)

    def _place(self, record: ObjectRecord, mask: CroppedMask) -> None:
        rules = CommitRules.of(record.rules)
        mask = object_mask(mask, rules, record.drawn)
        edit = self._writer.place(
            record.plane,
            mask,
            record.label_id,
            record.value,
            rules=rules,
            preserve_labels=self._saved.labels.preserve,
            before=self._records.records.get(record.label_id),
        )
        self._write([edit])
        own = None if record.mask is None else mask
        self._records.records[record.label_id] = dataclasses.replace(record, mask=own)

    def _delete(self, event: Deleted) -> None:
        record = self._records.records.pop(event.label_id, None)
        edit = self._writer.clear(event.edit.plane, event.label_id, record)
        if edit is not None:
            self._write([edit])

    def _paint(self, edits: Iterable[LabelsEdit]) -> None:
        """Do hand edits again as they were drawn, whatever lies below them now."""
        for edit in edits:
            region = self.data[edit.plane.index(edit.region)]
            old = region[edit.changed].copy()
            region[edit.changed] = edit.new
            self._census.note([dataclasses.replace(edit, old=old)])

    def _write(self, edits: Sequence[LabelsEdit]) -> None:
        for edit in edits:
            self.data[edit.plane.index(edit.region)][edit.changed] = edit.new
        self._census.note(edits)

    # ---------------------------------------------------------------------------------- the answers

    def _masks(self, plane: Plane, records: Sequence[ObjectRecord]) -> list[CroppedMask]:
        """Ask as it was asked then: alone, or in a batch with others."""
        found = {i: record.as_found for i, record in enumerate(records)}
        masks = {i: mask for i, mask in found.items() if mask is not None}
        together = [i for i, record in enumerate(records) if record.steps[-1].together]
        if len(together) > 1:
            masks.update(self._ask(plane, records, together, together=True))
        for i, record in enumerate(records):
            if i not in masks:
                # In a batch of two of the same kind the bits are those of any batch.
                batch = record.steps[-1].together
                masks.update(self._ask(plane, records, [i, i] if batch else [i], together=batch))
            self._done += 1
        return [masks[i] for i in range(len(records))]

    def _ask(
        self, plane: Plane, records: Sequence[ObjectRecord], which: Sequence[int], *, together: bool
    ) -> Iterator[tuple[int, CroppedMask]]:
        """Ask for some of the objects, grouped by how the pixels were shown.

        Only answers that were given together, or alone, as wanted, are handed on.
        """
        for seen in dict.fromkeys(records[i].seen for i in which):
            asked = [(i, self._question(records[i])) for i in which if records[i].seen == seen]
            places = {id(question.draft): i for i, question in asked}
            view = self._view(plane, dict(seen))
            request = Request(self._model, view, [question for _, question in asked])
            for answer in self._engine.answers(request, self._tell):
                record = records[places[id(answer.draft)]]
                self.remarks.update(dict.fromkeys(answer.remarks))
                if record.fingerprint not in ("", answer.fingerprint):
                    self.others.add(record.fingerprint)
                if answer.together == together:
                    found = answer.prediction
                    chosen = min(record.steps[-1].candidate, len(found.masks) - 1)
                    start_rc = (found.region[0].start or 0, found.region[1].start or 0)
                    yield places[id(answer.draft)], CroppedMask.of(found.masks[chosen], start_rc)

    def _tell(self, stage: Progress) -> None:
        if stage.stage == "predict":
            stage = Progress("predict", self._done, self._total)
        self._report(stage)

    def _view(self, plane: Plane, seen: dict[str, Any]) -> PlaneView:
        limits, picks = seen.get("contrast_limits"), seen.get("channels")
        channels = None if picks is None else Channels(int(seen["channel_axis"]), tuple(picks))
        data = with_channels(self._image, channels, limits)
        return PlaneView(data, plane, limits, (id(self._image), channels), channels)

    def _question(self, record: ObjectRecord) -> Question:
        *earlier, last = record.steps
        choice = Choice(last.candidate, last.output, record.threshold)
        draft = Draft(record.label_id, last.drawn, choice, earlier=tuple(earlier))
        shape = tuple(int(self._image.shape[axis]) for axis in record.plane.axes)
        with collected_notes():  # they were told when the prompts were drawn
            return Question(draft, last.drawn.to_small_prompt((shape[0], shape[1])))


def _image(saved: SavedSession, session: Any, image: Any) -> Any:
    """Open the image, and see whether it is the one that was annotated."""
    if image is None:
        image = None if isinstance(session, SavedSession) else source_of(saved, session)
        if image is None:
            raise ImageError(
                f"The image {saved.image.name!r} is not beside the session. Give the image, as an "
                "array or a path."
            )
    if isinstance(image, str | Path):
        image = open_array(image)
    elif not hasattr(image, "shape") or not hasattr(image, "dtype"):
        image = np.asarray(image)
    shape = tuple(int(length) for length in image.shape)
    if shape != saved.image.shape:
        raise ImageError(
            f"The image has the shape {shape}; the session was made on {saved.image.name!r} of "
            f"shape {saved.image.shape}. Give that image."
        )
    if content_digest(image) != saved.image.digest:
        warnings.warn(
            f"The image has other pixels than {saved.image.name!r}, which the session was made "
            "on. Prompts are taken as they are.",
            SamHQWarning,
            stacklevel=3,
        )
    return image


def _engine(model: Any, saved: SavedSession) -> tuple[Engine, str]:
    if model is None:
        model = saved.model
    if isinstance(model, str | Path):
        return Engine(), str(model)
    if not hasattr(model, "embed"):
        from napari_samhq.inference import Predictor  # late: brings torch

        model = Predictor(model)
    return Engine(ModelSource(load=lambda _name, _report: model)), str(model.name)


def _compare_weights(others: set[str]) -> None:
    if others:
        warnings.warn(
            "The weights of this model are not those that the session was made with "
            f"({', '.join(sorted(one[:12] for one in others))}), so masks may differ.",
            SamHQWarning,
            stacklevel=3,
        )
