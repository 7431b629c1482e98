"""The optimizer takes the same steps as torch's, without torch's compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from napari_samhq.errors import CheckpointError
from napari_samhq.training.adam import AdamW

STEPS = 12
SETTINGS = {"betas": (0.9, 0.98), "eps": 1e-7}

#: torch's own optimizer imports the compiler, which must not come into this process.
THEIRS = """
import copy, sys, torch
from test_adam import STEPS, SETTINGS, groups, take_steps
found = groups()
optimizer = torch.optim.AdamW(found, lr=0.01, **SETTINGS)
take_steps(optimizer, 0, STEPS // 2)
state = copy.deepcopy(optimizer.state_dict())
half = [p.detach().clone() for group in found for p in group["params"]]
take_steps(optimizer, STEPS // 2, STEPS)
whole = [p.detach() for group in found for p in group["params"]]
torch.save({"half": half, "whole": whole, "state": state}, sys.argv[1])
"""


def groups():
    """Parameters of several shapes, of which some decay."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 3, 3, 3), (7, 5), (6,), (1,)]
    made = [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]
    made[0] = made[0].detach().to(memory_format=torch.channels_last).requires_grad_()
    return [
        {"params": made[:2], "weight_decay": 0.05},
        {"params": made[2:], "weight_decay": 0.0},
    ]


def take_steps(optimizer, first, last) -> None:
    """Steps along gradients that depend on step and weights; one weight has none at first."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for step in range(first, last):
        generator = torch.Generator().manual_seed(step)
        optimizer.zero_grad()
        for number, parameter in enumerate(parameters):
            if number != 3 or step > 2:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.grad = parameter.detach() ** 3 + noise
        for group in optimizer.param_groups:
            group["lr"] = 0.01 / (1 + step)
        optimizer.step()


def values(found):
    return [p.detach() for group in found for p in group["params"]]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    path = tmp_path_factory.mktemp("adam") / "theirs.pt"
    folder = __file__.rpartition("/")[0]
    subprocess.run([sys.executable, "-c", THEIRS, str(path)], check=True, cwd=folder, timeout=240)
    return torch.load(path, weights_only=True)


def test_steps_are_those_of_torch_bit_for_bit(theirs):
    found = groups()
    take_steps(AdamW(found, lr=0.01, **SETTINGS), 0, STEPS)
    for mine, other in zip(values(found), theirs["whole"], strict=True):
        assert torch.equal(mine, other)


def test_it_goes_on_from_a_state_of_torch_and_from_its_own(theirs):
    found = groups()
    with torch.no_grad():
        for mine, other in zip(values(found), theirs["half"], strict=True):
            mine.copy_(other)
    optimizer = AdamW(found, **SETTINGS)
    optimizer.load_state_dict(theirs["state"])
    take_steps(optimizer, STEPS // 2, STEPS - 1)
    again = groups()
    with torch.no_grad():
        for mine, other in zip(values(again), values(found), strict=True):
            mine.copy_(other)
    other = AdamW(again)
    other.load_state_dict(optimizer.state_dict())
    take_steps(other, STEPS - 1, STEPS)
    for mine, expected in zip(values(again), theirs["whole"], strict=True):
        assert torch.equal(mine, expected)


def test_the_state_of_other_parameters_is_refused():
    state = AdamW(groups()).state_dict()
    with pytest.raises(CheckpointError, match="other parameters"):
        AdamW([{"params": [torch.ones(3, requires_grad=True)]}]).load_state_dict(state)
    optimizer = AdamW(groups())
    take_steps(optimizer, 0, 1)
    others = groups()
    others[0]["params"][0] = torch.ones(9, requires_grad=True)
    with pytest.raises(CheckpointError, match="other parameters"):
        AdamW(others).load_state_dict(optimizer.state_dict())
