"""Notes are collected by the thread that asked for them, and by no other."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest

from napari_samhq.core.images.rgb8 import to_rgb8
from napari_samhq.core.util.notes import collected_notes, note
from napari_samhq.errors import SamHQWarning


def test_a_note_is_a_warning_where_nobody_collects():
    with pytest.warns(SamHQWarning, match="no contrast"):
        to_rgb8(np.zeros((8, 8), np.uint8))


def test_the_innermost_collection_gets_a_note():
    with collected_notes() as outer:
        note("one")
        with collected_notes() as inner:
            note("two")
        note("three")
    assert (outer, inner) == (["one", "three"], ["two"])


def test_threads_collect_their_own_notes_while_others_warn():
    both, stop, found = threading.Barrier(2), threading.Event(), []

    def work():
        with collected_notes() as notes:
            both.wait()  # from here on the other thread records warnings
            while not stop.is_set():
                note("from the thread")
            found.extend(notes)

    thread = threading.Thread(target=work)
    thread.start()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        both.wait()
        for _ in range(200):
            note("from here")
    stop.set()
    thread.join(30)
    assert [str(one.message) for one in caught] == ["from here"] * 200
    assert set(found) <= {"from the thread"}
    with pytest.warns(SamHQWarning, match="still a warning"):
        note("still a warning")
