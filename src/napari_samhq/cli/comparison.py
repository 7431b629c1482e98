"""Comparison of one image's found objects with the true ones, for `evaluate`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_samhq.cli.derived_prompts import Derived, labels_from_prompts
from napari_samhq.cli.segment_everything import everything_in
from napari_samhq.core.labels.label_ids import checked_ids, look_like_labels
from napari_samhq.errors import ImageError, SamHQWarning

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_samhq.cli.paths import Found
    from napari_samhq.cli.segment_image import Engine
    from napari_samhq.core.display.worst_objects import WorstCases
    from napari_samhq.core.labels.run_labels import RunLabels
    from napari_samhq.core.measure.quality import Quality
    from napari_samhq.inference.settings import Search
    from napari_samhq.inference.source import ImageSource

__all__ = ["Comparison", "Method", "Pair", "compare_one", "true_file", "true_labels"]

_ENDS = ("", "_labels", "_label", "_masks", "_mask", "_cp_masks", "_seg", "_instances")
_LOOKED_AT_PX = 2048
_OBJECTS = (".geojson", ".json", ".zip", ".roi", ".txt")


@dataclass(frozen=True)
class Method:
    """How objects are found, and how they are compared.

    Attributes
    ----------
    predictions : Path or None
        File or folder of labels to compare.
    derived : Derived or None
        Prompts that are made from the true objects.
    search : Search or None
        For everything.
    plane : list of int or None
        Which plane of stacks.
    border_px : int or None
        See :func:`~napari_samhq.core.measure.quality.compare_labels`.
    labels_folder : Path or None
        Where predicted labels are written to.
    overwrite : bool
    strict : bool
        Whether one entry that cannot be used refuses a file of objects.
    connected : bool
        Whether each connected piece of a label image is an object.
    channels : list of int or str, or None
        Channels to show the model.
    """

    predictions: Path | None
    derived: Derived | None
    search: Search | None
    plane: list[int] | None
    border_px: int | None
    labels_folder: Path | None
    overwrite: bool
    strict: bool = False
    connected: bool = False
    channels: list[int | str] | None = None

    def told(self, engine: Engine) -> dict[str, Any]:
        """Describe it, for the record."""
        if self.predictions is not None:
            return {"predictions": str(self.predictions)}
        from napari_samhq.cli.records import model_in_recipe, search_in_recipe

        return {
            "prompts": str(self.derived or "everything"),
            "settings": search_in_recipe(self.search, engine.predictor),
            "model": model_in_recipe(engine.predictor, engine.name),
            "device": engine.device,
            "border_px": self.border_px,
            **({} if self.channels is None else {"channels": self.channels}),
        }


@dataclass(frozen=True)
class Pair:
    """An image, and the file or folder of its labels."""

    image: Found
    labels: Path


@dataclass(frozen=True)
class Comparison:
    """What came of one image."""

    image: Path
    labels: Path
    name: str
    quality: Quality


@dataclass(frozen=True)
class _Picture:
    """An image of which only the parts are read that are asked for, as colours."""

    source: ImageSource

    def __getitem__(self, where: tuple[slice, slice]) -> NDArray[np.uint8]:
        return self.source.read_rgb8(where)


def compare_one(pair: Pair, how: Method, engine: Engine, worst: WorstCases) -> Comparison:
    """Find the objects of an image, and compare them with the true ones.

    Raises
    ------
    FileError, ImageError
        If something cannot be read, or does not fit together.
    SamHQError
        As prediction does.
    """
    from napari_samhq.core.images.rgb8 import to_rgb8
    from napari_samhq.core.measure.quality import compare_labels
    from napari_samhq.inference.segment import MOST_PAINTED_PX
    from napari_samhq.io.images import open_image, read_image

    found, name = pair.image, pair.image.place.as_posix()
    labels_path = true_file(found, pair.labels)
    source = open_image(found.path, plane=how.plane, channels=how.channels)
    if how.predictions is None:
        _tell_of_labels(source, found.path)
    options: dict[str, Any] = {
        "plane": how.plane,
        "strict": how.strict,
        "connected": how.connected,
    }
    true = true_labels(labels_path, source.shape, image=found.path, **options)
    if how.predictions is not None:
        path = true_file(found, how.predictions)
        predicted = true_labels(path, source.shape, image=found.path, **options)
    elif how.derived is not None:
        predicted = labels_from_prompts(engine.predictor, source, true, how.derived)
    else:
        assert how.search is not None
        predicted = everything_in(source, engine.predictor, how.search)
    quality = compare_labels(true, predicted, border_px=how.border_px)
    if how.labels_folder is not None:
        _keep(how, found, predicted)
    if worst.count:
        large = source.shape[0] * source.shape[1] > MOST_PAINTED_PX
        rgb8 = (
            _Picture(source)
            if large
            else to_rgb8(read_image(found.path, plane=how.plane, channels=how.channels))
        )
        worst.look_at(name, rgb8, true, predicted, quality)
    return Comparison(found.path, labels_path, name, quality)


def _keep(how: Method, found: Found, predicted: NDArray[Any] | RunLabels) -> None:
    from napari_samhq.cli.paths import renamed
    from napari_samhq.io.atomic import explained
    from napari_samhq.io.labels import write_labels

    assert how.labels_folder is not None
    path = how.labels_folder / renamed(found.place, ".tif")
    with explained("write", path, "Choose another folder."):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_labels(path, predicted, overwrite=how.overwrite)


def true_file(found: Found, labels: Path) -> Path:
    """Find the labels of an image.

    Parameters
    ----------
    found : Found
    labels : Path
        The file itself; or a folder, where it has the name of the image, perhaps with ``_labels``,
        ``_masks`` or the like behind it, and lies below the same folders.

    Raises
    ------
    FileError
        If there is none, or more than one.
    """
    from napari_samhq.cli.paths import beside
    from napari_samhq.io.images import IMAGE_SUFFIXES

    if not labels.is_dir() or labels.suffix.lower() == ".zarr":
        return labels
    nested = labels / found.place.parent
    folder = nested if nested.is_dir() else labels
    suffixes = [end + suffix for end in _ENDS for suffix in (*IMAGE_SUFFIXES, *_OBJECTS)]
    return beside(found, folder, suffixes, shown=(".tif", "_labels.png", ".geojson"))


def true_labels(
    path: Path,
    shape: tuple[int, int],
    *,
    image: Path,
    plane: Sequence[int] | None,
    strict: bool = False,
    connected: bool = False,
) -> NDArray[Any] | RunLabels:
    """Read labels from an image, or from a file of objects, see :func:`read_objects`.

    Parameters
    ----------
    path : Path
    shape : tuple of two ints
        Height and width of the image that they belong to.
    image : Path
        The image: by its name COCO files tell images apart, by its axes planes have names.
    plane : sequence of int, optional
        Which plane, if the labels have more axes than two.
    strict : bool, optional
        Refuse a file in which an object cannot be used, in place of leaving it out.
    connected : bool, optional
        Make an object of each connected piece of a label image, as of a mask of 0 and 255.

    Returns
    -------
    ndarray of shape (H, W), int; or RunLabels
        The latter of outlines in large images.

    Raises
    ------
    FileError
        If they cannot be read.
    ImageError
        If these are no labels, or those of an image of another shape.
    """
    from napari_samhq.core.labels.run_labels import RunLabels
    from napari_samhq.inference.segment import MOST_PAINTED_PX
    from napari_samhq.io.labels import plane_of_labels
    from napari_samhq.io.objects import labels_of, leaves_of, numbered
    from napari_samhq.io.planes import leading_axes
    from napari_samhq.io.results import read_objects

    if path.suffix.lower() in _OBJECTS:
        which: dict[str, Any] = {"plane": plane, "axes": leading_axes(image), "strict": strict}
        objects = read_objects(path, shape, image.name, **which)
        leaves = leaves_of(objects, f"{path}")
        if shape[0] * shape[1] <= MOST_PAINTED_PX:
            return labels_of(leaves, shape)
        return RunLabels.of(((one.label_id, one.mask) for one in numbered(leaves)), shape)
    labels = plane_of_labels(path, plane)
    if labels.shape != shape:
        raise ImageError(
            f"{path} has {labels.shape[0]} x {labels.shape[1]} pixels and the image "
            f"{shape[0]} x {shape[1]}; labels must be as large as their image."
        )
    return checked_ids(labels, str(path), connected=connected)


def _tell_of_labels(source: ImageSource, path: Path) -> None:
    """Say it if what was given for an image looks like labels."""
    rows, cols = (slice(0, min(length, _LOOKED_AT_PX)) for length in source.shape)
    if look_like_labels(source.read((rows, cols))):
        warnings.warn(
            f"{path} looks like a label image, and was given as the image to segment. To compare "
            f"labels that are there, give the image first, the true labels second, and these as "
            f"--predictions {path}.",
            SamHQWarning,
            stacklevel=2,
        )
