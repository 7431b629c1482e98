"""What the image encoder found in one image, kept so that prompts are fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ImageEmbedding"]


@dataclass(frozen=True, eq=False)
class ImageEmbedding:
    """All that a prompt needs to know about an image.

    Made by :meth:`Predictor.embed`, read by :meth:`Predictor.predict`; it never changes.

    Attributes
    ----------
    image_embedding : tensor of shape (C, h, w), float32
        Output of the image encoder, on the device of the model.
    hq_features : tensor of shape (C / 8, 4h, 4w), float32
        Early and final features of the encoder, fused by the HQ decoder's two convolution
        branches. They depend on the image only.
    image_shape : tuple of two ints
        Height and width of the image in pixels.
    input_shape : tuple of two ints
        Height and width of the image as the encoder saw it: resized, before padding.
    input_size : int
        Side of the square that the encoder takes, in model pixels.
    model_fingerprint : str
        Which weights made it. Another model's embedding is refused.
    contrast_limits : tuple of two floats, or None
        The values that became black and white; None where an 8-bit colour image was taken as it is.
    """

    image_embedding: Tensor
    hq_features: Tensor
    image_shape: tuple[int, int]
    input_shape: tuple[int, int]
    input_size: int
    model_fingerprint: str
    contrast_limits: tuple[float, float] | None = None

    @property
    def nbytes(self) -> int:
        """Memory that the two tensors take, in bytes."""
        return int(self.image_embedding.nbytes + self.hq_features.nbytes)

    def __repr__(self) -> str:
        """Tell sizes instead of printing tensors."""
        height, width = self.image_shape
        return (
            f"ImageEmbedding(image {height} x {width} px, encoded at {self.input_size} px, "
            f"{self.nbytes / 2**20:.1f} MiB)"
        )
