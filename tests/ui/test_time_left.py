"""The time left, in words."""

from __future__ import annotations

import pytest

from napari_samhq.ui.time_left import TimeLeft


@pytest.mark.parametrize(
    ("done", "now", "words"),
    [
        (10, 2.0, ""),  # too early to tell
        (1, 60.0, ""),  # too little
        (10, 10.0, "2 min left"),
        (50, 10.0, "10 s left"),
        (100, 10.0, "1 s left"),
        (10, 600.0, "90 min left"),
    ],
)
def test_the_rest_takes_as_long_as_the_beginning_did(done, now, words):
    left = TimeLeft()
    assert left.words(0, 100, 0.0) == ""
    assert left.words(done, 100, now) == words


def test_other_work_begins_anew():
    left = TimeLeft()
    left.words(0, 100, 0.0)
    assert left.words(50, 100, 10.0) == "10 s left"
    assert left.words(0, 100, 20.0) == ""
    assert left.words(50, 100, 60.0) == "40 s left"
    assert left.words(50, 80, 61.0) == ""
