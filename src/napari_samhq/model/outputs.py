"""Outputs of the image encoders and of the Hugging Face-style classes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

__all__ = ["EncoderOutput", "SamHQImageSegmentationOutput", "SamHQVisionOutput"]


class EncoderOutput(NamedTuple):
    """Image embedding and intermediate features, the output of every image encoder.

    Attributes
    ----------
    image_embedding : Tensor of shape (B, C, h, w)
    intermediate : list of Tensor of shape (B, h, w, E)
        The first entry holds the early features.
    """

    image_embedding: Tensor
    intermediate: list[Tensor]


class _Output:
    """Output whose fields are read by name, by key, or by place, as Hugging Face users do."""

    def __getitem__(self, key: str | int) -> Any:
        return getattr(self, key) if isinstance(key, str) else self.to_tuple()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        """Names of the fields that are set."""
        names = [f.name for f in fields(self)]  # type: ignore[arg-type]
        return [name for name in names if getattr(self, name) is not None]

    def to_tuple(self) -> tuple[Any, ...]:
        """Return the fields that are set, in order."""
        return tuple(getattr(self, name) for name in self.keys())


@dataclass
class SamHQVisionOutput(_Output):
    """Output of the image encoder.

    Attributes
    ----------
    last_hidden_state : Tensor of shape (B, C, h, w)
        The image embedding.
    intermediate_embeddings : list of Tensor of shape (B, h, w, E)
        Outputs of the blocks with global attention; the first are the early features.
    """

    last_hidden_state: Tensor
    intermediate_embeddings: list[Tensor]


@dataclass
class SamHQImageSegmentationOutput(_Output):
    """Output of `SamHQModel`.

    Attributes
    ----------
    iou_scores : Tensor of shape (B, P, M)
    pred_masks : Tensor of shape (B, P, M, 4h, 4w)
        Low-res logits.
    """

    iou_scores: Tensor
    pred_masks: Tensor
