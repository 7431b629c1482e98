"""Image embedding: the encoder's output for one image, kept for prompts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
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
    thumbnail : ndarray of shape (h, w, 3), uint8, or None
        The image as the model saw it, small, for people; None where it was read from a store.
    """

    image_embedding: Tensor
    hq_features: Tensor
    image_shape: tuple[int, int]
    input_shape: tuple[int, int]
    input_size: int
    model_fingerprint: str
    contrast_limits: tuple[float, float] | None = None
    thumbnail: NDArray[np.uint8] | None = field(default=None, repr=False, kw_only=True)

    @property
    def nbytes(self) -> int:
        """Memory that it takes, in bytes."""
        thumbnail = 0 if self.thumbnail is None else self.thumbnail.nbytes
        return int(self.image_embedding.nbytes + self.hq_features.nbytes + thumbnail)

    def __repr__(self) -> str:
        """Tell sizes instead of printing tensors."""
        height, width = self.image_shape
        return (
            f"ImageEmbedding(image {height} x {width} px, encoded at {self.input_size} px, "
            f"{self.nbytes / 2**20:.1f} MiB)"
        )

    def _repr_html_(self) -> str:
        """Show the image and the sizes in notebooks."""
        from napari_samhq.core.display.html import card, figure

        height, width = self.image_shape
        rows = {
            "image": f"{height} x {width} px",
            "encoded at": f"{self.input_shape[0]} x {self.input_shape[1]} px",
            "memory": f"{self.nbytes / 2**20:.1f} MiB",
            "model": self.model_fingerprint[:12],
        }
        if self.contrast_limits is not None:
            low, high = self.contrast_limits
            rows["black and white"] = f"{low:g} and {high:g}"
        figures = [] if self.thumbnail is None else [figure(self.thumbnail, "as the model sees it")]
        return card("ImageEmbedding", rows, figures)
