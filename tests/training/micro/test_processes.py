"""Several processes train one model: alike after every step, on batches of their own."""

import os
import subprocess
import sys

import pytest
import torch

SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

from napari_samhq.model.config import ConvEncoderConfig, SamHQConfig
from napari_samhq.model.sam_hq import SamHQModel
from napari_samhq.training.micro.manifest import read_manifest
from napari_samhq.training.micro.pool import BatchPlan, Pool
from napari_samhq.training.micro.schedule import Budget, Phase, TrainerConfig
from napari_samhq.training.micro.trainer import Trainer

dist.init_process_group("gloo")
rank = dist.get_rank()
vision = ConvEncoderConfig(
    output_channels=16, widths=[4, 4, 8, 8], depths=[1, 1, 1], attention_depth=1,
    attention_heads=2, num_pos_feats=8,
)
prompts = {"hidden_size": 16, "image_size": 512, "patch_size": 8, "mask_input_channels": 4}
decoder = {
    "hidden_size": 16, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16,
    "vit_dim": vision.early_channels,
}
torch.manual_seed(0)
data, out = map(Path, sys.argv[1:])
config = TrainerConfig(
    Budget(steps=2), (Phase(1.0, (BatchPlan(2, 64, 2),)),), prefetch=False, mixed=False
)
trainer = Trainer(
    SamHQModel(SamHQConfig(vision, prompts, decoder)),
    Pool(tuple(read_manifest(data)), (("discs", 1.0),), 0, seed=rank),
    config,
    out / f"rank{rank}",
    torch.device("cpu"),
)
events = list(trainer.run())
torch.save(
    {"loss": events[0].values["loss"], "seconds": trainer.seconds,
     "weights": dict(trainer.model.named_parameters())},
    out / f"{rank}.pt",
)
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_stay_alike(data_folder, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run(
        [*command, str(script), str(data_folder), str(tmp_path)],
        check=True,
        timeout=600,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    one, two = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert one["loss"] != two["loss"]
    assert one["seconds"] == two["seconds"]
    assert all(torch.equal(one["weights"][n], two["weights"][n]) for n in one["weights"])
    assert (tmp_path / "rank0" / "state.pt").is_file()
    assert not (tmp_path / "rank1" / "state.pt").exists()
