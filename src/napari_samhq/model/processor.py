"""From images and prompts to the model's tensors and back, as the published processors do.

Coordinates here are (x, y) in image pixels, as in the Hugging Face-style classes. The numpy-order
(row, column) world of the rest of the package begins in ``napari_samhq.inference``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

from ..errors import CheckpointError, ImageError, PromptError
from .prompt_encoder import NO_POINT
from .sam_hq import MASK_THRESHOLD

__all__ = [
    "MASK_PROMPT_LOGIT",
    "BatchFeature",
    "SamHQImageProcessor",
    "SamHQProcessor",
    "pixel_values",
    "resized_shape",
    "upscale_logits",
]

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)

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
    mean: Sequence[float] = tuple(255 * m for m in IMAGE_MEAN),
    std: Sequence[float] = tuple(255 * s for s in IMAGE_STD),
    white: float = 255.0,
) -> Tensor:
    """Resize, normalise and pad an 8-bit RGB image (H, W, 3) to (3, size, size), float32.

    The resizing is Pillow's bilinear filter with antialiasing on 8-bit values, as in the original
    repository; padding is zero, at the bottom and right. `mean` and `std` are for values whose
    white is `white`.
    """
    height, width = resized_shape(*rgb.shape[:2], size)
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


class BatchFeature(dict[str, Any]):
    """The tensors that a processor returns, by name or as attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def to(self, *args: Any, **kwargs: Any) -> BatchFeature:
        """Move every tensor; a number format applies to the floating point ones only."""
        dtype = kwargs.pop("dtype", next((a for a in args if isinstance(a, torch.dtype)), None))
        places = tuple(a for a in args if not isinstance(a, torch.dtype))
        moved = BatchFeature()
        for key, value in self.items():
            if isinstance(value, Tensor):
                value = value.to(*places, **kwargs) if places or kwargs else value
                value = value.to(dtype) if dtype and value.is_floating_point() else value
            moved[key] = value
        return moved


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
        height, width = resized_shape(*values.shape, self.mask_longest)
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


class SamHQProcessor:
    """Prepare images and prompts for `SamHQModel`.

    Parameters
    ----------
    image_processor : SamHQImageProcessor, optional

    Examples
    --------
    >>> inputs = SamHQProcessor()(np.zeros((300, 400, 3), np.uint8), input_points=[[[200, 150]]])
    >>> inputs.pixel_values.shape, inputs.input_points.tolist()
    (torch.Size([1, 3, 1024, 1024]), [[[[512.0, 384.0]]]])
    """

    def __init__(self, image_processor: SamHQImageProcessor | None = None) -> None:
        self.image_processor = image_processor or SamHQImageProcessor()

    @classmethod
    def from_pretrained(cls, source: str | Path, *, revision: str | None = None) -> Self:
        """Read ``preprocessor_config.json`` from a folder, or from the Hugging Face hub."""
        from .hub import pretrained_folder

        path = pretrained_folder(source, revision) / "preprocessor_config.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise CheckpointError(
                f"{path} cannot be read: {error}. SamHQProcessor() without arguments fits the "
                "published models."
            ) from error
        return cls(SamHQImageProcessor(**values))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``preprocessor_config.json`` into a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.image_processor.to_dict(), indent=2) + "\n"
        (folder / "preprocessor_config.json").write_text(text, encoding="utf-8")

    def post_process_masks(self, *args: Any, **kwargs: Any) -> list[Tensor]:
        """See `SamHQImageProcessor.post_process_masks`."""
        return self.image_processor.post_process_masks(*args, **kwargs)

    def __call__(
        self,
        images: Any,
        segmentation_maps: Any = None,
        input_points: Any = None,
        input_labels: Any = None,
        input_boxes: Any = None,
        return_tensors: str = "pt",
        **_unused: Any,
    ) -> BatchFeature:
        """Prepare one image or a list of images with their prompts.

        Parameters
        ----------
        images : PIL image, ndarray (H, W, 3) uint8, or a list of them
        segmentation_maps : (H, W) mask or a list of them, optional
            Mask prompts, one for each image; they come back as ``input_masks``.
        input_points : nested list, optional
            Per image a list of points [[x, y], ...], or a list of objects with lists of points.
        input_labels : nested list, optional
            As `input_points`, with 1 or 0 for each point.
        input_boxes : nested list, optional
            Per image a list of boxes [x0, y0, x1, y1].
        return_tensors : str
            Only "pt": torch tensors.

        Returns
        -------
        BatchFeature
            ``pixel_values``, ``original_sizes``, ``reshaped_input_sizes``, and the prompts given,
            in model pixels.

        Raises
        ------
        ImageError, PromptError
            If an image is not 8-bit RGB or grey, or if prompts do not fit the images.
        """
        if return_tensors not in (None, "pt"):
            raise PromptError(f"return_tensors={return_tensors!r}: only 'pt' is supported.")
        pictures = [_rgb(image) for image in _listed(images)]
        size = self.image_processor.longest
        mean, std = self.image_processor.image_mean, self.image_processor.image_std
        shapes = [picture.shape[:2] for picture in pictures]
        resized = [resized_shape(height, width, size) for height, width in shapes]
        features = BatchFeature(
            pixel_values=torch.stack([pixel_values(p, size, mean, std, white=1.0) for p in pictures]),
            original_sizes=torch.tensor(shapes),
            reshaped_input_sizes=torch.tensor(resized),
        )
        scales = [
            np.array([new[1] / old[1], new[0] / old[0]])
            for old, new in zip(shapes, resized, strict=True)
        ]
        if input_points is not None:
            points, labels = _padded_points(_per_image(input_points, len(pictures)), input_labels)
            features["input_points"] = torch.from_numpy(
                points * np.stack(scales)[:, None, None, :]
            )
            if labels is not None:
                features["input_labels"] = torch.from_numpy(labels)
        if input_boxes is not None:
            features["input_boxes"] = _scaled_boxes(_per_image(input_boxes, len(pictures)), scales)
        if segmentation_maps is not None:
            maps = [segmentation_maps] if len(pictures) == 1 and _is_map(segmentation_maps) else segmentation_maps
            logits = [self.image_processor.mask_logits(m) for m in maps]
            if len(logits) != len(pictures):
                raise PromptError(
                    f"{len(logits)} segmentation maps came with {len(pictures)} images; give one "
                    "for each image."
                )
            features["input_masks"] = torch.stack(logits)
        return features


def _sizes(values: Tensor | Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
    rows = values.tolist() if isinstance(values, Tensor) else values
    return ((int(height), int(width)) for height, width in rows)


def _listed(images: Any) -> list[Any]:
    if isinstance(images, (list, tuple)):
        return list(images)
    if isinstance(images, (np.ndarray, Tensor)) and images.ndim == 4:
        return list(images)
    return [images]


def _rgb(image: Any) -> NDArray[np.uint8]:
    if isinstance(image, Image.Image):
        return np.array(image.convert("RGB"))
    values = np.asarray(image)
    if values.dtype == np.uint8 and values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=2)
    if values.dtype == np.uint8 and values.ndim == 3:
        if values.shape[2] in (3, 4):
            return np.ascontiguousarray(values[..., :3])
        if values.shape[0] == 3:  # the published processor also takes channels first
            return np.ascontiguousarray(values.transpose(1, 2, 0))
    raise ImageError(
        f"An image of shape {values.shape} and type {values.dtype} came; needed is a PIL image or "
        "an 8-bit array (rows, columns, 3). Other types: use napari_samhq.Predictor."
    )


def _per_image(prompts: Any, images: int) -> list[Any]:
    values = list(prompts)
    if len(values) != images:
        raise PromptError(
            f"Prompts for {len(values)} images came with {images} images; the outermost list has "
            "one entry for each image."
        )
    return values


def _is_map(values: Any) -> bool:
    return isinstance(values, (np.ndarray, Tensor, Image.Image)) and np.asarray(values).ndim == 2


def _padded_points(
    per_image: list[Any], labels: Any
) -> tuple[NDArray[np.float64], NDArray[np.int64] | None]:
    """Bring ragged points to (B, P, N, 2); the filler's label keeps it out of the prediction."""
    objects = []
    for points in per_image:
        first = np.asarray(points[0], dtype=object)
        # A list of points stands for one object; a list of lists of points for several.
        one = first.ndim == 1 and len(first) == 2 and np.ndim(first[0]) == 0
        objects.append([points] if one else list(points))
    ragged = labels is None and len({len(o) for image in objects for o in image}) > 1
    longest = max(len(points) for image in objects for points in image)
    most = max(len(image) for image in objects)
    padded = np.full((len(objects), most, longest, 2), float(NO_POINT))
    filled = np.full((len(objects), most, longest), NO_POINT, np.int64)
    given = None if labels is None else _per_image(labels, len(objects))
    for i, image in enumerate(objects):
        for j, points in enumerate(image):
            padded[i, j, : len(points)] = np.asarray(points, dtype=float)
            marks: Any = 1
            if given is not None:
                marks = given[i] if np.ndim(given[i][0]) == 0 else given[i][j]
            filled[i, j, : len(points)] = marks
    return padded, filled if labels is not None or ragged else None


def _scaled_boxes(per_image: list[Any], scales: list[NDArray[np.float64]]) -> Tensor:
    counts = {len(boxes) for boxes in per_image}
    if len(counts) > 1:
        raise PromptError(
            f"The images have different numbers of boxes ({sorted(counts)}); give as many for each, "
            "or process the images one by one."
        )
    boxes = np.asarray(per_image, dtype=float)
    if boxes.ndim != 3 or boxes.shape[-1] != 4:
        raise PromptError(
            f"input_boxes have shape {boxes.shape}; needed is (images, boxes, 4) as x0, y0, x1, y1."
        )
    return torch.from_numpy(boxes * np.stack([np.tile(scale, 2) for scale in scales])[:, None])
