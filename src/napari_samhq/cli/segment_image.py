"""Segment one image for `segment`: work out the task, do it unless it is done, record it."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_samhq.cli.companions import axes_for, file_for, prompts_for
from napari_samhq.cli.options import load
from napari_samhq.errors import FileError, SamHQWarning

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_samhq.checkpoints import LoadedModel
    from napari_samhq.cli.options import Precision
    from napari_samhq.cli.paths import Found
    from napari_samhq.core.prompts.prompt import Prompt
    from napari_samhq.inference.settings import Search
    from napari_samhq.inference.source import ImageSource

__all__ = ["Engine", "Task", "Wanted", "prepare", "segment_one", "write_result"]


@dataclass(frozen=True)
class Wanted:
    """What is to be done with each image.

    Attributes
    ----------
    kind : {"points", "boxes", "prompts", "everything"}
        What objects are found by.
    prompts : Path or None
        File of them, or folder of a file for each image.
    search : Search or None
        For everything: what to look for.
    diameter : str or None
        For everything: how wide objects are, in pixels or with a unit.
    plane : list of int or None
        Which plane of stacks.
    overwrite, resume : bool
        Whether what is there may be replaced; whether it is taken for done if it was made so.
    workers : int
        Tiles to do at a time.
    scheduler : str or None
        Address of a cluster that does the tiles.
    contrast_limits : tuple of two floats, or None
        Values that become black and white.
    store : Path or None
        Folder of embeddings.
    strict : bool
        Whether one entry that cannot be used refuses a file of prompts.
    connected : bool
        Whether each connected piece of a label image is an object, where labels are the prompts.
    channels : list of int or str, or None
        Channels to show the model.
    within : Path or None
        Mask or outlines that objects must not reach out of, or a folder of a file for each image.
    file_format : str or None
        What the end of the output's name leaves open.
    """

    kind: str
    prompts: Path | None = None
    search: Search | None = None
    diameter: str | None = None
    plane: list[int] | None = None
    overwrite: bool = False
    resume: bool = False
    workers: int = 1
    scheduler: str | None = None
    contrast_limits: tuple[float, float] | None = None
    store: Path | None = None
    strict: bool = False
    connected: bool = False
    channels: list[int | str] | None = None
    within: Path | None = None
    file_format: str | None = None


class Engine:
    """The model, loaded when it is needed first.

    Parameters
    ----------
    name, device : str
    precision : Precision
    find : str, optional
        Name of another model that finds all objects, which this one outlines.
    """

    def __init__(
        self, name: str, device: str, precision: Precision, find: str | None = None
    ) -> None:
        self._arguments = name, device, precision
        self.finder = None if find is None else Engine(find, device, precision)

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model; fetched if it is not here yet, with a bar."""
        return load(*self._arguments)

    @cached_property
    def predictor(self) -> Any:
        """What answers prompts."""
        from napari_samhq.inference.predictor import Predictor

        return Predictor(self.loaded)

    @property
    def opener(self) -> Callable[[], Any]:
        """How a worker of a cluster gets its model."""
        return _Opener(*self._arguments, self.predictor)

    @property
    def name(self) -> str:
        """Of the model."""
        return self.loaded.info.name

    @property
    def device(self) -> str:
        """Where it computes."""
        return str(self.loaded.device)


class _Opener:
    """Gives the model that is open here, and opens it anew where it is sent to."""

    def __init__(self, name: str, device: str, precision: Precision, opened: Any = None) -> None:
        path = Path(name)
        self._model = str(path.absolute()) if path.exists() else name
        self._device, self._precision, self._opened = device, precision, opened

    def __call__(self) -> Any:
        if self._opened is None:
            from napari_samhq.checkpoints import load_model
            from napari_samhq.inference.predictor import Predictor

            precision = self._precision.value
            loaded = load_model(self._model, device=self._device, precision=precision)
            self._opened = Predictor(loaded)
        return self._opened

    def __reduce__(self) -> Any:
        return _Opener, (self._model, self._device, self._precision)


@dataclass(frozen=True)
class Task:
    """An image that is there, what is asked about it, and where the answer goes.

    Attributes
    ----------
    image, output : Path
    source : ImageSource
        The image, opened.
    prompts : dict of int to Prompt
        By label id; empty for everything.
    inputs : dict
        What of the recipe is known without a model.
    pixel_size, unit : tuples of two, or None
        Size of the pixels along rows and columns, if the image says it.
    within : array of shape (H, W), or None
        Objects must lie where it is not 0.
    """

    image: Path
    output: Path
    source: ImageSource
    prompts: dict[int, Prompt]
    inputs: dict[str, Any]
    pixel_size: tuple[float, float] | None = None
    unit: tuple[str, str] | None = None
    within: Any = None


def prepare(found: Found, output: Path, wanted: Wanted) -> Task:
    """Read all that can be wrong before any work is done.

    Raises
    ------
    FileError, ImageError, PromptError
        If image or prompts cannot be read, or the output cannot be written.
    """
    from napari_samhq.cli.records import (
        check_record,
        digest_of_file,
        digest_of_prompts,
        image_in_recipe,
    )
    from napari_samhq.io.atomic import check_target
    from napari_samhq.io.images import open_image
    from napari_samhq.io.within import WITHIN_SUFFIXES, read_within

    check_target(output, overwrite=wanted.overwrite or wanted.resume)
    check_record(output, overwrite=wanted.overwrite)
    limits = wanted.contrast_limits
    source = open_image(
        found.path, plane=wanted.plane, channels=wanted.channels, contrast_limits=limits
    )
    prompts: dict[int, Prompt] = {}
    told: dict[str, Any] = {"kind": wanted.kind}
    if wanted.prompts is not None:
        prompts = prompts_for(wanted, found, source.shape)
        told |= {"objects": len(prompts), "sha256": digest_of_prompts(prompts)}
        told |= {"embedding": "stored"} if wanted.store is not None else {}  # in float16, that is
    inputs: dict[str, Any] = {
        "image": image_in_recipe(found.path, wanted.plane, wanted.channels),
        "contrast_limits": None if limits is None else list(limits),
        "prompts": told,
        "settings": {} if wanted.diameter is None else {"diameter": wanted.diameter},
    }
    within = None
    if wanted.within is not None:
        path = file_for(found, wanted.within, WITHIN_SUFFIXES)
        within = read_within(path, source.shape)
        inputs["within"] = digest_of_file(path)
    size, unit = _pixel_size(found.path)
    return Task(found.path, output, source, prompts, inputs, size, unit, within)


def _pixel_size(path: Path) -> Any:
    """Give size and unit of the pixels along rows and columns, as far as the image says them."""
    from napari_samhq.io.calibration import read_calibration

    known = read_calibration(path)
    if known is None or not {"y", "x"} <= set(known.axes):
        return None, None
    where = [known.axes.index(axis) for axis in "yx"]
    if known.in_plane() is None:
        warnings.warn(
            f"{path} states the size of its pixels along rows or columns only, so that areas are "
            "given in pixels. Correct the file, or go on in pixels.",
            SamHQWarning,
            stacklevel=3,
        )
    return tuple(known.pixel_size[i] for i in where), tuple(known.units[i] for i in where)


def segment_one(task: Task, wanted: Wanted, engine: Engine) -> dict[str, Any]:
    """Segment an image, write the result and its record, and sum up.

    Nothing is done if `wanted.resume` is set and the result is there, made by the same recipe.

    Returns
    -------
    dict
        What is told of the image.

    Raises
    ------
    FileError
        If the output is there, made otherwise, and may not be replaced; or cannot be written.
    SamHQError
        As prediction does.
    """
    from importlib.metadata import version

    from napari_samhq.cli.records import (
        is_made,
        model_in_recipe,
        read_record,
        record_path,
        search_in_recipe,
        write_record,
    )

    output, finder = task.output, engine.finder or engine
    recipe = {
        "napari-samhq": version("napari-samhq"),
        "model": model_in_recipe(engine.predictor, engine.name),
        **task.inputs,
    }
    recipe["settings"] = search_in_recipe(wanted.search, finder.predictor) | recipe["settings"]
    if finder is not engine:
        recipe["finder"] = model_in_recipe(finder.predictor, finder.name)
    summary: dict[str, Any] = {
        "image": str(task.image),
        "labels": str(output),
        "record": str(record_path(output)),
        "model": engine.name,
        "device": engine.device,
        "shape": list(task.source.shape),
        "skipped": False,
    }
    if wanted.resume and is_made(output, recipe):
        record = read_record(output) or {}
        return summary | {
            "skipped": True,
            "count": record.get("objects", 0),
            "seconds": record["seconds"],
        }
    _check_free(task, wanted, recipe)
    start = time.perf_counter()
    do = _everything if wanted.kind == "everything" else _by_prompts
    summary |= do(task, wanted, engine)
    write_record(
        output,
        recipe,
        command="segment",
        image=task.image,
        seconds={**summary["seconds"], "all": time.perf_counter() - start},
        device=engine.device,
        objects=summary["count"],
        prompt_file=None if wanted.prompts is None else str(wanted.prompts.absolute()),
    )
    return summary


def _check_free(task: Task, wanted: Wanted, recipe: dict[str, Any]) -> None:
    """Refuse to replace what was made otherwise, and say what is different."""
    from napari_samhq.batch.publish import OUTPUT_SUFFIXES, run_of
    from napari_samhq.cli.records import read_record

    output = task.output
    if wanted.overwrite or not wanted.resume or not output.exists():
        return
    record = read_record(output)
    if record is None:
        if (
            wanted.kind == "everything"
            and output.suffix.lower() in OUTPUT_SUFFIXES
            and run_of(output)
        ):
            return  # the run itself compares what it left with what it is asked for
        raise FileError(
            f"{output} exists already, without a record that says how it was made. Replace it "
            "with --overwrite, or choose another place."
        )
    made = record.get("recipe", {})
    different = [name for name in recipe if made.get(name) != recipe[name]]
    raise FileError(
        f"{output} exists already, and was made otherwise: its record differs in "
        f"{', '.join(different)}. Replace it with --overwrite, or choose another place."
    )


def _by_prompts(task: Task, wanted: Wanted, engine: Engine) -> dict[str, Any]:
    from napari_samhq.cli.segment_prompts import segment_prompts

    result = segment_prompts(
        engine.predictor,
        task.source,
        task.prompts,
        store=wanted.store,
        within=task.within,
        strict=wanted.strict,
    )
    table = result.table()
    write_result(task, result.labels, table, wanted)
    # What lies outside of the outline was told already, and is no failure.
    asked = task.prompts if task.within is None else result.scores
    return {
        "seconds": {name: round(value, 3) for name, value in result.seconds.items()},
        "count": len(table),
        "objects": table.to_dict("records"),
        "without_pixels": sorted(set(asked) - set(table["label"].tolist())),
    }


def write_result(task: Task, labels: Any, table: Any, wanted: Wanted) -> None:
    """Write labels as the extension of the output says, with the pixel size of the image.

    Raises
    ------
    FileError
        If they cannot be written.
    """
    from napari_samhq.io.planes import position_of
    from napari_samhq.io.results import write_labels_as

    plane = wanted.plane
    position = None if plane is None else position_of(plane, axes_for(task.image, wanted))
    write_labels_as(
        task.output,
        labels,
        table=table,
        pixel_size=task.pixel_size,
        unit=task.unit,
        image_name=task.image.name,
        file_format=wanted.file_format,
        position=position,
        overwrite=wanted.overwrite,
    )


def _everything(task: Task, wanted: Wanted, engine: Engine) -> dict[str, Any]:
    from napari_samhq.cli.segment_everything import run_everything

    start = time.perf_counter()
    count, labels = run_everything(task, wanted, engine)
    if labels is not None:
        write_result(task, labels, None, wanted)
    return {"seconds": {"everything": round(time.perf_counter() - start, 3)}, "count": count}
