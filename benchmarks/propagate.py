"""Following objects through volumes: how well, against copying and interpolating outlines.

    python benchmarks/propagate.py quality --data FOLDER [--sets NAME ...] [--every 3]
    python benchmarks/propagate.py memory [--sides 256] [--planes 64 256]

FOLDER holds a folder for each volume, with image.tif and labels.tif (axes ZYX or TYX in its name).
Objects that reach through three planes or more are followed, all of them together:

one      from the plane in which they are largest, first and last plane known
open     the same, but nobody says where they end
three    from their first, middle and last plane

`copy` repeats the outline of the nearest given plane, `shift` moves it with the image, and
`interpolate` does so by signed distances between given planes. Figures are 3-D IoU, the mean over
objects; `ends` is the median error of first and last planes, in planes.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

import napari_samhq as samhq
from napari_samhq.core.masks.cropped import CroppedMask
from napari_samhq.inference.propagation.motion import local_shift
from napari_samhq.inference.propagation.shapes import between, moved, signed_distance
from napari_samhq.inference.propagation.volume import Volume
from napari_samhq.inference.store import EmbeddingStore

MIB = 2**20
LEAST_PLANES = 3
SEEDS = ("one", "open", "three")


@dataclass(frozen=True)
class Target:
    """A true object: its label id, the planes it is in, its outlines."""

    label_id: int
    planes: NDArray[np.intp]
    outlines: dict[int, CroppedMask]

    def given(self, seeds: str) -> list[int]:
        """Planes in which it is outlined before it is followed."""
        first, last = int(self.planes[0]), int(self.planes[-1])
        if seeds == "three":
            return sorted({first, (first + last) // 2, last})
        return [max(self.outlines, key=lambda plane: self.outlines[plane].area)]


def targets_in(labels: NDArray[np.int32], every: int) -> list[Target]:
    """Find the objects to be followed: every so manieth of those that are long enough."""
    found = []
    for label_id in np.unique(labels)[1:]:
        planes = np.flatnonzero((labels == label_id).any(axis=(1, 2)))
        if len(planes) >= LEAST_PLANES and len(planes) == np.ptp(planes) + 1:
            outlines = {int(z): CroppedMask.of(labels[z] == label_id) for z in planes}
            found.append(Target(int(label_id), planes, outlines))
    return found[::every]


def baseline(
    name: str, volume: Volume, target: Target, given: list[int]
) -> dict[int, NDArray[np.bool_]]:
    """Outline an object in all of its planes without a model."""
    everything = slice(0, volume.shape[0]), slice(0, volume.shape[1])
    masks = {z: target.outlines[z].within(volume.shape) for z in given}
    for z in (int(plane) for plane in target.planes):
        below = [one for one in given if one < z]
        above = [one for one in given if one > z]
        if z in given:
            continue
        if name == "interpolate" and below and above:
            share = (z - below[-1]) / (above[0] - below[-1])
            ends = target.outlines[below[-1]], target.outlines[above[0]]
            plain = [signed_distance(one.within(volume.shape)) for one in ends]
            masks[z] = (1 - share) * plain[0] + share * plain[1] > 0
        elif name == "aligned" and below and above:
            share = (z - below[-1]) / (above[0] - below[-1])
            ends = target.outlines[below[-1]], target.outlines[above[0]]
            masks[z] = between(*ends, share, everything) > 0
        else:
            masks[z] = masks[min(given, key=lambda one: abs(one - z))]
    return masks


def shifted(volume: Volume, target: Target, given: list[int]) -> dict[int, NDArray[np.bool_]]:
    """Move the outline of one plane with the image."""
    masks = {z: target.outlines[z].within(volume.shape) for z in given}
    (seed,) = given
    reach = max(2, int(signed_distance(masks[seed]).max() / 2))
    for way in (1, -1):
        before, now = volume.picture(seed).grey, target.outlines[seed]
        end = int(target.planes[-1 if way > 0 else 0])
        for z in range(seed + way, end + way, way):
            after = volume.picture(z).grey
            step = local_shift(before, after, now.region, reach)
            masks[z] = moved(signed_distance(now.within(volume.shape)), step) > 0
            now = CroppedMask.of(masks[z]) if masks[z].any() else now
            before = after
    return masks


def overlap(target: Target, mask_of: Callable[[int], NDArray[np.bool_]], planes: range) -> float:
    """Intersection over union in 3-D."""
    both = either = 0
    for z in planes:
        mask = mask_of(z)
        true = target.outlines.get(z)
        if true is None:
            either += np.count_nonzero(mask)
            continue
        filled = true.within(mask.shape)
        both += np.count_nonzero(mask & filled)
        either += np.count_nonzero(mask | filled)
    return both / either


def measure_set(folder: Path, options: argparse.Namespace, predictor: samhq.Predictor) -> None:
    """Print a row for each way of outlining."""
    image, labels = (tifffile.imread(folder / f"{name}.tif") for name in ("image", "labels"))
    labels = labels.astype(np.int32)
    if options.cut:
        image, labels = (array[slice(*options.cut)] for array in (image, labels))
    targets, volume = targets_in(labels, options.every), Volume(image)
    every_plane = range(len(image))
    for seeds in options.seeds:
        given = {one.label_id: one.given(seeds) for one in targets}
        volume.measure({z for planes in given.values() for z in planes})
        scores: dict[str, list[float]] = {}
        names = ["copy", "interpolate", "aligned"] if seeds == "three" else ["copy"]
        for target in targets:
            empty = np.zeros(volume.shape, dtype=bool)
            rows = {n: baseline(n, volume, target, given[target.label_id]) for n in names}
            if seeds == "one" and options.shift:
                rows["shift"] = shifted(volume, target, given[target.label_id])
            for name, masks in rows.items():
                score = overlap(target, lambda z, m=masks, e=empty: m.get(z, e), every_plane)
                scores.setdefault(name, []).append(score)
        begun = np.zeros_like(labels)
        for target in targets:
            for z in given[target.label_id]:
                begun[z][target.outlines[z].within(volume.shape)] = target.label_id
        extents = {one.label_id: (int(one.planes[0]), int(one.planes[-1])) for one in targets}
        start = time.perf_counter()
        result = samhq.propagate(
            image,
            begun,
            predictor,
            planes=None if seeds == "open" else extents,
            store=EmbeddingStore(options.store),
        )
        seconds = time.perf_counter() - start
        ends = []
        for target in targets:
            own = result.labels == target.label_id
            scores.setdefault("followed", []).append(
                overlap(target, lambda z, o=own: o[z], every_plane)
            )
            reached = np.flatnonzero(own.any(axis=(1, 2)))
            ends += [abs(reached[0] - target.planes[0]), abs(reached[-1] - target.planes[-1])]
        told = "  ".join(f"{name} {np.mean(values):.3f}" for name, values in scores.items())
        about = f"{len(targets)} objects, {len(result.doubt)} outlines, {seconds:.0f} s"
        if seeds == "open":
            about += f", ends {np.median(ends):.1f}"
        print(f"{folder.name:22s} {seeds:6s} {told}   ({about})", flush=True)


def measure_quality(options: argparse.Namespace) -> None:
    """Print rows for each volume."""
    predictor = samhq.Predictor(samhq.load_model(options.model))
    folders = sorted(path.parent for path in Path(options.data).glob("*/labels.tif"))
    for folder in folders:
        if not options.sets or any(name in folder.name for name in options.sets):
            measure_set(folder, options, predictor)


def measure_memory(options: argparse.Namespace) -> None:
    """Print a row for each number of planes; each is measured in a process of its own."""
    print("  planes   objects   seconds   peak MiB above the model")
    for planes in options.planes:
        child = [sys.executable, __file__, "one", "--planes", str(planes)]
        child += ["--sides", str(options.sides), "--model", options.model]
        done = subprocess.run(child, capture_output=True, text=True, check=True)
        row = json.loads(done.stdout)
        print(f"{planes:8d} {row['objects']:9d} {row['seconds']:9.1f} {row['peak']:10.0f}")


def measure_one(options: argparse.Namespace) -> None:
    """Follow balls through a stack on disk, to disk; print JSON."""
    import zarr

    predictor = samhq.Predictor(samhq.load_model(options.model))
    (count,), side = options.planes, options.sides
    rows, cols = np.mgrid[:side, :side]
    centres = range(32, side - 31, 64)
    tubes = np.zeros((side, side), dtype=np.int32)
    for number, (row, col) in enumerate((r, c) for r in centres for c in centres):
        tubes[np.hypot(rows - row, cols - col) < 20] = number + 1
    with tempfile.TemporaryDirectory() as folder:
        shape, chunks = (count, side, side), (1, side, side)
        path = Path(folder)
        image = zarr.create_array(path / "image", shape=shape, chunks=chunks, dtype=np.uint8)
        noise = np.random.default_rng(0)
        for z in range(count):
            image[z] = (60 + 100 * (tubes > 0) + noise.normal(0, 8, tubes.shape)).astype(np.uint8)
        labels = zarr.create_array(path / "labels", shape=shape, chunks=chunks, dtype=np.int32)
        labels[count // 2] = tubes
        out = zarr.create_array(path / "out", shape=shape, chunks=chunks, dtype=np.int32)
        predictor.predict(predictor.embed(image[0]), points=[[30, 30]])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        samhq.propagate(image, labels, predictor, out=out)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    row = {"objects": int(tubes.max()), "seconds": seconds, "peak": (peak - before) * 1024 / MIB}
    print(json.dumps(row))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["quality", "memory", "one"])
    parser.add_argument("--model", default="micro")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sets", nargs="*", default=[])
    parser.add_argument("--seeds", nargs="*", default=SEEDS, choices=SEEDS)
    parser.add_argument("--every", type=int, default=1, help="take every so manieth object")
    parser.add_argument("--cut", type=int, nargs=2, help="first plane, and that behind the last")
    parser.add_argument("--shift", action="store_true", help="measure moving the outline, too")
    parser.add_argument("--store", type=Path, help="folder for what the model saw")
    parser.add_argument("--planes", type=int, nargs="*", default=[64, 256])
    parser.add_argument("--sides", type=int, default=256)
    options = parser.parse_args()
    {"quality": measure_quality, "memory": measure_memory, "one": measure_one}[options.what](
        options
    )


if __name__ == "__main__":
    main()
