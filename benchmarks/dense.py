"""All objects of held-out images: the dense head, points, and Otsu's threshold with a watershed.

    python benchmarks/dense.py --data FOLDER [--model micro] [--find micro] [--images 2]
        [--methods dense otsu] [--calibrate] [--sources bbbc039 ...]

FOLDER holds a MANIFEST.tsv. Figures are of the held-out part, the first `--images` images of each
size in each source all of whose objects are marked: AP (found / (found + extra + missed), mean over
images) at an IoU of 0.5, 0.7 and 0.9, and seconds for a megapixel. With `--calibrate` the AP is
told for thresholds from 0.1 to 0.9, for each source and for the mean over sources: the default is
the one that is best for the mean.
"""

import argparse
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from nuclei import otsu_watershed

import napari_samhq as samhq
from napari_samhq.batch.candidates import Candidates, find_candidates
from napari_samhq.core.measure.metrics import match
from napari_samhq.training.micro.manifest import Record, read_manifest, split_by_group
from napari_samhq.training.micro.model_card import chosen_records, read_pair

IOUS = (0.5, 0.7, 0.9)
SCORES = tuple(np.round(np.arange(0.1, 0.95, 0.1), 2).tolist())
OTSU = (1.0, 7)  # sigma and distance, chosen on nuclei by nuclei.py


def precisions(truth: np.ndarray, found: np.ndarray) -> list[float]:
    """AP of an image at each of `IOUS`."""
    pairs = match(truth, found)
    objects = len(pairs.pairs) + len(pairs.missed), len(pairs.pairs) + len(pairs.extra)
    values = []
    for least in IOUS:
        right = int(np.count_nonzero(pairs.ious >= least))
        values.append(right / max(1, sum(objects) - right))
    return values


def chosen(options: argparse.Namespace) -> dict[str, list[Record]]:
    """Held-out images by source."""
    _, validation = split_by_group(read_manifest(options.data))
    records = chosen_records(validation, options.images, options.sources)
    by_source = defaultdict(list)
    for record in records:
        if record.complete and record.height * record.width <= options.largest**2:
            by_source[record.source].append(record)
    return dict(by_source)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="micro")
    parser.add_argument("--find", default=None)
    parser.add_argument("--methods", nargs="+", default=["dense", "points", "otsu"])
    parser.add_argument("--sources", nargs="+", default=None)
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--largest", type=int, default=1100, help="pixels along a side")
    parser.add_argument("--diameter", type=float, default=None)
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    predictor = samhq.Predictor(samhq.load_model(options.model))
    finder = None if options.find is None else samhq.Predictor(samhq.load_model(options.find))
    by_score: dict[str, list] = {}
    print("source            images method     AP50   AP70   AP90  s/Mpx", flush=True)
    for source, records in chosen(options).items():
        rows, seconds, pixels = defaultdict(list), defaultdict(float), 0
        for record in records:
            image, truth = read_pair(record)
            pixels += truth.size
            for method in options.methods:
                start = time.perf_counter()
                if method == "otsu":
                    labels = otsu_watershed(image, *OTSU)
                else:
                    found = find_candidates(
                        image, predictor, method=method, find=finder, diameter=options.diameter
                    )
                    labels = found.filtered()
                    if method == "dense" and options.calibrate:
                        by_score.setdefault(source, []).append(curve(found, truth))
                seconds[method] += time.perf_counter() - start
                rows[method].append(precisions(truth, labels))
        for method in options.methods:
            told = " ".join(f"{value:6.3f}" for value in np.mean(rows[method], axis=0))
            speed = seconds[method] / pixels * 1e6
            print(f"{source:<18}{len(records):6d} {method:<8} {told} {speed:6.1f}", flush=True)
    if by_score:
        print("AP50 by lowest score: " + " ".join(f"{score:5.2f}" for score in SCORES))
        means = {source: np.mean(values, axis=0) for source, values in by_score.items()}
        means["mean"] = np.mean(list(means.values()), axis=0)
        for source, values in means.items():
            print(f"{source:<22}" + " ".join(f"{value:5.3f}" for value in values))


def curve(found: Candidates, truth: np.ndarray) -> list[float]:
    """AP at an IoU of 0.5 for each of `SCORES`."""
    return [precisions(truth, found.filtered(min_score=score))[0] for score in SCORES]


if __name__ == "__main__":
    main()
