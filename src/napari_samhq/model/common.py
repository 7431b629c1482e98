"""Small layers that several parts of the network share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["MLP", "LayerNorm2d", "Mlp2", "activation"]


# On a processor: more at once would need more memory, new in every layer, which takes time too.
_TOKENS_PER_STEP = 512


def activation(name: str) -> nn.Module:
    """Return the activation of that configuration name ("gelu" or "relu")."""
    return nn.GELU() if name == "gelu" else nn.ReLU()


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of (B, C, H, W)."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        if self.training:  # spares the memory of all the steps below
            return self.over_last(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        centred = x - x.mean(dim=1, keepdim=True)
        variance = centred.pow(2).mean(dim=1, keepdim=True)
        deviation = torch.sqrt(variance + self.eps)
        if not torch.is_grad_enabled():  # the same numbers, without memory for every step
            return (
                centred.div_(deviation)
                .mul_(self.weight[:, None, None])
                .add_(self.bias[:, None, None])
            )
        normed = centred / deviation
        return self.weight[:, None, None] * normed + self.bias[:, None, None]

    def over_last(self, x: Tensor) -> Tensor:
        """Normalise over the last axis of (..., C), in one quick step that rounds differently."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class Mlp2(nn.Module):
    """Two linear layers with an activation between them (a transformer's MLP)."""

    def __init__(self, width: int, hidden: int, act: str) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, width)
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        parts = x.flatten(0, -2).split(_TOKENS_PER_STEP if x.device.type == "cpu" else x.numel())
        done = [self.lin2(self.act(self.lin1(part))) for part in parts]
        return (done[0] if len(done) == 1 else torch.cat(done)).view(x.shape)


class MLP(nn.Module):
    """Stack of `depth` linear layers with ReLU between them (the decoder's heads)."""

    def __init__(self, width_in: int, hidden: int, width_out: int, depth: int = 3) -> None:
        super().__init__()
        self.proj_in = nn.Linear(width_in, hidden)
        self.layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(depth - 2))
        self.proj_out = nn.Linear(hidden, width_out)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.proj_in(x))
        for layer in self.layers:
            x = F.relu(layer(x))
        out: Tensor = self.proj_out(x)
        return out
