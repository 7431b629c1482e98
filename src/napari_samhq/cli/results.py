"""Writing labels as what the extension of the output says: an image, outlines, a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_samhq.errors import FileError
from napari_samhq.io.labels import LABEL_SUFFIXES, write_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["RESULT_SUFFIXES", "check_result", "write_result"]

RESULT_SUFFIXES = (*LABEL_SUFFIXES, ".json", ".geojson", ".zip", ".csv")
"""Extensions of what `segment` writes."""


def check_result(output: Path) -> None:
    """Check that results can be written to a file of this name.

    Raises
    ------
    FileError
        If its extension is none of `RESULT_SUFFIXES`, or that of something else.
    """
    name = output.name.lower()
    if name.endswith((".samhq.json", ".run.json")):
        what = "sessions" if name.endswith(".samhq.json") else "records of runs"
        raise FileError(f"Names that end like {output.name} are those of {what}. Choose another.")
    if output.suffix.lower() not in RESULT_SUFFIXES:
        raise FileError(
            f"Labels cannot be written as '{output.suffix or output.name}'. Let the name end in "
            f"one of {', '.join(RESULT_SUFFIXES)}."
        )


def write_result(
    output: Path,
    labels: NDArray[np.int32],
    scores: Mapping[int, float],
    *,
    image: Path,
    overwrite: bool,
) -> None:
    """Write labels whole or not at all.

    Parameters
    ----------
    output : Path
        ``.json`` becomes COCO, ``.geojson`` outlines for QuPath, ``.zip`` ROIs for ImageJ, ``.csv``
        a table of the objects, and everything else a label image.
    labels : ndarray of shape (H, W), int32
    scores : mapping of int to float
        What the model thinks of each object, by its label id; may be empty.
    image : Path
        What was segmented; COCO files name it.
    overwrite : bool
        Whether a file that has this name already may be replaced.

    Raises
    ------
    FileError
        If it cannot be written.
    """
    writers: dict[str, Callable[..., Any]] = {
        ".json": _write_coco,
        ".geojson": _write_geojson,
        ".zip": _write_rois,
        ".csv": _write_table,
    }
    write = writers.get(output.suffix.lower())
    if write is None:
        write_labels(output, labels, overwrite=overwrite)
    else:
        write(output, labels, scores, image=image, overwrite=overwrite)


def _objects(labels: NDArray[np.int32], scores: Mapping[int, float]) -> list[Any]:
    from dataclasses import replace

    from napari_samhq.io.objects import objects_of

    found = (replace(one, score=scores.get(one.label_id)) for one in objects_of(labels))
    return list(found)


def _write_coco(
    output: Path, labels: Any, scores: Mapping[int, float], *, image: Path, overwrite: bool
) -> None:
    from napari_samhq.io.coco import CocoImage, write_coco

    described = CocoImage(image.name, labels.shape, tuple(_objects(labels, scores)))
    write_coco(output, [described], overwrite=overwrite)


def _write_geojson(
    output: Path, labels: Any, scores: Mapping[int, float], *, image: Path, overwrite: bool
) -> None:
    from napari_samhq.io.geojson import write_geojson

    write_geojson(output, _objects(labels, scores), overwrite=overwrite)


def _write_rois(
    output: Path, labels: Any, scores: Mapping[int, float], *, image: Path, overwrite: bool
) -> None:
    from napari_samhq.io.imagej import write_imagej_rois

    write_imagej_rois(output, _objects(labels, scores), overwrite=overwrite)


def _write_table(
    output: Path, labels: Any, scores: Mapping[int, float], *, image: Path, overwrite: bool
) -> None:
    from napari_samhq.core.overlay import objects_table
    from napari_samhq.io.atomic import replacing

    table = objects_table(labels, scores or None)
    with replacing(output, overwrite=overwrite) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
