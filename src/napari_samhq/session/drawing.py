"""Add points, boxes, shapes, masks, and labels to refine, in place of drawing them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from napari_samhq.core.geometry.frames import box_around
from napari_samhq.core.journal.drafts import Draft, Drafts
from napari_samhq.core.journal.events import PromptsChanged
from napari_samhq.core.journal.shapes_drawn import CLOSED_SHAPES, Drawn, DrawnPoint, DrawnShape
from napari_samhq.core.labels.edits import pixels_with
from napari_samhq.core.labels.label_index import Census
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.core.prompts.prompt import Prompt, clean_box
from napari_samhq.errors import LayerError, PromptError, SamHQWarning
from napari_samhq.session.layers.lookup import to_plane_rc
from napari_samhq.session.layers.transforms import check_placement, layer_shape
from napari_samhq.session.parts import Part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.layers import Labels
    from numpy.typing import ArrayLike, NDArray

    from napari_samhq.core.geometry.planes import Plane

__all__ = ["Drawing", "ShapeKind"]

ShapeKind: TypeAlias = Literal["rectangle", "ellipse", "polygon", "path", "line"]

_KINDS = (*sorted(CLOSED_SHAPES), "line", "path")


class Drawing(Part):
    """Adds prompts to the objects being made. All coordinates are (row, column).

    Notes
    -----
    Points, paths and lines belong to the active object, or begin one. So does a closed shape or a
    mask, unless the active object has one: an object has one outline, the next is another object.
    """

    def add_points(self, points: ArrayLike, positive: bool = True, *, world: bool = False) -> None:
        """Add points to the active object.

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
        plane = self.controller.plane()
        rows_cols = to_plane_rc(points, self.viewer, self.image, plane, world=world)
        added = tuple(DrawnPoint(float(row), float(col), positive) for row, col in rows_cols)
        draft = self._unfinished.active(plane)
        self._redraw(plane, draft, replace(draft.drawn, points=(*draft.drawn.points, *added)))

    def add_box(self, box: ArrayLike, *, world: bool = False) -> None:
        """Put a box around the active object, or begin another object if it has an outline.

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
        plane = self.controller.plane()
        self._add_shapes(plane, [self._rectangle(plane, box, world)])

    def add_boxes(self, boxes: ArrayLike, *, world: bool = False) -> list[int]:
        """Begin one object for each box. They are answered in one go.

        Parameters
        ----------
        boxes : array_like of shape (N, 4)
            As in :meth:`add_box`.
        world : bool, optional
            Whether they are world coordinates.

        Returns
        -------
        list of int
            The label ids that the objects will have.

        Raises
        ------
        PromptError
            If one of them cannot be used. None is added then.
        LayerError
            As :meth:`add_points`.
        """
        plane = self.controller.plane()
        array = np.asarray(boxes)
        if array.ndim != 2 or array.shape[1] != 4 or not len(array):
            raise PromptError(
                f"boxes has the shape {array.shape}; needed is (N, 4): min_row, min_col, max_row, "
                "max_col of each."
            )
        shapes = [self._rectangle(plane, box, world) for box in array]
        drafts = self._unfinished.drafts(plane).activate(None)
        return self._begin(plane, drafts, (Drawn(shapes=(shape,)) for shape in shapes))

    def add_shape(
        self, vertices: ArrayLike, kind: ShapeKind = "polygon", *, world: bool = False
    ) -> None:
        """Add a shape as if it was drawn.

        Parameters
        ----------
        vertices : array_like of shape (N, 2)
            Row, column; of a rectangle or an ellipse the four corners of its frame.
        kind : {"polygon", "ellipse", "rectangle", "path", "line"}, optional
            Polygons and ellipses give their area and the box around it, paths and lines points
            along them.
        world : bool, optional
            Whether they are world coordinates.

        Raises
        ------
        PromptError
            If the kind is unknown, or the shape has no area where it needs one.
        LayerError
            As :meth:`add_points`.
        """
        if kind not in _KINDS:
            raise PromptError(f"kind={kind!r} is unknown. Choose one of {', '.join(_KINDS)}.")
        plane = self.controller.plane()
        shape = DrawnShape(kind, self._vertices(plane, vertices, world))
        if kind in ("rectangle", "ellipse") and len(shape.vertices) != 4:
            raise PromptError(
                f"A shape of kind {kind} needs the four corners of its frame, not "
                f"{len(shape.vertices)} vertices."
            )
        self._add_shapes(plane, [shape])

    def add_mask(self, mask: ArrayLike) -> None:
        """Give the active object a rough mask, or begin another object if it has an outline.

        Parameters
        ----------
        mask : array_like of shape (H, W), bool
            Over the present plane.

        Raises
        ------
        PromptError
            If it has another shape, or no pixel.
        LayerError
            As :meth:`add_points`.
        """
        plane = self.controller.plane()
        shape = self._masks.view(plane).shape
        checked = Prompt(mask=mask).mask
        if isinstance(checked, np.ndarray) and checked.dtype == np.bool_ and checked.shape == shape:
            checked = CroppedMask.of(checked)
        if not isinstance(checked, CroppedMask):
            raise PromptError(
                f"mask has the shape {np.shape(mask)}; needed is a bool mask of the plane, "
                f"{shape[0]} x {shape[1]} pixels."
            )
        if not checked:
            raise PromptError("The mask has no pixel. Mark the object.")
        draft = self._with_room_for_outline(plane)
        self._redraw(plane, draft, replace(draft.drawn, mask=checked))

    def add_labels(self, labels: Labels | ArrayLike, ids: Iterable[int] | None = None) -> list[int]:
        """Take objects of labels as rough masks, to be refined under their ids.

        Parameters
        ----------
        labels : napari.layers.Labels or array_like
            A layer that lies over the image, or an array of the image's shape or of the present
            plane's. Only the present plane is looked at.
        ids : iterable of int, optional
            Which label ids; all when left out.

        Returns
        -------
        list of int
            The label ids that the objects will have, in the order of theirs. If it is the layer
            of this session, they take the place of what is there now. Ids that others have
            already are replaced by new ones.

        Raises
        ------
        LayerError
            If the labels do not lie over the image.
        PromptError
            If there is no such object in the present plane.

        Warns
        -----
        SamHQWarning
            If ids had to be replaced.
        """
        plane = self.controller.plane()
        wanted = None if ids is None else {int(one) for one in ids}
        values, own = self._labels_in(plane, labels)
        whole = isinstance(values, np.ndarray)
        found = _masks_of(values, wanted) if whole else _masks_in(values, plane, wanted)
        if not found:
            raise PromptError(
                "There is no such object in this plane. Move the sliders, or choose other ids."
            )
        before = self._unfinished.drafts(plane)
        drafts = {draft.label_id: draft for draft in before}
        taken = set() if own else self._history.taken_in(plane)
        blank = self._unfinished.new_draft(before)
        free = self._history.free_ids(found)
        given: list[int] = []
        for label_id, mask in found.items():
            given.append(next(free) if label_id in taken else label_id)
            drafts[given[-1]] = replace(
                blank, label_id=given[-1], drawn=Drawn(mask=mask), reopened=own
            )
        renamed = sum(old != new for old, new in zip(found, given, strict=True))
        if renamed:
            warnings.warn(
                f"{renamed} of {len(found)} objects get new label ids: other objects have theirs.",
                SamHQWarning,
                stacklevel=2,
            )
        after = Drafts(tuple(drafts.values()), given[-1])
        self.controller.note(PromptsChanged(plane, before, after))
        return given

    # ---------------------------------------------------------------------------------------- parts

    def _redraw(self, plane: Plane, draft: Draft, drawn: Drawn) -> None:
        self.controller.draw(plane, draft.redrawn(drawn, seen=self._masks.seen_steps(plane, draft)))

    def _add_shapes(self, plane: Plane, shapes: list[DrawnShape]) -> None:
        for shape in shapes:
            if shape.closed:
                clean_box(box_around(shape.vertices), self._masks.view(plane).shape)
                draft = self._with_room_for_outline(plane)
            else:
                draft = self._unfinished.active(plane)
            self._redraw(plane, draft, replace(draft.drawn, shapes=(*draft.drawn.shapes, shape)))

    def _with_room_for_outline(self, plane: Plane) -> Draft:
        draft = self._unfinished.active(plane)
        outlined = draft.drawn.mask or any(shape.closed for shape in draft.drawn.shapes)
        return self._unfinished.new_draft(self._unfinished.drafts(plane)) if outlined else draft

    def _begin(self, plane: Plane, drafts: Drafts, drawn: Iterable[Drawn]) -> list[int]:
        before = self._unfinished.drafts(plane)
        new = self._unfinished.new_drafts(drafts)
        added = [replace(next(new), drawn=one) for one in drawn]
        given = [draft.label_id for draft in added]
        after = replace(drafts, drafts=(*drafts.drafts, *added), active=given[-1])
        self.controller.note(PromptsChanged(plane, before, after))
        return given

    def _rectangle(self, plane: Plane, box: ArrayLike, world: bool) -> DrawnShape:
        """Turn a box into the rectangle that napari would draw."""
        checked = Prompt(box=box).box  # says what is wrong with its form
        if checked is None:
            raise PromptError("No box came. Give min_row, min_col, max_row, max_col.")
        if not np.isfinite(checked).all():
            raise PromptError(f"The box {checked.tolist()} has a value that is NaN or infinite.")
        top, left, bottom, right = (float(value) for value in checked)
        corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
        shape = DrawnShape("rectangle", self._vertices(plane, corners, world))
        clean_box(box_around(shape.vertices), self._masks.view(plane).shape)
        return shape

    def _vertices(
        self, plane: Plane, vertices: ArrayLike, world: bool
    ) -> tuple[tuple[float, float], ...]:
        rows_cols = to_plane_rc(vertices, self.viewer, self.image, plane, world=world)
        return tuple((float(row), float(col)) for row, col in rows_cols)

    def _labels_in(self, plane: Plane, labels: Any) -> tuple[Any, bool]:
        """Get the values of a plane, and whether they are those of this session's own layer.

        Of labels in blocks it is all their data, of which nothing is read here.
        """
        from napari.layers import Labels

        from napari_samhq.session.labels.large import LargeLabels

        if isinstance(labels, Labels):
            if isinstance(labels, LargeLabels):
                check_placement(self.image, labels)
                return labels.data, labels.unique_id == self.labels.unique_id
            if labels.multiscale:
                raise LayerError(f"The labels layer {labels.name!r} is multiscale. Choose another.")
            check_placement(self.image, labels)
            return np.asarray(labels.data[plane.index()]), (
                labels.unique_id == self.labels.unique_id
            )
        array = labels if hasattr(labels, "shape") else np.asarray(labels)
        shape = layer_shape(self.image)
        flat = tuple(shape[axis] for axis in plane.axes)
        if np.dtype(array.dtype).kind not in "iub" or tuple(array.shape) not in (shape, flat):
            raise LayerError(
                f"labels is {array.dtype} of the shape {tuple(array.shape)}; needed are integers "
                f"of the image's shape {shape}, or of the present plane's, {flat}."
            )
        whole = tuple(array.shape) == shape
        return np.asarray(array[plane.index()] if whole else array), False


def _masks_in(data: Any, plane: Plane, ids: set[int] | None) -> dict[int, CroppedMask]:
    """Cut each object out of a plane of labels of any size, in the order of their ids."""
    census = Census(data)
    masks = {}
    for label_id in census.ids:
        if ids is None or label_id in ids:
            mask = pixels_with(data, plane, label_id, census.region(plane, label_id))
            if mask:
                masks[label_id] = mask
    return masks


def _masks_of(values: NDArray[Any], ids: set[int] | None) -> dict[int, CroppedMask]:
    """Cut each object out of labels of shape (H, W), in the order of their ids."""
    from scipy import ndimage

    present, numbered = np.unique(values, return_inverse=True)
    numbered = numbered.reshape(values.shape)
    boxes = ndimage.find_objects(numbered + 1)
    masks = {}
    for index, (value, box) in enumerate(zip(present.tolist(), boxes, strict=True)):
        if value > 0 and box is not None and (ids is None or value in ids):
            start_rc = (box[0].start, box[1].start)
            masks[int(value)] = CroppedMask.of(numbered[box] == index, start_rc)
    return masks
