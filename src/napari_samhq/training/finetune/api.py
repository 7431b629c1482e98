"""Fine-tuning of any SAM-HQ model on images of one's own.

The idea is that of the paper (Ke et al., "Segment Anything in High Quality", NeurIPS 2023): SAM
stays as it is, and what learns is small, so that a few objects suffice and what the encoder sees
can be computed once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from napari_samhq.checkpoints.heads import SUFFIX
from napari_samhq.checkpoints.load import LoadedModel, load_model
from napari_samhq.checkpoints.registry import list_models
from napari_samhq.core.util.progress import reporting
from napari_samhq.errors import FileError, TrainingError
from napari_samhq.io.atomic import check_target
from napari_samhq.training.finetune.events import FineTuned, Learned, Looked, TuningEvent
from napari_samhq.training.finetune.examples import checked_examples
from napari_samhq.training.finetune.run import TuningRun
from napari_samhq.training.finetune.settings import TuningSettings

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["base_precision", "finetune", "iter_finetune"]

_COUNTED = (Looked, Learned)  # what a bar shows


def finetune(
    images: Any,
    labels: Any,
    base: str | os.PathLike[str] | LoadedModel = "micro",
    *,
    out: str | os.PathLike[str],
    overwrite: bool = False,
    resume: bool = False,
    device: str = "auto",
    precision: str = "auto",
    names: Sequence[str] | None = None,
    complete: Any = False,
    progress: Callable[[TuningEvent], None] | bool | None = None,
    **settings: Any,
) -> FineTuned:
    """Fine-tune a model on images whose objects are known.

    Some images (or some objects, where there is one image) are held out to measure with, and
    what did best on them is written.

    Parameters
    ----------
    images : array_like of shape (H, W) or (H, W, C), or sequence of these
        Of any real type, see :func:`~napari_samhq.core.images.rgb8.to_rgb8`.
    labels : array_like of shape (H, W), int, or sequence of these
        A label image for each image: 0 background, one number for each object. Objects that are
        not labelled do no harm.
    base : str, Path or LoadedModel
        The model to begin with, as for :func:`napari_samhq.load_model`.
    out : str or Path
        The file to write, ``NAME.safetensors``: load it by its path.
    overwrite : bool
        Whether a file that has this name already may be replaced. It is, when all is done.
    resume : bool
        Go on with a training to the same `out` that was interrupted, with the same arguments;
        where there is none, begin.
    device, precision : str
        As for :func:`napari_samhq.load_model`. On devices that are faster in bfloat16 what learns
        is computed in it too, unless the precision is ``"float32"``.
    names : sequence of str, optional
        What to call the images in messages and in the record.
    complete : bool, array_like of shape (H, W), bool, or sequence of these
        Where all objects are labelled, so that what has no label there is background: everywhere,
        nowhere, or a mask; for all images, or for each of them. By this the model learns to find
        all objects, if it has a dense head; prompts do not need it.
    progress : callable or bool, optional
        True shows a bar. A function gets each event: :class:`Begun`, :class:`Looked`,
        :class:`Learned`, :class:`Checked`, :class:`CheckedFinding`; if it raises, training ends
        and nothing is written.
    **settings
        Of :class:`~napari_samhq.training.finetune.settings.TuningSettings`: `steps`, `minutes`,
        `learning_rate`, `parts`, `prompts`, `seed`, ...

    Returns
    -------
    FineTuned
        Path, record, and the numbers before and after.

    Raises
    ------
    TrainingError
        If nothing can be learned from the examples, or nothing was: the base does as well on what
        was held out. Nothing is written then.
    SettingsError
        If a setting does not exist or cannot have its value.
    FileError
        If `out` exists or cannot be written.
    ModelError, CheckpointError, DownloadError, OutOfMemoryError
        As :func:`napari_samhq.load_model`.

    Notes
    -----
    While it learns, a file ``NAME.training`` beside `out` holds the state to go on from.

    Examples
    --------
    >>> import napari_samhq as samhq  # doctest: +SKIP
    >>> done = samhq.finetune(images, labels, out="mine.safetensors")  # doctest: +SKIP
    >>> done.before["box"], done.after["box"]  # doctest: +SKIP
    (0.81, 0.9)
    >>> model = samhq.load_model("mine.safetensors")  # doctest: +SKIP
    """
    events = iter_finetune(
        images,
        labels,
        base,
        out=out,
        overwrite=overwrite,
        resume=resume,
        device=device,
        precision=precision,
        names=names,
        complete=complete,
        **settings,
    )
    with reporting(progress, _amounts) as report:
        for event in events:
            if isinstance(event, FineTuned):
                return event
            if report is not None and (progress is not True or isinstance(event, _COUNTED)):
                report(event)
    raise AssertionError("the last event is the result")


def _amounts(event: Looked | Learned) -> tuple[str, float, float]:
    """Tell a bar what is being done, and how much of it is done."""
    if isinstance(event, Looked):
        return "look", event.done, event.total
    return "learn to find" if event.finding else "learn", event.step, event.steps


def iter_finetune(
    images: Any,
    labels: Any,
    base: str | os.PathLike[str] | LoadedModel = "micro",
    *,
    out: str | os.PathLike[str],
    overwrite: bool = False,
    resume: bool = False,
    device: str = "auto",
    precision: str = "auto",
    names: Sequence[str] | None = None,
    complete: Any = False,
    keep_state: bool = True,
    **settings: Any,
) -> Iterator[TuningEvent]:
    """Do what :func:`finetune` does, an event at a time.

    Stop taking events to cancel: nothing is written then but the state to go on from.

    Parameters are those of :func:`finetune`; what is wrong with them is said at the call. Without
    `keep_state` there is nothing to go on from.

    Yields
    ------
    Begun, Looked, Learned, Checked, CheckedFinding, FineTuned
        The last one is the result.
    """
    wanted = TuningSettings.of(settings.items())
    path = Path(out).expanduser()
    if path.suffix != SUFFIX:
        raise FileError(f"{path} should be called {path.stem}{SUFFIX}: that is what it will be.")
    check_target(path, overwrite=overwrite)
    examples, items = checked_examples(images, labels, wanted.smallest_px, names, complete)
    if isinstance(base, LoadedModel):
        loaded = base
    else:
        loaded = load_model(base, device, base_precision(wanted.parts, precision))
    if wanted.parts == "encoder" and loaded.encoder_dtype != torch.float32:
        raise TrainingError(
            f"The encoder of {loaded.info.name} was loaded in {loaded.encoder_dtype}, which is too "
            "coarse to learn in. Load the model with precision='float32'; steps are computed in "
            "bfloat16 all the same where that is faster."
        )
    run = TuningRun(loaded, _name_of(base, loaded), examples, items, wanted, path, precision)
    run.keeps_state = keep_state
    return run.events(overwrite=overwrite, resume=resume)


def base_precision(parts: str, precision: str) -> str:
    """Choose how to load what is to be fine-tuned: an encoder that learns needs all digits."""
    return "float32" if parts == "encoder" and precision == "auto" else precision


def _name_of(base: Any, loaded: LoadedModel) -> str:
    """Name the base so that it is found again: a name, or a whole path."""
    name = loaded.info.name
    if name in {model.name for model in list_models()}:
        return name
    if isinstance(base, LoadedModel):
        return str(loaded.info.path.resolve()) if loaded.info.path else name
    path = loaded.info.path or Path(base)
    return str(path.expanduser().resolve())
