"""Card of a session for notebooks: the plane with its objects, the state, and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_samhq.core.display.html import card, figure, outlined
from napari_samhq.core.display.overlay import overlay
from napari_samhq.errors import SamHQError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_samhq.core.geometry.planes import Plane
    from napari_samhq.session.session import Session
    from napari_samhq.session.state import SessionState

__all__ = ["session_card"]

_PICTURE_PX = 320
_MOST_READ_PX = 2**25  # of a plane without a pyramid, and of its labels
_MOST_ROWS = 10


def session_card(session: Session) -> str:
    """Write the HTML of a session. Nothing is asked of the model, and no layer is changed."""
    objects, state = session.objects, session.state
    rows = {
        "state": state.status.sentence,
        "image": session.image.name,
        "model": state.model,
        "objects": f"{len(objects)}, in the layer {session.labels.name!r}",
    }
    figures = []
    if not session.closed:
        try:
            plane = session.plane
            picture = _picture(session, state, plane)
        except SamHQError as error:  # no plane on the screen, or pixels that cannot be read
            rows["no picture"] = str(error)
        else:
            rows["being made"] = str(len(state.unfinished))
            if picture is None:
                rows["no picture"] = "the plane is too large to look at as a whole"
            else:
                name = f"plane {plane}" if plane.other_axes else session.image.name
                figures.append(figure(picture, name))
    table = ""
    if len(objects):
        columns = ["label_id", "score", "area"]
        if session.labels.ndim > 2:
            columns.append("plane")
        shown = objects[columns].head(_MOST_ROWS)
        table = shown.to_html(index=False, float_format="{:.2f}".format, escape=True)
        if len(objects) > _MOST_ROWS:
            table += f"<p>and {len(objects) - _MOST_ROWS} more</p>"
    return card("Session", rows, figures, table)


def _picture(session: Session, state: SessionState, plane: Plane) -> NDArray[np.uint8] | None:
    """Draw the plane with objects and the outline being made, small; None if it is too large."""
    view = session.view
    height, width = view.shape
    if height * width > _MOST_READ_PX:
        return None
    step = max(1, -(-max(height, width) // _PICTURE_PX))
    labels = np.asarray(session.labels.data[plane.index()])[::step, ::step]
    rgb8 = np.ascontiguousarray(view.read_rgb8()[::step, ::step])
    drawn = overlay(rgb8, labels.astype(np.int64, copy=False))
    for one in state.candidates:
        if one.chosen:
            mask = one.cropped.within((height, width), (0, 0))
            drawn = outlined(mask[::step, ::step], drawn)
    return drawn
