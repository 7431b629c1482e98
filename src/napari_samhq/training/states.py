"""Training states on disk, for resuming."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, Any

import torch

from napari_samhq.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_state", "write_state"]


def write_state(state: dict[str, Any], path: Path) -> None:
    """Write atomically: the old file stays whole until the new one is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(path.suffix + ".partial")
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_state(path: Path) -> dict[str, Any]:
    """Read what :func:`write_state` wrote.

    Raises
    ------
    CheckpointError
        The file is missing or damaged.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        msg = f"{path} is no training state that could be read ({error}); start without --resume"
        raise CheckpointError(msg) from error
    return dict(state)
