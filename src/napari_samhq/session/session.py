"""A session: prompts on one image of a viewer become objects in a labels layer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_samhq.core.geometry import box_around
from napari_samhq.core.prompts import clean_box
from napari_samhq.errors import LayerError, PromptError
from napari_samhq.session.desk import Desk
from napari_samhq.session.engine import Engine
from napari_samhq.session.journal import Draft, Rejected
from napari_samhq.session.labels import check_labels, new_labels
from napari_samhq.session.prompting import Drawn, DrawnPoint, shape_from_box
from napari_samhq.session.runner import InlineRunner
from napari_samhq.session.snapshots import Candidate, Current
from napari_samhq.session.status import State, Status, sentence, status_of
from napari_samhq.session.targets import find_image, to_plane_rc

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel
    from napari.layers import Image, Labels
    from numpy.typing import ArrayLike

    from napari_samhq.inference.prediction import Prediction
    from napari_samhq.session.runner import Runner

__all__ = ["Session", "annotate"]


class Session:
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
        What does the work; may be shared by sessions with the same runner.
    runner : Runner, optional
        Where the work is done: at once by default.
    may_fetch : bool, optional
        Whether a model may be downloaded without asking.

    Attributes
    ----------
    viewer, image, points, shapes, labels
        The viewer and the bound layers. Whoever draws in `points` and `shapes` prompts.
    prompts : PromptLayers
        The pair of layers; its `positive` says whether the next point drawn lies on the object.
    desk : Desk
        The parts underneath, for those who build an interface on a session.
    changed : psygnal.Signal
        Emitted after anything changed: prompts, preview, objects or status.

    Notes
    -----
    All coordinates are (row, column) in pixels of the plane that the viewer shows. In each plane at
    most one object is being made; it waits there while other planes are looked at.

    A closed shape (rectangle, ellipse, polygon) gives the box around it; a newer one takes its
    place. Paths and lines give positive points along them.
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
    ) -> None:
        if labels is None:
            labels = new_labels(image)
        else:
            check_labels(labels, image)
        self.desk = desk = Desk(
            viewer,
            image,
            labels,
            engine=engine or Engine(),
            runner=runner or InlineRunner(),
            model=model,
            may_fetch=may_fetch,
        )
        self.viewer, self.image, self.labels = viewer, image, labels
        self.prompts = desk.prompts
        self.points, self.shapes = desk.prompts.points, desk.prompts.shapes
        self.changed = desk.changed
        self._making, self._ledger = desk.making, desk.ledger

    @property
    def model(self) -> str:
        """Name or path of the model; set it to use another one."""
        return self.desk.asker.model

    @model.setter
    def model(self, model: str) -> None:
        self.desk.asker.use_model(model)
        self.desk.turn()

    @property
    def status(self) -> Status:
        """The state of the session, and a sentence that says what to do next."""
        if self.desk.closed:
            return Status(State.CLOSED, sentence(State.CLOSED))
        return status_of(self._making)

    @property
    def current(self) -> Current:
        """What is being made in the present plane, and what can be done with it."""
        journal = self._ledger.journal
        nothing = Current(0, False, Drawn(), False, journal.can_undo, journal.can_redo)
        if self.desk.closed:
            return nothing
        try:
            plane = self._making.plane()
        except LayerError:
            return nothing
        draft = self._making.draft(plane)
        return replace(
            nothing,
            label_id=self._making.label_id(plane),
            reopened=draft.label_id is not None,
            drawn=draft.drawn,
            predicted=self._making.fresh(plane) is not None,
        )

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The model's masks for the object being made, best first; empty before a prediction."""
        shown = self._making.fresh(self._making.plane())
        if shown is None:
            return ()
        found = shown.prediction
        return tuple(
            Candidate(mask, found.region, float(score), index == shown.chosen)
            for index, (mask, score) in enumerate(zip(found.masks, found.scores, strict=True))
        )

    @property
    def objects(self) -> pd.DataFrame:
        """The objects made here: label_id, score, area in pixels, prompts, plane, model."""
        return self._ledger.table()

    # ------------------------------------------------------------------------ the object being made

    def add_points(self, points: ArrayLike, positive: bool = True, *, world: bool = False) -> None:
        """Add points to the object being made.

        Parameters
        ----------
        points : array_like of shape (N, 2)
            Row, column in pixels of the present plane. With `world`: world coordinates of the
            viewer, (N, 2) along the displayed axes, or (N, ndim).
        positive : bool, optional
            Whether they lie on the object, or beside it.
        world : bool, optional
            Whether they are world coordinates.

        Raises
        ------
        PromptError
            If the array has another form, or nothing in it is finite.
        LayerError
            If there is no plane to prompt, as in a 3-D display, or the session is over.
        """
        plane = self.desk.plane()
        rows_cols = to_plane_rc(points, self.viewer, self.image, plane, world=world)
        added = tuple(DrawnPoint(float(row), float(col), positive) for row, col in rows_cols)
        drawn = self._making.draft(plane).drawn
        self.desk.draw(plane, replace(drawn, points=(*drawn.points, *added)))

    def add_box(self, box: ArrayLike, *, world: bool = False) -> None:
        """Put a box around the object being made, in place of an earlier one.

        Parameters
        ----------
        box : array_like of shape (4,)
            min_row, min_col, max_row, max_col in pixels of the present plane; with `world`, in
            world coordinates of the displayed axes.
        world : bool, optional
            Whether they are world coordinates.

        Raises
        ------
        PromptError
            If the box has another form or no area, or lies outside of the image.
        LayerError
            As :meth:`add_points`.
        """
        plane = self.desk.plane()
        shape = shape_from_box(box)
        if world:
            corners = to_plane_rc(shape.vertices, self.viewer, self.image, plane, world=True)
            shape = replace(shape, vertices=tuple((float(r), float(c)) for r, c in corners))
        clean_box(box_around(shape.vertices), self._making.view(plane).shape)
        drawn = self._making.draft(plane).drawn
        self.desk.draw(plane, replace(drawn, shapes=(*drawn.shapes, shape)).with_one_area())

    def predict(self) -> Prediction:
        """Ask the model for the object being made, wait, and show its mask as preview.

        Returns
        -------
        Prediction
            Three candidates after a single click, best first; otherwise one.

        Raises
        ------
        PromptError
            If nothing says which object is meant.
        SamHQError
            If the image or the model cannot be used.
        """
        shown = self._making.predict(self.desk.plane())
        self.changed.emit()
        return shown.prediction

    def choose(self, index: int) -> None:
        """Take another of the :attr:`candidates`, counted from 0."""
        count = len(self.candidates)
        if not 0 <= index < count:
            raise PromptError(
                f"There is no candidate {index}: at present there are {count}, counted from 0. "
                "Call predict() after adding prompts."
            )
        self.desk.asker.choose(self.desk.plane(), index)
        self._making.show()
        self.changed.emit()

    def commit(self) -> int:
        """Write the object being made into the labels layer.

        Returns
        -------
        int
            Its label id: a new one, or that of the object that was reopened.

        Raises
        ------
        PromptError
            If there is nothing to commit.
        LayerError
            If the labels layer cannot take it. Nothing is changed then.
        """
        plane = self.desk.plane()
        draft = self._making.draft(plane)
        shown = self._making.fresh(plane) or self._making.predict(plane)
        label_id = self._ledger.commit(plane, draft, shown)
        self.desk.asker.forget(plane)
        self.desk.turn_to(plane, Draft())
        return label_id

    def reject(self) -> None:
        """Give up the object being made; one that was reopened stays as it was committed."""
        plane = self.desk.plane()
        draft = self._making.draft(plane)
        if draft:
            self.desk.asker.forget(plane)
            self.desk.note(Rejected(plane, draft, Draft()))

    def clear(self) -> None:
        """Remove all prompts of the object being made."""
        plane = self.desk.plane()
        if self._making.draft(plane).drawn:
            self.desk.asker.forget(plane)
            self.desk.draw(plane, Drawn())

    def next_object(self) -> int | None:
        """Go on to the next object: commit what is being made if it has a mask, else reject it."""
        if self._making.fresh(self.desk.plane()) is not None:
            return self.commit()
        self.reject()
        return None

    # ------------------------------------------------------------------------------ what was made

    def undo(self) -> bool:
        """Take back the last thing that was done; False if there is nothing left."""
        self.desk.plane()
        event = self._ledger.undo()
        if event is not None:
            self.desk.turn_to(event.plane, event.before)
        return event is not None

    def redo(self) -> bool:
        """Do again what was taken back last; False if there is nothing left."""
        self.desk.plane()
        event = self._ledger.redo()
        if event is not None:
            self.desk.turn_to(event.plane, event.after)
        return event is not None

    def reopen(self, label_id: int) -> None:
        """Take a committed object up again: its prompts come back and can be changed.

        Raises
        ------
        LayerError
            If it was not made in this session, or another object is being made in its plane.
        """
        record = self._ledger.records.get(label_id)
        plane = record.plane if record is not None else self.desk.plane()
        event = self._ledger.reopen(label_id, self._making.draft(plane))
        self.desk.turn_to(event.plane, event.after)

    def delete(self, label_id: int) -> None:
        """Take an object out of the labels layer: its plane, or the present one if painted by hand.

        Raises
        ------
        LayerError
            If there is no such object.
        """
        record = self._ledger.records.get(label_id)
        plane = record.plane if record is not None else self.desk.plane()
        event = self._ledger.delete(label_id, plane, self._making.draft(plane))
        self.desk.turn_to(event.plane, event.after)

    def close(self) -> None:
        """End the session: unfinished prompts and the preview go, the labels layer stays."""
        self.desk.close()


def annotate(
    viewer: ViewerModel,
    image: Image | str | None = None,
    model: str = "micro",
    *,
    labels: Labels | None = None,
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
    return Session(viewer, find_image(viewer, image), model=model, labels=labels)
