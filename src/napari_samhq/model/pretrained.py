"""Models that come from a folder or the Hugging Face hub, and go into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from torch import nn

from .config import SamHQConfig
from .hub import pretrained_folder
from .serialization import load_strict, read_tensors, write_tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Pretrained"]


class Pretrained(nn.Module):
    """Reading and writing a folder with ``config.json`` and ``model.safetensors``."""

    config: Any

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return next(self.parameters()).dtype

    @classmethod
    def from_pretrained(cls, source: str | Path, *, revision: str | None = None) -> Self:
        """Load a model, in evaluation mode.

        Parameters
        ----------
        source : str or Path
            A folder with ``config.json`` and ``model.safetensors``, or the id of a model on the
            Hugging Face hub, such as ``"syscv-community/sam-hq-vit-base"``.
        revision : str, optional
            Revision on the hub.

        Raises
        ------
        CheckpointError
            If a file is missing, damaged, or its tensors do not fit the configuration exactly.
        DownloadError
            If the model is neither a folder nor can be fetched.
        """
        folder = pretrained_folder(source, revision)
        model = cls(cls._config_from(SamHQConfig.from_pretrained(folder)))
        weights = folder / "model.safetensors"
        load_strict(model, cls._select(read_tensors(weights)), source=str(weights))
        return model.eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors`` into a folder."""
        folder = Path(folder)
        self._whole_config().save_pretrained(folder)
        write_tensors(folder / "model.safetensors", self.state_dict())

    @classmethod
    def _config_from(cls, config: SamHQConfig) -> Any:
        return config

    @classmethod
    def _select(cls, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return tensors

    def _whole_config(self) -> SamHQConfig:
        config: SamHQConfig = self.config
        return config
