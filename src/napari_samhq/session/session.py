"""A session: prompts on one image of a viewer become objects in a labels layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_samhq.core.journal.drafts import Drafts
from napari_samhq.core.journal.events import Rejected
from napari_samhq.core.journal.shapes_drawn import Drawn
from napari_samhq.engine.engine import shared_engine
from napari_samhq.engine.jobs import InlineRunner
from napari_samhq.errors import LayerError, PromptError
from napari_samhq.session.choosing import Choosing
from napari_samhq.session.controller import Desk
from napari_samhq.session.everything import Finding
from napari_samhq.session.finishing import Finishing
from napari_samhq.session.labels.create import check_labels, new_labels
from napari_samhq.session.layers.lookup import check_image, find_image
from napari_samhq.session.looking import Looking
from napari_samhq.session.notebook import session_card
from napari_samhq.session.propagating import Propagating, Propagator
from napari_samhq.session.state import Current, State, Status, sentence, status_of
from napari_samhq.session.storage.autosave import Autosave
from napari_samhq.session.storage.snapshot import register, save

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.drafts import Draft
    from napari_samhq.engine.engine import Engine
    from napari_samhq.engine.jobs import Runner
    from napari_samhq.io.session_document import SavedSession

__all__ = ["Session", "annotate"]


class Session(Choosing, Looking, Finding, Finishing, Propagating):
    """Prompts on one image of a viewer, and the objects made of them. Made by :func:`annotate`.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
        Where the image is, and where layers are added.
    image : napari.layers.Image
        The image.
    model : str, optional
        Name or path of the model.
    labels : napari.layers.Labels, optional
        Where objects go; it must lie pixel on pixel over the image. A new layer when left out.
    engine : Engine, optional
        What does the work; that of the process when left out, so that sessions share a model.
    runner : Runner, optional
        Where the work is done: at once by default.
    may_fetch : bool, optional
        Whether a model may be downloaded without asking.
    autosave : bool, optional
        Whether each step is kept on the disk, to be brought back if the program ends, see
        :mod:`napari_samhq.session.storage.autosave`.

    Attributes
    ----------
    viewer, image, points, shapes, labels
        The viewer and the bound layers. Whoever draws in `points` and `shapes` prompts.
    prompts : PromptLayers
        The pair of layers; its `positive` says whether the next point drawn lies on the object.
    desk : Desk
        The parts underneath, for those who build an interface on a session.
    path : Path or None
        The file that the session was saved to, or opened from.
    opened : SavedSession or None
        What that file held when it was opened.
    autosave : Autosave or None
        What keeps each step on the disk.
    changed : psygnal.Signal
        Emitted after anything changed: prompts, preview, objects or status.

    Notes
    -----
    All coordinates are (row, column) in pixels of the plane that the viewer shows. An object has a
    label id from its first prompt on. In each plane several may be unfinished; one of them at most
    is active: the next point belongs to it. They wait while other planes are looked at.

    Rectangles give a box, polygons and ellipses the box around them and their area, paths and lines
    positive points along them. A second outline in a plane begins another object.

    When a point is added to an object whose mask is seen, the model gets that mask along with the
    prompts, see :attr:`refine`.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        *,
        model: str = "micro",
        labels: Labels | None = None,
        engine: Engine | None = None,
        runner: Runner | None = None,
        may_fetch: bool = True,
        autosave: bool = False,
    ) -> None:
        check_image(image)
        if labels is None:
            labels = new_labels(image)
        else:
            check_labels(labels, image)
        self.desk = desk = Desk(
            viewer,
            image,
            labels,
            engine=engine or shared_engine(),
            runner=runner or InlineRunner(),
            model=model,
            may_fetch=may_fetch,
        )
        self.viewer, self.image, self.labels = viewer, image, labels
        self.prompts = desk.prompts
        self.points, self.shapes = desk.prompts.points, desk.prompts.shapes
        self.changed = desk.changed
        self._making, self._ledger = desk.making, desk.ledger
        self.propagator = Propagator(desk)
        self.opened: SavedSession | None = None
        self.path: Path | None = None
        self.autosave = Autosave(self) if autosave else None
        register(self)

    @property
    def model(self) -> str:
        """Name or path of the model; set it to use another one."""
        return self._making.asker.model

    @model.setter
    def model(self, model: str) -> None:
        self._making.forget(model)
        self.desk.turn()

    @property
    def status(self) -> Status:
        """The state of the session, and a sentence that says what to do next."""
        if self.desk.closed or self.desk.paused:
            state = State.CLOSED if self.desk.closed else State.PAUSED
            return Status(state, sentence(state))
        return status_of(self._making)

    @property
    def current(self) -> Current:
        """The active object of the present plane, and what can be done with it."""
        journal = self._ledger.journal
        undo, redo = journal.can_undo, journal.can_redo
        nothing = Current(can_undo=undo, can_redo=redo)
        if self.desk.closed:
            return nothing
        try:
            plane = self._making.plane()  # looking must not bring removed layers back
        except LayerError:  # the status says why
            return nothing
        drafts = self._making.drafts(plane)
        draft = self._making.active(plane)
        return Current(
            draft.label_id,
            draft.reopened,
            draft.drawn,
            self._making.fresh(plane, drafts.active_draft) is not None,
            undo,
            redo,
            draft.choice,
            len(drafts.drafts) - (drafts.active_draft is not None),
        )

    @property
    def objects(self) -> pd.DataFrame:
        """The objects: label_id, score, area in pixels, prompts, plane, model, doubt and class.

        ``disagreement`` and ``uncertainty_px`` are those of
        :class:`~napari_samhq.core.measure.uncertainty.Doubt`; NaN where nobody knows them.
        ``category`` is empty where no class was given.
        """
        return self._ledger.table()

    def _repr_html_(self) -> str:
        """Show the plane, its objects and the state in notebooks."""
        return session_card(self.desk, self.status.sentence)

    # ------------------------------------------------------------------------ the object being made

    def commit(self, label_id: int | None = None) -> int:
        """Write the active object, or another one being made, into the labels layer.

        Parameters
        ----------
        label_id : int, optional
            Which of the objects being made in the present plane; the active one when left out.

        Returns
        -------
        int
            Its label id: the one that it had from its first prompt on, unless somebody painted
            with that since; then a new one.

        Raises
        ------
        PromptError
            If there is nothing to commit.
        LayerError
            If the labels layer cannot take it. Nothing is changed then.
        """
        plane = self.desk.plane()
        drafts = self._making.drafts(plane)
        if label_id is not None:
            draft = drafts.get(label_id)
            if draft is None:
                raise LayerError(f"Object {label_id} is not being made in this plane.")
            return self._commit(plane, [draft])[0]
        if drafts and drafts.active_draft is None:
            waiting = ", ".join(str(draft.label_id) for draft in drafts)
            raise PromptError(
                f"None of the objects being made is active, but {waiting} wait. Commit them by "
                "commit_all(), or choose one by activate(label_id)."
            )
        return self._commit(plane, [self._making.active(plane)])[0]

    def commit_all(self) -> list[int]:
        """Write all objects of the present plane into the labels layer, as one step.

        Returns
        -------
        list of int
            Their label ids. Objects that cannot be written still wait: their prompts say nothing,
            their masks are empty, or other objects own all of their pixels.

        Raises
        ------
        PromptError, LayerError
            If none can be written. Nothing is changed then.
        """
        plane = self.desk.plane()
        return self._commit(plane, list(self._making.drafts(plane)))

    def reject(self) -> None:
        """Give up the active object; one that was reopened stays as it was committed."""
        plane = self.desk.plane()
        drafts = self._making.drafts(plane)
        if drafts.active is not None:
            self.desk.note(Rejected(plane, drafts, drafts.without(drafts.active)))

    def reject_all(self) -> None:
        """Give up all objects being made in the present plane."""
        plane = self.desk.plane()
        drafts = self._making.drafts(plane)
        if drafts:
            self.desk.note(Rejected(plane, drafts, Drafts()))

    def clear(self) -> None:
        """Remove all prompts of the active object."""
        plane = self.desk.plane()
        draft = self._making.drafts(plane).active_draft
        if draft is not None and draft.drawn:
            self.desk.draw(plane, draft.redrawn(Drawn()))

    def next_object(self) -> int | None:
        """Go on to the next object: commit the active one if it has a mask, else reject it."""
        plane = self.desk.plane()
        if self._making.fresh(plane, self._making.drafts(plane).active_draft) is not None:
            return self.commit()
        self.reject()
        return None

    # ------------------------------------------------------------------------------ what was made
    def undo(self) -> bool:
        """Take back the last thing that was done; False if there is nothing left."""
        self.desk.plane()
        event = self._ledger.undo()
        if event is not None:
            self._making.follow_choice(event, event.before)
            self.desk.turn_to(event.plane, event.before)
        return event is not None

    def redo(self) -> bool:
        """Do again what was taken back last; False if there is nothing left."""
        self.desk.plane()
        event = self._ledger.redo()
        if event is not None:
            self._making.follow_choice(event, event.after)
            self.desk.turn_to(event.plane, event.after)
        return event is not None

    def reopen(self, label_id: int) -> None:
        """Take a committed object up again: its prompts come back and can be changed.

        Raises
        ------
        LayerError
                If it was not made in this session.
        """
        plane = self._plane_of(label_id)
        event = self._ledger.reopen(label_id, self._making.drafts(plane))
        self.desk.turn_to(event.plane, event.after)

    def delete(self, label_id: int) -> None:
        """Take an object out of the labels layer: its plane, or the present one if painted by hand.

        Raises
        ------
        LayerError
            If there is no such object.
        """
        plane = self._plane_of(label_id)
        event = self._ledger.delete(label_id, plane, self._making.drafts(plane))
        self.desk.turn_to(event.plane, event.after)

    def classify(self, label_id: int, category: str) -> None:
        """Say of which class an object is, such as "nucleus"; an empty text takes the class away.

        Classes are in the table of objects, go along into COCO, GeoJSON and CSV files, and can be
        taken back by :meth:`undo`.

        Raises
        ------
        LayerError
            If there is no such object.
        """
        plane = self._plane_of(label_id)
        self._ledger.classify(label_id, category, plane, self._making.drafts(plane))
        self.changed.emit()

    def _plane_of(self, label_id: int) -> Plane:
        """Find the plane of an object: the present one, if nobody knows what made it."""
        record = self._ledger.records.get(label_id)
        return record.plane if record is not None else self.desk.plane()

    def _commit(self, plane: Plane, drafts: list[Draft]) -> list[int]:
        if not drafts:
            raise PromptError(
                "There is no prompt in this plane, so nothing says which object is meant. Add a "
                "positive point on the object, or a box around it."
            )
        answers, refused = self._making.answer(plane, drafts)
        if not answers and refused:
            raise refused[0]
        seen = dict(self._making.view(plane).seen)
        drafted = self._making.drafts(plane)
        event, unwritten = self._ledger.commit(plane, drafted, answers, **seen)
        self.desk.turn_to(plane, event.after)
        refused += unwritten
        if refused:
            self._making.remark = f"{len(refused)} of {len(drafts)} still wait. {refused[0]}"
            self.changed.emit()
        return [commit.record.label_id for commit in event.commits]

    def save(self, path: str | Path | None = None, *, overwrite: bool = False) -> Path:
        """Save the session to a file: objects, unfinished ones, labels, and all steps.

        Parameters
        ----------
        path : str or Path, optional
            A name that ends in ``.samhq.json``; where it was saved before when left out.
        overwrite : bool, optional
            Whether another file of this name may be replaced. The session's own file always is;
            its last three versions stay beside it.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        FileError
            If it cannot be written. What was there before is there still.
        """
        return save(self, path, overwrite=overwrite)

    def close(self) -> None:
        """End the session: unfinished prompts and the preview go, the labels layer stays."""
        self.desk.close()


def annotate(
    viewer: ViewerModel,
    image: Image | str | None = None,
    model: str = "micro",
    *,
    labels: Labels | None = None,
    autosave: bool = False,
) -> Session:
    """Begin to annotate an image of a viewer.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
        A viewer, with or without a window.
    image : napari.layers.Image or str, optional
        The image layer or its name; the selected or uppermost image when left out.
    model : str, optional
        Name of a model, or path of its weights, see :func:`napari_samhq.load_model`.
    labels : napari.layers.Labels, optional
        Where objects go; a new layer over the image when left out.
    autosave : bool, optional
        Whether each step is kept on the disk, to be brought back in the dock if the program ends.

    Returns
    -------
    Session
        With the bound layers. Each of its methods returns when its work is done. Prompts that are
        drawn with the mouse show their mask at once.

    Raises
    ------
    LayerError
        If there is no such image, or the labels layer does not lie over it.

    Examples
    --------
    >>> import numpy as np
    >>> from napari.components import ViewerModel
    >>> viewer = ViewerModel()
    >>> _ = viewer.add_image(np.zeros((40, 60)), name="cells")
    >>> session = annotate(viewer, "cells")
    >>> [layer.name for layer in viewer.layers]
    ['cells', 'cells objects', 'cells preview', 'cells boxes', 'cells points']
    >>> session.close()
    """
    layer = find_image(viewer, image)
    return Session(viewer, layer, model=model, labels=labels, autosave=autosave)
