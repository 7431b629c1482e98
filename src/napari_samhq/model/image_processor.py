"""Images into the model's frame, and masks back out of it.

The frame is a square of the model's input size; an image is resized until its longest side fits,
and padded at the bottom and right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "MASK_PROMPT_LOGIT",
    "MASK_THRESHOLD",
    "SamHQImageProcessor",
    "pixel_values",
    "resized_shape",
    "upscale_logits",
]

MASK_THRESHOLD = 0.0
"""Logits above it belong to the mask."""

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
"""Mean and deviation of red, green and blue: the first two of values up to 1, these of up to 255.

The published implementations use one or the other, which differ by rounding.
"""

MASK_PROMPT_LOGIT = 10.0
"""Logit that a drawn mask is given as a prompt: +10 inside, -10 outside.

SAM was trained on logits of its own earlier predictions, which reach about this size well inside
and outside an object.
"""


def resized_shape(height: int, width: int, longest: int) -> tuple[int, int]:
    """Return the shape of an image whose longest side is resized to `longest` pixels.

    Examples
    --------
    >>> resized_shape(300, 400, 1024)
    (768, 1024)
    """
    scale = longest / max(height, width)
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def pixel_values(
    rgb: NDArray[np.uint8],
    size: int,
    mean: Sequence[float] = PIXEL_MEAN,
    std: Sequence[float] = PIXEL_STD,
    white: float = 255.0,
) -> Tensor:
    """Resize, normalise and pad an 8-bit RGB image (H, W, 3) to (3, size, size), float32.

    The resizing is Pillow's bilinear filter with antialiasing on 8-bit values, as in the original
    repository; padding is zero, at the bottom and right. `mean` and `std` are for values whose
    white is `white`.
    """
    height, width = resized_shape(rgb.shape[0], rgb.shape[1], size)
    resized = np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BILINEAR))
    values = torch.from_numpy(resized.astype(np.float32))
    values = (values / (255.0 / white) - torch.tensor(mean)) / torch.tensor(std)
    return F.pad(values.permute(2, 0, 1), (0, size - width, 0, size - height))


def upscale_logits(
    low_res_logits: Tensor, input_shape: tuple[int, int], image_shape: tuple[int, int], size: int
) -> Tensor:
    """Resize low-res logits (M, h, w) to the image: (M, H, W).

    Parameters
    ----------
    low_res_logits : Tensor of shape (M, h, w)
    input_shape : tuple of int
        Rows and columns of the resized image, before padding.
    image_shape : tuple of int
        Rows and columns of the original image.
    size : int
        Side of the padded input.
    """
    padded = F.interpolate(low_res_logits[None], (size, size), mode="bilinear", align_corners=False)
    cropped = padded[..., : input_shape[0], : input_shape[1]]
    return F.interpolate(cropped, image_shape, mode="bilinear", align_corners=False)[0]


class SamHQImageProcessor:
    """Resize, normalise and pad images, and bring masks back to the images' sizes.

    Parameters
    ----------
    size : dict or int
        Longest side after resizing (``{"longest_edge": 1024}``).
    mask_size : dict or int
        Longest side of mask prompts (``{"longest_edge": 256}``).
    image_mean, image_std : sequence of float
        For values between 0 and 1.
    """

    def __init__(
        self,
        size: dict[str, int] | int = 1024,
        mask_size: dict[str, int] | int = 256,
        image_mean: Sequence[float] = IMAGE_MEAN,
        image_std: Sequence[float] = IMAGE_STD,
        **_unused: Any,
    ) -> None:
        self.longest = size["longest_edge"] if isinstance(size, dict) else size
        self.mask_longest = mask_size["longest_edge"] if isinstance(mask_size, dict) else mask_size
        self.image_mean = tuple(image_mean)
        self.image_std = tuple(image_std)

    def to_dict(self) -> dict[str, Any]:
        """Return the contents of ``preprocessor_config.json``."""
        side, mask = self.longest, self.mask_longest
        return {
            "image_processor_type": "SamImageProcessor",
            "processor_class": "SamHQProcessor",
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_pad": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": list(self.image_mean),
            "image_std": list(self.image_std),
            "mask_pad_size": {"height": mask, "width": mask},
            "mask_size": {"longest_edge": mask},
            "pad_size": {"height": side, "width": side},
            "resample": 2,
            "rescale_factor": 1 / 255,
            "size": {"longest_edge": side},
        }

    def mask_logits(self, segmentation_map: ArrayLike) -> Tensor:
        """Turn a mask (H, W) into low-res logits (1, h, w), resized and padded like its image.

        Boolean and integer masks become +10 inside and -10 outside; floating point values are
        taken for logits.
        """
        values = np.asarray(segmentation_map)
        if values.ndim != 2:
            raise PromptError(
                f"A segmentation map has shape {values.shape}; needed is one (rows, columns) mask "
                "for each image."
            )
        if not np.issubdtype(values.dtype, np.floating):
            values = np.where(values > 0, MASK_PROMPT_LOGIT, -MASK_PROMPT_LOGIT)
        height, width = resized_shape(values.shape[0], values.shape[1], self.mask_longest)
        picture = Image.fromarray(values.astype(np.float32))
        small = np.array(picture.resize((width, height), Image.Resampling.NEAREST))
        padding = (0, self.mask_longest - width, 0, self.mask_longest - height)
        return F.pad(torch.from_numpy(small), padding, value=-MASK_PROMPT_LOGIT)[None]

    def post_process_masks(
        self,
        masks: Tensor | Sequence[Tensor],
        original_sizes: Tensor | Sequence[Sequence[int]],
        reshaped_input_sizes: Tensor | Sequence[Sequence[int]],
        mask_threshold: float = MASK_THRESHOLD,
        binarize: bool = True,
        pad_size: dict[str, int] | None = None,
    ) -> list[Tensor]:
        """Resize low-res logits to the original images.

        Parameters
        ----------
        masks : Tensor of shape (B, P, M, h, w), or a sequence of (P, M, h, w)
        original_sizes, reshaped_input_sizes : array-like of shape (B, 2)
            As returned by the processor.
        mask_threshold : float
        binarize : bool
            Return boolean masks; otherwise the resized logits.
        pad_size : dict, optional
            ``{"height": S, "width": S}``; the processor's own when left out.

        Returns
        -------
        list of Tensor of shape (P, M, H, W)
        """
        size = pad_size["height"] if pad_size else self.longest
        results = []
        for logits, original, reshaped in zip(
            masks, _sizes(original_sizes), _sizes(reshaped_input_sizes), strict=True
        ):
            full = upscale_logits(logits.flatten(0, 1).float(), reshaped, original, size)
            full = full.unflatten(0, logits.shape[:2])
            results.append(full > mask_threshold if binarize else full)
        return results


def _sizes(values: Tensor | Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
    rows = values.tolist() if isinstance(values, Tensor) else values
    return ((int(height), int(width)) for height, width in rows)
