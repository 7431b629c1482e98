"""Numbers of the model card: measures of held-out images, their means, and both as tables."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_samhq.training.micro.calibration import report
from napari_samhq.training.micro.measures import ObjectResult, evaluate_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_samhq.inference.prediction import SupportsPrediction
    from napari_samhq.training.micro.manifest import Record

__all__ = ["chosen_records", "evaluate_records", "read_pair", "scores_report", "summary", "table"]

_log = logging.getLogger(__name__)


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
