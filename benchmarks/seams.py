"""What borders between tiles do to objects: counts, splits and doubles on mosaics of real images.

    python benchmarks/seams.py --data FOLDER [--source bbbc039] [--seeds 1 2 3 4 5] [--side 600]

FOLDER holds annotated images and MANIFEST.tsv; those that training held out are taken. Each seed
makes a mosaic of crops of them, turned and mirrored, with the truth of each. It is segmented twice:
with tiles as they are, and with all tiles moved by half a tile. So each object of the truth meets
other borders, or none, and is seen at the same scale. An object is split or doubled if two objects
or more lie in it for the most part, each with a tenth of its pixels at least.
"""

import argparse
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

import napari_samhq as samhq
from napari_samhq.batch.everything import finished, local_workers
from napari_samhq.batch.opening import in_memory_site
from napari_samhq.batch.run import iter_publish, iter_segment
from napari_samhq.core.measure.metrics import match
from napari_samhq.core.tiles.grid import TileGrid
from napari_samhq.inference.settings import AutomaticSettings, Search
from napari_samhq.training.micro.manifest import read_manifest, split_by_group
from napari_samhq.training.micro.model_card import read_pair

PIECE_PX = 300  # sides of crops: borders of tiles do not fall on theirs
PIECE_SHARE = 0.1


def mosaic(pairs: list[tuple[np.ndarray, np.ndarray]], side: int, seed: int) -> tuple:
    """Put crops together: image (side, side) uint8, labels of the truth (side, side) int32."""
    rng = np.random.default_rng(seed)
    image, truth = np.zeros((side, side), np.uint8), np.zeros((side, side), np.int32)
    count = 0
    for top in range(0, side, PIECE_PX):
        for left in range(0, side, PIECE_PX):
            pixels, labels = pairs[rng.integers(len(pairs))]
            pixels = pixels[..., 0] if pixels.ndim == 3 else pixels
            low, high = np.percentile(pixels, (0.1, 99.9))
            row, col = (int(rng.integers(length - PIECE_PX + 1)) for length in labels.shape)
            here = (slice(row, row + PIECE_PX), slice(col, col + PIECE_PX))
            turns, is_mirrored = int(rng.integers(4)), bool(rng.integers(2))
            grey = np.clip((pixels[here] - low) / (high - low) * 255, 0, 255).astype(np.uint8)
            found, ids = np.unique(labels[here], return_inverse=True)
            ids = np.where(ids > 0, ids + count, 0) if found[0] == 0 else ids + 1 + count
            count += len(found) - int(found[0] == 0)
            for target, piece in ((image, grey), (truth, ids.reshape(grey.shape))):
                turned = np.rot90(piece, turns)
                turned = turned[:, ::-1] if is_mirrored else turned
                height, width = target[top : top + PIECE_PX, left : left + PIECE_PX].shape
                target[top : top + height, left : left + width] = turned[:height, :width]
    return image, np.unique(truth, return_inverse=True)[1].reshape(truth.shape)


def tiled(image: np.ndarray, predictor: object, settings: AutomaticSettings, shift: int) -> tuple:
    """Segment with tiles that begin elsewhere: labels, and the grid of the tiles."""
    site = in_memory_site(image, predictor, Search(settings=settings), contrast_limits=(0, 255))
    site.plan = replace(site.plan, origin_rc=(-shift, -shift))
    labels = np.zeros(image.shape, dtype=np.int32)
    keys = finished(iter_segment(site, local_workers(1), keep_going=False))
    finished(iter_publish(site.plan, site.results, keys, labels))
    return labels, site.plan.grids[0]


def at_borders(labels: np.ndarray, grid: TileGrid) -> set[int]:
    """Label ids of objects through which a border between tiles goes."""
    found: set[int] = set()
    for axis in (0, 1):
        lines = np.moveaxis(labels, axis, 0)
        for place in {tile.write[axis].start for tile in grid} - {0}:
            both = lines[place - 1] == lines[place]
            found |= set(np.unique(lines[place][both]).tolist())
    return found - {0}


def in_pieces(whole: np.ndarray, parts: np.ndarray) -> set[int]:
    """Label ids of `whole` in which two objects of `parts` or more lie for the most part."""
    sizes, areas = np.bincount(parts.ravel()), np.bincount(whole.ravel())
    both = (whole > 0) & (parts > 0)
    pairs, shared = np.unique(np.stack([whole[both], parts[both]]), axis=1, return_counts=True)
    lies_in = (shared > sizes[pairs[1]] / 2) & (shared >= PIECE_SHARE * areas[pairs[0]])
    ids, counts = np.unique(pairs[0][lies_in], return_counts=True)
    return set(ids[counts > 1].tolist())


@dataclass
class Tally:
    """How objects of the truth fared."""

    of: int = 0
    found: int = 0
    split: int = 0

    def add(self, ids: set[int], missed: set[int], split: set[int]) -> None:
        """Count some objects."""
        self.of += len(ids)
        self.found += len(ids - missed)
        self.split += len(ids & split)

    def __str__(self) -> str:
        most = max(1, self.of)
        return (
            f"{self.of:5d} objects, {100 * self.found / most:5.1f} % found, {self.split} in pieces "
            f"({100 * self.split / most:.1f} %)"
        )


@dataclass
class Sum:
    """Over all mosaics."""

    truth: int = 0
    counts: list[int] = field(default_factory=lambda: [0, 0])
    crossed: Tally = field(default_factory=Tally)
    others: Tally = field(default_factory=Tally)

    def add(self, truth: np.ndarray, runs: list[tuple]) -> None:
        """Count one mosaic."""
        self.truth += int(truth.max())
        everyone = set(range(1, int(truth.max()) + 1))
        for number, (labels, grid) in enumerate(runs):
            self.counts[number] += int(labels.max())
            missed = set(match(truth, labels, threshold=0.5).missed.tolist())
            crossed, split = at_borders(truth, grid), in_pieces(truth, labels)
            self.crossed.add(crossed, missed, split)
            self.others.add(everyone - crossed, missed, split)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with MANIFEST.tsv")
    parser.add_argument("--source", default="bbbc039")
    parser.add_argument("--model", default="micro")
    parser.add_argument("--preset", default="nuclei")
    parser.add_argument("--spacing", type=int, default=16)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch")
    parser.add_argument("--side", type=int, default=2 * PIECE_PX)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    _, held_out = split_by_group(read_manifest(options.data))
    pairs = [read_pair(record) for record in held_out if record.source == options.source]
    predictor = samhq.Predictor(samhq.load_model(options.model))
    settings = AutomaticSettings.preset(options.preset, spacing_px=options.spacing)
    total, start = Sum(), time.perf_counter()
    for seed in options.seeds:
        image, truth = mosaic(pairs, options.side, seed)
        shifts = (0, settings.tile_px // 2)
        runs = [tiled(image, predictor, settings, shift) for shift in shifts]
        total.add(truth, runs)
        (first, _), (moved, _) = runs
        partners = len(match(first, moved, threshold=0.5).pairs)
        print(
            f"seed {seed}: truth {truth.max()}, found {first.max()}, with tiles moved "
            f"{moved.max()}, {partners} in both",
            flush=True,
        )
    first, moved = total.counts
    print(f"truth {total.truth}, found {first}, with tiles moved {moved}: ", end="")
    print(f"{100 * abs(first - moved) / max(1, first):.2f} % apart")
    print(f"at a border of tiles: {total.crossed}")
    print(f"elsewhere:            {total.others}")
    print(f"{time.perf_counter() - start:.0f} s, {options.threads} threads of torch")


if __name__ == "__main__":
    main()
