"""Segmenting all nuclei of an image: AP at an IoU of 0.5, beside Otsu's threshold with a watershed.

    python benchmarks/nuclei.py --data FOLDER [--model micro] [--sources bbbc039 dsb2018]
        [--calibrate 1] [--images 2] [--largest 700]

FOLDER holds a MANIFEST.tsv. Thresholds of all methods are chosen on images of the training part,
the first `--calibrate` of each size of image in each source; the figures are of the held-out part,
the first `--images` of each size. Larger images than `--largest` pixels are left out, to save time.

AP is found / (found + extra + missed), as in the 2018 Data Science Bowl, of each image; the table
has the mean over images.

- preset: `segment_everything(..., preset="nuclei")` by points alone; +boxes: the same with
  `by_box`, which asks for each object again by its bounding box.
- points, boxes: the same two with the thresholds that were best on the training images.
- otsu: smoothing, Otsu's threshold, holes filled, watershed of the distance to the background; it
  is told nothing but which images to choose its two settings on.
"""

import argparse
import itertools
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

import napari_samhq as samhq
from napari_samhq.batch.candidates import Candidates, find_candidates
from napari_samhq.core.measure.metrics import match
from napari_samhq.inference.settings import AutomaticSettings
from napari_samhq.training.micro.manifest import Record, read_manifest, split_by_group
from napari_samhq.training.micro.model_card import chosen_records, read_pair

SCORES = (0.3, 0.4, 0.5, 0.6, 0.7)
STABILITIES = (0.4, 0.5, 0.6, 0.7, 0.8)
OVERLAPS = (0.2, 0.3, 0.5)
SIGMAS, DISTANCES = (0.5, 1.0, 2.0), (4, 7, 10, 14)


def average_precision(truth: np.ndarray, found: np.ndarray) -> float:
    """Share of right objects among all that are true or found."""
    pairs = match(truth, found)
    counts = len(pairs.pairs), len(pairs.extra), len(pairs.missed)
    return counts[0] / max(1, sum(counts))


def otsu_watershed(image: np.ndarray, sigma: float, distance: int) -> np.ndarray:
    """Label what Otsu's threshold tells from the background, cut between the deepest points."""
    grey = image if image.ndim == 2 else image.astype(np.float32).mean(-1)
    smooth = ndimage.gaussian_filter(grey.astype(np.float32), sigma)
    above = smooth > threshold_otsu(smooth)
    if above.mean() > 0.5:  # dark nuclei on a bright ground
        above = ~above
    above = ndimage.binary_fill_holes(above)
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(above), 1.0)
    peaks = peak_local_max(depth, min_distance=distance, labels=above.astype(int))
    seeds = np.zeros(above.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels: np.ndarray = watershed(-depth, seeds, mask=above)
    small = np.flatnonzero(np.bincount(labels.ravel()) < 30)
    labels[np.isin(labels, small)] = 0
    return labels


def best_of(choices: list, images: list, segment) -> tuple:
    """Return the choice with the best mean AP; `segment(item, *choice)` gives labels."""
    means = [
        np.mean([average_precision(item.truth, segment(item, *choice)) for item in images])
        for choice in choices
    ]
    return choices[int(np.argmax(means))]


@dataclass(frozen=True, eq=False)
class Item:
    """An image, its true objects, and what was found by points, and by boxes after points."""

    source: str
    image: np.ndarray
    truth: np.ndarray
    points: Candidates
    boxes: Candidates


def looked_at(
    records: list[Record], predictor: samhq.Predictor, settings: AutomaticSettings
) -> list[Item]:
    """Read images, and ask for all candidates in them."""
    items = []
    for record in records:
        image, truth = read_pair(record)
        found, seconds = [], []
        for by_box in (False, True):
            start = time.perf_counter()
            asked = replace(settings, by_box=by_box)
            found.append(find_candidates(image, predictor, settings=asked))
            seconds.append(f"{time.perf_counter() - start:.0f}")
        items.append(Item(record.source, image, truth, *found))
        times = " and ".join(seconds)
        print(f"{record.source}/{record.stem[:12]} {image.shape}: {times} s", flush=True)
    return items


def everything(
    candidates: Candidates, score: float, stability: float, overlap: float
) -> np.ndarray:
    """Choose among the candidates of an image."""
    labels: np.ndarray = candidates.filtered(
        min_score=score, min_stability=stability, overlap=overlap
    )
    return labels


def main() -> None:
    """Calibrate, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="micro")
    parser.add_argument("--sources", nargs="+", default=["bbbc039", "dsb2018"])
    parser.add_argument("--calibrate", type=int, default=1)
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--largest", type=int, default=700)
    parser.add_argument("--spacing", type=int, default=None, help="of points; else the preset's")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    predictor = samhq.Predictor(samhq.load_model(options.model))
    settings = AutomaticSettings.preset("nuclei", spacing_px=options.spacing)
    parts = [
        [
            r
            for r in chosen_records(part, count, options.sources)
            if max(r.height, r.width) <= options.largest
        ]
        for part, count in zip(
            split_by_group(read_manifest(options.data)),
            (options.calibrate, options.images),
            strict=True,
        )
    ]
    train = looked_at(parts[0], predictor, settings)
    grid = list(itertools.product(SCORES, STABILITIES, OVERLAPS))
    thresholds = best_of(grid, train, lambda item, *choice: everything(item.points, *choice))
    with_boxes = best_of(grid, train, lambda item, *choice: everything(item.boxes, *choice))
    pairs = list(itertools.product(SIGMAS, DISTANCES))
    chosen = best_of(pairs, train, lambda item, *choice: otsu_watershed(item.image, *choice))
    print(f"score, stability, overlap: {thresholds}; with boxes {with_boxes}")
    print(f"otsu's sigma, distance: {chosen}")
    rows: dict[str, list[list[float]]] = defaultdict(list)
    for item in looked_at(parts[1], predictor, settings):
        found = (
            item.points.filtered(),
            item.boxes.filtered(),
            everything(item.points, *thresholds),
            everything(item.boxes, *with_boxes),
            otsu_watershed(item.image, *chosen),
        )
        rows[item.source].append([average_precision(item.truth, labels) for labels in found])
    print("source      images  preset  +boxes  points   boxes    otsu")
    for source, values in rows.items():
        told = "  ".join(f"{value:6.3f}" for value in np.mean(values, axis=0))
        print(f"{source:<12}{len(values):6d}  {told}")


if __name__ == "__main__":
    main()
