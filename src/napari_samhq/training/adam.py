"""AdamW, the optimizer: Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from napari_samhq.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["AdamW"]


class AdamW:
    """Changes parameters by their gradients, in the same steps as torch's own AdamW.

    Parameters
    ----------
    groups : sequence of dict
        Each with "params", a list of tensors, and what differs from the other arguments.
    lr, betas, eps, weight_decay : float or tuple of two floats, optional
        As in :class:`torch.optim.AdamW`; without decay it is Adam.

    Attributes
    ----------
    param_groups : list of dict
        The groups with all of their settings, which may be changed between steps.

    Notes
    -----
    The one of torch imports torch's compiler, which exchanges Python's way to evaluate functions
    for all threads, and brings an LLVM that does not go together with that of Mesa's GL. A window
    that is drawn in the same process survives neither.

    Examples
    --------
    >>> weight = torch.ones(2, requires_grad=True)
    >>> optimizer = AdamW([{"params": [weight]}], lr=0.1)
    >>> (weight * torch.tensor([1.0, -1.0])).sum().backward()
    >>> optimizer.step()
    >>> weight.detach()
    tensor([0.9000, 1.1000])
    """

    def __init__(
        self,
        groups: Sequence[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        usual: dict[str, Any] = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        self.param_groups: list[dict[str, Any]] = [usual | group for group in groups]
        self._state: dict[Tensor, dict[str, Any]] = {}

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self._parameters():
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters by their gradients; those without one stay."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            states = [self._state_of(p) for p in parameters]
            for state in states:
                state["step"] += 1
            gradients = [p.grad for p in parameters]
            means = [state["exp_avg"] for state in states]
            squares = [state["exp_avg_sq"] for state in states]
            rate, (fast, slow) = group["lr"], group["betas"]
            steps = [-rate / (1 - fast ** state["step"]) for state in states]
            scales = [math.sqrt(1 - slow ** state["step"]) for state in states]
            torch._foreach_mul_(parameters, 1 - rate * group["weight_decay"])
            torch._foreach_lerp_(means, gradients, 1 - fast)
            torch._foreach_mul_(squares, slow)
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - slow)
            spread = torch._foreach_sqrt(squares)
            torch._foreach_div_(spread, scales)
            torch._foreach_add_(spread, group["eps"])
            torch._foreach_addcdiv_(parameters, means, spread, steps)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on from here, laid out as torch's own AdamW does."""
        groups, count = [], 0
        for group in self.param_groups:
            numbers = list(range(count, count := count + len(group["params"])))
            groups.append(group | {"params": numbers})
        numbered = enumerate(self._parameters())
        state = {number: self._state[p] for number, p in numbered if p in self._state}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from a state of :meth:`state_dict`, or of torch's own AdamW.

        Raises
        ------
        CheckpointError
            If it is that of other parameters.
        """
        parameters = list(self._parameters())
        groups = saved.get("param_groups", ())
        sizes = [len(group["params"]) for group in self.param_groups]
        if [len(group["params"]) for group in groups] != sizes or any(
            one["exp_avg"].shape != parameters[number].shape
            for number, one in saved["state"].items()
        ):
            raise CheckpointError(
                "The state of the optimizer belongs to other parameters, or was written by "
                "another version. Begin anew, without it."
            )
        for group, kept in zip(self.param_groups, groups, strict=True):
            group.update({name: kept[name] for name in group if name != "params"})
        self._state = {
            parameters[number]: {
                "step": int(one["step"]),
                "exp_avg": one["exp_avg"].to(parameters[number], copy=True),
                "exp_avg_sq": one["exp_avg_sq"].to(parameters[number], copy=True),
            }
            for number, one in saved["state"].items()
        }

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _state_of(self, parameter: Tensor) -> dict[str, Any]:
        if parameter not in self._state:
            self._state[parameter] = {
                "step": 0,
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        return self._state[parameter]
