"""Fixtures of sessions on a small viewer, with stand-ins for the model and for the thread."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_samhq.engine.engine import Engine
from napari_samhq.engine.models import ModelSource
from napari_samhq.session import Session
from napari_samhq.session.layers.lookup import find_image
from support.fakes import FakePredictor


@pytest.fixture
def predictor() -> FakePredictor:
    return FakePredictor()


@pytest.fixture
def engine(predictor):
    infos = [
        SimpleNamespace(name="micro", bundled=True, cached=True),
        SimpleNamespace(name="vit_b", bundled=False, cached=False),
    ]
    return Engine(ModelSource(load=lambda name, report: predictor, list=lambda: infos))


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    rows, cols = np.mgrid[:48, :64]
    viewer.add_image((rows * 2 + cols).astype(np.uint8), name="cells")
    return viewer


@pytest.fixture
def annotate(engine):
    """Begin sessions that are closed after the test."""
    begun = []

    def annotate(viewer, image=None, **options) -> Session:
        session = Session(viewer, find_image(viewer, image), engine=engine, **options)
        begun.append(session)
        return session

    yield annotate
    for session in begun:
        session.close()


@pytest.fixture
def session(viewer, annotate) -> Session:
    return annotate(viewer)


class HeldRunner:
    """Keeps jobs until a test lets them go: a thread without the waiting."""

    inline = False

    def __init__(self) -> None:
        self.jobs: list = []

    def submit(self, job) -> None:
        self.jobs.append(job)

    def wait(self, job):
        result = job.work(job.progress)
        job.done(result)
        return result

    def later(self, action) -> None:
        action()

    def cancel(self) -> None:
        self.jobs.clear()

    def work(self, order=1) -> None:
        """Do all jobs that wait, the newest first with -1."""
        jobs, self.jobs = self.jobs[::order], []
        for job in jobs:
            try:
                result = job.work(job.progress)
            except Exception as error:  # noqa: BLE001
                job.failed(error)
            else:
                job.done(result)


@pytest.fixture
def held() -> HeldRunner:
    return HeldRunner()


__all__ = ["HeldRunner", "annotate", "engine", "held", "predictor", "session", "viewer"]
