"""Outlines on a slide: read, prompted with, compared and written, against time and memory.

    python benchmarks/large_outlines.py [--side 60000] [--cells 10000]

A tissue of 48,000 px across with cells inside, and 500 polygons all over the slide. Each row is a
process of its own. The bars: 30 s and 2 GiB.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_samhq.core.labels.run_labels import RunLabels
from napari_samhq.core.measure.quality import compare_labels
from napari_samhq.io.coco import CocoImage, write_coco
from napari_samhq.io.geojson import write_geojson
from napari_samhq.io.imagej import write_imagej_rois
from napari_samhq.io.objects import leaves_of
from napari_samhq.io.prompt_files import read_prompts
from napari_samhq.io.results import read_objects

IMAGE = "slide.tif"


def ring(x: float, y: float, radius: float, corners: int, waves: int = 0) -> list[list[float]]:
    """Give a closed ring of x, y: a circle, or one with waves."""
    angle = np.linspace(0, 2 * np.pi, corners + 1)
    reach = radius * (1 + 0.05 * np.sin(waves * angle))
    points = np.stack([x + reach * np.cos(angle), y + reach * np.sin(angle)], axis=1)
    points[-1] = points[0]
    return points.round(3).tolist()


def feature(outline: list[list[float]], kind: str) -> dict:
    """Wrap a ring as QuPath does."""
    geometry = {"type": "Polygon", "coordinates": [outline]}
    return {"type": "Feature", "geometry": geometry, "properties": {"objectType": kind}}


def make(folder: Path, side: int, cells: int) -> None:
    """Write the files of outlines."""
    middle, across = side / 2, int(np.ceil(np.sqrt(cells)))
    places = np.linspace(0.3 * side, 0.7 * side, across)
    listed = [(x, y) for y in places for x in places][:cells]
    tissue = feature(ring(middle, middle, 0.38 * side, 20_000, 50), "annotation")
    for name, shift in (("true", 0.0), ("found", 2.0)):
        round_cells = [feature(ring(x + shift, y, 15, 24), "cell") for x, y in listed]
        features = [tissue, *round_cells] if name == "true" else round_cells
        content = {"type": "FeatureCollection", "features": features}
        (folder / f"{name}.geojson").write_text(json.dumps(content))
    random = np.random.default_rng(0).uniform(300, side - 300, (500, 2))
    some = [feature(ring(x, y, 200, 60), "annotation") for x, y in random]
    content = {"type": "FeatureCollection", "features": some}
    (folder / "prompts.geojson").write_text(json.dumps(content))


def tasks(folder: Path, side: int) -> dict[str, Callable[[], int]]:
    """Name what is measured; each task tells how many objects it met."""
    shape = side, side

    def objects(name: str = "true.geojson") -> list:
        return read_objects(folder / name, shape, IMAGE)

    def read_again(name: str) -> Callable[[], int]:
        return lambda: len(objects(name))

    def compare() -> int:
        labels = [
            RunLabels.of(((o.label_id, o.mask) for o in leaves_of(objects(name), name)), shape)
            for name in ("true.geojson", "found.geojson")
        ]
        return len(compare_labels(*labels).objects)

    def write(name: str) -> Callable[[], int]:
        def run() -> int:
            found = objects()
            if name.endswith(".geojson"):
                write_geojson(folder / name, found)
            elif name.endswith(".zip"):
                write_imagej_rois(folder / name, found)
            else:
                image = CocoImage(IMAGE, shape, tuple(found))
                write_coco(folder / name, [image])
            return len(found)

        return run

    names = ("again.geojson", "again.json", "again.zip")
    return {
        "read GeoJSON": lambda: len(objects()),
        "500 polygons as prompts": lambda: len(
            read_prompts(folder / "prompts.geojson", shape=shape)
        ),
        "tissue and cells as prompts": lambda: len(
            read_prompts(folder / "true.geojson", shape=shape)
        ),
        "compare": compare,
        **{f"write {name}": write(name) for name in names},
        **{f"read {name}": read_again(name) for name in names},
    }


def measure(folder: Path, side: int, name: str) -> None:
    """Do one task, and print a row."""
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    count = tasks(folder, side)[name]()
    seconds = time.perf_counter() - start
    used = time.process_time()
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"| {name} | {count} | {seconds:.1f} | {used:.1f} | {gigabytes:.2f} |", flush=True)


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=60_000)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--task", nargs=2, metavar=("FOLDER", "NAME"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        measure(Path(options.task[0]), options.side, options.task[1])
        return
    print(
        "| task | objects | seconds | seconds of processor | GiB |\n|---|---|---|---|---|",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), options.side, options.cells)
        for name in tasks(Path(folder), options.side):
            command = [
                sys.executable,
                __file__,
                "--side",
                str(options.side),
                "--task",
                folder,
                name,
            ]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
