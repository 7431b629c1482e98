"""Recipe of the bundled model ``micro``: configuration, phases and command line of training.

``python -m napari_samhq.training.micro --data DIR --out DIR [--minutes N] [--resume]``

With ``--leave-out SOURCE ...`` no image of these sources is learned from, and when training is over
it is measured on them: what users get on kinds of images that the model never saw.

On a computer whose cores do other work as well, two processes of one thread lose less time waiting
for each other than two threads of one: ``torchrun --nproc-per-node 2 -m ...`` instead.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from collections import defaultdict, deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from safetensors import safe_open

from napari_samhq.errors import CheckpointError, FileError
from napari_samhq.model.config import (
    ConvEncoderConfig,
    SamHQConfig,
    SamHQDenseHeadConfig,
    SamHQMaskDecoderConfig,
    SamHQPromptEncoderConfig,
)
from napari_samhq.model.sam_hq import SamHQModel
from napari_samhq.model.serialization import write_tensors
from napari_samhq.training.micro.manifest import (
    Record,
    manifest_hash,
    read_manifest,
    read_planes,
    split_by_group,
)
from napari_samhq.training.micro.pool import COMPOSITE, BatchPlan, Pool
from napari_samhq.training.micro.schedule import Budget, Phase, TrainerConfig
from napari_samhq.training.micro.start import aligned_start
from napari_samhq.training.micro.trainer import Saved, StepDone, Trainer, ranks
from napari_samhq.training.states import read_state

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

__all__ = [
    "FURTHER_PHASES",
    "PHASES",
    "SOURCE_WEIGHTS",
    "export",
    "main",
    "micro_config",
    "micro_trainer",
]

_WEIGHTS = "model.safetensors"
_SOURCES = "sources"
_LEFT_OUT = "left-out.md"
_log = logging.getLogger(__name__)

SOURCE_WEIGHTS = (
    ("bbbc039", 0.07),
    ("dsb2018", 0.12),
    ("usiigaci_t98g", 0.06),
    ("yeastvision", 0.04),
    ("colicoords_ecoli", 0.04),
    ("maize_clsm", 0.04),
    ("ampis_powder", 0.05),
    ("nasa_superalloy", 0.04),
    ("axon_sem_fibre", 0.05),
    ("axon_tem_srf", 0.05),
    ("bbbc010_worms", 0.05),
    ("nasa_ebc_crack", 0.05),
    ("pfc_pn", 0.09),
    ("sstem_mito", 0.05),
    ("sstem_neurites", 0.10),
    ("wsu_chloroplast", 0.06),
    ("chloroplasts_em_zyx", 0.01),
    ("epithelium_tyx", 0.02),
    ("mito_sstem_zyx", 0.01),
    ("mother_machine_tyx", 0.02),
    ("nuclei_sparse_tyx", 0.01),
    ("ovule_cells_zyx", 0.02),
    ("ovule_nuclei_a_zyx", 0.01),
    ("ovule_nuclei_b_zyx", 0.01),
    ("synthetic", 0.10),
    (COMPOSITE, 0.22),
)
"""Share of each source in training; within a source, each look weighs by the root of its number of
images. Composites are made of the outlines and textures of all.
"""

INCOMPLETE_STACKS = ("epithelium_tyx", "mito_sstem_zyx", "nuclei_sparse_tyx")
"""Stacks and series in which not every object is marked."""

DENSE = BatchPlan(8, 128, 8, looks=0.5)
SMALL = BatchPlan(8, 128, 4, looks=0.5)
NEAR = BatchPlan(4, 256, 4, looks=0.6, windows=0.6)
WIDE = BatchPlan(4, 256, 0, looks=0.6, windows=0.5)
NEAR_FRAME = BatchPlan(2, 512, 4, looks=0.6, windows=0.65)
LAST_NEAR = (replace(NEAR, looks=0.35), replace(NEAR, looks=0.35), replace(NEAR_FRAME, looks=0.35))
PHASES: tuple[Phase, ...] = (
    Phase(0.20, (DENSE,), prompts=False, dense=1.0, queries=1.0),
    Phase(0.48, (SMALL,), rounds=2, dense=0.6, queries=0.5),
    Phase(0.70, (SMALL, SMALL, NEAR), rounds=2, dense=0.6, queries=0.3),
    Phase(0.92, (NEAR, SMALL, NEAR, NEAR_FRAME, NEAR), rounds=2, dense=0.6, fixed_statistics=True),
    Phase(1.00, LAST_NEAR, rounds=3, dense=0.4, fixed_statistics=True),
)
"""A run from nothing: dense targets first, then prompts on growing crops; at last mostly large
objects with all that surrounds them, as windows show them, and one more correction.
"""
RATE = 2e-3
FURTHER_PHASES: tuple[Phase, ...] = (
    Phase(
        0.8,
        (SMALL, WIDE, SMALL, NEAR, WIDE),
        rounds=2,
        dense=1.0,
        fixed_statistics=True,
    ),
    Phase(1.00, (SMALL, WIDE, NEAR, NEAR), rounds=3, dense=0.7, fixed_statistics=True),
)
"""A run from the weights of another, which may have less depth and no dense head. Crops without
prompts cost a third of those with, and teach the dense head as much.
"""
FURTHER_RATE = 3e-4
"""With 8e-4 a stretch of two hours from weights that had learned already unlearned at first what it
learned again in the end.
"""


def micro_config() -> SamHQConfig:
    """Return the configuration of the bundled model: 512 px frame, image embedding 128 x 64 x 64,
    low-res logits 256 x 256.
    """
    vision = ConvEncoderConfig(depths=[2, 2, 4], attention_depth=3)
    return SamHQConfig(
        vision_config=vision,
        prompt_encoder_config=SamHQPromptEncoderConfig(
            hidden_size=128, image_size=512, patch_size=8, prompt_maps=True
        ),
        mask_decoder_config=SamHQMaskDecoderConfig(
            hidden_size=128,
            mlp_dim=512,
            num_attention_heads=4,
            iou_head_hidden_dim=128,
            vit_dim=vision.early_channels,
            join_hq=True,
        ),
        dense_head_config=SamHQDenseHeadConfig(),
        largest_share=3 / 16,
    )


def micro_trainer(
    data: Path,
    out: Path,
    budget: Budget,
    *,
    seed: int = 0,
    start: Path | None = None,
    left_out: Collection[str] = (),
    volumes: Path | None = None,
) -> Trainer:
    """Return a trainer of ``micro`` on the training part of a data folder, at step 0.

    Parameters
    ----------
    data, out : Path
    budget : Budget
    seed : int
    start : Path, optional
        What to begin with: the state of an earlier run, or a folder of exported weights.
    left_out : collection of str
        Sources of which nothing is learned.
    volumes : Path, optional
        Folder of annotated stacks and series, whose planes are learned from too.

    Raises
    ------
    FileError
        The folder has no such source, or nothing but these.
    CheckpointError
        The start cannot be used, or has seen a source that is left out.
    """
    train, validation = split_by_group(read_manifest(data))
    _log.info(
        "manifest sha256 %s: %d images for training, %d for validation",
        manifest_hash(data),
        len(train),
        len(validation),
    )
    if volumes is not None:
        train += split_by_group(read_planes(volumes, INCOMPLETE_STACKS))[0]
    train = _without(train, left_out)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SamHQModel(micro_config())
    aligned_start(model, seed)
    rank, peers = ranks()
    # Every process of a run draws other pictures, and its share of each batch.
    pool = Pool(tuple(train), SOURCE_WEIGHTS, synthetic=500, seed=seed + 1000 * rank)
    phases, rate = (PHASES, RATE) if start is None else (FURTHER_PHASES, FURTHER_RATE)
    phases = tuple(
        replace(p, plans=tuple(replace(q, crops=max(1, q.crops // peers)) for q in p.plans))
        for p in phases
    )
    config = TrainerConfig(budget, phases, seed=seed, learning_rate=rate, ema=0.995)
    trainer = Trainer(model, pool, config, out)
    if start is not None:
        trainer.start_from(_state_to_begin_with(start, left_out))
    return trainer


def _without(records: list[Record], left_out: Collection[str]) -> list[Record]:
    """Return the records of all sources but those."""
    names = {record.source for record in records}
    wrong = sorted(set(left_out) - names)
    if wrong or names <= set(left_out):
        what = ", ".join(repr(name) for name in wrong or sorted(names))
        msg = f"{what} cannot be left out: the data folder has the sources "
        msg += f"{', '.join(sorted(names))}; name some of several"
        raise FileError(msg)
    return [record for record in records if record.source not in left_out]


def _state_to_begin_with(start: Path, left_out: Collection[str]) -> dict[str, Any]:
    """Read an earlier run's state, or exported weights; neither may have seen what is left out."""
    if start.is_dir():
        state: dict[str, Any] = {"ema": SamHQModel.from_pretrained(start).state_dict()}
        with safe_open(start / _WEIGHTS, framework="pt") as file:
            told = (file.metadata() or {}).get(_SOURCES)
        if told is not None:
            state["sources"] = json.loads(told)
    else:
        state = read_state(start)
    _check_unseen(state, start, left_out)
    return state


def _check_unseen(state: dict[str, Any], path: Path, left_out: Collection[str]) -> None:
    """Complain about a state that has learned, or may have, from what is left out now."""
    seen = sorted(set(left_out) & set(state.get("sources", left_out)))
    if seen:
        msg = (
            f"{path} may have learned from {', '.join(seen)}, which is to be left out; begin with "
            "a run that left it out too, or with nothing"
        )
        raise CheckpointError(msg)


def log_events(events: Iterable[StepDone | Saved], path: Path, every: int = 20) -> None:
    """Append means over ``every`` steps to a file of JSON lines, and to the log."""
    sums: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    with path.open("a", encoding="utf-8") as file:
        for event in events:
            if isinstance(event, Saved):
                _log.info("step %d: state written", event.step)
                continue
            for name, value in event.values.items():
                sums[name] += value
                counts[name] += 1
            if event.step % every == 0:
                means = {name: round(sums[name] / counts[name], 5) for name in sums}
                row = {
                    "step": event.step,
                    "progress": round(event.progress, 4),
                    "seconds": round(event.seconds, 1),
                }
                file.write(json.dumps({**row, **means}) + "\n")
                file.flush()
                _log.info("%s", {**row, **{name: round(v, 3) for name, v in means.items()}})
                sums.clear()
                counts.clear()


def export(model: SamHQModel, folder: Path, sources: Iterable[str] = ()) -> None:
    """Write ``config.json`` and ``model.safetensors`` with weight matrices in half precision, and
    what was learned from, so that a later run knows what it may leave out.

    Vectors, statistics and the positional table stay in full precision: they are small, and sums
    over them would feel the rounding.
    """
    model.config.save_pretrained(folder)
    tensors = {
        name: t.half() if t.ndim > 1 and "positional" not in name else t
        for name, t in model.state_dict().items()
    }
    known = sorted(set(sources))
    metadata = {_SOURCES: json.dumps(known)} if known else None
    write_tensors(folder / _WEIGHTS, tensors, metadata=metadata)


def measure_left_out(weights: Path, data: Path, sources: Collection[str], images: int = 3) -> str:
    """Measure weights on the validation images of sources as the model card does; returns the
    table.
    """
    from napari_samhq.inference.predictor import Predictor
    from napari_samhq.training.micro import model_card

    _, validation = split_by_group(read_manifest(data))
    results = model_card.evaluate_records(
        Predictor(SamHQModel.from_pretrained(weights)),
        model_card.chosen_records(validation, images, sorted(sources)),
        most=10,
        windows=2,
    )
    return f"{model_card.table(model_card.summary(results))}\n\n{model_card.scores_report(results)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train ``micro``; see ``--help``."""
    parser = argparse.ArgumentParser(
        prog="napari_samhq.training.micro", description="Train the bundled model."
    )
    parser.add_argument("--data", type=Path, required=True, help="data folder with MANIFEST.tsv")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for state, log and exported weights"
    )
    parser.add_argument(
        "--minutes", type=float, default=100.0, help="time budget, resumed runs counted together"
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=None,
        help="step budget, for a run that can be repeated exactly",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--begin-with",
        type=Path,
        default=None,
        help="state of an earlier run, or folder of exported weights",
    )
    parser.add_argument(
        "--leave-out",
        nargs="+",
        metavar="SOURCE",
        default=(),
        help="learn nothing from these sources, and be measured on them",
    )
    parser.add_argument(
        "--volumes", type=Path, default=None, help="folder of stacks whose planes are learned from"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the state in --out")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    options.out.mkdir(parents=True, exist_ok=True)
    if "WORLD_SIZE" in os.environ:  # started by torchrun
        dist.init_process_group("gloo")
    budget = Budget(steps=options.steps, minutes=None if options.steps else options.minutes)
    trainer = micro_trainer(
        options.data,
        options.out,
        budget,
        seed=options.seed,
        start=options.begin_with,
        left_out=options.leave_out,
        volumes=options.volumes,
    )
    if options.resume:
        state = read_state(trainer.path)
        _check_unseen(state, trainer.path, options.leave_out)
        trainer.restore(state)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: trainer.stop())
    if trainer.rank:
        deque(trainer.run(), maxlen=0)  # the first process writes what there is to write
        return 0
    log_events(trainer.run(), options.out / "log.jsonl")
    if trainer.progress < 1:
        _log.info("stopped at step %d; --resume goes on from here", trainer.step)
        return 1
    export(trainer.ema, options.out / "weights", (r.source for r in trainer.pool.records))
    _log.info("weights written to %s", options.out / "weights")
    if options.leave_out:
        found = measure_left_out(options.out / "weights", options.data, options.leave_out)
        (options.out / _LEFT_OUT).write_text(found + "\n", encoding="utf-8")
        sys.stdout.write(found + "\n")
    return 0
