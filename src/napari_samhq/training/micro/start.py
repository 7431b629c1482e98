"""Aligned initial weights, which attend to the prompt's place from the first step.

A two-way transformer started at random does not find the prompt for a long time. Here the query and
key projections of every attention begin as the same scaled orthogonal matrix, so that the product
of two positional codes peaks where they are of the same place, and value and output projections
begin as a matrix and its transpose, so that what is looked at is passed on.

Tokens must differ from each other in this start. An image place near the prompt then looks at
another token than a place far away, and learns from the first step where the prompt is; if all
tokens were alike (say, averages of all), the image would receive the same everywhere, and nothing
moves for hundreds of steps.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari_samhq.model import SamHQModel
    from napari_samhq.model.transformer import Attention

__all__ = ["aligned_start", "identity_start", "positional_table"]


def positional_table(
    features: int, generator: torch.Generator, lowest: float = 0.5, highest: float = 8.0
) -> Tensor:
    """Fourier frequencies (2, features) of many scales: log-uniform deviations, so that places are
    told apart both coarsely across the frame and finely within an object (random Fourier features:
    Tancik et al., NeurIPS 2020).
    """
    spread = torch.exp(torch.linspace(math.log(lowest), math.log(highest), features))
    return torch.randn(2, features, generator=generator) * spread


def _orthogonal(rows: int, cols: int, generator: torch.Generator) -> Tensor:
    square = torch.randn(max(rows, cols), max(rows, cols), generator=generator)
    turn: Tensor = torch.linalg.qr(square).Q
    return turn[:rows, :cols]


@torch.no_grad()
def aligned_start(model: SamHQModel, seed: int = 0) -> None:
    """Start the decoder of a model aligned, in place.

    Parameters
    ----------
    model : SamHQModel
    seed : int
    """
    generator = torch.Generator().manual_seed(seed)
    # Contents would outshout the places in the keys if the embedding began at unit size; the
    # entries of the positional codes are about 0.7.
    model.get_parameter("vision_encoder.neck.3.weight").fill_(0.3)
    table = model.shared_image_embedding.positional_embedding
    table.copy_(positional_table(table.shape[1], generator))
    transformer = model.mask_decoder.transformer
    _align(transformer.final_attn_token_to_image, generator, gain=6.0)
    layers: Any = transformer.layers
    for layer in layers:
        _align(layer.cross_attn_token_to_image, generator, gain=6.0, passing=2.0)
        _align(layer.cross_attn_image_to_token, generator, gain=6.0, passing=2.0)
        _align(layer.self_attn, generator, gain=3.0, passing=1.0)
    decoder = model.mask_decoder
    for token in (decoder.iou_token, decoder.mask_tokens, decoder.hq_token):
        nn.init.normal_(token.weight, std=0.7, generator=generator)
    for part in model.prompt_encoder.modules():
        if isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=0.4, generator=generator)


def _align(
    attention: Attention, generator: torch.Generator, gain: float, passing: float | None = None
) -> None:
    """Align one attention: ``gain`` on the product of query and key, ``passing`` on the product of
    value and output projection (left as it is where None).
    """
    inner, width = attention.q_proj.weight.shape
    shared = _orthogonal(inner, width, generator) * math.sqrt(gain)
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight.copy_(shared)
        nn.init.zeros_(projection.bias)
    if passing is not None:
        turn = _orthogonal(inner, width, generator) * math.sqrt(passing)
        attention.v_proj.weight.copy_(turn)
        attention.out_proj.weight.copy_(turn.T)
        nn.init.zeros_(attention.v_proj.bias)
        nn.init.zeros_(attention.out_proj.bias)


@torch.no_grad()
def identity_start(model: SamHQModel, known: Collection[str]) -> None:
    """Let new residual and attention blocks of a deeper encoder pass on what they get.

    A model that grew answers at first as it did before (Net2Net: Chen et al., ICLR 2016).

    Parameters
    ----------
    model : SamHQModel
        With a convolutional encoder.
    known : collection of str
        Names of the tensors that the shallower model had.
    """
    layers = ("conv2.1", "position", "proj", "mlp.lin2")
    last = tuple(f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias"))
    for name, parameter in model.vision_encoder.named_parameters():
        if f"vision_encoder.{name}" not in known and name.endswith(last):
            parameter.zero_()
