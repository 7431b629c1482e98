"""Bars are there when asked for, quiet otherwise, and closed whatever happens."""

from __future__ import annotations

import subprocess
import sys

import pytest
import tqdm.auto

from napari_samhq.core.util.progress import reporting


def of(stage: str, done: float, total: float):
    return stage, done, total


@pytest.fixture
def bars(monkeypatch):
    """Collect the bars that are made, which write nowhere."""
    made = []

    class Quiet(tqdm.auto.tqdm):
        def __init__(self, **options):
            super().__init__(gui=True, **options)
            self.closed = False
            made.append(self)

        def display(self, *args, **options):
            pass

        def close(self):
            self.closed = True

    monkeypatch.setattr(tqdm.auto, "tqdm", Quiet)
    return made


@pytest.mark.parametrize("progress", [None, False])
def test_nothing_is_told_unless_somebody_asks(progress, bars, capsys) -> None:
    with reporting(progress, of) as report:
        assert report is None
    assert not bars
    assert capsys.readouterr() == ("", "")


def test_a_function_is_passed_on() -> None:
    with reporting(print, of) as report:
        assert report is print


def test_one_bar_begins_anew_for_each_stage(bars) -> None:
    with reporting(True, of) as report:
        assert not bars, "work that fails at once leaves nothing on the screen"
        for step in [("tiles", 1, 4), ("tiles", 3, 4), ("tiles", 3, 4), ("choose", 0, 0)]:
            report(*step)
        (bar,) = bars
        assert (bar.desc, bar.n, bar.total) == ("choose: ", 0, None)
        report("draw", 2, 2)
        assert (bar.desc, bar.n, bar.total) == ("draw: ", 2, 2)
    assert bar.closed


def test_the_bar_is_closed_when_the_work_fails(bars) -> None:
    def work():
        with reporting(True, of) as report:
            report("tiles", 1, 4)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        work()
    assert bars[0].closed


def test_in_a_terminal_the_bar_is_on_stderr() -> None:
    code = (
        "from napari_samhq.core.util.progress import reporting\n"
        "with reporting(True, lambda n: ('tiles', n, 3)) as report:\n"
        "    for n in range(4): report(n)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "tiles: 100%" in done.stderr
    assert "3/3" in done.stderr
