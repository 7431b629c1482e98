"""Pictures of the held-out objects that a model finds worst, for its model card.

    python benchmarks/worst_objects.py OUT.png --data FOLDER [--prompt box] [--each 2]

FOLDER holds a MANIFEST.tsv. Of each source the objects with the lowest IoU are shown, among the
first images of each size, and as many objects of each image as the model card's figures are from.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import napari_samhq as samhq
from napari_samhq.core.display.worst_objects import WorstCases, picture_of_cases
from napari_samhq.core.measure.clicks import deepest_point
from napari_samhq.core.measure.metrics import boundary_iou, iou
from napari_samhq.core.measure.quality import ObjectQuality, Quality
from napari_samhq.training.micro.data import stretch_to_uint8
from napari_samhq.training.micro.manifest import read_manifest, split_by_group
from napari_samhq.training.micro.measures import targets_of
from napari_samhq.training.micro.model_card import chosen_records, read_pair


def main() -> None:
    """Ask for objects, keep the worst, draw them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="micro")
    parser.add_argument("--prompt", choices=["box", "click"], default="box")
    parser.add_argument("--sources", nargs="+", default=None, help="these only")
    parser.add_argument("--images", type=int, default=3, help="of each size in each source")
    parser.add_argument("--objects", type=int, default=10, help="of each image")
    parser.add_argument("--each", type=int, default=2, help="shown of each source")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    predictor = samhq.Predictor(samhq.load_model(options.model))
    _, validation = split_by_group(read_manifest(options.data))
    worst: dict[str, WorstCases] = defaultdict(lambda: WorstCases(options.each))
    for record in chosen_records(validation, options.images, options.sources):
        image, labels = read_pair(record)
        embedding = predictor.embed(image)
        grey = stretch_to_uint8(image)
        rgb8 = np.repeat(grey[..., None], 3, axis=2) if grey.ndim == 2 else grey
        for target in targets_of(labels, options.objects):
            truth = target.full(labels.shape)
            corner = target.rows.start, target.cols.start
            point = np.array([deepest_point(target.mask)]) + corner
            prompt = {"box": target.box_rc} if options.prompt == "box" else {"points": point}
            mask = predictor.predict(embedding, **prompt).mask
            quality = ObjectQuality(
                target.label,
                1,
                iou(mask, truth),
                boundary_iou(mask, truth),
                int(target.mask.sum()),
                target.box_rc,
            )
            # Neighbours would hide the outline that counts.
            true = truth.astype(np.int32) * target.label
            found = mask.astype(np.int32)
            name = f"{record.source} {record.stem}"
            worst[record.source].look_at(name, rgb8, true, found, Quality((quality,), 1))
    cases = [case for some in worst.values() for case in some.cases]
    Image.fromarray(picture_of_cases(cases)).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
