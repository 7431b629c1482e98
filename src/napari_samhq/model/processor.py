"""From images and prompts to the model's tensors, as the published processors do.

Coordinates here are (x, y) in image pixels, as in the Hugging Face-style classes. The numpy-order
(row, column) world of the rest of the package begins in ``napari_samhq.inference``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import CheckpointError, ImageError, PromptError
from .image_processor import SamHQImageProcessor, pixel_values, resized_shape
from .prompt_encoder import NO_POINT

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BatchFeature", "SamHQProcessor"]


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
            pixel_values=torch.stack(
                [pixel_values(p, size, mean, std, white=1.0) for p in pictures]
            ),
            original_sizes=torch.tensor(shapes),
            reshaped_input_sizes=torch.tensor(resized),
        )
        scales = [
            np.array([new[1] / old[1], new[0] / old[0]])
            for old, new in zip(shapes, resized, strict=True)
        ]
        if input_points is not None:
            points, labels = _padded_points(_per_image(input_points, len(pictures)), input_labels)
            features["input_points"] = torch.from_numpy(points * np.stack(scales)[:, None, None, :])
            if labels is not None:
                features["input_labels"] = torch.from_numpy(labels)
        if input_boxes is not None:
            features["input_boxes"] = _scaled_boxes(_per_image(input_boxes, len(pictures)), scales)
        if segmentation_maps is not None:
            maps = (
                [segmentation_maps]
                if len(pictures) == 1 and _is_map(segmentation_maps)
                else segmentation_maps
            )
            logits = [self.image_processor.mask_logits(m) for m in maps]
            if len(logits) != len(pictures):
                raise PromptError(
                    f"{len(logits)} segmentation maps came with {len(pictures)} images; give one "
                    "for each image."
                )
            features["input_masks"] = torch.stack(logits)
        return features


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
            f"The images have different numbers of boxes ({sorted(counts)}); give as many for "
            "each, or process the images one by one."
        )
    boxes = np.asarray(per_image, dtype=float)
    if boxes.ndim != 3 or boxes.shape[-1] != 4:
        raise PromptError(
            f"input_boxes have shape {boxes.shape}; needed is (images, boxes, 4) as x0, y0, x1, y1."
        )
    return torch.from_numpy(boxes * np.stack([np.tile(scale, 2) for scale in scales])[:, None])
