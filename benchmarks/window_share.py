"""How much of its window an object may fill: mean IoU and boundary IoU with held-out objects.

    python benchmarks/window_share.py --data FOLDER [--model micro] [--objects 3]

FOLDER holds a MANIFEST.tsv; objects are of its held-out part, one image of each size in each
source. Each object is enlarged, with what surrounds it, until it spans so many pixels of a large
image, and is asked for there by a click on the pixel farthest from its border and by its tight box,
through the windows that users get: once with the share that the model's weights tell, once with
that of models that tell none.
"""

import argparse
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from skimage.transform import resize

import napari_samhq as samhq
from napari_samhq.core.measure.clicks import deepest_point
from napari_samhq.core.measure.metrics import boundary_iou, iou
from napari_samhq.core.tiles.windows import LARGEST_SHARE, Windows
from napari_samhq.inference.windowed import WindowedPredictor
from napari_samhq.training.micro.manifest import read_manifest, split_by_group
from napari_samhq.training.micro.measures import targets_of, window_of
from napari_samhq.training.micro.model_card import chosen_records, read_pair

SIDE = 4  # windows of scale 1 that the large image spans


def enlarged(image, labels, target, span, side):
    """Cut out an object with its surroundings, and enlarge it to a span of pixels."""
    extent = max(target.rows.stop - target.rows.start, target.cols.stop - target.cols.start)
    where = window_of(target, labels.shape, span / side)
    zoom = span / extent
    shape = [round((part.stop - part.start) * zoom) for part in where]
    picture = resize(image[where], shape, order=1, preserve_range=True).astype(image.dtype)
    truth = resize((labels[where] == target.label).astype(float), shape, order=1) > 0.5
    return picture, truth


def measured(windowed, truth, prompt):
    """IoU, boundary IoU in the object's padded box, and seconds."""
    began = time.perf_counter()
    answer = windowed.predict(prompt)
    seconds = time.perf_counter() - began
    mask = np.zeros(truth.shape, bool)
    mask[answer.region] = answer.mask
    (target,) = targets_of(truth, 1)
    pad = target.padded(truth.shape)
    return iou(mask, truth), boundary_iou(mask[pad], truth[pad]), seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="micro")
    parser.add_argument("--objects", type=int, default=3, help="of each image")
    parser.add_argument("--spans", type=int, nargs="+", default=[64, 128, 192], help="pixels")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    predictor = samhq.Predictor(samhq.load_model(options.model))
    side = predictor.input_size
    _, validation = split_by_group(read_manifest(options.data))
    found = defaultdict(lambda: defaultdict(list))
    for record in chosen_records(validation, 1):
        image, labels = read_pair(record)
        for target in targets_of(labels, options.objects):
            for span in options.spans:
                picture, truth = enlarged(image, labels, target, span, SIDE * side)
                if max(truth.shape) <= 2 * side or not truth.any():
                    continue  # seen as a whole
                (only,) = targets_of(truth, 1)
                corner = only.rows.start, only.cols.start
                click = samhq.Prompt([np.array(deepest_point(only.mask)) + corner])
                box = samhq.Prompt(box=only.box_rc)
                for name, share in (
                    ("told", predictor.largest_share),
                    ("3/8", LARGEST_SHARE),
                ):
                    windowed = WindowedPredictor(predictor, picture)
                    windowed.windows = Windows(truth.shape, side, share)
                    for kind, prompt in (("click", click), ("box", box)):
                        found[kind, span, name][record.source].append(
                            measured(windowed, truth, prompt)
                        )
        print(f"{record.source}/{record.stem}", flush=True)
    print("| prompt | span, px | share | objects | IoU | boundary IoU | seconds |")
    print("|---|---|---|---|---|---|---|")
    for (kind, span, name), by_source in found.items():
        count = sum(map(len, by_source.values()))
        means = np.mean([np.mean(values, axis=0) for values in by_source.values()], axis=0)
        print(
            f"| {kind} | {span} | {name} | {count} | {means[0]:.3f} | {means[1]:.3f} "
            f"| {means[2]:.2f} |"
        )


if __name__ == "__main__":
    main()
