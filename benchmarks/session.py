"""How much a session adds to the model: time per click, clicks in a burst, memory per object.

    python benchmarks/session.py [--model micro] [--repeats 30] [--objects 200]

Prints figures with the machine they were measured on. Times are those of a session on a viewer
without a window; drawing the canvas, which napari does afterwards, is not in them.
"""

import argparse
import os
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
from napari.components import ViewerModel
from skimage.io import imread

import napari_samhq as samhq
from napari_samhq.engine.engine import Engine
from napari_samhq.engine.models import ModelSource
from napari_samhq.inference import Predictor
from napari_samhq.session import Session

BURST = 50


class Timed:
    """A predictor that notes how long each of its answers took, in milliseconds."""

    def __init__(self, predictor: Any) -> None:
        self._predictor = predictor
        self.spent: list[float] = []

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._predictor, name)
        return self._noting(attribute) if name.endswith(("predict", "predict_many")) else attribute

    def _noting(self, answer: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = answer(*arguments, **options)
            if not isinstance(result, list | samhq.Prediction):
                result = list(result)  # iter_predict works while it is gone through
            self.spent.append(1000 * (time.perf_counter() - start))
            return result

        return noted


def begin(viewer: ViewerModel, predictor: Any, **options: Any) -> Session:
    """Begin a session that asks this predictor."""
    engine = Engine(ModelSource(load=lambda name, report: predictor, list=list))
    return Session(viewer, viewer.layers[0], engine=engine, **options)


def click_latency(session: Session, predictor: Timed, clicks: Any, *, alone: bool) -> list[float]:
    """Click, and wait until the preview is there; milliseconds above the predictor's own."""
    above = []
    for click in clicks:
        if alone:
            session.reject_all()
        predictor.spent.clear()
        start = time.perf_counter()
        session.points.add(click)  # what napari does after a click of the mouse
        took = 1000 * (time.perf_counter() - start)
        above.append(took - sum(predictor.spent))
    session.reject_all()
    return above[1:]  # the first one has the image looked at


class Held:
    """A runner that does one job for several clicks, as a thread does that is behind."""

    inline = False

    def __init__(self) -> None:
        self.waiting: dict[str, Any] = {}

    def submit(self, job: Any) -> None:
        """Keep the latest job of each kind."""
        self.waiting[job.kind] = job

    def wait(self, job: Any) -> Any:
        """Do it now."""
        result = job.work(job.progress)
        job.done(result)
        return result

    def later(self, action: Callable[[], None]) -> None:
        """Do it now."""
        action()

    def cancel(self) -> None:
        """Forget what waits."""
        self.waiting.clear()

    def work(self) -> None:
        """Do what waits."""
        waiting, self.waiting = self.waiting, {}
        for job in waiting.values():
            job.done(job.work(job.progress))


def burst(image: Any, predictor: Timed, clicks: Any) -> tuple[int, bool]:
    """Click faster than the model answers; count answers after the last click, compare the mask."""
    viewer = ViewerModel()
    viewer.add_image(image)
    runner = Held()
    session = begin(viewer, predictor, runner=runner)
    session.refine = False  # so that the answer follows from the clicks, not from their timing
    for number, click in enumerate(clicks):
        session.points.add(click)
        if number % 10 == 5:
            runner.work()
    predictor.spent.clear()
    while runner.waiting:
        runner.work()
    behind = len(predictor.spent)
    label_id = session.commit()
    late = np.asarray(session.labels.data == label_id)
    session.undo()
    session.reject_all()
    session.add_points(clicks)
    label_id = session.commit()
    same = bool((late == np.asarray(session.labels.data == label_id)).all())
    session.close()
    return behind, same


def growth(predictor: Any, side: int, objects: int) -> tuple[float, float]:
    """Make objects on a large image; tell how memory grew, and their bounding boxes, in MiB."""
    viewer = ViewerModel()
    viewer.add_image(np.zeros((side, side), dtype=np.uint8), contrast_limits=(0, 255))
    session = begin(viewer, predictor)
    corners = np.random.default_rng(0).integers(0, side - 80, (objects, 2))
    sizes = np.random.default_rng(1).integers(20, 80, (objects, 2))
    session.add_box([0, 0, 30, 30])
    session.commit()  # buffers that are there once and for all
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for corner, size in zip(corners, sizes, strict=True):
        session.add_box([*corner, *(corner + size)])
        session.commit()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    session.close()
    return grown / 2**20, float(sizes.prod(axis=1).sum()) * 4 / 2**20


class Boxes:
    """A predictor that fills boxes: memory does not depend on whose masks they are."""

    name = fingerprint = "boxes"

    def __init__(self, input_size: int) -> None:
        self.input_size = input_size

    def embed(self, image: Any, **_: Any) -> Any:
        """Remember the size of the image."""
        nothing: Any = np.zeros((1, 1, 1), dtype=np.float32)
        shape = image.shape[:2]
        return samhq.ImageEmbedding(nothing, nothing, shape, shape, max(shape), self.name, None)

    def predict(self, embedding: Any, *_: Any, box: Any = None, **__: Any) -> Any:
        """Fill the box."""
        height, width = embedding.image_shape
        masks = np.zeros((1, height, width), dtype=bool)
        top, left, bottom, right = np.rint(box).astype(int)
        masks[0, top:bottom, left:right] = True
        logits = np.zeros((1, 64, 64), dtype=np.float32)
        whole = (slice(0, height), slice(0, width))
        return samhq.Prediction(masks, np.ones(1, dtype=np.float32), logits, 0, whole)

    def iter_predict(self, embedding: Any, prompts: Any, **options: Any) -> Any:
        """Fill one box after the other."""
        for index, prompt in enumerate(prompts):
            yield index, self.predict(embedding, box=prompt.box, **options)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="micro")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--objects", type=int, default=200)
    options = parser.parse_args()

    image = imread(files("napari_samhq") / "data" / "nuclei.png")
    predictor = Timed(Predictor(samhq.load_model(options.model)))
    clicks = np.random.default_rng(0).uniform(30, 480, (options.repeats + 1, 2))
    many = np.random.default_rng(1).uniform(30, 480, (BURST, 2))
    viewer = ViewerModel()
    viewer.add_image(image)
    session = begin(viewer, predictor)
    print(f"machine    {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.system()}")
    print(f"versions   napari-samhq {samhq.__version__}, Python {platform.python_version()}\n")
    print(f"{'milliseconds above the predictor':<40}{'median':>8} {'min':>8} {'max':>8}")
    for name, alone in (("a click on a new object", True), ("a click that corrects", False)):
        some = clicks if alone else clicks[:11]
        above = click_latency(session, predictor, some, alone=alone)
        print(f"{name:<40}{statistics.median(above):8.1f} {min(above):8.1f} {max(above):8.1f}")
    session.close()
    behind, same = burst(image, predictor, many)
    print(f"\nburst of {BURST} clicks: {behind} answers after the last one, right mask: {same}")
    grown, boxes = growth(Boxes(options.side), options.side, options.objects)
    print(
        f"{options.objects} objects on {options.side} x {options.side}: {grown:.1f} MiB more, "
        f"{grown / boxes:.1f} times their bounding boxes as int32"
    )


if __name__ == "__main__":
    main()
