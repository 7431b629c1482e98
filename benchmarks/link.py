"""Linking of true outlines through planes and through time, beside the usual ways.

    python benchmarks/link.py FOLDER

FOLDER holds folders with labels.tif (Z, H, W) or (T, H, W), named *_zyx or *_tyx, and those of
films a lineage.csv: track, start, end, parent. Ids are forgotten in each plane. Stacks are measured
in pieces, too: each connected piece of 20 pixels or more is an outline, and smaller ones are gone.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from skimage.measure import label as pieces_of

import napari_samhq as samhq
from napari_samhq.core.measure.metrics import match
from napari_samhq.tracking.measures import compare_tracks, spans_of
from napari_samhq.tracking.pairing import best_pairs
from napari_samhq.tracking.planes import objects_of, overlaps

LEAST_PIECE_PX = 20


def forgotten(labels: np.ndarray, in_pieces: bool = False) -> np.ndarray:
    """Give the objects of each plane other numbers, in a random order."""
    random = np.random.default_rng(0)
    out = np.zeros(labels.shape, dtype=np.int32)
    for number, plane in enumerate(labels):
        ids = pieces_of(plane, background=0, connectivity=1) if in_pieces else plane
        found, where, counts = np.unique(ids, return_inverse=True, return_counts=True)
        keep = (found > 0) & (counts >= (LEAST_PIECE_PX if in_pieces else 1))
        numbers = np.zeros(len(found), dtype=np.int32)
        numbers[keep] = 1 + random.permutation(int(keep.sum()))
        out[number] = numbers[where].reshape(plane.shape)
    return out


def chained(labels: np.ndarray, floor: float, mutual: bool) -> np.ndarray:
    """Give ids on from plane to plane: to the best above an IoU, or by the best assignment."""
    out = np.zeros(labels.shape, dtype=np.int32)
    highest, last = 0, None
    for number, plane in enumerate(labels):
        objects = objects_of(plane)
        ids = np.zeros(len(objects), dtype=np.int32)
        if last is not None:
            pairs = overlaps(last[0], objects)
            gains = pairs.ious - floor
            if mutual:
                chosen = best_pairs(pairs.before, pairs.after, gains)
            else:
                best = np.zeros(len(last[0]))
                np.maximum.at(best, pairs.before, gains)
                chosen = np.flatnonzero((gains > 0) & (gains == best[pairs.before]))
            ids[pairs.after[chosen]] = last[1][pairs.before[chosen]]
        new = ids == 0
        ids[new] = highest + 1 + np.arange(new.sum())
        highest += int(new.sum())
        table = np.concatenate([[0], ids])
        out[number] = table[objects.index].reshape(plane.shape)
        last = (objects, ids)
    return out


def ap50(true: np.ndarray, found: np.ndarray) -> float:
    """Found / (found + extra + missed) at an IoU of 0.5, in 3-D."""
    pairs = match(true, found)
    return len(pairs.pairs) / (len(pairs.pairs) + len(pairs.missed) + len(pairs.extra))


def measure_stack(folder: Path) -> None:
    """Print the AP50 of a stack: whole outlines, and pieces."""
    true = tifffile.imread(folder / "labels.tif")
    for in_pieces in (False, True):
        given = forgotten(true, in_pieces)
        wanted = np.where(given > 0, true, 0)
        start = time.perf_counter()
        linked = samhq.link(given, axes="zyx")
        seconds = time.perf_counter() - start
        row = [
            ap50(wanted, chained(given, 0.25, mutual=False)),
            ap50(wanted, chained(given, 0.05, mutual=True)),
            ap50(wanted, linked.labels),
        ]
        told = "pieces" if in_pieces else "outlines"
        numbers = "".join(f"{value:10.3f}" for value in row)
        print(f"{folder.name:24s}{told:10s}{numbers}{seconds:8.1f} s", flush=True)


def measure_film(folder: Path) -> None:
    """Print LNK, CT and the F1 of divisions of a film."""
    true, lineage = tifffile.imread(folder / "labels.tif"), pd.read_csv(folder / "lineage.csv")
    given = forgotten(true)
    start = time.perf_counter()
    linked = samhq.link(given, axes="tyx")
    seconds = time.perf_counter() - start
    ways = {
        "stitching": (chained(given, 0.25, mutual=False), None),
        "assignment": (chained(given, 0.05, mutual=True), None),
        "link": (linked.labels, linked.lineage),
    }
    for name, (labels, found) in ways.items():
        quality = compare_tracks(
            true, lineage, labels, spans_of(labels) if found is None else found
        )
        good, extra, missed = quality.divisions[0]
        print(
            f"{folder.name:24s}{name:12s} TRA {quality.tra:.3f}  LNK {quality.lnk:.3f}  "
            f"CT {quality.ct:.3f}  divisions F1 {quality.division_f1:.2f} ({good} found, "
            f"{extra} extra, {missed} missed)" + (f"  {seconds:.1f} s" if name == "link" else ""),
            flush=True,
        )


def main() -> None:
    """Measure all sets of a folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="part of a name")
    options = parser.parse_args()
    print(f"{'AP50':34s}{'IoU .25':>10s}{'Hungarian':>10s}{'link':>10s}")
    for folder in sorted(options.folder.glob("*_zyx")):
        if options.only in folder.name:
            measure_stack(folder)
    for folder in sorted(options.folder.glob("*_tyx")):
        if options.only in folder.name:
            measure_film(folder)


if __name__ == "__main__":
    main()
