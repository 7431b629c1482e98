"""Low-rank additions to the image encoder (LoRA: Hu et al., ICLR 2022): the encoder learns by few
numbers.

To the weights W of each linear layer, (out, in), is added ``up @ down`` with ``up`` (out, rank) and
``down`` (rank, in). ``up`` begins at zero, so that nothing is changed at first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.func import functional_call

from napari_samhq.checkpoints.heads import DOWN, UP, with_additions

if TYPE_CHECKING:
    from torch import Tensor

    from napari_samhq.model import SamHQModel

__all__ = ["LowRank"]


class LowRank:
    """Additions to all linear layers of a model's image encoder.

    Parameters
    ----------
    network : SamHQModel
        Stays as it is.
    rank : int
        Of each addition; where a layer is narrower, as much as it can have.
    seed : int

    Attributes
    ----------
    tensors : dict of str to Tensor
        What learns, by the names in a head.
    """

    def __init__(self, network: SamHQModel, rank: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._encoder = network.vision_encoder
        self.tensors: dict[str, Tensor] = {}
        for name, layer in network.named_modules():
            if not (name.startswith("vision_encoder.") and isinstance(layer, nn.Linear)):
                continue
            into, out_of = layer.out_features, layer.in_features
            most = min(rank, into, out_of)
            down = (2 * torch.rand(most, out_of, generator=generator) - 1) * out_of**-0.5
            device = layer.weight.device
            self.tensors[f"{name}.weight{DOWN}"] = down.to(device).requires_grad_()
            self.tensors[f"{name}.weight{UP}"] = torch.zeros(
                into, most, device=device, requires_grad=True
            )

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Look at pictures (B, 3, S, S).

        Returns
        -------
        image_embedding : Tensor of shape (B, C, h, w)
        early : Tensor of shape (B, h, w, E)
        """
        output = functional_call(self._encoder, self._changed(), (pixels,))
        return output.image_embedding, output.intermediate[0]

    @torch.no_grad()
    def merge(self) -> None:
        """Put the additions into the encoder."""
        weights = dict(self._encoder.named_parameters())
        for name, value in self._changed().items():
            weights[name].copy_(value)

    def _changed(self) -> dict[str, Tensor]:
        """Weights with what is added to them, by the encoder's own names."""
        own = {f"vision_encoder.{name}": p for name, p in self._encoder.named_parameters()}
        changed = with_additions(self.tensors, own)
        return {name.removeprefix("vision_encoder."): value for name, value in changed.items()}
