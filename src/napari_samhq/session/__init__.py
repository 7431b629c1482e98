"""Annotation of an image in a napari viewer: layers of prompts in, objects in a labels layer out.

Nothing here needs a window; :class:`napari.components.ViewerModel` will do.
"""

from napari_samhq.session.commands import refine_layer, segment_layer
from napari_samhq.session.labels.create import editable_copy, large_labels
from napari_samhq.session.session import Session, annotate
from napari_samhq.session.state import (
    Candidate,
    Current,
    SessionState,
    State,
    Status,
    Unfinished,
)
from napari_samhq.session.storage.autosave import recover, recoverable

__all__ = [
    "Candidate",
    "Current",
    "Session",
    "SessionState",
    "State",
    "Status",
    "Unfinished",
    "annotate",
    "editable_copy",
    "large_labels",
    "recover",
    "recoverable",
    "refine_layer",
    "segment_layer",
]
