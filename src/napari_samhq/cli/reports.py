"""Results of `evaluate` as tables, JSON, sentences and a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_samhq.core.measure.quality import Quality
from napari_samhq.io.json_files import without_nan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_samhq.cli.comparison import Comparison
    from napari_samhq.core.display.worst_objects import Case

__all__ = ["Report", "write_report"]

_OVERALL = "overall"
_MOST_ROWS = 40
_COLUMNS = {
    "objects": "objects",
    "predicted": "predicted",
    "mean_iou": "IoU",
    "mean_boundary_iou": "boundary IoU",
    "ap": "AP",
    "ap_50": "AP50",
    "ap_75": "AP75",
    "panoptic_quality": "PQ",
    "found": "found",
    "extra": "extra",
    "missed": "missed",
}


@dataclass(frozen=True)
class Report:
    """Comparisons of all images.

    Attributes
    ----------
    comparisons : sequence of Comparison
    failed : sequence of (str, str)
        Path and reason for images that could not be compared.
    how : dict
        How objects were found.
    """

    comparisons: Sequence[Comparison]
    failed: Sequence[tuple[str, str]]
    how: dict[str, Any]

    @property
    def overall(self) -> dict[str, Any]:
        """Numbers for all objects of all images together."""
        return Quality.pooled(one.quality for one in self.comparisons).numbers()

    def rows(self) -> list[dict[str, Any]]:
        """List the numbers of each image, then those of all together."""
        rows = [{"image": one.name, **one.quality.numbers()} for one in self.comparisons]
        return [*rows, {"image": _OVERALL, **self.overall}]

    def objects(self) -> list[dict[str, Any]]:
        """List the true objects of all images."""
        names = ("min_row", "min_col", "max_row", "max_col")
        return [
            {
                "image": comparison.name,
                "label": one.label_id,
                "predicted": one.predicted_id,
                "iou": one.iou,
                "boundary_iou": one.boundary_iou,
                "area_px": one.area_px,
                **dict(zip(names, one.box, strict=True)),
            }
            for comparison in self.comparisons
            for one in comparison.quality.objects
        ]

    def content(self) -> dict[str, Any]:
        """Put all but the single objects into one mapping, for JSON."""
        from datetime import UTC, datetime

        from napari_samhq.cli.records import versions

        images = [
            {"image": str(one.image), "labels": str(one.labels), **one.quality.numbers()}
            for one in self.comparisons
        ]
        means = {
            name: _mean([float(one[name]) for one in images])
            for name, value in self.overall.items()
            if isinstance(value, float)
        }
        told: dict[str, Any] = without_nan(
            {
                "format": "napari-samhq evaluation",
                "version": 1,
                "how": self.how,
                "overall": self.overall,
                "mean_of_images": means,
                "images": images,
                "failed": [{"image": name, "error": reason} for name, reason in self.failed],
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "versions": versions(),
            }
        )
        return told

    def words(self) -> str:
        """Write a table for people; of many images the line for all of them only."""
        rows = self.rows()
        left_out = len(rows) - 1 > _MOST_ROWS
        if left_out:
            rows = rows[-1:]
        elif len(rows) == 2:
            rows = rows[:1]
        cells = [["image", *_COLUMNS.values()]]
        cells += [[str(row["image"]), *(_number(row[name]) for name in _COLUMNS)] for row in rows]
        widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
        lines = [
            "  ".join(
                [line[0].ljust(widths[0])]
                + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
            )
            for line in cells
        ]
        if left_out:
            lines.append(f"(of {len(self.comparisons)} images; quality.csv has each of them)")
        return f"{self._head()}\n\n" + "\n".join(lines)

    def _head(self) -> str:
        if "predictions" in self.how:
            return f"The labels in {self.how['predictions']}, compared with the true ones:"
        asked = self.how["prompts"]
        what = "everything" if asked == "everything" else f"true objects prompted by {asked}"
        return f"With {self.how['model']['name']} on {self.how['device']}, {what}:"


def write_report(report: Report, cases: Sequence[Case], targets: Mapping[str, Path]) -> None:
    """Write all files of a report, each whole or not at all.

    Parameters
    ----------
    report : Report
    cases : sequence of Case
        The worst objects.
    targets : mapping of str to Path
        Where the files go. What has these names was allowed to be replaced.

    Raises
    ------
    FileError
        If one cannot be written.
    """
    import pandas as pd
    from PIL import Image

    from napari_samhq.core.display.worst_objects import picture_of_cases
    from napari_samhq.io.atomic import replacing
    from napari_samhq.io.json_files import write_json

    for name, rows in (("quality.csv", report.rows()), ("objects.csv", report.objects())):
        with replacing(targets[name], overwrite=True) as temporary:
            pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.6g")
    if "worst.png" in targets and cases:
        with replacing(targets["worst.png"], overwrite=True) as temporary:
            Image.fromarray(picture_of_cases(cases)).save(temporary)
    write_json(targets["quality.json"], report.content(), overwrite=True, indent=1)


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "-" if math.isnan(value) else f"{value:.3f}"


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
