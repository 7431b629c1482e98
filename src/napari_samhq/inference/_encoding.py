"""Run the image encoder on pictures, in halves when memory runs out."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch

from napari_samhq.errors import ModelError
from napari_samhq.inference.memory import free_memory, guarding_memory, is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from napari_samhq.model.sam_hq import SamHQModel


def encoder_precision(network: SamHQModel) -> str:
    """Tell the number format of the image encoder, as ``"float32"``."""
    weight = next(network.vision_encoder.parameters())
    return str(weight.dtype).removeprefix("torch.")


def encode_or_halve(
    look: Callable[[list[Tensor]], list[tuple[Tensor, Tensor]]],
    pictures: list[Tensor],
    device: torch.device,
) -> list[tuple[Tensor, Tensor]]:
    """Encode pictures together; where memory runs out, half of them and then the others.

    Parameters
    ----------
    look : callable
        Encodes pictures together.
    pictures : list of Tensor of shape (3, S, S)
        As :func:`~napari_samhq.model.image_processor.pixel_values` makes them.
    device : torch.device
        Where it does.

    Returns
    -------
    list of (image embedding (C, h, w), HQ features (C / 8, 4h, 4w))
    """
    half = (len(pictures) + 1) // 2
    if half < len(pictures):
        try:
            return look(pictures)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        free_memory(device)
        first = encode_or_halve(look, pictures[:half], device)
        return first + encode_or_halve(look, pictures[half:], device)
    with guarding_memory("looking at the image", device):
        return look(pictures)


@torch.inference_mode()
def encode(network: SamHQModel, pictures: list[Tensor], name: str) -> list[tuple[Tensor, Tensor]]:
    """Encode in the precision of the encoder, the HQ features in that of the rest."""
    weight = next(network.vision_encoder.parameters())
    pixels = torch.stack(pictures).to(weight.device, weight.dtype)
    image_embedding, hq_features = network.encode_image(pixels)
    if not torch.isfinite(hq_features).all():
        raise ModelError(
            f"The image encoder of {name!r} gave NaN or infinite values in "
            f"{encoder_precision(network)}. Load the model with precision='float32'."
        )
    if len(pictures) == 1:
        return [(image_embedding[0], hq_features[0])]
    # Copies, so that each can be given up by itself.
    return [(one.clone(), hq.clone()) for one, hq in zip(image_embedding, hq_features, strict=True)]


def fingerprint_of(network: SamHQModel) -> str:
    """Hash names, types and values of all weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy())
    return digest.hexdigest()
