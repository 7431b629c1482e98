"""Fine-tuning run: checked examples to a written head, prompts first, then the dense head."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_samhq.checkpoints.heads import Head, write_head
from napari_samhq.errors import CheckpointError, TrainingError
from napari_samhq.inference.memory import guarding_memory
from napari_samhq.io.atomic import check_target
from napari_samhq.training.finetune.dense_tuner import DenseTuner
from napari_samhq.training.finetune.dense_views import dense_places, see_densely
from napari_samhq.training.finetune.events import (
    Begun,
    Check,
    Checked,
    CheckedFinding,
    FindingCheck,
    FineTuned,
    Learned,
    Looked,
    TuningEvent,
)
from napari_samhq.training.finetune.examples import data_hash, split
from napari_samhq.training.finetune.measuring import measured
from napari_samhq.training.finetune.tuner import Tuner
from napari_samhq.training.finetune.views import places_of, see
from napari_samhq.training.rounds import bfloat16_pays
from napari_samhq.training.states import read_state, write_state

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from napari_samhq.checkpoints.load import LoadedModel
    from napari_samhq.training.finetune.dense_views import DenseView
    from napari_samhq.training.finetune.examples import Example, Item
    from napari_samhq.training.finetune.settings import TuningSettings
    from napari_samhq.training.finetune.views import View

__all__ = ["TuningRun", "state_path"]

_EVERYTHING = "everything"  # the name of what finding is worth, among the numbers
_SHARE_OF_PROMPTS = 0.6  # of the minutes, where finding is learned too


def state_path(out: Path) -> Path:
    """Name the file that holds the state of a training while it lasts."""
    return out.with_suffix(".training")


@dataclass
class _Learners:
    """What learns: answering prompts and, where the model has a dense head, finding."""

    prompts: Tuner
    finding: DenseTuner | None


class TuningRun:
    """One fine-tuning.

    Parameters
    ----------
    base : LoadedModel
        The model to begin with.
    base_name : str
        Its name or path, for the head.
    examples, items : list
        What to learn from.
    settings : TuningSettings
    out : Path
        The file to write.
    precision : str
        What was asked for.
    """

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
        self.seconds = {"prompts": 0.0, "finding": 0.0}
        self.keeps_state = True
        # What a state must agree with to be gone on from.
        self.identity = hashlib.sha256(
            json.dumps(
                [base.fingerprint, self.data_sha256, settings.pairs()], sort_keys=True
            ).encode()
        ).hexdigest()

    def events(self, *, overwrite: bool, resume: bool) -> Iterator[TuningEvent]:
        """Do it, see :func:`napari_samhq.training.finetune.iter_finetune`."""
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
            finding = None
            if network.dense_head is not None:
                finding = yield from self._look_for_all(learned, held_out)
                before[_EVERYTHING] = finding.before.ap
            prompts = Tuner(network, learned, held_out, self.settings, mixed=self.mixed)
            learners = _Learners(prompts, finding)
            yield from self._learn(learners, before, state)
            yield from self._finish(learners, before, overwrite=overwrite)
        finally:
            # The model may be somebody else's: it goes back as it came.
            with torch.no_grad():
                for name, parameter in network.named_parameters():
                    parameter.copy_(own[name])
            network.requires_grad_(False)

    # ----------------------------------------------------------------------------------- looking

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

    def _look_for_all(
        self, learned: list[View], held_out: list[View]
    ) -> Generator[Looked, None, DenseTuner]:
        """Look at all that something is known of, as everything is looked for."""
        network, settings = self.base.network, self.settings
        seen = {view.place: view.kept for view in (*learned, *held_out)}
        held = {item.example for item in self.held_out}
        # Images without objects are known to have none.
        mine = set(range(len(self.examples))) - (held if self.by_image else set())
        size = int(network.config.vision_config.image_size)
        places = [
            dense_places(self.examples, sorted(which), size, turns, settings.seed, seen)
            for which, turns in ((mine, settings.views), (held, 1))
        ]
        total = sum(map(len, places))
        to_learn: list[DenseView] = []
        to_check: list[DenseView] = []
        for kept, where, items in zip(
            (to_learn, to_check), places, (self.learned, self.held_out), strict=True
        ):
            for view in see_densely(
                network, self.examples, where, items,
                as_pixels=settings.parts == "encoder", seen=seen,
            ):  # fmt: skip
                kept.append(view)
                yield Looked(len(to_learn) + len(to_check), total)
        return DenseTuner(network, to_learn, to_check, settings, mixed=self.mixed)

    # ---------------------------------------------------------------------------------- learning

    def _learn(
        self, learners: _Learners, before: dict[str, float], state: dict[str, Any] | None
    ) -> Iterator[TuningEvent]:
        """Learn to answer prompts, then to find: of the features that came of the former."""
        prompts, finding = learners.prompts, learners.finding
        limit = 60 * self.settings.minutes or float("inf")
        if state is not None:
            prompts.restore(state["prompts"])
            self.seconds = dict(state["seconds"])
        if state is None or state["finding"] is None:
            part = 1.0 if finding is None else _SHARE_OF_PROMPTS
            yield from self._steps(prompts, learners, before, part * limit)
        prompts.use_best()
        if finding is None:
            return
        finding.begin()
        if state is not None and state["finding"] is not None:
            finding.restore(state["finding"])
        yield from self._steps(finding, learners, before, limit - self.seconds["prompts"])

    def _steps(
        self,
        learner: Tuner | DenseTuner,
        learners: _Learners,
        before: dict[str, float],
        limit: float,
    ) -> Iterator[TuningEvent]:
        steps, finds = self.settings.steps, learner is learners.finding
        clock = "finding" if finds else "prompts"
        while not learner.is_over:
            began = time.monotonic()
            if not learner.curve:
                yield self._told(learner)
            with guarding_memory("a step of learning", learner.device):
                loss = learner.learn()
            self.seconds[clock] += time.monotonic() - began
            yield Learned(learner.step, steps, self.seconds[clock], limit, loss, finds)
            late = self.seconds[clock] >= limit
            if late or learner.step % self.settings.check_every == 0 or learner.is_over:
                began = time.monotonic()
                told = self._told(learner)
                self.seconds[clock] += time.monotonic() - began
                if self.keeps_state:
                    self._save(learners, before, finds=finds)
                yield told
            if late:
                return

    @staticmethod
    def _told(learner: Tuner | DenseTuner) -> Checked | CheckedFinding:
        """Measure, and say so."""
        check = learner.check()
        best = learner.best_check
        if isinstance(check, Check) and isinstance(best, Check):
            return Checked(check, best)
        assert isinstance(check, FindingCheck)
        assert isinstance(best, FindingCheck)
        return CheckedFinding(check, best)

    def _save(self, learners: _Learners, before: dict[str, float], *, finds: bool) -> None:
        finding = learners.finding.state() if learners.finding and finds else None
        state: dict[str, Any] = {"identity": self.identity, "prompts": learners.prompts.state()}
        state |= {"finding": finding, "seconds": self.seconds, "before": before}
        write_state(state, state_path(self.out))

    # --------------------------------------------------------------------------------- what came

    def _finish(
        self, learners: _Learners, before: dict[str, float], *, overwrite: bool
    ) -> Iterator[TuningEvent]:
        prompts, finding = learners.prompts, learners.finding
        tensors = dict(prompts.best) if prompts.best_check.step else {}
        after: dict[str, float] = {}
        if finding is not None:
            found = finding.calibrate()
            if tensors or found.score > finding.before.score:
                tensors |= finding.best
                after[_EVERYTHING] = found.ap
        if not tensors:
            state_path(self.out).unlink(missing_ok=True)
            raise TrainingError(
                f"Nothing was learned: on the {len(self.held_out)} objects that were held out "
                f"{self.base_name} is as good as what came of {prompts.step} steps. Nothing was "
                "written. Give more objects, a lower learning rate, or other prompts."
            )
        tuned = replace(self.base, fingerprint=hashlib.sha256(self.identity.encode()).hexdigest())
        yield from self._measure(tuned, after)
        record = self._record(learners, tensors, before, after)
        check_target(self.out, overwrite=overwrite)
        write_head(self.out, Head(self.base_name, self.base.fingerprint, record, tensors))
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
        self,
        learners: _Learners,
        tensors: dict[str, torch.Tensor],
        before: dict[str, float],
        after: dict[str, float],
    ) -> dict[str, Any]:
        from importlib.metadata import version

        prompts, finding = learners.prompts, learners.finding
        found = {} if finding is None else {
            "finding_steps": finding.step,
            "finding_best_step": finding.best_check.step,
            "finding_curve": [list(astuple(check)) for check in finding.curve],
        }  # fmt: skip
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
            "parameters": sum(int(tensor.numel()) for tensor in tensors.values()),
            "steps": prompts.step,
            "best_step": prompts.best_check.step,
            "seconds": round(sum(self.seconds.values()), 1),
            "device": str(self.base.device),
            "mixed_precision": self.mixed,
            "before": before,
            "after": after,
            "curve": [list(astuple(check)) for check in prompts.curve],
            **found,
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
