"""Fine-tuning of any SAM-HQ model on images of one's own.

The idea is that of the paper (Ke et al., "Segment Anything in High Quality", NeurIPS 2023): SAM
stays as it is, and what learns is small, so that a few objects suffice and what the encoder sees
can be computed once.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_samhq.checkpoints.heads import SUFFIX, Head, write_head
from napari_samhq.checkpoints.load import LoadedModel, load_model
from napari_samhq.checkpoints.registry import list_models
from napari_samhq.core.bars import reporting
from napari_samhq.errors import CheckpointError, FileError, TrainingError
from napari_samhq.inference.memory import guarding_memory
from napari_samhq.io.atomic import check_target
from napari_samhq.training.examples import checked_examples, data_hash, split
from napari_samhq.training.measuring import measured
from napari_samhq.training.rounds import bfloat16_pays
from napari_samhq.training.states import read_state, write_state
from napari_samhq.training.tuner import Tuner
from napari_samhq.training.tuning_events import (
    Begun,
    Checked,
    FineTuned,
    Learned,
    Looked,
    TuningEvent,
)
from napari_samhq.training.tuning_settings import TuningSettings
from napari_samhq.training.views import places_of, see

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from napari_samhq.training.examples import Example, Item
    from napari_samhq.training.views import View

__all__ = ["base_precision", "finetune", "iter_finetune", "state_path"]

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
    progress: Callable[[TuningEvent], None] | bool | None = None,
    **settings: Any,
) -> FineTuned:
    """Fine-tune a model on images whose objects are known.

    Some images (or some objects, where there is one image) are held out to measure with, and
    what did best on them is written.

    Parameters
    ----------
    images : array_like of shape (H, W) or (H, W, C), or sequence of these
        Of any real type, see :func:`~napari_samhq.core.images.to_rgb8`.
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
    progress : callable or bool, optional
        True shows a bar. A function gets each event: :class:`Begun`, :class:`Looked`,
        :class:`Learned`, :class:`Checked`; if it raises, training ends and nothing is written.
    **settings
        Of :class:`~napari_samhq.training.tuning_settings.TuningSettings`: `steps`, `minutes`,
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
    return "learn", event.step, event.steps


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
    keep_state: bool = True,
    **settings: Any,
) -> Iterator[TuningEvent]:
    """Do what :func:`finetune` does, an event at a time.

    Stop taking events to cancel: nothing is written then but the state to go on from.

    Parameters are those of :func:`finetune`; what is wrong with them is said at the call. Without
    `keep_state` there is nothing to go on from.

    Yields
    ------
    Begun, Looked, Learned, Checked, FineTuned
        The last one is the result.
    """
    wanted = TuningSettings.of(settings.items())
    path = Path(out).expanduser()
    if path.suffix != SUFFIX:
        raise FileError(f"{path} should be called {path.stem}{SUFFIX}: that is what it will be.")
    check_target(path, overwrite=overwrite)
    examples, items = checked_examples(images, labels, wanted.smallest_px, names)
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
    run = _Run(loaded, _name_of(base, loaded), examples, items, wanted, path, precision)
    run.keeps_state = keep_state
    return run.events(overwrite=overwrite, resume=resume)


def base_precision(parts: str, precision: str) -> str:
    """Choose how to load what is to be fine-tuned: an encoder that learns needs all digits."""
    return "float32" if parts == "encoder" and precision == "auto" else precision


def state_path(out: Path) -> Path:
    """Name the file that holds the state of a training while it lasts."""
    return out.with_suffix(".training")


class _Run:
    """One fine-tuning, from checked examples to a written head."""

    def __init__(
        self,
        base: LoadedModel,
        base_name: str,
        examples: list[Example],
        items: list[Item],
        settings: TuningSettings,
        out: Path,
        precision: str,
    ) -> None:
        self.base, self.base_name = base, base_name
        self.examples, self.settings, self.out = examples, settings, out
        self.learned, self.held_out = split(items, settings.validation, settings.seed)
        self.by_image = len({item.example for item in items}) > 1
        self.data_sha256 = data_hash(examples)
        self.mixed = precision != "float32" and bfloat16_pays(base.device)
        self.seconds = 0.0
        self.keeps_state = True
        # What a state must agree with to be gone on from.
        self.identity = hashlib.sha256(
            json.dumps(
                [base.fingerprint, self.data_sha256, settings.pairs()], sort_keys=True
            ).encode()
        ).hexdigest()

    def events(self, *, overwrite: bool, resume: bool) -> Iterator[TuningEvent]:
        state = self._state_to_go_on_from() if resume else None
        yield Begun(len(self.learned), len(self.held_out), self.by_image)
        before: dict[str, float] = state["before"] if state else {}
        if not before:
            yield from self._measure(self.base, before)
        network = self.base.network
        own = {name: p.detach().clone() for name, p in network.named_parameters()}
        try:
            learned: list[View] = []
            held_out: list[View] = []
            yield from self._look(learned, held_out)
            tuner = Tuner(network, learned, held_out, self.settings, mixed=self.mixed)
            if state is not None:
                tuner.restore(state["tuner"])
                self.seconds = float(state["seconds"])
            yield from self._learn(tuner, before)
            yield from self._finish(tuner, before, overwrite=overwrite)
        finally:
            # The model may be somebody else's: it goes back as it came.
            with torch.no_grad():
                for name, parameter in network.named_parameters():
                    parameter.copy_(own[name])
            network.requires_grad_(False)

    def _look(self, learned: list[View], held_out: list[View]) -> Iterator[Looked]:
        """Look at everything once; fills the two lists."""
        config = self.base.network.config
        turns, seed = self.settings.views, self.settings.seed
        places = [
            places_of(self.examples, items, config, count, seed)
            for items, count in ((self.learned, turns), (self.held_out, 1))
        ]
        total = sum(map(len, places))
        for kept, wanted in zip((learned, held_out), places, strict=True):
            as_pixels = self.settings.parts == "encoder"
            for view in see(self.base.network, self.examples, wanted, as_pixels=as_pixels):
                kept.append(view)
                yield Looked(len(learned) + len(held_out), total)

    def _learn(self, tuner: Tuner, before: dict[str, float]) -> Iterator[TuningEvent]:
        limit = 60 * self.settings.minutes or float("inf")
        while not tuner.is_over:
            began = time.monotonic()
            if not tuner.curve:
                check = tuner.check()
                yield Checked(check, check)
            with guarding_memory("a step of learning", tuner.device):
                loss = tuner.learn()
            self.seconds += time.monotonic() - began
            yield Learned(tuner.step, self.settings.steps, self.seconds, limit, loss)
            late = self.seconds >= limit
            if late or tuner.step % self.settings.check_every == 0 or tuner.is_over:
                began = time.monotonic()
                check = tuner.check()
                self.seconds += time.monotonic() - began
                if self.keeps_state:
                    self._save(tuner, before)
                yield Checked(check, tuner.best_check)
            if late:
                return

    def _save(self, tuner: Tuner, before: dict[str, float]) -> None:
        state: dict[str, Any] = {"identity": self.identity, "tuner": tuner.state()}
        state |= {"seconds": self.seconds, "before": before}
        write_state(state, state_path(self.out))

    def _finish(
        self, tuner: Tuner, before: dict[str, float], *, overwrite: bool
    ) -> Iterator[TuningEvent]:
        if tuner.best_check.step == 0:
            state_path(self.out).unlink(missing_ok=True)
            raise TrainingError(
                f"Nothing was learned: on the {len(self.held_out)} objects that were held out "
                f"{self.base_name} is as good as what came of {tuner.step} steps. Nothing was "
                "written. Give more objects, a lower learning rate, or other prompts."
            )
        tuner.use_best()
        tuned = replace(self.base, fingerprint=hashlib.sha256(self.identity.encode()).hexdigest())
        after: dict[str, float] = {}
        yield from self._measure(tuned, after)
        record = self._record(tuner, before, after)
        check_target(self.out, overwrite=overwrite)
        head = Head(self.base_name, self.base.fingerprint, record, dict(tuner.best))
        write_head(self.out, head)
        state_path(self.out).unlink(missing_ok=True)
        yield FineTuned(self.out, record)

    def _measure(self, model: LoadedModel, found: dict[str, float]) -> Iterator[Looked]:
        """Measure on held-out objects at the resolution of the images; fills `found`."""
        rows: list[dict[str, float]] = []
        total = len({item.example for item in self.held_out})
        for done, some in enumerate(
            measured(model, self.examples, self.held_out, self.settings.prompts), start=1
        ):
            rows += some
            yield Looked(done, total)
        for name in rows[0]:
            found[name] = float(np.mean([row[name] for row in rows]))

    def _record(
        self, tuner: Tuner, before: dict[str, float], after: dict[str, float]
    ) -> dict[str, Any]:
        from importlib.metadata import version

        return {
            "made_by": f"napari-samhq {version('napari-samhq')}",
            "base": self.base_name,
            "settings": dict(self.settings.pairs()),
            "data_sha256": self.data_sha256,
            "images": [example.name for example in self.examples],
            "objects_learned_from": len(self.learned),
            "objects_held_out": len(self.held_out),
            "held_out_images": sorted({self.examples[i.example].name for i in self.held_out})
            if self.by_image
            else [],
            "held_out_objects": [[i.example, i.label] for i in self.held_out],
            "parameters": sum(int(tensor.numel()) for tensor in tuner.best.values()),
            "steps": tuner.step,
            "best_step": tuner.best_check.step,
            "seconds": round(self.seconds, 1),
            "device": str(self.base.device),
            "mixed_precision": self.mixed,
            "before": before,
            "after": after,
            "curve": [list(asdict(check).values()) for check in tuner.curve],
        }

    def _state_to_go_on_from(self) -> dict[str, Any] | None:
        path = state_path(self.out)
        if not path.is_file():
            return None
        state = read_state(path)
        if state.get("identity") != self.identity:
            raise CheckpointError(
                f"{path} is the state of another training: model, images, labels or settings were "
                "not these. Give the same ones, or begin anew without resume."
            )
        return state


def _name_of(base: Any, loaded: LoadedModel) -> str:
    """Name the base so that it is found again: a name, or a whole path."""
    name = loaded.info.name
    if name in {model.name for model in list_models()}:
        return name
    if isinstance(base, LoadedModel):
        return str(loaded.info.path.resolve()) if loaded.info.path else name
    path = loaded.info.path or Path(base)
    return str(path.expanduser().resolve())
