"""Aligned start: weights that look at the prompt's place from the first step.

A two-way transformer started at random does not find the prompt for a long time. Here the query and
key projections of the attentions between tokens and image begin as the same scaled orthogonal
matrix, so that the product of two positional codes peaks where they are of the same place; and the
first self-attention begins as an average that hands each output token the codes of the prompt.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from napari_samhq.model import SamHQModel

__all__ = ["aligned_start", "positional_table"]


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
    return torch.linalg.qr(square).Q[:rows, :cols]


@torch.no_grad()
def aligned_start(
    model: SamHQModel,
    seed: int = 0,
    gain: float = 6.0,
    content: float = 0.3,
    token_deviation: float = 0.1,
) -> None:
    """Start the decoder of a model aligned, in place.

    Parameters
    ----------
    model : SamHQModel
    seed : int
    gain : float
        Factor on the product of query and key.
    content : float
        Size at which the image embedding's entries begin, those of the positional codes being about
        0.7.
    token_deviation : float
        Standard deviation of the learned tokens, small against the positional codes (whose entries
        are sines).
    """
    generator = torch.Generator().manual_seed(seed)
    # Contents would outshout the places in the keys if the embedding began at unit size.
    model.vision_encoder.neck[-1].weight.fill_(content)
    embedding = model.shared_image_embedding
    table = embedding.positional_embedding
    table.copy_(positional_table(table.shape[1], generator))
    transformer = model.mask_decoder.transformer
    crossings = [transformer.final_attn_token_to_image]
    for layer in transformer.layers:
        crossings += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
    for attention in crossings:
        inner, width = attention.q_proj.weight.shape
        shared = _orthogonal(inner, width, generator) * math.sqrt(gain)
        attention.q_proj.weight.copy_(shared)
        attention.k_proj.weight.copy_(shared)
        nn.init.zeros_(attention.q_proj.bias)
        nn.init.zeros_(attention.k_proj.bias)
    first = transformer.layers[0].self_attn
    width = first.v_proj.weight.shape[0]
    turn = _orthogonal(width, width, generator)
    first.v_proj.weight.copy_(turn)
    first.out_proj.weight.copy_(turn.T)
    nn.init.zeros_(first.v_proj.bias)
    nn.init.zeros_(first.out_proj.bias)
    first.q_proj.weight.mul_(0.1)  # begins as a plain average of all tokens
    for module in (model.prompt_encoder, model.mask_decoder):
        for part in module.modules():
            if isinstance(part, nn.Embedding):
                nn.init.normal_(part.weight, std=token_deviation, generator=generator)
