"""Adjustment of logits around clicks that lie on the wrong side of a mask.

A click says for certain what one pixel is. Where the decoder disagrees, its logits are shifted
there by a narrow bump, so that the clicked pixel, and what is about as uncertain beside it, changes
sides and nothing else does. Published models answer as published; models whose configuration says
``obey_clicks`` (the bundled `micro`) do this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["obey_clicks"]

_WIDTH = 1.0  # standard deviation of the bump, in low-res pixels
_MARGIN = 1.0  # by which the clicked place is on its side afterwards, in logits


def obey_clicks(
    logits: Tensor, points_xy: Tensor, labels: Tensor, stride: float, threshold: float = 0.0
) -> Tensor:
    """Bring clicked places to their side of the threshold.

    Parameters
    ----------
    logits : Tensor of shape (P, M, h, w)
        Low-res logits of M masks for each of P prompts.
    points_xy : Tensor of shape (P, N, 2)
        Model pixels.
    labels : Tensor of shape (P, N)
        1 foreground, 0 background; points with other labels are left out.
    stride : float
        Model pixels per low-res pixel.
    threshold : float, optional
        Logits above it are object.

    Returns
    -------
    Tensor of shape (P, M, h, w)
        The same tensor where all clicks are obeyed already. Of clicks that contradict each other
        the last wins.

    Examples
    --------
    >>> logits = torch.full((1, 1, 16, 16), -3.0)
    >>> obeyed = obey_clicks(logits, torch.tensor([[[9.0, 9.0]]]), torch.tensor([[1]]), 2)
    >>> (obeyed > 0).nonzero()[:, 2:].tolist()
    [[4, 4], [4, 5], [5, 4]]
    """
    height, width = logits.shape[2:]
    rows = torch.arange(height, device=logits.device, dtype=logits.dtype)
    cols = torch.arange(width, device=logits.device, dtype=logits.dtype)
    for place_xy, label in zip(points_xy.unbind(1), labels.unbind(1), strict=True):
        place = (place_xy.to(logits.dtype) + 0.5) / stride - 0.5
        col = place[:, :1].clamp(0, width - 1)
        row = place[:, 1:].clamp(0, height - 1)
        # Bilinear weights, as masks are enlarged by.
        near = (1 - (rows - row).abs()).clamp_min(0)[:, :, None]
        near = near * (1 - (cols - col).abs()).clamp_min(0)[:, None]
        side = torch.where(label == 1, 1.0, -1.0).to(logits.dtype)[:, None]
        there = (logits * near[:, None]).sum((2, 3))
        missing = (_MARGIN - side * (there - threshold)).clamp_min(0)
        missing = missing * ((label == 1) | (label == 0))[:, None]
        if not bool(missing.any()):
            continue
        bump = torch.exp((rows - row) ** 2 / (-2 * _WIDTH**2))[:, :, None]
        bump = bump * torch.exp((cols - col) ** 2 / (-2 * _WIDTH**2))[:, None]
        bump = bump / (bump * near).sum((1, 2), keepdim=True)
        logits = logits + (side * missing)[..., None, None] * bump[:, None]
    return logits
