"""Training batches: choice of image, scale and objects.

A batch depends on nothing but the seed, the step and the plan, so a resumed run sees what an
uninterrupted one would have seen, and batches can be made ahead in another process.
"""

from __future__ import annotations

from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_samhq.training.dense_targets import dense_targets
from napari_samhq.training.micro.augment import random_look, random_matrix
from napari_samhq.training.micro.composites import composite
from napari_samhq.training.micro.data import FRAME_PX, AnnotatedImage, crop_at, load_image
from napari_samhq.training.micro.synthetic import synthetic_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_samhq.training.micro.manifest import Record

COMPOSITE = "composite"

__all__ = ["COMPOSITE", "Batch", "BatchMaker", "BatchPlan", "Pool", "Prefetcher"]


@dataclass(frozen=True)
class BatchPlan:
    """Size of a batch: crops per batch, side of a crop in px, objects per crop to prompt at most.

    ``looks`` is the share of crops whose look is randomised; ``windows`` the share of crops at the
    scale of a window around an object instead of that of the whole image.
    """

    crops: int = 8
    size: int = 128
    objects: int = 8
    looks: float = 0.85
    windows: float = 0.5


def plan_of(step: int, plans: tuple[BatchPlan, ...]) -> BatchPlan:
    """Return the plan of a step: plans take turns."""
    return plans[step % len(plans)]


@dataclass(frozen=True)
class Batch:
    """Crops with the objects to be prompted.

    Attributes
    ----------
    images : (B, 3, c, c) uint8
    labels : (B, c, c) int16
    complete : (B,) bool
        Whether all objects of the crop are annotated.
    origin_xy : (B, 2) float32
        Place of the crop in the frame, px; a multiple of the stride 8.
    dense : (B, 5, c / 2, c / 2) float16
        Targets of the dense head.
    image_index, object_id, neighbour_id : (P,) int64
        Crop and label id of each object to prompt, and of the nearest other one (0 for none).
    boxes_xy : (P, 4) float32
        Tight boxes (x0, y0, x1, y1) of the objects, crop px, edges inclusive of the outermost pixel
        centres.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int16]
    complete: NDArray[np.bool_]
    origin_xy: NDArray[np.float32]
    dense: NDArray[np.float16]
    image_index: NDArray[np.int64]
    object_id: NDArray[np.int64]
    neighbour_id: NDArray[np.int64]
    boxes_xy: NDArray[np.float32]


@dataclass(frozen=True)
class Pool:
    """Annotated images with a weight per source, and a number of synthetic images.

    The weights of ``synthetic`` and ``composite`` are those of pictures that are made.
    """

    records: tuple[Record, ...]
    weights: tuple[tuple[str, float], ...]
    synthetic: int = 400
    seed: int = 0


class BatchMaker:
    """Makes the batch of a given step."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        weights = dict(pool.weights)
        by_look: dict[tuple[object, ...], list[AnnotatedImage]] = {}
        for record in pool.records:
            if weights.get(record.source, 0) > 0:
                item = load_image(record)
                if len(item.ids):
                    by_look.setdefault(record.look, []).append(item)
        self._strata: list[list[AnnotatedImage]] = []
        chances: list[float] = []
        for source, weight in weights.items():
            if source == COMPOSITE:
                continue
            looks = [items for look, items in by_look.items() if look[0] == source]
            # Rare looks count for more than their number of images: square root of the counts.
            shares = np.sqrt([len(items) for items in looks])
            self._strata += looks
            chances += list(weight * shares / shares.sum()) if len(looks) else []
        if pool.synthetic and weights.get("synthetic", 0) > 0:
            drawn = [synthetic_image([pool.seed, 77, k]) for k in range(pool.synthetic)]
            self._strata.append([item for item in drawn if len(item.ids)])
            chances.append(weights["synthetic"])
        self._chances = np.array(chances) / np.sum(chances)
        self._composites = weights.get(COMPOSITE, 0.0) / (
            np.sum(chances) + weights.get(COMPOSITE, 0.0)
        )

    def make(self, step: int, plan: BatchPlan) -> Batch:
        """Return the batch of one step; the same step and plan give the same batch."""
        rng = np.random.default_rng([self.pool.seed, 1, step])
        images: list[NDArray[np.uint8]] = []
        labels, complete, origins = [], [], []
        index: list[int] = []
        ids, boxes, neighbours, dense = [], [], [], []
        while len(images) < plan.crops:
            item = self._draw(rng)
            made = rng.random() < self._composites
            image, label = self._crop(rng, item, plan, made=made)
            chosen, box = choose_objects(rng, label, max(plan.objects, 1))
            if not len(chosen):
                continue
            chosen, box = chosen[: plan.objects], box[: plan.objects]
            index += [len(images)] * len(chosen)
            ids.append(chosen)
            neighbours.append(nearest_others(label, chosen))
            dense.append(dense_targets(label))
            boxes.append(box)
            images.append(image.transpose(2, 0, 1))
            labels.append(label)
            complete.append(made or item.complete)
            free = (FRAME_PX - plan.size) // 8
            origins.append(8 * rng.integers(0, free + 1, 2))
        return Batch(
            np.stack(images),
            np.stack(labels).astype(np.int16),
            np.array(complete),
            np.array(origins, np.float32),
            np.stack(dense),
            np.array(index, np.int64),
            np.concatenate(ids),
            np.concatenate(neighbours),
            np.concatenate(boxes),
        )

    def _draw(self, rng: np.random.Generator) -> AnnotatedImage:
        stratum = self._strata[int(rng.choice(len(self._strata), p=self._chances))]
        return stratum[int(rng.integers(len(stratum)))]

    def _crop(
        self, rng: np.random.Generator, item: AnnotatedImage, plan: BatchPlan, *, made: bool
    ) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Cut a crop around a random object, at the scale of whole-image inference or of a window
        around the object. A composite is made of its outlines where that is asked for.
        """
        size = plan.size
        which = int(rng.integers(len(item.ids)))
        diameter = float(np.sqrt(item.areas[which] * 4 / np.pi))
        if rng.random() >= plan.windows:
            zoom = item.frame_zoom * np.exp(rng.normal(0, 0.25))
            zoom = max(zoom, 5.0 / diameter)  # smaller than that no one can outline
        else:
            smallest = max(8.0, size / 16)  # large crops are for what small ones cannot show
            zoom = np.exp(rng.uniform(np.log(smallest), np.log(0.8 * size))) / diameter
        zoom = float(np.clip(zoom, 0.05, 8.0))
        matrix = random_matrix(rng, zoom)
        reach = 0.3 * size if rng.random() < 0.8 else 0.48 * size
        center = item.centers_rc[which] + matrix @ rng.uniform(-reach, reach, 2)
        if rng.random() < 0.7:  # mostly inside the image; else the frame's padding comes into view
            half = size / zoom / 2
            extent = np.array(item.shape)
            center = np.where(extent > 2 * half, np.clip(center, half, extent - half), extent / 2)
        crop = crop_at(item, center, matrix, size)
        if made:
            picture, labels = composite(rng, self._draw, crop.labels)
            everywhere = np.ones_like(crop.valid)
            return random_look(rng, picture, everywhere, strength=plan.looks), labels
        return random_look(rng, crop.image, crop.valid, strength=plan.looks), crop.labels


def choose_objects(
    rng: np.random.Generator, labels: NDArray[np.int32], count: int, smallest: int = 14
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Pick objects of a crop to prompt.

    Parameters
    ----------
    labels : (c, c) int
    count : int
        At most so many; where there are fewer objects each is taken up to twice, for another
        prompt.
    smallest : int
        Objects with fewer px in the crop are left out.

    Returns
    -------
    ids : (n,) int64
    boxes_xy : (n, 4) float32
    """
    area = np.bincount(labels.ravel())
    area[0] = 0
    candidates = np.flatnonzero(area >= smallest)
    if not len(candidates):
        return np.zeros(0, np.int64), np.zeros((0, 4), np.float32)
    # Half by chance, half by size, so that crowds of small objects do not hide the large one.
    weight = 1.0 / len(candidates) + np.sqrt(area[candidates]) / np.sqrt(area[candidates]).sum()
    repeated = np.tile(candidates, 2)
    keys = rng.random(len(repeated)) ** (1 / np.tile(weight, 2))
    keys[len(candidates) :] -= 1  # second helpings only after all first ones
    ids = repeated[np.argsort(-keys, kind="stable")[:count]]
    boxes = np.zeros((len(ids), 4), np.float32)
    for k, label in enumerate(ids):
        mask = labels == label
        rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        boxes[k] = cols[0], rows[0], cols[-1], rows[-1]
    return ids.astype(np.int64), boxes


def nearest_others(labels: NDArray[np.int32], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the label whose box's middle is nearest to that of each given label; 0 for none."""
    boxes = ndimage.find_objects(labels)
    known = [n for n, box in enumerate(boxes, start=1) if box is not None]
    middles = np.array([[s.start + s.stop for s in boxes[n - 1]] for n in known]).reshape(-1, 2)
    if len(known) < 2:
        return np.zeros(len(ids), np.int64)
    own = middles[np.searchsorted(known, ids)]
    away = np.hypot(*(own[:, None] - middles[None]).transpose(2, 0, 1))
    away[ids[:, None] == np.array(known)[None]] = np.inf
    nearest: NDArray[np.int64] = np.array(known, np.int64)[away.argmin(1)]
    return nearest


_maker: BatchMaker | None = None


def _start(pool: Pool) -> None:
    import torch

    global _maker  # the worker process has one maker for its whole life
    torch.set_num_threads(1)
    _maker = BatchMaker(pool)


def _make(step: int, plan: BatchPlan) -> Batch:
    assert _maker is not None
    return _maker.make(step, plan)


class Prefetcher:
    """Makes batches a few steps ahead in one other process."""

    def __init__(self, pool: Pool, ahead: int = 3) -> None:
        self._workers = ProcessPoolExecutor(1, get_context("spawn"), _start, (pool,))
        self._ahead = ahead
        self._waiting: dict[tuple[int, BatchPlan], Future[Batch]] = {}

    def get(self, step: int, plans: tuple[BatchPlan, ...]) -> Batch:
        """Return the batch of a step by the plan whose turn it is; the following ones are begun."""
        wanted = [(later, plan_of(later, plans)) for later in range(step, step + self._ahead + 1)]
        for key in wanted:
            if key not in self._waiting:
                self._waiting[key] = self._workers.submit(_make, *key)
        batch = self._waiting.pop(wanted[0]).result()
        for key in self._waiting.keys() - set(wanted):
            self._waiting.pop(key).cancel()
        return batch

    def close(self) -> None:
        """End the other process."""
        self._workers.shutdown(wait=False, cancel_futures=True)
