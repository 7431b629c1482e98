"""Work in a session, and what can be seen of it afterwards."""

from __future__ import annotations

import hashlib

import numpy as np
from napari.components import ViewerModel


def new_viewer(image, **options) -> ViewerModel:
    viewer = ViewerModel()
    viewer.add_image(image, name="cells", **options)
    return viewer


def work(session, seed=0) -> None:
    """Make, refine, delete, paint, undo, and leave some things unfinished."""
    rng = np.random.default_rng(seed)
    for number in range(5):
        session.add_points(rng.random((2, 2)) * (48, 64))
        session.predict()
        if number % 2:
            session.add_points(rng.random((1, 2)) * (48, 64), positive=False)
        session.commit()
    session.classify(2, "nucleus")
    session.classify(3, "cell")
    session.delete(2)
    session.reopen(3)
    session.add_points([[5, 5]])
    session.commit()
    session.add_boxes([[2, 2, 9, 9], [20, 30, 30, 45]])
    session.commit_all()
    session.labels.paint((40, 10), 8, refresh=False)
    session.undo()
    session.redo()
    session.reopen(1)
    session.add_points([[10, 12]])
    session.add_box([1, 1, 7, 7])
    session.undo()


def states(session) -> list[bytes]:
    """Undo everything, then do it again; returns labels and classes after each step."""

    def now() -> bytes:
        classes = repr(sorted(session.controller.history.categories.items()))
        return np.asarray(session.labels.data).tobytes() + classes.encode()

    seen = [now()]
    while session.undo():
        seen.append(now())
    while session.redo():
        seen.append(now())
    return seen


def standing(session) -> str:
    """Name what stands now, in one word: the labels, the objects and those being made."""
    history = session.controller.history
    objects = sorted(history.records.items()), sorted(history.categories.items())
    now = repr((session.unfinished, objects))
    labels = np.asarray(session.labels.data).tobytes()
    return hashlib.sha256(labels + now.encode()).hexdigest()
