"""Choice of the device and the number format that a model computes with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ModelError, OutOfMemoryError

if TYPE_CHECKING:
    import torch

    from ..model import SamHQModel
    from .registry import ModelInfo

__all__ = ["choose_device", "choose_precision", "move"]

_PRECISIONS = ("auto", "float32", "bfloat16", "float16")


def choose_device(device: str | torch.device) -> torch.device:
    """Return the device of that name.

    Parameters
    ----------
    device
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``.

    Raises
    ------
    ModelError
        There is no such device on this machine.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ModelError(
            f"{device!r} is no device. Use 'auto', 'cpu', 'cuda', 'cuda:0' or 'mps'."
        ) from error
    problem = _problem(place)
    if problem:
        raise ModelError(f"Device {str(place)!r} cannot be used: {problem}. Use 'auto' or 'cpu'.")
    return place


def choose_precision(precision: str, device: torch.device) -> torch.dtype:
    """Return the number format of the image encoder on a device.

    Parameters
    ----------
    precision
        ``"auto"``, ``"float32"``, ``"bfloat16"`` or ``"float16"``.
    device
        Where the model will be.

    Raises
    ------
    ModelError
        There is no such precision, or the device does not compute in it.
    """
    import torch

    if precision not in _PRECISIONS:
        raise ModelError(f"{precision!r} is no precision. Use one of {', '.join(_PRECISIONS)}.")
    quick = device.type == "cuda" and _has_bfloat16(device)
    if precision == "auto":
        return torch.bfloat16 if quick else torch.float32
    if precision == "float16" and device.type == "cpu":
        raise ModelError(
            "float16 is not offered on the CPU, which computes in it slowly or not at all. Use "
            "'float32', or 'bfloat16' for half the memory."
        )
    if precision == "bfloat16" and device.type == "cuda" and not quick:
        raise ModelError(
            f"{torch.cuda.get_device_name(device)} does not compute in bfloat16. Use 'float16' or "
            "'float32'."
        )
    dtype: torch.dtype = getattr(torch, precision)
    return dtype


def move(network: SamHQModel, device: torch.device, dtype: torch.dtype, info: ModelInfo) -> None:
    """Bring a network to a device, its image encoder in a number format of its own.

    Raises
    ------
    OutOfMemoryError
        The device has too little memory.
    """
    import torch

    try:
        network.vision_encoder.to(dtype)
        network.to(device)
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(
            f"{info.name} ({info.megabytes:g} MB of weights) does not fit into the memory of "
            f"{device}. Close other programs that use it, take a smaller model, or device='cpu'."
        ) from error


def _problem(device: torch.device) -> str:
    """Say why a device cannot be used; empty when it can."""
    import torch

    if device.type == "cpu":
        return ""
    if device.type == "mps":
        return "" if torch.backends.mps.is_available() else "this torch or computer has no MPS"
    if device.type != "cuda":
        return "only cpu, cuda and mps are supported"
    if not torch.cuda.is_available():
        return "this torch was built without CUDA, or no GPU was found"
    count, index = torch.cuda.device_count(), int(device.index or 0)
    return f"there are {count} GPUs, numbered from 0" if index >= count else ""


def _has_bfloat16(device: torch.device) -> bool:
    import torch

    # From compute capability 8 on; before, torch emulates it, slower than float32.
    return torch.cuda.get_device_capability(device)[0] >= 8
