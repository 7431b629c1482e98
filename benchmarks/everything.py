"""Segmenting everything: time and memory against area, and how good it is.

    python benchmarks/everything.py area [--sides 1024 2048 4096]
    python benchmarks/everything.py quality --data FOLDER [--source bbbc039] [--images 4]

All take --model, --preset, --spacing, --workers and --threads. Images for `area` are
mosaics of the sample image of nuclei; `quality` takes held-out images of a folder of training data.
"""

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from skimage.io import imread

import napari_samhq as samhq
from napari_samhq.batch.candidates import find_candidates
from napari_samhq.core.measure.metrics import match
from napari_samhq.inference.settings import AutomaticSettings

MIB = 2**20


def mosaic(side: int) -> np.ndarray:
    """Tile the sample image, mirrored so that it goes on smoothly, to a square."""
    sample = imread(files("napari_samhq") / "data" / "nuclei.png")
    pair = np.concatenate([sample, sample[:, ::-1]], axis=1)
    cell = np.concatenate([pair, pair[::-1]])
    repeats = [-(-side // n) for n in cell.shape]
    image: np.ndarray = np.tile(cell, repeats)[:side, :side]
    return image


def settings_of(options: argparse.Namespace) -> AutomaticSettings:
    """Preset and spacing as they were asked for."""
    return AutomaticSettings.preset(options.preset, spacing_px=options.spacing)


def measure_area(options: argparse.Namespace) -> None:
    """Print a row for each size; each is measured in a process of its own."""
    print("    side   objects   seconds   s/Mpx   points/s   peak MiB above the model")
    for side in options.sides:
        child = [sys.executable, __file__, "one", "--side", str(side), "--model", options.model]
        child += ["--preset", options.preset, "--workers", str(options.workers)]
        child += ["--threads", str(options.threads)]
        if options.spacing:
            child += ["--spacing", str(options.spacing)]
        done = subprocess.run(child, capture_output=True, text=True, check=True)
        row = json.loads(done.stdout)
        print(
            f"{side:8d} {row['objects']:9d} {row['seconds']:9.1f} {row['per_mpx']:7.1f} "
            f"{row['points_per_s']:10.1f} {row['peak_mib']:10.0f}",
            flush=True,
        )


def measure_one(options: argparse.Namespace) -> None:
    """Segment one mosaic from disk to disk; print JSON."""
    predictor = samhq.Predictor(samhq.load_model(options.model))
    predictor.predict(predictor.embed(mosaic(64)), points=[[30, 30]])  # memory for the first call
    settings = settings_of(options)
    with tempfile.TemporaryDirectory() as folder:
        import zarr

        path = Path(folder) / "image.zarr"
        zarr.create_array(path, data=mosaic(options.side), chunks=(512, 512))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        labels = samhq.segment_everything(
            path,
            predictor,
            settings=settings,
            out=Path(folder) / "labels.zarr",
            workers=options.workers,
        )
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        objects = max(int(labels[row : row + 1024].max()) for row in range(0, options.side, 1024))
    row = {
        "objects": objects,
        "seconds": seconds,
        "per_mpx": seconds / (options.side**2 / 1e6),
        "points_per_s": (options.side / settings.spacing_px) ** 2 / seconds,
        "peak_mib": (peak - before) * 1024 / MIB,
    }
    print(json.dumps(row))


def measure_quality(options: argparse.Namespace) -> None:
    """Print AP at an IoU of 0.5 on held-out images, for several thresholds."""
    from napari_samhq.training.micro.manifest import read_manifest, split_by_group
    from napari_samhq.training.micro.model_card import read_pair

    _, validation = split_by_group(read_manifest(options.data))
    records = [r for r in validation if r.source == options.source][: options.images]
    predictor = samhq.Predictor(samhq.load_model(options.model))
    settings = settings_of(options)
    found = []
    for record in records:
        image, truth = read_pair(record)
        start = time.perf_counter()
        found.append((find_candidates(image, predictor, settings=settings), truth))
        seconds = time.perf_counter() - start
        print(f"{record.stem}: {len(found[-1][0])} candidates in {seconds:.0f} s", flush=True)
    print("score  stability  overlap     AP  precision  recall")
    rows = []
    for score, stability in itertools.product((0.2, 0.3, 0.4, 0.5, 0.6), (0.4, 0.5, 0.6, 0.7)):
        for overlap in (0.2, 0.3, 0.5):
            counts = np.zeros(3)
            for candidates, truth in found:
                labels = candidates.filtered(
                    min_score=score, min_stability=stability, overlap=overlap
                )
                pairs = match(truth, labels)
                counts += len(pairs.pairs), len(pairs.extra), len(pairs.missed)
            right, extra, missing = counts
            rows.append((right / counts.sum(), score, stability, overlap, *counts))
    for ap, score, stability, overlap, right, extra, missing in sorted(rows, reverse=True)[:10]:
        precision, recall = right / max(1, right + extra), right / (right + missing)
        told = f"{score:5.1f} {stability:10.1f} {overlap:8.1f} {ap:6.3f}"
        print(f"{told} {precision:10.3f} {recall:7.3f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["area", "quality", "one"])
    parser.add_argument("--model", default="micro")
    parser.add_argument("--preset", default="nuclei")
    parser.add_argument("--spacing", type=int, default=None)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch")
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 2048, 4096])
    parser.add_argument("--side", type=int, default=1536)
    parser.add_argument("--data", type=Path, help="for quality: folder with MANIFEST.tsv")
    parser.add_argument("--source", default="bbbc039")
    parser.add_argument("--images", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    {
        "area": measure_area,
        "one": measure_one,
        "quality": measure_quality,
    }[options.what](options)


if __name__ == "__main__":
    main()
