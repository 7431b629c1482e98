"""Session of a viewer: prompts on one image become objects in a labels layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_samhq.engine.engine import shared_engine
from napari_samhq.engine.jobs import InlineRunner
from napari_samhq.errors import LayerError
from napari_samhq.session.choosing import Choosing
from napari_samhq.session.committing import Committing
from napari_samhq.session.computing import Computing
from napari_samhq.session.controller import SessionController
from napari_samhq.session.drawing import Drawing
from napari_samhq.session.everything import Finding
from napari_samhq.session.finishing import Finishing
from napari_samhq.session.labels.create import check_labels, new_labels
from napari_samhq.session.layers.lookup import check_image, find_image
from napari_samhq.session.looking import Looking
from napari_samhq.session.notebook import session_card
from napari_samhq.session.parts import PartMethod, PartProperty
from napari_samhq.session.propagating import Propagating
from napari_samhq.session.records import Records
from napari_samhq.session.state import current_of, resolve, status_of
from napari_samhq.session.storage.autosave import Autosave
from napari_samhq.session.storage.snapshot import register, save

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.core.journal.drafts import Drafts
    from napari_samhq.core.journal.events import Journal, ObjectRecord
    from napari_samhq.core.tiles.grid import Region
    from napari_samhq.engine.engine import Engine
    from napari_samhq.engine.jobs import Runner
    from napari_samhq.engine.plane_view import PlaneView
    from napari_samhq.io.session_document import SavedSession
    from napari_samhq.session.state import Candidate, Current, SessionState, Status, Unfinished
    from napari_samhq.settings import CommitRules

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
    controller : SessionController
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

    # ------------------------------------------------------- prompts: session/drawing.py
    add_points = PartMethod("_drawing", Drawing.add_points)
    add_box = PartMethod("_drawing", Drawing.add_box)
    add_boxes = PartMethod("_drawing", Drawing.add_boxes)
    add_shape = PartMethod("_drawing", Drawing.add_shape)
    add_mask = PartMethod("_drawing", Drawing.add_mask)
    add_labels = PartMethod("_drawing", Drawing.add_labels)

    # ------------------------------------------------------- masks: session/choosing.py
    plane: PartProperty[Plane] = PartProperty("_choosing", Choosing.plane)
    view: PartProperty[PlaneView] = PartProperty("_choosing", Choosing.view)
    refine: PartProperty[bool] = PartProperty("_choosing", Choosing.refine)
    rules: PartProperty[CommitRules] = PartProperty("_choosing", Choosing.rules)
    drafts: PartProperty[tuple[Unfinished, ...]] = PartProperty("_choosing", Choosing.drafts)
    candidates: PartProperty[tuple[Candidate, ...]] = PartProperty("_choosing", Choosing.candidates)
    activate = PartMethod("_choosing", Choosing.activate)
    predict = PartMethod("_choosing", Choosing.predict)
    predict_all = PartMethod("_choosing", Choosing.predict_all)
    choose = PartMethod("_choosing", Choosing.choose)
    choose_output = PartMethod("_choosing", Choosing.choose_output)
    choose_threshold = PartMethod("_choosing", Choosing.choose_threshold)
    difference = PartMethod("_choosing", Choosing.difference)
    shows_difference: PartProperty[bool] = PartProperty("_choosing", Choosing.shows_difference)

    # ------------------------------------------------------- the model: session/computing.py
    device: PartProperty[str] = PartProperty("_computing", Computing.device)
    use_device = PartMethod("_computing", Computing.use_device)
    keep_embeddings = PartMethod("_computing", Computing.keep_embeddings)
    fetch = PartMethod("_computing", Computing.fetch)
    prepare = PartMethod("_computing", Computing.prepare)
    ask_again = PartMethod("_computing", Computing.ask_again)

    # ------------------------------------------------------- objects: session/committing.py
    objects: PartProperty[pd.DataFrame] = PartProperty("_records", Records.objects)
    records: PartProperty[Mapping[int, ObjectRecord]] = PartProperty("_records", Records.records)
    journal: PartProperty[Journal] = PartProperty("_records", Records.journal)
    unfinished: PartProperty[dict[Plane, Drafts]] = PartProperty("_records", Records.unfinished)
    commit = PartMethod("_committing", Committing.commit)
    commit_all = PartMethod("_committing", Committing.commit_all)
    reject = PartMethod("_committing", Committing.reject)
    reject_all = PartMethod("_committing", Committing.reject_all)
    clear = PartMethod("_committing", Committing.clear)
    next_object = PartMethod("_committing", Committing.next_object)
    undo = PartMethod("_committing", Committing.undo)
    redo = PartMethod("_committing", Committing.redo)
    reopen = PartMethod("_committing", Committing.reopen)
    delete = PartMethod("_committing", Committing.delete)
    classify = PartMethod("_committing", Committing.classify)
    locate = PartMethod("_records", Records.locate)
    pixels_of = PartMethod("_records", Records.pixels_of)

    # ------------------------------------------------------- all objects: session/everything.py
    segment_everything = PartMethod("_finding", Finding.segment_everything)
    begin_everything = PartMethod("_finding", Finding.begin_everything)
    everything_is_latest: PartProperty[bool] = PartProperty(
        "_finding", Finding.everything_is_latest
    )

    # ------------------------------------------------------- stacks: session/propagating.py
    propagate = PartMethod("_propagating", Propagating.propagate)
    doubt: PartProperty[pd.DataFrame] = PartProperty("_propagating", Propagating.doubt)
    lock = PartMethod("_propagating", Propagating.lock)
    unlock = PartMethod("_propagating", Propagating.unlock)

    # ------------------------------------------------------- the image: session/looking.py
    channels: PartProperty[tuple[int, ...] | None] = PartProperty("_looking", Looking.channels)
    channel_axis: PartProperty[int | None] = PartProperty("_looking", Looking.channel_axis)
    seen_by_model = PartMethod("_looking", Looking.seen_by_model)

    # ------------------------------------------------------- finished areas: session/finishing.py
    finished: PartProperty[dict[Plane, tuple[Region, ...]]] = PartProperty(
        "_finishing", Finishing.finished
    )
    finished_here: PartProperty[tuple[Region, ...]] = PartProperty(
        "_finishing", Finishing.finished_here
    )
    finish = PartMethod("_finishing", Finishing.finish)
    unfinish = PartMethod("_finishing", Finishing.unfinish)

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
        self.controller = controller = SessionController(
            viewer,
            image,
            labels,
            engine=engine or shared_engine(),
            runner=runner or InlineRunner(),
            model=model,
            may_fetch=may_fetch,
        )
        self.viewer, self.image, self.labels = viewer, image, labels
        self.prompts = controller.prompts
        self.points, self.shapes = controller.prompts.points, controller.prompts.shapes
        self.changed = controller.changed
        self._drawing, self._choosing = Drawing(controller), Choosing(controller)
        self._committing, self._records = Committing(controller), Records(controller)
        self._computing, self._finding = Computing(controller), Finding(controller)
        self._looking, self._finishing = Looking(controller), Finishing(controller)
        self._propagating = Propagating(controller)
        self.opened: SavedSession | None = None
        self.path: Path | None = None
        self.autosave = Autosave(self) if autosave else None
        register(self)

    @property
    def model(self) -> str:
        """Name or path of the model; set it to use another one."""
        return self.controller.masks.scheduler.model

    @model.setter
    def model(self, model: str) -> None:
        self.controller.masks.forget(model)
        self.controller.turn()

    @property
    def status(self) -> Status:
        """The state of the session, and a sentence that says what to do next."""
        return status_of(self.controller)

    @property
    def state(self) -> SessionState:
        """All that is shown of the session, as one frozen value: read it once after a change."""
        return resolve(self.controller)

    @property
    def current(self) -> Current:
        """The active object of the present plane, and what can be done with it."""
        try:
            plane = None if self.controller.closed else self.plane
        except LayerError:  # the status says why
            plane = None
        return current_of(self.controller, plane)

    @property
    def preview(self) -> Labels:
        """The layer that shows masks before they are accepted."""
        return self.controller.preview.layer

    @property
    def closed(self) -> bool:
        """Whether the session is over."""
        return self.controller.closed

    @property
    def paused(self) -> bool:
        """Whether the layers for prompts are hidden, and nothing is answered to."""
        return self.controller.paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self.controller.paused = paused

    def _repr_html_(self) -> str:
        """Show the plane, its objects and the state in notebooks."""
        return session_card(self)

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

    def name_layers(self) -> None:
        """Give the layers for prompts their plain names, once others that had them are gone."""
        self.controller.name_layers()

    def show_layers(self) -> None:
        """Put the layers for prompts, preview and objects back where the user removed them."""
        self.controller.ensure_layers()

    def say(self, remark: str) -> None:
        """Add a remark to the status, until the next change."""
        self.controller.unfinished.say(remark)
        self.changed.emit()

    def close(self) -> None:
        """End the session: unfinished prompts and the preview go, the labels layer stays."""
        self.controller.close()


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
