"""Fine-tuning on a few objects of a kind that the model does not know: quality and time.

    python benchmarks/finetune.py IMAGES LABELS [--model micro] [--objects 20] [--test 20]
        [--seeds 0 1 2] [--everything 3] [--set steps=200]

IMAGES and LABELS are folders with files of the same names, one label image for each image. For each
seed other images are drawn: some to fine-tune on, with `--objects` objects together, a part of
which is held out to decide when to stop; and others for the test, which training never sees. The
figures are means over the objects of the test.

With `--everything N` all objects of the images must be labelled: it learns from exactly `--objects`
of them, as somebody would mark them who begins at the top of the first image and calls the part
above finished. Two more figures are the average precision at an IoU of 0.5 of all objects that are
found without prompts: in the images that it learned from, of which it may not know the rest, and in
N images of the test.
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

import napari_samhq as samhq
from napari_samhq.cli.train import changes_of, pairs_in
from napari_samhq.core.measure.metrics import match
from napari_samhq.io.images import read_image
from napari_samhq.training.finetune.examples import checked_examples
from napari_samhq.training.finetune.measuring import measured
from napari_samhq.training.finetune.settings import TuningSettings

NAMES = ("box", "box boundary", "click", "click boundary")
FOUND = ("everything, this", "everything, next")


def figures(model, images: list, labels: list, most: int) -> dict[str, float]:
    """Mean IoUs over the first `most` objects."""
    examples, items = checked_examples(images, labels, 16)
    rows = [row for some in measured(model, examples, items[:most], "both") for row in some]
    return {name: float(np.mean([row[name] for row in rows])) for name in NAMES}


def everything(model, images: list, labels: list) -> float:
    """Mean average precision, at an IoU of 0.5, of all that is found without prompts."""
    scores = []
    for image, truth in zip(images, labels, strict=True):
        pairs = match(truth, samhq.segment_everything(image, model=model))
        scores.append(
            len(pairs.pairs) / max(1, len(pairs.pairs) + len(pairs.missed) + len(pairs.extra))
        )
    return float(np.mean(scores))


def from_the_top(labels: list, count: int) -> tuple[list, list]:
    """Keep the first objects, from the top down; also give masks of where all are kept."""
    kept, masks = [], []
    for one in labels:
        ids, first = np.unique(one, return_index=True)
        order = ids[np.argsort(first)]
        mine = order[order > 0][:count]
        count -= len(mine)
        rest = (one > 0) & ~np.isin(one, mine)
        above = np.flatnonzero(rest.any(axis=1))
        mask = np.ones(one.shape, bool)
        if len(above):
            mask[above[0] :] = False
        kept.append(np.where(rest, 0, one))
        masks.append(mask)
    return kept, masks


def one_seed(options: argparse.Namespace, pairs: list, seed: int) -> dict[str, dict[str, float]]:
    """Fine-tune on some images, and test before and after on others."""
    order = np.random.default_rng(seed).permutation(len(pairs))
    images = [read_image(pairs[index][0]) for index in order]
    labels = [read_image(pairs[index][1]) for index in order]
    counts = np.cumsum([len(np.unique(one[one > 0])) for one in labels])
    used = int(np.searchsorted(counts, options.objects)) + 1
    test = images[used:], labels[used:]
    base = samhq.load_model(options.model)
    result = {"before": figures(base, *test, options.test)}
    learned, known = labels[:used], False
    if options.everything:
        learned, known = from_the_top(labels[:used], options.objects)
    seen = (images[:used], labels[:used]), [part[: options.everything] for part in test]

    def found(model) -> dict[str, float]:
        if not options.everything:
            return {}
        return {name: everything(model, *pair) for name, pair in zip(FOUND, seen, strict=True)}

    result["before"] |= found(base)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "head.safetensors"
        began, cpu = time.perf_counter(), time.process_time()
        done = samhq.finetune(
            images[:used],
            learned,
            options.model,
            out=out,
            seed=seed,
            complete=known,
            **changes_of(options.set, TuningSettings),
        )
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        tuned = samhq.load_model(out)
        result["after"] = figures(tuned, *test, options.test) | found(tuned)
        size = out.stat().st_size
    record = done.record
    print(
        f"seed {seed}: {record['objects_learned_from']} + {record['objects_held_out']} objects, "
        f"best of {record['steps']} steps {record['best_step']}, {seconds:.0f} s "
        f"({cpu:.0f} s of processor time), {record['parameters']} weights, {size / 1e6:.2f} MB",
        flush=True,
    )
    for when, values in result.items():
        print(f"  {when:<7}" + "".join(f"  {n} {v:.3f}" for n, v in values.items()), flush=True)
    return result


def main() -> None:
    """Fine-tune once for each seed, and sum up."""
    parser = argparse.ArgumentParser(description="Fine-tuning: quality and time.")
    parser.add_argument("images", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--model", default="micro")
    parser.add_argument("--objects", type=int, default=20)
    parser.add_argument("--test", type=int, default=20)
    parser.add_argument("--everything", type=int, default=0, help="find all objects of so many")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], help="a setting, as steps=200")
    options = parser.parse_args()
    warnings.simplefilter("ignore", samhq.SamHQWarning)
    pairs = pairs_in(options.images, options.labels)
    results = [one_seed(options, pairs, seed) for seed in options.seeds]
    for name in results[0]["after"]:
        before = [r["before"][name] for r in results]
        after = [r["after"][name] for r in results]
        gains = np.subtract(after, before)
        print(
            f"{name:<16} {np.mean(before):.3f} -> {np.mean(after):.3f}   "
            f"(gain {gains.min():+.3f} to {gains.max():+.3f})"
        )


if __name__ == "__main__":
    main()
