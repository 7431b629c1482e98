"""Errors and advice when a device runs out of memory."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from napari_samhq.errors import OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["free_memory", "guarding_memory", "is_out_of_memory", "out_of_memory"]


@contextmanager
def guarding_memory(work: str, device: torch.device) -> Iterator[None]:
    """Turn the many ways in which memory runs out into OutOfMemoryError, and free what can be."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        free_memory(device)
        raise out_of_memory(work, device) from error


def is_out_of_memory(error: RuntimeError | MemoryError) -> bool:
    """Tell whether memory ran out; the CPU's allocator and MPS say so in words only."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = str(error).lower()
    return "out of memory" in words or "can't allocate memory" in words


def out_of_memory(work: str, device: torch.device) -> OutOfMemoryError:
    """Build the error that says what to do."""
    advice = (
        "Close other programs, or choose a smaller model."
        if device.type == "cpu"
        else "Choose a smaller model, close other programs that use this device, or load the model "
        "with device='cpu'."
    )
    return OutOfMemoryError(f"The device {device} has too little memory for {work}. {advice}")


def free_memory(device: torch.device) -> None:
    """Give back memory that torch keeps for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
