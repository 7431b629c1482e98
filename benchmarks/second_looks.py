"""What asking more than once does to the answer: mean IoU with held-out objects, by source.

    python benchmarks/second_looks.py --data FOLDER [--model micro] [--images 2] [--objects 5]

FOLDER holds a MANIFEST.tsv; objects are of its held-out part. Each object is asked for by a tight
box and by a click on the pixel farthest from its border, in the whole image, and then:

- fed back: the same prompt once more, with the logits of the first answer.
- mirrored: mean of the logits for the image and for its mirror image.
- by score: of three candidates the one with the best score.
- boxed: the click together with the box around its own answer.
- window: the same prompt in the part of the image of which the box, or the first answer to the
  click, spans a quarter (an eighth).
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

import napari_samhq as samhq
from napari_samhq.core.measure.clicks import deepest_point
from napari_samhq.core.measure.metrics import iou
from napari_samhq.inference.enlarging import Enlarger
from napari_samhq.training.micro.manifest import read_manifest, split_by_group
from napari_samhq.training.micro.measures import Target, targets_of, window_of
from napari_samhq.training.micro.model_card import chosen_records, read_pair


class Looks:
    """All ways to ask for the objects of one image."""

    def __init__(self, predictor: samhq.Predictor, image: np.ndarray) -> None:
        self.predictor, self.image = predictor, image
        self.shape = image.shape[:2]
        self.axis = int(np.argmax(self.shape))
        self.embedding = predictor.embed(image)
        self.turned = predictor.embed(np.flip(image, self.axis).copy())

    def mirrored(self, first: samhq.Prediction, **prompt: np.ndarray) -> np.ndarray:
        """Average the logits of the image and of its mirror image."""
        last = self.shape[self.axis] - 1
        other = {name: np.array(value) for name, value in prompt.items()}
        if "box" in other:
            low, high = other["box"][self.axis], other["box"][self.axis + 2]
            other["box"][[self.axis, self.axis + 2]] = last - high, last - low
        if "points" in other:
            other["points"][:, self.axis] = last - other["points"][:, self.axis]
        answer = self.predictor.predict(self.turned, **other)
        logits = first.low_res_logits[0]
        both = (logits + np.flip(answer.low_res_logits[0], self.axis)) / 2
        enlarger = Enlarger(self.embedding, len(logits))
        rows, cols = enlarger.low_res_shape
        mask = np.zeros(self.shape, bool)
        enlarger.draw(np.ascontiguousarray(both[:rows, :cols]), mask)
        return mask

    def in_window(self, extent: Target, share: float, **prompt: np.ndarray) -> np.ndarray:
        """Ask in the part of the image of which something spans a share."""
        where = window_of(extent, self.shape, share)
        offset = np.array([part.start for part in where])
        piece = self.image[where]
        mask = np.zeros(self.shape, bool)
        if np.ptp(piece) == 0:
            return mask
        moved = {
            n: np.array(v) - (np.tile(offset, 2) if n == "box" else offset)
            for n, v in prompt.items()
        }
        mask[where] = self.predictor.predict(self.predictor.embed(piece), **moved).mask
        return mask

    def answers(self, target: Target) -> dict[str, np.ndarray]:
        """Masks by the way they were asked for."""
        box = np.array(target.box_rc)
        corner = target.rows.start, target.cols.start
        point = np.array([deepest_point(target.mask)]) + corner
        found = {}
        for kind, prompt in (("box", {"box": box}), ("click", {"points": point})):
            first = self.predictor.predict(self.embedding, **prompt)
            found[kind] = first.mask
            again = self.predictor.predict(self.embedding, **prompt, mask=first.low_res_logits)
            found[f"{kind}, fed back"] = again.mask
            found[f"{kind}, mirrored"] = self.mirrored(first, **prompt)
            extent = target
            if kind == "click":
                several = self.predictor.predict(self.embedding, **prompt, multimask=True)
                found["click, by score"] = several.mask
                rows, cols = np.nonzero(first.mask)
                if not len(rows):
                    rows, cols = point[:, 0], point[:, 1]
                parts = slice(rows.min(), rows.max() + 1), slice(cols.min(), cols.max() + 1)
                extent = Target(0, *parts, first.mask[parts])
                boxed = self.predictor.predict(self.embedding, points=point, box=extent.box_rc)
                found["click, boxed"] = boxed.mask
            for name, share in (("1/4", 0.25), ("1/8", 0.125)):
                found[f"{kind}, window {name}"] = self.in_window(extent, share, **prompt)
        return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="micro")
    parser.add_argument("--images", type=int, default=2, help="of each size in each source")
    parser.add_argument("--objects", type=int, default=5, help="of each image")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    predictor = samhq.Predictor(samhq.load_model(options.model))
    _, validation = split_by_group(read_manifest(options.data))
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in chosen_records(validation, options.images):
        image, labels = read_pair(record)
        looks = Looks(predictor, image)
        for target in targets_of(labels, options.objects):
            truth = target.full(looks.shape)
            for way, mask in looks.answers(target).items():
                found[way][record.source].append(iou(mask, truth))
        print(f"{record.source}/{record.stem}", flush=True)
    sources = list(found["box"])
    print("| way | " + " | ".join(sources) + " | mean |\n" + "|---" * (len(sources) + 2) + "|")
    for way, values in found.items():
        means = [float(np.mean(values[source])) for source in sources]
        told = " | ".join(f"{value:.3f}" for value in [*means, float(np.mean(means))])
        print(f"| {way} | {told} |")


if __name__ == "__main__":
    main()
