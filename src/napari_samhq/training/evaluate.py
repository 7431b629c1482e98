"""The numbers of the model card: boxes, clicks and corrections on held-out images, beside Otsu's
threshold, and whether scores foretell them.

``python -m napari_samhq.training.evaluate --data DIR --weights DIR [--windows N] [--source NAME]``

Prompts go through the public predictor, so the numbers are what users get.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_samhq.core.measure.metrics import boundary_iou, iou
from napari_samhq.core.prompts.prompt import Prompt
from napari_samhq.training.micro.calibration import report
from napari_samhq.training.micro.data import Record, read_manifest, split_by_group

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_samhq.inference.prediction import SupportsPrediction

__all__ = ["ObjectResult", "evaluate_image", "main", "otsu_in_box", "summary", "window_of"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """One object to be found: its mask inside its bounding box ``rows, cols`` of the image."""

    label: int
    rows: slice
    cols: slice
    mask: NDArray[np.bool_]

    @property
    def box_rc(self) -> tuple[int, int, int, int]:
        """Tight box: first and last row and column."""
        return (self.rows.start, self.cols.start, self.rows.stop - 1, self.cols.stop - 1)

    def padded(self, shape: tuple[int, int], factor: float = 0.5) -> tuple[slice, slice]:
        """Return the box grown on each side by a fraction of its extent, 3 px at least, inside the
        image.
        """
        out = []
        for part, limit in zip((self.rows, self.cols), shape, strict=True):
            pad = max(3, round(factor * (part.stop - part.start)))
            out.append(slice(max(0, part.start - pad), min(limit, part.stop + pad)))
        return (out[0], out[1])

    def full(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the mask in the whole image."""
        out = np.zeros(shape, bool)
        out[self.rows, self.cols] = self.mask
        return out


@dataclass
class ObjectResult:
    """What was measured on one object: IoU by kind of prompt; score and IoU of masks by kind, and
    of the candidates of the click.
    """

    source: str
    image: str
    label: int
    area_px: int
    values: dict[str, float] = field(default_factory=dict)
    scored: dict[str, tuple[float, float]] = field(default_factory=dict)
    candidates: list[tuple[float, float]] = field(default_factory=list)


def targets_of(labels: NDArray[Any], most: int, smallest: int = 25) -> list[Target]:
    """Up to ``most`` objects of at least ``smallest`` px, evenly over the numbering."""
    found = []
    for index, where in enumerate(ndimage.find_objects(np.asarray(labels, np.int32)), start=1):
        if where is None:
            continue
        mask = labels[where] == index
        if np.count_nonzero(mask) >= smallest:
            found.append(Target(index, where[0], where[1], mask))
    if len(found) > most:
        found = [found[k] for k in np.linspace(0, len(found) - 1, most).round().astype(int)]
    return found


def deepest_point(region: NDArray[np.bool_]) -> tuple[int, int]:
    """Row and column of the pixel farthest from the region's border."""
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    row, col = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return int(row), int(col)


def next_click(
    mask: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> tuple[tuple[int, int], int] | None:
    """Where a careful user clicks next: deepest point of the largest wrong piece, and its label;
    None if all is right.
    """
    wrong = mask ^ truth
    rows, cols = np.flatnonzero(wrong.any(1)), np.flatnonzero(wrong.any(0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(cols[0])
    window = wrong[top : rows[-1] + 1, left : cols[-1] + 1]
    pieces, _ = ndimage.label(window)
    largest = int(np.argmax(np.bincount(pieces.ravel())[1:])) + 1
    row, col = deepest_point(pieces == largest)
    return (row + top, col + left), int(truth[row + top, col + left])


def shifted_mask(truth: NDArray[np.bool_], agreement: float) -> NDArray[np.bool_]:
    """Shift a mask diagonally until its IoU with itself is no more than ``agreement``, as one of a
    neighbouring plane may lie.

    Examples
    --------
    >>> square = np.zeros((20, 20), bool)
    >>> square[5:15, 5:15] = True
    >>> iou(shifted_mask(square, 0.5), square) <= 0.5
    True
    """
    for step in range(1, max(truth.shape)):
        down, right = (step + 1) // 2, step // 2
        shifted = np.zeros_like(truth)
        shifted[down:, right:] = truth[: truth.shape[0] - down, : truth.shape[1] - right]
        if iou(shifted, truth) <= agreement:
            return shifted
    return np.zeros_like(truth)


def otsu_in_box(grey: NDArray[Any], target: Target) -> float:
    """IoU of Otsu's threshold inside the tight box; the better of both polarities is taken, so it
    is told which.
    """
    from skimage.filters import threshold_otsu

    inside = grey[target.rows, target.cols]
    if inside.min() == inside.max():
        return iou(np.ones_like(target.mask), target.mask)
    bright = inside > threshold_otsu(inside)
    return max(iou(bright, target.mask), iou(~bright, target.mask))


def window_of(target: Target, shape: tuple[int, int], share: float = 0.25) -> tuple[slice, slice]:
    """Return a square window in which the object spans ``share`` of the side."""
    extent = max(target.rows.stop - target.rows.start, target.cols.stop - target.cols.start)
    side = max(32, round(extent / share))
    out = []
    for part, limit in zip((target.rows, target.cols), shape, strict=True):
        length = min(side, limit)
        start = int(np.clip((part.start + part.stop - length) // 2, 0, limit - length))
        out.append(slice(start, start + length))
    return (out[0], out[1])


def _measure(
    mask: NDArray[np.bool_], truth: NDArray[np.bool_], target: Target, prefix: str
) -> dict[str, float]:
    """IoU in the whole image; boundary IoU in the object's padded box, where its width follows the
    object's size.
    """
    where = target.padded((truth.shape[0], truth.shape[1]))
    return {prefix: iou(mask, truth), f"{prefix} boundary": boundary_iou(mask[where], truth[where])}


def evaluate_image(
    predictor: SupportsPrediction,
    image: NDArray[Any],
    labels: NDArray[Any],
    *,
    most: int = 20,
    corrections: int = 5,
    windows: int = 0,
    share: float = 0.25,
    hints: Sequence[float] = (),
    source: str = "",
    name: str = "",
) -> Iterator[ObjectResult]:
    """Measure a predictor on one annotated image.

    Parameters
    ----------
    predictor : SupportsPrediction
    image : (H, W) or (H, W, C)
    labels : (H, W) int
    most : int
        Objects per image at most.
    corrections : int
        Corrective clicks after the first.
    windows : int
        So many objects are also prompted in a window (slow: each is embedded).
    share : float
        Of the window's side that the object spans.
    hints : sequence of float
        A mask that has this IoU with the object is given beside its box.
    source, name : str
        For the table.

    Yields
    ------
    ObjectResult
        With values ``box``, ``click``, ``corrected`` (and ``... boundary``), ``obeyed`` (share of
        corrective clicks whose pixel lies on its side of the mask afterwards), ``otsu``, ``window
        box``, ``window click``, ``hint 0.7`` and the like.
    """
    shape = (labels.shape[0], labels.shape[1])
    grey = image if image.ndim == 2 else image.astype(np.float32).mean(-1)
    embedding = predictor.embed(image)
    for number, target in enumerate(targets_of(labels, most)):
        truth = target.full(shape)
        result = ObjectResult(source, name, target.label, int(target.mask.sum()))
        row, col = deepest_point(target.mask)
        click = (row + target.rows.start, col + target.cols.start)
        boxed = predictor.predict(embedding, box=target.box_rc)
        result.values |= _measure(boxed.mask, truth, target, "box")
        result.scored["box"] = boxed.score, result.values["box"]
        result.values["otsu"] = otsu_in_box(grey, target)
        points, point_labels = [click], [1]
        answer = predictor.predict(embedding, points=points, point_labels=point_labels)
        result.values |= _measure(answer.mask, truth, target, "click")
        result.scored["click"] = answer.score, result.values["click"]
        candidates = predictor.predict(embedding, points=points, multimask=True)
        result.candidates = [
            (float(score), iou(mask, truth))
            for score, mask in zip(candidates.scores, candidates.masks, strict=True)
        ]
        result.values["click, best of 3"] = max(found for _, found in result.candidates)
        obeyed = []
        for _ in range(corrections):
            further = next_click(answer.mask, truth)
            if further is None:
                break
            points.append(further[0])
            point_labels.append(further[1])
            answer = predictor.predict(
                embedding, points=points, point_labels=point_labels, mask=answer.low_res_logits
            )
            obeyed.append(bool(answer.mask[further[0]]) == bool(further[1]))
        if obeyed:
            result.values["obeyed"] = float(np.mean(obeyed))
        if corrections:
            result.values |= _measure(answer.mask, truth, target, "corrected")
            result.scored["corrected"] = answer.score, result.values["corrected"]
        for agreement in hints:
            hint = shifted_mask(truth, agreement)
            hinted = predictor.predict(embedding, box=target.box_rc, mask=hint)
            result.values[f"hint {agreement:g}"] = iou(hinted.mask, truth)
        if number < windows:
            result.values |= _in_window(predictor, image, truth, target, click, share)
        yield result


def _in_window(
    predictor: SupportsPrediction,
    image: NDArray[Any],
    truth: NDArray[np.bool_],
    target: Target,
    click: tuple[int, int],
    share: float,
) -> dict[str, float]:
    """Box and click in a window around the object."""
    where = window_of(target, (truth.shape[0], truth.shape[1]), share)
    offset = np.array([where[0].start, where[1].start])
    piece = image[where]
    if piece.min() == piece.max():
        return {}
    embedding = predictor.embed(piece)
    box = np.array(target.box_rc) - np.tile(offset, 2)
    boxed, clicked = predictor.predict_many(
        embedding, [Prompt(box=box), Prompt(points=[np.array(click) - offset])]
    )
    return {
        "window box": iou(boxed.mask, truth[where]),
        "window click": iou(clicked.mask, truth[where]),
    }


def summary(results: Iterable[ObjectResult], by_image: bool = False) -> dict[str, dict[str, float]]:
    """Means over objects by source; ``objects`` says of how many."""
    rows: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        for name, value in result.values.items():
            rows[result.source][name].append(value)
    return {
        source: {
            "objects": float(len(values.get("box", []))),
            **{n: float(np.mean(v)) for n, v in values.items()},
        }
        for source, values in rows.items()
    }


def table(means: dict[str, dict[str, float]]) -> str:
    """Write the summary as a Markdown table."""
    names = list(dict.fromkeys(name for row in means.values() for name in row))
    lines = ["| source | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for source, row in means.items():
        cells = [
            f"{row[n]:.0f}" if n == "objects" else f"{row[n]:.3f}" if n in row else ""
            for n in names
        ]
        lines.append(f"| {source} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def read_pair(record: Record) -> tuple[NDArray[Any], NDArray[Any]]:
    """Image as it is on disk (grey where the manifest says so) and labels."""
    from skimage.io import imread

    image = np.asarray(imread(record.image_path))
    if image.ndim == 3:
        image = image[..., 0] if record.channels == 1 else image[..., :3]
    return image, np.asarray(imread(record.label_path))


def chosen_records(
    records: Iterable[Record], images: int | None, sources: Sequence[str] | None = None
) -> list[Record]:
    """Return the first ``images`` records of each look, of some sources or of all."""
    seen: dict[tuple[object, ...], int] = defaultdict(int)
    chosen = []
    for record in records:
        seen[record.look] += 1
        if (sources is None or record.source in sources) and (
            images is None or seen[record.look] <= images
        ):
            chosen.append(record)
    return chosen


def evaluate_records(
    predictor: SupportsPrediction, records: Iterable[Record], **options: Any
) -> list[ObjectResult]:
    """Measure a predictor on images of a data folder; ``options`` as :func:`evaluate_image`."""
    results: list[ObjectResult] = []
    for record in records:
        image, labels = read_pair(record)
        results += evaluate_image(
            predictor, image, labels, source=record.source, name=record.stem, **options
        )
        _log.info("%s/%s done", record.source, record.stem)
    return results


def scores_report(results: Iterable[ObjectResult]) -> str:
    """Write what :func:`~napari_samhq.training.micro.calibration.report` says of the scores."""
    results = list(results)
    return report(
        [(kind, *pair) for result in results for kind, pair in result.scored.items()],
        [result.candidates for result in results if result.candidates],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate weights on the held-out images; see ``--help``."""
    parser = argparse.ArgumentParser(
        prog="napari_samhq.training.evaluate", description="Numbers of the model card."
    )
    parser.add_argument("--data", type=Path, required=True, help="data folder with MANIFEST.tsv")
    parser.add_argument(
        "--weights", type=Path, required=True, help="folder with config.json and model.safetensors"
    )
    parser.add_argument("--objects", type=int, default=20, help="objects per image at most")
    parser.add_argument("--images", type=int, default=None, help="images per look at most")
    parser.add_argument("--source", nargs="+", default=None, help="these sources only")
    parser.add_argument("--corrections", type=int, default=5)
    parser.add_argument(
        "--windows",
        type=int,
        default=0,
        help="objects per image that are also prompted in a window",
    )
    parser.add_argument(
        "--window-share", type=float, default=0.25, help="of a window's side that the object spans"
    )
    parser.add_argument(
        "--hints",
        type=float,
        nargs="*",
        default=(),
        metavar="IOU",
        help="also give masks of this IoU with the object, beside its box",
    )
    parser.add_argument("--out", type=Path, default=None, help="JSON lines with one object each")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    from napari_samhq.inference.predictor import Predictor
    from napari_samhq.model.sam_hq import SamHQModel

    predictor = Predictor(SamHQModel.from_pretrained(options.weights))
    _, validation = split_by_group(read_manifest(options.data))
    results = evaluate_records(
        predictor,
        chosen_records(validation, options.images, options.source),
        most=options.objects,
        corrections=options.corrections,
        windows=options.windows,
        share=options.window_share,
        hints=options.hints,
    )
    if options.out:
        options.out.write_text(
            "".join(json.dumps(vars(r)) + "\n" for r in results), encoding="utf-8"
        )
    sys.stdout.write(table(summary(results)) + "\n\n" + scores_report(results) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
