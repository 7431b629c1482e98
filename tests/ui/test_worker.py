"""The thread behind the dock: order, cancelling and ending. No window is needed."""

from __future__ import annotations

import threading
import time

import pytest

from napari_samhq.engine.jobs import Job, Progress
from napari_samhq.errors import Cancelled, ImageError
from napari_samhq.ui.worker import ThreadRunner


class Log(list):
    def job(self, name, work, *, kind="predict", rank=0) -> Job:
        return Job(
            kind,
            work,
            done=lambda result: self.append((name, result, threading.get_ident())),
            failed=lambda error: self.append((name, error, threading.get_ident())),
            progress=lambda progress: self.append((name, progress, threading.get_ident())),
            rank=rank,
        )

    @property
    def outcomes(self):
        return [(name, what) for name, what, _ in self if not isinstance(what, Progress)]


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def runner(qtbot):
    runner = ThreadRunner()
    yield runner
    runner.close()
    assert not runner.alive


@pytest.fixture
def gate():
    gate = threading.Event()
    yield gate
    gate.set()


def test_work_is_done_elsewhere_and_told_here(runner, log, qtbot):
    places = []

    def work(report):
        report(Progress("predict"))
        places.append(threading.get_ident())
        return 42

    runner.submit(log.job("a", work))
    qtbot.waitUntil(lambda: log.outcomes == [("a", 42)])
    assert {place for *_, place in log} == {threading.get_ident()}
    assert places[0] != threading.get_ident()


def test_of_each_kind_only_the_latest_waits_and_clicks_go_first(runner, log, qtbot, gate):
    started = threading.Event()

    def hold(report):
        started.set()
        gate.wait(5)

    runner.submit(log.job("running", hold))
    assert started.wait(5)
    runner.submit(log.job("background", lambda report: 0, kind="prepare", rank=1))
    for number in range(50):
        runner.submit(log.job(number, lambda report: 0))
    gate.set()
    qtbot.waitUntil(lambda: len(log.outcomes) >= 3)
    names = [name for name, _ in log.outcomes]
    assert names == ["running", 49, "background"]


def test_errors_arrive_here(runner, log, qtbot):
    def work(report):
        raise ImageError("no")

    runner.submit(log.job("a", work))
    qtbot.waitUntil(lambda: len(log.outcomes) == 1)
    assert isinstance(log.outcomes[0][1], ImageError)


def test_waiting_for_a_job_returns_its_result_or_raises(runner, log, qtbot):
    def fail(report):
        raise ImageError("no")

    assert runner.wait(log.job("a", lambda report: 7)) == 7
    with pytest.raises(ImageError):
        runner.wait(log.job("b", fail))
    qtbot.wait(20)
    assert log.outcomes == [("a", 7)]


def test_cancelling_is_told_at_once_and_ends_the_work(runner, log, qtbot):
    started, ended = threading.Event(), threading.Event()

    def work(report):
        started.set()
        try:
            while True:
                report(Progress("fetch"))
        finally:
            ended.set()

    runner.submit(log.job("a", work))
    assert started.wait(5)
    runner.submit(log.job("b", lambda report: 0, kind="prepare"))
    runner.cancel()
    assert [type(what) for _, what in log.outcomes] == [Cancelled, Cancelled]
    assert ended.wait(5)
    runner.submit(log.job("c", lambda report: 3))
    qtbot.waitUntil(lambda: ("c", 3) in log.outcomes)
    assert len(log.outcomes) == 3


def test_closing_ends_the_thread_and_nothing_arrives_afterwards(log, qtbot):
    runner = ThreadRunner()
    started = threading.Event()

    def work(report):
        started.set()
        while True:
            report(Progress("fetch"))

    runner.submit(log.job("a", work))
    assert started.wait(5)
    runner.close()
    assert not runner.alive
    qtbot.wait(50)
    assert log.outcomes == []
    with pytest.raises(Cancelled, match="closed"):
        runner.submit(log.job("b", work))


def test_progress_is_told_a_few_times_a_second_and_each_stage_at_once(runner, log, qtbot):
    def work(report):
        for stage in ("load", "everything"):
            until = time.monotonic() + 0.7
            while time.monotonic() < until:
                report(Progress(stage, 1, 2))
        return 42

    runner.submit(log.job("a", work))
    qtbot.waitUntil(lambda: log.outcomes == [("a", 42)])
    told = [what.stage for _, what, _ in log if isinstance(what, Progress)]
    assert 2 <= told.count("load") <= 4
    assert 2 <= told.count("everything") <= 4
